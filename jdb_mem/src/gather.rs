//! Gather: entries on their way into a memtable, by sorted runs instead of one by one.
//!
//! An insert at a random place waits for the memory of that place. What comes in bulk and is not read meanwhile, as a log
//! that is replayed, need not: it is copied into the table's arena as it comes, and some thousands of entries are then
//! sorted and linked in their order, so that each finds what its neighbour has just touched.

use crate::memtable::Memtable;
use crate::skiplist::{Run, Skiplist};
use jdb_base::{Kind, SeqNo};

/// Entries that are linked together: 128 KiB of them beside their bytes, and a step of some hundred microseconds.
/// Short in unit tests, so that they see many runs.
const GATHER_LEN: usize = if cfg!(test) { 40 } else { 8192 };

/// Takes many entries for a [`Memtable`], which holds them all when this is dropped; until then it may lack the newest.
///
/// ```
/// use jdb_base::{Kind, SeqNo};
/// let table = jdb_mem::Memtable::new();
/// let mut gather = table.gather();
/// gather.insert(b"lemon", SeqNo::new(1), Kind::Inline, b"sour");
/// gather.insert(b"apple", SeqNo::new(2), Kind::Inline, b"sweet");
/// drop(gather);
/// assert_eq!(table.count(), 2);
/// ```
pub struct Gather<'a> {
    list: &'a Skiplist,
    run: Run<'a>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(table: &'a Memtable) -> Self {
        Self { list: table.list(), run: Run::default() }
    }

    /// Adds an entry, as [`Memtable::insert`] does. No entry with this key **and** sequence may be in the table or on its
    /// way there.
    ///
    /// Cost: key and value are copied once; every some thousandth call sorts and links what has been gathered.
    ///
    /// # Panics
    /// As [`Memtable::insert`].
    #[inline]
    pub fn insert(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        self.run.push(self.list, key, seq, kind, value);
        if self.run.len() >= GATHER_LEN {
            self.list.link_run(&mut self.run);
        }
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.list.link_run(&mut self.run);
    }
}

impl std::fmt::Debug for Gather<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").field("run", &self.run.len()).finish()
    }
}

#[cfg(test)]
mod tests;
