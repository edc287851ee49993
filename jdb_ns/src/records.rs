//! Many records sorted in pieces, without an allocation for each.
//!
//! Pieces are short, so that sorting one holds the thread for no more than some 100 us; in order they come by merging the pieces.

use jdb_base::key::entry_order;
use jdb_base::{SeqNo, ValuePtr};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Records that are sorted at once.
const SORTED_COUNT: usize = 1024;

/// Records of segments: where their values are, as the log or the index says it.
#[derive(Default)]
pub(crate) struct Records {
    /// The bytes of all keys.
    keys: Vec<u8>,
    places: Vec<Place>,
    /// Where each sorted run ends.
    ends: Vec<usize>,
}

/// A record whose key is among the bytes of all.
struct Place {
    start: usize,
    len: u32,
    seq: SeqNo,
    ptr: ValuePtr,
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seq: SeqNo,
    pub(crate) ptr: ValuePtr,
}

impl Records {
    /// Adds one, in any order.
    pub(crate) fn push(&mut self, record: Record<'_>) {
        self.append(record);
        if self.places.len() - self.sorted_len() == SORTED_COUNT {
            self.sort();
        }
    }

    /// Adds those that come in the order of a table. Runs of [`Records::push`] must have been sorted.
    pub(crate) fn append(&mut self, record: Record<'_>) {
        let Record { key, seq, ptr } = record;
        // The log takes no longer key.
        self.places.push(Place { start: self.keys.len(), len: key.len() as u32, seq, ptr });
        self.keys.extend_from_slice(key);
    }

    /// Sorts what was pushed since the last run, which is one from now on.
    pub(crate) fn sort(&mut self) {
        let (keys, from) = (&self.keys, self.sorted_len());
        let run = self.places.get_mut(from..).unwrap_or_default();
        run.sort_unstable_by(|a, b| entry_order((a.key(keys), a.seq), (b.key(keys), b.seq)));
        self.end_run();
    }

    /// What was appended since the last run is one.
    pub(crate) fn end_run(&mut self) {
        if self.sorted_len() < self.places.len() {
            self.ends.push(self.places.len());
        }
    }

    /// All of them, in the order of a table. They are sorted.
    pub(crate) fn in_order(&self) -> InOrder<'_> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let runs = starts.zip(&self.ends).filter_map(|(start, &end)| self.places.get(start..end));
        InOrder { runs: runs.filter_map(|run| Run::new(&self.keys, run)).collect() }
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.places.clear();
        self.ends.clear();
    }

    /// Bytes that they take.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.places.len() * size_of::<Place>()
    }

    fn sorted_len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}

impl Place {
    fn key<'a>(&self, keys: &'a [u8]) -> &'a [u8] {
        keys.get(self.start..self.start + self.len as usize).unwrap_or_default()
    }
}

/// Records in the order of a table: key ascending, sequence descending.
pub(crate) struct InOrder<'a> {
    /// The one that comes first on top.
    runs: BinaryHeap<Run<'a>>,
}

/// What is left of a sorted run.
struct Run<'a> {
    keys: &'a [u8],
    first: Record<'a>,
    rest: &'a [Place],
}

impl InOrder<'_> {
    /// The next one, which stays the next one.
    pub(crate) fn peek(&self) -> Option<Record<'_>> {
        self.runs.peek().map(|run| run.first)
    }
}

impl<'a> Iterator for InOrder<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mut top = self.runs.peek_mut()?;
        let first = top.first;
        match Run::new(top.keys, top.rest) {
            Some(run) => *top = run,
            None => drop(PeekMut::pop(top)),
        }
        Some(first)
    }
}

impl<'a> Run<'a> {
    fn new(keys: &'a [u8], places: &'a [Place]) -> Option<Self> {
        let (place, rest) = places.split_first()?;
        Some(Self { keys, first: Record { key: place.key(keys), seq: place.seq, ptr: place.ptr }, rest })
    }
}

impl Ord for Run<'_> {
    /// The greatest is the one that comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        entry_order((other.first.key, other.first.seq), (self.first.key, self.first.seq))
    }
}

impl PartialOrd for Run<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Run<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_the_order_of_a_table_however_they_came() {
        let record = |i: u64| {
            let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = format!("{}", mixed % 700).into_bytes();
            (key, SeqNo::new(i), ValuePtr { segment: i as u32, offset: (mixed >> 40) as u32, len: 7 })
        };
        for count in [0, 1, 2, 1023, 1024, 1025, 5000] {
            let mut records = Records::default();
            let mut want: Vec<_> = (0..count).map(record).collect();
            for (key, seq, ptr) in &want {
                records.push(Record { key, seq: *seq, ptr: *ptr });
            }
            records.sort();
            want.sort_by(|a, b| entry_order((&a.0, a.1), (&b.0, b.1)));
            // Twice: by pushing, and by appending what is in order already, in runs.
            let mut appended = Records::default();
            for part in 0..3 {
                let of_part = |at: usize| at % 3 == part;
                for record in records.in_order().enumerate().filter(|&(at, _)| of_part(at)) {
                    appended.append(record.1);
                }
                appended.end_run();
            }
            for records in [&records, &appended] {
                let mut in_order = records.in_order();
                for (key, seq, ptr) in &want {
                    let next = in_order.peek().map(|next| (next.key.to_vec(), next.seq));
                    assert_eq!(next, Some((key.clone(), *seq)));
                    let got = in_order.next().expect("as many as came");
                    assert_eq!((got.key, got.seq, got.ptr), (&key[..], *seq, *ptr));
                }
                assert!(in_order.peek().is_none() && in_order.next().is_none());
            }
            assert!(records.len() >= count as usize * size_of::<Place>());
            records.clear();
            assert!(records.len() == 0 && records.in_order().next().is_none());
        }
    }
}
