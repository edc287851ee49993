//! The sorted tables of one deeper level as one cursor.
//!
//! Tables of a level below 0 do not overlap, and all versions of a key lie in one of them. So the level is one sorted
//! list cut into files: finding a key is a binary search over key ranges in memory, and a walk needs only the table it
//! stands on. Tables are opened when the walk comes to them and let go when it leaves.

use crate::error::{Error, Result};
use crate::merge::EntryRef;
use crate::table::Table;
use jdb_base::SeqNo;
use jdb_sst::Cursor;
use std::rc::Rc;

/// The table of a sorted level that covers `key`. Cost: log2(n) comparisons, no I/O.
#[must_use]
pub fn find<'a>(tables: &'a [Rc<Table>], key: &[u8]) -> Option<&'a Rc<Table>> {
    let at = tables.partition_point(|table| table.meta().last_key.as_slice() < key);
    tables.get(at).filter(|table| table.meta().first_key.as_slice() <= key)
}

/// The tables of a sorted level that hold any key with `lower <= key < upper`. Cost: as [`find`].
#[must_use]
pub fn overlapping<'a>(tables: &'a [Rc<Table>], lower: &[u8], upper: Option<&[u8]>) -> &'a [Rc<Table>] {
    let start = tables.partition_point(|table| table.meta().last_key.as_slice() < lower);
    let end = upper.map_or(tables.len(), |upper| {
        tables.partition_point(|table| table.meta().first_key.as_slice() < upper)
    });
    tables.get(start..end).unwrap_or_default()
}

/// Which reader a walk uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// The table's own, through the block cache: rows that may be read again.
    Cached,
    /// One of the walk's own, past the cache: everything once.
    Once,
}

/// A place in a level: before the first entry, on an entry, or after the last.
///
/// A new cursor is before the first entry; from there `next` gives the first entry, and `prev` from after the last gives
/// the last. After an error, or a dropped step, it has no place until the next seek: [`LevelCursor::entry`] is `None` and
/// a step gives [`Error::Lost`], so that an error is never mistaken for the end.
#[derive(Debug)]
pub struct LevelCursor {
    tables: Vec<Rc<Table>>,
    reading: Reading,
    place: Place,
}

#[derive(Debug)]
enum Place {
    BeforeFirst,
    /// On an entry of the table with this index.
    On(usize, Cursor),
    AfterLast,
    Lost,
}

impl LevelCursor {
    /// A cursor over `tables`, which are sorted and do not overlap. Nothing is opened yet.
    #[must_use]
    pub fn new(tables: Vec<Rc<Table>>, reading: Reading) -> Self {
        Self { tables, reading, place: Place::BeforeFirst }
    }

    /// The entry it sits on.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        match &self.place {
            Place::On(_, cursor) => {
                cursor.entry().map(|e| EntryRef { key: e.key, seq: e.seq, kind: e.kind, value: e.value })
            }
            Place::BeforeFirst | Place::AfterLast | Place::Lost => None,
        }
    }

    /// Goes to the first entry at or after `(key, seq)`.
    ///
    /// # Errors
    /// A table that cannot be read; the same for all moves.
    pub async fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        let at = self.tables.partition_point(|table| table.meta().last_key.as_slice() < key);
        let standing = match std::mem::replace(&mut self.place, Place::Lost) {
            Place::On(index, cursor) if index == at => Some(cursor),
            _ => None,
        };
        let mut cursor = match standing {
            Some(cursor) => cursor,
            None => {
                let Some(cursor) = self.open(at).await? else {
                    self.place = Place::AfterLast;
                    return Ok(());
                };
                cursor
            }
        };
        cursor.seek(key, seq).await?;
        self.forward_from(at, cursor).await
    }

    /// Goes one entry forward.
    ///
    /// # Errors
    /// As [`LevelCursor::seek`]; [`Error::Lost`] after an error.
    pub async fn next(&mut self) -> Result<()> {
        if self.next_in_block()? {
            return Ok(());
        }
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::On(at, mut cursor) => {
                cursor.next().await?;
                self.forward_from(at, cursor).await
            }
            Place::BeforeFirst => match self.open(0).await? {
                Some(mut cursor) => {
                    cursor.seek_first().await?;
                    self.forward_from(0, cursor).await
                }
                None => {
                    self.place = Place::AfterLast;
                    Ok(())
                }
            },
            Place::AfterLast => {
                self.place = Place::AfterLast;
                Ok(())
            }
            Place::Lost => Err(Error::Lost),
        }
    }

    /// Goes one entry back.
    ///
    /// # Errors
    /// As [`LevelCursor::next`].
    pub async fn prev(&mut self) -> Result<()> {
        if self.prev_in_block()? {
            return Ok(());
        }
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::On(at, mut cursor) => {
                cursor.prev().await?;
                self.backward_from(at, Some(cursor)).await
            }
            Place::AfterLast => self.backward_from(self.tables.len(), None).await,
            Place::BeforeFirst => {
                self.place = Place::BeforeFirst;
                Ok(())
            }
            Place::Lost => Err(Error::Lost),
        }
    }

    /// Goes one entry forward when that needs no other block; else stays and says `false`.
    ///
    /// # Errors
    /// A damaged block.
    #[inline]
    pub fn next_in_block(&mut self) -> Result<bool> {
        match &mut self.place {
            Place::On(_, cursor) => Ok(cursor.next_in_block()?),
            Place::BeforeFirst | Place::AfterLast | Place::Lost => Ok(false),
        }
    }

    /// Goes one entry back when that needs no other block; else stays and says `false`.
    ///
    /// # Errors
    /// A damaged block.
    #[inline]
    pub fn prev_in_block(&mut self) -> Result<bool> {
        match &mut self.place {
            Place::On(_, cursor) => Ok(cursor.prev_in_block()?),
            Place::BeforeFirst | Place::AfterLast | Place::Lost => Ok(false),
        }
    }

    /// Stays on the entry of `cursor`, which is in table `at`, or goes to the first entry of a later table.
    async fn forward_from(&mut self, mut at: usize, mut cursor: Cursor) -> Result<()> {
        while cursor.entry().is_none() {
            at += 1;
            let Some(next) = self.open(at).await? else {
                self.place = Place::AfterLast;
                return Ok(());
            };
            cursor = next;
            cursor.seek_first().await?;
        }
        self.place = Place::On(at, cursor);
        Ok(())
    }

    /// Stays on the entry of `cursor`, which is in table `at`, or goes to the last entry of an earlier table.
    async fn backward_from(&mut self, mut at: usize, mut cursor: Option<Cursor>) -> Result<()> {
        loop {
            if let Some(cursor) = cursor.take_if(|cursor| cursor.entry().is_some()) {
                self.place = Place::On(at, cursor);
                return Ok(());
            }
            let Some(before) = at.checked_sub(1) else {
                self.place = Place::BeforeFirst;
                return Ok(());
            };
            at = before;
            cursor = self.open(at).await?;
            if let Some(cursor) = &mut cursor {
                cursor.seek_last().await?;
            }
        }
    }

    /// A cursor over the table with this index; `None` behind the last.
    async fn open(&self, at: usize) -> Result<Option<Cursor>> {
        let Some(table) = self.tables.get(at) else { return Ok(None) };
        let reader = match self.reading {
            Reading::Cached => table.reader().await?,
            Reading::Once => table.reader_uncached().await?,
        };
        Ok(Some(reader.cursor()))
    }
}

#[cfg(test)]
mod tests;
