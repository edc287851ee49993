//! What a store of namespaces must be able to do to be measured.

use crate::error::Result;
use crate::rows::{Key, Row};
use std::path::Path;

/// A store of namespaces. The methods are asynchronous because jdb is; another one answers before it returns.
#[expect(async_fn_in_trait, reason = "everything runs on one thread; no future is sent to another")]
pub trait Store: Sized {
    /// Opens the store in a directory, with so many bytes of memory; makes it when it is missing.
    async fn open(path: &Path, memory_len: usize) -> Result<Self>;

    /// As [`Store::open`], so that its files can be evicted from the page cache while it is open.
    async fn open_to_evict(path: &Path, memory_len: usize) -> Result<Self> {
        Self::open(path, memory_len).await
    }

    /// Bytes of log that the opening replayed; `None` where nobody knows.
    fn replayed_len(&self) -> Option<u64>;

    /// Reads of files that were issued so far, those that the page cache answered included; `None` where nobody knows.
    fn reads(&self) -> Option<u64>;

    /// Commits these rows together, as far as the store can; answered, they survive the death of the process.
    async fn put(&self, rows: Vec<Row>) -> Result<()>;

    /// Looks a key up and shows what is there.
    async fn get(&self, ns: u64, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()>;

    /// Deletes a namespace with all its rows.
    async fn drop_ns(&self, ns: u64) -> Result<()>;

    /// Shows the first `limit` namespaces behind `after`, in order, by skipping over their rows.
    async fn list(&self, after: Option<u64>, limit: usize, show: impl FnMut(u64)) -> Result<()>;

    /// Brings everything out of the log and waits until nothing is left to do in the background.
    async fn settle(&self) -> Result<()>;

    /// Closes it in good order.
    async fn close(self) -> Result<()>;
}
