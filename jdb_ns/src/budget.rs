//! How the memory of a database is divided.
//!
//! | part | of `Options::memory` | what | held by |
//! |---|---|---|---|
//! | memtables | 1/2 | active ones, and closed ones until they are freed | [`Account`](crate::account::Account): closes, lets writers wait |
//! | blocks | 1/4, and what memtables leave of their half | the block cache with its own tables | [`BlockCache`](jdb_io::BlockCache): evicts |
//! | handles | 1/16 | open tables with their top indexes, open segments | [`Handles`](jdb_io::Handles): evicts |
//! | live records | 1/64 | which records of the log are live | [`LiveSets`](crate::live_sets::LiveSets): forgets |
//! | buffers | 11/64 | of flushes under way 1/16, of compactions 1/16; what writers of the log keep, and the allocator's waste | [`Budget::flush_count_max`] |
//!
//! On top come what callers have handed over and not yet got an answer for, what they hold of values read, and about 300
//! bytes for each table, segment and pack that exists; and for each collection under way, two at most, about 12 MiB: the records that it
//! asks the index about, and the keys of those that are live, and a copy of what it was told of live records where that changes meanwhile; for each compaction as much as
//! half of what is known of live records: those that it leaves out.

use jdb_io::BlockCache;
use std::rc::Rc;

/// The shares of a database, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Budget {
    /// All memtables.
    pub(crate) memtable_len: usize,
    /// The block cache, whatever memtables hold.
    pub(crate) cache_len: usize,
    /// What is kept open.
    pub(crate) handles_len: usize,
    /// What is known of live records.
    pub(crate) live_sets_len: usize,
    /// Flushes that may be under way at the same time.
    pub(crate) flush_count_max: usize,
}

/// What a flush holds besides its memtable, at most about: two writes of 256 KiB, the hashes and the filters of an index
/// partition or two, the blocks that are being filled.
const FLUSH_BUFFER_LEN: usize = 1 << 20;

impl Budget {
    /// Divides `memory` bytes.
    pub(crate) fn of(memory: usize) -> Self {
        Self {
            memtable_len: memory / 2,
            cache_len: memory / 4,
            handles_len: memory / 16,
            live_sets_len: memory / 64,
            flush_count_max: (memory / 16 / FLUSH_BUFFER_LEN).max(1),
        }
    }
}

/// The memory that memtables and the block cache share: what the former leave, the latter has. A database that is only read caches three
/// times as much as one that is written to.
#[derive(Debug)]
pub(crate) struct Shared {
    cache: Rc<BlockCache>,
    budget: Budget,
}

impl Shared {
    /// With a cache of its own.
    pub(crate) fn of(budget: Budget) -> Self {
        let cache = BlockCache::new(budget.cache_len.saturating_add(budget.memtable_len) as u64);
        Self { cache: Rc::new(cache), budget }
    }

    pub(crate) fn cache(&self) -> &Rc<BlockCache> {
        &self.cache
    }

    /// Memtables hold `memtable_len` bytes now.
    #[inline]
    pub(crate) fn memtables_hold(&self, memtable_len: usize) {
        let left = self.budget.memtable_len.saturating_sub(memtable_len);
        self.cache.set_capacity_len((self.budget.cache_len.saturating_add(left)) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_has_what_memtables_leave() {
        let shared = Shared::of(Budget::of(64 << 20));
        for (held, left) in [(0, 48), (1, 47), (24, 24), (32, 16), (40, 16), (16, 32), (0, 48)] {
            shared.memtables_hold(held << 20);
            let capacity_len = shared.cache().capacity_len();
            assert!(
                ((left << 20) - (1 << 20)..=left << 20).contains(&capacity_len),
                "{held}: {capacity_len}"
            );
        }
        Shared::of(Budget::of(usize::MAX)).memtables_hold(0);
        Shared::of(Budget::of(0)).memtables_hold(1);
    }

    #[test]
    fn shares_leave_a_rest_for_buffers() {
        for memory in [0, 1, 1 << 20, 64 << 20, usize::MAX] {
            let budget = Budget::of(memory);
            let Budget { memtable_len, cache_len, handles_len, live_sets_len, .. } = budget;
            let held = memtable_len + cache_len + handles_len + live_sets_len;
            assert!(held <= memory - memory / 64 * 11, "{memory}: {budget:?}");
            assert!(budget.flush_count_max >= 1, "{memory}");
        }
    }
}
