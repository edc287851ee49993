//! A snapshot: a namespace as of one moment.

use crate::error::Result;
use crate::namespace::bounds;
use crate::scan::Scan;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key};
use std::ops::RangeBounds;

/// A namespace as of the moment [`Namespace::snapshot`](crate::Namespace::snapshot) was called, for as long as it is held.
///
/// Whatever is written, dropped, flushed or merged meanwhile, it reads the same. It holds the rows that it sees from being
/// forgotten, no files and no memory besides; clones are cheap. Dropping the last one lets the old rows go with the next
/// compaction.
///
/// ```
/// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = jdb::open(dir.path().join("db")).await?;
/// let ns = db.ns(1u64);
/// ns.put("name", "Alice").await?;
/// let before = ns.snapshot();
/// ns.put("name", "Bob").await?;
/// db.compact().await?;
/// assert_eq!(before.get("name").await?.as_deref(), Some(&b"Alice"[..]));
/// assert_eq!(ns.get("name").await?.as_deref(), Some(&b"Bob"[..]));
/// # db.close().await }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    inner: jdb_ns::Snapshot,
    ns: NsId,
}

impl Snapshot {
    pub(crate) fn new(inner: jdb_ns::Snapshot, ns: NsId) -> Self {
        Self { inner, ns }
    }

    /// The sequence it reads at: everything up to it was committed before the snapshot was taken.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.inner.seq()
    }

    /// The value of `key` as of this moment; as [`Namespace::get`](crate::Namespace::get).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with file and offset, [`Io`](crate::ErrorKind::Io): never a wrong value.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.inner.get(key.as_ref()).await?)
    }

    /// Whether `key` is there as of this moment. No value is read.
    ///
    /// # Errors
    /// Those of [`Snapshot::get`].
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.value_len(key).await?.is_some())
    }

    /// The length in bytes of the value of `key` as of this moment; no value is read.
    ///
    /// # Errors
    /// Those of [`Snapshot::get`].
    pub async fn value_len(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>> {
        Ok(self.inner.value_len(key.as_ref()).await?)
    }

    /// The values of many keys as of this moment, in their order; as [`Namespace::multi_get`](crate::Namespace::multi_get).
    ///
    /// # Errors
    /// Those of [`Snapshot::get`], of the first key that fails.
    pub async fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        Ok(self.inner.multi_get(&keys).await?)
    }

    /// The row with the smallest key as of this moment: key and value.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.iter().next_row().await
    }

    /// The row with the largest key as of this moment: key and value.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.iter().rev().next_row().await
    }

    /// All rows, in key order, as of this moment.
    #[must_use]
    pub fn iter(&self) -> Scan {
        self.scan(&[], None)
    }

    /// The rows whose keys lie in `range`, as of this moment.
    #[must_use]
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Scan {
        let (lower, upper) = bounds(&range);
        self.scan(&lower, upper.as_deref())
    }

    /// The rows whose keys start with `prefix`, as of this moment.
    #[must_use]
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        let prefix = prefix.as_ref();
        self.scan(prefix, key::prefix_end(prefix).as_deref())
    }

    fn scan(&self, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(self.inner.scan(lower, upper), self.ns)
    }
}
