//! What a compaction may let go: the one question that the tree asks whoever gives its entries their meaning.
//!
//! The tree knows keys, sequences and kinds. Who reads at which sequence, which ranges of sequences were dropped, whether
//! an entry has expired: the keeper knows. It is asked once for each group of keys that share an answer, and, if it wants
//! to, about every entry, a run of them at a time.

use crate::merge::EntryRef;
use jdb_base::{Kind, SeqNo};

/// Gives the entries of a compaction their meaning.
///
/// [`Keeper::group`] answers as of one moment, that of [`Compaction::new`](crate::Compaction::new). This matters: when an
/// import window is aborted while a compaction runs, its start must stay a read point, for the drop that takes the place
/// of the window lies above the compaction's start and is not applied by it. What comes later needs no say: read points
/// lie at or above the start, drops above the start wait for the next compaction.
pub trait Keeper {
    /// The highest sequence that was inserted so far: every read from now on is at or above it.
    fn now(&self) -> SeqNo;

    /// What reads of `key`, and of all keys after it up to [`Group::end`], see. By default: everything, at the newest
    /// sequence only.
    fn group(&self, key: &[u8]) -> Group {
        let _ = key;
        Group::default()
    }

    /// Whether [`Keeper::judge`] is to be asked at all.
    fn judges(&self) -> bool {
        false
    }

    /// Decides about a run of entries in entry order, before anything is known about which of them will stay; `verdicts`
    /// has one place an entry and holds [`Verdict::Keep`] everywhere. Called without suspension: it must be quick.
    fn judge(&self, run: &[EntryRef<'_>], verdicts: &mut [Verdict]) {
        let _ = (run, verdicts);
    }
}

/// Keeps the newest version of each key: nobody reads anything else, and nothing is inserted meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Newest;

impl Keeper for Newest {
    fn now(&self) -> SeqNo {
        SeqNo::MAX
    }
}

/// What becomes of an entry, before the question which version of its key shows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Verdict {
    /// It stays what it is.
    #[default]
    Keep,
    /// It never was: an older version of its key may show in its place.
    Drop,
    /// It gets another kind and value at the same key and sequence. An expired value becomes a tombstone.
    Replace(Kind, Vec<u8>),
}

/// What reads see of the keys of a group.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Group {
    /// The first key that does not belong to it any more; `None`: there is none.
    pub end: Option<Vec<u8>>,
    /// What somebody may still read beside the newest versions, in any order.
    pub points: Vec<ReadPoint>,
    /// Drops of the group, in any order.
    pub drops: Vec<DropRange>,
}

/// A read that somebody may still make: the newest version at or below `seq` that no drop at or below `at` hides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReadPoint {
    /// The newest sequence that it sees.
    pub seq: SeqNo,
    /// The newest drop that counts for it; at or above `seq`.
    pub at: SeqNo,
}

impl ReadPoint {
    /// A snapshot of this sequence.
    ///
    /// Of a namespace whose import window `(s0, ..` was open when it was taken, the snapshot sees no more than what lies
    /// below the window: there it is the point `{ seq: s0, at: snapshot }`.
    #[must_use]
    pub const fn snapshot(seq: SeqNo) -> Self {
        Self { seq, at: seq }
    }

    /// An open import window that began after `s0`: what reads see while it is open, and again when it is aborted. Drops
    /// of today count, not only those before the window.
    #[must_use]
    pub const fn window(s0: SeqNo) -> Self {
        Self { seq: s0, at: SeqNo::MAX }
    }

    /// Whether it may keep `drop` from being applied to some entry: a table is not written anew for the sake of such a drop
    /// ([`waiting`](crate::waiting)).
    #[must_use]
    pub fn holds(&self, drop: &DropRange) -> bool {
        drop.from < self.seq && self.at < drop.at
    }
}

/// A drop: entries above `from` up to and including `to` are invisible to reads at or after `at`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DropRange {
    /// The newest sequence below the range.
    pub from: SeqNo,
    /// The newest sequence in the range.
    pub to: SeqNo,
    /// The drop's own sequence, at or above `to`.
    pub at: SeqNo,
}

impl DropRange {
    /// Whether it hides an entry of this sequence from reads at or after its own.
    #[inline]
    #[must_use]
    pub fn covers(&self, seq: SeqNo) -> bool {
        self.from < seq && seq <= self.to
    }
}
