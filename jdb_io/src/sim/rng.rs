//! Chance from a seed: one 64-bit counter, hashed.

use std::cell::Cell;

/// A stream of numbers that its seed fixes.
#[derive(Debug)]
pub(super) struct Rng(Cell<u64>);

impl Rng {
    /// The stream of `seed`; `stream` keeps streams of one seed apart.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(Cell::new(mix(seed ^ mix(stream.wrapping_add(0x6a64_6273_696d)))))
    }

    pub(super) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        mix(state)
    }

    /// Below `end`; 0 when `end` is 0.
    pub(super) fn below(&self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    pub(super) fn index(&self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// From `low` up to and including `high`.
    pub(super) fn within(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in `part` of `whole` cases.
    pub(super) fn chance(&self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }
}

/// A bijection of 64 bits that leaves no pattern.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let value = (value ^ (value >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    value ^ (value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_own_stream_every_time() {
        let draw = |seed, stream| {
            let rng = Rng::new(seed, stream);
            (0..8).map(|_| rng.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 0), draw(7, 0));
        assert_ne!(draw(7, 0), draw(8, 0));
        assert_ne!(draw(7, 0), draw(7, 1));
    }

    #[test]
    fn below_reaches_every_number_and_none_above() {
        let rng = Rng::new(1, 1);
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[rng.index(6)] += 1;
        }
        assert!(seen.iter().all(|&n| n > 800), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.within(4, 4), 4);
    }
}
