//! Walks one block in both directions.
//!
//! The cursor owns the block's bytes (shared, not copied) and one buffer for the key of the entry it sits on, which it
//! uses again for every entry: a step allocates nothing. Stepping back costs what stepping forward costs.

use crate::block::{Block, Shape};
use crate::entry::EntryRef;
use crate::error::Damage;
use crate::key_buffer::KeyBuffer;
use crate::layout::RESTART_INTERVAL;
use bytes::Bytes;
use jdb_base::{Kind, SeqNo};
use std::cmp::Ordering;

/// A place in one block: before the first entry, on an entry, or after the last.
///
/// Every step says whether the cursor sits on an entry now. After an error it sits on none.
///
/// ```
/// # use jdb_base::{Kind, SeqNo};
/// # let mut builder = jdb_sst::BlockBuilder::new();
/// # for key in ["apple", "lemon"] {
/// #     builder.append(key.as_bytes(), SeqNo::ZERO, Kind::Inline, b"").unwrap();
/// # }
/// # let mut bytes = Vec::new();
/// # builder.finish(&mut bytes);
/// let mut cursor = jdb_sst::BlockCursor::new(bytes.into())?; // apple, lemon
/// assert!(cursor.seek(b"kiwi", SeqNo::MAX)?);
/// assert_eq!(cursor.entry().unwrap().key, b"lemon");
/// assert!(!cursor.next()?);
/// assert!(cursor.prev()?, "from after the last to the last");
/// # Ok::<(), jdb_sst::Damage>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct BlockCursor {
    bytes: Bytes,
    shape: Shape,
    /// 0 before the first entry, `count + 1` after the last, else the entry's number + 1.
    place: usize,
    /// The run whose head lies at `head_start..head_end`; `usize::MAX` for none.
    run: usize,
    head_start: usize,
    head_end: usize,
    /// Bytes that the key in the buffer has of that head; 0 for another run's.
    shared: usize,
    key: KeyBuffer,
    seq: SeqNo,
    kind: Option<Kind>,
    value_start: usize,
    value_end: usize,
}

impl BlockCursor {
    /// A cursor before the first entry of the block `bytes` (without trailer).
    ///
    /// # Errors
    /// As [`Block::parse`].
    pub fn new(bytes: Bytes) -> Result<Self, Damage> {
        let mut cursor = Self::default();
        cursor.reset(bytes)?;
        Ok(cursor)
    }

    /// Goes over to another block, before its first entry, and keeps the key buffer.
    ///
    /// # Errors
    /// As [`Block::parse`]; the cursor then has no entries.
    pub fn reset(&mut self, bytes: Bytes) -> Result<(), Damage> {
        (self.shape, self.place, self.run) = (Shape::default(), 0, usize::MAX);
        self.shape = Block::parse(&bytes)?.shape();
        self.bytes = bytes;
        Ok(())
    }

    /// The entry the cursor sits on.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        if self.place.wrapping_sub(1) >= self.shape.count {
            return None;
        }
        let value = self.bytes.get(self.value_start..self.value_end)?;
        Some(EntryRef { key: self.key.as_slice(), seq: self.seq, kind: self.kind?, value })
    }

    /// The value of the entry the cursor sits on, sharing the block's memory.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        self.entry()?;
        Some(self.bytes.slice(self.value_start..self.value_end))
    }

    /// How the entry the cursor sits on compares with `(key, seq)` in entry order; `None` when it sits on none.
    #[inline]
    pub(crate) fn order_to(&self, key: &[u8], seq: SeqNo) -> Option<Ordering> {
        let entry = self.entry()?;
        Some(entry.key.cmp(key).then(seq.cmp(&entry.seq)))
    }

    /// Offset of that value in the block.
    pub(crate) fn value_at(&self) -> usize {
        self.value_start
    }

    /// Whether no entry comes after this place.
    #[inline]
    pub(crate) fn is_last(&self) -> bool {
        self.place >= self.shape.count
    }

    /// Whether no entry comes before this place.
    #[inline]
    pub(crate) fn is_first(&self) -> bool {
        self.place <= 1
    }

    /// Goes to the first entry at or after `(key, seq)`.
    ///
    /// # Errors
    /// [`Damage`] when a probed entry is not whole.
    pub fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<bool, Damage> {
        let index = self.block().find(key, seq)?;
        self.go(index + 1)
    }

    /// Goes to the first entry.
    ///
    /// # Errors
    /// [`Damage`] when it is not whole.
    pub fn seek_first(&mut self) -> Result<bool, Damage> {
        self.go(1)
    }

    /// Goes to the last entry.
    ///
    /// # Errors
    /// [`Damage`] when it is not whole.
    pub fn seek_last(&mut self) -> Result<bool, Damage> {
        self.go(self.shape.count)
    }

    /// Goes one entry forward; from before the first to the first.
    ///
    /// # Errors
    /// [`Damage`] when that entry is not whole.
    #[expect(clippy::should_implement_trait, reason = "lends its entries, and goes both ways")]
    #[inline]
    pub fn next(&mut self) -> Result<bool, Damage> {
        self.go((self.place + 1).min(self.shape.count + 1))
    }

    /// Goes one entry back; from after the last to the last.
    ///
    /// # Errors
    /// [`Damage`] when that entry is not whole.
    #[inline]
    pub fn prev(&mut self) -> Result<bool, Damage> {
        self.go(self.place.saturating_sub(1))
    }

    fn block(&self) -> Block<'_> {
        Block::from_shape(&self.bytes, self.shape)
    }

    #[inline]
    fn go(&mut self, place: usize) -> Result<bool, Damage> {
        self.place = place;
        let index = place.wrapping_sub(1);
        if index >= self.shape.count {
            return Ok(false);
        }
        let result = self.load(index);
        if result.is_err() {
            self.place = 0;
        }
        result.map(|()| true)
    }

    #[inline]
    fn load(&mut self, index: usize) -> Result<(), Damage> {
        let block = Block::from_shape(&self.bytes, self.shape);
        let raw = block.raw(index)?;
        if index / RESTART_INTERVAL != self.run {
            (self.run, self.shared) = (usize::MAX, 0);
            let head = block.head(index / RESTART_INTERVAL)?;
            (self.head_start, self.head_end) = (head.suffix_at(), head.value_at());
            self.run = index / RESTART_INTERVAL;
        }
        // Neighbours mostly share as much with their head, so that only the suffix is new.
        if raw.shared > self.shared {
            let shared_end = self.head_start + raw.shared;
            if shared_end > self.head_end {
                let at = block.offset(index).unwrap_or_default();
                let head_len = self.head_end - self.head_start;
                return Err(Damage::corrupt("shared length", at, head_len as u64, raw.shared as u64));
            }
            self.key.put(self.shared, &self.bytes, self.head_start + self.shared, shared_end);
        }
        self.shared = raw.shared;
        self.key.put(raw.shared, &self.bytes, raw.suffix_at(), raw.value_at());
        self.seq = block.seq(&raw, index)?;
        (self.value_start, self.value_end) = (raw.value_at(), raw.end);
        self.kind = Some(raw.kind(self.value_start)?);
        Ok(())
    }
}
