//! A namespace: one user's database.

use crate::batch::{Batch, delete_op, put_op};
use crate::db::Inner;
use crate::error::Result;
use crate::scan::Scan;
use crate::snapshot::Snapshot;
use crate::write::Write;
use bytes::Bytes;
use jdb_base::{NsId, key};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

/// A separate key space. The handle is light and holds nothing; clone and drop it at will.
///
/// Keys are any bytes up to 65,500, values any bytes up to 1 GiB; both may be empty. Keys sort by their bytes.
#[derive(Clone)]
pub struct Namespace {
    inner: Rc<Inner>,
    id: NsId,
}

impl Namespace {
    pub(crate) fn new(inner: Rc<Inner>, id: NsId) -> Self {
        Self { inner, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> NsId {
        self.id
    }

    /// The value of `key`; `None` when there is none.
    ///
    /// Answers without suspending when everything is in memory. At most one read for the value, and one for each table
    /// whose key range covers the key.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with file and offset, [`Io`](crate::ErrorKind::Io): never a wrong value.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.inner.manager.get(self.id, key.as_ref()).await?)
    }

    /// Sets `key` to `value`; awaited, it gives the [`Commit`](crate::Commit).
    ///
    /// The value is written once, to the log. Cost: one write of the log, shared with what others commit at the time.
    ///
    /// # Errors
    /// [`TooLarge`](crate::ErrorKind::TooLarge), [`NoSpace`](crate::ErrorKind::NoSpace),
    /// [`Stopped`](crate::ErrorKind::Stopped) after a failed sync, [`Closed`](crate::ErrorKind::Closed),
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly), [`Io`](crate::ErrorKind::Io). A write that failed is not there, now or
    /// after a crash; one that was stopped may be.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
        self.put_bytes(key, Bytes::copy_from_slice(value.as_ref()))
    }

    /// [`Namespace::put`] of a value that is not copied.
    ///
    /// # Errors
    /// Those of [`Namespace::put`].
    pub fn put_bytes(&self, key: impl AsRef<[u8]>, value: Bytes) -> Write {
        Write::new(self.inner.clone(), self.id, vec![put_op(self.id, key.as_ref(), value)])
    }

    /// Deletes `key`, whether it exists or not.
    ///
    /// # Errors
    /// Those of [`Namespace::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Write {
        Write::new(self.inner.clone(), self.id, vec![delete_op(self.id, key.as_ref())])
    }

    /// An empty batch for this namespace.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch::new(self.inner.clone(), self.id)
    }

    /// All rows, in key order, as of now.
    #[must_use]
    pub fn iter(&self) -> Scan {
        self.scan(&[], None)
    }

    /// The rows whose keys lie in `range`, as of now.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let ns = db.ns(1u64);
    /// for day in ["2024-01-30", "2024-02-01", "2024-02-29", "2024-03-01"] {
    ///     ns.put(day, "").await?;
    /// }
    /// let mut february = ns.range("2024-02".."2024-03").rev();
    /// assert_eq!(february.next().await?.unwrap().key(), b"2024-02-29");
    /// # db.close().await }).unwrap();
    /// ```
    #[must_use]
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Scan {
        let (lower, upper) = bounds(&range);
        self.scan(&lower, upper.as_deref())
    }

    /// The rows whose keys start with `prefix`, as of now.
    #[must_use]
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        let prefix = prefix.as_ref();
        self.scan(prefix, key::prefix_end(prefix).as_deref())
    }

    /// The namespace as of now, to be read later: see [`Snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.manager.snapshot(self.id), self.id)
    }

    fn scan(&self, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(self.inner.manager.scan(self.id, lower, upper), self.id)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.id).finish()
    }
}

/// The first key of a range, and the first one behind it.
pub(crate) fn bounds<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> (Vec<u8>, Option<Vec<u8>>) {
    let lower = match range.start_bound() {
        Bound::Included(key) => key.as_ref().to_vec(),
        Bound::Excluded(key) => after(key.as_ref()),
        Bound::Unbounded => Vec::new(),
    };
    let upper = match range.end_bound() {
        Bound::Included(key) => Some(after(key.as_ref())),
        Bound::Excluded(key) => Some(key.as_ref().to_vec()),
        Bound::Unbounded => None,
    };
    (lower, upper)
}

/// The smallest key above `key`.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
