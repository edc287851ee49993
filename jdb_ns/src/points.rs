//! Read points: sequences at which snapshots and scans still read.
//!
//! A read point keeps rows, not files: a compaction writes what it sees into the new tables, so that the old ones go. It
//! counts for its own namespace only; all others of the shard forget as if it were not there.

use crate::drops::family;
use crate::shard::Shard;
use jdb_base::{NsId, SeqNo};
use jdb_io::plant::{Plant, planted};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// The read points of a shard.
#[derive(Clone, Default, Debug)]
pub(crate) struct ReadPoints {
    /// By namespace, then by sequence: how often it is held.
    by_ns: BTreeMap<NsId, BTreeMap<SeqNo, usize>>,
}

impl ReadPoints {
    pub(crate) fn add(&mut self, ns: NsId, seq: SeqNo) {
        *self.by_ns.entry(family(ns)).or_default().entry(seq).or_default() += 1;
    }

    fn remove(&mut self, ns: NsId, seq: SeqNo) {
        let ns = family(ns);
        let Some(points) = self.by_ns.get_mut(&ns) else { return };
        if let Some(count) = points.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                points.remove(&seq);
            }
        }
        if points.is_empty() {
            self.by_ns.remove(&ns);
        }
    }

    /// Those of a namespace, ascending.
    pub(crate) fn of(&self, ns: NsId) -> impl DoubleEndedIterator<Item = SeqNo> {
        self.by_ns.get(&family(ns)).into_iter().flat_map(|points| points.keys().copied())
    }

    /// Whether a read of `ns` may still be made at or above `from` and below `to`.
    pub(crate) fn any_between(&self, ns: NsId, from: SeqNo, to: SeqNo) -> bool {
        from < to && self.by_ns.get(&family(ns)).is_some_and(|points| points.range(from..to).next().is_some())
    }

    /// Whether any namespace has one from `oldest` to `newest`, both included.
    pub(crate) fn any_of(&self, oldest: SeqNo, newest: SeqNo) -> bool {
        self.by_ns.values().any(|points| points.range(oldest..=newest).next().is_some())
    }

    /// The first namespace above `ns`, of the same class, that has one.
    pub(crate) fn next_ns(&self, ns: NsId) -> Option<NsId> {
        crate::drops::next_ns(&self.by_ns, ns)
    }

    /// No read point at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_ns.is_empty()
    }

    /// How many, each time one is held.
    pub(crate) fn count(&self) -> usize {
        self.by_ns.values().flat_map(BTreeMap::values).sum()
    }
}

/// Holds a read point until it is dropped.
pub(crate) struct HeldPoint {
    shard: Rc<Shard>,
    ns: NsId,
    seq: SeqNo,
}

impl HeldPoint {
    /// Holds the sequence that reads of `ns` see now.
    pub(crate) fn now(shard: &Rc<Shard>, ns: NsId) -> Self {
        let seq = shard.visible.get();
        if !planted(Plant::ForgetReadPoint) {
            shard.points.borrow_mut().add(ns, seq);
        }
        Self { shard: Rc::clone(shard), ns, seq }
    }

    pub(crate) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    pub(crate) fn ns(&self) -> NsId {
        self.ns
    }

    pub(crate) fn seq(&self) -> SeqNo {
        self.seq
    }
}

impl Clone for HeldPoint {
    fn clone(&self) -> Self {
        if !planted(Plant::ForgetReadPoint) {
            self.shard.points.borrow_mut().add(self.ns, self.seq);
        }
        Self { shard: Rc::clone(&self.shard), ns: self.ns, seq: self.seq }
    }
}

impl Drop for HeldPoint {
    fn drop(&mut self) {
        self.shard.points.borrow_mut().remove(self.ns, self.seq);
        // Drops that it held down may be due now, tables that it had pinned may go, others may hold values for it alone.
        if self.shard.tree.retired_count() > 0
            || self
                .shard
                .held_points
                .get()
                .is_some_and(|(oldest, newest)| oldest <= self.seq && self.seq <= newest)
            || !self.shard.drops.borrow().of(self.ns).is_empty()
        {
            self.shard.want_compaction();
        }
    }
}

impl fmt::Debug for HeldPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldPoint").field("ns", &self.ns).field("seq", &self.seq).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jdb_base::Class;

    #[test]
    fn a_point_counts_for_its_namespace_until_all_who_hold_it_let_go() {
        let s = SeqNo::new;
        let mut points = ReadPoints::default();
        let hidden = NsId::new(Class::UserHidden, 7);
        points.add(NsId::from(7u64), s(5));
        points.add(hidden, s(5));
        points.add(NsId::from(9u64), s(6));
        assert_eq!(points.count(), 3);
        for (ns, from, to, want) in
            [(7u64, 5, 6, true), (7, 4, 5, false), (7, 6, 9, false), (7, 5, 5, false), (8, 0, 9, false)]
        {
            assert_eq!(points.any_between(NsId::from(ns), s(from), s(to)), want, "{ns}: {from}..{to}");
        }
        assert_eq!(points.next_ns(NsId::from(7u64)), Some(NsId::from(9u64)));
        assert_eq!(points.next_ns(hidden), Some(NsId::new(Class::UserHidden, 9)));
        points.remove(NsId::from(7u64), s(5));
        assert_eq!(points.of(hidden).collect::<Vec<_>>(), [s(5)]);
        points.remove(hidden, s(5));
        points.remove(NsId::from(9u64), s(6));
        assert!(points.is_empty());
    }
}
