//! Superblock: the 4 KiB file that says what a database is.
//!
//! It is written once, when the database is made, and holds what every other file depends on: the number of shards, the
//! seed that spreads namespaces over them, the secret that checksums start from and the public history id.
//!
//! Invariants
//! - The checksum covers the whole file: no bit of it can change unseen.
//! - The file appears whole or not at all: written under another name, synced, renamed, the directory synced.
//!
//! Format: docs/format/superblock.md.

use crate::error::{Error, Fault, Result};
use crate::filename::{SHARD_COUNT_MAX, SUPERBLOCK, SUPERBLOCK_TMP};
use jdb_base::checksum::crc32;
use jdb_base::varint;
use jdb_io::plant::{Plant, planted};
use jdb_io::{Disk, Mode};
use std::fmt::Write as _;
use std::path::Path;

/// Length of the file.
pub const LEN: usize = 4096;
const MAGIC: [u8; 4] = *b"jdb0";
const VERSION: u16 = 1;
const FIELDS_LEN: usize = 80;
const CHECKSUM_OFFSET: usize = LEN - size_of::<u32>();
/// The checksum has no secret to start from: the secret is in here.
const CHECKSUM_START: u32 = 0;
const _: () = assert!(FIELDS_LEN <= CHECKSUM_OFFSET);

/// Feature bits of a file: what its reader must know.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Features {
    /// A reader that does not know a bit may ignore it.
    pub compatible: u64,
    /// A reader that does not know a bit may read, and must not write.
    pub read_only: u64,
    /// A reader that does not know a bit must refuse.
    pub incompatible: u64,
}

impl Features {
    /// Length on disk.
    pub(crate) const LEN: usize = 24;
    /// The bits that this version knows.
    const KNOWN: Self = Self { compatible: 0, read_only: 0, incompatible: 0 };

    /// Whether a later version must be used to write.
    #[must_use]
    pub const fn forbid_writing(self) -> bool {
        self.read_only & !Self::KNOWN.read_only != 0
    }

    /// # Errors
    /// [`Error::Unsupported`] when the file at `path` has a read-only feature that this version does not know.
    pub(crate) fn check_writable(self, path: &Path) -> Result<()> {
        if !self.forbid_writing() {
            return Ok(());
        }
        let found = self.read_only & !Self::KNOWN.read_only;
        Err(Error::Unsupported { path: path.to_owned(), what: "writing with read-only feature", found })
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        for bits in [self.compatible, self.read_only, self.incompatible] {
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }

    pub(crate) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let compatible = varint::take_u64_le(bytes)?;
        let read_only = varint::take_u64_le(bytes)?;
        Some(Self { compatible, read_only, incompatible: varint::take_u64_le(bytes)? })
    }

    /// # Errors
    /// [`Fault::Unsupported`] with the incompatible bits that this version does not know.
    pub(crate) const fn check(self) -> Result<(), Fault> {
        match self.incompatible & !Self::KNOWN.incompatible {
            0 => Ok(()),
            found => Err(Fault::Unsupported { what: "incompatible feature", found }),
        }
    }
}

/// What a database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Superblock {
    /// Feature bits.
    pub features: Features,
    /// Number of shards: a power of two, at most 256.
    pub shard_count: u16,
    /// Seed of the hash that gives each namespace its shard.
    pub hash_seed: u64,
    /// What checksums of this database's files start from; never leaves it.
    pub secret: [u8; 16],
    /// Public id of this line of history: resume tokens carry it.
    pub history: [u8; 16],
    /// When the database was made, in milliseconds since 1970.
    pub created_unix_ms: u64,
}

impl Superblock {
    /// A new database with ids from the disk's source of chance.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless `shard_count` is a power of two and at most 256; those of [`Disk::random`].
    pub fn new(disk: &Disk, shard_count: u16) -> Result<Self> {
        if !is_shard_count(shard_count) {
            return Err(Error::InvalidArgument { what: "number of shards: a power of two from 1 to 256" });
        }
        Ok(Self {
            features: Features::default(),
            shard_count,
            hash_seed: disk.random()? as u64,
            secret: disk.random()?.to_le_bytes(),
            history: disk.random()?.to_le_bytes(),
            created_unix_ms: disk.unix_ms(),
        })
    }

    /// The file's bytes. **Format**.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.shard_count.to_le_bytes());
        self.features.put(&mut out);
        out.extend_from_slice(&self.hash_seed.to_le_bytes());
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.history);
        out.extend_from_slice(&self.created_unix_ms.to_le_bytes());
        out.resize(CHECKSUM_OFFSET, 0);
        let sum = crc32(CHECKSUM_START, &[&out]);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads the whole file's bytes.
    ///
    /// # Errors
    /// [`Fault::NotADatabase`] without the magic, [`Fault::Unsupported`] for a later version or an incompatible
    /// feature, [`Fault::Corrupt`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut rest = bytes;
        if varint::take_array(&mut rest) != Some(MAGIC) {
            return Err(Fault::NotADatabase);
        }
        let cut = Fault::Corrupt {
            what: "superblock length",
            offset: 0,
            expected: LEN as u64,
            found: bytes.len() as u64,
        };
        let version = varint::take_u16_le(&mut rest).ok_or(cut)?;
        if version > VERSION {
            return Err(Fault::Unsupported { what: "superblock version", found: version.into() });
        }
        let (head, tail) = bytes.split_at_checked(CHECKSUM_OFFSET).ok_or(cut)?;
        let found = u32::from_le_bytes(tail.try_into().map_err(|_| cut)?);
        let expected = crc32(CHECKSUM_START, &[head]);
        check("superblock checksum", CHECKSUM_OFFSET, expected, found)?;
        check("superblock version", 4, VERSION, version)?;
        Self::take(&mut rest).ok_or(cut)?
    }

    fn take(bytes: &mut &[u8]) -> Option<Result<Self, Fault>> {
        let superblock = Self {
            shard_count: varint::take_u16_le(bytes)?,
            features: Features::take(bytes)?,
            hash_seed: varint::take_u64_le(bytes)?,
            secret: varint::take_array(bytes)?,
            history: varint::take_array(bytes)?,
            created_unix_ms: varint::take_u64_le(bytes)?,
        };
        let count = superblock.shard_count;
        let nearest = count.clamp(1, SHARD_COUNT_MAX).next_power_of_two();
        let checked = superblock.features.check().and_then(|()| check("number of shards", 6, nearest, count));
        Some(checked.map(|()| superblock))
    }

    /// Reads the superblock in `dir`; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::NotADatabase`], [`Error::Unsupported`], [`Error::Corrupt`], [`Error::Io`].
    pub async fn read(disk: &Disk, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(SUPERBLOCK);
        let file = match disk.open(&path, Mode::Read).await {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // One byte more, so that a file that is too long is seen.
        let bytes = file.read_at(0, LEN + 1).await?;
        Self::decode(&bytes).map(Some).map_err(|fault| fault.at(&path, 0))
    }

    /// Makes a superblock that was found durable, with its directory's name: the process that wrote it may have died before
    /// it did so.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn sync_at_open(disk: &Disk, dir: &Path) -> Result<()> {
        disk.open(&dir.join(SUPERBLOCK), Mode::ReadWrite).await?.sync().await?;
        disk.sync_dir(dir).await?;
        sync_parent(disk, dir).await
    }

    /// Writes the superblock into `dir`; returns when it is durable. An existing one is replaced at once.
    ///
    /// # Errors
    /// [`Error::Io`]; afterwards the old superblock or the new one is there, or none where there was none.
    pub async fn write(&self, disk: &Disk, dir: &Path) -> Result<()> {
        let tmp = dir.join(SUPERBLOCK_TMP);
        let file = disk.open(&tmp, Mode::Truncate).await?;
        file.write_at(0, self.encode()).await.0?;
        if !planted(Plant::NoSuperblockSync) {
            file.sync().await?;
        }
        disk.rename(&tmp, &dir.join(SUPERBLOCK)).await?;
        if !planted(Plant::NoSuperblockSync) {
            disk.sync_dir(dir).await?;
        }
        Ok(())
    }
}

/// Makes the name of `dir` durable. One that stands at the top, or below a directory that we may not read, is not ours to
/// keep.
pub(crate) async fn sync_parent(disk: &Disk, dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match disk.sync_dir(parent).await {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) => Ok(()),
        result => Ok(result?),
    }
}

/// The file's bytes as lines of a golden dump: range, bytes in hex, meaning.
///
/// # Errors
/// Those of [`Superblock::decode`].
pub fn dump(bytes: &[u8]) -> Result<String, Fault> {
    let superblock = Superblock::decode(bytes)?;
    let features = superblock.features;
    let mut out = String::new();
    let mut start = 0;
    let mut line = |len: usize, text: &str| {
        dump_line(&mut out, bytes, start, len, text);
        start += len;
    };
    line(4, "magic \"jdb0\"");
    line(2, &format!("version {VERSION}"));
    line(2, &format!("{} shards", superblock.shard_count));
    line(8, &format!("compatible features {:#x}", features.compatible));
    line(8, &format!("read-only features {:#x}", features.read_only));
    line(8, &format!("incompatible features {:#x}", features.incompatible));
    line(8, "hash seed");
    line(16, "secret");
    line(16, "history id");
    line(8, &format!("made at {} ms", superblock.created_unix_ms));
    line(CHECKSUM_OFFSET - FIELDS_LEN, "reserved, zeros");
    line(4, "crc32 of all before");
    Ok(out)
}

/// Appends a line of a golden dump: `000..004  6a646273  text`. Bytes after the first 32 are only counted.
pub(crate) fn dump_line(out: &mut String, bytes: &[u8], start: usize, len: usize, text: &str) {
    const SHOWN: usize = 32;
    let end = start.saturating_add(len).min(bytes.len());
    let field = bytes.get(start..end).unwrap_or_default();
    let _ = write!(out, "{start:03}..{end:03}  ");
    for byte in field.iter().take(SHOWN) {
        let _ = write!(out, "{byte:02x}");
    }
    if field.len() > SHOWN {
        let _ = write!(out, "..+{}", field.len() - SHOWN);
    }
    let _ = writeln!(out, "  {text}");
}

const fn is_shard_count(count: u16) -> bool {
    count.is_power_of_two() && count <= SHARD_COUNT_MAX
}

fn check<T: Into<u64> + Eq>(what: &'static str, offset: usize, expected: T, found: T) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    Err(Fault::Corrupt { what, offset: offset as u64, expected: expected.into(), found: found.into() })
}

#[cfg(test)]
mod tests;
