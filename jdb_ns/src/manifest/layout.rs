//! The bytes around the edits: the file's header and the frame of a record.
//!
//! ```text
//! header: magic 4  version u16  0 u16  features 3 * u64  shard u32  file id 16  0 * 8  crc32 u32
//! record: crc32 u32  len u32  head_check u32  body  0 * (0..7)
//! ```
//!
//! Invariants
//! - A record begins at a multiple of 8 bytes, so that one can be looked for behind a bad one.
//! - A record's checksums start from the file's random id and the record's offset, the header's from the database's
//!   secret and the shard: nothing verifies in another place.
//! - `head_check` covers the length alone: a body is summed only where a length is ours.
//!
//! Format: docs/format/manifest.md.

use crate::error::{Error, Fault};
use crate::superblock::Features;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::pages::align_up;
use jdb_base::varint;

/// Length of the file's header.
pub(super) const HEADER_LEN: usize = 64;
/// Length of a record's frame, before its body.
pub(super) const RECORD_HEADER_LEN: usize = 12;
/// Records begin at multiples of this.
pub(super) const RECORD_ALIGN: u64 = 8;
/// Longest body of a record.
pub(super) const BODY_LEN_MAX: u32 = 256 << 20;
/// Longest file that is read: a roll-over is due at four bodies and one more record.
pub(super) const FILE_LEN_MAX: u64 = 2 << 30;
/// What a random id takes.
pub(super) const ID_LEN: usize = 16;

const MAGIC: [u8; 4] = *b"jdbm";
const VERSION: u16 = 1;
const SHARD_OFFSET: u64 = 32;
const CHECKSUM_OFFSET: usize = HEADER_LEN - size_of::<u32>();
const _: () = assert!((HEADER_LEN as u64).is_multiple_of(RECORD_ALIGN));
const _: () = assert!(FILE_LEN_MAX > 6 * BODY_LEN_MAX as u64);
const _: () = assert!(SHARD_OFFSET as usize == 4 + 2 + 2 + Features::LEN);

/// Which file this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) features: Features,
    pub(super) shard: u32,
    /// Drawn anew for every file.
    pub(super) id: [u8; ID_LEN],
}

impl Header {
    pub(super) fn encode(&self, secret: &[u8; ID_LEN]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        self.features.put(&mut out);
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.id);
        out.resize(CHECKSUM_OFFSET, 0);
        let sum = crc32(header_seed(secret, self.shard).at(0), &[&out]);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a header that must belong to `shard` of the database with this `secret`.
    pub(super) fn decode(bytes: &[u8], secret: &[u8; ID_LEN], shard: u32) -> Result<Self, Fault> {
        let cut = Fault::Corrupt {
            what: "manifest header length",
            offset: 0,
            expected: HEADER_LEN as u64,
            found: bytes.len() as u64,
        };
        let (head, mut tail) = bytes.split_at_checked(CHECKSUM_OFFSET).ok_or(cut)?;
        let mut rest = head;
        let magic = varint::take_array(&mut rest).ok_or(cut)?;
        check("manifest magic", 0, u32::from_be_bytes(MAGIC), u32::from_be_bytes(magic))?;
        let version = varint::take_u16_le(&mut rest).ok_or(cut)?;
        if version > VERSION {
            return Err(Fault::Unsupported { what: "manifest version", found: version.into() });
        }
        let _reserved = varint::take_u16_le(&mut rest).ok_or(cut)?;
        let features = Features::take(&mut rest).ok_or(cut)?;
        let found_shard = varint::take_u32_le(&mut rest).ok_or(cut)?;
        check("manifest's shard", SHARD_OFFSET, shard, found_shard)?;
        let id = varint::take_array(&mut rest).ok_or(cut)?;
        let found = varint::take_u32_le(&mut tail).ok_or(cut)?;
        let sum = crc32(header_seed(secret, shard).at(0), &[head]);
        check("manifest header checksum", CHECKSUM_OFFSET as u64, sum, found)?;
        check("manifest version", 4, VERSION.into(), version.into())?;
        features.check()?;
        Ok(Self { features, shard, id })
    }

    /// What checksums of records start from.
    pub(super) fn seed(&self) -> Seed {
        Seed::of(&self.id)
    }
}

/// The frame of a record, before its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHeader {
    sum: u32,
    len: u32,
    head_check: u32,
}

impl RecordHeader {
    pub(super) fn take(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            sum: varint::take_u32_le(&mut bytes)?,
            len: varint::take_u32_le(&mut bytes)?,
            head_check: varint::take_u32_le(&mut bytes)?,
        })
    }

    /// Length of frame, body and padding of the record at `offset`, when this can be one of a file of `file_len` bytes.
    pub(super) fn fits(self, seed: Seed, offset: u64, file_len: u64) -> Option<u64> {
        let whole = record_len(self.len)?;
        let fits = self.head_check == head_check(seed, offset, self.len)
            && offset.checked_add(whole).is_some_and(|end| end <= file_len);
        fits.then_some(whole)
    }

    /// The body, when `record` (frame, body, padding) is whole and unchanged.
    pub(super) fn verify(self, seed: Seed, offset: u64, record: &[u8]) -> Option<&[u8]> {
        let (_, rest) = record.split_at_checked(RECORD_HEADER_LEN)?;
        let (body, padding) = rest.split_at_checked(usize::try_from(self.len).ok()?)?;
        let sound = self.sum == sum(seed, offset, self.len, body) && padding.iter().all(|&byte| byte == 0);
        sound.then_some(body)
    }
}

/// The record that holds `body` at `offset`.
///
/// # Errors
/// [`Error::TooLarge`] when the body is longer than a record may be.
pub(super) fn encode_record(seed: Seed, offset: u64, body: &[u8]) -> Result<Vec<u8>, Error> {
    let too_large =
        Error::TooLarge { what: "manifest record", len: body.len() as u64, max: BODY_LEN_MAX.into() };
    let len = u32::try_from(body.len()).ok();
    let Some((len, whole)) = len.and_then(|len| Some((len, record_len(len)?))) else { return Err(too_large) };
    let mut out = Vec::with_capacity(whole as usize);
    for word in [sum(seed, offset, len, body), len, head_check(seed, offset, len)] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(body);
    out.resize(whole as usize, 0);
    Ok(out)
}

/// Frame, body and padding; `None` for a body that no record has.
fn record_len(body_len: u32) -> Option<u64> {
    let fits = (1..=BODY_LEN_MAX).contains(&body_len);
    if fits { align_up(RECORD_HEADER_LEN as u64 + u64::from(body_len), RECORD_ALIGN) } else { None }
}

fn header_seed(secret: &[u8; ID_LEN], shard: u32) -> Seed {
    Seed::of(&[b"jdb manifest".as_slice(), secret, &shard.to_le_bytes()].concat())
}

fn head_check(seed: Seed, offset: u64, len: u32) -> u32 {
    crc32(seed.at(offset), &[b"head", &len.to_le_bytes()])
}

fn sum(seed: Seed, offset: u64, len: u32, body: &[u8]) -> u32 {
    crc32(seed.at(offset), &[&len.to_le_bytes(), body])
}

fn check(what: &'static str, offset: u64, expected: u32, found: u32) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    Err(Fault::Corrupt { what, offset, expected: expected.into(), found: found.into() })
}
