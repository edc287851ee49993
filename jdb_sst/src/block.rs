//! A block: sorted entries, prefix-compressed against their restart head.
//!
//! `base: varint  entry*  offset: u16le * n  n: u16le`
//!
//! Data blocks and index blocks have this one form; in an index block the value is a handle. `base` is the smallest
//! sequence number. When an entry starts beyond 64 KiB, which only an index block of very long keys needs, bit 15 of `n`
//! is set and the offsets are `u32le`.
//!
//! Invariants
//! - [`Block::parse`] checked the ends; what lies between is checked where it is read. Nothing reads outside.
//! - Keys ascend, versions of one key descend; the head of each run of [`RESTART_INTERVAL`] entries holds its whole key.
//! - The start of the next entry is the end of this one, so entry `i` is found without those before it: `prev` is `i - 1`.
//!
//! Format: docs/format/sst.md.

mod search;

use crate::entry::{EntryRef, Raw};
use crate::error::Damage;
use crate::layout::{COUNT_LEN, RESTART_INTERVAL, WIDE};
use jdb_base::{Kind, SeqNo, varint};

/// A block's bytes, without trailer, and what its ends say.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    bytes: &'a [u8],
    shape: Shape,
}

/// What the two ends of a block say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Shape {
    pub(crate) count: usize,
    pub(crate) base: u64,
    /// Where the offsets begin, which is where the entries end.
    pub(crate) offsets_at: usize,
    pub(crate) wide: bool,
}

impl<'a> Block<'a> {
    /// Reads both ends of a block. Cost: constant.
    ///
    /// # Errors
    /// [`Damage`] when the ends do not fit each other.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        let cut = || Damage::corrupt("block length", 0, 1 + COUNT_LEN as u64, bytes.len() as u64);
        let (body, tail) = bytes.split_last_chunk::<COUNT_LEN>().ok_or_else(cut)?;
        let count_at = body.len();
        let number = u16::from_le_bytes(*tail);
        let (count, wide) = (usize::from(number & !WIDE), number & WIDE != 0);
        let offsets_len = count * if wide { 4 } else { 2 };
        let offsets_at = count_at.checked_sub(offsets_len).unwrap_or(usize::MAX);
        if count == 0 || offsets_at == usize::MAX {
            return Err(Damage::corrupt("number of entries", count_at, count_at as u64 / 5, count as u64));
        }
        let mut entries = bytes.get(..offsets_at).unwrap_or_default();
        let base = varint::take_u64(&mut entries).ok_or_else(|| Damage::corrupt("base", 0, 0, 0))?;
        let block = Self { bytes, shape: Shape { count, base, offsets_at, wide } };
        let first = offsets_at - entries.len();
        match block.offset(0) {
            Some(offset) if offset == first => Ok(block),
            offset => Err(Damage::corrupt(
                "first offset",
                offsets_at,
                first as u64,
                offset.unwrap_or_default() as u64,
            )),
        }
    }

    pub(crate) fn from_shape(bytes: &'a [u8], shape: Shape) -> Self {
        Self { bytes, shape }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of entries, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.count
    }

    /// The smallest sequence number in the block.
    #[must_use]
    pub fn base(&self) -> SeqNo {
        SeqNo::new(self.shape.base)
    }

    /// The entry with this number, its key put together in `scratch`; `None` when there are not so many.
    ///
    /// # Errors
    /// [`Damage`] when the entry runs into the next one or out of the block, or is of a kind of a later version.
    pub fn entry<'s>(&self, index: usize, scratch: &'s mut Vec<u8>) -> Result<Option<EntryRef<'s>>, Damage>
    where
        'a: 's,
    {
        if index >= self.shape.count {
            return Ok(None);
        }
        let raw = self.raw(index)?;
        let at = self.offset(index).unwrap_or_default();
        scratch.clear();
        if raw.shared > 0 {
            let head = self.head(index / RESTART_INTERVAL)?;
            let shared = head.suffix.get(..raw.shared).ok_or_else(|| {
                Damage::corrupt("shared length", at, head.suffix.len() as u64, raw.shared as u64)
            })?;
            scratch.extend_from_slice(shared);
        }
        scratch.extend_from_slice(raw.suffix);
        let (seq, kind) = (self.seq(&raw, index)?, raw.kind(at)?);
        Ok(Some(EntryRef { key: scratch, seq, kind, value: raw.value }))
    }

    /// The entry with this number when its key is `key`; `None` when its key is another one.
    pub(crate) fn entry_of<'k>(&self, index: usize, key: &'k [u8]) -> Result<Option<EntryRef<'k>>, Damage>
    where
        'a: 'k,
    {
        let raw = self.raw(index)?;
        let Some((shared, rest)) = key.split_at_checked(raw.shared) else { return Ok(None) };
        if raw.suffix != rest {
            return Ok(None);
        }
        if raw.shared > 0 && self.head(index / RESTART_INTERVAL)?.suffix.get(..raw.shared) != Some(shared) {
            return Ok(None);
        }
        let (seq, kind) = (self.seq(&raw, index)?, raw.kind(raw.value_at())?);
        Ok(Some(EntryRef { key, seq, kind, value: raw.value }))
    }

    /// Kind and value of entry `index` with the value's offset, when key and sequence do not matter.
    pub(crate) fn value(&self, index: usize) -> Result<(Kind, &'a [u8], usize), Damage> {
        let raw = self.raw(index)?;
        Ok((raw.kind(raw.value_at())?, raw.value, raw.value_at()))
    }

    /// Entry `index` as it lies there.
    #[inline]
    pub(crate) fn raw(&self, index: usize) -> Result<Raw<'a>, Damage> {
        if let Some((start, end)) = self.ends(index)
            && end <= self.shape.offsets_at
            && let Some(raw) = Raw::decode(self.bytes, start, end)
        {
            return Ok(raw);
        }
        Err(self.bad_entry(index))
    }

    /// The restart head of a run; its suffix is its whole key.
    #[inline]
    pub(crate) fn head(&self, run: usize) -> Result<Raw<'a>, Damage> {
        let index = run * RESTART_INTERVAL;
        let raw = self.raw(index)?;
        if raw.shared != 0 {
            let at = self.offset(index).unwrap_or_default();
            return Err(Damage::corrupt("shared length of a restart head", at, 0, raw.shared as u64));
        }
        Ok(raw)
    }

    /// The sequence of entry `index`.
    #[inline]
    pub(crate) fn seq(&self, raw: &Raw<'_>, index: usize) -> Result<SeqNo, Damage> {
        raw.seq(self.shape.base).ok_or_else(|| {
            let at = self.offset(index).unwrap_or_default();
            Damage::corrupt("sequence", at, u64::MAX - self.shape.base, raw.tag)
        })
    }

    /// Where entry `index` starts.
    #[inline]
    pub(crate) fn offset(&self, index: usize) -> Option<usize> {
        let offsets = self.bytes.get(self.shape.offsets_at..)?;
        if self.shape.wide {
            let bytes = offsets.get(index * 4..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        } else {
            let bytes = offsets.get(index * 2..)?.first_chunk()?;
            Some(usize::from(u16::from_le_bytes(*bytes)))
        }
    }

    /// Where entry `index` starts and ends.
    #[inline]
    fn ends(&self, index: usize) -> Option<(usize, usize)> {
        if self.shape.wide {
            return Some((self.offset(index)?, self.end(index)?));
        }
        // Behind the last offset lies the number of entries: what is read as its end then is not used.
        let [a, b, c, d] = *self.bytes.get(self.shape.offsets_at..)?.get(index * 2..)?.first_chunk()?;
        let end = if index + 1 < self.shape.count {
            usize::from(u16::from_le_bytes([c, d]))
        } else {
            self.shape.offsets_at
        };
        Some((usize::from(u16::from_le_bytes([a, b])), end))
    }

    #[inline]
    fn end(&self, index: usize) -> Option<usize> {
        if index + 1 < self.shape.count { self.offset(index + 1) } else { Some(self.shape.offsets_at) }
    }

    #[cold]
    fn bad_entry(&self, index: usize) -> Damage {
        let start = self.offset(index).unwrap_or_default();
        let end = self.end(index).unwrap_or_default();
        Damage::corrupt("end of an entry", start, self.shape.offsets_at as u64, end as u64)
    }
}

#[cfg(test)]
mod tests;
