//! What one read sees: memtables from new to old, then tables from new to old.
//!
//! Invariants
//! - Every entry of a memtable or level-0 table is newer than every entry of the same key behind it.
//! - The tables of a deeper level do not overlap and are sorted by key; all versions of a key that a level holds lie in
//!   one table.

use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::level;
use crate::picker::{Candidate, Plan};
use crate::table::{Table, TableMeta, TableSet};
use bytes::Bytes;
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_mem::Memtable;
use jdb_sst::{Begun, Entry};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

/// Memtables and levels at one moment; never changed, only replaced. (The first memtable still takes entries; a read
/// does not see those above its own sequence.)
#[derive(Clone, Default, Debug)]
pub struct Version {
    /// From new to old; the first one takes new entries.
    pub memtables: Vec<Rc<Memtable>>,
    /// Level 0 from new to old, deeper ones by key.
    pub levels: Vec<Vec<Rc<Table>>>,
    /// Shared by all Versions between two calls of [`Tree::begin_epoch`](crate::Tree::begin_epoch).
    pub(crate) epoch: Rc<()>,
}

/// What an entry holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// The key was deleted.
    Tombstone,
    /// The value.
    Inline(Bytes),
    /// Where the value is.
    Pointer(ValuePtr),
}

/// The newest entry of a key that a read sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its sequence.
    pub seq: SeqNo,
    /// What it holds.
    pub payload: Payload,
}

impl Version {
    /// The newest entry of `key` at or below `seq` that is not hidden; a tombstone is an entry.
    ///
    /// Answers without suspending while everything it needs is in memory. The caller keeps this Version pinned.
    ///
    /// # Errors
    /// A table that cannot be read: never a wrong answer instead.
    pub async fn get(&self, key: &[u8], seq: SeqNo, hidden: &Hidden) -> Result<Option<Found>> {
        for memtable in &self.memtables {
            if let Some(found) = get_in_memtable(memtable, key, seq, hidden)? {
                return Ok(Some(found));
            }
        }
        self.get_in_tables(key, seq, hidden).await
    }

    /// As [`Version::get`], of what is in tables alone.
    async fn get_in_tables(&self, key: &[u8], seq: SeqNo, hidden: &Hidden) -> Result<Option<Found>> {
        let Some((newest, deeper)) = self.levels.split_first() else { return Ok(None) };
        let covering = newest.iter().filter(|table| table.covers(key));
        let deeper = deeper.iter().filter_map(|tables| level::find(tables, key));
        for table in covering.chain(deeper).filter(|table| table.meta().seq_min <= seq) {
            // Most tables that cover a key do not hold it: what follows costs twice this.
            let begun = match table.ready() {
                Some(reader) => reader.begin_get(key, seq),
                None => Some(Begun::default()),
            };
            let Some(begun) = begun else { continue };
            if let Some(found) = get_in_table(table, key, seq, hidden, begun).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// All tables as [`pick`](crate::pick) wants them; `waiting` is [`Candidate::waiting`], `wanted` says whether a read point lies
    /// between two sequences, both included.
    #[must_use]
    pub fn candidates(
        &self,
        waiting: impl Fn(&TableMeta) -> u64,
        wanted: impl Fn(SeqNo, SeqNo) -> bool,
    ) -> Vec<Vec<Candidate<'_>>> {
        let candidate = |table| {
            let meta = Table::meta(table);
            Candidate { meta, waiting: waiting(meta), released: meta.held.released_len(&wanted) }
        };
        self.levels.iter().map(|tables| tables.iter().map(|table| candidate(table)).collect()).collect()
    }

    /// All tables, to be taken to another thread. Cost: a copy of what the MANIFEST says about each.
    #[must_use]
    pub fn table_set(&self) -> TableSet {
        self.table_set_of(|_| true)
    }

    /// The tables that a compaction with this plan reads or looks at, to be taken to another thread.
    #[must_use]
    pub fn table_set_for(&self, plan: &Plan) -> TableSet {
        self.table_set_of(|meta| meta.first_key <= plan.last_key && plan.first_key <= meta.last_key)
    }

    fn table_set_of(&self, wanted: impl Fn(&TableMeta) -> bool) -> TableSet {
        let wanted = |tables: &Vec<Rc<Table>>| {
            let wanted = tables.iter().filter(|table| wanted(table.meta()));
            wanted.map(|table| (table.meta().clone(), table.path().to_owned())).collect()
        };
        TableSet { levels: self.levels.iter().map(wanted).collect() }
    }

    /// All tables, from new to old.
    pub fn tables(&self) -> impl Iterator<Item = &Rc<Table>> {
        self.levels.iter().flatten()
    }
}

fn get_in_memtable(memtable: &Memtable, key: &[u8], seq: SeqNo, hidden: &Hidden) -> Result<Option<Found>> {
    let mut seq = seq;
    while let Some(entry) = memtable.get(key, seq) {
        let Some(older) = hidden.skip(entry.seq) else {
            let payload = match entry.kind {
                Kind::Inline => Payload::Inline(Bytes::copy_from_slice(entry.value)),
                kind => payload(kind, entry.value, Path::new("memtable"), entry.seq)?,
            };
            return Ok(Some(Found { seq: entry.seq, payload }));
        };
        if older == SeqNo::ZERO {
            break;
        }
        seq = older;
    }
    Ok(None)
}

/// As [`Version::get`], in one table, of which `begun` is known.
pub(crate) async fn get_in_table(
    table: &Table,
    key: &[u8],
    seq: SeqNo,
    hidden: &Hidden,
    begun: Begun,
) -> Result<Option<Found>> {
    let reader = match table.ready() {
        Some(reader) => reader,
        None => table.reader().await?,
    };
    let (mut seq, mut begun) = (seq, begun);
    loop {
        let found = match reader.get_begun(key, seq, begun)? {
            ControlFlow::Break(found) => found,
            ControlFlow::Continue(stopped) => reader.get_from(key, seq, stopped).await?,
        };
        let Some(entry) = found else { return Ok(None) };
        match hidden.skip(entry.seq) {
            None => return found_in(table, entry).map(Some),
            Some(SeqNo::ZERO) => return Ok(None),
            Some(older) => (seq, begun) = (older, Begun::default()),
        }
    }
}

pub(crate) fn found_in(table: &Table, entry: Entry) -> Result<Found> {
    let payload = match entry.kind {
        Kind::Inline => Payload::Inline(entry.value),
        kind => payload(kind, &entry.value, table.path(), entry.seq)?,
    };
    Ok(Found { seq: entry.seq, payload })
}

/// Reads an entry's value bytes by its kind.
pub(crate) fn payload(kind: Kind, value: &[u8], path: &Path, seq: SeqNo) -> Result<Payload> {
    match kind {
        Kind::Tombstone => Ok(Payload::Tombstone),
        Kind::Inline => Ok(Payload::Inline(Bytes::copy_from_slice(value))),
        Kind::Pointer => ValuePtr::decode(value).map(Payload::Pointer).ok_or_else(|| Error::Entry {
            path: path.to_owned(),
            what: "malformed value pointer",
            seq: seq.get(),
        }),
    }
}
