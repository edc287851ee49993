//! Ids, keys and values by chance, and how a failure shows them.

use super::*;
use bytes::Bytes;

/// Ids near each other, far from each other, and the extreme ones.
pub(super) fn id(rng: &mut Rng, index: u64) -> NsId {
    match rng.below(4) {
        0 => NsId::from(index),
        1 => NsId::from(u64::MAX - index),
        2 => NsId::from(u128::MAX - u128::from(index)),
        _ => NsId::from((rng.next(), rng.next())),
    }
}

/// Empty, 0xff, short, with a long common prefix, and long.
pub(super) fn key(rng: &mut Rng) -> Vec<u8> {
    let len = rng.index(4);
    match rng.below(16) {
        0 => Vec::new(),
        1 => vec![0xff; len],
        2 => vec![0; len],
        3..7 => [&[b'p'; 90][..], &(rng.below(300) as u32).to_be_bytes()].concat(),
        7 => [&[0xff; 20][..], &[rng.below(3) as u8 + 0xfd]].concat(),
        8 if rng.one_in(8) => vec![b'l'; 5000 + rng.index(3)],
        _ => format!("{:x}", rng.below(600)).into_bytes(),
    }
}

/// Empty, inline, at the border, by pointer, and longer than a small segment.
pub(super) fn value(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(12) {
        0 => 0,
        1..6 => rng.index(20),
        6..8 => rng.pick(&[16, 17, 128, 129]),
        8..11 => rng.index(700),
        _ => rng.index(6000),
    };
    let first = rng.next();
    (0..len as u64).map(|at| (first.wrapping_add(at * 7) >> (at % 5)) as u8).collect()
}

pub(super) fn show(key: &[u8]) -> String {
    if key.len() > 24 {
        let tail = &key[key.len() - 6..];
        return format!("{:?}..{}:{:?}", key[0] as char, key.len(), Bytes::copy_from_slice(tail));
    }
    format!("{:?}", Bytes::copy_from_slice(key))
}

pub(super) fn show_row(row: Option<(&[u8], u64)>) -> String {
    row.map_or("no row".into(), |(key, seq)| format!("{} at sequence {seq}", show(key)))
}
