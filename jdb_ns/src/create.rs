//! Finding or making a database in a directory.
//!
//! The superblock is written last: when it is there, everything else is. A crash before leaves only what the next attempt
//! makes anew. A directory that holds anything else is not touched.

use crate::error::{Error, Result};
use crate::filename::{self, FileName};
use crate::manager::Options;
use crate::manifest::{ManifestFile, State};
use crate::superblock::{Superblock, sync_parent};
use jdb_io::{Disk, Entry, EntryKind, Lock};
use std::path::Path;

/// Takes the lock and reads the superblock; makes a database where there is none and `options.create` allows it.
pub(crate) async fn open_or_create(disk: &Disk, options: &Options) -> Result<(Lock, Superblock)> {
    let dir = &options.dir;
    if !is_made(disk, dir).await? {
        if !options.create || options.read_only {
            return Err(Error::NotADatabase { path: dir.clone() });
        }
        create_dirs(disk, dir).await?;
    }
    let lock = disk.lock(&dir.join(filename::LOCK)).await?;
    // Asked again under the lock: another process may have made it meanwhile.
    if let Some(superblock) = Superblock::read(disk, dir).await? {
        if !options.read_only {
            superblock.features.check_writable(&dir.join(filename::SUPERBLOCK))?;
            Superblock::sync_at_open(disk, dir).await?;
        }
        return Ok((lock, superblock));
    }
    let superblock = create(disk, options).await?;
    Ok((lock, superblock))
}

/// Whether `dir` holds a database. `false`: it is missing, empty, or holds what a cut-off creation left behind.
async fn is_made(disk: &Disk, dir: &Path) -> Result<bool> {
    let entries = match disk.list(dir).await {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if entries.iter().any(|entry| entry.name == filename::SUPERBLOCK) {
        return Ok(true);
    }
    for entry in entries {
        match entry.kind {
            EntryKind::File if is_ours(&entry) => {}
            EntryKind::Dir if filename::parse_shard_dir(&entry.name).is_some() => {
                let path = dir.join(&entry.name);
                let ours = |e: &Entry| {
                    matches!(FileName::parse(&e.name), Some(FileName::Manifest | FileName::ManifestTmp))
                };
                if !disk.list(&path).await?.iter().all(ours) {
                    // Shards with data and no superblock: it was lost, not never made.
                    return Err(Error::Missing { path: dir.join(filename::SUPERBLOCK), what: "superblock" });
                }
            }
            _ => return Err(Error::NotADatabase { path: dir.to_owned() }),
        }
    }
    Ok(false)
}

fn is_ours(entry: &Entry) -> bool {
    [filename::LOCK, filename::SUPERBLOCK_TMP, filename::RESERVE].contains(&entry.name.as_str())
}

/// Makes `dir` and what is missing above it, with durable names: from the top down, each name synced before the next is
/// made. The lowest one that was there already is synced too: whoever made it may have died before.
async fn create_dirs(disk: &Disk, dir: &Path) -> Result<()> {
    let mut missing = Vec::new();
    let mut above = Some(dir).filter(|dir| !dir.as_os_str().is_empty());
    while let Some(path) = above {
        match disk.list(path).await {
            Ok(_) => break,
            Err(error) if error.is_not_found() => missing.push(path),
            Err(error) => return Err(error.into()),
        }
        above = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    }
    if let Some(found) = above {
        sync_parent(disk, found).await?;
    }
    for path in missing.into_iter().rev() {
        disk.create_dir_all(path).await?;
        sync_parent(disk, path).await?;
    }
    Ok(())
}

async fn create(disk: &Disk, options: &Options) -> Result<Superblock> {
    let dir = &options.dir;
    let superblock = Superblock::new(disk, options.shards)?;
    for index in 0..superblock.shard_count {
        let shard_dir = dir.join(filename::shard_dir(index));
        disk.create_dir_all(&shard_dir).await?;
        let state = State { next_number: 1, ..State::default() };
        ManifestFile::create(disk, &shard_dir, &superblock.secret, u32::from(index), &state).await?;
    }
    disk.sync_dir(dir).await?;
    superblock.write(disk, dir).await?;
    Ok(superblock)
}
