//! Contestants take turns.

use jdb_bench::{Result, median};
use std::time::Instant;

/// A piece of work; it gives the number of entries that it dealt with.
pub(crate) type Work<'a> = Box<dyn FnMut() -> Result<u64> + 'a>;

/// Nanoseconds an entry of each contestant, round by round.
pub(crate) struct Times(Vec<Vec<f64>>);

/// Runs all works once to warm up, then once a round, one after the other; every other round in the opposite order.
pub(crate) fn take_turns(rounds: usize, mut works: Vec<Work<'_>>) -> Result<Times> {
    let mut times = vec![Vec::new(); works.len()];
    for work in &mut works {
        work()?;
    }
    for round in 0..rounds.max(1) {
        let mut order: Vec<usize> = (0..works.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            if let (Some(work), Some(times)) = (works.get_mut(index), times.get_mut(index)) {
                let start = Instant::now();
                let count = work()?;
                times.push(start.elapsed().as_nanos() as f64 / count.max(1) as f64);
            }
        }
    }
    Ok(Times(times))
}

impl Times {
    /// The median of a contestant, in nanoseconds an entry.
    pub(crate) fn median(&self, index: usize) -> f64 {
        median(self.0.get(index).cloned().unwrap_or_default())
    }

    /// The median over the rounds of one contestant's time divided by another's.
    pub(crate) fn ratio(&self, one: usize, other: usize) -> f64 {
        let pairs = self.0.get(one).into_iter().flatten().zip(self.0.get(other).into_iter().flatten());
        median(pairs.map(|(one, other)| one / other).collect())
    }
}
