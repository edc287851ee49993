//! Recycled files: a new segment is written over the file of one that was collected.
//!
//! The blocks of such a file are there and were written, so that a sync on the way through it has nothing to note in the file
//! system's journal. The file keeps its old name until the next segment begins; after a crash it is a segment below the replay
//! position that the MANIFEST does not name, and goes.
//!
//! Invariants
//! - Whoever gives a file here has made durable that no MANIFEST names it, and no Version leads to it.
//! - A file that has another name, in a backup say, is never written to.
//! - What is left of the old segment does not verify: every sum starts from the segment's number.
//! - The new name counts as durable only after a sync of the directory, like that of a new file.

use crate::append::UnderWay;
use crate::error::Result;
use crate::log::ValueLog;
use jdb_io::plant::{Plant, planted};
use jdb_io::{File, Mode};
use std::path::Path;

/// Bytes of an old file that are kept: what lies behind the records has to be looked through after a crash (`proof`).
const RECYCLED_LEN_MAX: u64 = 16 << 20;
/// What the file system reads when a part of it is written.
const BLOCK_LEN: usize = 4096;

impl ValueLog {
    /// Takes the file of a segment that was forgotten, for the next segment to be written over. `false` when it is not taken,
    /// because one is waiting already or it cannot be: then it is to be removed.
    ///
    /// For who commits with a sync: [`ValueLog::sync`] is faster on the way through such a file. It holds room: up to 16 MiB
    /// until [`ValueLog::drop_spare`], or until the segment after the next one begins.
    ///
    /// Precondition: no MANIFEST that a crash may bring back names the segment, and nobody reads it.
    pub async fn recycle(&self, number: u32) -> bool {
        if self.check_alive().is_err() || self.state.borrow().spare.is_some() {
            return false;
        }
        if self.shorten(number).await.is_err() {
            return false;
        }
        // Another one may have come while this one was shortened.
        let mut state = self.state.borrow_mut();
        if state.spare.is_none() {
            state.spare = Some(number);
        }
        state.spare == Some(number)
    }

    /// Removes the file that waits to be written over; `false` when there is none, or it stays until the next open.
    pub async fn drop_spare(&self) -> bool {
        let spare = self.state.borrow_mut().spare.take();
        match spare {
            Some(number) => self.disk.remove(&self.path(number)).await.is_ok(),
            None => false,
        }
    }

    async fn shorten(&self, number: u32) -> Result<()> {
        let file = self.disk.open(&self.path(number), Mode::ReadWrite).await?;
        let max = RECYCLED_LEN_MAX.min(self.segment_len());
        if file.link_count().await? == Some(1) && file.len().await? > max {
            file.set_len(max).await?;
        }
        Ok(())
    }

    /// Gives the file that waits the name of segment `number`. `None` when there is none or it cannot be used, which then is
    /// gone. The length is what it holds.
    pub(crate) async fn reuse(&self, number: u32) -> Option<(UnderWay<'_>, File, u64)> {
        let spare = self.state.borrow_mut().spare.take()?;
        let (old, new) = (self.path(spare), self.path(number));
        let under_way = UnderWay::begin(self, number, true);
        let renamed = self.disk.rename(&old, &new).await;
        let file = if renamed.is_ok() { self.open_alone(&new).await } else { None };
        if let Some((file, len)) = file {
            self.state.borrow_mut().stats.segments_recycled += 1;
            return Some((under_way, file, len));
        }
        // Best effort: what stays goes at the next open.
        drop(self.disk.remove(if renamed.is_ok() { &new } else { &old }).await);
        under_way.done();
        None
    }

    /// Opens a file that has no other name, and gives its length.
    async fn open_alone(&self, path: &Path) -> Option<(File, u64)> {
        let file = self.disk.open(path, Mode::ReadWrite).await.ok()?;
        let count = file.link_count().await.ok()?;
        let len = file.len().await.ok()?;
        (count == Some(1) || planted(Plant::RecycleLinked)).then_some((file, len))
    }
}

/// Lengthens what is written at `offset` with zeros, so that it ends with a block, as far as the file holds old bytes: else the
/// file system would have to read the block first.
pub(crate) fn fill_block(buffer: &mut Vec<u8>, offset: u64, recycled_len: u64) {
    let end = offset + buffer.len() as u64;
    let filled = end.next_multiple_of(BLOCK_LEN as u64).min(recycled_len);
    if let Some(zeros) = filled.checked_sub(end) {
        buffer.resize(buffer.len() + zeros as usize, 0);
    }
}
