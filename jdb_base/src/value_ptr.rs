//! Value pointer: where a value was first written.

use crate::pages::UNIT_LEN;
use crate::varint;

/// Where a value's record lies: the segment's number, the record's offset in 8-byte units, the value's length in bytes.
///
/// A pointer never changes. The segment it names is its *origin*; when that file is collected, the value is found in the
/// origin's pack by key and sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValuePtr {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the record in units of 8 bytes.
    pub offset: u32,
    /// Length of the value in bytes.
    pub len: u32,
}

impl ValuePtr {
    /// Longest encoding.
    pub const ENCODED_LEN_MAX: usize = 15;

    /// Offset of the record in bytes.
    #[must_use]
    pub const fn byte_offset(self) -> u64 {
        self.offset as u64 * UNIT_LEN
    }

    /// Appends three varints: segment, offset, length. **Format**.
    pub fn encode(self, out: &mut Vec<u8>) {
        varint::put_u64(out, u64::from(self.segment));
        varint::put_u64(out, u64::from(self.offset));
        varint::put_u64(out, u64::from(self.len));
    }

    /// Reads what [`ValuePtr::encode`] wrote; `None` unless `bytes` is exactly one pointer.
    #[inline]
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let segment = varint::take_u32(&mut bytes)?;
        let offset = varint::take_u32(&mut bytes)?;
        let len = varint::take_u32(&mut bytes)?;
        bytes.is_empty().then_some(Self { segment, offset, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_comes_back_and_a_cut_one_does_not() {
        for ptr in [
            ValuePtr { segment: 0, offset: 0, len: 0 },
            ValuePtr { segment: 7, offset: 128, len: 1000 },
            ValuePtr { segment: u32::MAX, offset: u32::MAX, len: u32::MAX },
        ] {
            let mut out = Vec::new();
            ptr.encode(&mut out);
            assert!(out.len() <= ValuePtr::ENCODED_LEN_MAX);
            assert_eq!(ValuePtr::decode(&out), Some(ptr));
            assert_eq!(ValuePtr::decode(&out[..out.len() - 1]), None);
            out.push(0);
            assert_eq!(ValuePtr::decode(&out), None, "a byte too many");
        }
    }
}
