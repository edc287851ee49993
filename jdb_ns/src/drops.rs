//! The drop map: which sequences of a namespace a drop took away, and from when on.
//!
//! A drop is one interval `(from, to]` at its own sequence `at`: a read at or after `at` does not see entries of the
//! namespace inside it, an older read still does. A read takes what is hidden from it together with its Version, in one
//! step, so that nothing that happens to the map later changes what it sees.
//!
//! Two ways out: an interval that a newer one of the namespace covers leaves when no read point lies between the two, and
//! one that every table has applied is needed by nobody (`retire`).

use crate::manifest::DropEntry;
use crate::points::ReadPoints;
use jdb_base::{Class, NsId, SeqNo, key};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::{Hidden, SeqRange};
use std::collections::BTreeMap;
use std::ops::Bound;

/// All drops that some table or memtable of the shard may still need.
#[derive(Clone, Default, Debug)]
pub struct DropMap {
    /// Ascending by `at`.
    by_ns: BTreeMap<NsId, Vec<DropEntry>>,
    /// The same by their own sequence.
    by_at: BTreeMap<SeqNo, DropEntry>,
}

impl DropMap {
    /// Adds a drop; a second one with the same `at` is the same drop. Cost: a look-up when it is the newest.
    pub fn add(&mut self, drop: DropEntry) {
        let drops = self.by_ns.entry(family(drop.ns)).or_default();
        if let Err(place) = drops.binary_search_by_key(&drop.at, |d| d.at) {
            drops.insert(place, drop);
            self.by_at.insert(drop.at, drop);
        }
    }

    /// Whole drops at or below `last_seq` that a newer whole one of the same namespace at or below it covers, with no read
    /// point between the two.
    pub(crate) fn covered(&self, last_seq: SeqNo, points: &ReadPoints) -> Vec<DropEntry> {
        let mut covered = Vec::new();
        for (&ns, drops) in self.by_ns.iter().filter(|(_, drops)| drops.len() > 1) {
            let mut whole = drops.iter().rev().filter(|d| d.from == SeqNo::ZERO && d.at <= last_seq);
            let Some(mut newer) = whole.next() else { continue };
            for drop in whole {
                let held =
                    points.any_between(ns, drop.at, newer.at) && !planted(Plant::MergeDropsOverSnapshot);
                if drop.to <= newer.to && !held {
                    covered.push(*drop);
                } else {
                    newer = drop;
                }
            }
        }
        covered
    }

    /// Takes out these drops.
    pub fn remove(&mut self, gone: &[DropEntry]) {
        for drop in gone {
            let ns = family(drop.ns);
            let Some(drops) = self.by_ns.get_mut(&ns) else { continue };
            if let Ok(place) = drops.binary_search_by_key(&drop.at, |d| d.at) {
                drops.remove(place);
                self.by_at.remove(&drop.at);
            }
            if drops.is_empty() {
                self.by_ns.remove(&ns);
            }
        }
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

    /// The drops of a namespace, ascending by `at`.
    pub fn of(&self, ns: NsId) -> &[DropEntry] {
        self.by_ns.get(&family(ns)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The drops of the namespaces that may have rows at or between these engine keys.
    pub fn touching<'a>(&'a self, first_key: &[u8], last_key: &[u8]) -> impl Iterator<Item = &'a DropEntry> {
        let ns = |mut key: &[u8]| NsId::take(&mut key);
        let range = match (ns(first_key), ns(last_key)) {
            (Some(first), Some(last)) if first.class() == last.class() => {
                (Bound::Included(family(first)), Bound::Included(family(last)))
            }
            // Rows and hidden rows of some: any may be among them.
            _ => (Bound::Unbounded, Bound::Unbounded),
        };
        self.by_ns.range(range).flat_map(|(_, drops)| drops)
    }

    /// The first namespace above `ns`, of the same class, that has a drop.
    pub(crate) fn next_ns(&self, ns: NsId) -> Option<NsId> {
        next_ns(&self.by_ns, ns)
    }

    /// The drops above `from`, up to and including `to`, in their order.
    pub fn between(&self, from: SeqNo, to: SeqNo) -> impl Iterator<Item = &DropEntry> {
        let range = (from < to).then(|| self.by_at.range((Bound::Excluded(from), Bound::Included(to))));
        range.into_iter().flatten().map(|(_, drop)| drop)
    }

    /// All of them, ascending by `at`.
    pub(crate) fn all(&self) -> impl Iterator<Item = &DropEntry> {
        self.by_at.values()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_at.len()
    }
}

/// The id under which both its rows and its hidden rows are dropped.
pub(crate) fn family(ns: NsId) -> NsId {
    let class = match ns.class() {
        Class::UserHidden => Class::User,
        Class::NamedHidden => Class::Named,
        class => class,
    };
    NsId::new(class, ns.id())
}

/// The first key of `map`, which is keyed by [`family`], above the family of `ns`, in the class of `ns`.
pub(crate) fn next_ns<T>(map: &BTreeMap<NsId, T>, ns: NsId) -> Option<NsId> {
    let (from, last) = (family(ns), NsId::new(family(ns).class(), u128::MAX));
    if from == last {
        return None;
    }
    let next = map.range((Bound::Excluded(from), Bound::Included(last))).next();
    next.map(|(next, _)| NsId::new(ns.class(), next.id()))
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
        let between = |from, to| map.between(SeqNo::new(from), SeqNo::new(to)).count();
        assert_eq!([between(0, 20), between(10, 20), between(10, 19), between(20, 9)], [2, 1, 0, 0]);
        map.remove(&[drop(1, 0, 20, 20)]);
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
        assert_eq!(map.of(hidden).len(), 1);
    }

    #[test]
    fn drops_merge_unless_a_read_point_lies_between() {
        for (points, last_seq, want) in [
            (&[][..], 40, &[30, 20, 10][..]),
            (&[], 30, &[20, 10]),
            (&[25], 40, &[30, 10]),
            (&[20], 40, &[30, 10]),
            (&[19], 40, &[30, 20]),
            (&[9, 40], 40, &[30, 20, 10]),
            (&[15, 35], 40, &[20]),
        ] {
            let mut map = DropMap::default();
            [10, 20, 30, 40].into_iter().for_each(|at| map.add(drop(1, 0, at, at)));
            map.add(drop(2, 0, 15, 15));
            let mut held = ReadPoints::default();
            points.iter().for_each(|&point| held.add(NsId::from(1u64), SeqNo::new(point)));
            let covered: Vec<u64> =
                map.covered(SeqNo::new(last_seq), &held).iter().map(|drop| drop.at.get()).collect();
            assert_eq!(covered, want, "points {points:?}, through {last_seq}");
        }
    }

    #[test]
    fn drops_that_touch_a_range_are_those_of_its_namespaces() {
        let mut map = DropMap::default();
        for ns in [1u64, 5, 300, 7] {
            map.add(drop(ns, 0, ns, ns));
        }
        let key = |class, id| key::engine_key(NsId::new(class, id), b"k");
        for (first, last, want) in [
            (key(Class::User, 2), key(Class::User, 299), &[5, 7][..]),
            (key(Class::UserHidden, 5), key(Class::UserHidden, 5), &[5]),
            (key(Class::User, 300), key(Class::UserHidden, 0), &[1, 5, 7, 300]),
            (key(Class::Named, 0), key(Class::Named, 999), &[]),
        ] {
            let found: Vec<u64> = map.touching(&first, &last).map(|drop| drop.at.get()).collect();
            assert_eq!(found, want, "{first:?}..={last:?}");
        }
    }
}
