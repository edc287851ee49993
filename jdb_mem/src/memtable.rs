//! Memtable: the face of the skiplist.

use crate::skiplist::Skiplist;
use crate::{Cursor, Gather};
use jdb_base::{Kind, SeqNo};
use std::fmt;
use std::rc::Rc;

/// The newest entries of a shard, sorted, in memory, for one thread.
///
/// Entries are added and never removed or changed; their bytes never move, so what [`Memtable::get`] lends stays valid
/// while more is inserted. An empty table holds no memory.
///
/// ```
/// use jdb_base::{Kind, SeqNo};
/// let table = jdb_mem::Memtable::new();
/// table.insert(b"k", SeqNo::new(5), Kind::Inline, b"v");
/// assert!(table.get(b"k", SeqNo::new(4)).is_none(), "older than the oldest version");
/// assert_eq!(table.get(b"k", SeqNo::new(9)).unwrap().value, b"v");
/// ```
#[derive(Default)]
pub struct Memtable {
    list: Skiplist,
}

/// An entry, lent by a table or a cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Engine key.
    pub key: &'a [u8],
    /// Sequence number of the change.
    pub seq: SeqNo,
    /// What the value bytes are.
    pub kind: Kind,
    /// Value bytes: the value, an encoded pointer, or nothing.
    pub value: &'a [u8],
}

impl Memtable {
    /// An empty table. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. No entry with this key **and** sequence may be in the table.
    ///
    /// Cost: O(log n), without a search when the entry follows the one inserted before it; key and value are copied
    /// once, in one step.
    ///
    /// # Panics
    /// When the key is 512 MiB or the value 4 GiB long; callers keep to the limits of [`jdb_base::key`], far below.
    pub fn insert(&self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        self.list.insert(key, seq, kind, value);
    }

    /// Takes many entries that nobody reads meanwhile, faster than one by one.
    #[must_use]
    pub fn gather(&self) -> Gather<'_> {
        Gather::new(self)
    }

    /// The newest entry of `key` with a sequence of at most `seq`; a tombstone is an entry.
    ///
    /// Cost: O(log n), nothing allocated.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8], seq: SeqNo) -> Option<Entry<'_>> {
        self.list.get(key, seq)
    }

    /// A cursor that stands before the first entry.
    #[must_use]
    pub fn cursor(self: &Rc<Self>) -> Cursor {
        Cursor::new(Rc::clone(self))
    }

    /// How many entries it holds, all versions counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.count()
    }

    /// Whether it holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Bytes in use for entries and nodes, padding included: what to compare with a limit on the table's size.
    ///
    /// An entry takes 16 bytes beside key and value, and about 25 more for its share of a node; the first node
    /// (1.1 KiB) is not counted, so that small limits mean something.
    #[must_use]
    pub fn arena_len(&self) -> usize {
        self.list.used_len()
    }

    /// Bytes held from the allocator: all in use, and the free ends of the newest chunks (up to 512 KiB in all).
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.list.held_len()
    }

    /// Empties the table and gives back one chunk of its memory (256 KiB, or one big entry); false when none was left.
    ///
    /// Dropping a table frees all its chunks in one step. Who must not hold the thread that long takes the table out of
    /// its `Rc` and calls this between yields, until it is false:
    ///
    /// ```
    /// # use jdb_base::{Kind, SeqNo};
    /// # use std::rc::Rc;
    /// # let table = Rc::new(jdb_mem::Memtable::new());
    /// # table.insert(b"k", SeqNo::new(5), Kind::Inline, b"v");
    /// let mut table = Rc::into_inner(table).expect("no cursor is left");
    /// while table.free_some() {
    ///     // yield to other tasks
    /// }
    /// assert_eq!(table.held_len(), 0);
    /// ```
    pub fn free_some(&mut self) -> bool {
        self.list.free_chunk()
    }

    pub(crate) fn list(&self) -> &Skiplist {
        &self.list
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("count", &self.count())
            .field("arena_len", &self.arena_len())
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
