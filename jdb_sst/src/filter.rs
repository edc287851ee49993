//! Filter block: says of a key that it is surely absent from an index partition, or that it may be there.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 1 | version |
//! | 1 | 1 | flags; bit 0: group prefixes are hashed too |
//! | 2 | 1 | number of the salt in the meta block about filters |
//! | 3 | 1 | zero |
//! | 4 | 4 | distinct hashes |
//! | 8 | 8 | seed |
//! | 16 | 4 | segment length, a power of two |
//! | 20 | 4 | length that first places are spread over, a multiple of it |
//! | 24 | .. | fingerprints, one byte each |
//!
//! A binary fuse filter: a key's hash gives a fingerprint of one byte and a place in each of three neighbouring segments; the
//! filter was filled so that the bytes at these places, xored, are the fingerprint of every key in it. For another key they
//! are by chance in one case of 256.
//!
//! Invariants
//! - [`FilterBlock::parse`] checked that all places lie inside the fingerprints.
//! - What this version does not understand answers "maybe": a filter saves reads, it never decides what is true.
//!
//! Paper: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022. Format: docs/format/sst.md.

use crate::error::Damage;
use crate::layout::{FILTER_HEAD_LEN, FILTER_VERSION, FILTERS_META_LEN};
use jdb_base::varint::{take_array, take_u32_le, take_u64_le};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bit of the flags: prefixes of groups are in the filter, besides keys.
pub const GROUPS_HASHED: u8 = 1;

/// The hash of a key in the filters of tables with this salt.
#[inline]
#[must_use]
pub fn filter_hash(key: &[u8], salt: u64) -> u64 {
    xxh3_64_with_seed(key, salt)
}

/// A filter block's bytes, without trailer.
#[derive(Clone, Copy, Debug)]
pub struct FilterBlock<'a> {
    flags: u8,
    salt_number: u8,
    count: u32,
    shape: Shape,
    fingerprints: &'a [u8],
}

/// How hashes are turned into places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// A power of two.
    pub(crate) segment_len: u32,
    /// A multiple of it. The first of the three places lies below; the other two within two segments behind.
    pub(crate) spread_len: u32,
}

impl<'a> FilterBlock<'a> {
    /// Reads a block. `None` for a version, a flag or a salt that this crate does not know: the answer is "maybe" then.
    /// Cost: constant.
    ///
    /// # Errors
    /// [`Damage::Corrupt`] when the header does not fit the fingerprints.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Damage> {
        let cut = || Damage::corrupt("length of a filter", 0, FILTER_HEAD_LEN as u64, bytes.len() as u64);
        let &version = bytes.first().ok_or_else(cut)?;
        if version != FILTER_VERSION {
            return Ok(None);
        }
        let (head, fingerprints) = bytes.split_first_chunk::<FILTER_HEAD_LEN>().ok_or_else(cut)?;
        let mut rest = head.as_slice();
        let fields = (|| {
            let [_, flags, salt_number, _] = take_array(&mut rest)?;
            let count = take_u32_le(&mut rest)?;
            let seed = take_u64_le(&mut rest)?;
            let (segment_len, spread_len) = (take_u32_le(&mut rest)?, take_u32_le(&mut rest)?);
            let shape = Shape { seed, segment_len, spread_len };
            Some(Self { flags, salt_number, count, shape, fingerprints })
        })();
        let filter = fields.ok_or_else(cut)?;
        if filter.flags & !GROUPS_HASHED != 0 || filter.salt_number != 0 {
            return Ok(None);
        }
        let Shape { segment_len, spread_len, .. } = filter.shape;
        let fits = segment_len.is_power_of_two()
            && spread_len > 0
            && spread_len & (segment_len - 1) == 0
            && u64::from(spread_len) + 2 * u64::from(segment_len) == fingerprints.len() as u64;
        if !fits {
            let expected = u64::from(spread_len) + 2 * u64::from(segment_len);
            return Err(Damage::corrupt("shape of a filter", 16, expected, fingerprints.len() as u64));
        }
        Ok(Some(filter))
    }

    /// Whether what has this [hash](filter_hash) may be there; `false` is certain.
    ///
    /// Cost: three bytes read, no branch.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: u64) -> bool {
        let Shape { seed, segment_len, spread_len } = self.shape;
        let mixed = mix(hash.wrapping_add(seed)).max(1);
        let mask = segment_len - 1;
        let first = ((u128::from(mixed) * u128::from(spread_len)) >> u64::BITS) as u32;
        let second = (first + segment_len) ^ ((mixed >> 18) as u32 & mask);
        let third = (first + 2 * segment_len) ^ (mixed as u32 & mask);
        let at = |place: u32| self.fingerprints.get(place as usize).copied();
        match (at(first), at(second), at(third)) {
            (Some(a), Some(b), Some(c)) => a ^ b ^ c == mixed as u8,
            // Not reached: places were checked. A filter that is not understood would say this.
            _ => true,
        }
    }

    /// Distinct hashes in the filter.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether prefixes of groups are in the filter too.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.flags & GROUPS_HASHED != 0
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }
}

/// Appends a filter block without trailer.
pub(crate) fn encode(out: &mut Vec<u8>, flags: u8, count: u32, shape: Shape, fingerprints: &[u8]) {
    out.extend_from_slice(&[FILTER_VERSION, flags, 0, 0]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&shape.seed.to_le_bytes());
    out.extend_from_slice(&shape.segment_len.to_le_bytes());
    out.extend_from_slice(&shape.spread_len.to_le_bytes());
    out.extend_from_slice(fingerprints);
}

/// The meta block about filters, without trailer: `version: u8  flags: u8  zero * 6  salt: u64le`.
pub(crate) fn encode_meta(flags: u8, salt: u64) -> [u8; FILTERS_META_LEN] {
    let [a, b, c, d, e, f, g, h] = salt.to_le_bytes();
    [FILTER_VERSION, flags, 0, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

/// Reads [`encode_meta`]: the salt; `None` for a version that this crate does not know, whose filters answer "maybe".
pub(crate) fn decode_meta(mut bytes: &[u8]) -> Result<Option<u64>, Damage> {
    let len = bytes.len() as u64;
    if bytes.first().is_some_and(|&version| version != FILTER_VERSION) {
        return Ok(None);
    }
    let salt = take_array::<8>(&mut bytes).and_then(|_| take_u64_le(&mut bytes));
    let cut = || Damage::corrupt("length of the meta block about filters", 0, FILTERS_META_LEN as u64, len);
    salt.map(Some).ok_or_else(cut)
}

const MIX_A: u64 = 0xa076_1d64_78bd_642f;
const MIX_B: u64 = 0xe703_7ed1_a0b4_28db;

/// One multiplication to 128 bits, folded.
#[inline]
fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ MIX_A) * u128::from(word ^ MIX_B);
    product as u64 ^ (product >> u64::BITS) as u64
}

#[cfg(test)]
mod tests;
