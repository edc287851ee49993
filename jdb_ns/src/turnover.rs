//! How long segments are, when the open one is closed before it is full, and how much of the log may be in no table.
//!
//! A segment can be collected when replay starts in a later one. While little is garbage segments are as long as they may be: few files.
//! Else they are no longer than a part of what is live, so that no more than that is out of the collector's reach; and when the open one
//! has become longer than that, it is closed: by the next commit, or, when none comes, by a mark that begins the next segment. Then a
//! record of the MANIFEST alone, without a table, moves the replay position behind the mark.
//!
//! What is overwritten is only found once what was written instead is in tables. So while something is garbage, a shard's memtable is
//! closed when the log that it stands for comes to a part of what is live, tables included; before the database's bound, that is.

use crate::error::{Error, Result};
use crate::manager::SEGMENT_LEN_MIN;
use crate::manifest::State;
use crate::shard::{ClosedMemtable, Life, Shard};
use jdb_base::SeqNo;
use jdb_io::plant::{Plant, planted};
use jdb_val::LogPos;
use std::rc::Rc;

/// A segment is as long as this part of the live bytes when something is garbage.
const LIVE_PART: u64 = 16;
/// But not shorter than this, and than this part of the longest: each new segment costs a file and a sync.
const LEN_MIN: u64 = 16 << 20;
const LEN_MIN_PART: u64 = 4;
/// The same of an open segment that nothing is written to: from this length on it is closed.
const IDLE_LEN_MIN: u64 = 4 << 20;
const IDLE_LEN_MIN_PART: u64 = 16;
/// The unflushed log may be as long when something is garbage, but need not be shorter than this. (Two flushes of overwrites hide more
/// than a tenth of the live bytes, which makes a compaction due.)
const UNFLUSHED_LEN_MIN: u64 = 16 << 20;
/// Who asks for a collection has the open segment closed when it is longer than this part of the longest.
const ASKED_PART: u64 = 64;

/// Lengths in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lens {
    /// At which a segment is full now.
    full: u64,
    /// From which on the open one is closed when nothing is written.
    idle: u64,
    /// Of the log that may be in no table.
    unflushed: u64,
}

fn lens(state: &State, longest: u64, max_garbage: f64) -> Lens {
    let replay_from = state.replay_from;
    // What lies behind the replay position is in no table: it is not known what of it is live.
    let open = if state.segments.contains_key(&replay_from.segment) { 0 } else { replay_from.offset };
    let segments: u64 = state.segments.values().map(|segment| segment.len).sum();
    let packs: u64 = state.packs.values().map(|pack| pack.len).sum();
    let len = segments + packs + LogPos::new(0, open).byte_offset();
    let live_len: u64 = state.live.values().sum();
    // Values that stay in the index are in tables.
    let tables: u64 = state.tables.values().map(|table| table.len).sum();
    // Little is garbage: a tenth where three tenths may be, nearly everything where nearly everything may be.
    if len.saturating_sub(live_len) as f64 <= len as f64 * max_garbage * max_garbage {
        return Lens { full: longest, idle: longest, unflushed: u64::MAX };
    }
    let at_least = |len: u64, part| {
        (live_len / LIVE_PART).max(len.min(longest / part)).max(SEGMENT_LEN_MIN).min(longest)
    };
    Lens {
        full: at_least(LEN_MIN, LEN_MIN_PART),
        idle: at_least(IDLE_LEN_MIN, IDLE_LEN_MIN_PART),
        unflushed: ((live_len + tables) / LIVE_PART).max(UNFLUSHED_LEN_MIN),
    }
}

impl Shard {
    /// Fits the length of segments and of the unflushed log to what the MANIFEST says is live.
    pub(crate) fn fit_segments(&self, state: &State) {
        let lens = lens(state, self.settings.segment_len, self.settings.max_garbage);
        self.log.set_segment_len(lens.full);
        self.unflushed_len.set(lens.unflushed);
        // What has only begun with a mark is short enough.
        if self.log.open_len() > lens.idle && self.inserted.get() != self.turned_over_at.get() {
            self.want_turn_over();
        }
    }

    fn want_turn_over(&self) {
        self.turn_over_due.set(true);
        self.flush_due.notify();
    }

    /// In the flusher's task, when no memtable waits: closes the open segment and moves the replay position behind it, if nothing was
    /// written that is in no table. Best effort: what fails is tried again when something else has changed.
    pub(crate) async fn turn_over(&self) {
        // It would hold the room that this is for.
        self.log.drop_spare().await;
        let room = self.log.unsynced_span() + 1 < self.settings.life_jump;
        let started = matches!(self.life.get(), Life::Started);
        let unwritten = self.active.get().log_len == 0 || planted(Plant::TurnOverUnflushed);
        if unwritten && started && room && !self.closing.get() {
            match self.log.turn_over(&mut || self.take_number()).await {
                // What was written before the mark was inserted in the step in which its write ended.
                Ok(mark) => self.turned_over(mark.end, mark.placed.last().map(|placed| placed.seq)),
                Err(error) if self.log.is_poisoned() => self.poison(&Error::from(error)),
                Err(_) => {}
            }
        }
        self.turn_over_due.set(false);
        self.flushed.notify();
    }

    fn turned_over(&self, end: LogPos, mark: Option<SeqNo>) {
        self.inserted.set(end);
        self.turned_over_at.set(end);
        // Something may have been written before the mark: then the next flush goes that far.
        let log_seq = mark.unwrap_or(self.visible.get());
        if self.active.get().log_len == 0 {
            self.close_at(end, log_seq);
        } else if planted(Plant::TurnOverUnflushed) {
            let (memtable, last_seq) = (Rc::default(), self.visible.get());
            let closed = ClosedMemtable { memtable, memory_len: 0, end, last_seq, log_seq };
            self.closed.borrow_mut().push_back(closed);
        }
    }

    /// For who asks for a collection: has the segment closed that replay starts in, unless it is short or being written to.
    pub(crate) async fn turn_over_if_long(&self) -> Result<()> {
        let len = self.inserted.get().byte_offset();
        if len > self.settings.segment_len / ASKED_PART && self.active.get().log_len == 0 {
            self.start_life_with_room().await?;
            self.want_turn_over();
            while self.turn_over_due.get() {
                self.check_flushing()?;
                if self.active.get().log_len > 0 {
                    // Others write: it is their commits that will close it, and nobody waits for that.
                    self.turn_over_due.set(false);
                    return Ok(());
                }
                self.flushed.wait().await;
            }
            self.wait_flushed(self.turned_over_at.get()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{PackEntry, Position, SegmentEntry};

    const MIB: u64 = 1 << 20;

    /// Of a shard with this many MiB in sealed segments, in a pack, in the open segment, and live.
    fn lens_of(sealed: u64, pack: u64, open: u64, live: u64) -> (u64, u64, Option<u64>) {
        let mut state = State::default();
        state.segments.insert(1, SegmentEntry { number: 1, len: sealed * MIB, ..SegmentEntry::default() });
        state.packs.insert(2, PackEntry { number: 2, len: pack * MIB, ..PackEntry::default() });
        state.live.insert(1, live * MIB);
        state.replay_from = Position { segment: 3, offset: (open * MIB / 8) as u32 };
        let Lens { full, idle, unflushed } = lens(&state, 64 * MIB, 0.3);
        (full / MIB, idle / MIB, (unflushed < u64::MAX).then_some(unflushed / MIB))
    }

    #[test]
    fn segments_and_what_is_unflushed_are_long_while_little_is_garbage_and_then_a_part_of_what_is_live() {
        for (files, live, want) in [
            ((0, 0, 0), 0, (64, 64, None)),
            ((100, 0, 16), 110, (64, 64, None)),
            ((100, 0, 16), 104, (16, 6, Some(16))),
            ((500, 500, 64), 320, (20, 20, Some(20))),
            ((5000, 0, 0), 4000, (64, 64, Some(250))),
            ((100, 0, 0), 16, (16, 4, Some(16))),
            ((0, 0, 16), 0, (16, 4, Some(16))),
            ((0, 100, 0), 95, (64, 64, None)),
        ] {
            let (sealed, pack, open) = files;
            assert_eq!(lens_of(sealed, pack, open, live), want, "{files:?} MiB, {live} live");
        }
    }
}
