//! Salvage: copies what is sound out of a damaged database into a new one.
//!
//! In each shard all memtables and tables are merged by (key, sequence), each table passing over its damaged blocks. Of every key
//! the newest version that is found counts: a tombstone leaves it out, a value that cannot be read is reported and left out, for an
//! older one would be a wrong one. Where a block is lost, keys that it held may be missing, and keys that it deleted or changed may
//! come as an older table has them: the report names its file and place.

use crate::catalog::Catalog;
use crate::commit::Durability;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::manager::{Manager, Options};
use crate::shard::Shard;
use crate::verify::Progress;
use crate::writer::put_op;
use bytes::Bytes;
use jdb_base::{Class, Kind, NsId, SeqNo, ValuePtr};
use jdb_io::Disk;
use jdb_lsm::Hidden;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

/// Errors that a report holds; the others are only counted.
const DAMAGE_MAX: usize = 1000;
/// Rows and bytes of a commit into the new database.
const PART_COUNT: usize = 4096;
const PART_LEN: usize = 4 << 20;

/// What was saved and what was not.
#[derive(Default, Debug)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Rows in the new database.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub len: u64,
    /// Rows whose values could not be read.
    pub lost_values: u64,
    /// What is wrong, the first thousand findings.
    pub damage: Vec<Error>,
    /// How many findings there are in all.
    pub damage_count: u64,
}

impl SalvageReport {
    fn note(&mut self, error: Error) {
        self.damage_count += 1;
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(error);
        }
    }
}

/// A sorted source that passes over what it cannot read.
#[expect(clippy::large_enum_variant, reason = "some dozens, mostly tables")]
enum Source {
    Memtable(jdb_mem::Cursor),
    Table(jdb_sst::Cursor),
}

/// The entry that a source sits on: entry order is key ascending, sequence descending.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Vec<u8>,
    seq: Reverse<SeqNo>,
    source: usize,
}

impl Source {
    async fn first(&mut self, report: &mut SalvageReport) {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Table(cursor) => {
                let first = cursor.seek_first().await;
                pass_over(cursor, first, report).await;
            }
        }
    }

    async fn next(&mut self, report: &mut SalvageReport) {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Table(cursor) => {
                let next = cursor.next().await;
                pass_over(cursor, next, report).await;
            }
        }
    }

    fn head(&self, source: usize) -> Option<Head> {
        let (key, seq) = match self {
            Self::Memtable(cursor) => cursor.entry().map(|entry| (entry.key, entry.seq))?,
            Self::Table(cursor) => cursor.entry().map(|entry| (entry.key, entry.seq))?,
        };
        Some(Head { key: key.to_vec(), seq: Reverse(seq), source })
    }

    /// Kind and value bytes of the entry it sits on.
    fn content(&self) -> Option<(Kind, Bytes)> {
        match self {
            Self::Memtable(cursor) => {
                cursor.entry().map(|entry| (entry.kind, Bytes::copy_from_slice(entry.value)))
            }
            Self::Table(cursor) => {
                cursor.entry().map(|entry| (entry.kind, Bytes::copy_from_slice(entry.value)))
            }
        }
    }
}

/// The name that a namespace will have: its own, or one that says which id it had when that cannot be read.
async fn salvaged_name(catalog: &Catalog, ns: NsId, report: &mut SalvageReport) -> Bytes {
    if ns.class() != Class::Named {
        return Bytes::new();
    }
    let name = catalog.name_of(ns).await.map(|(_, name)| name);
    let name = name.map_err(|error| report.note(error)).ok().flatten();
    name.unwrap_or_else(|| format!("salvaged/{}", ns.id()).into())
}

/// After a step that failed: on to the next block that can be read.
async fn pass_over(cursor: &mut jdb_sst::Cursor, step: jdb_sst::Result<()>, report: &mut SalvageReport) {
    let mut step = step;
    while let Err(error) = step {
        report.note(error.into());
        step = cursor.skip_block().await;
    }
}

/// Rows on their way into the new database.
struct Target {
    manager: Manager,
    rows: Vec<(NsId, jdb_val::Op)>,
    /// Rows of one namespace that has a name: the new database gives it an id of its own.
    named: Option<(Handle, Vec<jdb_val::Op>)>,
    len: usize,
}

impl Target {
    async fn put(&mut self, ns: NsId, key: &[u8], value: Bytes) -> Result<()> {
        let op = put_op(ns, key, value);
        self.len += op.key.len() + op.value.len();
        self.rows.push((ns, op));
        if self.rows.len() >= PART_COUNT || self.len >= PART_LEN { self.commit().await } else { Ok(()) }
    }

    async fn put_named(&mut self, name: &Bytes, key: &[u8], value: Bytes) -> Result<()> {
        if self.named.as_ref().is_none_or(|(handle, _)| handle.name().as_ref() != Some(name)) {
            self.commit().await?;
            self.named = Some((self.manager.named(name).await?, Vec::new()));
        }
        if let Some((handle, ops)) = &mut self.named {
            let op = put_op(handle.id(), key, value);
            self.len += op.key.len() + op.value.len();
            ops.push(op);
            if ops.len() < PART_COUNT && self.len < PART_LEN {
                return Ok(());
            }
        }
        self.commit().await
    }

    async fn commit(&mut self) -> Result<()> {
        self.len = 0;
        if let Some((handle, ops)) = self.named.take() {
            self.manager.write(&handle, handle.id(), ops, Durability::Os).await?;
        }
        let rows = std::mem::take(&mut self.rows);
        self.manager.commit_parts(rows, Durability::Os).await.map(drop)
    }
}

impl Manager {
    /// Copies every row that can be read into a new database, made with `options` in a directory that is empty or missing.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]; those of the new database; the damage of this one is reported.
    pub async fn salvage_to(
        &self,
        disk: Disk,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SalvageReport> {
        if matches!(disk.list(&options.dir).await, Ok(found) if !found.is_empty()) {
            return Err(Error::NotEmpty { path: options.dir });
        }
        let mut report = SalvageReport::default();
        let manager = Self::open(disk, options).await?;
        let mut target = Target { manager, rows: Vec::new(), named: None, len: 0 };
        let total = self.shards().iter().map(|shard| shard.entries_count()).sum();
        let mut done = 0;
        for shard in self.shards() {
            for error in shard.damage.borrow().iter() {
                report.note(error.again());
            }
            let mut tell = |entries| {
                done += entries;
                progress(Progress { done, total });
            };
            shard.salvage_to(self.catalog(), &mut target, &mut report, &mut tell).await?;
        }
        target.commit().await?;
        target.manager.flush().await?;
        target.manager.close().await?;
        Ok(report)
    }
}

impl Shard {
    fn entries_count(&self) -> u64 {
        self.tree.version().tables().map(|table| table.meta().count).sum()
    }

    async fn salvage_to(
        &self,
        catalog: &Catalog,
        target: &mut Target,
        report: &mut SalvageReport,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        // All of one moment: what drops hide has to be what they hid from this Version.
        let (version, visible, drops) =
            (self.tree.version(), self.visible.get(), self.drops.borrow().clone());
        let mut sources: Vec<Source> =
            version.memtables.iter().map(|memtable| Source::Memtable(memtable.cursor())).collect();
        for table in version.tables() {
            match table.reader_uncached().await {
                Ok(reader) => sources.push(Source::Table(reader.cursor())),
                Err(error) => report.note(error.into()),
            }
        }
        let mut heads = BinaryHeap::new();
        for (i, source) in sources.iter_mut().enumerate() {
            source.first(report).await;
            heads.extend(source.head(i).map(Reverse));
        }
        let mut decided: Option<Vec<u8>> = None;
        let mut hidden: Option<(NsId, Hidden)> = None;
        let mut name = Bytes::new();
        let mut entries = 0;
        while let Some(Reverse(Head { key, seq: Reverse(seq), source: i })) = heads.pop() {
            let Some(source) = sources.get_mut(i) else { continue };
            let content = source.content();
            source.next(report).await;
            heads.extend(source.head(i).map(Reverse));
            entries += 1;
            if entries == PART_COUNT as u64 {
                progress(std::mem::take(&mut entries));
                jdb_io::task::yield_now().await;
            }
            if decided.as_ref() == Some(&key) || seq > visible {
                continue;
            }
            let mut rest = &key[..];
            let Some(ns) = NsId::take(&mut rest) else { continue };
            if hidden.as_ref().is_none_or(|(of, _)| *of != ns) {
                hidden = Some((ns, drops.hidden(ns, visible)));
                name = salvaged_name(catalog, ns, report).await;
            }
            if hidden.as_ref().is_some_and(|(_, hidden)| hidden.hides(seq)) {
                continue;
            }
            let value = match content {
                None | Some((Kind::Tombstone, _)) => None,
                Some((Kind::Inline, value)) => Some(value),
                Some((Kind::Pointer, ptr)) => self.salvage_value(&ptr, &key, seq, report).await,
            };
            // The catalog is made anew with the namespaces that have names.
            let is_row = !matches!(ns.class(), Class::Catalog | Class::NamedHidden);
            if let Some(value) = value.filter(|_| is_row) {
                report.rows += 1;
                report.len += (rest.len() + value.len()) as u64;
                match ns.class() {
                    Class::Named => target.put_named(&name, rest, value).await?,
                    _ => target.put(ns, rest, value).await?,
                }
            }
            decided = Some(key);
        }
        progress(entries);
        Ok(())
    }

    async fn salvage_value(
        &self,
        ptr: &[u8],
        key: &[u8],
        seq: SeqNo,
        report: &mut SalvageReport,
    ) -> Option<Bytes> {
        let read = match ValuePtr::decode(ptr) {
            Some(ptr) => self.packs.read(&self.log, ptr, key, seq).await,
            None => Err(Error::Corrupt {
                path: Path::new("index").to_owned(),
                what: "value pointer of an entry",
                offset: 0,
                expected: 0,
                found: seq.get(),
            }),
        };
        read.inspect_err(|error| {
            report.lost_values += 1;
            report.note(error.again());
        })
        .ok()
    }
}
