//! Reads a MANIFEST from its header to its true end, and tells a torn tail from damage.
//!
//! Only the last record can be torn: each is synced before the next is written. A bad record with any whole one behind
//! it is damage; so is a bad header and a bad first record, because a file gets its name when both are durable.

use super::edit::Edit;
use super::layout::{
    FILE_LEN_MAX, HEADER_LEN, Header, ID_LEN, RECORD_ALIGN, RECORD_HEADER_LEN, RecordHeader,
};
use super::state::State;
use crate::error::{Error, Fault, Result};
use bytes::Bytes;
use jdb_io::File;
use std::path::Path;

/// Bytes that are read at once.
const CHUNK_LEN: u64 = 256 << 10;
/// Bodies are summed behind a bad record up to this many bytes above the length of the file.
const SEARCH_LEN_MAX: u64 = 1 << 20;

/// What reading gave.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) header: Header,
    pub(super) state: State,
    /// True end: what lies behind it does not exist.
    pub(super) len: u64,
    /// End of the first record.
    pub(super) first_len: u64,
    /// Whether something lies behind the true end.
    pub(super) torn: bool,
}

/// Reads and checks all of `file`.
pub(super) async fn read(file: File, path: &Path, secret: &[u8; ID_LEN], shard: u32) -> Result<Content> {
    let len = file.len().await?;
    if len > FILE_LEN_MAX {
        let what = "manifest length";
        return Err(Fault::Corrupt { what, offset: 0, expected: FILE_LEN_MAX, found: len }.at(path, 0));
    }
    let mut window = Window { file, len, start: 0, bytes: Bytes::new() };
    let bytes = window.get(0, (HEADER_LEN as u64).min(len)).await?;
    let header = Header::decode(&bytes, secret, shard).map_err(|fault| fault.at(path, 0))?;
    let first = HEADER_LEN as u64;
    let mut content = Content { header, state: State::default(), len: first, first_len: first, torn: false };
    while content.len < len {
        let offset = content.len;
        let Some((body, end)) = record(&mut window, &header, offset).await? else {
            bad_record(&mut window, path, &header, offset).await?;
            content.torn = true;
            break;
        };
        let edit = Edit::decode(&body).map_err(|fault| fault.at(path, offset + RECORD_HEADER_LEN as u64))?;
        if edit.snapshot != (offset == first) {
            let what = "manifest snapshot";
            let (expected, found) = ((offset == first).into(), edit.snapshot.into());
            return Err(Fault::Corrupt { what, offset, expected, found }.at(path, 0));
        }
        content.state.apply(&edit).map_err(|fault| fault.at(path, offset))?;
        content.len = end;
        if offset == first {
            content.first_len = end;
        }
    }
    if content.len == first { Err(damaged(path, first, len)) } else { Ok(content) }
}

/// The body of the record at `offset` and the offset behind it; `None` unless it is whole.
async fn record(window: &mut Window, header: &Header, offset: u64) -> Result<Option<(Bytes, u64)>> {
    let Some(frame) = frame(window, offset).await? else { return Ok(None) };
    let Some(whole) = frame.fits(header.seed(), offset, window.len) else { return Ok(None) };
    let record = window.get(offset, whole).await?;
    let body = frame.verify(header.seed(), offset, &record).map(|body| record.slice_ref(body));
    Ok(body.map(|body| (body, offset + whole)))
}

/// The frame at `offset`; `None` when the file ends in it.
async fn frame(window: &mut Window, offset: u64) -> Result<Option<RecordHeader>> {
    if window.len.saturating_sub(offset) < RECORD_HEADER_LEN as u64 {
        return Ok(None);
    }
    Ok(RecordHeader::take(&window.get(offset, RECORD_HEADER_LEN as u64).await?))
}

/// Judges the bad record at `offset`: `Ok` when it is the torn tail.
async fn bad_record(window: &mut Window, path: &Path, header: &Header, offset: u64) -> Result<()> {
    let damaged = Err(damaged(path, offset, window.len));
    if offset == HEADER_LEN as u64 {
        return damaged;
    }
    let seed = header.seed();
    let mut summed = 0;
    let mut at = offset + RECORD_ALIGN;
    while let Some(frame) = frame(window, at).await? {
        if let Some(whole) = frame.fits(seed, at, window.len) {
            summed += whole;
            // More frames that fit than bytes that could hold them: somebody made them fit.
            if summed > window.len + SEARCH_LEN_MAX {
                return damaged;
            }
            let record = window.get(at, whole).await?;
            if frame.verify(seed, at, &record).is_some() {
                return damaged;
            }
        }
        at += RECORD_ALIGN;
    }
    Ok(())
}

fn damaged(path: &Path, offset: u64, len: u64) -> Error {
    let what = "manifest record that does not verify, bytes left";
    Fault::Corrupt { what, offset, expected: len - offset, found: 0 }.at(path, 0)
}

/// A part of the file in memory.
struct Window {
    file: File,
    len: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// `len` bytes at `offset`; the caller knows that they lie in the file.
    async fn get(&mut self, offset: u64, len: u64) -> Result<Bytes> {
        if let Some(bytes) = self.held(offset, len) {
            return Ok(bytes);
        }
        let want = CHUNK_LEN.max(len).min(self.len.saturating_sub(offset));
        self.bytes = self.file.read_at(offset, usize::try_from(want).unwrap_or(usize::MAX)).await?;
        self.start = offset;
        // A file that became shorter meanwhile: what is there, which does not verify.
        Ok(self.held(offset, len).unwrap_or_else(|| self.bytes.clone()))
    }

    fn held(&self, offset: u64, len: u64) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}
