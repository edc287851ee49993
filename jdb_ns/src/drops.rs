//! The drop map: which sequences of a namespace a drop took away, and from when on.
//!
//! A drop is one interval `(from, to]` at its own sequence `at`: a read at or after `at` does not see entries of the
//! namespace inside it, an older read still does. Adding an interval therefore never changes what a running read sees,
//! and is done in place; only removing one could, so that makes a new map for new reads.
//!
//! An interval leaves when no table that covers the namespace can hold an entry of it any more.

use crate::manifest::DropEntry;
use jdb_base::{Class, NsId, SeqNo, key};
use jdb_lsm::{Hidden, SeqRange};
use std::collections::BTreeMap;

/// All drops that some table or memtable of the shard may still need.
#[derive(Clone, Default, Debug)]
pub struct DropMap {
    /// Ascending by `at`.
    by_ns: BTreeMap<NsId, Vec<DropEntry>>,
    count: usize,
}

impl DropMap {
    /// Adds a drop; a second one with the same `at` is the same drop. Cost: a look-up when it is the newest.
    pub fn add(&mut self, drop: DropEntry) {
        let drops = self.by_ns.entry(family(drop.ns)).or_default();
        if let Err(place) = drops.binary_search_by_key(&drop.at, |d| d.at) {
            drops.insert(place, drop);
            self.count += 1;
        }
    }

    /// Whole drops at or below `last_seq` that a newer whole one of the same namespace at or below it covers.
    #[must_use]
    pub fn covered(&self, last_seq: SeqNo) -> Vec<SeqNo> {
        let mut covered = Vec::new();
        for drops in self.by_ns.values() {
            let mut whole = drops.iter().rev().filter(|d| d.from == SeqNo::ZERO && d.at <= last_seq);
            if let Some(newest) = whole.next() {
                covered.extend(whole.filter(|d| d.to <= newest.to).map(|d| d.at));
            }
        }
        covered
    }

    /// Takes out the drops with these `at`.
    pub fn remove(&mut self, gone: &[SeqNo]) {
        self.by_ns.retain(|_, drops| {
            let before = drops.len();
            drops.retain(|d| !gone.contains(&d.at));
            self.count -= before - drops.len();
            !drops.is_empty()
        });
    }

    /// What a read of `ns` at `seq` does not see.
    #[must_use]
    pub fn hidden(&self, ns: NsId, seq: SeqNo) -> Hidden {
        if self.by_ns.is_empty() {
            return Hidden::NONE;
        }
        let Some(drops) = self.by_ns.get(&family(ns)) else { return Hidden::NONE };
        let mut ranges = Vec::new();
        for drop in drops.iter().rev().filter(|d| d.at <= seq) {
            ranges.push(SeqRange { from: drop.from, to: drop.to });
            if drop.from == SeqNo::ZERO {
                // Older drops end below this one: whatever they hide it hides.
                break;
            }
        }
        Hidden::new(ranges)
    }

    /// All drops.
    pub fn iter(&self) -> impl Iterator<Item = &DropEntry> {
        self.by_ns.values().flatten()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The id under which both its rows and its hidden rows are dropped.
fn family(ns: NsId) -> NsId {
    let class = match ns.class() {
        Class::UserHidden => Class::User,
        Class::NamedHidden => Class::Named,
        class => class,
    };
    NsId::new(class, ns.id())
}

/// The key ranges `lower <= key < upper` of the rows and the hidden rows of `ns`.
#[must_use]
pub fn key_ranges(ns: NsId) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let ns = family(ns);
    let hidden = match ns.class() {
        Class::User => Some(Class::UserHidden),
        Class::Named => Some(Class::NamedHidden),
        _ => None,
    };
    std::iter::once(ns.class())
        .chain(hidden)
        .map(|class| {
            let lower = key::engine_key(NsId::new(class, ns.id()), &[]);
            let upper = key::prefix_end(&lower);
            (lower, upper)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(ns: u64, from: u64, to: u64, at: u64) -> DropEntry {
        DropEntry { ns: NsId::from(ns), from: SeqNo::new(from), to: SeqNo::new(to), at: SeqNo::new(at) }
    }

    #[test]
    fn a_drop_hides_from_its_sequence_on_and_an_older_read_still_sees() {
        let mut map = DropMap::default();
        map.add(drop(1, 0, 10, 10));
        map.add(drop(1, 0, 20, 20));
        map.add(drop(1, 0, 20, 20));
        assert_eq!(map.count(), 2);
        for (ns, read, seq, want) in [
            (1u64, 9, 5, false),
            (1, 10, 5, true),
            (1, 10, 11, false),
            (1, 15, 15, false),
            (1, 20, 15, true),
            (1, 30, 21, false),
            (2, 30, 5, false),
        ] {
            let hidden = map.hidden(NsId::from(ns), SeqNo::new(read));
            assert_eq!(hidden.hides(SeqNo::new(seq)), want, "ns {ns} read at {read} entry {seq}");
        }
        map.remove(&[SeqNo::new(20)]);
        assert_eq!(map.count(), 1);
        assert!(!map.hidden(NsId::from(1u64), SeqNo::new(30)).hides(SeqNo::new(15)));
    }

    #[test]
    fn a_drop_covers_the_hidden_rows_of_the_id() {
        let mut map = DropMap::default();
        map.add(drop(1, 0, 10, 10));
        let hidden = NsId::new(Class::UserHidden, 1);
        assert!(map.hidden(hidden, SeqNo::new(10)).hides(SeqNo::new(3)));
        assert_eq!(key_ranges(NsId::from(1u64)).len(), 2);
    }
}
