//! Node: a sorted run of up to [`RUN_LEN`] slots. In lane 0 a slot is an entry, above it is a node of the lane below.
//!
//! The key of a slot is its entry's, or the first one below its node. Slots carry a *word*: 8 bytes of their key, taken
//! behind the bytes that all keys of the run share, so that a search reads words and hardly ever keys.
//!
//! The first node of each lane is its **edge**. Nothing bounds an edge from below, so above lane 0 the key of its first
//! slot stands for "lower than everything", and its word is 0.
//!
//! Invariants
//! - The first `count` slots ascend in entry order; `words[i]` is the word of slot `i` at `skip`, unused words are the
//!   highest.
//! - The padded keys of a run share their first `skip` bytes (all but the first slot's of an edge above lane 0).
//! - The first key of a node that is no edge never changes: smaller ones go into the node before it.
//! - `stamp` changes with every change of the slots.

use super::Arenas;
use super::entry::EntryRef;
use super::word::{ALL, WORD_LEN, compare, shared_in_words, shared_len, word_at};
use jdb_base::SeqNo;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Most slots of a run. Measured: docs/decision/0001-memtable.md. Short in unit tests, so that they see many lanes.
pub(super) const RUN_LEN: usize = if cfg!(test) { 16 } else { 64 };
/// Bytes of a node.
pub(super) const NODE_LEN: usize = size_of::<Node>();
/// Words that are looked at together: a cache line of them.
const BLOCK_LEN: usize = 8;
/// A half of a split run gets new words when its keys share this many bytes of the old ones.
const TIGHTEN_MIN: u32 = 4;

const _: () = assert!(RUN_LEN.is_multiple_of(BLOCK_LEN));

#[repr(C)]
pub(super) struct Node {
    skip: Cell<u32>,
    count: Cell<u16>,
    lane: u16,
    stamp: Cell<u64>,
    /// Any entry that `skip` speaks of; none when there is none.
    sample: Cell<Option<NonNull<u8>>>,
    /// Neighbours in lane 0.
    prev: Cell<Option<NonNull<Node>>>,
    next: Cell<Option<NonNull<Node>>>,
    words: Words,
    slots: [Cell<NonNull<u8>>; RUN_LEN],
}

#[repr(align(64))]
struct Words([Cell<u64>; RUN_LEN]);

/// A node of arenas that live for `'a`.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    node: NonNull<Node>,
    arenas: PhantomData<&'a Arenas>,
}

/// What a slot holds.
#[derive(Clone, Copy)]
pub(super) enum Slot<'a> {
    Entry(EntryRef<'a>),
    Node(NodeRef<'a>),
}

impl<'a> Slot<'a> {
    /// The key and sequence that a slot sorts by.
    #[inline]
    pub(super) fn id(self) -> (&'a [u8], SeqNo) {
        self.entry().map_or((&[], SeqNo::MAX), EntryRef::id)
    }

    /// The entry that a slot sorts by.
    #[inline]
    fn entry(self) -> Option<EntryRef<'a>> {
        let mut slot = self;
        loop {
            match slot {
                Self::Entry(entry) => return Some(entry),
                Self::Node(node) => slot = node.slot(0)?,
            }
        }
    }

    fn key(self) -> &'a [u8] {
        self.id().0
    }

    fn start(self) -> NonNull<u8> {
        match self {
            Self::Entry(entry) => entry.start(),
            Self::Node(node) => node.raw().cast(),
        }
    }
}

impl PartialEq for NodeRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<'a> NodeRef<'a> {
    /// An empty node.
    pub(super) fn new(arenas: &'a Arenas, lane: u16) -> Self {
        let arena = if lane == 0 { &arenas.data } else { &arenas.lanes };
        let node = arena.alloc(size_of::<Node>(), align_of::<Node>()).cast::<Node>();
        // SAFETY: the piece has a node's length and alignment.
        unsafe {
            node.write(Node {
                skip: Cell::new(ALL),
                count: Cell::new(0),
                lane,
                stamp: Cell::new(0),
                sample: Cell::new(None),
                prev: Cell::new(None),
                next: Cell::new(None),
                words: Words([const { Cell::new(u64::MAX) }; RUN_LEN]),
                slots: [const { Cell::new(NonNull::dangling()) }; RUN_LEN],
            });
        }
        Self { node, arenas: PhantomData }
    }

    /// # Safety
    /// `node` came from [`NodeRef::raw`] of a node whose arenas live for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw(node: NonNull<Node>) -> Self {
        Self { node, arenas: PhantomData }
    }

    #[inline]
    pub(super) fn raw(self) -> NonNull<Node> {
        self.node
    }

    #[inline]
    fn fields(self) -> &'a Node {
        // SAFETY: `new` initialized the node; it lives for 'a and is only changed through its cells.
        unsafe { self.node.as_ref() }
    }

    #[inline]
    pub(super) fn count(self) -> usize {
        usize::from(self.fields().count.get())
    }

    #[inline]
    pub(super) fn lane(self) -> u16 {
        self.fields().lane
    }

    #[inline]
    pub(super) fn skip(self) -> u32 {
        self.fields().skip.get()
    }

    /// An entry whose padded key has the `skip` first bytes that all keys of the run share.
    #[inline]
    pub(super) fn sample(self) -> Option<EntryRef<'a>> {
        // SAFETY: samples are entries of the same arenas.
        self.fields().sample.get().map(|start| unsafe { EntryRef::from_start(start) })
    }

    #[inline]
    pub(super) fn stamp(self) -> u64 {
        self.fields().stamp.get()
    }

    #[inline]
    pub(super) fn next(self) -> Option<Self> {
        // SAFETY: neighbours are nodes of the same arenas.
        self.fields().next.get().map(|node| unsafe { Self::from_raw(node) })
    }

    #[inline]
    pub(super) fn prev(self) -> Option<Self> {
        // SAFETY: neighbours are nodes of the same arenas.
        self.fields().prev.get().map(|node| unsafe { Self::from_raw(node) })
    }

    /// The word of slot `index` at [`NodeRef::skip`].
    #[inline]
    pub(super) fn word(self, index: usize) -> Option<u64> {
        self.words().get(index).map(Cell::get)
    }

    #[inline]
    fn words(self) -> &'a [Cell<u64>; RUN_LEN] {
        &self.fields().words.0
    }

    /// How many words are below `word`. Both steps load without waiting for each other's branches: the first from all
    /// cache lines at once, the second from one that the first has loaded.
    #[inline]
    pub(super) fn rank(self, word: u64) -> usize {
        let words = self.words();
        let heads = words.iter().step_by(BLOCK_LEN).skip(1);
        let start = heads.filter(|head| head.get() < word).count() * BLOCK_LEN;
        let block = words.get(start..start + BLOCK_LEN).unwrap_or_default();
        start + block.iter().filter(|other| other.get() < word).count()
    }

    #[inline]
    pub(super) fn slot(self, index: usize) -> Option<Slot<'a>> {
        let start = self.slot_start(index)?;
        // SAFETY: the first `count` slots of lane 0 hold entries, those of other lanes nodes, of the same arenas.
        Some(match self.lane() {
            0 => Slot::Entry(unsafe { EntryRef::from_start(start) }),
            _ => Slot::Node(unsafe { Self::from_raw(start.cast()) }),
        })
    }

    /// The entry in slot `index` of a node of lane 0.
    #[inline]
    pub(super) fn entry(self, index: usize) -> Option<EntryRef<'a>> {
        debug_assert_eq!(self.lane(), 0, "entries are in lane 0");
        // SAFETY: the first `count` slots of lane 0 hold entries of the same arenas.
        self.slot_start(index).map(|start| unsafe { EntryRef::from_start(start) })
    }

    /// The node in slot `index` of a node above lane 0.
    #[inline]
    pub(super) fn child(self, index: usize) -> Option<Self> {
        debug_assert_ne!(self.lane(), 0, "nodes are above lane 0");
        // SAFETY: the first `count` slots of other lanes hold nodes of the same arenas.
        self.slot_start(index).map(|start| unsafe { Self::from_raw(start.cast()) })
    }

    #[inline]
    fn slot_start(self, index: usize) -> Option<NonNull<u8>> {
        if index < self.count() { self.fields().slots.get(index).map(Cell::get) } else { None }
    }

    /// Where `entry` stands in this run of lane 0.
    pub(super) fn index_of(self, entry: EntryRef<'a>) -> Option<usize> {
        (0..self.count()).find(|&index| self.slot_start(index) == Some(entry.start()))
    }

    /// Puts `slot` at `index` of a run that has room.
    ///
    /// `shared` is what its padded key shares with the run's first key (in an edge above lane 0: with the second one).
    pub(super) fn insert(self, index: usize, slot: Slot<'a>, shared: u32, edge: bool) {
        let count = self.count();
        assert!(count < RUN_LEN, "a full run was not split");
        assert!(index <= count, "index {index} of {count}");
        let low = self.first_bounded(edge);
        if shared < self.skip()
            && let Some(first) = self.slot(low)
        {
            self.loosen(first.key(), shared, low);
        }
        shift_up(self.words(), index, count);
        shift_up(&self.fields().slots, index, count);
        let (word, start) = match slot {
            Slot::Entry(entry) => (word_at(entry.key(), self.skip()), entry.start()),
            Slot::Node(_) if index < low => (0, slot.start()),
            Slot::Node(_) => (word_at(slot.key(), self.skip()), slot.start()),
        };
        if let (Some(word_cell), Some(slot_cell)) = (self.words().get(index), self.fields().slots.get(index))
        {
            word_cell.set(word);
            slot_cell.set(start);
        }
        self.set_count(count + 1);
        if self.sample().is_none() {
            self.set_sample(low);
        }
        debug_assert!(self.is_sound_around(index, low), "order, words and common bytes");
    }

    /// Puts entries that ascend into a run of lane 0 that is not empty and has room for them. Their padded keys and those of the
    /// run share `shared` bytes, or all that the run's keys do.
    pub(super) fn merge(
        self,
        entries: impl DoubleEndedIterator<Item = EntryRef<'a>> + ExactSizeIterator,
        shared: u32,
    ) {
        debug_assert_eq!(self.lane(), 0, "entries are in lane 0");
        let (mut left, mut to) = (self.count(), self.count() + entries.len());
        assert!(to <= RUN_LEN, "{to} entries in a run");
        if shared < self.skip()
            && let Some(sample) = self.sample()
        {
            self.loosen(sample.key(), shared, 0);
        }
        self.set_count(to);
        let skip = self.skip();
        let put = |to: usize, word: u64, start: NonNull<u8>| {
            if let (Some(word_cell), Some(slot_cell)) = (self.words().get(to), self.fields().slots.get(to)) {
                word_cell.set(word);
                slot_cell.set(start);
            }
        };
        // From the highest on, so that what moves up overwrites nothing.
        for entry in entries.rev() {
            let word = word_at(entry.key(), skip);
            while let Some(before) = left.checked_sub(1)
                && let (Some(other), Some(slot)) = (self.word(before), self.entry(before))
                && (other > word
                    || other == word
                        && compare(slot.id(), entry.id(), skip.saturating_add(WORD_LEN)).0.is_gt())
            {
                (left, to) = (before, to - 1);
                put(to, other, slot.start());
            }
            to -= 1;
            put(to, word, entry.start());
        }
        debug_assert!(
            (0..self.count()).all(|index| self.is_sound_around(index, 0)),
            "order, words and common bytes"
        );
    }

    /// Moves the slots from `at` on into `upper`, which is empty and never an edge.
    pub(super) fn split_into(self, at: usize, upper: Self, edge: bool) {
        assert_eq!(upper.count(), 0, "the upper part is new");
        assert_eq!(upper.lane(), self.lane(), "slots stay in their lane");
        let count = self.count();
        move_up(self.words(), at..count, upper.words(), u64::MAX);
        move_up(&self.fields().slots, at..count, &upper.fields().slots, NonNull::dangling());
        upper.fields().skip.set(self.skip());
        upper.set_count(count - at);
        self.set_count(at);
        for (part, low) in [(self, self.first_bounded(edge)), (upper, 0)] {
            part.set_sample(low);
            part.tighten(low);
        }
    }

    /// Makes `self` the next neighbour of `before`, in lane 0.
    pub(super) fn link_behind(self, before: Self) {
        let next = before.next();
        self.fields().next.set(next.map(Self::raw));
        self.fields().prev.set(Some(before.node));
        before.fields().next.set(Some(self.node));
        if let Some(next) = next {
            next.fields().prev.set(Some(self.node));
        }
    }

    /// The first slot whose key bounds what is below it.
    #[inline]
    pub(super) fn first_bounded(self, edge: bool) -> usize {
        usize::from(edge && self.lane() > 0)
    }

    fn set_sample(self, low: usize) {
        self.fields().sample.set(self.slot(low).and_then(Slot::entry).map(EntryRef::start));
    }

    fn set_count(self, count: usize) {
        let fields = self.fields();
        debug_assert!(count <= RUN_LEN, "{count}");
        fields.count.set(count as u16);
        fields.stamp.set(fields.stamp.get() + 1);
        if count == 0 {
            fields.skip.set(ALL);
        }
    }

    /// Makes the words start earlier, at `skip`: the bytes in between are the same in all keys, so `key`, one of them,
    /// has them all.
    fn loosen(self, key: &[u8], skip: u32, low: usize) {
        let shift = self.skip() - skip;
        let head = word_at(key, skip);
        let mask = if shift < WORD_LEN { u64::MAX >> (8 * shift) } else { 0 };
        for word in self.words().iter().take(self.count()).skip(low) {
            let kept = if shift < WORD_LEN { word.get() >> (8 * shift) } else { 0 };
            word.set(head & !mask | kept);
        }
        self.fields().skip.set(skip);
    }

    /// Makes the words start later when their first bytes tell nothing any more.
    fn tighten(self, low: usize) {
        let Some(high) = self.count().checked_sub(1).filter(|&high| high >= low) else {
            self.fields().skip.set(ALL);
            return;
        };
        let (Some(first), Some(last)) = (self.slot(low), self.slot(high)) else { return };
        let (Some(a), Some(b)) = (self.word(low), self.word(high)) else { return };
        if self.skip() == ALL || a != b && shared_in_words(a, b) < TIGHTEN_MIN {
            return;
        }
        let skip = shared_len(first.key(), last.key(), self.skip());
        for (index, word) in self.words().iter().enumerate().take(self.count()).skip(low) {
            word.set(self.slot(index).map_or(u64::MAX, |slot| word_at(slot.key(), skip)));
        }
        self.fields().skip.set(skip);
    }

    fn is_sound_around(self, index: usize, low: usize) -> bool {
        let sorted = |a: usize, b: usize| match (self.slot(a), self.slot(b)) {
            (Some(_), Some(_)) if a < low => self.word(a) == Some(0),
            (Some(a), Some(b)) => {
                jdb_base::key::entry_order(a.id(), b.id()).is_lt()
                    && shared_len(a.key(), b.key(), 0) >= self.skip()
            }
            _ => true,
        };
        let word = self
            .slot(index)
            .filter(|_| index >= low)
            .map_or(Some(0), |slot| Some(word_at(slot.key(), self.skip())));
        word == self.word(index)
            && sorted(index, index + 1)
            && index.checked_sub(1).is_none_or(|before| sorted(before, index))
            && self.words().iter().skip(self.count()).all(|word| word.get() == u64::MAX)
    }
}

/// Moves the cells `index..count` up by one.
#[inline]
fn shift_up<T: Copy>(cells: &[Cell<T>], index: usize, count: usize) {
    let Some(cells) = cells.get(index..=count) else { return };
    for pair in cells.windows(2).rev() {
        if let [low, high] = pair {
            high.set(low.get());
        }
    }
}

/// Moves the cells of `range` to the start of `to`, and leaves `unused` behind.
fn move_up<T: Copy>(from: &[Cell<T>], range: std::ops::Range<usize>, to: &[Cell<T>], unused: T) {
    for (from, to) in from.get(range).unwrap_or_default().iter().zip(to) {
        to.set(from.replace(unused));
    }
}
