//! A segment file: its name, its seed and its header.
//!
//! The header names the **predecessor** and its **true end**: what lies behind that end does not exist. A segment
//! continues the log only if the end it names was reached.
//!
//! Invariants
//! - A number is never used twice in a shard, and a successor has a larger number than its predecessor.
//! - Everything in a segment is summed from the segment's seed: a segment of another shard or database, or one that was
//!   renamed to another number, does not verify.
//!
//! Format: docs/format/value_log.md.

use crate::error::Fault;
use crate::layout::{
    RawSegmentHeader, SEGMENT_CRC_RANGE, SEGMENT_HEADER_LEN, SEGMENT_MAGIC, SEGMENT_VERSION,
};
use crate::pos::LogPos;
use jdb_base::SeqNo;
use jdb_base::checksum::{Seed, crc32};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Suffix of a segment's file name.
pub const SEGMENT_SUFFIX: &str = ".log";
/// Suffixes of all numbered files of a shard: segments, tables, packs.
const NUMBERED_SUFFIXES: [&str; 3] = [SEGMENT_SUFFIX, ".sst", ".pack"];

/// The file name of segment `number`.
#[must_use]
pub fn segment_name(number: u32) -> String {
    format!("{number:08}{SEGMENT_SUFFIX}")
}

/// The path of segment `number` in `dir`.
#[must_use]
pub fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(segment_name(number))
}

/// The number of the segment that `name` names; `None` unless it is exactly such a name.
///
/// ```
/// use jdb_val::segment::parse_segment_name;
/// assert_eq!(parse_segment_name("00000007.log"), Some(7));
/// assert_eq!(parse_segment_name("7.log"), None);
/// assert_eq!(parse_segment_name("00000000.log"), None, "0 is no segment");
/// ```
#[must_use]
pub fn parse_segment_name(name: &str) -> Option<u32> {
    parse_numbered(name, SEGMENT_SUFFIX)
}

/// The number in the name of any numbered file of a shard: segment, table or pack.
#[must_use]
pub fn parse_any_name(name: &str) -> Option<u32> {
    NUMBERED_SUFFIXES.iter().find_map(|suffix| parse_numbered(name, suffix))
}

fn parse_numbered(name: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_suffix(suffix)?;
    let number: u32 = digits.parse().ok()?;
    (number != 0 && format!("{number:08}") == digits).then_some(number)
}

/// The seed of everything in segment `number` of `shard`.
#[must_use]
pub fn segment_seed(secret: &[u8; 16], shard: u32, number: u32) -> Seed {
    let mut identity = [0; 24];
    let (uuid, place) = identity.split_at_mut(16);
    let (shard_bytes, number_bytes) = place.split_at_mut(4);
    uuid.copy_from_slice(secret);
    shard_bytes.copy_from_slice(&shard.to_le_bytes());
    number_bytes.copy_from_slice(&number.to_le_bytes());
    Seed::of(&identity)
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// The shard it belongs to.
    pub shard: u32,
    /// Its number.
    pub number: u32,
    /// The predecessor and its true end; [`LogPos::START`] for the first segment of a log.
    pub pred: LogPos,
    /// Sequence of the last record before this segment.
    pub pred_last_seq: SeqNo,
    /// Feature bits that a reader may ignore.
    pub features_compatible: u32,
}

impl SegmentHeader {
    /// The header's bytes. `seed` is that of the segment.
    #[must_use]
    pub fn encode(&self, seed: Seed) -> [u8; SEGMENT_HEADER_LEN] {
        let mut raw = RawSegmentHeader::new_zeroed();
        raw.magic = SEGMENT_MAGIC;
        raw.version = SEGMENT_VERSION.into();
        raw.features_compatible = self.features_compatible.into();
        raw.shard = self.shard.into();
        raw.number = self.number.into();
        raw.pred_number = self.pred.segment.into();
        raw.pred_end = self.pred.offset.into();
        raw.pred_last_seq = self.pred_last_seq.get().into();
        raw.crc = header_crc(&raw, seed).into();
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// Reads the header of segment `number` of `shard` from the first bytes of its file.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when they are cut or do not verify, [`Fault::Unsupported`] when they verify and are of a later
    /// version or have unknown features.
    pub fn decode(bytes: &[u8], seed: Seed, shard: u32, number: u32) -> Result<Self, Fault> {
        let Ok((raw, _)) = RawSegmentHeader::read_from_prefix(bytes) else {
            let (expected, found) = (SEGMENT_HEADER_LEN as u64, bytes.len() as u64);
            return Err(Fault::Corrupt { what: "length of the segment header", offset: 0, expected, found });
        };
        let corrupt = |what, offset, expected: u32, found: u32| {
            Err(Fault::Corrupt { what, offset, expected: u64::from(expected), found: u64::from(found) })
        };
        if raw.magic != SEGMENT_MAGIC {
            return corrupt("magic", 0, u32::from_le_bytes(SEGMENT_MAGIC), u32::from_le_bytes(raw.magic));
        }
        let crc = header_crc(&raw, seed);
        if raw.crc.get() != crc {
            return corrupt("checksum of the segment header", 60, crc, raw.crc.get());
        }
        for (what, offset, found, known) in [
            ("version", 4, u32::from(raw.version.get()), u32::from(SEGMENT_VERSION)),
            ("read-only features", 12, raw.features_read_only.get(), 0),
            ("incompatible features", 16, raw.features_incompatible.get(), 0),
        ] {
            if found != known {
                return Err(Fault::Unsupported { what, offset, found: u64::from(found) });
            }
        }
        if raw.shard.get() != shard {
            return corrupt("shard", 20, shard, raw.shard.get());
        }
        if raw.number.get() != number {
            return corrupt("segment number", 24, number, raw.number.get());
        }
        let pred = LogPos::new(raw.pred_number.get(), raw.pred_end.get());
        if pred.segment >= number {
            return corrupt("predecessor's number", 28, number.saturating_sub(1), pred.segment);
        }
        Ok(Self {
            shard,
            number,
            pred,
            pred_last_seq: SeqNo::new(raw.pred_last_seq.get()),
            features_compatible: raw.features_compatible.get(),
        })
    }
}

fn header_crc(raw: &RawSegmentHeader, seed: Seed) -> u32 {
    crc32(seed.at(0), &[raw.as_bytes().get(SEGMENT_CRC_RANGE).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 16] = *b"0123456789abcdef";

    fn header() -> SegmentHeader {
        SegmentHeader {
            shard: 3,
            number: 7,
            pred: LogPos::new(5, 4711),
            pred_last_seq: SeqNo::new(99),
            features_compatible: 0,
        }
    }

    #[test]
    fn header_comes_back() {
        let seed = segment_seed(&SECRET, 3, 7);
        assert_eq!(SegmentHeader::decode(&header().encode(seed), seed, 3, 7), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let seed = segment_seed(&SECRET, 3, 7);
        let bytes = header().encode(seed);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            let result = SegmentHeader::decode(&bad, seed, 3, 7);
            assert!(matches!(result, Err(Fault::Corrupt { .. })), "bit {bit}: {result:?}");
        }
        for len in 0..bytes.len() {
            assert!(SegmentHeader::decode(&bytes[..len], seed, 3, 7).is_err(), "length {len}");
        }
    }

    #[test]
    fn header_of_another_place_does_not_verify() {
        let seed = segment_seed(&SECRET, 3, 7);
        let bytes = header().encode(seed);
        for (secret, shard, number) in [(SECRET, 2, 7), (SECRET, 3, 8), (*b"0123456789abcdeg", 3, 7)] {
            let other = segment_seed(&secret, shard, number);
            let result = SegmentHeader::decode(&bytes, other, shard, number);
            assert!(matches!(result, Err(Fault::Corrupt { offset: 60, .. })), "{shard} {number}: {result:?}");
        }
    }

    #[test]
    fn later_versions_and_unknown_features_are_unsupported_not_corrupt() {
        let seed = segment_seed(&SECRET, 3, 7);
        for (offset, what) in [(4, "version"), (12, "read-only features"), (16, "incompatible features")] {
            let mut bytes = header().encode(seed);
            bytes[offset] = 2;
            let crc = crc32(seed.at(0), &[&bytes[..60]]);
            bytes[60..].copy_from_slice(&crc.to_le_bytes());
            let want = Fault::Unsupported { what, offset: offset as u64, found: 2 };
            assert_eq!(SegmentHeader::decode(&bytes, seed, 3, 7), Err(want));
        }
        let mut bytes = header().encode(seed);
        bytes[8] = 4;
        let crc = crc32(seed.at(0), &[&bytes[..60]]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes, seed, 3, 7).map(|h| h.features_compatible), Ok(4));
    }

    #[test]
    fn only_canonical_names_are_ours() {
        for (name, want) in [
            ("00000001.log", Some(1)),
            ("4294967295.log", Some(u32::MAX)),
            ("123456789.log", Some(123_456_789)),
            ("0123456789.log", None),
            ("4294967296.log", None),
            ("+0000001.log", None),
            ("00000000.log", None),
            ("0000001.log", None),
            ("00000001.log ", None),
            ("00000001.LOG", None),
            ("00000001.sst", None),
            (".log", None),
            ("", None),
        ] {
            assert_eq!(parse_segment_name(name), want, "{name:?}");
        }
        assert_eq!(parse_any_name("00000012.pack"), Some(12));
        assert_eq!(parse_any_name("00000012.sst"), Some(12));
        assert_eq!(parse_any_name("00000012.tmp"), None);
        assert_eq!(parse_segment_name(&segment_name(u32::MAX)), Some(u32::MAX));
    }
}
