//! A shard whose MANIFEST is lost, put together from the files in its directory, for reading only.
//!
//! Every table and pack that opens is taken, every segment is readable. What tables hold was flushed in order, so the log is replayed from
//! the segment in which the newest sequence of any table lies, or from behind the last segment that is missing: it was collected. What only the MANIFEST knew is lost: drops whose records lie
//! before that, and which tables and versions had been replaced: (key, sequence) still tells the newest, but what was
//! deleted may come back where a compaction had let its tombstone go and an old table was left behind.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::manifest::{PackEntry, Position, SegmentEntry, State, TableEntry};
use jdb_base::SeqNo;
use jdb_base::pages::UNIT_LEN;
use jdb_io::{Disk, EntryKind, Mode};
use jdb_sst::SstReader;
use jdb_val::layout::{FIRST_RECORD, SEGMENT_HEADER_LEN};
use jdb_val::segment::{SegmentHeader, segment_seed};
use std::collections::BTreeSet;
use std::path::Path;

/// The state of a shard, from its files, and the newest sequence that its tables hold; what could not be used is added to `damage`.
///
/// # Errors
/// The directory cannot be listed.
pub(crate) async fn rebuild(
    disk: &Disk,
    dir: &Path,
    secret: &[u8; 16],
    shard: u32,
    damage: &mut Vec<Error>,
) -> Result<(State, SeqNo)> {
    let mut covered = SeqNo::ZERO;
    let mut state = State { next_number: 1, ..State::default() };
    let mut headers: Vec<SegmentHeader> = Vec::new();
    for entry in disk.list(dir).await? {
        let Some(name) = FileName::parse(&entry.name).filter(|_| entry.kind == EntryKind::File) else {
            continue;
        };
        let number = name.number().unwrap_or(0);
        state.next_number = state.next_number.max(number.saturating_add(1));
        match name {
            FileName::Table(number) => match table(disk, dir, number, entry.len).await {
                Ok(Some(table)) => {
                    covered = covered.max(table.seq_max);
                    state.tables.insert(number, table);
                }
                Ok(None) => {}
                Err(error) => damage.push(error),
            },
            FileName::Segment(number) => match header(disk, dir, secret, shard, number).await {
                Ok(header) => {
                    headers.push(header);
                    state.segments.insert(number, segment(&header, entry.len));
                }
                Err(error) => damage.push(error),
            },
            FileName::Pack(number) => match pack(disk, dir, number, entry.len).await {
                Ok(pack) => drop(state.packs.insert(number, pack)),
                Err(error) => damage.push(error),
            },
            FileName::Manifest | FileName::ManifestTmp => {}
        }
    }
    let begins_below = |header: &&SegmentHeader| header.pred_last_seq <= covered;
    // Collected segments lie below the replay position: what lies before the last one that is missing is in tables.
    let numbers: BTreeSet<u32> = headers.iter().map(|header| header.number).collect();
    let behind_gap =
        |header: &&SegmentHeader| header.pred.segment != 0 && !numbers.contains(&header.pred.segment);
    let starts = headers.iter().filter(|header| begins_below(header) || behind_gap(header));
    if let Some(first) = starts.max_by_key(|header| header.number) {
        state.replay_from = Position { segment: first.number, offset: FIRST_RECORD };
        state.last_seq = first.pred_last_seq;
    }
    // Replay finds the ends of those from there on by itself.
    state.segments.retain(|&number, _| number < state.replay_from.segment);
    Ok((state, covered))
}

async fn table(disk: &Disk, dir: &Path, number: u32, len: u64) -> Result<Option<TableEntry>> {
    let file = disk.open(&FileName::Table(number).path(dir), Mode::Read).await?;
    let reader = SstReader::open(file, None).await?;
    let mut cursor = reader.cursor();
    cursor.seek_first().await?;
    let first_key = cursor.entry().map(|entry| entry.key.to_vec());
    cursor.seek_last().await?;
    let last_key = cursor.entry().map(|entry| entry.key.to_vec());
    let (Some(first_key), Some(last_key)) = (first_key, last_key) else { return Ok(None) };
    let properties = reader.properties().await?.unwrap_or_default();
    Ok(Some(TableEntry {
        number,
        level: 0,
        len,
        count: reader.footer().count,
        first_key: first_key.into(),
        last_key: last_key.into(),
        seq_min: properties.seq_min,
        seq_max: properties.seq_max,
        drop_seq: SeqNo::ZERO,
        id: reader.footer().id,
        tombstones: properties.tombstone_count,
        hidden_len: 0,
        held_len: 0,
    }))
}

/// A pack of which nobody knows what segments it took the place of.
async fn pack(disk: &Disk, dir: &Path, number: u32, len: u64) -> Result<PackEntry> {
    let file = disk.open(&FileName::Pack(number).path(dir), Mode::Read).await?;
    let id = SstReader::open(file, None).await?.footer().id;
    Ok(PackEntry { number, len, id, ..PackEntry::default() })
}

async fn header(
    disk: &Disk,
    dir: &Path,
    secret: &[u8; 16],
    shard: u32,
    number: u32,
) -> Result<SegmentHeader> {
    let path = FileName::Segment(number).path(dir);
    let bytes = disk.open(&path, Mode::Read).await?.read_at(0, SEGMENT_HEADER_LEN).await?;
    let header = SegmentHeader::decode(&bytes, segment_seed(secret, shard, number), shard, number);
    header.map_err(|fault| match fault {
        jdb_val::Fault::Corrupt { what, offset, expected, found } => {
            Error::Corrupt { path, what, offset, expected, found }
        }
        jdb_val::Fault::Unsupported { what, found, .. } => Error::Unsupported { path, what, found },
    })
}

/// A segment that is read by pointer alone: its whole file, whatever lies behind its true end.
fn segment(header: &SegmentHeader, len: u64) -> SegmentEntry {
    SegmentEntry {
        number: header.number,
        end: u32::try_from(len / UNIT_LEN).unwrap_or(u32::MAX),
        pred: Position { segment: header.pred.segment, offset: header.pred.offset },
        pred_last_seq: header.pred_last_seq,
        seq_min: header.pred_last_seq,
        seq_max: header.pred_last_seq,
        len,
        footer: None,
    }
}
