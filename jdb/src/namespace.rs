//! A namespace: one user's database.

use crate::batch::Batch;
use crate::db::Inner;
use crate::error::Result;
use crate::scan::Scan;
use crate::snapshot::Snapshot;
use crate::write::{Commit, Write};
use bytes::Bytes;
use jdb_base::{NsId, key};
use jdb_ns::{Durability, Expected, Handle, NamespaceStats, Op, delete_op, drop_op, put_op};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

/// A separate key space. The handle is light and holds nothing; clone and drop it at will.
///
/// Keys are any bytes up to 65,500, values any bytes up to 1 GiB; both may be empty. Keys sort by their bytes.
#[derive(Clone)]
pub struct Namespace {
    inner: Rc<Inner>,
    handle: Handle,
    durability: Durability,
}

impl Namespace {
    pub(crate) fn new(inner: Rc<Inner>, handle: Handle) -> Self {
        let durability = inner.durability;
        Self { inner, handle, durability }
    }

    /// The same namespace, through a handle whose writes promise this when they do not say otherwise.
    ///
    /// ```
    /// # use jdb::{Durability, Expected};
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let orders = db.ns(7u64).durability(Durability::Sync);
    /// orders.put_if("order/1", Expected::Absent, "paid").await?; // survives a power cut
    /// # db.close().await }).unwrap();
    /// ```
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same namespace with a limit to the bytes of keys and values that it may come to hold through this handle and its clones.
    ///
    /// What is in use is looked up at the first put ([`Namespace::stats`]) and then counted in memory, overwritten and deleted rows
    /// too. When that comes to the limit it is looked up again, if need be by a walk over the keys (once a second at most), and a
    /// put that does not make the namespace larger still passes. Other handles, and [`Db::put_many`](crate::Db::put_many), are not
    /// held up, and what they put is seen at the next look. Memory: about 100 bytes while the handle is held.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let free_plan = db.ns(7u64).quota(1000);
    /// free_plan.put("small", [0; 900]).await?;
    /// let full = free_plan.put("too much", [0; 900]).await.unwrap_err();
    /// assert_eq!(full.kind(), jdb::ErrorKind::Quota);
    /// free_plan.put("small", [1; 800]).await?; // smaller than before
    /// # db.close().await }).unwrap();
    /// ```
    #[must_use]
    pub fn quota(self, bytes: u64) -> Self {
        Self { handle: self.handle.with_quota(bytes), ..self }
    }

    /// Its name, when it was reached by one: [`Db::named`](crate::Db::named).
    #[must_use]
    pub fn name(&self) -> Option<Bytes> {
        self.handle.name()
    }

    /// Its id. That of a name which has no namespace yet is 0 in the class of names, until the first put.
    #[must_use]
    pub fn id(&self) -> NsId {
        self.handle.id()
    }

    /// The value of `key`; `None` when there is none.
    ///
    /// Answers without suspending when everything is in memory. At most one read for the value, and one for each table
    /// whose key range covers the key.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with file and offset, [`Io`](crate::ErrorKind::Io): never a wrong value.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.inner.manager.get(self.id(), key.as_ref()).await?)
    }

    /// Whether `key` is there. No value is read; else as [`Namespace::get`].
    ///
    /// # Errors
    /// Those of [`Namespace::get`].
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.value_len(key).await?.is_some())
    }

    /// The length in bytes of the value of `key`; `None` when there is none. No value is read; else as [`Namespace::get`].
    ///
    /// # Errors
    /// Those of [`Namespace::get`].
    pub async fn value_len(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>> {
        Ok(self.inner.manager.value_len(self.id(), key.as_ref()).await?)
    }

    /// The values of many keys, in their order and as of one moment; `None` for a key that is absent. See
    /// [`Db::multi_get`](crate::Db::multi_get).
    ///
    /// # Errors
    /// Those of [`Namespace::get`], of the first key that fails.
    pub async fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let ns = self.id();
        let keys: Vec<(NsId, &[u8])> = keys.iter().map(|key| (ns, key.as_ref())).collect();
        Ok(self.inner.manager.multi_get(&keys).await?)
    }

    /// The row with the smallest key: key and value.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.iter().next_row().await
    }

    /// The row with the largest key: key and value.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.iter().rev().next_row().await
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
        let ns = self.id();
        self.write(ns, put_op(ns, key.as_ref(), value))
    }

    /// Sets `key` to `value` if it is as expected: a compare-and-set.
    ///
    /// What was read is compared, and the commit happens only if nobody has changed the key since; else it is read again. With
    /// [`Expected::Value`] the old value is read when it has the right length.
    ///
    /// ```
    /// # use jdb::{ErrorKind, Expected};
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let locks = db.ns(1u64);
    /// let mine = locks.put_if("job", Expected::Absent, "worker 1").await?;
    /// let taken = locks.put_if("job", Expected::Absent, "worker 2").await.unwrap_err();
    /// assert_eq!(taken.kind(), ErrorKind::Conflict);
    /// locks.put_if("job", Expected::Seq(mine.seq()), "worker 1, still").await?;
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// A dropped future: the write happens whole or not at all.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) when the key is something else: nothing was written. Those of
    /// [`Namespace::get`] and [`Namespace::put`].
    pub async fn put_if(
        &self,
        key: impl AsRef<[u8]>,
        expected: Expected<'_>,
        value: impl AsRef<[u8]>,
    ) -> Result<Commit> {
        let value = Bytes::copy_from_slice(value.as_ref());
        let manager = &self.inner.manager;
        Ok(Commit(manager.put_if(&self.handle, key.as_ref(), expected, value, self.durability).await?))
    }

    /// Reads `key`, lets `change` say what it becomes, and commits that if nobody changed the key meanwhile; else all over again,
    /// so that `change` may be called several times. `None` stands for an absent key, before and after.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let counters = db.ns(1u64);
    /// for _ in 0..3 {
    ///     counters
    ///         .update("visits", |old| {
    ///             let count = old.map_or(0, |old| u64::from_be_bytes(old[..].try_into().unwrap()));
    ///             Some((count + 1).to_be_bytes().to_vec().into())
    ///         })
    ///         .await?;
    /// }
    /// assert_eq!(counters.get("visits").await?.as_deref(), Some(&3u64.to_be_bytes()[..]));
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// A dropped future: the change happens whole or not at all.
    ///
    /// # Errors
    /// Those of [`Namespace::get`] and [`Namespace::put`].
    pub async fn update(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnMut(Option<Bytes>) -> Option<Bytes>,
    ) -> Result<Commit> {
        Ok(Commit(self.inner.manager.update(&self.handle, key.as_ref(), change, self.durability).await?))
    }

    /// Deletes every row that is there now, in one record, however many, as [`Db::drop_ns`](crate::Db::drop_ns) does; a name stays.
    ///
    /// # Errors
    /// Those of [`Db::drop_ns`](crate::Db::drop_ns).
    pub fn clear(&self) -> Write {
        let ns = self.id();
        self.write(ns, drop_op(ns))
    }

    /// A write of one operation, whose key was made for `ns`.
    fn write(&self, ns: NsId, op: Op) -> Write {
        Write::new(self.inner.clone(), self.handle.clone(), ns, vec![op]).durability(self.durability)
    }

    /// Deletes `key`, whether it exists or not.
    ///
    /// # Errors
    /// Those of [`Namespace::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Write {
        let ns = self.id();
        self.write(ns, delete_op(ns, key.as_ref()))
    }

    /// An empty batch for this namespace.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let mut batch = Batch::new(self.inner.clone(), self.handle.clone());
        batch.durability(self.durability);
        batch
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

    /// How many rows it has, how long they are, and when it changed last.
    ///
    /// Nothing is kept for it: each table counts its groups of keys when it is written. Exact for a namespace of up to 1024 entries in
    /// the index, and for a larger one that was merged into one place; else an upper bound, which
    /// [`NamespaceStats::is_exact`] says. Cost: one look-up in each level; a walk over what is not flushed yet and over up to
    /// 1024 entries. Dropping the future loses nothing.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let ns = db.ns(1u64);
    /// ns.put("name", "Alice").await?;
    /// let stats = ns.stats().await?;
    /// assert_eq!((stats.rows, stats.len(), stats.is_exact), (1, 9, true));
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io): never a wrong answer instead.
    pub async fn stats(&self) -> Result<NamespaceStats> {
        Ok(self.inner.manager.ns_stats(self.id()).await?)
    }

    /// The namespace as of now, to be read later: see [`Snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.manager.snapshot(self.id()), self.id())
    }

    fn scan(&self, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(self.inner.manager.scan(self.id(), lower, upper), self.id())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.id()).finish()
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
