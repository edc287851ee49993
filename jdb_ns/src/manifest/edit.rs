//! One change of a shard's set of files: what a MANIFEST record holds.
//!
//! Plain numbers and bytes; what they mean to the log, the tree and the drop map is their owners' business.

use super::times::TimeMark;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo};

/// A place in the log: a segment's number and an offset in 8-byte units. The default, segment 0, is the start of an
/// empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position {
    /// Number of the segment; 0: none.
    pub segment: u32,
    /// Offset in units of 8 bytes.
    pub offset: u32,
}

/// A table of the index.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TableEntry {
    /// File number.
    pub number: u32,
    /// Level it lies in; 0 is the newest.
    pub level: u8,
    /// Length of the file in bytes.
    pub len: u64,
    /// Entries in it.
    pub count: u64,
    /// Its first key.
    pub first_key: Bytes,
    /// Its last key.
    pub last_key: Bytes,
    /// Its lowest sequence.
    pub seq_min: SeqNo,
    /// Its highest sequence.
    pub seq_max: SeqNo,
    /// All drops up to this sequence were applied to it.
    pub drop_seq: SeqNo,
    /// Random id that stands in the file's footer: another table under this name is not taken for it.
    pub id: [u8; 16],
    /// Tombstones in it.
    pub tombstones: u64,
    /// Value bytes that it probably hides in the levels below; an estimate.
    pub hidden_len: u64,
    /// Bytes of values that it held for read points alone when it was written.
    pub held_len: u64,
}

/// A table that goes to another level as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TableMove {
    /// File number.
    pub number: u32,
    /// Level it lies in from now on.
    pub level: u8,
}

/// Where a segment's footer lies in its file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FooterPlace {
    /// Offset in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len: u32,
}

/// A segment to which nothing is appended any more.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SegmentEntry {
    /// File number.
    pub number: u32,
    /// True end of its records, in units of 8 bytes: what lies behind it does not exist.
    pub end: u32,
    /// The true end of the segment before it, as its header names it; the default for the first of a log.
    pub pred: Position,
    /// Highest sequence before it, as its header names it.
    pub pred_last_seq: SeqNo,
    /// Its lowest sequence.
    pub seq_min: SeqNo,
    /// Its highest sequence.
    pub seq_max: SeqNo,
    /// Length of the file in bytes, footer and unused space included; at least its end.
    pub len: u64,
    /// Its footer; `None` while it has none.
    pub footer: Option<FooterPlace>,
}

/// A footer that a sealed segment has got.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FooterEntry {
    /// The segment's number.
    pub number: u32,
    /// Length of the segment's file in bytes from now on.
    pub len: u64,
    /// Where the footer lies.
    pub footer: FooterPlace,
}

/// A file that holds the values of collected segments.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PackEntry {
    /// File number.
    pub number: u32,
    /// Length of the file in bytes.
    pub len: u64,
    /// Random id that stands in the file's footer.
    pub id: [u8; 16],
    /// Segments whose values are here from now on, ascending.
    pub origins: Vec<u32>,
    /// Bytes of the records of these values when the pack was written: all of it was live.
    pub live_len: u64,
}

/// How many record bytes of an origin became live (or dead: negative).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LiveDelta {
    /// Number of the segment that the pointers name.
    pub origin: u32,
    /// Bytes of whole records.
    pub delta: i64,
}

/// A drop: the namespace's entries in `(from, to]` are invisible to reads at or after `at`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DropEntry {
    /// The namespace.
    pub ns: NsId,
    /// Entries at or below stay; 0 for a whole drop.
    pub from: SeqNo,
    /// Entries above stay.
    pub to: SeqNo,
    /// The drop's own sequence, at or above `to`; what identifies it.
    pub at: SeqNo,
}

/// An import window: the namespace's entries after `s0` are hidden until it is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WindowEntry {
    /// The namespace.
    pub ns: NsId,
    /// Sequence at which it was opened.
    pub s0: SeqNo,
}

/// Sequences that a crash may have used and that no record carries any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gap {
    /// The first; what identifies the gap.
    pub from: SeqNo,
    /// The end, at or above `from`.
    pub to: SeqNo,
}

/// One change, applied whole or not at all. Lists may be empty; `None` leaves a number as it is.
///
/// What is removed is removed before anything is added. Files may not be removed and added again under one number;
/// drops, windows and gaps may.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Edit {
    /// This edit is the whole state: it replaces everything before it. Only the first record of a file is one.
    pub snapshot: bool,
    /// Tables that enter the tree.
    pub tables_added: Vec<TableEntry>,
    /// Numbers of tables that leave it.
    pub tables_removed: Vec<u32>,
    /// Tables that change their level.
    pub tables_moved: Vec<TableMove>,
    /// Segments that were sealed.
    pub segments_sealed: Vec<SegmentEntry>,
    /// Footers that sealed segments have got, or got again.
    pub footers: Vec<FooterEntry>,
    /// Numbers of sealed segments whose files go.
    pub segments_removed: Vec<u32>,
    /// Packs that were written.
    pub packs_added: Vec<PackEntry>,
    /// Numbers of packs whose files go.
    pub packs_removed: Vec<u32>,
    /// Changes of live bytes by origin; one an origin.
    pub live_deltas: Vec<LiveDelta>,
    /// Replay starts here: everything before it is in tables.
    pub replay_from: Option<Position>,
    /// Highest sequence below the replay position.
    pub last_seq: Option<SeqNo>,
    /// Wall-clock time of this edit in milliseconds since 1970.
    pub unix_ms: Option<u64>,
    /// Times of edits before, in a snapshot.
    pub times: Vec<TimeMark>,
    /// A file number above every one in use; a file that is added raises it by itself.
    pub next_number: Option<u32>,
    /// The next id that the name catalog gives out.
    pub next_name: Option<u64>,
    /// Drops whose log record lies below the replay position.
    pub drops_added: Vec<DropEntry>,
    /// Drops that every table has applied, by their `at`.
    pub drops_removed: Vec<SeqNo>,
    /// Import windows whose opening record lies below the replay position.
    pub windows_opened: Vec<WindowEntry>,
    /// Import windows that are over.
    pub windows_closed: Vec<WindowEntry>,
    /// Gaps left by crashes.
    pub gaps_added: Vec<Gap>,
    /// Gaps that fell below the retention floor, by their `from`.
    pub gaps_removed: Vec<SeqNo>,
    /// The sequence at which this life of the database starts.
    pub life_start: Option<SeqNo>,
    /// The log is durable through here: one that ends before is damaged.
    pub log_synced: Option<Position>,
}
