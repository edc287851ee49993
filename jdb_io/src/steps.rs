//! How long tasks hold the thread: one clock for each poll, sorted into bins.
//!
//! A database shares its thread with whoever uses it, so background work comes in short steps. What the longest one took is
//! measured, not hoped for.

use crate::disk::Disk;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

/// Bins for each doubling of the time.
const BINS_PER_DOUBLING: u32 = 4;
/// Shorter times, in nanoseconds, count as this.
const NS_MIN: u64 = 4;
const BIN_COUNT: usize = (u64::BITS * BINS_PER_DOUBLING) as usize;

/// Times of steps, in bins a quarter of a doubling wide.
pub struct Steps {
    bins: Box<[Cell<u64>]>,
    longest: Cell<Duration>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { bins: vec![Cell::new(0); BIN_COUNT].into(), longest: Cell::default() }
    }
}

impl Steps {
    /// Counts a step that took so long.
    pub fn note(&self, time: Duration) {
        if let Some(bin) = self.bins.get(bin_of(time)) {
            bin.set(bin.get() + 1);
        }
        self.longest.set(self.longest.get().max(time));
    }

    /// Steps counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().map(Cell::get).sum()
    }

    /// The longest one.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest.get()
    }

    /// A time that this share of the steps did not pass, 0..=1, too large by a quarter at most; zero without steps.
    ///
    /// ```
    /// use std::time::Duration;
    /// let steps = jdb_io::Steps::default();
    /// (1..=1000).for_each(|us| steps.note(Duration::from_micros(us)));
    /// let p99 = steps.quantile(0.99).as_micros();
    /// assert!((990..1250).contains(&p99), "{p99}");
    /// assert_eq!(steps.quantile(1.0), steps.longest());
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64;
        let mut passed = 0;
        for (number, bin) in self.bins.iter().enumerate() {
            passed += bin.get();
            if passed >= wanted && bin.get() > 0 {
                return end_of(number).min(self.longest());
            }
        }
        Duration::ZERO
    }

    /// `task` with each of its polls measured on the disk's clock. Cost: two looks at the clock a poll.
    pub fn measure<F: Future>(
        self: &Rc<Self>,
        disk: &Disk,
        task: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let (steps, disk) = (Rc::clone(self), disk.clone());
        let mut task = Box::pin(task);
        poll_fn(move |cx| {
            let start = disk.now();
            let polled = task.as_mut().poll(cx);
            steps.note(disk.now().saturating_sub(start));
            polled
        })
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps")
            .field("count", &self.count())
            .field("longest", &self.longest())
            .finish_non_exhaustive()
    }
}

fn bin_of(time: Duration) -> usize {
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(NS_MIN);
    let doubling = ns.ilog2();
    // The two bits below the highest one.
    let quarter = (ns >> (doubling - 2)) & 3;
    (doubling * BINS_PER_DOUBLING) as usize + quarter as usize
}

/// Where a bin ends.
fn end_of(bin: usize) -> Duration {
    let (doubling, quarter) = (bin as u32 / BINS_PER_DOUBLING, bin as u64 % u64::from(BINS_PER_DOUBLING));
    let start = 1u64.checked_shl(doubling).unwrap_or(u64::MAX);
    Duration::from_nanos(start.saturating_add((start / 4).saturating_mul(quarter + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_a_bin_that_ends_a_quarter_above_it_at_most() {
        for ns in (1..2000).chain([65_535, 65_536, 500_000, u64::MAX / 2, u64::MAX]) {
            let end = end_of(bin_of(Duration::from_nanos(ns))).as_nanos();
            let ns = u128::from(ns.max(NS_MIN));
            assert!(end > ns || end == u128::from(u64::MAX), "{ns}: {end}");
            assert!(end <= ns + ns / 4 + 1, "{ns}: {end}");
        }
        assert_eq!(Steps::default().quantile(0.5), Duration::ZERO);
    }
}
