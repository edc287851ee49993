//! The MANIFEST's file: appended to while a life lasts, rolled over to a new file at its start and when it grows long.
//!
//! Invariants
//! - A file from another life is never appended to: its last record may be torn, or whole only in the page cache.
//! - A new file gets the name `MANIFEST` when all its bytes are durable; until then the old one holds.
//! - After an error, or a dropped future, whose effect is in doubt nothing is written any more.

use super::edit::Edit;
use super::layout::{FILE_LEN_MAX, HEADER_LEN, Header, ID_LEN, encode_record};
use super::reader::{self, Content};
use super::state::State;
use crate::error::{Error, Fault, Result};
use crate::filename::{MANIFEST, MANIFEST_TMP};
use crate::superblock::Features;
use jdb_io::plant::{Plant, planted};
use jdb_io::{Disk, File, Mode, Names};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file is not rolled over while it is shorter, in bytes.
pub const ROLL_LEN_MIN: u64 = 64 << 10;
/// A file is rolled over when it is this many times as long as after the last time.
const ROLL_GROWTH: u64 = 4;

/// A shard's MANIFEST, open for writing.
#[derive(Debug)]
pub struct ManifestFile {
    disk: Disk,
    dir: PathBuf,
    names: Names,
    path: PathBuf,
    secret: [u8; ID_LEN],
    header: Header,
    file: File,
    /// True end: where the next record goes.
    len: u64,
    /// Length after the first record.
    first_len: u64,
    /// Where the last record begins.
    last_start: u64,
    status: Status,
}

/// What [`ManifestFile::load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The sum of the whole records.
    pub state: State,
    /// The file; its first commit rolls it over.
    pub file: ManifestFile,
    /// True end in bytes.
    pub len: u64,
    /// Whether a torn record lay behind it.
    pub torn: bool,
}

#[derive(Clone, Debug)]
enum Status {
    /// Of this life and whole: may be appended to.
    Whole,
    /// From another life: only a new file may follow.
    OtherLife,
    /// An append failed and may have left half a record: only a new file may follow.
    Torn(Arc<str>),
    /// What is durable is in doubt: nothing may follow.
    Poisoned(Arc<str>),
}

/// Where writing a new file failed.
enum RollError {
    /// Before anything the old file depends on was touched.
    Harmless(Error),
    /// Where it cannot be said which file is durable.
    Doubt(Error),
}

impl ManifestFile {
    /// Writes a new MANIFEST that holds `state` into `dir`; returns when it is durable.
    ///
    /// # Errors
    /// [`Error::Io`]; an older MANIFEST in `dir` is then still there, or replaced whole.
    pub async fn create(
        disk: &Disk,
        dir: &Path,
        secret: &[u8; ID_LEN],
        shard: u32,
        state: &State,
    ) -> Result<Self> {
        match write_new(disk, dir, &Names::default(), secret, shard, Features::default(), state).await {
            Ok(new) => Ok(new),
            Err(RollError::Harmless(error) | RollError::Doubt(error)) => Err(error),
        }
    }

    /// Reads the MANIFEST in `dir`, which must belong to `shard` of the database with this `secret`. Writes nothing; with
    /// [`Mode::Read`] nothing can be written later either.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Corrupt`] unless all is whole but a torn last record; [`Error::Unsupported`];
    /// [`Error::Io`].
    pub async fn load(
        disk: &Disk,
        dir: &Path,
        secret: &[u8; ID_LEN],
        shard: u32,
        mode: Mode,
    ) -> Result<Loaded> {
        let path = dir.join(MANIFEST);
        let file = match disk.open(&path, mode).await {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Err(Error::Missing { path, what: "manifest" }),
            Err(error) => return Err(error.into()),
        };
        let content = read(&file, secret, shard).await?.map_err(|fault| fault.at(&path, 0))?;
        let (state, len, torn) = (content.state, content.len, content.torn);
        let file = Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            names: Names::default(),
            path,
            secret: *secret,
            header: content.header,
            file,
            len,
            first_len: content.first_len,
            last_start: content.last_start,
            status: Status::OtherLife,
        };
        Ok(Loaded { state, file, len, torn })
    }

    /// Makes what [`ManifestFile::load`] read durable, and the file's name: before any file is removed because of it.
    ///
    /// Where a sync failed in the life before, the last record may be in the page cache alone, its pages marked clean: a
    /// sync would then do nothing. So its bytes are first written again where they are.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing can be written any more.
    pub async fn sync_at_open(&mut self) -> Result<()> {
        if planted(Plant::NoOpenSync) {
            return Ok(());
        }
        let before = self.enter()?;
        let done = self.write_again_and_sync().await;
        self.leave(done, before, Status::Poisoned)
    }

    async fn write_again_and_sync(&self) -> jdb_io::Result<()> {
        let len = usize::try_from(self.len - self.last_start).unwrap_or(usize::MAX);
        let last = self.file.read_at(self.last_start, len).await?;
        match self.file.write_at(self.last_start, last.into()).await.0 {
            // Where even writing in place needs room there may be none, and opening must go on.
            Err(error) if !error.is_no_space() => return Err(error),
            _ => {}
        }
        self.file.sync().await?;
        self.names.sync(&self.disk, &self.dir).await
    }

    /// Makes `edit` durable, then applies it to `state`, the sum of this file: by appending, or by a new file when this
    /// one is long, from another life or torn.
    ///
    /// After an error the edit may or may not take effect at the next open: files that it adds must not be removed
    /// before a later commit has succeeded, files that it removes must stay.
    ///
    /// Cost: one write and one sync; a new file costs the length of the state, a rename and a directory sync more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the edit does not fit the state, [`Error::TooLarge`]: nothing was written.
    /// [`Error::Io`], [`Error::Poisoned`]: `state` is as it was. [`Error::Unsupported`] when a later version wrote the file
    /// with a feature that forbids writing.
    pub async fn commit(&mut self, state: &mut State, edit: &Edit) -> Result<()> {
        state.check(edit).map_err(|fault| fault.at(&self.path, self.len))?;
        if self.must_roll() || self.should_roll() {
            let mut next = state.clone();
            next.apply(edit).map_err(|fault| fault.at(&self.path, self.len))?;
            self.roll(&next).await?;
            *state = next;
            return Ok(());
        }
        self.append(edit).await?;
        state.apply(edit).map_err(|fault| fault.at(&self.path, self.len))
    }

    /// Appends `edit` and syncs it. The caller has checked it against the state that this file adds up to.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a file from another life and for a whole state, which only begin a new file.
    /// [`Error::Io`], [`Error::NoSpace`]; after a failed write later appends fail until [`ManifestFile::roll`]
    /// succeeded, after a failed sync for ever ([`Error::Poisoned`]).
    pub async fn append(&mut self, edit: &Edit) -> Result<()> {
        if edit.snapshot {
            return Err(Error::InvalidArgument { what: "a whole state begins a new MANIFEST" });
        }
        match &self.status {
            Status::OtherLife if !planted(Plant::AppendToOldManifest) => {
                return Err(Error::InvalidArgument {
                    what: "a MANIFEST from another life is not appended to",
                });
            }
            Status::Torn(why) => return Err(self.poisoned(why)),
            _ => {}
        }
        let body = edit.encode();
        if body.is_empty() {
            return self.check_healthy();
        }
        let record = encode_record(self.header.seed(), self.len, &body)?;
        let record_len = record.len() as u64;
        let before = self.enter()?;
        let (written, _) = self.file.write_at(self.len, record).await;
        if written.is_err() {
            return self.leave(written, before, Status::Torn);
        }
        let synced = if planted(Plant::NoManifestSync) { Ok(()) } else { self.file.sync().await };
        self.leave(synced, before, Status::Poisoned)?;
        self.last_start = self.len;
        self.len += record_len;
        Ok(())
    }

    /// Writes a new file that holds `state` and puts it in this one's place.
    ///
    /// # Errors
    /// [`Error::Io`]: when the new file could not be written, this one is as it was; when it could not be made durable or
    /// renamed, nothing can be written any more ([`Error::Poisoned`]).
    pub async fn roll(&mut self, state: &State) -> Result<()> {
        let before = self.enter()?;
        let (secret, header) = (self.secret, self.header);
        match write_new(&self.disk, &self.dir, &self.names, &secret, header.shard, header.features, state)
            .await
        {
            Ok(new) => {
                *self = new;
                Ok(())
            }
            Err(RollError::Harmless(error)) => {
                self.status = before;
                Err(error)
            }
            Err(RollError::Doubt(error)) => {
                self.status = Status::Poisoned(text(&error));
                Err(error)
            }
        }
    }

    /// Whether this file has grown so long that a new one should follow: more than 64 KiB and than four times the length
    /// it began with.
    #[must_use]
    pub fn should_roll(&self) -> bool {
        self.len > ROLL_LEN_MIN.max(self.first_len.saturating_mul(ROLL_GROWTH))
    }

    /// Length up to the last whole record, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes of a file that is never empty")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Syncs the directory it lies in: for everyone else who writes there.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails when nothing can be written any more.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn check_healthy(&self) -> Result<()> {
        match &self.status {
            Status::Poisoned(why) => Err(self.poisoned(why)),
            _ => Ok(()),
        }
    }

    /// Whether only a new file can take the next edit.
    pub(super) fn must_roll(&self) -> bool {
        match self.status {
            Status::OtherLife => !planted(Plant::AppendToOldManifest),
            Status::Torn(_) => true,
            Status::Whole | Status::Poisoned(_) => false,
        }
    }

    /// Before a write or sync: if its future is dropped, the file stays poisoned.
    fn enter(&mut self) -> Result<Status> {
        self.check_healthy()?;
        self.header.features.check_writable(&self.path)?;
        let dropped = Status::Poisoned("an operation that was given up before its end".into());
        Ok(std::mem::replace(&mut self.status, dropped))
    }

    /// After a write or sync: as before when it succeeded, else `failed`.
    fn leave(
        &mut self,
        done: jdb_io::Result<()>,
        before: Status,
        failed: impl FnOnce(Arc<str>) -> Status,
    ) -> Result<()> {
        match done {
            Ok(()) => {
                self.status = before;
                Ok(())
            }
            Err(error) => {
                let error = at_path(error, &self.path);
                self.status = failed(text(&error));
                Err(error)
            }
        }
    }

    fn poisoned(&self, why: &Arc<str>) -> Error {
        Error::Poisoned { path: self.path.clone(), why: Arc::clone(why) }
    }
}

/// Reads a whole file, once its header has shown that it is ours.
async fn read(file: &File, secret: &[u8; ID_LEN], shard: u32) -> Result<Result<Content, Fault>> {
    let len = file.len().await?;
    let head = file.read_at(0, HEADER_LEN).await?;
    if let Err(fault) = Header::decode(&head, secret, shard) {
        return Ok(Err(fault));
    }
    if len > FILE_LEN_MAX {
        let what = "manifest length";
        return Ok(Err(Fault::Corrupt { what, offset: 0, expected: FILE_LEN_MAX, found: len }));
    }
    let bytes = file.read_at(0, usize::try_from(len).unwrap_or(usize::MAX)).await?;
    Ok(reader::read(&bytes, secret, shard))
}

/// Writes, syncs and renames a new file, then syncs the directory.
async fn write_new(
    disk: &Disk,
    dir: &Path,
    names: &Names,
    secret: &[u8; ID_LEN],
    shard: u32,
    features: Features,
    state: &State,
) -> Result<ManifestFile, RollError> {
    use RollError::{Doubt, Harmless};
    let tmp = dir.join(MANIFEST_TMP);
    let path = dir.join(MANIFEST);
    let id = disk.random().map_err(|error| Harmless(error.into()))?.to_le_bytes();
    let header = Header { features, shard, id };
    let mut bytes = header.encode(secret);
    let record = encode_record(header.seed(), HEADER_LEN as u64, &state.to_edit().encode());
    bytes.extend_from_slice(&record.map_err(Harmless)?);
    let len = bytes.len() as u64;

    let file = disk.open(&tmp, Mode::Truncate).await.map_err(|error| Harmless(error.into()))?;
    if let (Err(error), _) = file.write_at(0, bytes).await {
        drop(file);
        // Its space may be what is missing; if this fails, the next roll-over makes it empty.
        let _ = disk.remove(&tmp).await;
        return Err(Harmless(error.into()));
    }
    if !planted(Plant::NoManifestSync) {
        file.sync().await.map_err(|error| Doubt(error.into()))?;
    }
    disk.rename(&tmp, &path).await.map_err(|error| Doubt(error.into()))?;
    if !planted(Plant::NoManifestDirSync) {
        names.sync(disk, dir).await.map_err(|error| Doubt(error.into()))?;
    }
    Ok(ManifestFile {
        disk: disk.clone(),
        dir: dir.to_owned(),
        names: names.clone(),
        path,
        secret: *secret,
        header,
        file,
        len,
        first_len: len,
        last_start: HEADER_LEN as u64,
        status: Status::Whole,
    })
}

/// The error of this file, which may have been opened under its temporary name.
fn at_path(error: jdb_io::Error, path: &Path) -> Error {
    match error {
        jdb_io::Error::Io { op, source, .. } => Error::Io(jdb_io::Error::io(op, path, source)),
        error => error.into(),
    }
}

/// An error and what is below it, as text to keep.
fn text(error: &Error) -> Arc<str> {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(source) = below {
        text.push_str(": ");
        text.push_str(&source.to_string());
        below = source.source();
    }
    text.into()
}
