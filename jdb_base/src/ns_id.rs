//! Namespace id and its order-preserving encoding.

use crate::varint;
use std::fmt;
use std::iter::once;

/// Which sort of rows an engine key belongs to. **Format**: the numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Class {
    /// Rows of the user, under an id that the user chose.
    User = 0,
    /// Hidden rows of the same id: applied positions, options, last delete, name.
    UserHidden = 1,
    /// Rows of the user, under an id that the name catalog gave out.
    Named = 2,
    /// Hidden rows of an id that the name catalog gave out.
    NamedHidden = 3,
    /// The name catalog itself.
    Catalog = 6,
    /// The shard's own rows: named consumers and what must be read at open.
    Shard = 7,
}

impl Class {
    /// The class with this number; `None` for a number of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::User),
            1 => Some(Self::UserHidden),
            2 => Some(Self::Named),
            3 => Some(Self::NamedHidden),
            6 => Some(Self::Catalog),
            7 => Some(Self::Shard),
            _ => None,
        }
    }
}

/// A namespace: a class and a 128-bit id.
///
/// Made from a `u64`, a `(site, user)` pair of `u64`s or 16 bytes of a UUID, all of class [`Class::User`]. Any id is
/// legal, 0 and `u128::MAX` too.
///
/// ```
/// use jdb_base::NsId;
/// assert_eq!(NsId::from(7u64), NsId::from((0u64, 7u64)));
/// assert_eq!(NsId::from((1u64, 2u64)), NsId::from((1u128 << 64) | 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NsId {
    class: Class,
    id: u128,
}

/// Longest encoding of an [`NsId`].
pub const ENCODED_LEN_MAX: usize = 17;
const LENGTH_BITS: u32 = 5;

impl NsId {
    /// The namespace `id` of `class`.
    #[must_use]
    pub const fn new(class: Class, id: u128) -> Self {
        Self { class, id }
    }

    /// Its class.
    #[must_use]
    pub const fn class(self) -> Class {
        self.class
    }

    /// Its 128-bit id.
    #[must_use]
    pub const fn id(self) -> u128 {
        self.id
    }

    /// Appends the encoding: `class << 5 | n`, then the id's `n` big-endian bytes without leading zeros. **Format**.
    ///
    /// The encodings sort like the ids, and none is a prefix of another.
    pub fn encode(self, out: &mut impl Extend<u8>) {
        let bytes = self.id.to_be_bytes();
        let (_, tail) = bytes.split_at(bytes.len() - self.id_len());
        out.extend(once((self.class as u8) << LENGTH_BITS | tail.len() as u8).chain(tail.iter().copied()));
    }

    /// Length of the encoding in bytes.
    #[inline]
    #[must_use]
    pub fn encoded_len(self) -> usize {
        1 + self.id_len()
    }

    /// Bytes of the id without leading zeros.
    #[inline]
    fn id_len(self) -> usize {
        size_of::<u128>() - self.id.leading_zeros() as usize / 8
    }

    /// The smallest bytes above every encoding of this class; `None` for the last class.
    #[must_use]
    pub fn class_end(self) -> Option<Vec<u8>> {
        let next = (self.class as u8 + 1) << LENGTH_BITS;
        (next > 0).then(|| vec![next])
    }

    /// Takes an encoded id from the front of `bytes`; `None` when cut, of an unknown class or not in its shortest form.
    #[must_use]
    pub fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut rest = *bytes;
        let [head] = varint::take_array(&mut rest)?;
        let class = Class::from_u8(head >> LENGTH_BITS)?;
        let len = usize::from(head & ((1 << LENGTH_BITS) - 1));
        if len > 16 {
            return None;
        }
        let tail = varint::take_bytes(&mut rest, len)?;
        if tail.first() == Some(&0) {
            return None;
        }
        let id = tail.iter().fold(0u128, |id, &byte| id << 8 | u128::from(byte));
        *bytes = rest;
        Some(Self { class, id })
    }
}

impl From<u64> for NsId {
    fn from(id: u64) -> Self {
        Self::new(Class::User, u128::from(id))
    }
}

impl From<u128> for NsId {
    fn from(id: u128) -> Self {
        Self::new(Class::User, id)
    }
}

impl From<(u64, u64)> for NsId {
    fn from((site, user): (u64, u64)) -> Self {
        Self::new(Class::User, u128::from(site) << 64 | u128::from(user))
    }
}

impl From<[u8; 16]> for NsId {
    fn from(uuid: [u8; 16]) -> Self {
        Self::new(Class::User, u128::from_be_bytes(uuid))
    }
}

impl fmt::Display for NsId {
    /// The id in decimal; other classes than the user's with their number and a colon before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Class::User => write!(f, "{}", self.id),
            class => write!(f, "{}:{}", class as u8, self.id),
        }
    }
}

impl fmt::Debug for NsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ns {self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(ns: NsId) -> Vec<u8> {
        let mut out = Vec::new();
        ns.encode(&mut out);
        out
    }

    #[test]
    fn encodings_sort_like_ids_and_none_is_a_prefix_of_another() {
        let mut ids = vec![];
        for class in [0, 1, 2, 3, 6, 7].map(|n| Class::from_u8(n).unwrap()) {
            for id in [0, 1, 255, 256, 65535, 65536, u128::from(u64::MAX), 1 << 64, u128::MAX] {
                ids.push(NsId::new(class, id));
            }
        }
        ids.sort();
        for (i, a) in ids.iter().enumerate() {
            let a_bytes = encoded(*a);
            assert_eq!(NsId::take(&mut a_bytes.as_slice()), Some(*a));
            assert_eq!(a.encoded_len(), a_bytes.len());
            for b in &ids[i + 1..] {
                let b_bytes = encoded(*b);
                assert!(a_bytes < b_bytes, "{a:?} {b:?}");
                assert!(!b_bytes.starts_with(&a_bytes), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn bad_encodings_are_refused() {
        for bytes in [&[][..], &[1], &[1, 0], &[17], &[0x80], &[31; 40], &[2, 0, 5], &[0xa0]] {
            assert_eq!(NsId::take(&mut &bytes[..]), None, "{bytes:x?}");
        }
    }
}
