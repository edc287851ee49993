//! Checked reading and writing of the integers on disk: fixed little-endian and LEB128.
//!
//! Every `take_*` moves the slice forward and gives `None` when the bytes end too early or do not fit: a torn file is
//! news, not a panic. Writing appends to a `Vec<u8>`.

/// Longest LEB128 coding of a `u64`.
pub const VARINT_LEN_MAX: usize = 10;

/// Appends `value` in LEB128: 7 bits a byte, low first.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`put_u64`] takes for `value`.
#[must_use]
pub const fn len_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes a LEB128 `u64`; `None` when it is cut, longer than ten bytes or too large.
#[inline]
#[must_use]
pub fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    take_long(bytes)
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(VARINT_LEN_MAX) {
        let bits = u64::from(byte & 0x7f);
        if i == VARINT_LEN_MAX - 1 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            *bytes = bytes.get(i + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Takes a LEB128 number that must fit a `u32`.
#[inline]
#[must_use]
pub fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_u64(bytes)?).ok()
}

/// Takes `len` bytes.
#[inline]
#[must_use]
pub fn take_bytes<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head)
}

/// Takes a fixed array of `N` bytes.
#[inline]
#[must_use]
pub fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// Takes a little-endian `u16`.
#[inline]
#[must_use]
pub fn take_u16_le(bytes: &mut &[u8]) -> Option<u16> {
    take_array(bytes).map(u16::from_le_bytes)
}

/// Takes a little-endian `u32`.
#[inline]
#[must_use]
pub fn take_u32_le(bytes: &mut &[u8]) -> Option<u32> {
    take_array(bytes).map(u32::from_le_bytes)
}

/// Takes a little-endian `u64`.
#[inline]
#[must_use]
pub fn take_u64_le(bytes: &mut &[u8]) -> Option<u64> {
    take_array(bytes).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varint_comes_back_and_says_its_length() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_u64(&mut out, value);
                assert_eq!(out.len(), len_u64(value), "{value}");
                let mut bytes = out.as_slice();
                assert_eq!(take_u64(&mut bytes), Some(value));
                assert!(bytes.is_empty());
                for cut in 0..out.len() {
                    assert_eq!(take_u64(&mut &out[..cut]), None, "{value} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn oversized_varint_is_refused() {
        for bytes in [[0xff; 10], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], [0x80; 10]] {
            assert_eq!(take_u64(&mut bytes.as_slice()), None, "{bytes:x?}");
        }
        assert_eq!(take_u32(&mut [0xff, 0xff, 0xff, 0xff, 0x1f].as_slice()), None);
    }
}
