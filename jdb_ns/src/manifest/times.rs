//! When which sequences were written: a bounded list of flushes, from which the time of a change is read.

use jdb_base::SeqNo;

/// Flushes that are remembered. When there are more, the one goes whose loss is the smallest part of its age: times are known to
/// a few hundredths of how long they are ago, about.
const COUNT_MAX: usize = 512;

/// Everything up to a sequence was written by this time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct TimeMark {
    /// The newest sequence that it is about.
    pub seq: SeqNo,
    /// Wall-clock time in milliseconds since 1970.
    pub unix_ms: u64,
}

/// Marks by ascending sequence.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Times(Vec<TimeMark>);

impl Times {
    /// Adds a mark; one that is not above the last one is not needed.
    pub fn push(&mut self, mark: TimeMark) {
        if self.0.last().is_some_and(|last| mark.seq <= last.seq) {
            return;
        }
        if self.0.len() >= COUNT_MAX
            && let Some(least) = self.least(mark.unix_ms)
        {
            self.0.remove(least);
        }
        self.0.push(mark);
    }

    /// The mark that is missed least as of `now`.
    fn least(&self, now: u64) -> Option<usize> {
        let loss = |three: &[TimeMark]| match three {
            [before, _, after] => {
                let since = |from: &TimeMark, to: u64| to.saturating_sub(from.unix_ms) as f64;
                since(before, after.unix_ms) / since(before, now).max(1.0)
            }
            _ => f64::INFINITY,
        };
        let losses = self.0.windows(3).map(loss).enumerate();
        losses.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(before, _)| before + 1)
    }

    /// The time by which `seq` was written; `None` when that is in no table yet.
    #[must_use]
    pub fn of(&self, seq: SeqNo) -> Option<u64> {
        let at = self.0.partition_point(|mark| mark.seq < seq);
        self.0.get(at).map(|mark| mark.unix_ms)
    }

    /// All marks.
    pub fn iter(&self) -> impl Iterator<Item = TimeMark> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seq: u64) -> TimeMark {
        TimeMark { seq: SeqNo::new(seq), unix_ms: seq * 1000 }
    }

    #[test]
    fn a_change_has_the_time_of_the_first_flush_behind_it() {
        let mut times = Times::default();
        [10, 20, 20, 15, 30].into_iter().for_each(|seq| times.push(mark(seq)));
        for (seq, want) in [(1, Some(10)), (10, Some(10)), (11, Some(20)), (30, Some(30)), (31, None)] {
            assert_eq!(times.of(SeqNo::new(seq)), want.map(|s| s * 1000), "{seq}");
        }
    }

    #[test]
    fn the_list_is_bounded_and_old_times_are_only_rounded_up() {
        let mut times = Times::default();
        for seq in 1..=100_000 {
            times.push(mark(seq));
        }
        assert!(times.iter().count() <= COUNT_MAX);
        assert!(times.iter().is_sorted());
        for seq in (1..100_000).step_by(777) {
            let of = times.of(SeqNo::new(seq)).unwrap() / 1000;
            assert!(of >= seq && of - seq <= (100_000 - seq) / 20, "{seq}: {of}");
        }
        assert_eq!(times.of(SeqNo::new(99_990)), Some(99_990_000));
    }
}
