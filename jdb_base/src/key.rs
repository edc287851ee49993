//! Engine keys, their limits, and the order of entries.
//!
//! An **engine key** is an encoded [`NsId`] followed by the user's key. Inside a shard all rows of a namespace are
//! therefore neighbours, and a namespace is nothing but a prefix.

use crate::{NsId, SeqNo, ns_id};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// Longest user key in bytes.
pub const KEY_LEN_MAX: usize = 65_500;
/// Longest engine key in bytes; fits 16 bits.
pub const ENGINE_KEY_LEN_MAX: usize = KEY_LEN_MAX + ns_id::ENCODED_LEN_MAX;
/// Longest value in bytes: 1 GiB.
pub const VALUE_LEN_MAX: usize = 1 << 30;
/// Most operations in one batch.
pub const BATCH_COUNT_MAX: usize = 1 << 20;
/// Most bytes of keys and values in one batch: 2 GiB.
pub const BATCH_LEN_MAX: usize = 2 << 30;

const _: () = assert!(ENGINE_KEY_LEN_MAX <= u16::MAX as usize);

/// The engine key of `key` in `ns`.
#[must_use]
pub fn engine_key(ns: NsId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ns_id::ENCODED_LEN_MAX + key.len());
    ns.encode(&mut out);
    out.extend_from_slice(key);
    out
}

/// An engine key to look for; a short one needs no allocation.
pub type Sought = SmallVec<[u8; 64]>;

/// As [`engine_key`], to look for it.
#[inline]
#[must_use]
pub fn sought(ns: NsId, key: &[u8]) -> Sought {
    let mut out = Sought::new();
    ns.encode(&mut out);
    out.extend_from_slice(key);
    out
}

/// Order of entries: key ascending, then sequence **descending**, so that the newest version of a key comes first.
#[inline]
#[must_use]
pub fn entry_order(a: (&[u8], SeqNo), b: (&[u8], SeqNo)) -> Ordering {
    a.0.cmp(b.0).then(b.1.cmp(&a.1))
}

/// The smallest key above every key that starts with `prefix`; `None` when there is none (`prefix` is all `0xff`).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

/// Length of the common prefix of `a` and `b`.
#[inline]
#[must_use]
pub fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8));
    let mut len = 0;
    for (x, y) in words {
        if x != y {
            break;
        }
        len += 8;
    }
    let (a, b) = (a.get(len..).unwrap_or_default(), b.get(len..).unwrap_or_default());
    len + a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Eight bytes of `key` from `at` on as one number, zeros where it ends.
///
/// Where keys share their first `at` bytes, a smaller number is a smaller key; equal numbers say nothing.
#[inline]
#[must_use]
pub fn word_at(key: &[u8], at: usize) -> u64 {
    let tail = key.get(at..).unwrap_or_default();
    match (tail.first_chunk(), key.last_chunk::<8>()) {
        (Some(word), _) => u64::from_be_bytes(*word),
        // The last 8 bytes, without those before `at`.
        (None, Some(word)) if !tail.is_empty() => u64::from_be_bytes(*word) << (64 - 8 * tail.len()),
        _ => tail
            .iter()
            .zip((0..64).step_by(8))
            .fold(0, |word, (&byte, gone)| word | u64::from(byte) << (56 - gone)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_of_a_key_comes_first() {
        let s = SeqNo::new;
        for (a, b, want) in [
            ((&b"a"[..], s(1)), (&b"b"[..], s(9)), Ordering::Less),
            ((b"a", s(2)), (b"a", s(1)), Ordering::Less),
            ((b"a", s(1)), (b"a", s(1)), Ordering::Equal),
            ((b"ab", s(1)), (b"a", s(1)), Ordering::Greater),
        ] {
            assert_eq!(entry_order(a, b), want, "{a:?} {b:?}");
        }
    }

    #[test]
    fn prefix_end_is_above_every_key_with_the_prefix() {
        for (prefix, want) in [
            (&b"ab"[..], Some(b"ac".to_vec())),
            (&[1, 0xff], Some(vec![2])),
            (&[0xff, 0xff], None),
            (&[], None),
        ] {
            assert_eq!(prefix_end(prefix), want, "{prefix:x?}");
        }
    }

    #[test]
    fn common_prefix_is_counted_over_words_and_bytes() {
        for (a, b, want) in
            [("", "x", 0), ("abc", "abd", 2), ("abcdefgh1", "abcdefgh2", 8), ("abcdefghij", "abcdefghij", 10)]
        {
            assert_eq!(common_prefix_len(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }

    #[test]
    fn word_is_eight_bytes_in_order_and_zeros_behind_the_end() {
        for (key, at, want) in [
            (&b""[..], 0, 0),
            (b"a", 0, 0x6100_0000_0000_0000),
            (b"abc", 1, 0x6263_0000_0000_0000),
            (b"abc", 3, 0),
            (b"abc", 9, 0),
            (b"abcdefgh", 0, 0x6162_6364_6566_6768),
            (b"abcdefgh", 8, 0),
            (b"abcdefghij", 1, 0x6263_6465_6667_6869),
            (b"abcdefghij", 4, 0x6566_6768_696a_0000),
        ] {
            assert_eq!(word_at(key, at), want, "{key:?} at {at}");
        }
    }
}
