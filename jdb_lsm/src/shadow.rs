//! Which versions of a key some read still sees.
//!
//! Versions of a key come from new to old. A read point sees the first one that is not above it and that no drop hides
//! from it. So every version is offered to the points that have found none yet; one that no point takes is dead. Hidden
//! versions are passed over *before* it is asked which one shows: a dropped version must not shadow the one below it.

use crate::keeper::{DropRange, Group, ReadPoint};
use jdb_base::SeqNo;
use jdb_io::plant::{Plant, planted};

/// Who sees a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Nobody: it is dead.
    Never,
    /// Every read from now on.
    Always,
    /// Read points alone, none older and none newer than these.
    ByPoints { oldest: SeqNo, newest: SeqNo },
}

/// Decides for one key after another of one group.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// Read points from new to old; the first one is every read from now on.
    points: Vec<Point>,
    /// Points before this one have found their version. Used without drops, which points pass in order.
    found: usize,
    /// Drops that reach down to sequence 0: their upper end, and the lowest sequence of a drop that ends there or above;
    /// both ascend.
    whole: Vec<(SeqNo, SeqNo)>,
    /// The other drops.
    partial: Vec<DropRange>,
}

/// A read point.
#[derive(Debug)]
struct Point {
    seq: SeqNo,
    /// The newest drop that counts for it.
    at: SeqNo,
    /// Hidden from it by whole drops: everything up to here.
    hidden_to: SeqNo,
    /// It has found its version. Used with drops.
    found: bool,
}

impl Seen {
    /// And by this point too, which is older than the others.
    #[inline]
    fn and_by(self, point: SeqNo) -> Self {
        match self {
            Self::Always => Self::Always,
            _ if point == SeqNo::MAX => Self::Always,
            Self::Never => Self::ByPoints { oldest: point, newest: point },
            Self::ByPoints { newest, .. } => Self::ByPoints { oldest: point, newest },
        }
    }
}

impl Shadow {
    /// For the keys of `group`; drops above `now` are not applied yet.
    ///
    /// Cost: (points + drops) x log(drops).
    pub(crate) fn new(group: Group, now: SeqNo) -> Self {
        let mut points = group.points;
        if planted(Plant::SnapshotIgnored) {
            points.clear();
        }
        points.retain(|point| point.seq < now);
        points.push(ReadPoint::snapshot(SeqNo::MAX));
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.dedup();
        let drops = group.drops.into_iter().filter(|drop| drop.at <= now);
        let (mut whole, partial): (Vec<_>, Vec<_>) = drops.partition(|drop| drop.from == SeqNo::ZERO);
        whole.sort_unstable_by_key(|drop| drop.at);
        let mut reach = SeqNo::ZERO;
        let reaches: Vec<(SeqNo, SeqNo)> = whole
            .iter()
            .map(|drop| {
                reach = reach.max(drop.to);
                (drop.at, reach)
            })
            .collect();
        let hidden_to = |newest: SeqNo| {
            let count = reaches.partition_point(|&(at, _)| at <= newest);
            count.checked_sub(1).and_then(|last| reaches.get(last)).map_or(SeqNo::ZERO, |&(_, reach)| reach)
        };
        let points = points
            .into_iter()
            .map(|ReadPoint { seq, at }| Point { seq, at, hidden_to: hidden_to(at), found: false })
            .collect();
        whole.sort_unstable_by_key(|drop| drop.to);
        let mut lowest = SeqNo::MAX;
        let mut whole: Vec<(SeqNo, SeqNo)> = whole
            .iter()
            .rev()
            .map(|drop| {
                lowest = lowest.min(drop.at);
                (drop.to, lowest)
            })
            .collect();
        whole.reverse();
        Self { points, found: 0, whole, partial }
    }

    /// The versions of another key begin.
    #[inline]
    pub(crate) fn begin_key(&mut self) {
        self.found = 0;
        if self.has_drops() {
            self.points.iter_mut().for_each(|point| point.found = false);
        }
    }

    /// Who sees the version of this sequence, the next older one of the key.
    ///
    /// Cost: O(1) amortized without drops, else points x partial drops.
    #[inline]
    pub(crate) fn sees(&mut self, seq: SeqNo) -> Seen {
        let mut seen = Seen::Never;
        if !self.has_drops() {
            while let Some(point) = self.points.get(self.found).filter(|point| point.seq >= seq) {
                self.found += 1;
                seen = seen.and_by(point.seq);
            }
            return seen;
        }
        for point in &mut self.points {
            if point.found || point.seq < seq {
                continue;
            }
            let hidden = seq <= point.hidden_to
                || self.partial.iter().any(|drop| drop.at <= point.at && drop.covers(seq));
            if !hidden {
                seen = seen.and_by(point.seq);
            }
            point.found = !hidden || planted(Plant::ShadowBeforeDrops);
        }
        seen
    }

    /// A version of this sequence stays although drops cover it, for an older read point: the sequence below the oldest
    /// of these drops. [`SeqNo::MAX`] when no drop covers it.
    #[inline]
    pub(crate) fn drop_seq_max(&self, seq: SeqNo) -> SeqNo {
        let whole = self.whole.get(self.whole.partition_point(|&(to, _)| to < seq)).map(|&(_, at)| at);
        let partial = self.partial.iter().filter(|drop| drop.covers(seq)).map(|drop| drop.at);
        let oldest = partial.chain(whole).min();
        oldest.map_or(SeqNo::MAX, |at| SeqNo::new(at.get().saturating_sub(1)))
    }

    #[inline]
    fn has_drops(&self) -> bool {
        !self.whole.is_empty() || !self.partial.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn s(seq: u64) -> SeqNo {
        SeqNo::new(seq)
    }

    fn group(points: &[u64], drops: &[(u64, u64, u64)]) -> Group {
        let drops = drops.iter().map(|&(from, to, at)| DropRange { from: s(from), to: s(to), at: s(at) });
        Group {
            end: None,
            points: points.iter().map(|&p| ReadPoint::snapshot(s(p))).collect(),
            drops: drops.collect(),
        }
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
                let kept: Vec<u64> =
                    versions.iter().copied().filter(|&v| shadow.sees(s(v)) != Seen::Never).collect();
                assert_eq!(kept, want, "points {points:?} drops {drops:?} versions {versions:?}");
            }
        }
    }

    #[test]
    fn a_window_point_counts_the_drops_of_today() {
        // An import from 6 on was aborted at 10 while another one, from 8 on, was open.
        for (point, want) in [
            (ReadPoint::window(s(8)), [9, 5]),
            (ReadPoint::snapshot(s(8)), [9, 7]),
            (ReadPoint { seq: s(8), at: s(12) }, [9, 5]),
        ] {
            let mut of = group(&[], &[(6, 8, 10)]);
            of.points.push(point);
            let mut shadow = Shadow::new(of, s(20));
            shadow.begin_key();
            let kept: Vec<u64> =
                [9, 7, 5, 3].into_iter().filter(|&v| shadow.sees(s(v)) != Seen::Never).collect();
            assert_eq!(kept, want, "{point:?}");
        }
    }

    #[test]
    fn any_points_and_drops_agree_with_the_definition() {
        for seed in 0..3000 {
            let mut rng = Rng(seed);
            let points: Vec<(u64, u64)> = (0..rng.below(5))
                .map(|_| {
                    let seq = 1 + rng.next() % 20;
                    (seq, [seq, seq + rng.next() % 8, u64::MAX][rng.below(3)])
                })
                .collect();
            let drops: Vec<(u64, u64, u64)> = (0..rng.below(6))
                .map(|_| {
                    let to = 1 + rng.next() % 20;
                    (if rng.once_in(2) { 0 } else { rng.next() % to }, to, to + rng.next() % 4)
                })
                .collect();
            let versions: Vec<u64> = (1..20).rev().filter(|_| rng.once_in(2)).collect();
            let now = 20;
            let mut of = group(&[], &drops);
            of.points = points.iter().map(|&(seq, at)| ReadPoint { seq: s(seq), at: s(at) }).collect();
            let mut shadow = Shadow::new(of, s(now));
            shadow.begin_key();
            let kept: Vec<u64> =
                versions.iter().copied().filter(|&v| shadow.sees(s(v)) != Seen::Never).collect();
            let hides = |point: u64, v: u64| {
                drops.iter().any(|&(from, to, at)| at <= point.min(now) && from < v && v <= to)
            };
            let mut want: Vec<u64> = (points.iter().filter(|point| point.0 < now))
                .chain([&(u64::MAX, u64::MAX)])
                .filter_map(|&(seq, at)| versions.iter().copied().find(|&v| v <= seq && !hides(at, v)))
                .collect();
            want.sort_by(|a, b| b.cmp(a));
            want.dedup();
            assert_eq!(kept, want, "seed {seed}: points {points:?} drops {drops:?} versions {versions:?}");
            for v in 1..20 {
                let covering = drops.iter().filter(|&&(from, to, at)| at <= now && from < v && v <= to);
                let want = covering.map(|drop| s(drop.2 - 1)).min().unwrap_or(SeqNo::MAX);
                assert_eq!(shadow.drop_seq_max(s(v)), want, "seed {seed}: drops {drops:?} version {v}");
            }
        }
    }

    #[test]
    fn versions_for_read_points_alone_name_these() {
        let by = |oldest, newest| Seen::ByPoints { oldest: s(oldest), newest: s(newest) };
        // The second: a drop that the points do not see.
        for (drops, newest) in [(&[][..], Seen::Always), (&[(0, 15, 15)], Seen::Never)] {
            let mut shadow = Shadow::new(group(&[3, 8, 8, 6, 4], drops), s(20));
            shadow.begin_key();
            for (version, want) in
                [(9, newest), (7, by(8, 8)), (5, by(6, 6)), (2, by(3, 4)), (1, Seen::Never)]
            {
                assert_eq!(shadow.sees(s(version)), want, "{version} {drops:?}");
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
