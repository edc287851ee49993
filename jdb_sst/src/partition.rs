//! What an index partition of a table under construction is made of: the hashes of its keys, then the job that turns them
//! into the filter before it.
//!
//! Invariants
//! - Each data block brings the hash of every key in it, also of a key that goes on from the block before. So a partition may
//!   end between any two blocks, and a key whose versions lie in two partitions is in both filters.

use crate::filter::{GROUPS_HASHED, filter_hash};
use crate::filter_builder::FilterJob;
use crate::index::IndexBuilder;
use crate::layout::{FILTER_KEYS_MAX, FILTER_KEYS_TARGET};

/// Hashes of the keys since the last partition ended.
#[derive(Debug)]
pub(crate) struct Keys {
    salt: u64,
    hashes: Vec<u64>,
    /// Where the hashes of the open data block begin.
    open_at: usize,
    /// Hash of the last key.
    last: u64,
    /// The open data block begins with a key of the block before it.
    is_split: bool,
    /// Buffer of the partition before.
    spare: Vec<u64>,
}

impl Keys {
    pub(crate) fn new(salt: u64) -> Self {
        let (hashes, spare) = Default::default();
        Self { salt, hashes, open_at: 0, last: 0, is_split: false, spare }
    }

    pub(crate) fn salt(&self) -> u64 {
        self.salt
    }

    /// The next entry has this key, which the entry before had not.
    pub(crate) fn add(&mut self, key: &[u8]) {
        self.last = filter_hash(key, self.salt);
        self.hashes.push(self.last);
    }

    /// The group with this prefix begins with the next entry, or at least a seek of the prefix leads to here.
    pub(crate) fn add_group(&mut self, prefix: &[u8]) {
        self.hashes.push(filter_hash(prefix, self.salt));
    }

    /// The next entry begins a data block, with the key of the entry before or not.
    pub(crate) fn begin_block(&mut self, same_key: bool) {
        if same_key {
            self.hashes.push(self.last);
        }
        self.is_split = same_key;
    }

    /// The open data block has as many keys as a filter may.
    pub(crate) fn is_block_full(&self) -> bool {
        self.hashes.len() - self.open_at >= FILTER_KEYS_TARGET
    }

    /// The partition has as many keys as a filter should: with one more it would have to end before the open data block.
    pub(crate) fn is_full(&self) -> bool {
        self.open_at > 0 && self.hashes.len() == FILTER_KEYS_TARGET
    }

    /// The partition has to end before the open data block, which ends now.
    pub(crate) fn is_over(&self) -> bool {
        let max = if self.is_split { FILTER_KEYS_MAX } else { FILTER_KEYS_TARGET };
        self.open_at > 0 && self.hashes.len() > max
    }

    /// The open data block ends; `true` when another one like it is too much for the partition.
    pub(crate) fn end_block(&mut self) -> bool {
        let block_count = self.hashes.len() - self.open_at;
        self.open_at = self.hashes.len();
        self.is_split = false;
        self.hashes.len() + block_count > FILTER_KEYS_TARGET
    }

    /// Ends the partition: the hashes of its keys. Those of the open data block stay.
    pub(crate) fn take(&mut self) -> Vec<u64> {
        let mut taken = std::mem::take(&mut self.hashes);
        self.hashes = std::mem::take(&mut self.spare);
        self.hashes.clear();
        self.hashes.extend(taken.drain(self.open_at..));
        self.open_at = 0;
        taken
    }

    pub(crate) fn give_back(&mut self, spare: Vec<u64>) {
        self.spare = spare;
    }
}

/// A partition that is complete but for its filter.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) index: IndexBuilder,
    pub(crate) job: FilterJob,
}

impl Pending {
    pub(crate) fn new(index: IndexBuilder, hashes: Vec<u64>, with_groups: bool) -> Self {
        let flags = if with_groups { GROUPS_HASHED } else { 0 };
        Self { index, job: FilterJob::new(hashes, flags) }
    }
}

#[cfg(test)]
mod tests;
