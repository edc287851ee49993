//! Record: one operation in the log, checked from where it lies.
//!
//! `header: 32 bytes  extension  key  value  zeros up to 8 bytes`
//!
//! Invariants
//! - `crc` covers everything behind itself, starting from (secret, shard, segment, offset): a record that is stale,
//!   misplaced or from another database does not verify.
//! - `head_check` covers the header alone: looking for records in 8-byte steps sums a body about once in 2^24 steps. Both checksums
//!   begin with the same bytes, which are summed once: `crc` goes on where `head_check` ends.
//! - `ops_left` counts down to 0 inside a batch; a batch without its last record does not exist.
//!
//! Format: docs/format/value_log.md.

use crate::error::Fault;
use crate::layout::{HEAD_CHECK_MASK, HEAD_CHECK_MIX, HEAD_CHECK_RANGE, RECORD_HEADER_LEN, RawRecordHeader};
use crate::pos::LogPos;
use bytes::Bytes;
use jdb_base::SeqNo;
use jdb_base::checksum::{SHORT_LEN, Seed, crc32, shifted};
use jdb_base::pages::{UNIT_LEN, align_up};
use zerocopy::{FromBytes, IntoBytes};

/// What a record does. **Format**: the numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// The key has this value.
    Put = 1,
    /// The key is gone.
    Delete = 2,
    /// Rows of a namespace in an interval of sequences are gone: key = encoded namespace, value = varints `from`, `to`.
    Drop = 3,
    /// An import window of a namespace opens: key = encoded namespace, value = a varint.
    Window = 4,
    /// Fills a place; says nothing.
    Pad = 5,
    /// Written after the last sync of a burst: its `synced_back` narrows what is in doubt.
    Mark = 6,
}

impl RecordKind {
    /// The number on disk.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for a number of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Put),
            2 => Some(Self::Delete),
            3 => Some(Self::Drop),
            4 => Some(Self::Window),
            5 => Some(Self::Pad),
            6 => Some(Self::Mark),
            _ => None,
        }
    }

    /// Whether its key begins with a namespace.
    #[must_use]
    pub const fn has_namespace(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Drop | Self::Window)
    }
}

/// One operation of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// What it does.
    pub kind: RecordKind,
    /// Engine key, at most 65,535 bytes.
    pub key: Vec<u8>,
    /// Value, at most 1 GiB; empty for a delete.
    pub value: Bytes,
}

/// A record as it lies in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Where it begins.
    pub pos: LogPos,
    /// Where it ends: the place of the next one.
    pub end: LogPos,
    /// Its sequence.
    pub seq: SeqNo,
    /// What it does.
    pub kind: RecordKind,
    /// Records of its batch that follow it; 0 for the last.
    pub ops_left: u32,
    /// Engine key.
    pub key: &'a [u8],
    /// Value.
    pub value: &'a [u8],
}

/// What a record's header holds besides lengths and checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields {
    /// What the record does.
    pub kind: RecordKind,
    /// Records of its batch that follow it.
    pub ops_left: u32,
    /// Its sequence.
    pub seq: SeqNo,
    /// Distance back to the synced position in 8-byte units; `u32::MAX` claims nothing.
    pub synced_back: u32,
}

/// Length of a record's checksum, which stands first.
const CRC_LEN: usize = 4;
/// What `head_check` differs by from the beginning of the record's checksum.
const HEAD_CHECK_SHIFT: u32 = shifted(HEAD_CHECK_MIX, HEAD_CHECK_RANGE.end - HEAD_CHECK_RANGE.start);

const _: () = assert!(HEAD_CHECK_RANGE.start == CRC_LEN);

/// Bytes that a record takes in the log, padding included.
#[must_use]
pub const fn record_len(key_len: usize, val_len: usize) -> u64 {
    (RECORD_HEADER_LEN as u64 + key_len as u64 + val_len as u64).next_multiple_of(UNIT_LEN)
}

/// Appends a record that will lie at byte `offset` of the segment with this seed.
///
/// # Panics
/// When key or value are longer than their fields: the caller checks its limits.
pub fn encode(out: &mut Vec<u8>, seed: Seed, offset: u64, fields: Fields, key: &[u8], value: &[u8]) {
    let begin = out.len();
    let (sums, header) = unsummed_header(seed, offset, fields, key, value.len());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    let sum = sums.of_record(out.get(begin..).unwrap_or_default());
    if let Some(crc) = out.get_mut(begin..begin + CRC_LEN) {
        crc.copy_from_slice(&sum.to_le_bytes());
    }
    out.resize(begin + record_len(key.len(), value.len()) as usize, 0);
}

/// The header of a record, whose checksum goes on from that of header and key over the value.
pub(crate) fn encode_header(
    seed: Seed,
    offset: u64,
    fields: Fields,
    key: &[u8],
    val_len: usize,
) -> [u8; RECORD_HEADER_LEN] {
    let (sums, mut raw) = unsummed_header(seed, offset, fields, key, val_len);
    raw.crc = crc32(sums.start, &[summed_header(&raw), key]).into();
    zerocopy::transmute!(raw)
}

/// A header without its checksum, and what is known of that.
fn unsummed_header(
    seed: Seed,
    offset: u64,
    fields: Fields,
    key: &[u8],
    val_len: usize,
) -> (Sums, RawRecordHeader) {
    let mut raw = RawRecordHeader {
        crc: 0.into(),
        key_len: u16::try_from(key.len()).expect("key length was checked").into(),
        kind: fields.kind.to_u8(),
        flags: 0,
        val_len: u32::try_from(val_len).expect("value length was checked").into(),
        ops_left: fields.ops_left.into(),
        seq: fields.seq.get().into(),
        synced_back: fields.synced_back.into(),
        ext_len: 0,
        head_check: [0; 3],
    };
    let sums = Sums::of_head(&raw, seed.at(offset));
    raw.head_check = sums.head_check();
    (sums, raw)
}

/// A record's header whose `head_check` fits: probably a record, its body not yet summed.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    raw: RawRecordHeader,
    sums: Sums,
}

impl Head {
    /// Whether a record of at most `left` bytes may begin here: refuses most bytes that are none without a sum.
    #[inline]
    #[must_use]
    pub fn may_begin(bytes: &[u8], left: u64) -> bool {
        let Ok((raw, _)) = RawRecordHeader::ref_from_prefix(bytes) else { return false };
        let len = u64::from(raw.key_len.get()) + u64::from(raw.val_len.get()) + RECORD_HEADER_LEN as u64;
        raw.kind != 0 && len <= left
    }

    /// Reads a header at byte `offset` of the segment with this seed; `None` when cut or when its check does not fit.
    #[inline]
    #[must_use]
    pub fn peek(bytes: &[u8], seed: Seed, offset: u64) -> Option<Self> {
        let (raw, _) = RawRecordHeader::read_from_prefix(bytes).ok()?;
        if raw.kind == 0 {
            return None;
        }
        let sums = Sums::of_head(&raw, seed.at(offset));
        (sums.head_check() == raw.head_check).then_some(Self { raw, sums })
    }

    /// The header of a record that lies whole in `bytes` but for its padding, when the checksum over all of it fits. Cheaper than
    /// [`Head::peek`] and [`Head::verifies`] for who knows how long the record is: the header's own check says nothing more.
    #[inline]
    #[must_use]
    pub fn of_whole(bytes: &[u8], seed: Seed, offset: u64) -> Option<Self> {
        let (raw, _) = RawRecordHeader::read_from_prefix(bytes).ok()?;
        let head = Self { raw, sums: Sums { start: seed.at(offset), head: None } };
        (raw.kind != 0 && head.body_len() == (bytes.len() - RECORD_HEADER_LEN) as u64 && head.verifies(bytes))
            .then_some(head)
    }

    /// Bytes of the whole record, padding included.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        let len = RECORD_HEADER_LEN as u64 + self.body_len();
        align_up(len, UNIT_LEN).unwrap_or(len)
    }

    /// Distance back to the synced position in 8-byte units.
    #[must_use]
    pub fn synced_back(&self) -> u32 {
        self.raw.synced_back.get()
    }

    /// Its sequence.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        SeqNo::new(self.raw.seq.get())
    }

    /// Records of its batch that follow it.
    #[must_use]
    pub fn ops_left(&self) -> u32 {
        self.raw.ops_left.get()
    }

    /// The number of its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.raw.kind
    }

    /// The checksum that the record holds, and the one its bytes have. `bytes` begin at the header.
    ///
    /// `None` when they are cut.
    #[must_use]
    pub fn sums(&self, bytes: &[u8]) -> Option<(u32, u32)> {
        let end = RECORD_HEADER_LEN.checked_add(usize::try_from(self.body_len()).ok()?)?;
        Some((self.stored_sum(), self.sums.of_record(bytes.get(..end)?)))
    }

    /// Whether the whole record is there and its checksum fits.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8]) -> bool {
        self.sums(bytes).is_some_and(|(stored, summed)| stored == summed)
    }

    /// What a verified record at `pos` does.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for an extension, flag or kind of a later version.
    #[inline]
    pub(crate) fn known_kind(&self, pos: LogPos) -> Result<RecordKind, Fault> {
        let unsupported = |what, at: u64, found: u8| {
            Err(Fault::Unsupported { what, offset: pos.byte_offset() + at, found: u64::from(found) })
        };
        if self.raw.ext_len != 0 {
            return unsupported("record extension", 28, self.raw.ext_len);
        }
        if self.raw.flags != 0 {
            return unsupported("record flags", 7, self.raw.flags);
        }
        let Some(kind) = RecordKind::from_u8(self.raw.kind) else {
            return unsupported("record kind", 6, self.raw.kind);
        };
        Ok(kind)
    }

    /// What a verified record holds, `pos` being its place.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for an extension, flag or kind of a later version.
    #[inline]
    pub fn record<'a>(&self, bytes: &'a [u8], pos: LogPos) -> Result<Record<'a>, Fault> {
        let kind = self.known_kind(pos)?;
        let body = bytes.get(RECORD_HEADER_LEN..).unwrap_or_default();
        let (key, rest) = body.split_at_checked(usize::from(self.raw.key_len.get())).unwrap_or_default();
        let value = rest.get(..self.raw.val_len.get() as usize).unwrap_or_default();
        let units = u32::try_from(self.record_len() / UNIT_LEN).unwrap_or(u32::MAX);
        let end = LogPos::new(pos.segment, pos.offset.saturating_add(units));
        Ok(Record { pos, end, seq: self.seq(), kind, ops_left: self.ops_left(), key, value })
    }

    /// Length of its key.
    pub(crate) fn key_len(&self) -> u16 {
        self.raw.key_len.get()
    }

    /// Length of its value.
    pub(crate) fn val_len(&self) -> u32 {
        self.raw.val_len.get()
    }

    /// What is summed behind the header; `None` when `bytes`, which begin at the header, are cut.
    pub(crate) fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(RECORD_HEADER_LEN..)?.get(..usize::try_from(self.body_len()).ok()?)
    }

    /// The checksum of the header alone, from which that of the body goes on.
    pub(crate) fn header_sum(&self) -> u32 {
        crc32(self.sums.start, &[summed_header(&self.raw)])
    }

    /// The checksum that the record holds.
    pub(crate) fn stored_sum(&self) -> u32 {
        self.raw.crc.get()
    }

    fn body_len(&self) -> u64 {
        u64::from(self.raw.ext_len) + u64::from(self.raw.key_len.get()) + u64::from(self.raw.val_len.get())
    }
}

/// A record's checksum as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Sums {
    /// Where it starts.
    start: u32,
    /// How far it has come behind what `head_check` covers, if that was summed.
    head: Option<u32>,
}

impl Sums {
    #[inline]
    fn of_head(raw: &RawRecordHeader, start: u32) -> Self {
        let covered = raw.as_bytes().get(HEAD_CHECK_RANGE).unwrap_or_default();
        Self { start, head: Some(crc32(start, &[covered])) }
    }

    /// The check of the header that [`Sums::of_head`] has summed.
    #[inline]
    fn head_check(self) -> [u8; 3] {
        let [a, b, c, _] =
            ((self.head.unwrap_or_default() ^ HEAD_CHECK_SHIFT) & HEAD_CHECK_MASK).to_le_bytes();
        [a, b, c]
    }

    /// The checksum of a record, from its header to the end of its value.
    #[inline]
    fn of_record(self, bytes: &[u8]) -> u32 {
        match self.head {
            Some(head) if bytes.len() < CRC_LEN + SHORT_LEN => {
                crc32(head, &[bytes.get(HEAD_CHECK_RANGE.end..).unwrap_or_default()])
            }
            // In one piece: what is left behind the head may be too short for the CPU's instructions.
            _ => crc32(self.start, &[bytes.get(CRC_LEN..).unwrap_or_default()]),
        }
    }
}

fn summed_header(raw: &RawRecordHeader) -> &[u8] {
    raw.as_bytes().get(4..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
