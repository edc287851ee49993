//! Fills a block in memory.
//!
//! The block's base is its smallest sequence number, known only when the block is complete; so entries are kept apart
//! until [`BlockBuilder::finish`] writes them out. Meanwhile [`BlockBuilder::len`] is an upper bound.
//!
//! Format: docs/format/sst.md.

use crate::entry::{put_head, tag};
use crate::error::{Error, Result};
use crate::layout::{
    BLOCK_LEN_MAX, COUNT_LEN, ENTRY_COUNT_MAX, ENTRY_HEAD_LEN_MAX, RESTART_INTERVAL, SEQ_MAX, TRAILER_LEN,
    WIDE,
};
use jdb_base::key::{ENGINE_KEY_LEN_MAX, VALUE_LEN_MAX, common_prefix_len, entry_order};
use jdb_base::varint::{len_u64, put_u64};
use jdb_base::{Kind, SeqNo};
use std::cmp::Ordering;
use std::path::PathBuf;

/// Builds one block after the other; entries ascend over all of them.
///
/// ```
/// use jdb_base::{Kind, SeqNo};
/// let mut builder = jdb_sst::BlockBuilder::new();
/// builder.append(b"apple", SeqNo::ZERO, Kind::Inline, b"red")?;
/// builder.append(b"lemon", SeqNo::ZERO, Kind::Inline, b"yellow")?;
/// let mut bytes = Vec::new();
/// builder.finish(&mut bytes);
/// assert_eq!(jdb_sst::Block::parse(&bytes).unwrap().count(), 2);
/// # Ok::<(), jdb_sst::Error>(())
/// ```
#[derive(Debug)]
pub struct BlockBuilder {
    /// Suffix and value of each entry, one after the other.
    bytes: Vec<u8>,
    parts: Vec<Part>,
    /// Key of the newest restart head.
    head: Vec<u8>,
    seq_min: u64,
    seq_max: u64,
    /// Length of the entries without their tags.
    len: usize,
    /// The last entry of all blocks so far, and how many there were.
    last_key: Vec<u8>,
    last_seq: SeqNo,
    appended: u64,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    shared: u32,
    suffix_len: u32,
    value_len: u32,
    kind: Kind,
    seq: u64,
}

impl Default for BlockBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockBuilder {
    /// An empty block.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: Vec::new(),
            parts: Vec::new(),
            head: Vec::new(),
            seq_min: u64::MAX,
            seq_max: 0,
            len: 0,
            last_key: Vec::new(),
            last_seq: SeqNo::ZERO,
            appended: 0,
        }
    }

    /// Appends an entry to the block.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`], [`Error::TooLarge`], also when the block is full (32,767 entries); nothing is appended then.
    pub fn append(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        self.check(key, seq, value)?;
        within("entries in a block", self.count() as u64 + 1, ENTRY_COUNT_MAX as u64)?;
        self.push(self.shared(key), key, seq, kind, value);
        Ok(())
    }

    /// Appends the finished block, without a trailer, to `out` and begins the next one. A block without entries adds
    /// nothing.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.parts.is_empty() {
            return;
        }
        let start = out.len();
        let base = self.seq_min;
        put_u64(out, base);
        let mut offsets = Vec::with_capacity(self.parts.len());
        let mut rest = self.bytes.as_slice();
        for part in &self.parts {
            offsets.push((out.len() - start) as u32);
            put_head(out, part.shared, part.suffix_len, tag(part.seq - base, part.kind));
            let (entry, tail) = rest.split_at((part.suffix_len + part.value_len) as usize);
            out.extend_from_slice(entry);
            rest = tail;
        }
        let mut count = self.parts.len() as u16;
        if offsets.last().is_some_and(|&last| last > u32::from(u16::MAX)) {
            count |= WIDE;
            out.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        } else {
            out.extend(offsets.iter().flat_map(|&offset| (offset as u16).to_le_bytes()));
        }
        out.extend_from_slice(&count.to_le_bytes());
        self.clear();
    }

    /// Entries in the block.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// No entry is in the block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// An upper bound of the stored length, trailer included; exact unless the sequence numbers lie far apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len_of(self.len, self.parts.len(), self.seq_min, self.seq_max)
    }

    /// [`BlockBuilder::len`] as it would be with one more entry, which shares `shared` bytes with its head.
    pub(crate) fn len_with(&self, shared: usize, key: &[u8], seq: SeqNo, value: &[u8]) -> usize {
        let len = self.len + part_len(shared, key.len() - shared, value.len());
        self.len_of(len, self.parts.len() + 1, self.seq_min.min(seq.get()), self.seq_max.max(seq.get()))
    }

    /// Bytes that the next entry of this key would share with its restart head.
    pub(crate) fn shared(&self, key: &[u8]) -> usize {
        if self.parts.len().is_multiple_of(RESTART_INTERVAL) { 0 } else { common_prefix_len(&self.head, key) }
    }

    /// Whether an entry may be appended: its limits, and its order after the one before, of this or an earlier block.
    pub(crate) fn check(&self, key: &[u8], seq: SeqNo, value: &[u8]) -> Result<()> {
        within("key length", key.len() as u64, ENGINE_KEY_LEN_MAX as u64)?;
        within("value length", value.len() as u64, VALUE_LEN_MAX as u64)?;
        within("sequence", seq.get(), SEQ_MAX.get())?;
        let before = self.last_seq;
        if self.appended > 0 && entry_order((&self.last_key, before), (key, seq)) != Ordering::Less {
            return Err(Error::OutOfOrder { path: PathBuf::new(), index: self.appended, seq, before });
        }
        Ok(())
    }

    /// Appends an entry that was checked; `shared` comes from [`BlockBuilder::shared`].
    pub(crate) fn push(&mut self, shared: usize, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        if self.parts.len().is_multiple_of(RESTART_INTERVAL) {
            self.head.clear();
            self.head.extend_from_slice(key);
        }
        let suffix = key.get(shared..).unwrap_or_default();
        self.bytes.extend_from_slice(suffix);
        self.bytes.extend_from_slice(value);
        self.len += part_len(shared, suffix.len(), value.len());
        self.seq_min = self.seq_min.min(seq.get());
        self.seq_max = self.seq_max.max(seq.get());
        self.parts.push(Part {
            shared: shared as u32,
            suffix_len: suffix.len() as u32,
            value_len: value.len() as u32,
            kind,
            seq: seq.get(),
        });
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.last_seq = seq;
        self.appended += 1;
    }

    /// The last entry of all blocks so far; `None` before the first.
    pub(crate) fn last(&self) -> Option<(&[u8], SeqNo)> {
        (self.appended > 0).then_some((self.last_key.as_slice(), self.last_seq))
    }

    fn len_of(&self, len: usize, count: usize, seq_min: u64, seq_max: u64) -> usize {
        if count == 0 {
            return 0;
        }
        let tag_len = len_u64(tag(seq_max - seq_min, Kind::Inline));
        let offset_len = if len + count * tag_len > BLOCK_LEN_MAX { 4 } else { 2 };
        len_u64(seq_min) + len + count * (tag_len + offset_len) + COUNT_LEN + TRAILER_LEN
    }

    fn clear(&mut self) {
        // A value of a gigabyte must not stay in memory for the life of the writer.
        if self.bytes.capacity() > 4 * BLOCK_LEN_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.parts.clear();
        (self.seq_min, self.seq_max, self.len) = (u64::MAX, 0, 0);
    }
}

/// Length of an entry without its tag.
fn part_len(shared: usize, suffix_len: usize, value_len: usize) -> usize {
    len_u64(shared as u64) + len_u64(suffix_len as u64) + suffix_len + value_len
}

fn within(what: &'static str, found: u64, max: u64) -> Result<()> {
    if found > max { Err(Error::TooLarge { what, found, max }) } else { Ok(()) }
}

const _: () = assert!(ENTRY_HEAD_LEN_MAX < BLOCK_LEN_MAX);
