//! Durability: what a sync covers.
//!
//! Invariants
//! - A sync's reach is what had been **written when it was submitted**; appends go on meanwhile and are not part of it.
//! - Segments are synced in order, each wholly before a later one counts, then the directory when a name in it is new.
//! - After a failure, or a sync that was given up half-way, nothing is known: the log is poisoned for good.

use crate::error::Result;
use crate::log::ValueLog;
use crate::pos::LogPos;
use jdb_base::SeqNo;
use jdb_io::File;
use jdb_io::plant::{Plant, planted};
use std::cell::Cell;

/// What a sync is going to cover.
struct Reach {
    target: LogPos,
    files: Vec<(u32, File)>,
    new_names: bool,
    last_seq: SeqNo,
}

impl ValueLog {
    /// Makes durable everything that was written before this call, and returns the end of what is durable now.
    ///
    /// Syncs take turns. Dropping the future while it runs poisons the log, as a failure does. When the recovered tail
    /// could not be written again at open for want of space, that is done first: if it fails, nothing else is lost. A log
    /// open for reading only syncs nothing.
    ///
    /// # Errors
    /// The disk's; [`Error::Poisoned`](crate::Error::Poisoned) after an earlier failure.
    pub async fn sync(&self) -> Result<LogPos> {
        let _turn = self.syncing.take().await;
        if self.config.read_only {
            return Ok(self.synced());
        }
        self.check_alive()?;
        self.make_up_for_tail().await?;
        let reach = self.reach();
        if reach.target <= self.synced() {
            return Ok(self.synced());
        }
        let poison = PoisonUnlessDone(&self.poisoned);
        let mut result = self.sync_reach(&reach).await;
        if result.is_err() && planted(Plant::RetryFailedSync) {
            result = self.sync_reach(&reach).await;
        }
        result?;
        std::mem::forget(poison);
        let target = if planted(Plant::SyncReachAtCompletion) { self.written() } else { reach.target };
        let mut state = self.state.borrow_mut();
        for (number, _) in &reach.files {
            if let Some(segment) = state.segments.get_mut(number) {
                segment.named = true;
            }
        }
        // The newest segment stays held. The one that the last sync ended in may have got a successor since.
        let before = state.synced.segment.min(target.segment);
        for (_, segment) in state.segments.range_mut(before..target.segment) {
            if let Some(file) = segment.file.take() {
                segment.keep(file);
            }
        }
        state.synced = state.synced.max(target);
        state.claimed = state.claimed.max(target);
        state.seq_floor = state.seq_floor.max(reach.last_seq);
        state.stats.syncs += 1;
        Ok(state.synced)
    }

    fn reach(&self) -> Reach {
        let state = self.state.borrow();
        let (from, target) = (state.synced, state.written);
        let mut reach = Reach { target, files: Vec::new(), new_names: false, last_seq: state.last_seq };
        for (&number, segment) in state.segments.range(from.segment..=target.segment) {
            if LogPos::new(number, segment.end) <= from {
                continue;
            }
            if let Some(file) = &segment.file {
                reach.files.push((number, file.clone()));
                reach.new_names |= !segment.named;
            }
        }
        reach
    }

    async fn sync_reach(&self, reach: &Reach) -> Result<()> {
        self.sync_tail().await?;
        for (number, file) in &reach.files {
            let left_out = planted(Plant::SyncLastSegmentOnly) && *number != reach.target.segment;
            if !left_out && !planted(Plant::NoLogSync) {
                file.sync().await?;
            }
        }
        if reach.new_names && !planted(Plant::NoSegmentDirSync) {
            self.config.names.sync(&self.disk, &self.config.dir).await?;
        }
        Ok(())
    }
}

/// Poisons when it is dropped: an error, or a future that was given up.
struct PoisonUnlessDone<'a>(&'a Cell<bool>);

impl Drop for PoisonUnlessDone<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}
