//! A walk over rows, in both directions, in any mix.

use crate::error::Result;
use bytes::Bytes;
use futures::Stream;
use jdb_base::{NsId, SeqNo};
use std::fmt;
use std::pin::Pin;

/// A walk over the rows of a range, as of the moment it was made.
///
/// It sits on a row, before the first one (where it starts), or after the last. [`Scan::next`] and [`Scan::prev`] mix
/// freely; backward costs what forward costs.
///
/// Values are lazy: a walk over keys never touches the value log. A walk that turns out to ask for every value, when they are
/// not in memory or lie side by side, reads ahead by itself, up to 64 values together; [`Scan::prefetch`] says it beforehand.
/// Values that were read together share their buffer, of at most 64 KiB.
///
/// Dropping the future of a step leaves the scan where it was, or where the step had come to between rows; no row is passed
/// over, and it may be stepped again. A scan keeps the rows of its moment from being forgotten, and for about a second the
/// tables they lie in.
///
/// ```
/// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = jdb::open(dir.path().join("db")).await?;
/// let posts = db.ns(1u64);
/// for day in 1..=9 {
///     posts.put(format!("post/2024-02-0{day}"), "..").await?;
/// }
/// let mut newest = posts.prefix("post/").rev().keys_only().limit(2);
/// assert_eq!(newest.next().await?.unwrap().key(), b"post/2024-02-09");
/// assert_eq!(newest.next().await?.unwrap().key(), b"post/2024-02-08");
/// assert!(newest.next().await?.is_none());
/// # db.close().await }).unwrap();
/// ```
pub struct Scan {
    inner: jdb_ns::Scan,
    ns: NsId,
    reversed: bool,
    keys_only: bool,
    /// Most rows that `next` goes through from where the scan began or was sought.
    limit: i64,
    /// The number of the row that it sits on, or of the one before it when it sits between rows.
    gone: i64,
    /// `next` has met the limit: the scan sits behind the row that the one below sits on.
    over: bool,
}

/// The rows of a [`Scan`] as a stream: key and value.
pub type ScanStream = Pin<Box<dyn Stream<Item = Result<(Bytes, Bytes)>>>>;

impl Scan {
    pub(crate) fn new(inner: jdb_ns::Scan, ns: NsId) -> Self {
        Self { inner, ns, reversed: false, keys_only: false, limit: i64::MAX, gone: 0, over: false }
    }

    /// Turns the walk round: `next` goes to smaller keys, `prev` to larger ones. The scan sits before the first row of its
    /// new direction.
    #[must_use]
    pub fn rev(mut self) -> Self {
        self.reversed = !self.reversed;
        (self.gone, self.over) = (0, false);
        if self.reversed {
            self.inner.seek_end();
        } else {
            self.inner.seek_start();
        }
        self
    }

    /// Never reads ahead: for a walk that looks at keys, or at few values. A stream of such a scan has empty values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self.inner.prefetch(0);
        self
    }

    /// Ends after `count` rows, counted from where the scan began or was last sought; [`Scan::prev`] takes one back.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        self.limit = i64::try_from(count).unwrap_or(i64::MAX);
        self
    }

    /// Reads the values of `depth` rows together, from the first row on; at most 1024 rows and 1 MiB at a time, which come on
    /// top of [`Options::memory`](crate::Options::memory). 0: each value when it is asked for.
    #[must_use]
    pub fn prefetch(mut self, depth: usize) -> Self {
        self.inner.prefetch(depth);
        self
    }

    /// Goes to the next row and lends it; `None` when there is none: the scan then sits after the last row, and
    /// [`Scan::prev`] gives the last one.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io): never a shorter walk instead.
    pub async fn next(&mut self) -> Result<Option<Item<'_>>> {
        if self.gone >= self.limit {
            self.over = self.inner.row().is_some();
            return Ok(None);
        }
        let found = self.step(self.reversed).await?;
        self.gone += i64::from(found);
        Ok(self.item())
    }

    /// Goes to the row before and lends it; `None` when there is none: the scan then sits before the first row, and
    /// [`Scan::next`] gives the first one.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn prev(&mut self) -> Result<Option<Item<'_>>> {
        if std::mem::take(&mut self.over) {
            // The last row that the limit allows.
            return Ok(self.item());
        }
        // Off a row it comes to the one that was counted last; whatever becomes of the step.
        self.gone -= i64::from(self.inner.row().is_some());
        self.step(!self.reversed).await?;
        Ok(self.item())
    }

    #[inline]
    async fn step(&mut self, backward: bool) -> Result<bool> {
        Ok(match self.inner.step_ready(backward)? {
            Some(found) => found,
            None if backward => self.inner.prev().await?,
            None => self.inner.next().await?,
        })
    }

    /// Sits just before `key` in the scan's direction: `next` then gives the first row at or after it (reversed: at or
    /// below it), `prev` the one before. Inside the range of the scan; a key outside it means the range's end.
    ///
    /// # Errors
    /// None today: the read happens at the next step.
    pub async fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        (self.gone, self.over) = (0, false);
        if self.reversed {
            let after = [key, &[0]].concat();
            self.inner.seek(self.ns, &after);
        } else {
            self.inner.seek(self.ns, key);
        }
        Ok(())
    }

    /// The row that the scan sits on.
    #[inline]
    #[must_use]
    pub fn item(&self) -> Option<Item<'_>> {
        if self.over { None } else { self.inner.row().map(Item) }
    }

    /// The remaining rows as a stream of keys and values, for code that works on streams. It ends after an error.
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// db.ns(1u64).put("a", "1").await?;
    /// let rows: Vec<_> = db.ns(1u64).iter().into_stream().try_collect().await?;
    /// assert_eq!(rows, [("a".into(), "1".into())]);
    /// # db.close().await }).unwrap();
    /// ```
    #[must_use]
    pub fn into_stream(self) -> ScanStream {
        Box::pin(futures::stream::try_unfold(self, async |mut scan| {
            let row = scan.next_row().await?;
            Ok(row.map(|row| (row, scan)))
        }))
    }

    /// The next row, owned.
    pub(crate) async fn next_row(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        let keys_only = self.keys_only;
        let Some(item) = self.next().await? else { return Ok(None) };
        let value = if keys_only { Bytes::new() } else { item.value().await? };
        Ok(Some((Bytes::copy_from_slice(item.key()), value)))
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("ns", &self.ns).field("reversed", &self.reversed).finish_non_exhaustive()
    }
}

/// A row, lent by the [`Scan`] that sits on it.
#[derive(Debug)]
pub struct Item<'a>(jdb_ns::Row<'a>);

impl Item<'_> {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.0.key()
    }

    /// Length of its value in bytes; nothing is read.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn value_len(&self) -> Result<u64> {
        Ok(self.0.value_len()?)
    }

    /// Its value: at hand when it is small or was read ahead, else one read of the log. Dropping the future is nothing.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io).
    pub async fn value(&self) -> Result<Bytes> {
        Ok(self.0.value().await?)
    }

    /// Sequence of the change that wrote it.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.0.seq()
    }
}
