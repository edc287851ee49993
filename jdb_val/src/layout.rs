//! The numbers of the on-disk format and the two fixed headers, little-endian, in one place.
//!
//! Format: docs/format/value_log.md.

use jdb_base::pages::{PAGE_LEN, UNIT_LEN};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of a segment file.
pub const SEGMENT_MAGIC: [u8; 4] = *b"jdbv";
/// Version of the segment format that this code writes.
pub const SEGMENT_VERSION: u16 = 1;
/// Length of a segment's header; the first record follows at this offset.
pub const SEGMENT_HEADER_LEN: usize = 64;
/// Length of a record's header.
pub const RECORD_HEADER_LEN: usize = 32;
/// Offset of a segment's first record, in units.
pub const FIRST_RECORD: u32 = SEGMENT_HEADER_LEN as u32 / UNIT_LEN as u32;
/// Most records in one segment; only a single longer batch goes beyond it.
pub const SEGMENT_COUNT_MAX: u32 = 128 << 10;
/// Longest target length of a segment: 8 GiB. With one batch on top its offsets still fit 32 bits of 8-byte units.
pub const SEGMENT_LEN_MAX: u64 = 8 << 30;
/// A distance to the synced position that says nothing.
pub const SYNCED_UNKNOWN: u32 = u32::MAX;

/// Mixed into the start of `head_check`, so that it is not a part of the record's checksum.
pub(crate) const HEAD_CHECK_MIX: u32 = 0x6a64_6268;
/// Bytes of a record's header that `head_check` covers.
pub(crate) const HEAD_CHECK_RANGE: std::ops::Range<usize> = 4..29;
/// Bytes of `head_check` that are kept.
pub(crate) const HEAD_CHECK_MASK: u32 = 0x00ff_ffff;

/// First bytes of the first top page of a footer, behind its page header.
pub const FOOTER_MAGIC: [u8; 4] = *b"jdbf";
/// Version of the footer format that this code writes.
pub const FOOTER_VERSION: u16 = 1;
/// Length of the header of every page of a footer.
pub const FOOTER_PAGE_HEADER_LEN: usize = 8;
/// Length of the summary that follows the page header of the first top page.
pub const FOOTER_SUMMARY_LEN: usize = 56;
/// Alignment of a footer in its file.
pub const FOOTER_ALIGN: u64 = PAGE_LEN as u64;

/// Header of a segment file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawSegmentHeader {
    pub(crate) magic: [u8; 4],
    pub(crate) version: U16,
    pub(crate) zero_6: [u8; 2],
    pub(crate) features_compatible: U32,
    pub(crate) features_read_only: U32,
    pub(crate) features_incompatible: U32,
    pub(crate) shard: U32,
    pub(crate) number: U32,
    pub(crate) pred_number: U32,
    pub(crate) pred_end: U32,
    pub(crate) zero_36: [u8; 4],
    pub(crate) pred_last_seq: U64,
    pub(crate) zero_48: [u8; 12],
    pub(crate) crc: U32,
}

/// Bytes of a segment's header that its checksum covers.
pub(crate) const SEGMENT_CRC_RANGE: std::ops::Range<usize> = 0..60;

/// Header of a record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawRecordHeader {
    pub(crate) crc: U32,
    pub(crate) key_len: U16,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) val_len: U32,
    pub(crate) ops_left: U32,
    pub(crate) seq: U64,
    pub(crate) synced_back: U32,
    pub(crate) ext_len: u8,
    pub(crate) head_check: [u8; 3],
}

/// Header of every page of a footer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawPageHeader {
    pub(crate) crc: U32,
    pub(crate) kind: u8,
    pub(crate) zero: u8,
    pub(crate) used: U16,
}

/// What the first top page of a footer says about the whole segment.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawFooterSummary {
    pub(crate) magic: [u8; 4],
    pub(crate) version: U16,
    pub(crate) zero_6: [u8; 2],
    pub(crate) features_incompatible: U32,
    pub(crate) data_pages: U32,
    pub(crate) top_pages: U32,
    pub(crate) namespaces: U32,
    pub(crate) records: U32,
    pub(crate) drops: U32,
    pub(crate) seq_min: U64,
    pub(crate) seq_max: U64,
    pub(crate) end: U32,
    pub(crate) zero_52: [u8; 4],
}

const _: () = assert!(size_of::<RawSegmentHeader>() == SEGMENT_HEADER_LEN);
const _: () = assert!(size_of::<RawRecordHeader>() == RECORD_HEADER_LEN);
const _: () = assert!(size_of::<RawPageHeader>() == FOOTER_PAGE_HEADER_LEN);
const _: () = assert!(size_of::<RawFooterSummary>() == FOOTER_SUMMARY_LEN);
const _: () = assert!((SEGMENT_HEADER_LEN as u64).is_multiple_of(UNIT_LEN));
const _: () = assert!((RECORD_HEADER_LEN as u64).is_multiple_of(UNIT_LEN));
const _: () = assert!(FIRST_RECORD == 8);
