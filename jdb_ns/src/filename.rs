//! Names of files and directories: what is ours, and what is never touched.
//!
//! ```text
//! SUPERBLOCK  LOCK  RESERVE  shard-000/ .. shard-255/
//!                            MANIFEST  00000001.log  00000002.sst  00000003.pack
//! ```
//!
//! Invariants
//! - A name has one spelling: whatever [`FileName::parse`] takes, `to_string` gives back.
//! - Numbers start at 1, are shared by all kinds of files of a shard, and are never used twice.

use std::fmt;
use std::path::{Path, PathBuf};

/// The file that says what a database is.
pub const SUPERBLOCK: &str = "SUPERBLOCK";
/// A superblock that is being written.
pub const SUPERBLOCK_TMP: &str = "SUPERBLOCK.tmp";
/// The file whose advisory lock is held while the database is open.
pub const LOCK: &str = "LOCK";
/// Space that is given up when the disk is full.
pub const RESERVE: &str = "RESERVE";
/// The log of changes to a shard's set of files.
pub const MANIFEST: &str = "MANIFEST";
/// A MANIFEST that is being written.
pub const MANIFEST_TMP: &str = "MANIFEST.tmp";
/// Shards that a database can have.
pub const SHARD_COUNT_MAX: u16 = 256;

const SHARD_PREFIX: &str = "shard-";
const SHARD_DIGITS: usize = 3;
const NUMBER_DIGITS: usize = 8;
const SEGMENT_SUFFIX: &str = "log";
const TABLE_SUFFIX: &str = "sst";
const PACK_SUFFIX: &str = "pack";

/// Name of a file in a shard's directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// A segment of the value log.
    Segment(u32),
    /// A table of the index.
    Table(u32),
    /// A table of values moved out of collected segments.
    Pack(u32),
    /// The MANIFEST.
    Manifest,
    /// A MANIFEST that is being written.
    ManifestTmp,
}

impl FileName {
    /// The name; `None` for a name that is not ours: another suffix, another spelling of the number, number 0.
    ///
    /// ```
    /// use jdb_ns::filename::FileName;
    /// assert_eq!(FileName::parse("00000007.log"), Some(FileName::Segment(7)));
    /// assert_eq!(FileName::parse("7.log"), None);
    /// ```
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            MANIFEST => return Some(Self::Manifest),
            MANIFEST_TMP => return Some(Self::ManifestTmp),
            _ => {}
        }
        let (digits, suffix) = name.split_once('.')?;
        let number = number(digits, NUMBER_DIGITS)?;
        if number == 0 {
            return None;
        }
        match suffix {
            SEGMENT_SUFFIX => Some(Self::Segment(number)),
            TABLE_SUFFIX => Some(Self::Table(number)),
            PACK_SUFFIX => Some(Self::Pack(number)),
            _ => None,
        }
    }

    /// Its number; `None` for the MANIFEST.
    #[must_use]
    pub const fn number(self) -> Option<u32> {
        match self {
            Self::Segment(number) | Self::Table(number) | Self::Pack(number) => Some(number),
            Self::Manifest | Self::ManifestTmp => None,
        }
    }

    /// Its path in a shard's directory.
    #[must_use]
    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, suffix) = match *self {
            Self::Segment(number) => (number, SEGMENT_SUFFIX),
            Self::Table(number) => (number, TABLE_SUFFIX),
            Self::Pack(number) => (number, PACK_SUFFIX),
            Self::Manifest => return f.write_str(MANIFEST),
            Self::ManifestTmp => return f.write_str(MANIFEST_TMP),
        };
        write!(f, "{number:0NUMBER_DIGITS$}.{suffix}")
    }
}

/// Name of a shard's directory: `shard-000`.
#[must_use]
pub fn shard_dir(shard: u16) -> String {
    format!("{SHARD_PREFIX}{shard:0SHARD_DIGITS$}")
}

/// The shard whose directory has this name; `None` for a name that is not ours.
#[must_use]
pub fn parse_shard_dir(name: &str) -> Option<u16> {
    let digits = name.strip_prefix(SHARD_PREFIX)?;
    let shard = u16::try_from(number(digits, SHARD_DIGITS)?).ok()?;
    (shard < SHARD_COUNT_MAX).then_some(shard)
}

/// A decimal number of at least `digits` digits, with leading zeros up to there only.
fn number(text: &str, digits: usize) -> Option<u32> {
    let ours = text.len() >= digits
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == digits || !text.starts_with('0'));
    if ours { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for (name, want) in [
            ("00000001.log", Some(FileName::Segment(1))),
            ("00000002.sst", Some(FileName::Table(2))),
            ("99999999.pack", Some(FileName::Pack(99_999_999))),
            ("100000000.log", Some(FileName::Segment(100_000_000))),
            ("4294967295.sst", Some(FileName::Table(u32::MAX))),
            ("MANIFEST", Some(FileName::Manifest)),
            ("MANIFEST.tmp", Some(FileName::ManifestTmp)),
            ("4294967296.sst", None),
            ("99999999999999999999.sst", None),
            ("00000000.log", None),
            ("000000001.log", None),
            ("0000001.log", None),
            ("1.log", None),
            ("+0000001.log", None),
            ("0000000a.log", None),
            ("00000001", None),
            ("00000001.", None),
            ("00000001.LOG", None),
            ("00000001.log.bak", None),
            ("00000001.log ", None),
            (".log", None),
            ("manifest", None),
            ("MANIFEST.TMP", None),
            ("", None),
            ("٠٠٠٠٠٠٠١.log", None),
        ] {
            let parsed = FileName::parse(name);
            assert_eq!(parsed, want, "{name:?}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.to_string(), name);
            }
        }
    }

    #[test]
    fn shard_directories_have_three_digits() {
        for (name, want) in [
            ("shard-000", Some(0)),
            ("shard-255", Some(255)),
            ("shard-256", None),
            ("shard-00", None),
            ("shard-0000", None),
            ("shard-1000", None),
            ("shard-", None),
            ("shard-0a0", None),
            ("Shard-000", None),
        ] {
            assert_eq!(parse_shard_dir(name), want, "{name:?}");
            if let Some(shard) = want {
                assert_eq!(shard_dir(shard), name);
            }
        }
    }
}
