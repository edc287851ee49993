//! Reads of a namespace: one key, or a walk over a range in both directions, as of now or as of a snapshot.
//!
//! A read takes sequence, Version and hidden ranges in one step and keeps them: whatever is flushed or merged meanwhile, it
//! answers as of that moment. What is in memory is answered without suspending.
//!
//! A snapshot and a scan hold their sequence as a read point: compactions keep the rows that it sees. A scan pins a Version
//! as well, but only for a second: then it goes on in the newest one at the same place, so that a slow scan holds rows, not
//! files.

use crate::error::Result;
use crate::points::HeldPoint;
use crate::shard::{Shard, View};
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::Payload;
use std::rc::Rc;
use std::time::Duration;

/// After this time a scan goes over to the newest Version.
const PIN_TIME_MAX: Duration = Duration::from_secs(1);

impl Shard {
    /// The newest value of `key` in `ns`.
    pub(crate) async fn get(&self, ns: NsId, key: &[u8]) -> Result<Option<Bytes>> {
        let seq = self.visible.get();
        if planted(Plant::ReadInTwoSteps) {
            self.disk.sleep(Duration::from_millis(5)).await;
        }
        self.get_in(self.view_at(ns, seq), ns, key).await
    }

    async fn get_in(&self, view: View, ns: NsId, key: &[u8]) -> Result<Option<Bytes>> {
        let key = key::engine_key(ns, key);
        let Some(found) = view.version.get(&key, view.seq, &view.hidden).await? else { return Ok(None) };
        match found.payload {
            Payload::Tombstone => Ok(None),
            Payload::Inline(value) => Ok(Some(value)),
            Payload::Pointer(ptr) => Ok(Some(self.log.read(ptr, &key, found.seq).await?)),
        }
    }
}

/// A namespace as of one moment, for as long as it is held. It holds the rows that it sees, no files.
#[derive(Clone, Debug)]
pub struct Snapshot {
    point: HeldPoint,
}

impl Snapshot {
    pub(crate) fn new(shard: &Rc<Shard>, ns: NsId) -> Self {
        Self { point: HeldPoint::now(shard, ns) }
    }

    /// The sequence it reads at.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.point.seq()
    }

    /// The value of `key` as of this snapshot.
    ///
    /// # Errors
    /// What cannot be read or is damaged; never a wrong answer.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if key.len() > key::KEY_LEN_MAX {
            return Ok(None);
        }
        let (shard, ns) = (self.point.shard(), self.point.ns());
        shard.get_in(shard.view_at(ns, self.point.seq()), ns, key).await
    }

    /// A walk over the rows with `lower <= key`, and `key < upper` when there is one, as of this snapshot.
    #[must_use]
    pub fn scan(&self, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(self.point.clone(), lower, upper)
    }
}

/// A walk over rows of one namespace, as of the moment it began. Sits on a row, before the first or after the last.
#[derive(Debug)]
pub struct Scan {
    inner: jdb_lsm::Scan,
    point: HeldPoint,
    prefix_len: usize,
    /// When its Version was pinned, on the disk's clock.
    pinned_at: Duration,
}

/// The row that a [`Scan`] sits on.
#[derive(Debug)]
pub struct Row<'a> {
    row: jdb_lsm::Row<'a>,
    shard: &'a Shard,
    prefix_len: usize,
}

impl Scan {
    /// The rows of the point's namespace with `lower <= key`, and `key < upper` when there is one.
    pub(crate) fn new(point: HeldPoint, lower: &[u8], upper: Option<&[u8]>) -> Self {
        let view = point.shard().view_at(point.ns(), point.seq());
        let prefix = key::engine_key(point.ns(), &[]);
        let lower = [prefix.as_slice(), lower].concat();
        let upper = match upper {
            Some(upper) => [prefix.as_slice(), upper].concat(),
            // The encoding of a namespace never is all 0xff.
            None => key::prefix_end(&prefix).unwrap_or_default(),
        };
        let inner = jdb_lsm::Scan::new(view.version, view.seq, view.hidden, lower, upper);
        let pinned_at = point.shard().disk.now();
        Self { inner, point, prefix_len: prefix.len(), pinned_at }
    }

    /// Goes to the next row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn next(&mut self) -> Result<bool> {
        self.repin();
        Ok(self.inner.next().await?)
    }

    /// Goes to the previous row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn prev(&mut self) -> Result<bool> {
        self.repin();
        Ok(self.inner.prev().await?)
    }

    /// Goes over to the newest Version when its own is not the newest any more and a second old.
    #[inline]
    fn repin(&mut self) {
        let shard = self.point.shard();
        if shard.tree.is_newest(self.inner.version()) {
            return;
        }
        let now = shard.disk.now();
        if now.saturating_sub(self.pinned_at) >= PIN_TIME_MAX {
            self.inner.repin(shard.tree.version());
            self.pinned_at = now;
            if shard.tree.retired_count() > 0 {
                shard.want_compaction();
            }
        }
    }

    /// Sits just before `key`: the next row is the first at or after it, the previous one the last before it.
    pub fn seek(&mut self, ns: NsId, key: &[u8]) {
        self.inner.seek(&key::engine_key(ns, key));
    }

    /// Sits before the first row.
    pub fn seek_start(&mut self) {
        self.inner.seek_start();
    }

    /// Sits after the last row.
    pub fn seek_end(&mut self) {
        self.inner.seek_end();
    }

    /// The row it sits on.
    #[must_use]
    pub fn row(&self) -> Option<Row<'_>> {
        let row = self.inner.row()?;
        Some(Row { row, shard: self.point.shard(), prefix_len: self.prefix_len })
    }

    /// The sequence it reads at.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.inner.seq()
    }
}

impl<'a> Row<'a> {
    /// The user's key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.row.key.get(self.prefix_len..).unwrap_or_default()
    }

    /// Sequence of the change that wrote it.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.row.seq
    }

    /// The value: from the index when it is small, else one read of the log.
    ///
    /// # Errors
    /// The value cannot be read, or is not what was written.
    pub async fn value(&self) -> Result<Bytes> {
        match self.row.payload()? {
            Payload::Inline(value) => Ok(value),
            Payload::Pointer(ptr) => Ok(self.shard.log.read(ptr, self.row.key, self.row.seq).await?),
            Payload::Tombstone => Ok(Bytes::new()),
        }
    }
}
