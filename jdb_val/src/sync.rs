//! Durability: what a sync covers.
//!
//! Invariants
//! - A sync's reach is what had been **written when it was submitted**; appends go on meanwhile and are not part of it.
//! - Segments are synced in order, each wholly before a later one counts, then the directory when a name in it is new.
//! - Nothing is appended to a segment that has a successor: a sync that ends there covers it wholly.
//! - After a failure, or a sync that was given up half-way, nothing is known: the log is poisoned for good.

use crate::error::Result;
use crate::log::{Segment, State, ValueLog};
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
        self.sync_through(Self::reach).await
    }

    /// As [`ValueLog::sync`], through the end of the last segment that has a successor: what is being written to meanwhile is left
    /// alone. For who writes much: the next segment is filled while this one becomes durable.
    ///
    /// # Errors
    /// As [`ValueLog::sync`].
    pub async fn sync_closed(&self) -> Result<LogPos> {
        self.sync_through(Self::closed_reach).await
    }

    /// Whether [`ValueLog::sync_closed`] has anything to do.
    #[must_use]
    pub fn has_unsynced_closed(&self) -> bool {
        let state = self.state.borrow();
        state.synced.segment < state.written.segment && state.closed_end().0 > state.synced
    }

    /// One sync; what it covers is said when its turn has come.
    async fn sync_through(&self, reach: impl FnOnce(&Self) -> Reach) -> Result<LogPos> {
        let _turn = self.syncing.take().await;
        if self.config.read_only {
            return Ok(self.synced());
        }
        self.check_alive()?;
        self.make_up_for_tail().await?;
        let reach = reach(self);
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
        state.release_files(target);
        state.synced = state.synced.max(target);
        state.claimed = state.claimed.max(target);
        state.seq_floor = state.seq_floor.max(reach.last_seq);
        state.stats.syncs += 1;
        Ok(state.synced)
    }

    fn reach(&self) -> Reach {
        let state = self.state.borrow();
        state.reach(state.written, state.last_seq)
    }

    fn closed_reach(&self) -> Reach {
        let state = self.state.borrow();
        let (target, last_seq) = state.closed_end();
        state.reach(target, last_seq)
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

impl State {
    fn reach(&self, target: LogPos, last_seq: SeqNo) -> Reach {
        let from = self.synced;
        let mut reach = Reach { target, files: Vec::new(), new_names: false, last_seq };
        // What is durable may reach further than what was closed.
        let numbers = from.segment..=target.segment.max(from.segment);
        for (&number, segment) in self.segments.range(numbers) {
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

    /// Where the last segment that has a successor ends, and its last sequence.
    fn closed_end(&self) -> (LogPos, SeqNo) {
        let newest = self.segments.get(&self.written.segment);
        newest.map_or((LogPos::START, SeqNo::ZERO), |segment| (segment.pred, segment.pred_last_seq))
    }

    /// Lets go of the files through `target`, which is durable. The newest segment stays held. The one that the last sync ended in may have
    /// got a successor since.
    fn release_files(&mut self, target: LogPos) {
        let before = self.synced.segment.min(target.segment);
        let newest = self.written.segment;
        let is_closed = |&(&number, ref segment): &(&u32, &mut Segment)| {
            number < newest && LogPos::new(number, segment.end) <= target
        };
        for (_, segment) in self.segments.range_mut(before..=target.segment).filter(is_closed) {
            if let Some(file) = segment.file.take() {
                segment.keep(file);
            }
        }
    }
}

/// Poisons when it is dropped: an error, or a future that was given up.
struct PoisonUnlessDone<'a>(&'a Cell<bool>);

impl Drop for PoisonUnlessDone<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}
