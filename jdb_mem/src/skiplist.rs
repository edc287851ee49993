//! Unrolled skiplist for one thread: lanes of sorted runs, each lane skipping over the runs of the one below.
//!
//! ```text
//! lane 2                  [-              m      ]
//! lane 1         [-      f       k]      [m     q]         slots: {word, node below}
//! lane 0  [a b d] [f g h] [k l]    [m n o] [q r s]         slots: {word, entry}
//! ```
//!
//! Lanes are runs too: not one entry and one link stand in a place that a search must visit, but 64 words. A run that
//! is full is split, and the lane above gets one slot more; so lanes are filled by rule and not by chance, and nothing
//! is ever removed or balanced.
//!
//! **Comparisons touch words, not keys.** A search knows how many bytes its target shares with the first key of the
//! node it stands on; a node knows how many bytes all its keys share (`skip`), and holds the next 8 of each (a *word*).
//! Sharing less than `skip` means that the target is above all of them, else the target's own word is ranked among the
//! words, and equal words alone lead to keys. A common namespace prefix, however long, thus costs nothing.
//!
//! Entries are never removed, and the first key of a node (but of the first in a lane) never changes; both make what is
//! known about shared bytes final. Bytes of entries never move.
#![expect(unsafe_code, reason = "nodes and entries are raw memory of the arena")]

mod entry;
mod node;
mod run;
mod walk;
mod word;

pub(crate) use run::Run;
pub(crate) use walk::Walk;

use crate::arena::Arena;
use crate::memtable::Entry;
use entry::EntryRef;
use jdb_base::{Kind, SeqNo};
use node::{NODE_LEN, Node, NodeRef, RUN_LEN, Slot};
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::Range;
use std::ptr::NonNull;
use word::{ALL, WORD_LEN, compare, shared_in_words, shared_len, word_at};

/// More lanes than memory can fill: each has at most a 32nd of the nodes of the one below.
const LANES_MAX: usize = 16;

/// Key and sequence that a search looks for.
type Target<'t> = (&'t [u8], SeqNo);

#[derive(Default)]
pub(crate) struct Skiplist {
    /// None as long as the list is empty.
    ends: Cell<Option<Ends>>,
    count: Cell<usize>,
    finger: Cell<Option<Finger>>,
    arenas: Arenas,
}

/// Lanes are kept apart from what they lead to: searches go through few and dense pages.
#[derive(Default)]
struct Arenas {
    /// Nodes above lane 0.
    lanes: Arena,
    /// Nodes of lane 0, and entries.
    data: Arena,
}

#[derive(Clone, Copy)]
struct Ends {
    /// The only node of the highest lane.
    top: NonNull<Node>,
    /// First and last node of lane 0.
    head: NonNull<Node>,
    tail: NonNull<Node>,
}

/// Where the last insert went: ascending inserts go on from there without a search.
#[derive(Clone, Copy)]
struct Finger {
    node: NonNull<Node>,
    entry: NonNull<u8>,
    /// What the entry shares with its node's first key.
    shared: u32,
    /// Whether it came directly behind the insert before it; else a look at the neighbours would be for nothing.
    ascending: bool,
}

/// The node of a lane that a target belongs to: the last one whose first key is not above the target, else the edge.
#[derive(Clone, Copy)]
struct Found<'a> {
    node: NodeRef<'a>,
    /// Bytes that the target shares with the node's first key; not known for an edge.
    shared: u32,
    edge: bool,
}

impl Skiplist {
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Bytes in use, less the first node's: an empty list and one with an entry differ by that entry.
    pub(crate) fn used_len(&self) -> usize {
        (self.arenas.lanes.used_len() + self.arenas.data.used_len()).saturating_sub(NODE_LEN)
    }

    pub(crate) fn held_len(&self) -> usize {
        self.arenas.lanes.held_len() + self.arenas.data.held_len()
    }

    /// Adds an entry; no entry with this key and sequence is there yet.
    pub(crate) fn insert(&self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        self.link(EntryRef::write(&self.arenas.data, key, seq, kind, value));
    }

    /// Puts an entry of the list's arena where it belongs.
    #[inline]
    fn link<'a>(&'a self, entry: EntryRef<'a>) {
        let target = entry.id();
        let top = self.top_or_new();
        let found = self.find_by_finger(target).unwrap_or_else(|| find(top, target));
        let (ties, shared) = ties(found, target);
        let place = Place { node: found.node, index: lower_bound(found.node, ties, target), shared };
        let place = if found.node.count() < RUN_LEN {
            found.node.insert(place.index, Slot::Entry(entry), shared, found.edge);
            place
        } else {
            self.split_and_insert(top, place, entry)
        };
        self.count.set(self.count.get() + 1);
        self.set_finger(place, entry);
    }

    /// Newest entry of `key` with a sequence of at most `seq`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], seq: SeqNo) -> Option<Entry<'_>> {
        let target = (key, seq);
        let found = find(self.top()?, target);
        let (ties, _) = ties(found, target);
        let (node, end) = (found.node, ties.end);
        let index = lower_bound(node, ties, target);
        // An entry with another word has another key, and only the next node's first one has no word here.
        let entry = match index {
            _ if index < end => node.entry(index)?,
            _ if index < node.count() => return None,
            _ => node.next()?.entry(0)?,
        };
        (entry.key() == key).then(|| entry.get())
    }

    /// Forgets all entries and gives one chunk of their memory back; false when there was none to give.
    pub(crate) fn free_chunk(&mut self) -> bool {
        self.ends.set(None);
        self.finger.set(None);
        self.count.set(0);
        // SAFETY: `&mut self` ends all borrows of entries, walks own the table and so exclude `&mut`, and the list's
        // own pointers are gone.
        unsafe { self.arenas.data.free_chunk() || self.arenas.lanes.free_chunk() }
    }

    /// Place of the first entry at or above the target.
    fn seek(&self, target: Target<'_>) -> Option<(NodeRef<'_>, usize)> {
        let found = find(self.top()?, target);
        let (ties, _) = ties(found, target);
        let index = lower_bound(found.node, ties, target);
        if index < found.node.count() { Some((found.node, index)) } else { Some((found.node.next()?, 0)) }
    }

    #[inline]
    fn top(&self) -> Option<NodeRef<'_>> {
        // SAFETY: the top is a node of the own arenas.
        self.ends.get().map(|ends| unsafe { NodeRef::from_raw(ends.top) })
    }

    fn head(&self) -> Option<NodeRef<'_>> {
        // SAFETY: the head is a node of the own arenas.
        self.ends.get().map(|ends| unsafe { NodeRef::from_raw(ends.head) })
    }

    fn tail(&self) -> Option<NodeRef<'_>> {
        // SAFETY: the tail is a node of the own arenas.
        self.ends.get().map(|ends| unsafe { NodeRef::from_raw(ends.tail) })
    }

    fn top_or_new(&self) -> NodeRef<'_> {
        self.top().unwrap_or_else(|| {
            let node = NodeRef::new(&self.arenas, 0);
            self.ends.set(Some(Ends { top: node.raw(), head: node.raw(), tail: node.raw() }));
            node
        })
    }

    /// [`find`] without a search, when the target follows the last inserted entry within its node.
    #[inline]
    fn find_by_finger(&self, target: Target<'_>) -> Option<Found<'_>> {
        let finger = self.finger.get().filter(|finger| finger.ascending)?;
        // SAFETY: node and entry belong to the own arenas.
        let (node, last) = unsafe { (NodeRef::from_raw(finger.node), EntryRef::from_start(finger.entry)) };
        let (order, shared) = compare(target, last.id(), 0);
        let below_next = match node.next().and_then(|next| next.entry(0)) {
            Some(next) => order.is_gt() && compare(target, next.id(), 0).0.is_lt(),
            None => order.is_gt(),
        };
        // Of three sorted keys the outer ones share what both neighbours share.
        below_next.then_some(Found { node, shared: shared.min(finger.shared), edge: node.prev().is_none() })
    }

    fn set_finger(&self, place: Place<'_>, entry: EntryRef<'_>) {
        let Place { node, index, shared } = place;
        let ascending = self.finger.get().is_some_and(|last| match index.checked_sub(1) {
            Some(before) => node.entry(before).is_some_and(|before| before.start() == last.entry),
            // The first of a node that a split began.
            None => last.ascending && node.count() == 1,
        });
        self.finger.set(Some(Finger { node: node.raw(), entry: entry.start(), shared, ascending }));
    }

    /// Inserts at a place in a full run: splits it, gives the lane above a slot for the new run, and so on upwards.
    /// Returns the place that the entry got.
    #[cold]
    fn split_and_insert<'a>(&'a self, top: NodeRef<'a>, place: Place<'a>, entry: EntryRef<'a>) -> Place<'a> {
        let path = path(top, entry.id());
        let (mut slot, mut next) = (Slot::Entry(entry), place);
        // Ascending inserts leave full runs behind them. Being at a run's end alone does not make an insert ascending:
        // versions of one key come in before each other, always behind the same run.
        let last = place.node.entry(RUN_LEN - 1).map(EntryRef::start);
        let ascending = place.index == RUN_LEN
            && (place.node.next().is_none() || last == self.finger.get().map(|finger| finger.entry));
        let mut home = None;
        for passed in path.iter().take(usize::from(top.lane()) + 1) {
            let (node, edge) = (passed.node, passed.edge);
            if node.lane() > 0 {
                let low = node.slot(node.first_bounded(edge));
                let shared = low.map_or(ALL, |low| shared_len(low.id().0, slot.id().0, 0));
                next = Place { node, index: passed.index + 1, shared };
            }
            if node.count() < RUN_LEN {
                node.insert(next.index, slot, next.shared, edge);
                home = home.or(Some(next));
                break;
            }
            let (at, upper) = self.split(next, edge, ascending, slot);
            home = home.or(Some(at));
            slot = Slot::Node(upper);
            if node == top {
                self.add_lane(top, upper);
            }
        }
        home.unwrap_or(place)
    }

    /// Splits a full run in two and puts `slot` where it belongs; returns its place, and the upper node.
    fn split<'a>(
        &'a self,
        place: Place<'a>,
        edge: bool,
        ascending: bool,
        slot: Slot<'a>,
    ) -> (Place<'a>, NodeRef<'a>) {
        let Place { node, index, shared } = place;
        let descending = edge && index == node.first_bounded(edge);
        let whole = index == RUN_LEN && ascending || descending;
        let at = if whole { index } else { RUN_LEN / 2 };
        let upper = NodeRef::new(&self.arenas, node.lane());
        node.split_into(at, upper, edge);
        let place = if index <= at && at < RUN_LEN {
            node.insert(index, slot, shared, edge);
            place
        } else {
            let shared = upper.slot(0).map_or(ALL, |first| shared_len(first.id().0, slot.id().0, 0));
            upper.insert(index - at, slot, shared, false);
            Place { node: upper, index: index - at, shared }
        };
        if node.lane() == 0 {
            upper.link_behind(node);
            if let Some(ends) = self.ends.get()
                && ends.tail == node.raw()
            {
                self.ends.set(Some(Ends { tail: upper.raw(), ..ends }));
            }
        }
        (place, upper)
    }

    /// Puts a lane on top of the one that has just got a second node.
    fn add_lane(&self, low: NodeRef<'_>, high: NodeRef<'_>) {
        assert!(usize::from(low.lane()) + 1 < LANES_MAX, "lanes");
        let top = NodeRef::new(&self.arenas, low.lane() + 1);
        top.insert(0, Slot::Node(low), ALL, true);
        top.insert(1, Slot::Node(high), ALL, true);
        if let Some(ends) = self.ends.get() {
            self.ends.set(Some(Ends { top: top.raw(), ..ends }));
        }
    }
}

/// Where a slot is or comes to be.
#[derive(Clone, Copy)]
struct Place<'a> {
    node: NodeRef<'a>,
    index: usize,
    /// Bytes that its key shares with the node's first one; for an edge, at least `skip` stands for any such number.
    shared: u32,
}

/// A node on the way to a target, and the slot that the way goes through (none in lane 0).
#[derive(Clone, Copy)]
struct Passed<'a> {
    node: NodeRef<'a>,
    edge: bool,
    index: usize,
}

/// The node of lane 0 that the target belongs to.
#[inline]
fn find<'a>(top: NodeRef<'a>, target: Target<'_>) -> Found<'a> {
    let mut found = Found { node: top, shared: 0, edge: true };
    while found.node.lane() > 0 {
        match descend(found, target) {
            Some((_, below)) => found = below,
            None => break,
        }
    }
    found
}

/// The way to the target, by lanes.
fn path<'a>(top: NodeRef<'a>, target: Target<'_>) -> [Passed<'a>; LANES_MAX] {
    let mut found = Found { node: top, shared: 0, edge: true };
    let mut path = [Passed { node: top, edge: true, index: 0 }; LANES_MAX];
    for passed in path.iter_mut().take(usize::from(top.lane()) + 1).rev() {
        *passed = Passed { node: found.node, edge: found.edge, index: 0 };
        if found.node.lane() > 0
            && let Some((index, below)) = descend(found, target)
        {
            passed.index = index;
            found = below;
        }
    }
    path
}

/// From a node above lane 0 one lane down, and the slot that leads there.
#[inline]
fn descend<'a>(from: Found<'a>, target: Target<'_>) -> Option<(usize, Found<'a>)> {
    let (node, low) = (from.node, from.node.first_bounded(from.edge));
    let (ties, shared) = ties(from, target);
    let index = bound(node, ties, target, Ordering::is_le).max(1) - 1;
    let child = node.child(index)?;
    if index < low {
        return Some((index, Found { node: child, shared: 0, edge: true }));
    }
    let shared = if index == 0 || shared < node.skip() {
        shared
    } else {
        let (word, other) = (word_at(target.0, node.skip()), node.word(index)?);
        if word == other {
            compare(target, node.slot(index)?.id(), node.skip().saturating_add(WORD_LEN)).1
        } else {
            node.skip() + shared_in_words(word, other)
        }
    };
    Some((index, Found { node: child, shared, edge: false }))
}

/// The slots of the run whose words do not tell them from the target (all before are below it, all behind above it),
/// and what the target shares with the run's first key ([`Place::shared`]).
#[inline]
fn ties(found: Found<'_>, target: Target<'_>) -> (Range<usize>, u32) {
    let Found { node, mut shared, edge } = found;
    let (count, low) = (node.count(), node.first_bounded(edge));
    if edge {
        // Nothing bounds an edge from below: the target may be below all that its keys share.
        let Some(sample) = node.sample() else { return (low..low, ALL) };
        let (order, len) = compare(target, sample.id(), 0);
        if order.is_lt() && len < node.skip() {
            return (low..low, len);
        }
        shared = len;
    }
    if shared < node.skip() {
        return (count..count, shared);
    }
    let word = word_at(target.0, node.skip());
    let start = node.rank(word).max(low);
    let mut end = start;
    while end < count && node.word(end) == Some(word) {
        end += 1;
    }
    (start..end, shared)
}

/// Index of the first slot at or above the target, when it is in the range or at its end.
#[inline]
fn lower_bound(node: NodeRef<'_>, range: Range<usize>, target: Target<'_>) -> usize {
    bound(node, range, target, Ordering::is_lt)
}

/// Index of the first slot of the range that is not `before` the target, else the range's end.
#[inline]
fn bound(
    node: NodeRef<'_>,
    mut range: Range<usize>,
    target: Target<'_>,
    before: fn(Ordering) -> bool,
) -> usize {
    let from = node.skip().saturating_add(WORD_LEN);
    while !range.is_empty() {
        let middle = range.start.midpoint(range.end);
        let Some(slot) = node.slot(middle) else { break };
        if before(compare(slot.id(), target, from).0) {
            range.start = middle + 1;
        } else {
            range.end = middle;
        }
    }
    range.start
}
