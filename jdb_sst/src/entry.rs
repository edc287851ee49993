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

impl<'a> Raw<'a> {
    /// Splits the bytes of an entry, which end at offset `end` of the block; `None` when they are cut.
    #[inline]
    pub(crate) fn decode(mut bytes: &'a [u8], end: usize) -> Option<Self> {
        let shared = take_len(&mut bytes)?;
        let suffix_len = take_len(&mut bytes)?;
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

#[inline]
fn take_len(bytes: &mut &[u8]) -> Option<usize> {
    varint::take_u32(bytes).map(|len| len as usize)
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
            let raw = Raw::decode(&out, out.len()).unwrap();
            assert_eq!((raw.shared, raw.suffix, raw.value), (shared as usize, suffix, value));
            assert_eq!((raw.suffix_at(), raw.value_at()), (head_len, head_len + suffix.len()));
            assert_eq!(raw.seq(5), Some(SeqNo::new(delta + 5)));
            assert_eq!(raw.kind(0), Ok(kind));
            for cut in 0..head_len + suffix.len() {
                assert!(Raw::decode(&out[..cut], cut).is_none(), "cut at {cut}");
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
