//! Node: a sorted run of up to [`RUN_LEN`] entries, and the tower of links that skips over runs.
//!
//! `link[height - 1] .. link[1] | Node { link[0], prev, stamp, skip, count, height, words, entries }`
//!
//! The tower grows downwards in memory, so that the low links, the counters and the first words lie together.
//!
//! Invariants
//! - The first `count` slots hold entries in entry order, `words[i]` the word of entry `i` at `skip`.
//! - The padded keys of a run share their first `skip` bytes.
//! - The first entry of a node that is not the head never changes: smaller ones go into the node before it.
//! - A link's `shared` and `word` are those of this node's and the next node's first keys; 0 in the head, whose
//!   first key counts as lower than every key and as sharing nothing.
//! - `stamp` changes with every change of the slots.

use super::Arenas;
use super::entry::EntryRef;
use super::word::{ALL, WORD_LEN, shared_in_words, shared_len, word_at};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Most entries of a run. Measured: docs/decision/0001-memtable.md.
pub(super) const RUN_LEN: usize = 64;
/// Most links of a tower.
pub(super) const HEIGHT_MAX: usize = 20;
/// A half of a split run gets new words when its keys share this many bytes of the old ones.
const TIGHTEN_MIN: u32 = 4;

#[repr(C)]
pub(super) struct Node {
    low: Cell<Link>,
    run: NonNull<Run>,
    skip: Cell<u32>,
    count: Cell<u16>,
    height: u16,
}

/// The slots of a node, and what a search does not need.
#[repr(C, align(64))]
struct Run {
    /// Unused ones are the highest word, which no search counts.
    words: [Cell<u64>; RUN_LEN],
    entries: [Cell<NonNull<u8>>; RUN_LEN],
    prev: Cell<Option<NonNull<Node>>>,
    stamp: Cell<u64>,
}

const LINE_LEN: usize = 64;
/// Words that are looked at together.
const BLOCK_LEN: usize = LINE_LEN / size_of::<u64>();
const _: () = assert!(RUN_LEN.is_multiple_of(BLOCK_LEN));
const _: () =
    assert!(align_of::<Node>() == align_of::<Link>() && size_of::<Link>().is_multiple_of(align_of::<Link>()));
const _: () = assert!(size_of::<Link>() + size_of::<Node>() == LINE_LEN, "the second link, and the node");

#[derive(Clone, Copy)]
pub(super) struct Link {
    next: Option<NonNull<Node>>,
    /// Word of the next node's first key at `shared`.
    pub(super) word: u64,
    /// Bytes that the first keys of both nodes share.
    pub(super) shared: u32,
}

impl Link {
    const END: Self = Self { next: None, word: 0, shared: 0 };
}

/// A node of an arena that lives for `'a`.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    node: NonNull<Node>,
    arena: PhantomData<&'a Arenas>,
}

impl PartialEq for NodeRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<'a> NodeRef<'a> {
    /// An empty node with a tower of `height` links.
    pub(super) fn new(arena: &'a Arenas, height: usize) -> Self {
        assert!((1..=HEIGHT_MAX).contains(&height), "height {height}");
        let run = arena.data.alloc(size_of::<Run>(), align_of::<Run>()).cast::<Run>();
        // The second link shares the node's cache line, also where the tower has none.
        let tower_len = (height.max(2) - 2) * size_of::<Link>();
        let before_len = tower_len.next_multiple_of(LINE_LEN) + size_of::<Link>();
        let start = arena.nodes.alloc(before_len + size_of::<Node>(), LINE_LEN);
        // SAFETY: the pieces hold a run, and `height - 1` links or more before a node; all are aligned, since the pieces
        // are and a link's length is a multiple of the common alignment.
        let node = unsafe {
            run.write(Run {
                words: [const { Cell::new(u64::MAX) }; RUN_LEN],
                entries: [const { Cell::new(NonNull::dangling()) }; RUN_LEN],
                prev: Cell::new(None),
                stamp: Cell::new(0),
            });
            let node = start.add(before_len).cast::<Node>();
            for level in 1..height {
                node.cast::<Cell<Link>>().sub(level).write(Cell::new(Link::END));
            }
            node.write(Node {
                low: Cell::new(Link::END),
                run,
                skip: Cell::new(ALL),
                count: Cell::new(0),
                height: height as u16,
            });
            node
        };
        Self { node, arena: PhantomData }
    }

    /// # Safety
    /// `node` came from [`NodeRef::raw`] of a node whose arena lives for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw(node: NonNull<Node>) -> Self {
        Self { node, arena: PhantomData }
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
    fn run(self) -> &'a Run {
        // SAFETY: `new` initialized the run; it lives for 'a and is only changed through its cells.
        unsafe { self.fields().run.as_ref() }
    }

    #[inline]
    pub(super) fn count(self) -> usize {
        usize::from(self.fields().count.get())
    }

    #[inline]
    pub(super) fn skip(self) -> u32 {
        self.fields().skip.get()
    }

    #[inline]
    pub(super) fn stamp(self) -> u64 {
        self.run().stamp.get()
    }

    #[inline]
    pub(super) fn height(self) -> usize {
        usize::from(self.fields().height)
    }

    #[inline]
    fn link_cell(self, level: usize) -> &'a Cell<Link> {
        debug_assert!(level < self.height(), "level {level}");
        // SAFETY: links of the levels below `height` lie one before another from the node's first field on, and all
        // of the piece was initialized.
        unsafe { self.node.cast::<Cell<Link>>().sub(level).as_ref() }
    }

    #[inline]
    pub(super) fn link(self, level: usize) -> Option<(Link, Self)> {
        let link = self.link_cell(level).get();
        // SAFETY: links lead to nodes of the same arena.
        link.next.map(|node| (link, unsafe { Self::from_raw(node) }))
    }

    #[inline]
    pub(super) fn next(self) -> Option<Self> {
        self.link(0).map(|(_, next)| next)
    }

    #[inline]
    pub(super) fn prev(self) -> Option<Self> {
        // SAFETY: `prev` is a node of the same arena.
        self.run().prev.get().map(|node| unsafe { Self::from_raw(node) })
    }

    /// The word of entry `index` at [`NodeRef::skip`].
    #[inline]
    pub(super) fn word(self, index: usize) -> Option<u64> {
        self.words().get(index).map(Cell::get)
    }

    /// The words of the entries in use.
    #[inline]
    pub(super) fn words(self) -> &'a [Cell<u64>] {
        self.run().words.get(..self.count()).unwrap_or_default()
    }

    /// How many words are below `word`. The two steps load from all cache lines at once and have no hard branch.
    #[inline]
    pub(super) fn rank(self, word: u64) -> usize {
        let words = &self.run().words;
        let heads = words.iter().step_by(BLOCK_LEN).skip(1);
        let block = heads.filter(|other| other.get() < word).count();
        let block_words = words.get(block * BLOCK_LEN..(block + 1) * BLOCK_LEN).unwrap_or_default();
        block * BLOCK_LEN + block_words.iter().filter(|other| other.get() < word).count()
    }

    #[inline]
    pub(super) fn entry(self, index: usize) -> Option<EntryRef<'a>> {
        let start = self.run().entries.get(..self.count())?.get(index)?.get();
        // SAFETY: the first `count` slots hold entries of the same arena.
        Some(unsafe { EntryRef::from_start(start) })
    }

    #[inline]
    pub(super) fn first(self) -> Option<EntryRef<'a>> {
        self.entry(0)
    }

    /// Where `entry` stands in this run.
    pub(super) fn index_of(self, entry: EntryRef<'a>) -> Option<usize> {
        self.run().entries.get(..self.count())?.iter().position(|slot| slot.get() == entry.start())
    }

    /// Puts `entry` at `index` of a run that has room. `shared` is what its padded key shares with the run's first key.
    pub(super) fn insert(self, index: usize, entry: EntryRef<'a>, shared: u32) {
        let count = self.count();
        assert!(count < RUN_LEN, "a full run was not split");
        assert!(index <= count, "index {index} of {count}");
        if let Some(first) = self.first()
            && shared < self.skip()
        {
            self.loosen(first.key(), shared);
        }
        let fields = self.run();
        for at in (index..count).rev() {
            move_slot(&fields.words, at, &fields.words, at + 1);
            move_slot(&fields.entries, at, &fields.entries, at + 1);
        }
        if let (Some(word), Some(slot)) = (fields.words.get(index), fields.entries.get(index)) {
            word.set(word_at(entry.key(), self.skip()));
            slot.set(entry.start());
        }
        self.set_count(count + 1);
        debug_assert!(self.is_sound_around(index), "order, words and common bytes");
    }

    /// Moves the entries from `at` on into `upper`, which is empty.
    pub(super) fn split_into(self, at: usize, upper: Self) {
        assert_eq!(upper.count(), 0, "the upper half is new");
        let (from, to) = (self.run(), upper.run());
        let count = self.count();
        for index in at..count {
            move_slot(&from.words, index, &to.words, index - at);
            move_slot(&from.entries, index, &to.entries, index - at);
        }
        upper.fields().skip.set(self.skip());
        for word in from.words.iter().skip(at) {
            word.set(u64::MAX);
        }
        upper.set_count(count - at);
        self.set_count(at);
        self.tighten();
        upper.tighten();
    }

    /// Links `self` in behind `before` at `level`; `head` says that `before` is the head.
    pub(super) fn link_behind(self, before: Self, level: usize, head: Self) {
        let Some(key) = self.first().map(EntryRef::key) else { return };
        let old = before.link(level);
        if let Some((_, next)) = old {
            self.set_link(level, next, shared_len(key, next.first_key(), 0));
        }
        let shared = if before == head { 0 } else { shared_len(before.first_key(), key, 0) };
        before.set_link(level, self, shared);
        if level == 0 {
            self.run().prev.set(Some(before.node));
            if let Some((_, next)) = old {
                next.run().prev.set(Some(self.node));
            }
        }
    }

    fn set_link(self, level: usize, next: Self, shared: u32) {
        let word = word_at(next.first_key(), shared);
        self.link_cell(level).set(Link { next: Some(next.node), word, shared });
    }

    fn first_key(self) -> &'a [u8] {
        self.first().map_or(&[], EntryRef::key)
    }

    fn set_count(self, count: usize) {
        let fields = self.fields();
        debug_assert!(count <= RUN_LEN, "{count}");
        fields.count.set(count as u16);
        self.run().stamp.set(self.run().stamp.get() + 1);
        if count == 0 {
            fields.skip.set(ALL);
        }
    }

    /// Makes the words start earlier, at `skip`: the bytes in between are the same in all keys, so one of them has them.
    fn loosen(self, key: &[u8], skip: u32) {
        let fields = self.fields();
        let shift = self.skip() - skip;
        let head = word_at(key, skip);
        for word in self.words() {
            let kept = if shift < WORD_LEN { word.get() >> (8 * shift) } else { 0 };
            let mask = if shift < WORD_LEN { u64::MAX >> (8 * shift) } else { 0 };
            word.set(head & !mask | kept);
        }
        fields.skip.set(skip);
    }

    /// Makes the words start later when their first bytes tell nothing any more.
    fn tighten(self) {
        let (Some(last_index), Some(first)) = (self.count().checked_sub(1), self.first()) else { return };
        let (Some(low), Some(high), Some(last)) =
            (self.word(0), self.word(last_index), self.entry(last_index))
        else {
            return;
        };
        if self.skip() == ALL || low != high && shared_in_words(low, high) < TIGHTEN_MIN {
            return;
        }
        let skip = shared_len(first.key(), last.key(), self.skip());
        for (index, word) in self.words().iter().enumerate() {
            word.set(self.entry(index).map_or(0, |entry| word_at(entry.key(), skip)));
        }
        self.fields().skip.set(skip);
    }

    fn is_sound_around(self, index: usize) -> bool {
        let sorted = |low: usize, high: usize| match (self.entry(low), self.entry(high)) {
            (Some(low), Some(high)) => {
                jdb_base::key::entry_order(low.id(), high.id()).is_lt()
                    && shared_len(low.key(), high.key(), 0) >= self.skip()
            }
            _ => true,
        };
        let word = self.entry(index).map(|entry| word_at(entry.key(), self.skip()));
        word == self.word(index)
            && sorted(index, index + 1)
            && index.checked_sub(1).is_none_or(|before| sorted(before, index))
    }
}

#[inline]
fn move_slot<T: Copy>(from: &[Cell<T>; RUN_LEN], at: usize, to: &[Cell<T>; RUN_LEN], new_at: usize) {
    if let (Some(from), Some(to)) = (from.get(at), to.get(new_at)) {
        to.set(from.get());
    }
}
