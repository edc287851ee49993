//! A file of a database in words: which dump it wants, and what must be known to read it.
//!
//! Checksums of segments and MANIFESTs begin with the database's secret, the shard and the file's number, so that both are
//! read where they lie: in `shard-NNN/`, below the directory with the superblock. A table says itself what it needs.

use crate::error::{Error, Result};
use crate::filename::{FileName, SUPERBLOCK, parse_shard_dir};
use crate::manifest::{self, ManifestFile};
use crate::superblock::{self, Superblock};
use bytes::Bytes;
use jdb_io::{Disk, Mode};
use std::fmt::Write as _;
use std::path::Path;

/// Longest file that is taken apart, in bytes: all of it is read at once.
pub const DUMP_LEN_MAX: u64 = 1 << 30;

/// Which sort of file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FileKind {
    /// `SUPERBLOCK`, alone or where it lies.
    Superblock,
    /// `MANIFEST` of a shard, where it lies.
    Manifest,
    /// `NNNNNNNN.sst` or `NNNNNNNN.pack`, anywhere.
    Table,
    /// `NNNNNNNN.log`, where it lies.
    Segment,
}

/// Describes the file at `path`, a line a field. Nothing is locked or written: of a database in use it shows some moment.
///
/// Cost: the whole file in memory, at most [`DUMP_LEN_MAX`], and about ten times that in text.
///
/// # Errors
/// [`Error::Corrupt`] with the place; of a segment what is damaged is a line of the dump instead. [`Error::Missing`],
/// [`Error::InvalidArgument`] for a file that lies elsewhere, [`Error::TooLarge`], [`Error::Unsupported`], [`Error::Io`].
pub async fn dump(disk: &Disk, path: &Path, kind: FileKind) -> Result<String> {
    let bytes = read_whole(disk, path).await?;
    match kind {
        FileKind::Superblock => superblock::dump(&bytes).map_err(|fault| fault.at(path, 0)),
        FileKind::Table => match jdb_sst::dump(&bytes) {
            Ok(dump) => Ok(dump.to_string()),
            Err(damage) => Err(damage.of(path).into()),
        },
        FileKind::Manifest => {
            let home = Home::of(disk, path).await?;
            manifest::dump(&bytes, &home.secret, home.shard).map_err(|fault| fault.at(path, 0))
        }
        FileKind::Segment => {
            let home = Home::of(disk, path).await?;
            let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
            let Some(FileName::Segment(number)) = name else {
                return Err(Error::InvalidArgument {
                    what: "a segment's file is named by its number: NNNNNNNN.log",
                });
            };
            let mut text = jdb_val::dump::dump_segment(&bytes, &home.secret, home.shard, number);
            if let Some(place) = home.footer(disk, path, number).await {
                let _ = writeln!(text, "footer at {}, {} bytes", place.0, place.1);
                text += &jdb_val::dump::dump_footer(&bytes, &home.secret, home.shard, number, place);
            }
            Ok(text)
        }
    }
}

async fn read_whole(disk: &Disk, path: &Path) -> Result<Bytes> {
    let file = disk.open(path, Mode::Read).await?;
    let len = file.len().await?;
    if len > DUMP_LEN_MAX {
        return Err(Error::TooLarge { what: "file to dump", len, max: DUMP_LEN_MAX });
    }
    Ok(file.read_at(0, len as usize).await?)
}

/// The database that a file lies in.
struct Home {
    secret: [u8; 16],
    shard: u32,
}

impl Home {
    async fn of(disk: &Disk, path: &Path) -> Result<Self> {
        let elsewhere = Error::InvalidArgument {
            what: "the file must lie in its shard's directory, below that of its database: its checksums begin with both",
        };
        let dir = path.parent().unwrap_or(Path::new(""));
        let name = dir.file_name().and_then(|name| name.to_str()).and_then(parse_shard_dir);
        let Some((shard, root)) = name.zip(dir.parent()) else { return Err(elsewhere) };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        match Superblock::read(disk, root).await? {
            Some(superblock) => Ok(Self { secret: superblock.secret, shard: u32::from(shard) }),
            None => Err(Error::Missing { path: root.join(SUPERBLOCK), what: "superblock" }),
        }
    }

    /// Where the MANIFEST says that the segment has its footer.
    async fn footer(&self, disk: &Disk, path: &Path, number: u32) -> Option<(u64, u32)> {
        let dir = path.parent()?;
        let loaded = ManifestFile::load(disk, dir, &self.secret, self.shard, Mode::Read).await.ok()?;
        let place = loaded.state.segments.get(&number)?.footer?;
        Some((place.offset, place.len))
    }
}
