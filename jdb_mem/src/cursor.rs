//! Cursor: walks a memtable in both directions while entries are added to it.

use crate::memtable::{Entry, Memtable};
use crate::skiplist::Walk;
use jdb_base::SeqNo;
use std::fmt;
use std::rc::Rc;

/// A place in a [`Memtable`]: before the first entry (where a new cursor stands), on an entry, or after the last one.
///
/// It owns an `Rc` of its table and so has no lifetime. Entries may be inserted while it is open: it stays on its
/// entry, and its next step goes to the neighbour of that moment, new entries included. "Before the first" and "after
/// the last" are the ends of the table, whatever is inserted: a cursor after the last entry stays there when a higher
/// one comes, and `prev` then gives that one.
///
/// Cost: a step is O(1), and one comparison-free look at up to a run of slots when its run has changed meanwhile; a
/// seek is O(log n). Nothing allocates.
///
/// ```
/// # use jdb_base::{Kind, SeqNo};
/// # use std::rc::Rc;
/// let table = Rc::new(jdb_mem::Memtable::new());
/// table.insert(b"a", SeqNo::new(1), Kind::Inline, b"");
/// let mut cursor = table.cursor();
/// cursor.seek_first();
/// table.insert(b"b", SeqNo::new(2), Kind::Inline, b"");
/// cursor.next();
/// assert_eq!(cursor.entry().unwrap().key, b"b");
/// ```
pub struct Cursor {
    walk: Walk,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    BeforeFirst,
    On,
    AfterLast,
}

impl Cursor {
    pub(crate) fn new(table: Rc<Memtable>) -> Self {
        Self { walk: Walk::new(table), side: Side::BeforeFirst }
    }

    /// The entry under the cursor; `None` before the first and after the last.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<Entry<'_>> {
        self.walk.entry()
    }

    /// Goes to the first entry at or above (`key`, `seq`) in entry order, that is to the newest version of `key` with
    /// a sequence of at most `seq`, else to the first entry of the next key; after the last when there is none.
    ///
    /// `seek(key, SeqNo::MAX)` finds the newest version, `seek(key, SeqNo::ZERO)` passes all but a version 0.
    pub fn seek(&mut self, key: &[u8], seq: SeqNo) {
        self.side = if self.walk.seek((key, seq)) { Side::On } else { Side::AfterLast };
    }

    /// Goes to the first entry; after the last when the table is empty.
    pub fn seek_first(&mut self) {
        self.side = if self.walk.seek_first() { Side::On } else { Side::AfterLast };
    }

    /// Goes to the last entry; before the first when the table is empty.
    pub fn seek_last(&mut self) {
        self.side = if self.walk.seek_last() { Side::On } else { Side::BeforeFirst };
    }

    /// Goes one entry up: from before the first to the first, from the last to after the last, where it stays.
    #[inline]
    pub fn next(&mut self) {
        match self.side {
            Side::On => self.side = if self.walk.next() { Side::On } else { Side::AfterLast },
            Side::BeforeFirst => self.seek_first(),
            Side::AfterLast => {}
        }
    }

    /// Goes one entry down: from after the last to the last, from the first to before the first, where it stays.
    #[inline]
    pub fn prev(&mut self) {
        match self.side {
            Side::On => self.side = if self.walk.prev() { Side::On } else { Side::BeforeFirst },
            Side::AfterLast => self.seek_last(),
            Side::BeforeFirst => {}
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("side", &self.side).field("entry", &self.entry()).finish()
    }
}
