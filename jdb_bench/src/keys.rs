//! Rows that look random and are the same in every run.

pub use jdb_tenants::mix;

/// `count` rows: row `i` has a namespace, a key of 24 bytes and a value of `value_len` bytes, all functions of `i`.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many rows.
    pub count: u64,
    /// How many namespaces they spread over.
    pub ns_count: u64,
    /// Bytes of each value.
    pub value_len: usize,
}

/// Bytes of each key.
pub const KEY_LEN: usize = 24;

impl Rows {
    /// The namespace of row `i`: runs of neighbouring rows share one.
    #[must_use]
    pub fn ns(&self, i: u64) -> u64 {
        i / self.count.div_ceil(self.ns_count.max(1)).max(1)
    }

    /// The key of row `i`: 8 common bytes, then 16 hexadecimal digits in no order. Different rows have different keys.
    #[must_use]
    pub fn key(&self, i: u64) -> [u8; KEY_LEN] {
        let mut key = *b"bench/k/0000000000000000";
        let mut rest = mix(i);
        for digit in key.iter_mut().skip(8) {
            *digit = *b"0123456789abcdef".get((rest & 15) as usize).unwrap_or(&b'0');
            rest >>= 4;
        }
        key
    }

    /// The value of row `i`: bytes that do not compress.
    #[must_use]
    pub fn value(&self, i: u64) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.value_len + 8);
        let mut word = mix(i ^ 0x5bd1_e995);
        while value.len() < self.value_len {
            value.extend_from_slice(&word.to_le_bytes());
            word = mix(word);
        }
        value.truncate(self.value_len);
        value
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count * (KEY_LEN + self.value_len) as u64
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The `n`-th of an endless row of rows in random order; rows repeat.
    #[must_use]
    pub fn pick(&self, n: u64) -> u64 {
        mix(n ^ 0x9e37_79b9) % self.count.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_distinct_and_spread_over_all_namespaces() {
        let rows = Rows { count: 1000, ns_count: 7, value_len: 13 };
        let keys: BTreeSet<_> = (0..rows.count).map(|i| rows.key(i)).collect();
        assert_eq!(keys.len(), 1000);
        let spaces: BTreeSet<_> = (0..rows.count).map(|i| rows.ns(i)).collect();
        assert_eq!(spaces, (0..7).collect());
        assert_eq!(rows.value(3).len(), 13);
        assert_ne!(rows.value(3), rows.value(4));
        assert!((0..5000).all(|n| rows.pick(n) < 1000));
    }
}
