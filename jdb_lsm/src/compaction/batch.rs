//! A run of entries copied out of the merge, so that it can be judged at once.

use crate::error::Result;
use crate::merge::{EntryRef, Merge};
use jdb_base::{Kind, SeqNo};
use std::ops::Range;

/// Entries of a batch.
const COUNT_MAX: usize = 64;
/// Bytes of keys and values from which on a batch is full.
const LEN_MAX: usize = 64 << 10;

/// Entries in entry order; its buffers are used again by the next fill.
#[derive(Default, Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    key: Range<usize>,
    value: Range<usize>,
    seq: SeqNo,
    kind: Kind,
}

impl Batch {
    /// Takes the next entries from `merge`, which afterwards sits behind them.
    pub(super) async fn fill(&mut self, merge: &mut Merge) -> Result<()> {
        self.bytes.clear();
        self.entries.clear();
        while self.entries.len() < COUNT_MAX && self.bytes.len() < LEN_MAX {
            let Some(entry) = merge.entry() else { break };
            self.push(&entry);
            merge.step().await?;
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries.iter().filter_map(|slot| {
            let (key, value) = (self.bytes.get(slot.key.clone())?, self.bytes.get(slot.value.clone())?);
            Some(EntryRef { key, seq: slot.seq, kind: slot.kind, value })
        })
    }

    fn push(&mut self, entry: &EntryRef<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(entry.key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(entry.value);
        let (key, value) = (start..middle, middle..self.bytes.len());
        self.entries.push(Slot { key, value, seq: entry.seq, kind: entry.kind });
    }
}
