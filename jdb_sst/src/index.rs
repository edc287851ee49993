//! The index: separators that lead to blocks, in levels.
//!
//! The lowest index blocks, *partitions* of about 4 KiB, lead to data blocks and are written among them; the *top* leads to
//! partitions. A table so large that its top would pass 64 KiB gets levels in between. An index block has the form of a
//! data block ([`Block`](crate::Block)): key and sequence are a separator, the value is a handle.
//!
//! Invariants
//! - A separator is at or after the last entry of what it leads to and before the first entry of what comes next. So the
//!   first separator at or after a target leads to the one block that can hold the target.
//! - Between two keys it is as short as can be and has sequence 0, which sorts after every version. Between two versions
//!   of one key it is that key with the sequence of the last version before it.
//! - The last separator of a table is its last entry: what is beyond it is known to be absent without reading a block.

use crate::block_builder::BlockBuilder;
use crate::handle::Span;
use crate::layout::INDEX_COUNT_MIN;
use jdb_base::key::common_prefix_len;
use jdb_base::{Kind, SeqNo};

/// A separator and where it leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fence {
    pub(crate) key: Vec<u8>,
    pub(crate) seq: SeqNo,
    pub(crate) span: Span,
}

/// Sets `key` to the separator between the entries `last` and `next`; gives its sequence.
pub(crate) fn separate(last: (&[u8], SeqNo), next: &[u8], key: &mut Vec<u8>) -> SeqNo {
    key.clear();
    if last.0 == next {
        key.extend_from_slice(next);
        return last.1;
    }
    shortest(last.0, next, key);
    SeqNo::ZERO
}

/// Appends a shortest key `s` with `last <= s < next` to `out`.
fn shortest(last: &[u8], next: &[u8], out: &mut Vec<u8>) {
    let common = common_prefix_len(last, next);
    let (head, last_tail) = last.split_at_checked(common).unwrap_or_default();
    let next_tail = next.get(common..).unwrap_or_default();
    out.extend_from_slice(head);
    match (last_tail, next_tail) {
        // `last` is a prefix of `next`, or has one byte more than they share: nothing is shorter.
        ([] | [_], _) => out.extend_from_slice(last_tail),
        (_, [byte, _, ..]) => out.push(*byte),
        ([byte, ..], [other]) if byte + 1 < *other => out.push(byte + 1),
        // `next` ends where it differs by one: only something that starts like `last` lies between.
        (_, _) => match last_tail.iter().skip(1).position(|&byte| byte != u8::MAX) {
            Some(at) => {
                let (kept, _) = last_tail.split_at(at + 2);
                out.extend_from_slice(kept);
                if kept.len() < last_tail.len()
                    && let Some(byte) = out.last_mut()
                {
                    *byte += 1;
                }
            }
            None => out.extend_from_slice(last_tail),
        },
    }
}

/// Whether a block ends before the next entry.
///
/// It ends with the entry that reaches `target`; it may end before that entry when it is nearly full, so that blocks of
/// short entries fill one page each. Every entry but the last therefore lies below the target, and little room is wasted.
pub(crate) fn is_full(len: usize, len_with_next: usize, target: usize) -> bool {
    len >= target || (len_with_next > target && len >= target - target / 16)
}

/// Fills index blocks of one level.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    block: BlockBuilder,
}

impl IndexBuilder {
    /// Whether the block is to be finished: at its target or just below, so that partitions fill one page each.
    pub(crate) fn is_full(&self, target: usize) -> bool {
        self.block.count() >= INDEX_COUNT_MIN && self.block.len() >= target - target / 16
    }

    /// Adds a separator; `value` is an encoded handle.
    pub(crate) fn add(&mut self, key: &[u8], seq: SeqNo, value: &[u8]) {
        self.block.push(self.block.shared(key), key, seq, Kind::Inline, value);
    }

    /// Appends the finished block to `out`; gives its last separator, `None` when the block is empty.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Option<(Vec<u8>, SeqNo)> {
        if self.block.is_empty() {
            return None;
        }
        self.block.finish(out);
        self.block.last().map(|(key, seq)| (key.to_vec(), seq))
    }

    pub(crate) fn len(&self) -> usize {
        self.block.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest_of(last: &[u8], next: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        shortest(last, next, &mut out);
        out
    }

    #[test]
    fn separator_is_shortest_between_two_keys() {
        for (last, next, want) in [
            (&b""[..], &b"a"[..], &b""[..]),
            (b"apple", b"lemon", b"l"),
            (b"a", b"b", b"a"),
            (b"abc", b"b", b"ac"),
            (b"abc", b"c", b"b"),
            (b"a\xff\xff", b"b", b"a\xff\xff"),
            (b"a\xff\xffc", b"b", b"a\xff\xffc"),
            (b"a\xffcd", b"b", b"a\xffd"),
            (b"a", b"ab", b"a"),
            (b"user1", b"user2", b"user1"),
            (b"user10", b"user2", b"user11"),
            (b"user10", b"user21", b"user2"),
            (b"user10", b"user3", b"user2"),
        ] {
            let got = shortest_of(last, next);
            assert!(last <= &got[..] && &got[..] < next, "{last:x?} {next:x?}: {got:x?}");
            assert!(got.len() <= want.len(), "{last:x?} {next:x?}: {got:x?}");
        }
    }

    #[test]
    fn separator_of_all_short_keys_lies_between_and_none_is_shorter() {
        let letters = [0u8, 1, 2, 0xfe, 0xff];
        let mut keys = vec![vec![]];
        for len in 0..3 {
            let longest: Vec<Vec<u8>> = keys.iter().filter(|key| key.len() == len).cloned().collect();
            for key in longest {
                keys.extend(letters.iter().map(|&letter| [key.as_slice(), &[letter]].concat()));
            }
        }
        keys.sort();
        for (i, last) in keys.iter().enumerate() {
            for next in &keys[i + 1..] {
                let got = shortest_of(last, next);
                assert!(*last <= got && got < *next, "{last:x?} {next:x?}: {got:x?}");
                // Every candidate of at most three letters of this alphabet.
                let best = keys.iter().filter(|key| *last <= **key && **key < *next).map(Vec::len).min();
                assert!(best.is_some_and(|best| got.len() <= best), "{last:x?} {next:x?}: {got:x?}");
            }
        }
    }

    #[test]
    fn separator_between_versions_of_one_key_is_the_last_version() {
        let mut key = Vec::new();
        assert_eq!(separate((b"k", SeqNo::new(7)), b"k", &mut key), SeqNo::new(7));
        assert_eq!(key, b"k");
        assert_eq!(separate((b"k1", SeqNo::new(7)), b"k5", &mut key), SeqNo::ZERO);
    }

    #[test]
    fn block_is_full_at_its_target_or_just_below() {
        for (len, len_with, want) in [
            (0, 9999, false),
            (3000, 5000, false),
            (3840, 4097, true),
            (3840, 4096, false),
            (4096, 4200, true),
        ] {
            assert_eq!(is_full(len, len_with, 4096), want, "{len} {len_with}");
        }
    }
}
