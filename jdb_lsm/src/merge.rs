//! Many sorted sources as one, in either direction.
//!
//! Sources stay in an order vector sorted by their present entry; after a step only the stepped source moves in it, which
//! costs one comparison while the same source keeps winning. Keys are borrowed from the sources: a step copies nothing
//! and allocates nothing.
//!
//! A seek chooses the direction; a change of direction is a seek at the present entry. A source that fails fails the
//! merge: the error is returned and the merge must be sought anew. There is never a shorter answer instead.

use crate::error::Result;
use jdb_base::{Kind, SeqNo, key::entry_order};
use std::cmp::Ordering;

/// An entry, borrowed from the source that sits on it.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    /// Engine key.
    pub key: &'a [u8],
    /// Sequence.
    pub seq: SeqNo,
    /// Kind.
    pub kind: Kind,
    /// Value bytes, by kind.
    pub value: &'a [u8],
}

/// A sorted source.
#[derive(Debug)]
pub enum Source {
    /// A memtable.
    Memtable(jdb_mem::Cursor),
    /// A table.
    Table(jdb_sst::Cursor),
}

/// The direction of the last seek.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

/// The merge of its sources.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    /// Sources that sit on an entry, the next one to give first.
    order: Vec<usize>,
    direction: Direction,
}

impl Merge {
    /// A merge that sits nowhere until it is sought.
    #[must_use]
    pub fn new(sources: Vec<Source>) -> Self {
        Self { order: Vec::with_capacity(sources.len()), sources, direction: Direction::Forward }
    }

    /// Sits on the first entry at or after `(key, seq)` and goes forward from there.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub async fn seek_forward(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.order.clear();
        self.direction = Direction::Forward;
        for source in &mut self.sources {
            source.seek(key, seq).await?;
        }
        self.sort();
        Ok(())
    }

    /// Sits on the last entry before `(key, seq)` and goes backward from there.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub async fn seek_backward(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.order.clear();
        self.direction = Direction::Backward;
        for source in &mut self.sources {
            source.seek(key, seq).await?;
            source.prev().await?;
        }
        self.sort();
        Ok(())
    }

    /// Moves on in the direction of the last seek.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub async fn step(&mut self) -> Result<()> {
        let Some(&first) = self.order.first() else { return Ok(()) };
        let Some(source) = self.sources.get_mut(first) else { return Ok(()) };
        let stepped = match self.direction {
            Direction::Forward => source.next().await,
            Direction::Backward => source.prev().await,
        };
        if let Err(error) = stepped {
            self.order.clear();
            return Err(error);
        }
        if source.entry().is_none() {
            self.order.remove(0);
            return Ok(());
        }
        let mut place = 0;
        while let (Some(&a), Some(&b)) = (self.order.get(place), self.order.get(place + 1)) {
            if self.compare(a, b) != Ordering::Greater {
                break;
            }
            self.order.swap(place, place + 1);
            place += 1;
        }
        Ok(())
    }

    /// The entry it sits on; `None` past the last entry in its direction.
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.sources.get(*self.order.first()?)?.entry()
    }

    fn sort(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.extend(
            (0..self.sources.len()).filter(|&i| self.sources.get(i).is_some_and(|s| s.entry().is_some())),
        );
        order.sort_by(|&a, &b| self.compare(a, b));
        self.order = order;
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let entry = |i: usize| self.sources.get(i).and_then(Source::entry);
        let (Some(a), Some(b)) = (entry(a), entry(b)) else { return Ordering::Equal };
        let order = entry_order((a.key, a.seq), (b.key, b.seq));
        match self.direction {
            Direction::Forward => order,
            Direction::Backward => order.reverse(),
        }
    }
}

impl Source {
    async fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self {
            Self::Memtable(cursor) => cursor.seek(key, seq),
            Self::Table(cursor) => cursor.seek(key, seq).await?,
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Table(cursor) => cursor.next().await?,
        }
        Ok(())
    }

    async fn prev(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => cursor.prev(),
            Self::Table(cursor) => cursor.prev().await?,
        }
        Ok(())
    }

    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        match self {
            Self::Memtable(cursor) => {
                cursor.entry().map(|e| EntryRef { key: e.key, seq: e.seq, kind: e.kind, value: e.value })
            }
            Self::Table(cursor) => {
                cursor.entry().map(|e| EntryRef { key: e.key, seq: e.seq, kind: e.kind, value: e.value })
            }
        }
    }
}
