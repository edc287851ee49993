//! What must be true: the log of commits that were submitted, answered, made durable.
//!
//! Commits of a shard stand in the order of their sequences, which the engine reports before it writes them. The state
//! after `k` commits is known for every `k` by its hash and by the history of every key, so "the database is the model at
//! some k in lo..=hi" costs one comparison a candidate.
//!
//! Words
//! - *submitted*: given a sequence. *acknowledged*: answered `Ok`, so it and all before it survive the process.
//!   *durable*: answered `Ok` to a `Sync` commit, `sync`, `flush` or `close`, so it survives a power cut.
//! - *failed*: answered with an error: whole or not at all, also after a reopening.
//! - An image of the disk goes its own way with an oracle that was *settled* on what the image shows.

mod contents;
mod search;
#[cfg(test)]
mod tests;

pub use contents::{Contents, Row, row_hash};
pub use search::After;

use crate::broken;
use crate::violation::Check;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A namespace by its place in the run's list.
pub type Ns = u8;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// The key has this value now.
    Put {
        /// Namespace.
        ns: Ns,
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// The key is gone.
    Delete {
        /// Namespace.
        ns: Ns,
        /// Key.
        key: Bytes,
    },
    /// Every key of the namespace is gone.
    Drop {
        /// Namespace.
        ns: Ns,
    },
}

impl Op {
    /// The namespace it changes.
    #[must_use]
    pub const fn ns(&self) -> Ns {
        match self {
            Self::Put { ns, .. } | Self::Delete { ns, .. } | Self::Drop { ns } => *ns,
        }
    }
}

/// What its caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// Done.
    Acknowledged,
    /// An error: it may have happened, whole.
    Failed,
    /// An error, and a later commit was acknowledged while this one was not to be seen: it never happens any more.
    Gone,
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Sequence of the first change.
    pub first_seq: u64,
    /// Sequence of the last change.
    pub last_seq: u64,
    /// The changes in order.
    pub ops: Vec<Op>,
    /// What its caller was told.
    pub fate: Fate,
    /// How many commits had been promised durable when this one was submitted: it proves them.
    pub proves: usize,
}

impl Commit {
    /// Whether the plain state is without it.
    const fn is_left_out(&self) -> bool {
        matches!(self.fate, Fate::Failed | Fate::Gone)
    }
}

/// What one shard must hold.
#[derive(Clone, Default, Debug)]
struct Shard {
    commits: Vec<Commit>,
    /// `hashes[k]`: hash of the state after `k` commits, failed ones left out.
    hashes: Vec<u64>,
    acknowledged: usize,
    durable: usize,
    /// No later sequence may be at or below this one.
    seq_floor: u64,
    /// The newest sequence that a caller was told.
    seq_answered: u64,
}

/// When a key got which value: (number of commits, value or gone), ascending.
type History = Vec<(usize, Option<Bytes>)>;

/// What one namespace must hold.
#[derive(Clone, Default, Debug)]
struct Space {
    shard: Option<u16>,
    keys: BTreeMap<Bytes, History>,
}

/// A position per shard: how many commits.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Marks(pub Vec<usize>);

/// The oracle of one timeline of one database.
#[derive(Clone, Debug)]
pub struct Oracle {
    spaces: Vec<Space>,
    shards: Vec<Shard>,
    /// What the oldest commit known here was applied to.
    base: Contents,
}

impl Oracle {
    /// The oracle of an empty database with `ns_count` namespaces and `shard_count` shards.
    #[must_use]
    pub fn new(ns_count: usize, shard_count: usize) -> Self {
        let shard = Shard { hashes: vec![0], ..Shard::default() };
        Self {
            spaces: vec![Space::default(); ns_count],
            shards: vec![shard; shard_count],
            base: Contents::default(),
        }
    }

    /// A commit got its sequences.
    ///
    /// # Errors
    /// A sequence that does not rise, a shard that does not exist, a namespace in two shards.
    pub fn submitted(&mut self, shard_no: u16, first_seq: u64, ops: Vec<Op>) -> Check {
        let Some(shard) = self.shards.get_mut(usize::from(shard_no)) else {
            broken!("shard {shard_no} does not exist")
        };
        if ops.is_empty() {
            broken!("an empty commit was written at sequence {first_seq}");
        }
        let newest = shard.commits.last().map_or(0, |commit| commit.last_seq).max(shard.seq_floor);
        if first_seq <= newest {
            broken!("shard {shard_no}: sequence {first_seq} is given out, {newest} was before");
        }
        for op in &ops {
            let space = &mut self.spaces[usize::from(op.ns())];
            match space.shard {
                None => space.shard = Some(shard_no),
                Some(other) if other != shard_no => {
                    broken!("namespace {} is in shard {other} and in shard {shard_no}", op.ns())
                }
                Some(_) => {}
            }
        }
        let last_seq = first_seq + ops.len() as u64 - 1;
        let hash = shard.hashes[shard.hashes.len() - 1];
        shard.commits.push(Commit { first_seq, last_seq, ops, fate: Fate::Open, proves: shard.durable });
        let at = shard.commits.len();
        let hash = apply(&mut self.spaces, &shard.commits[at - 1].ops, at, hash);
        shard.hashes.push(hash);
        Ok(())
    }

    /// The commit of `ops` was answered with the sequence of its last change.
    ///
    /// # Errors
    /// A sequence that was never submitted, was answered before, belongs to other changes, or is at or below `after`:
    /// what had been answered in this shard when these changes were submitted.
    pub fn acknowledged(&mut self, ops: &[Op], seq: u64, sync: bool, after: u64) -> Check {
        let Some(no) = ops.first().and_then(|op| self.spaces[usize::from(op.ns())].shard) else {
            broken!("{ops:?} was answered with sequence {seq} but never submitted")
        };
        let shard = &mut self.shards[usize::from(no)];
        let Ok(at) = shard.commits.binary_search_by_key(&seq, |commit| commit.last_seq) else {
            broken!("shard {no}: sequence {seq} was answered but never submitted")
        };
        let commit = &mut shard.commits[at];
        if commit.fate == Fate::Acknowledged {
            broken!("shard {no}: sequence {seq} was answered twice");
        }
        if commit.ops != ops {
            broken!("shard {no}: sequence {seq} was answered to {ops:?} and is {:?}", commit.ops);
        }
        if seq <= after {
            broken!("shard {no}: sequence {seq} was answered to what came after {after} was answered");
        }
        // The error that seemed to be this commit's was that of another one with the same changes.
        let mistaken = commit.fate == Fate::Failed;
        commit.fate = Fate::Acknowledged;
        shard.seq_answered = shard.seq_answered.max(seq);
        shard.acknowledged = shard.acknowledged.max(at + 1);
        if sync {
            shard.durable = shard.durable.max(at + 1);
        }
        if mistaken {
            self.rebuild();
            self.failed(ops);
        }
        Ok(())
    }

    /// The commit with this last sequence was answered, says somebody who has compared the changes.
    ///
    /// # Errors
    /// As [`Oracle::acknowledged`].
    pub fn acknowledged_by_seq(&mut self, ns: Ns, seq: u64, sync: bool) -> Check {
        let shard = self.spaces[usize::from(ns)].shard.map(|no| &self.shards[usize::from(no)]);
        let commit = shard.and_then(|shard| shard.commits.iter().rev().find(|commit| commit.last_seq == seq));
        match commit.map(|commit| commit.ops.clone()) {
            Some(ops) => self.acknowledged(&ops, seq, sync, 0),
            None => broken!("namespace {ns}: sequence {seq} was answered but never submitted"),
        }
    }

    /// The commit of `ops` was answered with an error. It may never have got a sequence.
    pub fn failed(&mut self, ops: &[Op]) {
        for shard in &mut self.shards {
            let found = shard.commits.iter_mut().rev().find(|c| c.fate == Fate::Open && c.ops == ops);
            if let Some(commit) = found {
                commit.fate = Fate::Failed;
                self.rebuild();
                return;
            }
        }
    }

    /// The newest sequence that was answered in the namespace's shard.
    #[must_use]
    pub fn answered_seq(&self, ns: Ns) -> u64 {
        let shard = self.spaces[usize::from(ns)].shard;
        shard.map_or(0, |no| self.shards[usize::from(no)].seq_answered)
    }

    /// How far every shard is acknowledged now.
    #[must_use]
    pub fn acknowledged_marks(&self) -> Marks {
        Marks(self.shards.iter().map(|shard| shard.acknowledged).collect())
    }

    /// Everything up to `marks` was promised to survive a power cut.
    pub fn made_durable(&mut self, marks: &Marks) {
        for (shard, &mark) in self.shards.iter_mut().zip(&marks.0) {
            shard.durable = shard.durable.max(mark);
        }
    }

    /// The commit with this last sequence, and all before it, were promised to survive a power cut.
    pub fn commit_durable(&mut self, ns: Ns, seq: u64) {
        if let Some(no) = self.spaces[usize::from(ns)].shard {
            let shard = &mut self.shards[usize::from(no)];
            let through = shard.commits.partition_point(|commit| commit.last_seq <= seq);
            shard.durable = shard.durable.max(through);
        }
    }

    /// Everything that was submitted counts as acknowledged: nobody waits any more and the writer is done.
    pub fn all_settled(&mut self) {
        for shard in &mut self.shards {
            shard.acknowledged = shard.commits.len();
        }
    }

    /// How many commits were submitted, over all shards.
    #[must_use]
    pub fn submitted_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.commits.len()).sum()
    }

    /// How many commits every shard must show at least and may show at most, now.
    #[must_use]
    pub fn visible(&self, ns: Ns) -> RangeInclusive<usize> {
        match self.spaces[usize::from(ns)].shard {
            Some(no) => {
                let shard = &self.shards[usize::from(no)];
                shard.acknowledged..=shard.commits.len()
            }
            None => 0..=0,
        }
    }

    /// What a read of `key` that ran while between `range` commits were visible may have answered.
    ///
    /// # Errors
    /// Anything else.
    pub fn check_get(&self, ns: Ns, key: &[u8], range: &RangeInclusive<usize>, got: Option<&Bytes>) -> Check {
        let empty = History::new();
        let history = self.spaces[usize::from(ns)].keys.get(key).unwrap_or(&empty);
        let from = history.partition_point(|entry| entry.0 <= *range.start());
        let to = history.partition_point(|entry| entry.0 <= *range.end());
        let at_start = from.checked_sub(1).and_then(|i| history[i].1.as_ref());
        if at_start == got || history[from..to].iter().any(|entry| entry.1.as_ref() == got) {
            return Ok(());
        }
        broken!(
            "namespace {ns}, key {}: read {}, want {} (visible commits {range:?}, history {})",
            show(key),
            show_value(got),
            show_value(at_start),
            history
                .iter()
                .map(|(k, v)| format!("{k}:{}", show_value(v.as_ref())))
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    /// A scan's rows are the namespace as of one moment in `range`.
    ///
    /// # Errors
    /// Rows that fit no single moment.
    pub fn check_scan(&self, ns: Ns, range: &RangeInclusive<usize>, rows: &[(Bytes, Bytes)]) -> Check {
        let keys = &self.spaces[usize::from(ns)].keys;
        let fits = |k: usize| {
            let mut want = keys.iter().filter_map(|(key, history)| Some((key, at(history, k)?)));
            rows.iter().all(|(key, value)| want.next() == Some((key, value))) && want.next().is_none()
        };
        if range.clone().any(fits) {
            return Ok(());
        }
        let show_rows = |rows: &mut dyn Iterator<Item = (&Bytes, &Bytes)>| {
            rows.map(|(k, v)| format!("{}={}", show(k), show_value(Some(v)))).collect::<Vec<_>>().join(" ")
        };
        let k = *range.end();
        broken!(
            "namespace {ns}: a scan fits no moment of {range:?}\n  got  {}\n  at {k} {}",
            show_rows(&mut rows.iter().map(|(k, v)| (k, v))),
            show_rows(&mut keys.iter().filter_map(|(key, h)| Some((key, at(h, k)?)))),
        )
    }

    /// The timeline of an image that recovered to `contents`: all of it is durable, nothing else ever was. What had been
    /// answered before stays answered: those sequences may not come again.
    #[must_use]
    pub fn settle(&self, contents: Contents) -> Self {
        let mut next = Self { spaces: self.spaces.clone(), shards: self.shards.clone(), base: contents };
        for shard in &mut next.shards {
            shard.seq_floor = shard.seq_floor.max(shard.seq_answered);
            shard.commits.clear();
            shard.acknowledged = 0;
            shard.durable = 0;
        }
        next.rebuild();
        next
    }

    /// The timeline of a killed process that recovered to `marks`: what was not found there never was; what was durable
    /// stays durable, the rest may still be lost to a power cut before recovery is over.
    #[must_use]
    pub fn truncated(&self, marks: &Marks) -> Self {
        let mut next = self.clone();
        for (shard, &mark) in next.shards.iter_mut().zip(&marks.0) {
            shard.seq_floor = shard.seq_floor.max(shard.seq_answered);
            shard.commits.truncate(mark);
            shard.acknowledged = mark;
            shard.durable = shard.durable.min(mark);
        }
        next.rebuild();
        next
    }

    /// Whether a commit that `marks` leaves out was proven: a later commit was submitted after it had been promised
    /// durable. Returns its sequence.
    #[must_use]
    pub fn proven_loss(&self, marks: &Marks) -> Option<u64> {
        self.shards.iter().zip(&marks.0).find_map(|(shard, &mark)| {
            let later = shard.commits.get(mark + 1..)?;
            later.iter().any(|commit| commit.proves > mark).then(|| shard.commits[mark].last_seq)
        })
    }

    /// Histories and hashes anew from the base and the commits that did not fail.
    fn rebuild(&mut self) {
        for space in &mut self.spaces {
            space.keys.clear();
        }
        for shard in &mut self.shards {
            shard.hashes.clear();
            shard.hashes.push(0);
        }
        for row in self.base.rows() {
            let space = &mut self.spaces[usize::from(row.ns)];
            if let Some(no) = space.shard {
                self.shards[usize::from(no)].hashes[0] ^= row_hash(row.ns, &row.key, &row.value);
            }
            space.keys.insert(row.key.clone(), vec![(0, Some(row.value.clone()))]);
        }
        for shard in &mut self.shards {
            let mut hash = shard.hashes[0];
            for (i, commit) in shard.commits.iter().enumerate() {
                if !commit.is_left_out() {
                    hash = apply(&mut self.spaces, &commit.ops, i + 1, hash);
                }
                shard.hashes.push(hash);
            }
        }
    }
}

/// Applies one commit, the `at`-th, to the histories and to the hash of its shard's state.
fn apply(spaces: &mut [Space], ops: &[Op], at: usize, mut hash: u64) -> u64 {
    for op in ops {
        let keys = &mut spaces[usize::from(op.ns())].keys;
        match op {
            Op::Put { ns, key, value } => {
                let history = keys.entry(key.clone()).or_default();
                hash ^= change(*ns, key, history, at, Some(value.clone()));
            }
            Op::Delete { ns, key } => {
                if let Some(history) = keys.get_mut(key) {
                    hash ^= change(*ns, key, history, at, None);
                }
            }
            Op::Drop { ns } => {
                for (key, history) in keys {
                    hash ^= change(*ns, key, history, at, None);
                }
            }
        }
    }
    hash
}

/// Sets the newest value of a key; returns what to xor into the state's hash.
fn change(ns: Ns, key: &Bytes, history: &mut History, at: usize, value: Option<Bytes>) -> u64 {
    let newest = history.last().and_then(|entry| entry.1.as_ref());
    if newest.is_none() && value.is_none() {
        return 0;
    }
    let of = |value: Option<&Bytes>| value.map_or(0, |value| row_hash(ns, key, value));
    let changed = of(newest) ^ of(value.as_ref());
    match history.last_mut() {
        Some(last) if last.0 == at => last.1 = value,
        _ => history.push((at, value)),
    }
    changed
}

/// The value after `k` commits.
fn at(history: &History, k: usize) -> Option<&Bytes> {
    let after = history.partition_point(|entry| entry.0 <= k);
    history[..after].last().and_then(|entry| entry.1.as_ref())
}

/// A key in a message.
#[must_use]
pub fn show(key: &[u8]) -> String {
    if key.len() > 24 {
        format!("\"{}..\"({})", key[..16].escape_ascii(), key.len())
    } else {
        format!("\"{}\"", key.escape_ascii())
    }
}

/// A value in a message: its version number and its length.
#[must_use]
pub fn show_value(value: Option<&Bytes>) -> String {
    match value {
        None => "nothing".into(),
        Some(value) => match value.first_chunk() {
            Some(version) => format!("v{}({})", u64::from_le_bytes(*version), value.len()),
            None => format!("{:?}", &value[..]),
        },
    }
}
