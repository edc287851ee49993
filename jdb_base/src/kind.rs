//! What an index entry holds.

/// Kind of an index entry. **Format**: the numbers are on disk; 3 bits are reserved for them.
///
/// Numbers 4..=7 are room for expiry, merge, range tombstones and values with record extensions; a reader that meets
/// one reports `Unsupported`, it does not guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The key was deleted at this sequence.
    Tombstone = 0,
    /// The value bytes are an encoded [`ValuePtr`](crate::ValuePtr).
    Pointer = 1,
    /// The value bytes are the value itself.
    Inline = 2,
}

impl Kind {
    /// Bits that a kind takes beside a sequence number.
    pub const BITS: u32 = 3;

    /// The number on disk.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for a number of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Tombstone),
            1 => Some(Self::Pointer),
            2 => Some(Self::Inline),
            _ => None,
        }
    }
}
