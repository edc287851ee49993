//! Hash maps without a random seed: the same program does the same thing twice, which the simulated disk relies on.
//!
//! Keys of these maps are numbers that jdb gives out itself (files, shards, offsets), so a flood of colliding keys is no
//! concern; what users choose (keys, names) goes into ordered maps.

use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// `HashMap` with a fixed hash.
#[expect(clippy::disallowed_types, reason = "this is the one that is not randomly seeded")]
pub type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>;
/// `HashSet` with a fixed hash.
#[expect(clippy::disallowed_types, reason = "this is the one that is not randomly seeded")]
pub type Set<K> = std::collections::HashSet<K, BuildHasherDefault<FixedHasher>>;

/// Mixes integers with one multiplication each; other bytes through XXH3.
#[derive(Clone, Copy, Default, Debug)]
pub struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * 0xda94_2042_e4dd_58b5;
        self.0 = mixed as u64 ^ (mixed >> 64) as u64;
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
