//! Rows that every engine gets alike: keys, values, orders and draws are functions of a row's number and of seeds.
//!
//! Keys ascend with the number of their row, so that what a seek must find is known; the orders in which rows are put and
//! read are random. Values are pieces of one pool of random bytes: they do not compress, and making one costs nothing.

use jdb_bench::keys::mix;

/// Bytes of each key.
pub(crate) const KEY_LEN: usize = 24;
/// A row's key: 8 common bytes, then 16 hexadecimal digits.
pub(crate) type Key = [u8; KEY_LEN];

/// Different places in the pool at which a value may begin.
const PLACES: usize = 1 << 22;

/// The rows of a run.
#[derive(Debug)]
pub(crate) struct Rows {
    /// How many a filled database has.
    pub(crate) count: u64,
    /// Bytes of each value.
    pub(crate) value_len: usize,
    pool: Vec<u8>,
}

impl Rows {
    pub(crate) fn new(count: u64, value_len: usize) -> Self {
        let words = (0..(PLACES + value_len) as u64).step_by(8);
        let pool = words.flat_map(|n| mix(n ^ 0x5bd1_e995).to_le_bytes()).collect();
        Self { count: count.max(1), value_len, pool }
    }

    /// The key of row `i`. Those below `count` ascend; later ones, which a workload inserts, fall anywhere between them.
    pub(crate) fn key(&self, i: u64) -> Key {
        let stride = (u64::MAX / self.count) & !3;
        // The two lowest bits tell rows of a filled database, inserted rows and absent keys apart.
        if i < self.count { spell(i * stride + ((mix(i) % stride) & !3)) } else { spell((mix(i) & !3) | 2) }
    }

    /// A key that no row has, between those that rows have.
    pub(crate) fn absent_key(&self, n: u64) -> Key {
        spell(mix(n ^ 0x00ab_5e17) | 1)
    }

    /// The value of row `i` after it was overwritten `version` times.
    pub(crate) fn value(&self, i: u64, version: u32) -> &[u8] {
        let start = mix(i ^ (u64::from(version) << 40)) as usize % PLACES;
        self.pool.get(start..start + self.value_len).unwrap_or_default()
    }

    /// Bytes of a row.
    pub(crate) fn row_len(&self) -> u64 {
        (KEY_LEN + self.value_len) as u64
    }
}

/// A number as a key, in the order of numbers.
fn spell(number: u64) -> Key {
    let mut key = *b"bench/k/0000000000000000";
    let mut rest = number;
    for digit in key.iter_mut().skip(8).rev() {
        *digit = *b"0123456789abcdef".get((rest & 15) as usize).unwrap_or(&b'0');
        rest >>= 4;
    }
    key
}

/// What a row is to a check: sums over rows do not depend on their order, and a value under another key shows.
pub(crate) fn digest(key: &[u8], value: &[u8]) -> u64 {
    mix(sum(key) ^ mix(sum(value)))
}

/// The sum of the 8-byte words.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_mul(257).wrapping_add(u64::from(*byte)))
}

/// The numbers below `count` in random order.
pub(crate) fn shuffled(count: u64, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut draw = Draw::new(seed);
    for last in (1..order.len()).rev() {
        order.swap(last, draw.below(last as u64 + 1) as usize);
    }
    order
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % end.max(1)
    }

    /// The next number from 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.below(1 << 53) as f64 / (1u64 << 53) as f64
    }
}

/// Ranks below a count of which few are drawn often, as YCSB draws them: J. Gray et al., Quickly generating
/// billion-record synthetic databases, SIGMOD 1994.
#[derive(Debug)]
pub(crate) struct Zipf {
    count: u64,
    zeta: f64,
    eta: f64,
}

/// YCSB's constant: how uneven the draws are.
const THETA: f64 = 0.99;

impl Zipf {
    pub(crate) fn new(count: u64) -> Self {
        let zeta = |count: u64| (1..=count).map(|rank| (rank as f64).powf(-THETA)).sum::<f64>();
        let (two, all) = (zeta(2), zeta(count));
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - two / all);
        Self { count, zeta: all, eta }
    }

    /// The next rank; 0 is the most frequent.
    pub(crate) fn rank(&self, draw: &mut Draw) -> u64 {
        let at = draw.fraction();
        let scaled = at * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(THETA) {
            return 1.min(self.count - 1);
        }
        let rank = self.count as f64 * (self.eta * at - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        (rank as u64).min(self.count - 1)
    }

    /// The next row, the frequent ones spread over all of them.
    pub(crate) fn row(&self, draw: &mut Draw) -> u64 {
        mix(self.rank(draw)) % self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_ascend_and_no_two_kinds_meet() {
        let rows = Rows::new(1000, 100);
        let keys: Vec<Key> = (0..1000).map(|i| rows.key(i)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        let others = (1000..2000).map(|i| rows.key(i)).chain((0..1000).map(|n| rows.absent_key(n)));
        let all: BTreeSet<Key> = keys.iter().copied().chain(others).collect();
        assert_eq!(all.len(), 3000);
    }

    #[test]
    fn values_differ_by_row_and_by_version() {
        let rows = Rows::new(10, 100);
        assert_eq!(rows.value(3, 0).len(), 100);
        assert_ne!(rows.value(3, 0), rows.value(4, 0));
        assert_ne!(rows.value(3, 0), rows.value(3, 1));
        assert_ne!(digest(b"a", rows.value(3, 0)), digest(b"b", rows.value(3, 0)));
    }

    #[test]
    fn shuffled_has_each_number_once() {
        let mut order = shuffled(1000, 1);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..1000));
    }

    #[test]
    fn few_ranks_are_drawn_often() {
        let (zipf, mut draw) = (Zipf::new(1000), Draw::new(1));
        let ranks: Vec<u64> = (0..10_000).map(|_| zipf.rank(&mut draw)).collect();
        assert!(ranks.iter().all(|rank| *rank < 1000));
        let first_ten = ranks.iter().filter(|rank| **rank < 10).count();
        assert!((3000..5000).contains(&first_ten), "{first_ten} of 10,000 in the first ten");
    }
}
