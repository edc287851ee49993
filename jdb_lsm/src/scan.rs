//! The visible rows of a key range, one per key, in either direction.
//!
//! A scan reads at one sequence on one pinned Version: it sees exactly the rows of that moment, however long it takes.
//! It sits on a row. Before the first row, [`Scan::next`] gives the first; after the last, [`Scan::prev`] gives the last.
//!
//! Going forward the first version of a key that is seen shows, and the row is lent by the merge that sits on it. Going backward
//! meets a key's versions from old to new and must pass all of them before it knows which one shows; so the row is copied into
//! buffers that are reused. A step allocates nothing.
//!
//! All that can be done in memory is done by two functions that do not suspend (`Scan::advance`, `Scan::retreat`); what they
//! find missing is fetched by the async step around them, which then calls them again.
//!
//! Invariants
//! - A place and `row.key` say alone where the scan is. The merge only saves a seek: where it got lost, in an error or in a step
//!   that was given up, the next step seeks.

mod bound;

use crate::buffer::ShortBuffer;
use crate::error::Result;
use crate::hidden::Hidden;
use crate::level::{self, LevelCursor, Reading};
use crate::merge::{EntryRef, Merge, Source};
use crate::version::{Payload, Version, payload};
use bound::Bound;
use jdb_base::{Kind, SeqNo};
use std::path::Path;
use std::rc::Rc;

/// A walk over the rows with `lower <= key < upper` that a read at `seq` sees.
#[derive(Debug)]
pub struct Scan {
    place: Place,
    merge: Option<Merge>,
    row: Buffer,
    seq: SeqNo,
    hidden: Hidden,
    lower: Bound,
    upper: Bound,
    version: Rc<Version>,
}

/// Where the scan is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// On no row, and the merge anywhere.
    Between(Edge),
    /// On no row. The merge goes forward and has passed nothing but what is behind the edge and not seen.
    Forward(Edge),
    /// On no row. The merge goes backward and has passed nothing but what is before the edge and not seen.
    Backward(Edge),
    /// On no row. The merge goes backward among the versions of `row.key`; `row` has the newest one that was seen so far. Where
    /// the merge got lost: behind all of them.
    Collecting,
    /// On the row where the merge sits, which goes forward.
    RowForward,
    /// On `row`; the merge goes backward and sits before all its versions, or there is none.
    RowBackward,
}

/// A place between rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// Before the first row.
    Start,
    /// Just before all versions of `row.key`.
    Before,
    /// Just behind all versions of `row.key`.
    After,
    /// After the last row.
    End,
}

/// What a step in memory has come to.
enum Came {
    Row,
    End,
    /// Not there: the merge must be sought or turned, or needs another block.
    Short,
}

impl Came {
    /// Whether there is a row, if that is known.
    fn ready(self) -> Option<bool> {
        match self {
            Self::Row => Some(true),
            Self::End => Some(false),
            Self::Short => None,
        }
    }
}

#[derive(Default, Debug)]
struct Buffer {
    key: ShortBuffer,
    value: ShortBuffer,
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

    /// Length of the value in bytes, wherever it is.
    ///
    /// # Errors
    /// A malformed pointer.
    pub fn value_len(&self) -> Result<u64> {
        Ok(match self.kind {
            Kind::Pointer => match self.payload()? {
                Payload::Pointer(ptr) => u64::from(ptr.len),
                Payload::Inline(_) | Payload::Tombstone => 0,
            },
            Kind::Inline | Kind::Tombstone => self.value.len() as u64,
        })
    }
}

impl Scan {
    /// A scan of `version` at `seq` over `lower <= key < upper`, sitting before the first row. Nothing is read yet.
    #[must_use]
    pub fn new(version: Rc<Version>, seq: SeqNo, hidden: Hidden, lower: Vec<u8>, upper: Vec<u8>) -> Self {
        let place = Place::Between(Edge::Start);
        let (lower, upper) = (Bound::new(lower), Bound::new(upper));
        Self { version, merge: None, seq, hidden, lower, upper, place, row: Buffer::default() }
    }

    /// The Version it reads.
    #[must_use]
    pub fn version(&self) -> &Rc<Version> {
        &self.version
    }

    /// Goes on in `version`, which must show the same rows at the scan's sequence, and lets go of the one before. The next
    /// step seeks its place there.
    pub fn repin(&mut self, version: Rc<Version>) {
        if self.place == Place::RowForward {
            // The row was lent by the merge: it moves into the buffer, where it lies when the scan goes backward.
            self.row.kind = None;
            if let Some(entry) = self.merge.as_ref().and_then(Merge::entry) {
                self.row.set_key(entry.key);
                self.row.set_version(&entry);
            }
            self.place = Place::RowBackward;
        }
        self.version = version;
        self.merge = None;
    }

    /// The row it sits on.
    #[inline]
    #[must_use]
    pub fn row(&self) -> Option<Row<'_>> {
        match self.place {
            Place::RowForward => {
                let entry = self.merge.as_ref()?.entry()?;
                Some(Row { key: entry.key, seq: entry.seq, kind: entry.kind, value: entry.value })
            }
            Place::RowBackward => {
                let Buffer { key, value, seq, kind } = &self.row;
                Some(Row { key: key.as_slice(), seq: *seq, kind: (*kind)?, value: value.as_slice() })
            }
            _ => None,
        }
    }

    /// The sequence it reads at.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.seq
    }

    /// Sits just before `key`: the next row is the first at or after it, the previous one the last before it. Costs
    /// nothing until the next step.
    pub fn seek(&mut self, key: &[u8]) {
        if self.upper.reached_by(key) {
            return self.seek_end();
        }
        if key <= self.lower.key() {
            return self.seek_start();
        }
        self.row.set_key(key);
        self.place = Place::Between(Edge::Before);
    }

    /// Sits before the first row.
    pub fn seek_start(&mut self) {
        self.place = Place::Between(Edge::Start);
    }

    /// Sits after the last row.
    pub fn seek_end(&mut self) {
        self.place = Place::Between(Edge::End);
    }

    /// Goes to the next row. `false`: there is none, and the scan sits after the last row.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows, where the step failed, and may be stepped again; the same
    /// holds when the future is dropped.
    pub async fn next(&mut self) -> Result<bool> {
        loop {
            match self.advance()? {
                Came::Row => return Ok(true),
                Came::End => return Ok(false),
                Came::Short => self.wait_forward().await?,
            }
        }
    }

    /// Goes to the previous row. `false`: there is none, and the scan sits before the first row.
    ///
    /// # Errors
    /// What cannot be read. The scan then sits between rows, where the step failed, and may be stepped again; the same
    /// holds when the future is dropped.
    pub async fn prev(&mut self) -> Result<bool> {
        loop {
            match self.retreat()? {
                Came::Row => return Ok(true),
                Came::End => return Ok(false),
                Came::Short => self.wait_backward().await?,
            }
        }
    }

    /// [`Scan::next`] without suspending; `None` where it would have to wait, which it then has to be called for.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn next_ready(&mut self) -> Result<Option<bool>> {
        self.advance().map(Came::ready)
    }

    /// [`Scan::prev`] without suspending; `None` where it would have to wait, which it then has to be called for.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn prev_ready(&mut self) -> Result<Option<bool>> {
        self.retreat().map(Came::ready)
    }

    /// Goes towards the next row as far as it can in memory.
    fn advance(&mut self) -> Result<Came> {
        let mut edge = match (self.place, &self.merge) {
            (Place::Between(Edge::End), _) => return Ok(Came::End),
            (Place::RowForward, Some(merge)) => {
                if let Some(entry) = merge.entry() {
                    self.row.set_key(entry.key);
                }
                Edge::After
            }
            (Place::Forward(edge), Some(_)) => edge,
            _ => return Ok(Came::Short),
        };
        self.place = Place::Forward(edge);
        while let Some(entry) = self.merge.as_ref().and_then(Merge::entry) {
            if edge != Edge::After || entry.key > self.row.key.as_slice() {
                if self.upper.reached_by(entry.key) {
                    break;
                }
                if self.sees(&entry) {
                    if entry.kind != Kind::Tombstone {
                        self.place = Place::RowForward;
                        return Ok(Came::Row);
                    }
                    self.row.set_key(entry.key);
                    edge = Edge::After;
                    self.place = Place::Forward(edge);
                }
            }
            if !self.step_in_block()? {
                return Ok(Came::Short);
            }
        }
        self.place = Place::Between(Edge::End);
        Ok(Came::End)
    }

    /// Goes towards the previous row as far as it can in memory.
    fn retreat(&mut self) -> Result<Came> {
        if self.place == Place::Between(Edge::Start) {
            return Ok(Came::End);
        }
        if self.merge.is_none() {
            return Ok(Came::Short);
        }
        loop {
            match self.place {
                Place::RowBackward | Place::Backward(_) => {
                    let passed = self.place == Place::Backward(Edge::Before);
                    let entry = self.merge.as_ref().and_then(Merge::entry);
                    let Some(entry) = entry.filter(|entry| self.lower.reached_by(entry.key)) else {
                        self.place = Place::Between(Edge::Start);
                        return Ok(Came::End);
                    };
                    if passed && entry.key >= self.row.key.as_slice() {
                        if !self.step_in_block()? {
                            return Ok(Came::Short);
                        }
                        continue;
                    }
                    // All versions of one key, from old to new: the last one that is seen shows.
                    self.row.set_key(entry.key);
                    self.row.kind = None;
                    if self.sees(&entry) {
                        self.row.set_version(&entry);
                    }
                    self.place = Place::Collecting;
                    if !self.step_in_block()? {
                        return Ok(Came::Short);
                    }
                }
                Place::Collecting => {
                    while let Some(entry) = self.merge.as_ref().and_then(Merge::entry)
                        && same(entry.key, self.row.key.as_slice())
                    {
                        if self.sees(&entry) {
                            self.row.set_version(&entry);
                        }
                        if !self.step_in_block()? {
                            return Ok(Came::Short);
                        }
                    }
                    if self.row.kind.is_some_and(|kind| kind != Kind::Tombstone) {
                        self.place = Place::RowBackward;
                        return Ok(Came::Row);
                    }
                    self.place = Place::Backward(Edge::Before);
                }
                Place::Between(_) | Place::Forward(_) | Place::RowForward => return Ok(Came::Short),
            }
        }
    }

    #[inline]
    fn step_in_block(&mut self) -> Result<bool> {
        let Some(merge) = &mut self.merge else { return Ok(false) };
        let result = merge.step_in_block();
        if result.is_err() {
            self.merge = None;
        }
        result
    }

    /// Does what [`Scan::advance`] waits for. Without its merge the place is right for a seek, whenever this is given up.
    async fn wait_forward(&mut self) -> Result<()> {
        let merge = match (self.merge.take(), self.place) {
            (Some(mut merge), Place::Forward(_)) => {
                merge.step().await?;
                merge
            }
            (Some(mut merge), Place::RowBackward) => {
                self.place = Place::Forward(Edge::After);
                merge.turn_forward().await?;
                merge
            }
            (merge, place) => {
                let edge = match place {
                    Place::Between(edge) | Place::Forward(edge) | Place::Backward(edge) => edge,
                    Place::Collecting | Place::RowForward | Place::RowBackward => Edge::After,
                };
                self.place = Place::Forward(edge);
                let mut merge = self.merge_or_new(merge).await?;
                let (key, seq) = self.target(edge);
                merge.seek_forward(key, seq).await?;
                merge
            }
        };
        self.merge = Some(merge);
        Ok(())
    }

    /// Does what [`Scan::retreat`] waits for; as [`Scan::wait_forward`].
    async fn wait_backward(&mut self) -> Result<()> {
        let merge = match (self.merge.take(), self.place) {
            (Some(mut merge), Place::Backward(_) | Place::Collecting) => {
                merge.step().await?;
                merge
            }
            (Some(mut merge), Place::RowForward) => {
                if let Some(entry) = merge.entry() {
                    self.row.set_key(entry.key);
                }
                self.place = Place::Backward(Edge::Before);
                merge.turn_backward().await?;
                merge
            }
            (merge, place) => {
                let edge = match place {
                    Place::Between(edge) | Place::Forward(edge) | Place::Backward(edge) => edge,
                    Place::Collecting => Edge::After,
                    Place::RowForward | Place::RowBackward => Edge::Before,
                };
                let edge = self.without_after(edge);
                self.place = Place::Backward(edge);
                let mut merge = self.merge_or_new(merge).await?;
                let (key, seq) = self.target(edge);
                merge.seek_backward(key, seq).await?;
                merge
            }
        };
        self.merge = Some(merge);
        Ok(())
    }

    /// The same place as an edge that is not `After`: behind all versions of a key is before all of the next key there can be.
    fn without_after(&mut self, edge: Edge) -> Edge {
        if edge != Edge::After {
            return edge;
        }
        self.row.key.push(0);
        Edge::Before
    }

    /// Where in entry order to seek an edge.
    fn target(&self, edge: Edge) -> (&[u8], SeqNo) {
        match edge {
            Edge::Start => (self.lower.key(), SeqNo::MAX),
            Edge::Before => (self.row.key.as_slice(), SeqNo::MAX),
            // A version 0 lies behind; going forward passes it, being of this key.
            Edge::After => (self.row.key.as_slice(), SeqNo::ZERO),
            Edge::End => (self.upper.key(), SeqNo::MAX),
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
        let (lower, upper) = (self.lower.key(), self.upper.key());
        let mut sources = Vec::new();
        for memtable in &self.version.memtables {
            sources.push(Source::Memtable(memtable.cursor()));
        }
        let Some((newest, deeper)) = self.version.levels.split_first() else {
            return Ok(Merge::new(sources));
        };
        for table in newest {
            if table.overlaps(lower, Some(upper)) && table.meta().seq_min <= self.seq {
                sources.push(Source::Table(table.reader().await?.cursor()));
            }
        }
        for tables in deeper {
            let tables = level::overlapping(tables, lower, Some(upper));
            if !tables.is_empty() {
                sources.push(Source::Level(LevelCursor::new(tables.to_vec(), Reading::Cached)));
            }
        }
        Ok(Merge::new(sources))
    }
}

/// Whether two keys are one: neighbours mostly differ in their last bytes.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.last_chunk::<8>() == b.last_chunk::<8>() && a == b
}

impl Buffer {
    #[inline]
    fn set_key(&mut self, key: &[u8]) {
        self.key.set(key);
    }

    #[inline]
    fn set_version(&mut self, entry: &EntryRef<'_>) {
        self.value.set(entry.value);
        self.seq = entry.seq;
        self.kind = Some(entry.kind);
    }
}

#[cfg(test)]
mod tests;
