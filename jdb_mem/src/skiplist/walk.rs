//! Walk: a place in a list that stays right while entries are added.
//!
//! It remembers its entry (whose bytes never move), the node and slot where it saw it, and the node's stamp. As long as
//! the stamp is the same, a step is `index + 1` or `index - 1`; else the entry is looked up again.

use super::entry::EntryRef;
use super::node::{Node, NodeRef};
use super::{Skiplist, Target};
use crate::memtable::{Entry, Memtable};
use std::ptr::NonNull;
use std::rc::Rc;

pub(crate) struct Walk {
    /// Keeps what `spot` points to; cursors make sure that it lies behind an `Rc`, so `&mut Memtable` is excluded.
    table: Rc<Memtable>,
    spot: Option<Spot>,
}

/// Where an entry was seen.
#[derive(Clone, Copy)]
struct Spot {
    entry: NonNull<u8>,
    node: NonNull<Node>,
    index: usize,
    stamp: u64,
}

impl Walk {
    pub(crate) fn new(table: Rc<Memtable>) -> Self {
        Self { table, spot: None }
    }

    /// The entry it stands on.
    #[inline]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        self.entry_ref().map(EntryRef::get)
    }

    /// Goes to the first entry at or above the target; false when there is none.
    pub(crate) fn seek(&mut self, target: Target<'_>) -> bool {
        self.spot = spot(self.list().seek(target));
        self.spot.is_some()
    }

    /// Goes to the first entry; false when the list is empty.
    pub(crate) fn seek_first(&mut self) -> bool {
        self.spot = spot(self.list().head().map(|head| (head, 0)));
        self.spot.is_some()
    }

    /// Goes to the last entry; false when the list is empty.
    pub(crate) fn seek_last(&mut self) -> bool {
        self.spot = spot(self.list().tail().and_then(last_of));
        self.spot.is_some()
    }

    /// Goes one entry up; false when it stood on the last one (or on none), and then it stands on none.
    #[inline]
    pub(crate) fn next(&mut self) -> bool {
        let next = self.place().and_then(|(node, index)| {
            if index + 1 < node.count() { Some((node, index + 1)) } else { Some((node.next()?, 0)) }
        });
        self.spot = spot(next);
        self.spot.is_some()
    }

    /// Goes one entry down; false when it stood on the first one (or on none), and then it stands on none.
    #[inline]
    pub(crate) fn prev(&mut self) -> bool {
        let prev = self.place().and_then(|(node, index)| match index.checked_sub(1) {
            Some(before) => Some((node, before)),
            None => last_of(node.prev()?),
        });
        self.spot = spot(prev);
        self.spot.is_some()
    }

    fn list(&self) -> &Skiplist {
        self.table.list()
    }

    #[inline]
    fn entry_ref(&self) -> Option<EntryRef<'_>> {
        // SAFETY: the entry belongs to the table, which `self` keeps alive and unmoved behind its `Rc`.
        self.spot.map(|spot| unsafe { EntryRef::from_start(spot.entry) })
    }

    /// Where the entry is now.
    #[inline]
    fn place(&self) -> Option<(NodeRef<'_>, usize)> {
        let spot = self.spot?;
        // SAFETY: the node belongs to the table, which `self` keeps alive and unmoved behind its `Rc`.
        let node = unsafe { NodeRef::from_raw(spot.node) };
        if node.stamp() == spot.stamp { Some((node, spot.index)) } else { self.place_again(node) }
    }

    #[cold]
    fn place_again<'a>(&'a self, node: NodeRef<'a>) -> Option<(NodeRef<'a>, usize)> {
        let entry = self.entry_ref()?;
        match node.index_of(entry) {
            Some(index) => Some((node, index)),
            None => self.list().seek(entry.id()),
        }
    }
}

#[inline]
fn spot(place: Option<(NodeRef<'_>, usize)>) -> Option<Spot> {
    let (node, index) = place?;
    Some(Spot { entry: node.entry(index)?.start(), node: node.raw(), index, stamp: node.stamp() })
}

#[inline]
fn last_of(node: NodeRef<'_>) -> Option<(NodeRef<'_>, usize)> {
    Some((node, node.count().checked_sub(1)?))
}
