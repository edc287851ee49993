//! The rows of a measurement: functions of their number and the seed, so that nothing need be kept to compare them.

/// Bytes of each key.
pub const KEY_LEN: usize = 8;

/// A key: `r` and seven digits.
pub type Key = [u8; KEY_LEN];

/// A row on its way into a store.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its namespace.
    pub ns: u64,
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Vec<u8>,
}

/// All rows: namespaces `0..namespaces` in random order, the rows of one together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) namespaces: u64,
    pub(crate) per_ns: u64,
    value_len: usize,
    seed: u64,
}

impl Rows {
    pub(crate) fn new(namespaces: u64, per_ns: u64, value_len: usize, seed: u64) -> Self {
        Self { namespaces, per_ns, value_len, seed }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.namespaces * self.per_ns
    }

    /// The row that is put as number `n`. `life` tells values of one key apart.
    pub(crate) fn nth(&self, n: u64, life: u64) -> Row {
        self.row(self.order(0).at(n / self.per_ns), n % self.per_ns, life)
    }

    /// Row `number` of a namespace.
    pub(crate) fn row(&self, ns: u64, number: u64, life: u64) -> Row {
        let mut value = Vec::with_capacity(self.value_len + 8);
        let mut word = mix(self.seed ^ mix(ns ^ mix(number ^ mix(life))));
        while value.len() < self.value_len {
            value.extend_from_slice(&word.to_le_bytes());
            word = mix(word);
        }
        value.truncate(self.value_len);
        Row { ns, key: key(number), value }
    }

    /// All namespaces in an order that looks random, another one for each `draw`; 0 is that in which they are made.
    pub(crate) fn order(&self, draw: u64) -> Order {
        Order::new(self.namespaces, mix(self.seed ^ mix(draw)))
    }
}

/// The key of a row; larger numbers have larger keys.
pub(crate) fn key(number: u64) -> Key {
    let mut key = *b"r0000000";
    let mut left = number;
    for digit in key.iter_mut().skip(1).rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    key
}

/// A permutation of `0..count` that takes no memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    count: u64,
    bits: u32,
    seed: u64,
}

impl Order {
    fn new(count: u64, seed: u64) -> Self {
        Self { count, bits: (u64::BITS - count.saturating_sub(1).leading_zeros()).max(1), seed }
    }

    /// Number `n`, which is below the count.
    pub(crate) fn at(self, n: u64) -> u64 {
        let mut at = n;
        // A permutation of the next power of two, repeated until it lands inside: a permutation of what is inside.
        loop {
            at = self.shuffle(at);
            if at < self.count {
                return at;
            }
        }
    }

    /// Each round is a sum, a product with an odd number and a shift, all of which can be undone.
    fn shuffle(self, mut n: u64) -> u64 {
        let mask = u64::MAX >> (u64::BITS - self.bits);
        for round in 0..3 {
            let word = mix(self.seed ^ round);
            n = n.wrapping_add(word).wrapping_mul(word.rotate_left(32) | 1) & mask;
            n ^= n >> self.bits.div_ceil(2);
        }
        n
    }
}

/// A bijection of 64 bits that spreads neighbours (the finalizer of splitmix64).
#[must_use]
pub fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_order_holds_every_number_once() {
        for count in [1, 2, 3, 7, 64, 65, 1000, 4097] {
            for seed in 0..5 {
                let order = Order::new(count, seed);
                let seen: BTreeSet<u64> = (0..count).map(|n| order.at(n)).collect();
                assert_eq!(seen, (0..count).collect(), "{count} numbers, seed {seed}");
            }
        }
    }

    #[test]
    fn an_order_spreads_neighbours() {
        let order = Order::new(1_000_000, 7);
        let near = (0..10_000).filter(|&n| order.at(n).abs_diff(order.at(n + 1)) < 10_000).count();
        // Two random numbers are that close in 2 % of all cases.
        assert!(near < 400, "{near} of 10,000 neighbours stay near");
    }

    #[test]
    fn keys_sort_like_their_numbers_and_lives_have_values_of_their_own() {
        assert_eq!((key(0), key(42), key(9_999_999)), (*b"r0000000", *b"r0000042", *b"r9999999"));
        let rows = Rows::new(10, 2, 13, 1);
        assert_eq!(rows.nth(3, 0).value.len(), 13);
        assert_eq!(rows.nth(3, 0).value, rows.nth(3, 0).value);
        assert_ne!(rows.nth(3, 0).value, rows.nth(3, 1).value);
        assert_ne!(rows.nth(3, 0).value, rows.nth(2, 0).value);
        assert_eq!(rows.nth(2, 0).ns, rows.nth(3, 0).ns);
    }
}
