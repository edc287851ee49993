//! A walk over the rows of a namespace, in both directions.
//!
//! A scan holds its sequence as a read point and pins a Version, but the Version only for a second: then it goes on in the
//! newest one at the same place, so that a slow scan holds rows, not files.
//!
//! Values are lazy. When a walk turns out to ask for them all and they are not in memory, or lie side by side, the scan reads
//! ahead (`ahead`).

use crate::ahead::{self, Ahead, AheadRow, AheadValue};
use crate::error::Result;
use crate::points::HeldPoint;
use crate::read::DEPTH;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key};
use jdb_io::task;
use jdb_lsm::Payload;
use jdb_val::Wanted;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// After this time a scan goes over to the newest Version.
const PIN_TIME_MAX: Duration = Duration::from_secs(1);
/// After this many steps a scan lets others have the thread, however much is in memory.
const STEP_COUNT_MAX: u32 = 1024;

/// A walk over rows of one namespace, as of the moment it began. Sits on a row, before the first or after the last.
#[derive(Debug)]
pub struct Scan {
    inner: jdb_lsm::Scan,
    point: HeldPoint,
    prefix_len: usize,
    /// When its Version was pinned, on the disk's clock.
    pinned_at: Duration,
    ahead: Ahead,
    /// Since it let others have the thread.
    steps: u32,
}

/// The row that a [`Scan`] sits on.
#[derive(Debug)]
pub struct Row<'a> {
    key: &'a [u8],
    seq: SeqNo,
    at: At<'a>,
    scan: &'a Scan,
}

/// Where a row's value comes from.
#[derive(Debug)]
enum At<'a> {
    Index(jdb_lsm::Row<'a>),
    Window(&'a AheadRow),
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
        Self { inner, point, prefix_len: prefix.len(), pinned_at, ahead: Ahead::new(), steps: 0 }
    }

    /// Reads ahead: the values of this many rows together, at most 1024 rows and 1 MiB. 0: never, each value when it is asked
    /// for. Without this call the scan finds out by itself.
    pub fn prefetch(&mut self, depth: usize) {
        self.ahead.ask(depth);
    }

    /// Goes to the next row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn next(&mut self) -> Result<bool> {
        self.step(false).await
    }

    /// Goes to the previous row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn prev(&mut self) -> Result<bool> {
        self.step(true).await
    }

    /// A step, to the previous row if `backward`, that needs nothing but what is in memory. `None`: it does, or it is time to let others have
    /// the thread; [`Scan::next`] or [`Scan::prev`] does it.
    ///
    /// # Errors
    /// Those of a step.
    #[inline]
    pub fn step_ready(&mut self, backward: bool) -> Result<Option<bool>> {
        if self.steps + 1 >= STEP_COUNT_MAX {
            return Ok(None);
        }
        let found = if self.ahead.is_open() {
            let found = self.ahead.backward == backward && self.ahead.step();
            found.then_some(true)
        } else {
            self.ahead.decide();
            if self.ahead.wanted() > 0 {
                return Ok(None);
            }
            self.step_below_ready(backward)?
        };
        self.steps += u32::from(found.is_some());
        Ok(found)
    }

    #[inline]
    fn step_below_ready(&mut self, backward: bool) -> Result<Option<bool>> {
        self.repin();
        Ok(if backward { self.inner.prev_ready()? } else { self.inner.next_ready()? })
    }

    #[inline]
    async fn step(&mut self, backward: bool) -> Result<bool> {
        self.steps += 1;
        if self.steps >= STEP_COUNT_MAX {
            self.steps = 0;
            task::yield_now().await;
        }
        if self.ahead.is_open() {
            if self.ahead.backward != backward {
                self.leave_window();
            } else if self.ahead.step() {
                return Ok(true);
            } else {
                // The scan below sits where the user is.
                self.ahead.close();
            }
        }
        self.ahead.decide();
        if self.ahead.wanted() > 0 {
            return self.read_ahead(backward).await;
        }
        self.step_below(backward).await
    }

    #[inline]
    async fn step_below(&mut self, backward: bool) -> Result<bool> {
        self.repin();
        Ok(if backward { self.inner.prev().await? } else { self.inner.next().await? })
    }

    /// Puts the scan below where the user is, and closes the window.
    fn leave_window(&mut self) {
        // Going forward in the window the user is on this key or before it, going backward on it or behind it.
        if let Some(key) = self.ahead.place() {
            if self.ahead.backward {
                let after = [key, &[0]].concat();
                self.inner.seek(&after);
            } else {
                self.inner.seek(key);
            }
        }
        self.ahead.close();
    }

    /// Collects the rows of a window, then reads their values.
    async fn read_ahead(&mut self, backward: bool) -> Result<bool> {
        self.ahead.backward = backward;
        let (mut rows, mut len) = (0, 0u64);
        while rows < self.ahead.wanted() && len < ahead::LEN_MAX {
            let stepped = match self.step_below_ready(backward) {
                Ok(None) => self.step_below(backward).await,
                Ok(Some(found)) => Ok(found),
                Err(error) => Err(error),
            };
            match stepped {
                Ok(true) => {}
                Ok(false) => break,
                // It comes again when the rows before it are used up.
                Err(_) if rows > 0 => break,
                Err(error) => return Err(error),
            }
            let Some(row) = self.inner.row() else { break };
            let value = match row.payload() {
                Ok(Payload::Inline(value)) => AheadValue::Read(Ok(value)),
                Ok(Payload::Pointer(ptr)) => {
                    len += u64::from(ptr.len);
                    AheadValue::Pointer(ptr)
                }
                Ok(Payload::Tombstone) => AheadValue::Read(Ok(Bytes::new())),
                Err(error) => AheadValue::Read(Err(error.into())),
            };
            self.ahead.push(row.key, row.seq, value);
            rows += 1;
        }
        if rows == 0 {
            return Ok(false);
        }
        let (places, wanted): (Vec<usize>, Vec<Wanted<'_>>) =
            self.ahead.unread().map(|(i, key, seq, ptr)| (i, Wanted { ptr, key, seq })).unzip();
        let shard = self.point.shard();
        let many = shard.packs.read_many(&shard.log, &wanted, DEPTH, true).await;
        drop(wanted);
        let count = many.values.len();
        for (i, value) in places.into_iter().zip(many.values) {
            self.ahead.put(i, value);
        }
        self.ahead.was_read(count, many.reads, many.waited);
        Ok(self.ahead.step())
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
        self.ahead.close();
        self.inner.seek(&key::engine_key(ns, key));
    }

    /// Sits before the first row.
    pub fn seek_start(&mut self) {
        self.ahead.close();
        self.inner.seek_start();
    }

    /// Sits after the last row.
    pub fn seek_end(&mut self) {
        self.ahead.close();
        self.inner.seek_end();
    }

    /// The row it sits on.
    #[inline]
    #[must_use]
    pub fn row(&self) -> Option<Row<'_>> {
        let (key, seq, at) = if self.ahead.is_open() {
            let (key, row) = self.ahead.row()?;
            (key, row.seq, At::Window(row))
        } else {
            let row = self.inner.row()?;
            (row.key, row.seq, At::Index(row))
        };
        Some(Row { key, seq, at, scan: self })
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
        self.key.get(self.scan.prefix_len..).unwrap_or_default()
    }

    /// Sequence of the change that wrote it.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.seq
    }

    /// Length of its value in bytes; nothing is read.
    ///
    /// # Errors
    /// A malformed entry of the index.
    pub fn value_len(&self) -> Result<u64> {
        Ok(match &self.at {
            At::Index(row) => row.value_len()?,
            At::Window(AheadRow { value: AheadValue::Pointer(ptr), .. }) => u64::from(ptr.len),
            At::Window(AheadRow { value: AheadValue::Read(value), .. }) => match value {
                Ok(value) => value.len() as u64,
                Err(error) => return Err(error.again()),
            },
        })
    }

    /// The value: from the index when it is small, read ahead, or one read of the log.
    ///
    /// # Errors
    /// The value cannot be read, or is not what was written.
    pub async fn value(&self) -> Result<Bytes> {
        let ptr = match &self.at {
            At::Window(AheadRow { value: AheadValue::Read(value), .. }) => {
                return match value {
                    Ok(value) => Ok(value.clone()),
                    Err(error) => Err(error.again()),
                };
            }
            At::Window(AheadRow { value: AheadValue::Pointer(ptr), .. }) => *ptr,
            At::Index(row) => match row.payload()? {
                Payload::Inline(value) => return Ok(value),
                Payload::Pointer(ptr) => ptr,
                Payload::Tombstone => return Ok(Bytes::new()),
            },
        };
        let shard = self.scan.point.shard();
        let moved = shard.packs.is_moved(ptr.segment);
        let mut read = pin!(shard.packs.read(&shard.log, ptr, self.key, self.seq));
        match futures::poll!(read.as_mut()) {
            Poll::Ready(value) => {
                self.scan.ahead.was_asked(ptr, false, moved);
                value
            }
            Poll::Pending => {
                self.scan.ahead.was_asked(ptr, true, moved);
                read.await
            }
        }
    }
}
