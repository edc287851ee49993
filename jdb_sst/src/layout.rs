//! The numbers of the table format, in one place and tied together at compile time.
//!
//! Format: docs/format/sst.md.

use jdb_base::key::{ENGINE_KEY_LEN_MAX, VALUE_LEN_MAX};
use jdb_base::pages::PAGE_LEN;
use jdb_base::varint::VARINT_LEN_MAX;
use jdb_base::{Kind, SeqNo};

/// First bytes of a footer.
pub const MAGIC: [u8; 4] = *b"jdbs";
/// Version of the format that this crate writes.
pub const VERSION: u16 = 1;

/// Length of the footer, in every version.
pub const FOOTER_LEN: usize = 128;
/// Length of the random id that every checksum of a file starts from.
pub const ID_LEN: usize = 16;

/// Length of a block's CRC-32.
pub const CHECKSUM_LEN: usize = size_of::<u32>();
/// What follows a block's bytes: codec and checksum.
pub const TRAILER_LEN: usize = size_of::<Codec>() + CHECKSUM_LEN;

/// Entries from one whole key to the next inside a block.
pub const RESTART_INTERVAL: usize = 16;
/// Length of the number of entries at the end of a block.
pub const COUNT_LEN: usize = size_of::<u16>();
/// Most entries in one block.
pub const ENTRY_COUNT_MAX: usize = 0x7fff;
/// Bit of the count that says: the offsets take 4 bytes each, not 2.
pub const WIDE: u16 = 0x8000;

/// Largest target length of a block.
pub const BLOCK_LEN_MAX: usize = 64 << 10;
/// Shortest entry: three one-byte varints.
pub const ENTRY_LEN_MIN: usize = 3;
/// Longest entry without its key and value: shared length, suffix length, sequence and kind.
pub const ENTRY_HEAD_LEN_MAX: usize = 3 + 3 + VARINT_LEN_MAX;
/// Longest entry of a data block.
pub const ENTRY_LEN_MAX: usize = ENTRY_HEAD_LEN_MAX + ENGINE_KEY_LEN_MAX + VALUE_LEN_MAX;
/// Longest encoded handle: a `u64` and two `u32`s.
pub const HANDLE_LEN_MAX: usize = VARINT_LEN_MAX + 5 + 5;

/// Longest data block that a reader allocates: its target, the entry that reaches it, the offsets and the trailer.
pub const DATA_LEN_MAX: usize = BLOCK_LEN_MAX + ENTRY_LEN_MAX + BLOCK_LEN_MAX + TRAILER_LEN;
/// Longest index block that a reader allocates; the largest one has two entries with keys that hardly compress.
pub const INDEX_LEN_MAX: usize =
    2 * BLOCK_LEN_MAX + 2 * (ENTRY_HEAD_LEN_MAX + ENGINE_KEY_LEN_MAX + HANDLE_LEN_MAX) + TRAILER_LEN;

/// A top index up to this length stays in memory once it is loaded.
pub const TOP_LEN_PINNED: usize = 64 << 10;
/// Most levels of index blocks, the top included.
pub const HEIGHT_MAX: u8 = 32;
/// Fewest entries in an index block that is not the last of its level, so that each level is at most half the one below.
pub const INDEX_COUNT_MIN: usize = 2;

/// Version of the filter blocks that this crate writes and understands; others answer "maybe".
pub const FILTER_VERSION: u8 = 1;
/// Length of a filter block's header.
pub const FILTER_HEAD_LEN: usize = 24;
/// Longest filter block that a reader allocates, trailer included.
pub const FILTER_LEN_MAX: usize = 64 << 10;
/// A filter of fewer distinct keys is not written: it would be long for what it saves.
pub const FILTER_KEYS_MIN: usize = 64;
/// Distinct keys from which on an index partition ends. Just below the step at which a filter of 10 segments of 512 grows
/// by one: 10.34 bits a key, and built in about 200 us.
pub const FILTER_KEYS_TARGET: usize = 3960;
/// Most hashes in a filter.
pub const FILTER_KEYS_MAX: usize = 8 << 10;
/// Length of the meta block about filters.
pub const FILTERS_META_LEN: usize = 16;

/// Version of the group directory that this crate writes and understands.
pub const GROUPS_VERSION: u8 = 1;

/// Length of one entry in the list of meta blocks.
pub const META_ENTRY_LEN: usize = 16;
/// Most entries in the list of meta blocks.
pub const META_COUNT_MAX: usize = 256;
/// Bytes at the end of a file that opening reads: the footer, nearly always the list of meta blocks, mostly the top index.
pub const TAIL_LEN: usize = 16 << 10;

/// Largest sequence number in a table: 2^61 - 1, because one number holds the sequence and the kind.
pub const SEQ_MAX: SeqNo = SeqNo::new(u64::MAX >> Kind::BITS);

const _: () = assert!(TRAILER_LEN == 5);
const _: () = assert!(FOOTER_LEN.is_multiple_of(8) && FOOTER_LEN <= TAIL_LEN);
const _: () =
    assert!(BLOCK_LEN_MAX / ENTRY_LEN_MIN < ENTRY_COUNT_MAX, "a full block's count leaves a bit free");
const _: () = assert!(ENTRY_COUNT_MAX < WIDE as usize);
const _: () = assert!(DATA_LEN_MAX < u32::MAX as usize, "a block's length fits its handle");
const _: () = assert!(ENGINE_KEY_LEN_MAX < 1 << 21, "key lengths take at most three bytes");
const _: () = assert!(FILTER_KEYS_MIN < FILTER_KEYS_TARGET && 2 * FILTER_KEYS_TARGET <= FILTER_KEYS_MAX);
const _: () = assert!(FILTER_HEAD_LEN + 2 * FILTER_KEYS_MAX + TRAILER_LEN < FILTER_LEN_MAX);
const _: () = assert!(
    FOOTER_LEN + 2 * (4 * META_ENTRY_LEN + TRAILER_LEN) + FILTERS_META_LEN + TRAILER_LEN <= TAIL_LEN,
    "opening finds the meta list and the meta block about filters in its one read"
);
const _: () = assert!(BLOCK_LEN_MAX.is_multiple_of(PAGE_LEN));

/// How a block's bytes are compressed. **Format**: the numbers are on disk.
///
/// Number 1 is lz4, whose variant exists with the feature `lz4`; a reader that meets a number it does not know reports [`Unsupported`](crate::Error::Unsupported).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// Stored as they are.
    #[default]
    Plain = 0,
    /// The decoded length as `u32`, then one lz4 block. A writer that is told this codec uses it for data blocks that get
    /// shorter by an eighth.
    #[cfg(feature = "lz4")]
    Lz4 = 1,
}

impl Codec {
    /// The number on disk.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        self as u8
    }

    /// The codec with this number; `None` for a number of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            #[cfg(feature = "lz4")]
            1 => Some(Self::Lz4),
            _ => None,
        }
    }
}
