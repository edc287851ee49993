//! Finds an entry in a block: first the run, by the heads, then the entry in its run.
//!
//! A block that was not used for a while is not in the processor's caches, and a binary search waits for memory at each of its
//! probes, since each says where the next one is. So what the last probes may need is read before, all at once, where the
//! processor waits for all of it as long as for one: the heads that are left, then the run. Keys are compared as words of eight
//! bytes, without a call.

use super::Block;
use crate::entry::Raw;
use crate::error::Damage;
use crate::layout::RESTART_INTERVAL;
use jdb_base::SeqNo;
use jdb_base::key::common_prefix_len;
use std::cmp::Ordering;
use std::hint::black_box;

/// Bytes that memory gives at once.
const LINE_LEN: usize = 64;
/// Heads that are read before they are compared.
const HEADS_READ: usize = 8;
/// Lines of a run that are read before its entries are compared.
const LINES_READ: usize = 8;

impl Block<'_> {
    /// Number of the first entry at or after `(key, seq)` in entry order; [`Block::count`] when there is none.
    ///
    /// ```
    /// # use jdb_base::{Kind, SeqNo};
    /// # let mut builder = jdb_sst::BlockBuilder::new();
    /// # for key in ["apple", "lemon"] {
    /// #     builder.append(key.as_bytes(), SeqNo::ZERO, Kind::Inline, b"").unwrap();
    /// # }
    /// # let mut bytes = Vec::new();
    /// # builder.finish(&mut bytes);
    /// let block = jdb_sst::Block::parse(&bytes)?; // apple, lemon
    /// assert_eq!(block.find(b"kiwi", SeqNo::MAX)?, 1);
    /// assert_eq!(block.find(b"melon", SeqNo::MAX)?, 2);
    /// # Ok::<(), jdb_sst::Damage>(())
    /// ```
    /// Cost: log2(n) probes, no allocation.
    ///
    /// # Errors
    /// [`Damage::Corrupt`] when a probed entry runs into the next one or out of the block.
    pub fn find(&self, key: &[u8], seq: SeqNo) -> Result<usize, Damage> {
        // Heads below the target: [0, low). The target is in the run of the last of them, or the head after it.
        let (mut low, mut high) = (0, self.shape.count.div_ceil(RESTART_INTERVAL));
        let mut head: &[u8] = &[];
        let mut are_read = false;
        while low < high {
            if !are_read && high - low <= HEADS_READ {
                are_read = true;
                self.read_heads(low, high);
            }
            let middle = low.midpoint(high);
            let index = middle * RESTART_INTERVAL;
            let (shared, suffix) = self.key_of(index)?;
            if shared != 0 {
                // Says what is wrong with it.
                self.head(middle)?;
            }
            if self.is_below(compare(suffix, key), index, seq)? {
                low = middle + 1;
                head = suffix;
            } else {
                high = middle;
            }
        }
        if low == 0 {
            return Ok(0);
        }
        let common = common_prefix_len(head, key);
        let is_head = common == head.len() && common == key.len();
        let head_order = if is_head { Ordering::Equal } else { Ordering::Less };
        let mut end = (low * RESTART_INTERVAL).min(self.shape.count);
        let mut start = (low - 1) * RESTART_INTERVAL + 1;
        self.read_entries(start, end);
        while start < end {
            let middle = start.midpoint(end);
            let (shared, suffix) = self.key_of(middle)?;
            // The whole key is not put together: bytes shared with the head compare as the head's did.
            let by_key = if shared > common {
                head_order
            } else {
                compare(suffix, key.get(shared..).unwrap_or_default())
            };
            if self.is_below(by_key, middle, seq)? {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(start)
    }

    /// Whether entry `index`, whose key compares like this with that of the target, lies before the target.
    #[inline]
    fn is_below(&self, by_key: Ordering, index: usize, seq: SeqNo) -> Result<bool, Damage> {
        match by_key {
            Ordering::Less => Ok(true),
            Ordering::Equal => self.is_newer(index, seq),
            Ordering::Greater => Ok(false),
        }
    }

    #[cold]
    fn is_newer(&self, index: usize, seq: SeqNo) -> Result<bool, Damage> {
        Ok(self.seq(&self.raw(index)?, index)? > seq)
    }

    /// Shared length and suffix of entry `index`.
    #[inline]
    fn key_of(&self, index: usize) -> Result<(usize, &[u8]), Damage> {
        if let Some((start, end)) = self.ends(index)
            && end <= self.shape.offsets_at
            && let Some(found) = self.bytes.get(start..end).and_then(Raw::key_of)
        {
            return Ok(found);
        }
        self.key_of_any(index)
    }

    #[cold]
    fn key_of_any(&self, index: usize) -> Result<(usize, &[u8]), Damage> {
        self.raw(index).map(|raw| (raw.shared, raw.suffix))
    }

    /// Reads the heads of these runs from memory, a little behind their beginning: there lie the bytes that differ.
    #[inline]
    fn read_heads(&self, start: usize, end: usize) {
        for run in start..end {
            let at = self.offset(run * RESTART_INTERVAL).unwrap_or_default();
            black_box(self.bytes.get(at + LINE_LEN / 4).copied());
        }
    }

    /// Reads these entries from memory, or as many of them as fit [`LINES_READ`] lines.
    #[inline]
    fn read_entries(&self, start: usize, end: usize) {
        let from = self.offset(start).unwrap_or_default();
        let to = self.end(end - 1).unwrap_or_default().min(from + LINES_READ * LINE_LEN);
        for at in (from..to).step_by(LINE_LEN) {
            black_box(self.bytes.get(at).copied());
        }
    }
}

/// The order of two keys: mostly the first or the second word decides.
#[inline]
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some((word, a_rest)), Some((other, b_rest))) = (a.split_first_chunk(), b.split_first_chunk()) {
        let (word, other) = (u64::from_be_bytes(*word), u64::from_be_bytes(*other));
        if word != other {
            return word.cmp(&other);
        }
        (a, b) = (a_rest, b_rest);
    }
    a.cmp(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_builder::BlockBuilder;
    use crate::testing::Rng;
    use jdb_base::Kind;
    use jdb_base::key::entry_order;

    /// A key that mostly shares a word or more with others, and differs in any byte.
    fn key(rng: &mut Rng) -> Vec<u8> {
        let mut key = vec![b'p'; [0, 3, 8, 12, 16, 140][rng.below(6)]];
        for _ in 0..rng.below(3) {
            key.extend_from_slice([&b"a"[..], b"b", b"aaaaaaaa", b"aaaaaaab", b"\0", b"\xff"][rng.below(6)]);
        }
        key
    }

    fn block_of(rows: &[(Vec<u8>, SeqNo)], value: &[u8]) -> Vec<u8> {
        let mut builder = BlockBuilder::new();
        for (key, seq) in rows {
            builder.append(key, *seq, Kind::Inline, value).unwrap();
        }
        let mut bytes = Vec::new();
        builder.finish(&mut bytes);
        bytes
    }

    #[test]
    fn find_agrees_with_a_count_whatever_keys_share() {
        for seed in 0..300 {
            let mut rng = Rng(seed);
            // Sequences of one byte and of many.
            let shift = [0, 40][rng.below(2)];
            let count = 1 + rng.below(400);
            let mut rows: Vec<_> =
                (0..count).map(|_| (key(&mut rng), SeqNo::new((rng.below(6) as u64) << shift))).collect();
            rows.sort_by(|a, b| entry_order((&a.0, a.1), (&b.0, b.1)));
            rows.dedup();
            let bytes = block_of(&rows, [&b""[..], b"value"][rng.below(2)]);
            let block = Block::parse(&bytes).unwrap();
            let others: Vec<_> = (0..100).map(|_| (key(&mut rng), SeqNo::new(rng.next() % 7))).collect();
            for (key, seq) in rows.iter().chain(&others) {
                for seq in [*seq, SeqNo::MAX, SeqNo::ZERO] {
                    let below = |row: &(Vec<u8>, SeqNo)| entry_order((&row.0, row.1), (key, seq)).is_lt();
                    let want = rows.partition_point(below);
                    assert_eq!(block.find(key, seq), Ok(want), "seed {seed}: {key:x?} {seq}");
                }
            }
        }
    }

    #[test]
    fn keys_compare_as_their_bytes() {
        let mut rng = Rng(1);
        let keys: Vec<_> = (0..300).map(|_| key(&mut rng)).collect();
        for a in &keys {
            for b in &keys {
                assert_eq!(compare(a, b), a.cmp(b), "{a:x?} {b:x?}");
            }
        }
    }

    #[test]
    fn a_probed_entry_that_is_not_whole_is_an_error() {
        let rows: Vec<_> = (0..40u8).map(|i| (vec![b'k', i], SeqNo::ZERO)).collect();
        let bytes = block_of(&rows, b"value");
        let offsets_at = Block::parse(&bytes).unwrap().shape().offsets_at;
        // The heads are 0, 16 and 32; a search for the last key probes 16, 32, 36, 38 and 39.
        for index in [16, 32, 36, 38, 39] {
            for (offset, what) in [(u16::MAX, "beyond the block"), (offsets_at as u16 - 1, "too late")] {
                let mut bytes = bytes.clone();
                bytes[offsets_at + 2 * index..][..2].copy_from_slice(&offset.to_le_bytes());
                let block = Block::parse(&bytes).unwrap();
                assert!(block.find(&[b'k', 39], SeqNo::MAX).is_err(), "{index} {what}");
            }
        }
        let mut bytes = bytes.clone();
        let head_at = Block::parse(&bytes).unwrap().offset(16).unwrap();
        bytes[head_at] = 1;
        assert!(Block::parse(&bytes).unwrap().find(&[b'k', 39], SeqNo::MAX).is_err(), "a head that shares");
    }
}
