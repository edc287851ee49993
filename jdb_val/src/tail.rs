//! The recovered tail: what replay read may be in the page cache alone, and is made durable before it is served.
//!
//! A sync that failed may have left pages that look clean and were never written: syncing them again does nothing. The
//! tail's bytes are therefore **written again in place**, which makes the pages dirty, and then synced.
//!
//! Invariants
//! - A record claims a place as synced only after a sync that was true: in its own life a failed sync poisons the log, and
//!   a life that follows claims nothing before it has written the tail again and synced it. So everything before the
//!   highest place that a record of the chain claims **is** durable, and only what lies behind is written again.
//! - What is written again was verified from the very bytes that are written: pages may be evicted after replay.
//! - No file grows: every byte is written where it was read.

use crate::error::{Error, Result};
use crate::layout::{FIRST_RECORD, SEGMENT_HEADER_LEN};
use crate::log::{LogConfig, ValueLog};
use crate::pos::LogPos;
use crate::reader::{BatchScan, STEP_LEN};
use crate::replay::Link;
use crate::segment::{SegmentHeader, segment_path, segment_seed};
use crate::stretch::Stretches;
use jdb_base::SeqNo;
use jdb_io::task::yield_now;
use jdb_io::{Disk, File, Mode};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The part of one segment that no record proves to be durable.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    link: Link,
    /// Where it begins, in units; 0 when the header belongs to it.
    from: u32,
    /// What of its segment verified in replay.
    stretches: Rc<Stretches>,
}

/// The pieces of `chain` behind `proven`, a place up to which the log is durable.
pub(crate) fn pieces(chain: &[Link], stretches: &BTreeMap<u32, Rc<Stretches>>, proven: LogPos) -> Vec<Piece> {
    let behind = chain.iter().filter(|link| LogPos::new(link.number, link.end) > proven);
    behind
        .map(|&link| {
            let begun = link.number == proven.segment && proven.offset >= FIRST_RECORD;
            let stretches = stretches.get(&link.number).cloned().unwrap_or_default();
            Piece { link, from: if begun { proven.offset } else { 0 }, stretches }
        })
        .collect()
}

impl ValueLog {
    /// Makes the recovered tail durable. Without the space to write it again, which a disk may want even in place, the log
    /// is served, but nothing behind `proven` counts as synced until [`ValueLog::sync`] has made up for it.
    pub(crate) async fn make_tail_durable(&self, pieces: Vec<Piece>, proven: LogPos) -> Result<()> {
        match rewrite(&self.disk, &self.config, &pieces).await {
            Ok(()) => {}
            Err(error) if error.is_no_space() => {
                let mut state = self.state.borrow_mut();
                (state.synced, state.claimed) = (proven, proven);
                state.tail = pieces.clone();
            }
            Err(error) => return Err(error),
        }
        sync_pieces(&self.disk, &self.config, &pieces).await
    }

    /// Makes up for a tail that [`ValueLog::make_tail_durable`] could not write again.
    pub(crate) async fn make_up_for_tail(&self) -> Result<()> {
        let pieces = self.state.borrow().tail.clone();
        if pieces.is_empty() {
            return Ok(());
        }
        rewrite(&self.disk, &self.config, &pieces).await
    }

    /// Syncs the tail that [`ValueLog::make_up_for_tail`] has written again.
    pub(crate) async fn sync_tail(&self) -> Result<()> {
        let pieces = self.state.borrow().tail.clone();
        if pieces.is_empty() {
            return Ok(());
        }
        sync_pieces(&self.disk, &self.config, &pieces).await?;
        self.state.borrow_mut().tail.clear();
        Ok(())
    }
}

async fn rewrite(disk: &Disk, config: &LogConfig, pieces: &[Piece]) -> Result<()> {
    for piece in pieces {
        rewrite_piece(disk, config, piece).await?;
    }
    Ok(())
}

async fn sync_pieces(disk: &Disk, config: &LogConfig, pieces: &[Piece]) -> Result<()> {
    for piece in pieces {
        disk.open(&segment_path(&config.dir, piece.link.number), Mode::ReadWrite).await?.sync().await?;
    }
    if !pieces.is_empty() {
        config.names.sync(disk, &config.dir).await?;
    }
    Ok(())
}

/// Reads and verifies the piece once more, and writes what was verified to where it lies.
async fn rewrite_piece(disk: &Disk, config: &LogConfig, piece: &Piece) -> Result<()> {
    let &Piece { link, from, ref stretches } = piece;
    let path = segment_path(&config.dir, link.number);
    let gone = |what, offset: u64| {
        let (path, expected) = (path.clone(), LogPos::new(0, link.end).byte_offset());
        Err(Error::Corrupt { path, what, offset, expected, found: offset })
    };
    let seed = segment_seed(&config.secret, config.shard, link.number);
    let file = disk.open(&path, Mode::ReadWrite).await?;
    let mut writer = Rewriter::new(file.clone(), LogPos::new(0, from).byte_offset());
    if from == 0 {
        let bytes = file.read_at(0, SEGMENT_HEADER_LEN).await?;
        let header = SegmentHeader::decode(&bytes, seed, config.shard, link.number);
        let header = header.map_err(|fault| fault.in_file(&path))?;
        if (header.pred, header.pred_last_seq) != (link.pred, link.pred_last_seq) {
            return gone("header that was replayed", 0);
        }
        writer.push(&bytes).await?;
    }
    let (first, end) = (LogPos::new(0, from.max(FIRST_RECORD)), LogPos::new(0, link.end));
    let (mut at, end, mut last) = (first.byte_offset(), end.byte_offset(), SeqNo::ZERO);
    while at < end {
        if let Some(stretch) = stretches.at(at).filter(|stretch| stretch.end() <= end) {
            let bytes = file.read_at(at, stretch.len()).await?;
            if stretch.is(&bytes) {
                writer.push(&bytes).await?;
                (at, last) = (stretch.end(), stretch.last_seq);
                continue;
            }
        }
        let until = stretches.next_from(at).map_or(end, |next| next.min(end));
        let mut scan = BatchScan::new(file.clone(), seed, link.number, at, end, last);
        while scan.end() < until {
            let start = scan.end();
            if !scan.next().await? {
                return gone("record that was replayed", start);
            }
            writer.push(scan.bytes_from(start)).await?;
        }
        (at, last) = (scan.end(), scan.last_seq());
    }
    writer.flush().await
}

/// Writes bytes one after the other, in steps.
struct Rewriter {
    file: File,
    at: u64,
    buffer: Vec<u8>,
}

impl Rewriter {
    fn new(file: File, at: u64) -> Self {
        Self { file, at, buffer: Vec::new() }
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(STEP_LEN - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == STEP_LEN {
                self.flush().await?;
                yield_now().await;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let len = self.buffer.len() as u64;
        let (result, buffer) = self.file.write_at(self.at, std::mem::take(&mut self.buffer)).await;
        result?;
        self.buffer = buffer;
        self.buffer.clear();
        self.at += len;
        Ok(())
    }
}
