//! Block cache: bytes of files as the readers above use them, shared by all shards of a database.
//!
//! Keyed by file and offset. A file's id is given out once ([`BlockCache::next_file_id`]) and never again, so the blocks
//! of a removed file are never found under another; nobody has to take them out, they age out.

use bytes::Bytes;
use jdb_base::hash::FixedHasher;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::BuildHasherDefault;

/// What a block is taken to be long when tables are sized; being wrong by an order of magnitude costs little.
const BLOCK_LEN_TYPICAL: u64 = 4096;
/// What a block is counted for besides its bytes: its entry and its share of the keys remembered of blocks that went
/// (measured: 100 to 150 bytes with the room that grown tables have), and what the allocator adds to the bytes.
const BLOCK_COST: u64 = 200;
/// Of these, what the allocator adds: 16 bytes to the block, 40 for the count of those who share it.
const ALLOCATION_COST: u64 = 56;

/// The capacity is divided into so many parts at most, and is so many of them at a time, see [`keeps_ghosts`].
const PARTS_MAX: u64 = 256;
/// A part has room for about four blocks.
const PART_LEN_MIN: u64 = 4 * BLOCK_LEN_TYPICAL;

/// Whether a change of the capacity loses nothing. `quick_cache` remembers keys of blocks that went (ghosts), a number of them for each
/// part. It multiplies that number by new capacity / old one and cuts the fraction off: if the product is a hair below a whole
/// number, one a part is gone, and after many changes all of them.
fn keeps_ghosts(from: u64, to: u64) -> bool {
    (to as f64 / from as f64 * from as f64) as u64 == to
}

/// A cache of blocks that takes at most so many bytes for them and for itself, and keeps those used often rather than those seen once (a modified
/// CLOCK-Pro, as `quick_cache` has it). One thread; share it in an `Rc`.
///
/// ```
/// # use bytes::Bytes;
/// let cache = jdb_io::BlockCache::new(1 << 20);
/// let file = cache.next_file_id();
/// assert_eq!(cache.get(file, 4096), None);
/// cache.insert(file, 4096, Bytes::from_static(b"block"));
/// assert_eq!(cache.get(file, 4096).as_deref(), Some(&b"block"[..]));
/// assert_eq!((cache.hits(), cache.misses(), cache.len()), (1, 1, 5));
/// ```
pub struct BlockCache {
    blocks: RefCell<Blocks>,
    part_len: u64,
    part_count: u64,
    /// Of these, how many may be used now.
    parts: Cell<u64>,
    next_file_id: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

impl BlockCache {
    /// A cache that takes at most `capacity_len` bytes, of which each block needs 200 beside its own; with 0 it holds nothing.
    /// Its tables grow as they are needed.
    #[must_use]
    pub fn new(capacity_len: u64) -> Self {
        let part_count = (capacity_len / PART_LEN_MIN).clamp(1, PARTS_MAX);
        let part_len = capacity_len / part_count;
        let count = part_count << (part_len / BLOCK_LEN_TYPICAL).clamp(4, 1 << 16).ilog2();
        let options = OptionsBuilder::new()
            .estimated_items_capacity(count as usize)
            .weight_capacity(part_len * part_count)
            .build()
            .expect("both numbers are given");
        let blocks =
            Cache::with_options(options, Len, BuildHasherDefault::default(), DefaultLifecycle::default());
        Self {
            blocks: RefCell::new(blocks),
            part_len,
            part_count,
            parts: Cell::new(part_count),
            next_file_id: Cell::new(0),
            hits: Cell::new(0),
            misses: Cell::new(0),
        }
    }

    /// An id that no file has had in this cache.
    #[must_use]
    pub fn next_file_id(&self) -> u64 {
        let id = self.next_file_id.get();
        self.next_file_id.set(id + 1);
        id
    }

    /// The block of a file at an offset, and counts a hit or a miss. Cost: one hash and one look-up; the bytes are
    /// shared, not copied.
    #[must_use]
    pub fn get(&self, file: u64, offset: u64) -> Option<Bytes> {
        self.get_with(file, offset, Bytes::clone)
    }

    /// As [`BlockCache::get`], for who only looks into the block.
    ///
    /// # Panics
    /// When `look` puts something into this cache.
    #[inline]
    pub fn get_with<T>(&self, file: u64, offset: u64, look: impl FnOnce(&Bytes) -> T) -> Option<T> {
        let looked = self.blocks.borrow().get(&(file, offset)).map(look);
        let counter = if looked.is_some() { &self.hits } else { &self.misses };
        counter.set(counter.get() + 1);
        looked
    }

    /// Keeps a block, in place of what was there; older ones go when the cache is full. A block that is longer than the
    /// whole cache is not kept.
    ///
    /// What counts is `block.len()`: a short slice of long memory keeps all of it alive, so cut it out first.
    pub fn insert(&self, file: u64, offset: u64, block: Bytes) {
        if self.part_len > 0 {
            self.blocks.borrow_mut().insert((file, offset), block);
        }
    }

    /// Bytes of the blocks held.
    #[must_use]
    pub fn len(&self) -> u64 {
        let blocks = self.blocks.borrow();
        blocks.weight() - blocks.len() as u64 * BLOCK_COST
    }

    /// Bytes that it takes: the blocks, its tables, and what the allocator adds.
    #[must_use]
    pub fn memory_len(&self) -> u64 {
        let tables = self.blocks.borrow().memory_used();
        self.len() + (tables.entries + tables.map) as u64 + self.count() as u64 * ALLOCATION_COST
    }

    /// Whether no block is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Blocks held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.blocks.borrow().len()
    }

    /// The most bytes that it takes now.
    #[must_use]
    pub fn capacity_len(&self) -> u64 {
        self.parts.get() * self.part_len
    }

    /// Lets it take so many bytes from now on, at most those that it was made for, in steps of a 256th of these or of four blocks; it keeps one
    /// step at least, and may stay a few below what it was given back. Blocks that have no room any more go at once: 0.3 us each.
    #[inline]
    pub fn set_capacity_len(&self, capacity_len: u64) {
        let parts = capacity_len.checked_div(self.part_len).unwrap_or(1).clamp(1, self.part_count);
        if parts != self.parts.get() {
            self.set_parts(parts);
        }
    }

    fn set_parts(&self, parts: u64) {
        let mut blocks = self.blocks.borrow_mut();
        loop {
            let now = self.parts.get();
            let next = if parts < now {
                (parts..now).rev().find(|&to| keeps_ghosts(now, to))
            } else {
                (now + 1..=parts).find(|&to| keeps_ghosts(now, to))
            };
            let Some(next) = next else { return };
            self.parts.set(next);
            blocks.set_capacity(next * self.part_len);
        }
    }

    /// How often a block was found.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// How often a block was not found.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache")
            .field("len", &self.len())
            .field("capacity_len", &self.capacity_len())
            .field("count", &self.count())
            .field("hits", &self.hits())
            .field("misses", &self.misses())
            .finish_non_exhaustive()
    }
}

type Blocks = Cache<(u64, u64), Bytes, Len, BuildHasherDefault<FixedHasher>>;

/// A block weighs its length and what it costs.
#[derive(Clone)]
struct Len;

impl Weighter<(u64, u64), Bytes> for Len {
    fn weight(&self, _: &(u64, u64), block: &Bytes) -> u64 {
        block.len() as u64 + BLOCK_COST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize, fill: u8) -> Bytes {
        vec![fill; len].into()
    }

    #[test]
    fn never_holds_more_than_its_capacity() {
        for (capacity_len, block_len) in [
            (0, 100),
            (299, 100),
            (300, 100),
            (64 << 10, 4096),
            (1 << 20, 777),
            (4 << 20, 0),
            (16 << 20, 4096),
        ] {
            let cache = BlockCache::new(capacity_len);
            for offset in 0..100_000 {
                cache.insert(1, offset, block(block_len, 0));
                // Tables that are made for sixteen blocks at least.
                let taken = cache.memory_len().saturating_sub(16 * BLOCK_COST);
                assert!(taken <= capacity_len, "capacity {capacity_len}, block {block_len}: {taken} taken");
            }
            assert_eq!(cache.len(), cache.count() as u64 * block_len as u64);
            let filled = (cache.count() + 1) as u64 * (block_len as u64 + BLOCK_COST) > capacity_len / 2;
            assert!(filled, "capacity {capacity_len}, block {block_len}: only {} held", cache.len());
        }
    }

    #[test]
    fn blocks_of_one_file_are_not_found_in_another() {
        let cache = BlockCache::new(1 << 20);
        let (a, b) = (cache.next_file_id(), cache.next_file_id());
        assert_ne!(a, b);
        cache.insert(a, 0, block(10, 1));
        cache.insert(b, 4096, block(10, 2));
        for (file, offset, want) in
            [(a, 0, Some(1)), (a, 4096, None), (b, 0, None), (b, 4096, Some(2)), (b + 1, 0, None)]
        {
            assert_eq!(cache.get(file, offset).map(|b| b[0]), want, "file {file} offset {offset}");
        }
        assert_eq!((cache.hits(), cache.misses()), (2, 3));
    }

    #[test]
    fn a_block_inserted_again_replaces_the_old_one() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(0, 0, block(100, 1));
        cache.insert(0, 0, block(50, 2));
        assert_eq!(cache.get(0, 0), Some(block(50, 2)));
        assert_eq!((cache.len(), cache.count()), (50, 1));
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_used_often() {
        let cache = BlockCache::new(100 * (4096 + BLOCK_COST));
        for _ in 0..3 {
            for offset in 0..50 {
                if cache.get(1, offset).is_none() {
                    cache.insert(1, offset, block(4096, 0));
                }
            }
        }
        for offset in 0..10_000 {
            cache.insert(2, offset, block(4096, 0));
        }
        let kept = (0..50).filter(|&offset| cache.get(1, offset).is_some()).count();
        assert!(kept >= 40, "{kept} of 50 kept");
    }

    #[test]
    fn its_capacity_can_be_changed_and_it_never_holds_more() {
        let cache = BlockCache::new(10 * PART_LEN_MIN + 9);
        assert_eq!(cache.capacity_len(), 10 * PART_LEN_MIN);
        let fill = |first: u64| {
            (first..first + 1000)
                .for_each(|offset| cache.insert(1, offset, block(4000 - BLOCK_COST as usize, 0)));
            cache.count() as u64
        };
        assert_eq!(fill(0), 40);
        for (wanted, parts) in [(5 * PART_LEN_MIN - 1, 4), (0, 1), (9 * PART_LEN_MIN, 9), (u64::MAX, 10)] {
            cache.set_capacity_len(wanted);
            let capacity_len = parts * PART_LEN_MIN;
            assert_eq!(cache.capacity_len(), capacity_len);
            assert!(cache.len() + cache.count() as u64 * BLOCK_COST <= capacity_len, "{cache:?}");
            assert_eq!(fill(wanted.min(1 << 40)), capacity_len / 4000);
        }
        let none = BlockCache::new(0);
        none.set_capacity_len(1 << 20);
        none.insert(1, 1, block(0, 0));
        assert_eq!((none.capacity_len(), none.count()), (0, 0));
    }

    #[test]
    fn no_step_down_loses_what_it_remembers_and_few_are_left_out_on_the_way_up() {
        assert!((2..=PARTS_MAX).all(|from| keeps_ghosts(from, from - 1)));
        assert!(!keeps_ghosts(47, 48));
        let cache = BlockCache::new(PARTS_MAX << 20);
        for parts in (1..PARTS_MAX).chain((1..PARTS_MAX).rev()) {
            cache.set_capacity_len(parts << 20);
            assert!(
                (parts.saturating_sub(3)..=parts).contains(&(cache.capacity_len() >> 20)),
                "{parts}: {cache:?}"
            );
        }
    }

    #[test]
    fn however_often_the_capacity_changes_it_remembers_what_went() {
        for capacity_len in [1_000_000, 5_000_011, 48 << 20] {
            let cache = BlockCache::new(capacity_len);
            for _ in 0..10_000 {
                cache.set_capacity_len(capacity_len / 3);
                cache.set_capacity_len(capacity_len);
            }
            let mut others = 0..;
            let mut scan = |len| {
                let count = len / (4096 + BLOCK_COST);
                others
                    .by_ref()
                    .take(count as usize)
                    .for_each(|offset| cache.insert(1, offset, block(4096, 0)));
            };
            scan(2 * capacity_len);
            // Seen once, gone, and seen again: it stays, whatever else comes by.
            cache.insert(2, 0, block(4096, 0));
            scan(capacity_len / 16);
            assert_eq!(cache.get(2, 0), None, "{capacity_len}");
            cache.insert(2, 0, block(4096, 0));
            scan(4 * capacity_len);
            assert!(cache.get(2, 0).is_some(), "{capacity_len}");
        }
    }
}
