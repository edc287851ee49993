//! A set of sequences that lie close to each other: those of the records of one segment of the log.
//!
//! A flush says which it put into its table and a compaction which it left out, origin by origin, so that whoever keeps the sum knows
//! of every record whether a table points to it, for a bit each and without asking the tables. (The validity bitmap of a flash
//! translation layer, for sequences in the place of pages.)

use jdb_base::SeqNo;
use std::fmt;

/// Words between the first and the last: a segment has at most 128 Ki records, and pads and marks take sequences too.
const WORDS_MAX: usize = 4096;
const WORD_BITS: u64 = u64::BITS as u64;

/// Sequences, one bit each; at most 256 Ki from the first to the last, 32 KiB.
///
/// Invariants
/// - Never more than `WORDS_MAX` words.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SeqSet {
    /// The word that the first of `words` is: the sequences from 64 times this number on.
    first: u64,
    words: Vec<u64>,
}

impl SeqSet {
    /// An empty one that is known.
    pub(crate) fn none() -> Option<Self> {
        Some(Self::default())
    }

    /// Adds one to a set that is known; it is not known any more when there is no room.
    pub(crate) fn insert_into(set: &mut Option<Self>, seq: SeqNo) {
        if !set.as_mut().is_some_and(|set| set.insert(seq)) {
            *set = None;
        }
    }

    /// Adds one. `false`, and nothing is added, when it lies too far from the others.
    #[must_use]
    pub fn insert(&mut self, seq: SeqNo) -> bool {
        let (word, bit) = place(seq);
        let Some(at) = self.make_room(word) else { return false };
        if let Some(bits) = self.words.get_mut(at) {
            *bits |= bit;
        }
        true
    }

    /// Takes one away, if it is there.
    pub fn remove(&mut self, seq: SeqNo) {
        let (word, bit) = place(seq);
        if let Some(bits) = self.index(word).and_then(|at| self.words.get_mut(at)) {
            *bits &= !bit;
        }
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(&self, seq: SeqNo) -> bool {
        let (word, bit) = place(seq);
        self.index(word).and_then(|at| self.words.get(at)).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds all of `other`, and takes no more memory than it needs from now on. `false`: they lie too far from each other, and only
    /// some were added.
    #[must_use]
    pub fn insert_all(&mut self, other: &Self) -> bool {
        for (word, bits) in other.occupied() {
            let Some(at) = self.make_room(word) else { return false };
            if let Some(mine) = self.words.get_mut(at) {
                *mine |= bits;
            }
        }
        self.words.shrink_to_fit();
        true
    }

    /// Takes all of `other` away, and what memory is not needed any more at the ends.
    pub fn remove_all(&mut self, other: &Self) {
        for (word, bits) in other.occupied() {
            if let Some(mine) = self.index(word).and_then(|at| self.words.get_mut(at)) {
                *mine &= !bits;
            }
        }
        let is_empty = |bits: &u64| *bits == 0;
        let end = self.words.iter().rposition(|bits| !is_empty(bits)).map_or(0, |last| last + 1);
        self.words.truncate(end);
        let start = self.words.iter().take_while(|bits| is_empty(bits)).count();
        if start > 0 {
            self.words.drain(..start);
            self.first += start as u64;
        }
        if self.words.len() <= self.words.capacity() / 2 {
            self.words.shrink_to_fit();
        }
    }

    /// How many there are. Cost: the distance of the first from the last.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    /// The lowest and the highest.
    #[must_use]
    pub fn bounds(&self) -> Option<(SeqNo, SeqNo)> {
        let (low, low_bits) = self.occupied().next()?;
        let (high, high_bits) = self.occupied().next_back()?;
        let seq = |word: u64, bit: u32| SeqNo::new(word * WORD_BITS + u64::from(bit));
        Some((seq(low, low_bits.trailing_zeros()), seq(high, u64::BITS - 1 - high_bits.leading_zeros())))
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        size_of::<Self>() + self.words.capacity() * size_of::<u64>()
    }

    /// Words with something in them, and their numbers.
    fn occupied(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        let words = self.words.iter().enumerate().filter(|(_, bits)| **bits != 0);
        words.map(|(at, &bits)| (self.first + at as u64, bits))
    }

    fn index(&self, word: u64) -> Option<usize> {
        usize::try_from(word.checked_sub(self.first)?).ok()
    }

    /// Where this word is, once there is room for it; `None`: it lies too far from the others.
    fn make_room(&mut self, word: u64) -> Option<usize> {
        if self.words.is_empty() {
            self.first = word;
        }
        let (first, end) = (self.first.min(word), (self.first + self.words.len() as u64).max(word + 1));
        let len = usize::try_from(end - first).ok().filter(|&len| len <= WORDS_MAX)?;
        let before = (self.first - first) as usize;
        if before > 0 {
            self.words.splice(..0, std::iter::repeat_n(0, before));
            self.first = first;
        }
        self.words.resize(len, 0);
        self.index(word)
    }
}

/// The word of a sequence and its bit there.
fn place(seq: SeqNo) -> (u64, u64) {
    (seq.get() / WORD_BITS, 1 << (seq.get() % WORD_BITS))
}

impl fmt::Debug for SeqSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeqSet").field("count", &self.count()).field("bounds", &self.bounds()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A reproducible row of numbers.
    fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
        move |below| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % below
        }
    }

    fn same(set: &SeqSet, model: &BTreeSet<u64>) {
        assert_eq!(set.count(), model.len() as u64);
        let bounds = model.first().zip(model.last()).map(|(&low, &high)| (SeqNo::new(low), SeqNo::new(high)));
        assert_eq!(set.bounds(), bounds);
    }

    #[test]
    fn it_is_a_set() {
        let mut number = numbers(7);
        for base in [0, 1, 63, 64, 1 << 40, u64::MAX - 700] {
            let (mut set, mut model) = (SeqSet::default(), BTreeSet::new());
            for _ in 0..2000 {
                let seq = base + number(700);
                if number(3) == 0 {
                    set.remove(SeqNo::new(seq));
                    model.remove(&seq);
                } else {
                    assert!(set.insert(SeqNo::new(seq)));
                    model.insert(seq);
                }
                let other = base + number(700);
                assert_eq!(set.contains(SeqNo::new(other)), model.contains(&other));
                same(&set, &model);
            }
        }
    }

    #[test]
    fn sets_are_added_and_taken_away() {
        let mut number = numbers(8);
        for round in 0..500 {
            let mut sets = [SeqSet::default(), SeqSet::default()];
            let mut models = [BTreeSet::new(), BTreeSet::new()];
            for (set, model) in sets.iter_mut().zip(&mut models) {
                let start = 10_000 + number(500);
                for _ in 0..number(60) {
                    let seq = start + number(400);
                    assert!(set.insert(SeqNo::new(seq)));
                    model.insert(seq);
                }
            }
            let [mut set, other] = sets;
            let [mut model, of_other] = models;
            if round % 2 == 0 {
                assert!(set.insert_all(&other));
                model.extend(of_other);
            } else {
                set.remove_all(&other);
                model.retain(|seq| !of_other.contains(seq));
                let span = model.first().zip(model.last()).map_or(0, |(low, high)| high / 64 - low / 64 + 1);
                assert_eq!(set.words.len() as u64, span);
            }
            same(&set, &model);
        }
    }

    #[test]
    fn what_lies_too_far_away_is_refused() {
        let far = WORDS_MAX as u64 * WORD_BITS;
        for (there, refused) in [(1 << 30, (1 << 30) + far), (1 << 30, (1 << 30) - far), (0, u64::MAX)] {
            let mut set = SeqSet::default();
            assert!(set.insert(SeqNo::new(there)));
            assert!(!set.insert(SeqNo::new(refused)) && !set.contains(SeqNo::new(refused)));
            let mut other = SeqSet::default();
            assert!(other.insert(SeqNo::new(refused)));
            assert!(!set.insert_all(&other));
            set.remove_all(&other);
            set.remove(SeqNo::new(refused));
            assert_eq!(set.bounds(), Some((SeqNo::new(there), SeqNo::new(there))));
            assert!(set.insert(SeqNo::new(there + far - WORD_BITS)) && set.memory_len() <= (32 << 10) + 64);
        }
        assert!(SeqSet::default().bounds().is_none());
    }
}
