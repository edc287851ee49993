//! Which versions of a key some read still sees.
//!
//! Versions of a key come from new to old. A read point sees the first one that is not above it and that no drop hides
//! from it. So every version is offered to the points that have found none yet; one that no point takes is dead. Hidden
//! versions are passed over *before* it is asked which one shows: a dropped version must not shadow the one below it.

use crate::keeper::{DropRange, Group};
use jdb_base::SeqNo;
use jdb_io::plant::{Plant, planted};

/// Decides for one key after another of one group.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// Descending; the first one is every read from now on.
    points: Vec<SeqNo>,
    /// Of the group, those that may be applied.
    drops: Vec<DropRange>,
    /// Points before this one have found their version. Used without drops, which points pass in order.
    found: usize,
    /// Which points have found their version. Used with drops.
    found_by: Vec<bool>,
}

impl Shadow {
    /// For the keys of `group`; drops above `now` are not applied yet.
    pub(crate) fn new(group: Group, now: SeqNo) -> Self {
        let mut points = group.points;
        if planted(Plant::SnapshotIgnored) {
            points.clear();
        }
        points.retain(|&point| point < now);
        points.push(SeqNo::MAX);
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.dedup();
        let mut drops = group.drops;
        drops.retain(|drop| drop.at <= now);
        Self { found_by: vec![false; points.len()], points, drops, found: 0 }
    }

    /// The versions of another key begin.
    #[inline]
    pub(crate) fn begin_key(&mut self) {
        self.found = 0;
        if !self.drops.is_empty() {
            self.found_by.fill(false);
        }
    }

    /// Whether any read sees the version of this sequence, the next older one of the key.
    ///
    /// Cost: O(1) amortized without drops, else points x drops.
    #[inline]
    pub(crate) fn sees(&mut self, seq: SeqNo) -> bool {
        if self.drops.is_empty() {
            let before = self.found;
            while self.points.get(self.found).is_some_and(|&point| point >= seq) {
                self.found += 1;
            }
            return self.found > before;
        }
        let mut seen = false;
        for (&point, found) in self.points.iter().zip(&mut self.found_by) {
            if *found || point < seq {
                continue;
            }
            let hidden = self.drops.iter().any(|drop| drop.at <= point && drop.covers(seq));
            seen |= !hidden;
            *found = !hidden || planted(Plant::ShadowBeforeDrops);
        }
        seen
    }

    /// A version of this sequence stays although drops cover it, for an older read point: the sequence below the oldest
    /// of these drops. [`SeqNo::MAX`] when no drop covers it.
    #[inline]
    pub(crate) fn drop_seq_max(&self, seq: SeqNo) -> SeqNo {
        let covering = self.drops.iter().filter(|drop| drop.covers(seq));
        covering.map(|drop| SeqNo::new(drop.at.get().saturating_sub(1))).min().unwrap_or(SeqNo::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seq: u64) -> SeqNo {
        SeqNo::new(seq)
    }

    fn group(points: &[u64], drops: &[(u64, u64, u64)]) -> Group {
        let drops = drops.iter().map(|&(from, to, at)| DropRange { from: s(from), to: s(to), at: s(at) });
        Group { end: None, points: points.iter().map(|&p| s(p)).collect(), drops: drops.collect() }
    }

    #[test]
    fn each_read_point_keeps_the_newest_version_it_sees() {
        for (points, drops, versions, want) in [
            (&[][..], &[][..], &[9, 7, 5][..], &[9][..]),
            (&[8], &[], &[9, 7, 5], &[9, 7]),
            (&[7], &[], &[9, 7, 5], &[9, 7]),
            (&[6, 8], &[], &[9, 7, 5], &[9, 7, 5]),
            (&[4], &[], &[9, 7, 5], &[9]),
            // At or above now: as every later read.
            (&[20, 30], &[], &[9, 7, 5], &[9]),
            // A whole drop: everything goes, unless an older read point sees it.
            (&[], &[(0, 8, 8)], &[7, 5], &[]),
            (&[], &[(0, 8, 8)], &[9, 7, 5], &[9]),
            (&[6], &[(0, 8, 8)], &[7, 5], &[5]),
            (&[8], &[(0, 8, 8)], &[7, 5], &[]),
            // An aborted import: what lies below it shows again.
            (&[], &[(6, 8, 10)], &[7, 5], &[5]),
            (&[9], &[(6, 8, 10)], &[7, 5], &[7, 5]),
            // A drop above now waits.
            (&[], &[(0, 30, 30)], &[7, 5], &[7]),
        ] {
            let mut shadow = Shadow::new(group(points, drops), s(20));
            for _ in 0..2 {
                shadow.begin_key();
                let kept: Vec<u64> = versions.iter().copied().filter(|&v| shadow.sees(s(v))).collect();
                assert_eq!(kept, want, "points {points:?} drops {drops:?} versions {versions:?}");
            }
        }
    }

    #[test]
    fn what_a_read_point_kept_lowers_the_drop_sequence() {
        let shadow = Shadow::new(group(&[6], &[(0, 8, 8), (0, 12, 12), (14, 16, 17)]), s(20));
        for (seq, want) in [(5, s(7)), (9, s(11)), (13, SeqNo::MAX), (15, s(16))] {
            assert_eq!(shadow.drop_seq_max(s(seq)), want, "{seq}");
        }
    }
}
