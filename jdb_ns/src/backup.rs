//! A backup: a second database, openable as it is, that holds what this one holds at one moment of each shard.
//!
//! ```text
//! mark "incomplete" -> per shard, under its MANIFEST's lock:
//!     log sealed and synced -> tables, packs, sealed segments linked (copied across file systems)
//!                           -> segments that no table covers yet copied to their ends -> a MANIFEST of its own
//! -> superblock with a new history id -> mark removed
//! ```
//!
//! Invariants
//! - What is linked is never written again by either database: tables, packs, and segments that the MANIFEST names as sealed. What
//!   recovery may write again, the unflushed log, is copied.
//! - The superblock is written last: a directory without one is not a database, and the mark keeps it from becoming one.

use crate::error::{Error, Result};
use crate::filename::{self, FileName};
use crate::flusher::position;
use crate::manager::Manager;
use crate::manifest::ManifestFile;
use crate::shard::Shard;
use crate::superblock::{Superblock, sync_parent};
use jdb_io::{Disk, Mode};
use std::path::Path;

/// A file of an unfinished backup; its directory is no database while it lies there without a superblock.
const INCOMPLETE: &str = "INCOMPLETE";
/// Bytes that are copied at a time.
const COPY_LEN: usize = 1 << 20;

/// What a backup consists of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// Files that both databases share.
    pub linked: u64,
    /// Files that were copied.
    pub copied: u64,
    /// Bytes of the files that were copied.
    pub copied_len: u64,
    /// Bytes of all its files.
    pub len: u64,
}

impl Manager {
    /// Makes a backup in `dir`, which must be empty or not exist.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] when the directory is not empty; [`Error::InvalidArgument`] when a MANIFEST was lost; the disk's; the
    /// shard stopped writing.
    pub async fn backup_to(&self, dir: &Path) -> Result<BackupReport> {
        let disk = self.disk();
        for shard in self.shards() {
            if shard.manifest.lock().await.file.is_none() {
                // Put together from its files, it knows of no live bytes: what opens the copy would take all of it for garbage.
                let what = "a database that lost its MANIFEST can be salvaged, not backed up";
                return Err(Error::InvalidArgument { what });
            }
        }
        disk.create_dir_all(dir).await?;
        if !disk.list(dir).await?.is_empty() {
            return Err(Error::NotEmpty { path: dir.to_owned() });
        }
        disk.open(&dir.join(INCOMPLETE), Mode::CreateNew).await?.sync().await?;
        disk.sync_dir(dir).await?;
        sync_parent(disk, dir).await?;
        let superblock = Superblock {
            history: disk.random()?.to_le_bytes(),
            created_unix_ms: disk.unix_ms(),
            ..*self.superblock()
        };
        let mut report = BackupReport::default();
        for (index, shard) in (0..).zip(self.shards()) {
            let to = dir.join(filename::shard_dir(index));
            disk.create_dir_all(&to).await?;
            shard.backup_to(&to, &superblock, u32::from(index), &mut report).await?;
        }
        disk.sync_dir(dir).await?;
        superblock.write(disk, dir).await?;
        disk.remove(&dir.join(INCOMPLETE)).await?;
        disk.sync_dir(dir).await?;
        Ok(report)
    }
}

impl Shard {
    async fn backup_to(
        &self,
        to: &Path,
        superblock: &Superblock,
        index: u32,
        report: &mut BackupReport,
    ) -> Result<()> {
        // Nothing is flushed, merged or removed from here to the end of the links.
        let manifest = self.manifest.lock().await;
        let mut state = manifest.state.clone();
        let end = if self.settings.read_only {
            self.log.written()
        } else {
            let end = self.log.seal_now().await;
            self.wait_synced(end).await?;
            end
        };
        let sealed = state.segments.keys().map(|&number| FileName::Segment(number));
        let tables = state.tables.keys().map(|&number| FileName::Table(number));
        let packs = state.packs.keys().map(|&number| FileName::Pack(number));
        for name in sealed.chain(tables).chain(packs) {
            self.link(name, to, report).await?;
        }
        for segment in self.log.chain() {
            let unflushed = state.replay_from.segment..=end.segment;
            if !state.segments.contains_key(&segment.number) && unflushed.contains(&segment.number) {
                let len = jdb_val::LogPos::new(segment.number, segment.end).byte_offset();
                let name = FileName::Segment(segment.number);
                copy(&self.disk, &name.path(&self.dir), &name.path(to), Some(len), report).await?;
            }
        }
        drop(manifest);
        state.log_synced = position(end);
        state.next_number = state.next_number.max(end.segment.saturating_add(1));
        ManifestFile::create(&self.disk, to, &superblock.secret, index, &state).await?;
        Ok(())
    }

    async fn link(&self, name: FileName, to: &Path, report: &mut BackupReport) -> Result<()> {
        let (from, to) = (name.path(&self.dir), name.path(to));
        if !self.disk.hard_link(&from, &to).await? {
            return copy(&self.disk, &from, &to, None, report).await;
        }
        report.linked += 1;
        report.len += self.disk.open(&to, Mode::Read).await?.len().await?;
        Ok(())
    }
}

/// Copies the first `len` bytes of a file, or all of it, and makes them durable; not the name.
async fn copy(
    disk: &Disk,
    from: &Path,
    to: &Path,
    len: Option<u64>,
    report: &mut BackupReport,
) -> Result<()> {
    let source = disk.open(from, Mode::Read).await?;
    let len = match len {
        Some(len) => len,
        None => source.len().await?,
    };
    let target = disk.open(to, Mode::CreateNew).await?;
    let mut at = 0;
    while at < len {
        let part = source.read_at(at, (len - at).min(COPY_LEN as u64) as usize).await?;
        if part.is_empty() {
            let (what, path) = ("bytes of a file that is copied", from.to_owned());
            return Err(Error::Corrupt { path, what, offset: at, expected: len, found: at });
        }
        at += part.len() as u64;
        target.write_at(at - part.len() as u64, part.into()).await.0?;
    }
    target.sync().await?;
    report.copied += 1;
    report.copied_len += len;
    report.len += len;
    Ok(())
}
