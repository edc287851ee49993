//! Reads a MANIFEST from its header to its true end, and tells a torn tail from damage.
//!
//! Only the last record can be torn: each is synced before the next is written. A bad record with any whole one behind
//! it is damage; so is a bad header and a bad first record, because a file gets its name when both are durable.

use super::edit::Edit;
use super::layout::{HEADER_LEN, Header, ID_LEN, RECORD_ALIGN, RECORD_HEADER_LEN, RecordHeader};
use super::state::State;
use crate::error::Fault;
use jdb_base::checksum::Seed;
use std::ops::Range;

/// Bodies are summed behind a bad record up to this many bytes above the length of the file.
const SEARCH_LEN_MAX: u64 = 1 << 20;
const FIRST: u64 = HEADER_LEN as u64;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) header: Header,
    pub(super) state: State,
    /// Where the bodies of the records lie.
    pub(super) bodies: Vec<Range<usize>>,
    /// End of the first record.
    pub(super) first_len: u64,
    /// Start of the last record.
    pub(super) last_start: u64,
    /// True end: what lies behind it does not exist.
    pub(super) len: u64,
    /// Whether something lies behind the true end.
    pub(super) torn: bool,
}

/// Reads and checks the bytes of a whole file.
///
/// Cost: one pass; behind a bad record another one in steps of 8 bytes.
pub(super) fn read(file: &[u8], secret: &[u8; ID_LEN], shard: u32) -> Result<Content, Fault> {
    let header = Header::decode(file.get(..HEADER_LEN).unwrap_or(file), secret, shard)?;
    let seed = header.seed();
    let (mut state, mut bodies, mut first_len) = (State::default(), Vec::new(), FIRST);
    let (mut last_start, mut len) = (FIRST, FIRST);
    while let Some((body, end)) = record(file, seed, len) {
        let edit = Edit::decode(body).map_err(|fault| fault.shifted(len + RECORD_HEADER_LEN as u64))?;
        let (expected, found) = ((len == FIRST).into(), edit.snapshot.into());
        if expected != found {
            return Err(Fault::Corrupt {
                what: "manifest record is a whole state",
                offset: len,
                expected,
                found,
            });
        }
        state.apply(&edit).map_err(|fault| fault.shifted(len))?;
        let start = len as usize + RECORD_HEADER_LEN;
        bodies.push(start..start + body.len());
        (last_start, len) = (len, end);
        if bodies.len() == 1 {
            first_len = end;
        }
    }
    let torn = len < file.len() as u64;
    if len == FIRST || (torn && is_damage(file, seed, len)) {
        let left = (file.len() as u64).saturating_sub(len);
        return Err(Fault::Corrupt { what: "manifest record", offset: len, expected: left, found: 0 });
    }
    Ok(Content { header, state, bodies, first_len, last_start, len, torn })
}

/// The body of the record at `offset` and the offset behind it; `None` unless it is whole.
fn record(file: &[u8], seed: Seed, offset: u64) -> Option<(&[u8], u64)> {
    let (head, whole) = frame(file, seed, offset)?;
    let end = offset + whole;
    let bytes = file.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)?;
    Some((head.verify(seed, offset, bytes)?, end))
}

/// The frame at `offset` and the length of its record, when it can be one of this file.
fn frame(file: &[u8], seed: Seed, offset: u64) -> Option<(RecordHeader, u64)> {
    let head = RecordHeader::take(file.get(usize::try_from(offset).ok()?..)?)?;
    Some((head, head.fits(seed, offset, file.len() as u64)?))
}

/// Whether the bad record at `offset` is more than a torn tail.
fn is_damage(file: &[u8], seed: Seed, offset: u64) -> bool {
    let mut summed = 0;
    let later = (offset..file.len() as u64).step_by(RECORD_ALIGN as usize).skip(1);
    later.filter_map(|at| Some((at, frame(file, seed, at)?.1))).any(|(at, whole)| {
        summed += whole;
        // More frames that fit than bytes that could hold them: somebody made them fit.
        summed > file.len() as u64 + SEARCH_LEN_MAX || record(file, seed, at).is_some()
    })
}
