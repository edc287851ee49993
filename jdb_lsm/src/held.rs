//! Versions that a table holds for read points alone: garbage as soon as these are gone.
//!
//! A table never changes, so that what a snapshot kept in it would stay after the snapshot. In a deep level nothing else
//! would make it due: nothing above hides it, and the level is not too long. So a table knows how many bytes of values it
//! holds for which read points, and is written anew when they are gone and it is worth it.

use jdb_base::SeqNo;

/// Ranges kept apart; further ones widen the last.
const RANGE_COUNT_MAX: usize = 16;

/// Bytes of values by the read points that see them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Held {
    ranges: Vec<HeldRange>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct HeldRange {
    /// The oldest read point that sees them.
    oldest: SeqNo,
    /// The newest one.
    newest: SeqNo,
    len: u64,
}

impl Held {
    /// What a table holds for read points that no longer exist, as after an open.
    #[must_use]
    pub fn released(len: u64) -> Self {
        let mut held = Self::default();
        held.add(SeqNo::ZERO, SeqNo::ZERO, len);
        held
    }

    /// A value of `len` bytes is there for read points from `oldest` to `newest` alone.
    pub(crate) fn add(&mut self, oldest: SeqNo, newest: SeqNo, len: u64) {
        if len == 0 {
            return;
        }
        let same = self.ranges.iter().position(|r| (r.oldest, r.newest) == (oldest, newest));
        let full = self.ranges.len() == RANGE_COUNT_MAX;
        match same.or(full.then(|| self.ranges.len() - 1)).and_then(|at| self.ranges.get_mut(at)) {
            Some(range) => {
                range.oldest = range.oldest.min(oldest);
                range.newest = range.newest.max(newest);
                range.len = range.len.saturating_add(len);
            }
            None => self.ranges.push(HeldRange { oldest, newest, len }),
        }
    }

    /// Nothing is held for a read point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The oldest and the newest read point for which anything is held.
    #[must_use]
    pub fn points(&self) -> Option<(SeqNo, SeqNo)> {
        let oldest = self.ranges.iter().map(|range| range.oldest).min()?;
        Some((oldest, self.ranges.iter().map(|range| range.newest).max()?))
    }

    /// Bytes of all of it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.len))
    }

    /// Bytes that nobody reads any more. `wanted(oldest, newest)` says whether there still is a read point from `oldest` to
    /// `newest`, both included; there are no new ones at these sequences.
    #[must_use]
    pub fn released_len(&self, wanted: impl Fn(SeqNo, SeqNo) -> bool) -> u64 {
        let released = self.ranges.iter().filter(|range| !wanted(range.oldest, range.newest));
        released.fold(0, |sum, range| sum.saturating_add(range.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_released_when_the_last_point_of_their_range_is_gone() {
        let s = SeqNo::new;
        let mut held = Held::default();
        assert!(held.is_empty());
        held.add(s(5), s(5), 10);
        held.add(s(5), s(9), 100);
        held.add(s(5), s(5), 1);
        held.add(s(7), s(7), 0);
        assert_eq!((held.len(), held.points()), (111, Some((s(5), s(9)))));
        for (points, want) in [(&[][..], 111), (&[5], 0), (&[9], 11), (&[7], 11), (&[4, 10], 111)] {
            let wanted = |oldest, newest| points.iter().any(|&point| (oldest..=newest).contains(&s(point)));
            assert_eq!(held.released_len(wanted), want, "{points:?}");
        }
        assert_eq!(Held::released(7).released_len(|oldest, _| oldest > SeqNo::ZERO), 7);
        assert!(Held::released(0).is_empty());
    }

    #[test]
    fn many_ranges_take_little_room_and_release_nothing_too_early() {
        let s = SeqNo::new;
        let mut held = Held::default();
        (1..=1000).for_each(|seq| held.add(s(seq), s(seq), 1));
        assert_eq!((held.ranges.len(), held.len()), (RANGE_COUNT_MAX, 1000));
        for point in 1..=1000 {
            let kept = 1000 - held.released_len(|oldest, newest| (oldest..=newest).contains(&s(point)));
            assert!(kept >= 1, "{point}");
        }
        assert_eq!(held.released_len(|_, _| false), 1000);
    }
}
