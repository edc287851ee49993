//! CRC-32 that starts from where the bytes belong.
//!
//! A checksum begins with a [`Seed`]: a hash of what the bytes are part of (a secret, a file, an offset). Bytes that are
//! whole but stale, misplaced or from another database therefore do not verify: for bytes of one length two different
//! starts always give two different sums.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Where a checksum starts: one per file, made finer per offset by [`Seed::at`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed of a file or of anything else that `identity` names.
    #[must_use]
    pub fn of(identity: &[u8]) -> Self {
        Self(xxh3_64(identity))
    }

    /// The start of a checksum over bytes that lie at `offset`.
    #[inline]
    #[must_use]
    pub fn at(self, offset: u64) -> u32 {
        xxh3_64_with_seed(&offset.to_le_bytes(), self.0) as u32
    }
}

/// CRC-32 (IEEE) of `parts`, one after the other, starting from `start`.
#[must_use]
pub fn crc32(start: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_place_gives_another_sum() {
        let seed = Seed::of(b"file 1");
        assert_ne!(crc32(seed.at(0), &[b"abc"]), crc32(seed.at(8), &[b"abc"]));
        assert_ne!(crc32(seed.at(0), &[b"abc"]), crc32(Seed::of(b"file 2").at(0), &[b"abc"]));
        assert_eq!(crc32(seed.at(0), &[b"a", b"bc"]), crc32(seed.at(0), &[b"abc"]));
    }

    #[test]
    fn sums_are_pinned() {
        assert_eq!(crc32(0, &[b"123456789"]), 0xcbf4_3926);
        assert_eq!(Seed::of(b"jdb").at(4096), 0x625c_40cf, "the hash of on-disk seeds changed");
    }
}
