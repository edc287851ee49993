//! Entries as an index of jdb holds them: engine keys of 24 bytes, value pointers of 12, sequences in no order.
//!
//! All of it is a function of the entry's number, so that two stores get the same entries.

use crate::keys::mix;
use jdb_base::{SeqNo, ValuePtr};

/// Bytes of each key.
pub const KEY_LEN: usize = 24;
/// Bytes of each encoded pointer.
pub const POINTER_LEN: usize = 12;

/// The key of entry `i`: 8 common bytes, as those of one namespace have them, then 16 hexadecimal digits in no order.
/// Different entries have different keys.
#[must_use]
pub fn key(i: u64) -> [u8; KEY_LEN] {
    let mut key = *b"\x03abcuser0000000000000000";
    let mut rest = mix(i);
    for digit in key.iter_mut().skip(8).rev() {
        *digit = *b"0123456789abcdef".get((rest & 15) as usize).unwrap_or(&b'0');
        rest >>= 4;
    }
    key
}

/// The keys of these entries, sorted.
#[must_use]
pub fn sorted_keys(which: std::ops::Range<u64>) -> Vec<[u8; KEY_LEN]> {
    let mut keys: Vec<_> = which.map(key).collect();
    keys.sort_unstable();
    keys
}

/// The encoded pointer of entry `i`, [`POINTER_LEN`] bytes: a segment and an offset of 5 bytes each, a length of 2.
#[must_use]
pub fn pointer(i: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(POINTER_LEN);
    ValuePtr { segment: i as u32 | 1 << 28, offset: mix(i) as u32 | 1 << 31, len: 1000 }.encode(&mut out);
    out
}

/// The sequence of entry `i` of `count`: as random as in a table, which covers a range of them.
#[must_use]
pub fn seq(i: u64, count: u64) -> SeqNo {
    SeqNo::new((1 << 24) + mix(i) % count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_distinct_and_of_one_length() {
        let keys = sorted_keys(0..1000);
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..1000).all(|i| pointer(i).len() == POINTER_LEN));
        assert!((0..1000).all(|i| seq(i, 1000).get() - (1 << 24) < 1000));
    }
}
