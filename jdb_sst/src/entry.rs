//! One entry of a block.
//!
//! `shared: varint  suffix_len: varint  (seq - base) << 3 | kind: varint  suffix  value`
//!
//! The key is the first `shared` bytes of the restart head's key, then `suffix`. The value ends where the next entry
//! starts, so its length is not stored.
//!
//! Format: docs/format/sst.md.

use crate::error::Damage;
use jdb_base::{Kind, SeqNo, varint};

/// An entry that lends its key and value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The sequence number.
    pub seq: SeqNo,
    /// What the entry is.
    pub kind: Kind,
    /// The value's bytes.
    pub value: &'a [u8],
}

/// An entry as it lies in its block: the key is still split, sequence and kind are still one number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) shared: usize,
    pub(crate) suffix: &'a [u8],
    pub(crate) tag: u64,
    pub(crate) value: &'a [u8],
    /// Offset in the block where the entry ends.
    pub(crate) end: usize,
}

/// Bytes that hold the three numbers of nearly every entry: two lengths below 128 and a tag of up to 8 bytes.
const SHORT_LEN: usize = 2 + size_of::<u64>();
/// The bit of each byte that says: this number goes on.
const GOES_ON: u64 = 0x8080_8080_8080_8080;

impl<'a> Raw<'a> {
    /// Splits the entry at `start..end` of a block's bytes; `None` when it is cut.
    #[inline]
    pub(crate) fn decode(block: &'a [u8], start: usize, end: usize) -> Option<Self> {
        let tail = block.get(start..)?;
        if let Some(short) = tail.first_chunk::<SHORT_LEN>()
            && let Some((&[shared, suffix_len], tag)) = short.split_first_chunk()
            && shared | suffix_len < 0x80
            && let Some((tag, tag_len)) = short_tag(u64::from_le_bytes(*tag.first_chunk()?))
        {
            let suffix_at = start + 2 + tag_len;
            let value_at = suffix_at + usize::from(suffix_len);
            let (suffix, value) = (block.get(suffix_at..value_at)?, block.get(value_at..end)?);
            return Some(Self { shared: usize::from(shared), suffix, tag, value, end });
        }
        Self::decode_long(block.get(start..end)?, end)
    }

    /// The shared length and the suffix of an entry, for who compares keys; `None` when the entry is cut, or not one that is split
    /// without a loop, as nearly all are.
    #[inline]
    pub(crate) fn key_of(entry: &[u8]) -> Option<(usize, &[u8])> {
        let (&[shared, suffix_len], rest) = entry.split_first_chunk()?;
        let last = (!u64::from_le_bytes(*rest.first_chunk()?) & GOES_ON).trailing_zeros();
        if shared | suffix_len >= 0x80 || last == u64::BITS {
            return None;
        }
        let suffix_at = last as usize / 8 + 1;
        Some((usize::from(shared), rest.get(suffix_at..suffix_at + usize::from(suffix_len))?))
    }

    fn decode_long(mut bytes: &'a [u8], end: usize) -> Option<Self> {
        let shared = varint::take_u32(&mut bytes)? as usize;
        let suffix_len = varint::take_u32(&mut bytes)? as usize;
        let tag = varint::take_u64(&mut bytes)?;
        let (suffix, value) = bytes.split_at_checked(suffix_len)?;
        Some(Self { shared, suffix, tag, value, end })
    }

    /// Offset in the block where the value starts.
    #[inline]
    pub(crate) fn value_at(&self) -> usize {
        self.end - self.value.len()
    }

    /// Offset in the block where the suffix starts.
    #[inline]
    pub(crate) fn suffix_at(&self) -> usize {
        self.value_at() - self.suffix.len()
    }

    /// The sequence number in a block of this base.
    #[inline]
    pub(crate) fn seq(&self, base: u64) -> Option<SeqNo> {
        base.checked_add(self.tag >> Kind::BITS).map(SeqNo::new)
    }

    /// The kind, for an entry that starts at `offset`.
    #[inline]
    pub(crate) fn kind(&self, offset: usize) -> Result<Kind, Damage> {
        let number = (self.tag & ((1 << Kind::BITS) - 1)) as u8;
        Kind::from_u8(number).ok_or_else(|| Damage::unsupported("entry kind", offset, u64::from(number)))
    }
}

/// Appends what goes before the suffix.
#[inline]
pub(crate) fn put_head(out: &mut Vec<u8>, shared: u32, suffix_len: u32, tag: u64) {
    varint::put_u64(out, u64::from(shared));
    varint::put_u64(out, u64::from(suffix_len));
    varint::put_u64(out, tag);
}

/// `(seq - base) << 3 | kind`.
#[inline]
pub(crate) fn tag(delta: u64, kind: Kind) -> u64 {
    delta << Kind::BITS | u64::from(kind.to_u8())
}

/// A varint of up to 8 bytes at the low end of `word`, and its length: the 7-bit groups are pushed together in three
/// steps, without a branch for each byte, since lengths of tags follow no pattern that a processor could learn.
#[inline]
fn short_tag(word: u64) -> Option<(u64, usize)> {
    let last = (!word & GOES_ON).trailing_zeros();
    if last == u64::BITS {
        return None;
    }
    let kept = word & (u64::MAX >> (u64::BITS - 1 - last)) & !GOES_ON;
    let pairs = kept & 0x007f_007f_007f_007f | (kept & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    let tag = fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4;
    Some((tag, last as usize / 8 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_comes_back_and_every_cut_inside_its_key_is_seen() {
        for (shared, suffix, delta, kind, value) in [
            (0, &b""[..], 0, Kind::Tombstone, &b""[..]),
            (3, b"suffix", 1 << 60, Kind::Pointer, b"value"),
            (65_517, b"", 0, Kind::Inline, &[7; 300]),
        ] {
            let mut out = Vec::new();
            put_head(&mut out, shared, suffix.len() as u32, tag(delta, kind));
            let head_len = out.len();
            out.extend_from_slice(suffix);
            out.extend_from_slice(value);
            let raw = Raw::decode(&out, 0, out.len()).unwrap();
            assert_eq!((raw.shared, raw.suffix, raw.value), (shared as usize, suffix, value));
            assert_eq!((raw.suffix_at(), raw.value_at()), (head_len, head_len + suffix.len()));
            assert_eq!(raw.seq(5), Some(SeqNo::new(delta + 5)));
            assert_eq!(raw.kind(0), Ok(kind));
            for cut in 0..head_len + suffix.len() {
                assert!(
                    Raw::decode(&out, 0, cut).is_none() && Raw::decode(&out[..cut], 0, cut).is_none(),
                    "cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn short_and_long_way_read_the_same() {
        for shift in 0..64 {
            for tag in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                for (shared, suffix_len) in [(0, 5), (127, 127), (128, 5), (5, 128)] {
                    // Behind the entry lies what looks like a number that goes on.
                    let mut out = vec![0xff; 3];
                    put_head(&mut out, shared, suffix_len, tag);
                    out.resize(out.len() + suffix_len as usize, b's');
                    out.extend_from_slice(b"value");
                    let end = out.len();
                    out.extend_from_slice(&[0xff; 16]);
                    let short = Raw::decode(&out, 3, end).unwrap();
                    let long = Raw::decode_long(&out[3..end], end).unwrap();
                    let key = Raw::key_of(&out[3..end]);
                    assert!(key.is_none_or(|key| key == (long.shared, long.suffix)), "{tag:#x}");
                    assert_eq!(key.is_some(), (shared | suffix_len) < 128 && tag < 1 << 56, "{tag:#x}");
                    for raw in [short, long] {
                        assert_eq!((raw.shared, raw.suffix.len()), (shared as usize, suffix_len as usize));
                        assert_eq!((raw.tag, raw.value), (tag, &b"value"[..]), "{tag:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn kind_of_a_later_version_is_unsupported() {
        for number in 3..8 {
            let raw = Raw { shared: 0, suffix: b"", tag: number, value: b"", end: 0 };
            assert_eq!(raw.kind(9), Err(Damage::unsupported("entry kind", 9, number)));
        }
    }

    #[test]
    fn sequence_beyond_64_bits_is_refused() {
        let raw = Raw { shared: 0, suffix: b"", tag: u64::MAX, value: b"", end: 0 };
        assert_eq!(raw.seq(u64::MAX - 5), None);
    }
}
