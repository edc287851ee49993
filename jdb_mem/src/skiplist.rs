//! Unrolled skiplist for one thread: towers of links over sorted runs of entries.
//!
//! ```text
//! level 1  head ------------------> node ----------------->
//! level 0  head ------> node -----> node ------> node ---->
//!          [a b d]      [f g h k]   [m n]        [q r s]       runs: {word, entry} slots
//! ```
//!
//! **Comparisons touch words, not entries.** A search knows how many bytes its target shares with the first key of the
//! node it stands on; a link knows how many that key shares with the next node's, and the next 8 bytes (a *word*).
//! Let the target share `t` bytes and the next node `n`: `t > n` means the target is below the next node, `t < n` that
//! it is above, and only for `t == n` are the words compared; only equal words lead to the entry itself. The same holds
//! inside a run, whose words begin behind the bytes that all its keys share. A common namespace prefix, however
//! long, thus costs nothing.
//!
//! Entries are never removed, and the first entry of a node (but the head's) never changes; both make the numbers in
//! the links final. Bytes of entries never move.
#![expect(unsafe_code, reason = "nodes and entries are raw memory of the arena")]

mod entry;
mod node;
mod walk;
mod word;

pub(crate) use walk::Walk;

use crate::arena::Arena;
use crate::memtable::Entry;
use entry::EntryRef;
use jdb_base::{Kind, SeqNo};
use node::{HEIGHT_MAX, Node, NodeRef, RUN_LEN};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use word::{ALL, WORD_LEN, compare, shared_in_words, word_at};

/// Key and sequence that a search looks for.
type Target<'t> = (&'t [u8], SeqNo);

#[derive(Default)]
pub(crate) struct Skiplist {
    /// First and last node; none as long as the list is empty.
    ends: Cell<Option<Ends>>,
    /// Levels in use.
    height: Cell<usize>,
    count: Cell<usize>,
    random: Cell<u64>,
    finger: Cell<Option<Finger>>,
    arenas: Arenas,
}

/// Nodes are kept apart from what they point to: searches go through few and dense pages.
#[derive(Default)]
struct Arenas {
    nodes: Arena,
    /// Runs and entries.
    data: Arena,
}

#[derive(Clone, Copy)]
struct Ends {
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
}

/// Node that a target belongs to: the last one whose first entry is not above the target, else the head.
#[derive(Clone, Copy)]
struct Found<'a> {
    node: NodeRef<'a>,
    /// Bytes that the target shares with the node's first key; 0 for the head.
    shared: u32,
}

impl Skiplist {
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    pub(crate) fn used_len(&self) -> usize {
        self.arenas.nodes.used_len() + self.arenas.data.used_len()
    }

    pub(crate) fn held_len(&self) -> usize {
        self.arenas.nodes.held_len() + self.arenas.data.held_len()
    }

    /// Adds an entry; no entry with this key and sequence is there yet.
    pub(crate) fn insert(&self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        let entry = EntryRef::write(&self.arenas.data, key, seq, kind, value);
        let target = (key, seq);
        let head = self.head_or_new();
        let found = self.find_by_finger(target).unwrap_or_else(|| self.find(head, target));
        let (ties, shared) = self.ties(head, found, target);
        let index = lower_bound(found.node, ties, target);
        let (node, shared) = if found.node.count() < RUN_LEN {
            found.node.insert(index, entry, shared);
            (found.node, shared)
        } else {
            self.split_and_insert(head, found.node, index, entry, shared)
        };
        self.count.set(self.count.get() + 1);
        // The head's first entry may change under the finger, and ascending inserts leave the head soon.
        let finger = Finger { node: node.raw(), entry: entry.start(), shared };
        self.finger.set((node != head).then_some(finger));
    }

    /// Newest entry of `key` with a sequence of at most `seq`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], seq: SeqNo) -> Option<Entry<'_>> {
        let (head, target) = (self.head()?, (key, seq));
        let found = self.find(head, target);
        let (ties, _) = self.ties(head, found, target);
        let (node, end) = (found.node, ties.end);
        let index = lower_bound(node, ties, target);
        // An entry with another word has another key, and only the next node's first one has no word here.
        let entry = match index {
            _ if index < end => node.entry(index)?,
            _ if index < node.count() => return None,
            _ => node.next()?.first()?,
        };
        (entry.key() == key).then(|| entry.get())
    }

    /// Forgets all entries and gives one chunk of their memory back; false when there was none to give.
    pub(crate) fn free_chunk(&mut self) -> bool {
        self.ends.set(None);
        self.finger.set(None);
        self.height.set(0);
        self.count.set(0);
        // SAFETY: `&mut self` ends all borrows of entries, walks own the table and so exclude `&mut`, and the list's
        // own pointers are gone.
        unsafe { self.arenas.data.free_chunk() || self.arenas.nodes.free_chunk() }
    }

    /// Place of the first entry at or above the target.
    #[inline]
    fn seek(&self, target: Target<'_>) -> Option<(NodeRef<'_>, usize)> {
        let head = self.head()?;
        let found = self.find(head, target);
        let (ties, _) = self.ties(head, found, target);
        let index = lower_bound(found.node, ties, target);
        if index < found.node.count() { Some((found.node, index)) } else { Some((found.node.next()?, 0)) }
    }

    #[inline]
    fn head(&self) -> Option<NodeRef<'_>> {
        // SAFETY: the head is a node of the own arena.
        self.ends.get().map(|ends| unsafe { NodeRef::from_raw(ends.head) })
    }

    #[inline]
    fn tail(&self) -> Option<NodeRef<'_>> {
        // SAFETY: the tail is a node of the own arena.
        self.ends.get().map(|ends| unsafe { NodeRef::from_raw(ends.tail) })
    }

    fn head_or_new(&self) -> NodeRef<'_> {
        self.head().unwrap_or_else(|| {
            let head = NodeRef::new(&self.arenas, HEIGHT_MAX);
            self.ends.set(Some(Ends { head: head.raw(), tail: head.raw() }));
            self.height.set(1);
            head
        })
    }

    /// The node that `target` belongs to.
    #[inline]
    fn find<'a>(&self, head: NodeRef<'a>, target: Target<'_>) -> Found<'a> {
        let mut found = Found { node: head, shared: 0 };
        for level in (0..self.height.get()).rev() {
            while let Some(next) = step(found, level, target) {
                found = next;
            }
        }
        found
    }

    /// The last node before `target` on each level; the head on those that are not in use.
    fn path<'a>(&self, head: NodeRef<'a>, target: Target<'_>) -> [NodeRef<'a>; HEIGHT_MAX] {
        let mut path = [head; HEIGHT_MAX];
        let mut found = Found { node: head, shared: 0 };
        for (level, last) in path.iter_mut().enumerate().take(self.height.get()).rev() {
            while let Some(next) = step(found, level, target) {
                found = next;
            }
            *last = found.node;
        }
        path
    }

    /// [`Skiplist::find`] without a search, when the target follows the last inserted entry within its node.
    #[inline]
    fn find_by_finger(&self, target: Target<'_>) -> Option<Found<'_>> {
        let finger = self.finger.get()?;
        // SAFETY: node and entry belong to the own arena.
        let (node, last) = unsafe { (NodeRef::from_raw(finger.node), EntryRef::from_start(finger.entry)) };
        let (order, shared) = compare(target, last.id(), 0);
        // Of three sorted keys the outer ones share what both neighbours share.
        let found = Found { node, shared: shared.min(finger.shared) };
        (order.is_gt() && step(found, 0, target).is_none()).then_some(found)
    }

    /// The entries of the run whose words do not tell them from the target (all before are below it, all behind above),
    /// and what the target shares with the run's first key.
    #[inline]
    fn ties(&self, head: NodeRef<'_>, found: Found<'_>, target: Target<'_>) -> (Range<usize>, u32) {
        let Found { node, mut shared } = found;
        let count = node.count();
        if node == head {
            // In the head the target may be below the first entry.
            let Some(first) = node.first() else { return (0..0, 0) };
            let (order, len) = compare(target, first.id(), 0);
            if order.is_lt() && len < node.skip() {
                return (0..0, len);
            }
            shared = len;
        }
        if shared < node.skip() {
            return (count..count, shared);
        }
        let word = word_at(target.0, node.skip());
        let start = node.rank(word);
        let mut end = start;
        while end < count && node.word(end) == Some(word) {
            end += 1;
        }
        (start..end, shared)
    }

    /// Splits the full run of `node` and inserts; gives the node that the entry went to and what it shares there.
    #[cold]
    fn split_and_insert<'a>(
        &'a self,
        head: NodeRef<'a>,
        node: NodeRef<'a>,
        index: usize,
        entry: EntryRef<'a>,
        shared: u32,
    ) -> (NodeRef<'a>, u32) {
        let path = self.path(head, entry.id());
        // Ascending inserts leave full runs behind them, descending ones before them; others leave two halves.
        let at = match index {
            RUN_LEN => RUN_LEN,
            0 => 0,
            _ => RUN_LEN / 2,
        };
        let upper = NodeRef::new(&self.arenas, self.random_height());
        node.split_into(at, upper);
        let (home, shared) = if index <= at && at < RUN_LEN {
            node.insert(index, entry, shared);
            (node, shared)
        } else {
            let shared = upper.first().map_or(ALL, |first| compare(entry.id(), first.id(), 0).1);
            upper.insert(index - at, entry, shared);
            (upper, shared)
        };
        self.height.set(self.height.get().max(upper.height()));
        for (level, before) in path.iter().enumerate().take(upper.height()) {
            upper.link_behind(*before, level, head);
        }
        if upper.next().is_none() {
            self.ends.set(Some(Ends { head: head.raw(), tail: upper.raw() }));
        }
        (home, shared)
    }

    /// Height of a new tower: each level has half the towers of the one below. The same inserts give the same towers.
    fn random_height(&self) -> usize {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (1 + (mixed >> 32).trailing_zeros() as usize).min(HEIGHT_MAX)
    }
}

/// Index of the first entry at or above the target, when it is in the range or at its end.
#[inline]
fn lower_bound(node: NodeRef<'_>, mut range: Range<usize>, target: Target<'_>) -> usize {
    let from = node.skip().saturating_add(WORD_LEN);
    while !range.is_empty() {
        let middle = range.start.midpoint(range.end);
        let Some(entry) = node.entry(middle) else { break };
        if compare(entry.id(), target, from).0.is_lt() {
            range.start = middle + 1;
        } else {
            range.end = middle;
        }
    }
    range.start
}

/// The next node on `level` when its first entry is not above the target.
#[inline]
fn step<'a>(from: Found<'a>, level: usize, target: Target<'_>) -> Option<Found<'a>> {
    let (link, node) = from.node.link(level)?;
    if from.shared != link.shared {
        return (from.shared < link.shared).then_some(Found { node, shared: from.shared });
    }
    let word = word_at(target.0, link.shared);
    if word != link.word {
        let shared = link.shared + shared_in_words(word, link.word);
        return (word > link.word).then_some(Found { node, shared });
    }
    let (order, shared) = compare(target, node.first()?.id(), link.shared.saturating_add(WORD_LEN));
    order.is_ge().then_some(Found { node, shared })
}
