//! Reads of a namespace: one key, or a walk over a range in both directions.
//!
//! A read takes sequence, Version and drop map in one step and keeps them: whatever is flushed meanwhile, it answers as
//! of that moment. What is in memory is answered without suspending.

use crate::error::Result;
use crate::shard::Shard;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key};
use jdb_lsm::Payload;
use std::rc::Rc;

impl Shard {
    /// The newest value of `key` in `ns`.
    pub(crate) async fn get(&self, ns: NsId, key: &[u8]) -> Result<Option<Bytes>> {
        let view = self.view();
        let hidden = Self::hidden(&view, ns);
        let key = key::engine_key(ns, key);
        let Some(found) = view.version.get(&key, view.seq, &hidden).await? else { return Ok(None) };
        match found.payload {
            Payload::Tombstone => Ok(None),
            Payload::Inline(value) => Ok(Some(value)),
            Payload::Pointer(ptr) => Ok(Some(self.log.read(ptr, &key, found.seq).await?)),
        }
    }
}

/// A walk over rows of one namespace, as of the moment it began. Sits on a row, before the first or after the last.
#[derive(Debug)]
pub struct Scan {
    inner: jdb_lsm::Scan,
    shard: Rc<Shard>,
    prefix_len: usize,
}

/// The row that a [`Scan`] sits on.
#[derive(Debug)]
pub struct Row<'a> {
    row: jdb_lsm::Row<'a>,
    shard: &'a Shard,
    prefix_len: usize,
}

impl Scan {
    /// The rows of `ns` with `lower <= key`, and `key < upper` when there is one.
    pub(crate) fn new(shard: Rc<Shard>, ns: NsId, lower: &[u8], upper: Option<&[u8]>) -> Self {
        let view = shard.view();
        let hidden = Shard::hidden(&view, ns);
        let prefix = key::engine_key(ns, &[]);
        let lower = [prefix.as_slice(), lower].concat();
        let upper = match upper {
            Some(upper) => [prefix.as_slice(), upper].concat(),
            // The encoding of a namespace never is all 0xff.
            None => key::prefix_end(&prefix).unwrap_or_default(),
        };
        let inner = jdb_lsm::Scan::new(view.version, view.seq, hidden, lower, upper);
        Self { inner, shard, prefix_len: prefix.len() }
    }

    /// Goes to the next row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn next(&mut self) -> Result<bool> {
        Ok(self.inner.next().await?)
    }

    /// Goes to the previous row; `false` when there is none.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows and may be stepped again.
    pub async fn prev(&mut self) -> Result<bool> {
        Ok(self.inner.prev().await?)
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
        Some(Row { row, shard: &self.shard, prefix_len: self.prefix_len })
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
