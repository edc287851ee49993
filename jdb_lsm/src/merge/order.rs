//! The order of a merge's sources by their present entries.
//!
//! Beside each source stands a *word* of its present key: the eight bytes behind a prefix that the present keys of all sources
//! share. So a source that has moved finds its place by comparing numbers that lie side by side; keys are looked at only where
//! words are equal. The prefix grows by a word when equal words become frequent, and shrinks when a key comes that does not begin
//! with it.
//!
//! Invariants
//! - Slots ascend in the direction of the merge; a word that is smaller means an entry that comes first.
//! - An entry of a source does not change while the source sits on it, also in a memtable that grows: words stay right.

use super::{Direction, EntryRef, Source};
use jdb_base::key::{common_prefix_len, entry_order, word_at};
use std::cmp::Ordering;

/// Bytes of a word.
const WORD_LEN: usize = size_of::<u64>();
/// Comparisons of keys with equal words after which the prefix is looked at.
const TIES_MAX: u32 = 16;

#[derive(Debug)]
pub(super) struct Order {
    /// Sources that sit on an entry, the next one to give first.
    slots: Vec<Slot>,
    /// What all present keys begin with.
    prefix: Vec<u64>,
    direction: Direction,
    /// Comparisons of keys since the prefix was looked at.
    ties: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Complemented when the merge goes backward.
    word: u64,
    source: usize,
}

impl Order {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { slots: Vec::with_capacity(count), prefix: Vec::new(), direction: Direction::Forward, ties: 0 }
    }

    /// The source whose entry comes first.
    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        self.slots.first().map(|slot| slot.source)
    }

    /// Puts all sources in order.
    pub(super) fn sort(&mut self, sources: &[Source], direction: Direction) {
        self.direction = direction;
        self.slots.clear();
        let sitting = |(_, source): &(usize, &Source)| source.entry().is_some();
        self.slots
            .extend(sources.iter().enumerate().filter(sitting).map(|(source, _)| Slot { word: 0, source }));
        self.slots.sort_by(|a, b| compare(sources, direction, a.source, b.source));
        self.set_words(sources, self.prefix.len());
    }

    /// Puts the first source, which has moved, in its place.
    #[inline]
    pub(super) fn moved(&mut self, sources: &[Source]) {
        let Some(&Slot { source, .. }) = self.slots.first() else { return };
        let Some(entry) = sources.get(source).and_then(Source::entry) else {
            self.slots.remove(0);
            return;
        };
        let Some(word) = self.word(&entry) else { return self.sort(sources, self.direction) };
        let moved = Slot { word, source };
        let mut place = 0;
        while let Some(&next) = self.slots.get(place + 1)
            && next.word <= word
        {
            if next.word == word && self.stays_before(sources, moved, next) {
                break;
            }
            if let Some(slot) = self.slots.get_mut(place) {
                *slot = next;
            }
            place += 1;
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = moved;
        }
        if self.ties >= TIES_MAX {
            self.set_words(sources, self.prefix.len() + 1);
        }
    }

    /// The word of an entry; `None` when its key does not begin with the prefix.
    #[inline]
    fn word(&self, entry: &EntryRef<'_>) -> Option<u64> {
        let mut at = 0;
        for &word in &self.prefix {
            if u64::from_be_bytes(*entry.key.get(at..)?.first_chunk()?) != word {
                return None;
            }
            at += WORD_LEN;
        }
        let word = word_at(entry.key, at);
        Some(if self.direction == Direction::Forward { word } else { !word })
    }

    #[cold]
    fn stays_before(&mut self, sources: &[Source], moved: Slot, next: Slot) -> bool {
        self.ties += 1;
        compare(sources, self.direction, moved.source, next.source) == Ordering::Less
    }

    /// Takes a prefix of at most so many words, and the words behind it.
    #[cold]
    fn set_words(&mut self, sources: &[Source], prefix_count: usize) {
        self.ties = 0;
        let key = |slot: &Slot| sources.get(slot.source).and_then(Source::entry).map(|entry| entry.key);
        let ends = self.slots.first().and_then(key).zip(self.slots.last().and_then(key));
        let Some((first, last)) = ends else { return };
        let count = prefix_count.min(common_prefix_len(first, last) / WORD_LEN);
        self.prefix.clear();
        self.prefix.extend((0..count).map(|word| word_at(first, word * WORD_LEN)));
        let flip = if self.direction == Direction::Forward { 0 } else { u64::MAX };
        for slot in &mut self.slots {
            let key = sources.get(slot.source).and_then(Source::entry).map(|entry| entry.key);
            slot.word = word_at(key.unwrap_or_default(), count * WORD_LEN) ^ flip;
        }
    }
}

/// The order of the entries of two sources, in a direction.
fn compare(sources: &[Source], direction: Direction, a: usize, b: usize) -> Ordering {
    let entry = |source: usize| sources.get(source).and_then(Source::entry);
    let (Some(a), Some(b)) = (entry(a), entry(b)) else { return Ordering::Equal };
    let order = entry_order((a.key, a.seq), (b.key, b.seq));
    match direction {
        Direction::Forward => order,
        Direction::Backward => order.reverse(),
    }
}
