//! The visible rows of a key range, one per key, in either direction.
//!
//! A scan reads at one sequence on one pinned Version: it sees exactly the rows of that moment, however long it takes.
//! It sits on a row. Before the first row, [`Scan::next`] gives the first; after the last, [`Scan::prev`] gives the last.
//! The row is copied into two buffers that are reused, so that a step allocates nothing and both directions cost the
//! same: going backward meets a key's versions from old to new and must pass all of them before it knows which one shows.

use crate::error::Result;
use crate::hidden::Hidden;
use crate::level::{self, LevelCursor, Reading};
use crate::merge::{EntryRef, Merge, Source};
use crate::version::{Payload, Version, payload};
use jdb_base::{Kind, SeqNo};
use std::path::Path;
use std::rc::Rc;

/// A walk over the rows with `lower <= key < upper` that a read at `seq` sees.
#[derive(Debug)]
pub struct Scan {
    version: Rc<Version>,
    merge: Option<Merge>,
    seq: SeqNo,
    hidden: Hidden,
    lower: Vec<u8>,
    upper: Vec<u8>,
    place: Place,
    row: Buffer,
}

/// Where the scan sits, and where its merge does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before the first row.
    Start,
    /// On `row`; the merge has gone forward and sits on a version of it or behind them.
    RowForward,
    /// On `row`; the merge has gone backward and sits before all its versions.
    RowBackward,
    /// After the last row.
    End,
    /// Just before all versions of `row.key`, on no row.
    Before,
    /// Just behind all versions of `row.key`, on no row.
    After,
}

#[derive(Default, Debug)]
struct Buffer {
    key: Vec<u8>,
    value: Vec<u8>,
    seq: SeqNo,
    kind: Option<Kind>,
}

/// A visible row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Engine key.
    pub key: &'a [u8],
    /// Sequence of the version that shows.
    pub seq: SeqNo,
    kind: Kind,
    value: &'a [u8],
}

impl Row<'_> {
    /// The value or where it is.
    ///
    /// # Errors
    /// A malformed pointer.
    pub fn payload(&self) -> Result<Payload> {
        payload(self.kind, self.value, Path::new("scan"), self.seq)
    }
}

impl Scan {
    /// A scan of `version` at `seq` over `lower <= key < upper`, sitting before the first row. Nothing is read yet.
    #[must_use]
    pub fn new(version: Rc<Version>, seq: SeqNo, hidden: Hidden, lower: Vec<u8>, upper: Vec<u8>) -> Self {
        Self { version, merge: None, seq, hidden, lower, upper, place: Place::Start, row: Buffer::default() }
    }

    /// The Version it reads.
    #[must_use]
    pub fn version(&self) -> &Rc<Version> {
        &self.version
    }

    /// Goes on in `version`, which must show the same rows at the scan's sequence, and lets go of the one before. The next
    /// step seeks its place there.
    pub fn repin(&mut self, version: Rc<Version>) {
        self.version = version;
        self.merge = None;
    }

    /// The row it sits on.
    #[must_use]
    pub fn row(&self) -> Option<Row<'_>> {
        let kind = self.row.kind?;
        matches!(self.place, Place::RowForward | Place::RowBackward).then_some(Row {
            key: &self.row.key,
            seq: self.row.seq,
            kind,
            value: &self.row.value,
        })
    }

    /// The sequence it reads at.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.seq
    }

    /// Sits just before `key`: the next row is the first at or after it, the previous one the last before it. Costs
    /// nothing until the next step.
    pub fn seek(&mut self, key: &[u8]) {
        if key >= self.upper.as_slice() {
            return self.seek_end();
        }
        if key <= self.lower.as_slice() {
            return self.seek_start();
        }
        self.row.key.clear();
        self.row.key.extend_from_slice(key);
        self.place = Place::Before;
    }

    /// Sits before the first row.
    pub fn seek_start(&mut self) {
        self.place = Place::Start;
    }

    /// Sits after the last row.
    pub fn seek_end(&mut self) {
        self.place = Place::End;
    }

    /// Goes to the next row. `false`: there is none, and the scan sits after the last row.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows, where the step failed, and may be stepped again; the same
    /// holds when the future is dropped.
    pub async fn next(&mut self) -> Result<bool> {
        if self.place == Place::End {
            return Ok(false);
        }
        let place = self.place;
        let merge = self.merge.take();
        match place {
            Place::RowForward | Place::RowBackward => self.place = Place::After,
            Place::Start | Place::End | Place::Before | Place::After => {}
        }
        let mut merge = match (merge, place) {
            (Some(mut merge), Place::RowForward | Place::RowBackward) => {
                merge.turn_forward().await?;
                skip_through(&mut merge, &self.row.key).await?;
                merge
            }
            (merge, _) => {
                let mut merge = self.merge_or_new(merge).await?;
                match place {
                    Place::RowForward | Place::RowBackward | Place::After => {
                        merge.seek_forward(&self.row.key, SeqNo::ZERO).await?;
                    }
                    Place::Before => merge.seek_forward(&self.row.key, SeqNo::MAX).await?,
                    Place::Start | Place::End => merge.seek_forward(&self.lower, SeqNo::MAX).await?,
                }
                merge
            }
        };
        loop {
            let Some(entry) = merge.entry().filter(|e| e.key < self.upper.as_slice()) else {
                self.place = Place::End;
                self.merge = Some(merge);
                return Ok(false);
            };
            if !self.sees(&entry) {
                merge.step().await?;
                continue;
            }
            self.row.set(&entry);
            if entry.kind == Kind::Tombstone {
                self.place = Place::After;
                skip_through(&mut merge, &self.row.key).await?;
                continue;
            }
            self.place = Place::RowForward;
            self.merge = Some(merge);
            return Ok(true);
        }
    }

    /// Goes to the previous row. `false`: there is none, and the scan sits before the first row.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows, where the step failed, and may be stepped again; the same
    /// holds when the future is dropped.
    pub async fn prev(&mut self) -> Result<bool> {
        if self.place == Place::Start {
            return Ok(false);
        }
        let place = self.place;
        let merge = self.merge.take();
        match place {
            Place::RowForward | Place::RowBackward => self.place = Place::Before,
            Place::Start | Place::End | Place::Before | Place::After => {}
        }
        let mut merge = match (merge, place) {
            (Some(mut merge), Place::RowForward | Place::RowBackward) => {
                merge.turn_backward().await?;
                skip_back_through(&mut merge, &self.row.key).await?;
                merge
            }
            (merge, _) => {
                let mut merge = self.merge_or_new(merge).await?;
                match place {
                    Place::RowForward | Place::RowBackward | Place::Before => {
                        merge.seek_backward(&self.row.key, SeqNo::MAX).await?;
                    }
                    Place::After => merge.seek_backward(&self.row.key, SeqNo::ZERO).await?,
                    Place::Start | Place::End => merge.seek_backward(&self.upper, SeqNo::MAX).await?,
                }
                merge
            }
        };
        loop {
            let Some(entry) = merge.entry().filter(|e| e.key >= self.lower.as_slice()) else {
                self.place = Place::Start;
                self.merge = Some(merge);
                return Ok(false);
            };
            // All versions of one key, from old to new: the last one that is seen shows.
            self.row.set(&entry);
            self.row.kind = None;
            self.place = Place::After;
            while let Some(entry) = merge.entry().filter(|e| e.key == self.row.key.as_slice()) {
                if self.sees(&entry) {
                    self.row.set_version(&entry);
                }
                merge.step().await?;
            }
            if self.row.kind.is_some_and(|kind| kind != Kind::Tombstone) {
                self.place = Place::RowBackward;
                self.merge = Some(merge);
                return Ok(true);
            }
        }
    }

    #[inline]
    fn sees(&self, entry: &EntryRef<'_>) -> bool {
        entry.seq <= self.seq && !self.hidden.hides(entry.seq)
    }

    /// The given merge, or a new one over every source that the range and the sequence touch.
    async fn merge_or_new(&self, merge: Option<Merge>) -> Result<Merge> {
        if let Some(merge) = merge {
            return Ok(merge);
        }
        let mut sources = Vec::new();
        for memtable in &self.version.memtables {
            sources.push(Source::Memtable(memtable.cursor()));
        }
        let Some((newest, deeper)) = self.version.levels.split_first() else {
            return Ok(Merge::new(sources));
        };
        for table in newest {
            if table.overlaps(&self.lower, Some(&self.upper)) && table.meta().seq_min <= self.seq {
                sources.push(Source::Table(table.reader().await?.cursor()));
            }
        }
        for tables in deeper {
            let tables = level::overlapping(tables, &self.lower, Some(&self.upper));
            if !tables.is_empty() {
                sources.push(Source::Level(LevelCursor::new(tables.to_vec(), Reading::Cached)));
            }
        }
        Ok(Merge::new(sources))
    }
}

impl Buffer {
    fn set(&mut self, entry: &EntryRef<'_>) {
        self.key.clear();
        self.key.extend_from_slice(entry.key);
        self.set_version(entry);
    }

    fn set_version(&mut self, entry: &EntryRef<'_>) {
        self.value.clear();
        self.value.extend_from_slice(entry.value);
        self.seq = entry.seq;
        self.kind = Some(entry.kind);
    }
}

/// Steps a forward merge behind all versions of `key`.
///
/// After a turn it may sit before them: a memtable can have got keys between the row and where the merge was.
async fn skip_through(merge: &mut Merge, key: &[u8]) -> Result<()> {
    while merge.entry().is_some_and(|entry| entry.key <= key) {
        merge.step().await?;
    }
    Ok(())
}

/// Steps a backward merge before all versions of `key`; as [`skip_through`].
async fn skip_back_through(merge: &mut Merge, key: &[u8]) -> Result<()> {
    while merge.entry().is_some_and(|entry| entry.key >= key) {
        merge.step().await?;
    }
    Ok(())
}
