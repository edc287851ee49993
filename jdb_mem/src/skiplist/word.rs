//! Words: 8 bytes of a key as one big-endian number, so that most comparisons are one instruction.
//!
//! A key shorter than the word is padded with zeros, so everything here speaks of *padded* keys: a key followed by
//! endless zeros. Unequal padded keys sort as the keys do; equal ones (`a` and `a\0`, or two versions of one key) are
//! told apart by [`compare`] alone.

use jdb_base::SeqNo;
use std::cmp::Ordering;

/// Shared length of keys whose padded forms are equal.
pub(super) const ALL: u32 = u32::MAX;
pub(super) const WORD_LEN: u32 = 8;

/// The bytes `from..from + 8` of the padded key.
#[inline]
pub(super) fn word_at(key: &[u8], from: u32) -> u64 {
    let Some(tail) = key.get(from as usize..) else { return 0 };
    if let Some(word) = tail.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    match key.last_chunk() {
        // The last 8 bytes, less the ones before `from`; none are left when the tail is empty.
        Some(word) => u64::from_be_bytes(*word).checked_shl(64 - 8 * tail.len() as u32).unwrap_or(0),
        None => {
            tail.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
                << (64 - 8 * tail.len().max(1) as u32)
        }
    }
}

/// How many bytes two different words have in common.
#[inline]
pub(super) fn shared_in_words(a: u64, b: u64) -> u32 {
    (a ^ b).leading_zeros() / 8
}

/// Length of the common prefix of two padded keys that have their first `from` bytes in common; [`ALL`] when equal.
#[inline]
pub(super) fn shared_len(a: &[u8], b: &[u8], mut from: u32) -> u32 {
    let len = a.len().max(b.len());
    while (from as usize) < len {
        let (x, y) = (word_at(a, from), word_at(b, from));
        if x != y {
            return from + shared_in_words(x, y);
        }
        from += WORD_LEN;
    }
    ALL
}

/// Entry order of `a` and `b`, and their shared length, when the first `from` bytes of their padded keys are the same.
#[inline]
pub(super) fn compare(a: (&[u8], SeqNo), b: (&[u8], SeqNo), mut from: u32) -> (Ordering, u32) {
    let len = a.0.len().max(b.0.len());
    while (from as usize) < len {
        let (x, y) = (word_at(a.0, from), word_at(b.0, from));
        if x != y {
            return (x.cmp(&y), from + shared_in_words(x, y));
        }
        from += WORD_LEN;
    }
    (a.0.len().cmp(&b.0.len()).then(b.1.cmp(&a.1)), ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jdb_base::key::entry_order;

    #[test]
    fn word_is_eight_padded_bytes() {
        for (key, from, want) in [
            (&b""[..], 0, 0),
            (b"a", 0, 0x6100_0000_0000_0000),
            (b"a", 1, 0),
            (b"a", ALL, 0),
            (b"abcdefg", 5, 0x6667_0000_0000_0000),
            (b"abcdefgh", 0, 0x6162_6364_6566_6768),
            (b"abcdefgh", 7, 0x6800_0000_0000_0000),
            (b"abcdefgh", 8, 0),
            (b"abcdefghij", 1, 0x6263_6465_6667_6869),
            (b"abcdefghij", 3, 0x6465_6667_6869_6a00),
        ] {
            assert_eq!(word_at(key, from), want, "{key:?} from {from}");
        }
    }

    #[test]
    fn compare_is_entry_order_from_every_shared_place() {
        let keys: Vec<&[u8]> = vec![
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a\0\0\0\0\0\0\0\0",
            b"a\0\0\0\0\0\0\0\0b",
            b"ab",
            b"abcdefgh",
            b"abcdefgh\0",
            b"abcdefgi",
            b"abcdefghijklmnopq",
            b"abcdefghijklmnopr",
            b"\xff\xff",
            b"\xff",
        ];
        for a in &keys {
            for b in &keys {
                for (x, y) in [(1, 1), (1, 2), (2, 1)] {
                    let (a, b) = ((*a, SeqNo::new(x)), (*b, SeqNo::new(y)));
                    let (order, shared) = compare(a, b, 0);
                    assert_eq!(order, entry_order(a, b), "{a:?} {b:?}");
                    assert_eq!(shared, shared_len(a.0, b.0, 0), "{a:?} {b:?}");
                    for from in 0..=shared.min(20) {
                        assert_eq!(compare(a, b, from), (order, shared), "{a:?} {b:?} from {from}");
                    }
                }
            }
        }
    }
}
