//! Group directory: counts of each group of keys that covers more than one data block.
//!
//! `version: u8  height: u8  block`
//!
//! The block has the form of an index block. With height 1 its entries are groups: the key is the group's prefix, the sequence
//! its newest one, the value `rows  tombstones  key bytes  value bytes`, four varints. With a greater height it leads to index
//! blocks of height - 1, by the separators and handles of any index; those at the bottom hold groups.
//!
//! A group within one data block is not in it: counting that block costs one read as well.
//!
//! Format: docs/format/sst.md.

use crate::block::Block;
use crate::error::Damage;
use crate::handle::Span;
use crate::index::{Fence, IndexBuilder};
use crate::layout::{GROUPS_VERSION, HEIGHT_MAX};
use jdb_base::varint::{put_u64, take_u64};
use jdb_base::{Kind, SeqNo, ValuePtr};

/// What a group holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct GroupStats {
    /// Entries that are not tombstones; each version counts.
    pub rows: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Bytes of the keys, whole, of all entries.
    pub key_len: u64,
    /// Bytes of the values; for a value pointer the length that it names.
    pub value_len: u64,
    /// The newest sequence.
    pub seq_max: SeqNo,
}

impl GroupStats {
    /// Counts an entry.
    pub fn add(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        match kind {
            Kind::Tombstone => self.tombstones += 1,
            _ => self.rows += 1,
        }
        self.key_len += key.len() as u64;
        self.value_len += value_len(kind, value);
        self.seq_max = self.seq_max.max(seq);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.rows, self.tombstones, self.key_len, self.value_len] {
            put_u64(out, number);
        }
    }

    pub(crate) fn decode(mut bytes: &[u8], seq_max: SeqNo) -> Option<Self> {
        let mut next = || take_u64(&mut bytes);
        let (rows, tombstones, key_len, value_len) = (next()?, next()?, next()?, next()?);
        bytes.is_empty().then_some(Self { rows, tombstones, key_len, value_len, seq_max })
    }
}

/// Length of the value that an entry stands for.
fn value_len(kind: Kind, value: &[u8]) -> u64 {
    let pointer = if kind == Kind::Pointer { ValuePtr::decode(value) } else { None };
    pointer.map_or(value.len() as u64, |pointer| u64::from(pointer.len))
}

/// Counts groups as their entries pass.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    prefix: Vec<u8>,
    stats: GroupStats,
    /// Data blocks of the first and of the last entry.
    blocks: Option<(u64, u64)>,
    /// Prefixes came in an order that is none; there is no directory then.
    disordered: bool,
    pub(crate) leaf: IndexBuilder,
    pub(crate) fences: Vec<Fence>,
}

impl Groups {
    /// The next entry is in another group.
    pub(crate) fn begin(&mut self, prefix: &[u8]) {
        let is_first = self.blocks.is_none();
        self.end();
        self.disordered |= !is_first && prefix <= self.prefix.as_slice();
        self.prefix.clear();
        self.prefix.extend_from_slice(prefix);
    }

    /// Counts an entry that lies in the data block of this number.
    pub(crate) fn add(&mut self, block: u64, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        self.stats.add(key, seq, kind, value);
        let first = self.blocks.map_or(block, |(first, _)| first);
        self.blocks = Some((first, block));
    }

    /// Ends the last group.
    pub(crate) fn end(&mut self) {
        let stats = std::mem::take(&mut self.stats);
        if self.blocks.take().is_some_and(|(first, last)| first != last) && !self.disordered {
            let mut value = Vec::new();
            stats.encode(&mut value);
            self.leaf.add(&self.prefix, stats.seq_max, &value);
        }
    }

    /// Whether there is a directory at the end.
    pub(crate) fn is_some(&self) -> bool {
        !self.disordered
    }
}

/// The meta block of a directory of this height, whose block is `block`; empty without groups.
pub(crate) fn encode(height: u8, block: &[u8]) -> Vec<u8> {
    let mut out = vec![GROUPS_VERSION, height];
    out.extend_from_slice(block);
    out
}

/// What a block of the directory says about a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The group covers at most one data block.
    Small,
    /// The answer is in this block.
    Below(Span),
    Stats(GroupStats),
}

/// Reads the first bytes of the meta block: the height of the directory and where its block begins; `None` for a version that
/// this crate does not know.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, Damage> {
    match bytes {
        [GROUPS_VERSION, height @ 1..=HEIGHT_MAX, block @ ..] => Ok(Some((*height, block))),
        [GROUPS_VERSION, height, ..] => {
            Err(Damage::corrupt("height of the group directory", 1, 1, u64::from(*height)))
        }
        [GROUPS_VERSION] | [] => {
            Err(Damage::corrupt("length of the group directory", 0, 2, bytes.len() as u64))
        }
        _ => Ok(None),
    }
}

/// Looks for a group in a block of the directory; `height` is 1 for one that holds groups.
pub(crate) fn look(bytes: &[u8], height: u8, prefix: &[u8], limit: u64) -> Result<Answer, Damage> {
    // A directory without groups has no block.
    if bytes.is_empty() {
        return Ok(Answer::Small);
    }
    let block = Block::parse(bytes)?;
    let index = block.find(prefix, SeqNo::MAX)?;
    if index == block.count() {
        return Ok(Answer::Small);
    }
    let (_, value, at) = block.value(index)?;
    if height > 1 {
        return Ok(Answer::Below(Span::decode(value, limit).map_err(|damage| damage.after(at as u64))?));
    }
    let Some(entry) = block.entry_of(index, prefix)? else { return Ok(Answer::Small) };
    let stats = GroupStats::decode(entry.value, entry.seq);
    stats.map(Answer::Stats).ok_or_else(|| Damage::corrupt("counts of a group", at, 4, value.len() as u64))
}

#[cfg(test)]
mod tests;
