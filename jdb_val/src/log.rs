//! The value log of one shard: write-ahead log and first home of the values, at once.
//!
//! Here: what it is opened with, what it knows, what it tells. Writing is in `append`, durability in `sync`, values by
//! pointer in `handles`.
//!
//! Invariants
//! - `synced <= written`; `written` is the end of the last segment of the chain.
//! - Nothing is appended to a segment of another life, nor to one that a later header has named as predecessor.
//! - No state changes between a write's submission and its answer but in the one that waits for it: callers take turns.

use crate::append::Active;
use crate::error::{Error, Result};
use crate::layout::FIRST_RECORD;
use crate::pos::{Links, LogPos};
use crate::record::Record;
use crate::replay::{Found, recover};
use crate::segment::{segment_path, segment_seed};
use crate::tail::{Piece, pieces};
use jdb_base::SeqNo;
use jdb_base::checksum::Seed;
use jdb_io::plant::{Plant, planted};
use jdb_io::task::Turns;
use jdb_io::{Disk, File, Handles, Held, Mode, Names};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// What to do when something that was durable is gone.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Recovery {
    /// Opening fails and names file and offset.
    #[default]
    Strict,
    /// The log ends at the damage; what lies behind it is lost. [`Recovered::damage`] tells.
    TruncateAtDamage,
    /// For reading only, to save what is left: the same, and nothing else that is missing or damaged keeps a database from being
    /// opened; it is an error when it is read. Without its MANIFEST a shard is put together from the files in its directory.
    Salvage,
}

/// What a log is opened with.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The shard's directory.
    pub dir: PathBuf,
    /// Syncs that directory, together with whoever else writes to it.
    pub names: Names,
    /// The database's secret uuid.
    pub secret: [u8; 16],
    /// Number of the shard.
    pub shard: u32,
    /// Length in bytes at which a segment is full, at most 8 GiB. A single longer batch makes a longer one.
    pub segment_len: u64,
    /// Gives the file of the open segment a length ahead of its records, 64 KiB to 1 MiB of zeros that take no room, so that a
    /// sync has less to write: where the length stays as it is the file system need not note it each time.
    pub lengthen: bool,
    /// What to do at proven damage.
    pub recovery: Recovery,
    /// Where files opened for reading have their places; one for all shards of a database.
    pub handles: Rc<Handles>,
    /// The buffer that batches are encoded in, kept between appends; one for all shards of a database, so that few are held
    /// however many shards there are.
    pub buffer: Rc<RefCell<Vec<u8>>>,
    /// Nothing is written, opened for writing or synced: the recovered tail is served as it is, and may be lost when the
    /// power fails. Appends are refused.
    pub read_only: bool,
}

impl Default for LogConfig {
    /// Segments of 16 MiB as long as their records, at most 64 open files, in the current directory, of shard 0, with a secret of zeros, for writing.
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            names: Names::default(),
            secret: [0; 16],
            shard: 0,
            segment_len: 16 << 20,
            lengthen: false,
            recovery: Recovery::Strict,
            handles: Rc::new(Handles::new(64, usize::MAX)),
            buffer: Rc::default(),
            read_only: false,
        }
    }
}

/// What the MANIFEST knows when the log is opened: all of it was synced.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Checkpoint {
    /// Replay starts here; [`LogPos::START`] before the first flush.
    pub replay_from: LogPos,
    /// Sequence of the last record before `replay_from`.
    pub last_seq: SeqNo,
    /// Segments that nothing is written to any more and that still hold values.
    pub sealed: BTreeMap<u32, Sealed>,
    /// The next file number, as far as the MANIFEST knows.
    pub next_number: u32,
    /// The log was durable through here, as far as the MANIFEST knows: one that ends before is damaged.
    pub synced: LogPos,
}

/// A sealed segment, as the MANIFEST keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sealed {
    /// Its true end in 8-byte units.
    pub end: u32,
    /// Smallest sequence it may hold.
    pub seq_min: SeqNo,
    /// Largest sequence it holds.
    pub seq_max: SeqNo,
    /// Its predecessor and that one's true end.
    pub pred: LogPos,
    /// Sequence of the last record before it.
    pub pred_last_seq: SeqNo,
    /// Offset and length of its footer's top pages, in bytes.
    pub footer: Option<(u64, u32)>,
}

/// What opening found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// End of the log.
    pub end: LogPos,
    /// Sequence of the last record, or the checkpoint's.
    pub last_seq: SeqNo,
    /// Records replayed.
    pub records: u64,
    /// Bytes replayed.
    pub replayed_len: u64,
    /// Something lies behind the end: a write that a crash interrupted, or dead segments.
    pub torn: bool,
    /// Largest number of any segment, table or pack in the directory; 0 when there is none.
    pub max_number: u32,
    /// Segments at or behind the replay position that are not part of the log; to be removed once below it.
    pub dead: Vec<u32>,
    /// What was damaged, with [`Recovery::TruncateAtDamage`].
    pub damage: Option<Error>,
}

/// A segment that the log knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ChainSegment {
    /// Its number.
    pub number: u32,
    /// Its end in 8-byte units; final once it is not open.
    pub end: u32,
    /// Its predecessor and that one's true end.
    pub pred: LogPos,
    /// Sequence of the last record before it.
    pub pred_last_seq: SeqNo,
    /// Smallest sequence it may hold.
    pub seq_min: SeqNo,
    /// Largest sequence it holds; below `seq_min` when it holds no record.
    pub seq_max: SeqNo,
    /// Records may still be appended to it.
    pub open: bool,
}

/// What a log has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct LogStats {
    /// Segments known, sealed ones included.
    pub segments: u64,
    /// Bytes of these segments up to their ends.
    pub len: u64,
    /// Segments begun.
    pub segments_begun: u64,
    /// Of these, the ones that were written over the file of a collected one.
    pub segments_recycled: u64,
    /// Records appended, marks included.
    pub records: u64,
    /// Bytes appended, headers and padding included.
    pub appended_len: u64,
    /// Writes that succeeded: one per append.
    pub writes: u64,
    /// Writes and creations that failed.
    pub writes_failed: u64,
    /// Calls of [`ValueLog::sync`] and [`ValueLog::sync_closed`] that had something to do.
    pub syncs: u64,
    /// Values read by pointer.
    pub values_read: u64,
    /// Files open for reading only.
    pub open_files: u64,
}

/// A segment in memory.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Where the checksums in it start.
    pub(crate) seed: Seed,
    pub(crate) end: u32,
    pub(crate) pred: LogPos,
    pub(crate) pred_last_seq: SeqNo,
    pub(crate) seq_min: SeqNo,
    pub(crate) seq_max: SeqNo,
    /// Held while something in it is not synced.
    pub(crate) file: Option<File>,
    /// Its file from then on, while it is kept open for reading.
    pub(crate) read_from: Held<File>,
    /// Its name is durable in the directory.
    pub(crate) named: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) links: Links,
    pub(crate) active: Option<Active>,
    pub(crate) written: LogPos,
    pub(crate) synced: LogPos,
    /// What new records claim to be synced: `synced`, but for a planted bug.
    pub(crate) claimed: LogPos,
    /// Pieces of the recovered tail that have to be written again before they can be synced; mostly none.
    pub(crate) tail: Vec<Piece>,
    /// The last number that a segment was begun with in this life, whatever became of it.
    pub(crate) last_number: u32,
    pub(crate) next_seq: Option<SeqNo>,
    pub(crate) last_seq: SeqNo,
    /// The larger of the last sequence that a completed sync covers and the last one before this life's first: every later
    /// life starts above it.
    pub(crate) seq_floor: SeqNo,
    /// The old segment that a write goes to just now.
    pub(crate) writing_to: Option<u32>,
    /// New segments whose write was given up: dead files, to be removed by the next append.
    pub(crate) given_up: Vec<u32>,
    /// A segment that is none any more, whose file the next one is written over.
    pub(crate) spare: Option<u32>,
    /// The last record is a mark.
    pub(crate) marked: bool,
    /// Length in bytes at which a segment is full now.
    pub(crate) segment_len: u64,
    /// The segment of the write that is under way closes behind it.
    pub(crate) seal_behind: bool,
    pub(crate) stats: LogStats,
}

impl State {
    /// The last sequence given out in this life; 0 before its start.
    pub(crate) fn last_given(&self) -> SeqNo {
        SeqNo::new(self.next_seq.map_or(0, |next| next.get().saturating_sub(1)))
    }
}

/// What is known of sealed segments, as it is kept in memory.
fn sealed_segments(config: &LogConfig, sealed: &BTreeMap<u32, Sealed>) -> BTreeMap<u32, Segment> {
    let segment = |(&number, sealed): (&u32, &Sealed)| {
        let &Sealed { end, seq_min, seq_max, pred, pred_last_seq, .. } = sealed;
        let segment = Segment {
            seed: segment_seed(&config.secret, config.shard, number),
            end,
            pred,
            pred_last_seq,
            seq_min,
            seq_max,
            file: None,
            read_from: Held::new(&config.handles),
            named: true,
        };
        (number, segment)
    };
    sealed.iter().map(segment).collect()
}

/// The value log of one shard.
///
/// All methods take `&self`; it lives on one thread. Appends take turns with each other, syncs with each other; appends
/// go on while a sync is under way.
#[derive(Debug)]
pub struct ValueLog {
    pub(crate) disk: Disk,
    pub(crate) config: LogConfig,
    pub(crate) state: RefCell<State>,
    pub(crate) writing: Turns,
    pub(crate) syncing: Turns,
    pub(crate) poisoned: Cell<bool>,
}

impl ValueLog {
    /// Reads the directory, walks the chain from the checkpoint on, and calls `apply` for every record of every whole
    /// batch, in order, pads and marks too. Then makes the recovered tail durable: what no record proves to have been
    /// synced is written again in place, for a sync that failed before may have left clean pages that the disk never got,
    /// and synced with the directory. Needs no space: where writing in place wants some and there is none, the log opens
    /// all the same, but [`ValueLog::synced`] stays before that tail until a [`ValueLog::sync`] has written it.
    ///
    /// With [`LogConfig::read_only`] nothing is written or synced.
    ///
    /// `apply` may have been called before an error is found: then throw away what it made.
    ///
    /// Cost: the log behind the checkpoint is read once; one small read for each segment there; what was written after the
    /// last sync that a later record knows of is read and written once more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::Missing`] when something is gone that the checkpoint or a later record proves to
    /// have been synced; [`Error::Unsupported`]; the disk's.
    pub async fn open(
        disk: &Disk,
        config: LogConfig,
        checkpoint: &Checkpoint,
        apply: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(Self, Recovered)> {
        let found = recover(disk, &config, checkpoint, apply).await?;
        let log = Self::of(disk, config, checkpoint, &found);
        if log.config.read_only {
            let mut state = log.state.borrow_mut();
            (state.synced, state.claimed) = (found.proven, found.proven);
        } else if planted(Plant::SyncedBackFromReplay) {
            log.leave_tail_unsynced(checkpoint).await?;
        } else if !planted(Plant::NoTailSync) {
            log.make_tail_durable(pieces(&found.chain, &found.stretches, found.proven), found.proven).await?;
        }
        let Found { end, last_seq, records, replayed_len, torn, max_number, dead, damage, .. } = found;
        let recovered = Recovered { end, last_seq, records, replayed_len, torn, max_number, dead, damage };
        Ok((log, recovered))
    }

    fn of(disk: &Disk, config: LogConfig, checkpoint: &Checkpoint, found: &Found) -> Self {
        let mut segments = sealed_segments(&config, &checkpoint.sealed);
        for link in &found.chain {
            let (seq_min, seq_max) = (link.pred_last_seq.plus(1), link.seq_max);
            segments.entry(link.number).and_modify(|segment| segment.end = link.end).or_insert(Segment {
                seed: segment_seed(&config.secret, config.shard, link.number),
                end: link.end,
                pred: link.pred,
                pred_last_seq: link.pred_last_seq,
                seq_min,
                seq_max,
                file: None,
                read_from: Held::new(&config.handles),
                named: true,
            });
        }
        let active = (planted(Plant::AppendToOldSegment) && segments.contains_key(&found.end.segment))
            .then_some(Active {
                number: found.end.segment,
                offset: found.end.offset,
                records: 1,
                file_len: 0,
                recycled_len: 0,
            });
        Self::with(disk, config, segments, active, (found.end, found.last_seq))
    }

    /// A log of these segments, for reading.
    pub(crate) fn of_sealed(disk: &Disk, config: LogConfig, sealed: &BTreeMap<u32, Sealed>) -> Self {
        let segments = sealed_segments(&config, sealed);
        Self::with(disk, config, segments, None, (LogPos::START, SeqNo::ZERO))
    }

    /// A log that ends at `end`, whose last record is that of `last_seq`.
    fn with(
        disk: &Disk,
        config: LogConfig,
        segments: BTreeMap<u32, Segment>,
        active: Option<Active>,
        (end, last_seq): (LogPos, SeqNo),
    ) -> Self {
        let links = segments.iter().map(|(&number, segment)| (number, segment.pred)).collect();
        let state = State {
            segments,
            links,
            active,
            written: end,
            synced: end,
            claimed: end,
            tail: Vec::new(),
            last_number: 0,
            next_seq: None,
            last_seq,
            seq_floor: last_seq,
            writing_to: None,
            given_up: Vec::new(),
            spare: None,
            marked: false,
            segment_len: config.segment_len,
            seal_behind: false,
            stats: LogStats::default(),
        };
        Self {
            disk: disk.clone(),
            config,
            state: RefCell::new(state),
            writing: Turns::default(),
            syncing: Turns::default(),
            poisoned: Cell::new(false),
        }
    }

    /// The planted bug: the tail is left to the next sync, but new records claim that it is durable.
    async fn leave_tail_unsynced(&self, checkpoint: &Checkpoint) -> Result<()> {
        let from = checkpoint.replay_from;
        let numbers: Vec<u32> =
            self.state.borrow().segments.range(from.segment..).map(|(&number, _)| number).collect();
        for number in numbers {
            let file = self.disk.open(&self.path(number), Mode::ReadWrite).await?;
            if let Some(segment) = self.state.borrow_mut().segments.get_mut(&number) {
                (segment.file, segment.named) = (Some(file), false);
            }
        }
        self.state.borrow_mut().synced = from;
        Ok(())
    }

    /// Begins this life: its next record gets sequence `first`, which the caller has made durable as the life's start.
    ///
    /// May be called again in the same life with a higher start, also while an append is under way: when failed writes have
    /// used up so many sequences that [`ValueLog::unsynced_span`] reaches the caller's bound and there is nothing to sync.
    ///
    /// # Panics
    /// When `first` is not above every sequence that is in the log or was given out, [`SeqNo::MAX`] excepted: after that
    /// start every append fails.
    pub fn start_life(&self, first: SeqNo) {
        let mut state = self.state.borrow_mut();
        let last = state.last_given().max(state.last_seq);
        assert!(first > last || first == SeqNo::MAX, "a life starts above every sequence given out before");
        state.next_seq = Some(first);
        state.seq_floor = state.seq_floor.max(SeqNo::new(first.get() - 1));
    }

    /// End of what was written: it survives the process.
    #[must_use]
    pub fn written(&self) -> LogPos {
        self.state.borrow().written
    }

    /// End of what was synced: it survives a power cut.
    #[must_use]
    pub fn synced(&self) -> LogPos {
        self.state.borrow().synced
    }

    /// Distance from the sequences that cannot be lost to the last one given out: how far a power cut now could throw the
    /// sequences back.
    ///
    /// It is the last sequence given out, to records of whatever kind and also in writes that failed or are still under way,
    /// less the larger of the last sequence that a completed sync covers and the last one before this life's start. 0 before
    /// [`ValueLog::start_life`].
    ///
    /// A caller that appends `n` operations only while `unsynced_span() + n < jump`, and starts the next life at the larger of
    /// the last sequence it finds and the recorded start, plus `jump`, never gives a sequence out twice. A mark takes one
    /// sequence without asking, but only while the span is 0: `jump` is at least 2.
    #[must_use]
    pub fn unsynced_span(&self) -> u64 {
        let state = self.state.borrow();
        state.last_given().get().saturating_sub(state.seq_floor.get())
    }

    /// The last sequence given out in this life, also to a write that failed; [`SeqNo::ZERO`] before its start.
    #[must_use]
    pub fn last_given(&self) -> SeqNo {
        self.state.borrow().last_given()
    }

    /// Sequence of the last record in the log.
    #[must_use]
    pub fn last_seq(&self) -> SeqNo {
        self.state.borrow().last_seq
    }

    /// Whether a sync failed: nothing is written or synced any more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.get()
    }

    /// Segments whose files are open for writing: from the one that the last sync ended in to the newest.
    #[must_use]
    pub fn held_segments(&self) -> usize {
        let state = self.state.borrow();
        let from_synced = state.segments.range(state.synced.segment..);
        from_synced.filter(|(_, segment)| segment.file.is_some()).count()
    }

    /// Length in bytes at which a segment is full.
    #[must_use]
    pub fn segment_len(&self) -> u64 {
        self.state.borrow().segment_len
    }

    /// Sets it, for the open segment and later ones: at most what the log was opened with.
    pub fn set_segment_len(&self, len: u64) {
        self.state.borrow_mut().segment_len = len.min(self.config.segment_len);
    }

    /// Bytes that the open segment takes on the disk, those of a recycled file behind its records too; 0 when none is open.
    #[must_use]
    pub fn open_len(&self) -> u64 {
        let active = self.state.borrow().active;
        active.map_or(0, |active| LogPos::new(0, active.offset).byte_offset().max(active.recycled_len))
    }

    /// All segments that the log knows, sealed ones included, by number.
    #[must_use]
    pub fn chain(&self) -> Vec<ChainSegment> {
        let state = self.state.borrow();
        let open = state.active.map(|active| active.number).or(state.writing_to);
        let segments = state.segments.iter();
        segments
            .map(|(&number, segment)| {
                let &Segment { end, pred, pred_last_seq, seq_min, seq_max, .. } = segment;
                ChainSegment {
                    number,
                    end,
                    pred,
                    pred_last_seq,
                    seq_min,
                    seq_max,
                    open: open == Some(number),
                }
            })
            .collect()
    }

    /// Forgets a segment whose values have moved: it can no longer be read, its file handle closes.
    ///
    /// # Panics
    /// When it is the newest one or not synced.
    pub fn forget(&self, number: u32) {
        let mut state = self.state.borrow_mut();
        let removed = state.segments.remove(&number);
        let synced = |segment: Segment| LogPos::new(number, segment.end) <= state.synced;
        let newest = number == state.written.segment;
        assert!(!newest && removed.is_none_or(synced), "segment {number} is in use");
    }

    /// What was done since opening.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let state = self.state.borrow();
        LogStats {
            segments: state.segments.len() as u64,
            len: state.segments.values().map(|segment| LogPos::new(0, segment.end).byte_offset()).sum(),
            open_files: state.segments.values().filter(|segment| segment.read_from.is_open()).count() as u64,
            ..state.stats
        }
    }

    /// The path of segment `number`.
    #[must_use]
    pub fn path(&self, number: u32) -> PathBuf {
        segment_path(&self.config.dir, number)
    }

    /// Whether anything may be written.
    pub(crate) fn check_alive(&self) -> Result<()> {
        if self.config.read_only {
            return Err(Error::ReadOnly { path: self.config.dir.clone() });
        }
        if self.poisoned.get() {
            return Err(Error::Poisoned { path: self.config.dir.clone() });
        }
        Ok(())
    }
}

const _: () = assert!(FIRST_RECORD > 0, "offset 0 of a segment is the end of its predecessor");
