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
    place: Place,
    /// In the table with this index. Kept from table to table for its buffers; none at the ends.
    cursor: Option<Cursor>,
    at: usize,
    tables: Vec<Rc<Table>>,
    reading: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    BeforeFirst,
    /// On the entry of the cursor.
    On,
    AfterLast,
    Lost,
}

impl LevelCursor {
    /// A cursor over `tables`, which are sorted and do not overlap. Nothing is opened yet.
    #[must_use]
    pub fn new(tables: Vec<Rc<Table>>, reading: Reading) -> Self {
        Self { tables, reading, place: Place::BeforeFirst, cursor: None, at: 0 }
    }

    /// The entry it sits on.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        if self.place != Place::On {
            return None;
        }
        let entry = self.cursor.as_ref()?.entry()?;
        Some(EntryRef { key: entry.key, seq: entry.seq, kind: entry.kind, value: entry.value })
    }

    /// Goes to the first entry at or after `(key, seq)`.
    ///
    /// # Errors
    /// A table that cannot be read; the same for all moves.
    pub async fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        let at = self.tables.partition_point(|table| table.meta().last_key.as_slice() < key);
        self.place = Place::Lost;
        let is_there = self.at == at && self.cursor.is_some();
        if !is_there && !self.open(at).await? {
            return Ok(());
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seek(key, seq).await?;
        }
        self.land_forward().await
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
            Place::On => {
                if let Some(cursor) = &mut self.cursor {
                    cursor.next().await?;
                }
                self.land_forward().await
            }
            Place::BeforeFirst => {
                if !self.open(0).await? {
                    return Ok(());
                }
                if let Some(cursor) = &mut self.cursor {
                    cursor.seek_first().await?;
                }
                self.land_forward().await
            }
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
            Place::On => {
                if let Some(cursor) = &mut self.cursor {
                    cursor.prev().await?;
                }
                self.land_backward(self.at).await
            }
            Place::AfterLast => self.land_backward(self.tables.len()).await,
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
        match &mut self.cursor {
            Some(cursor) if self.place == Place::On => Ok(cursor.next_in_block()?),
            _ => Ok(false),
        }
    }

    /// Goes one entry back when that needs no other block; else stays and says `false`.
    ///
    /// # Errors
    /// A damaged block.
    #[inline]
    pub fn prev_in_block(&mut self) -> Result<bool> {
        match &mut self.cursor {
            Some(cursor) if self.place == Place::On => Ok(cursor.prev_in_block()?),
            _ => Ok(false),
        }
    }

    /// Stays on the entry of the cursor, or goes to the first entry of a later table.
    async fn land_forward(&mut self) -> Result<()> {
        while self.cursor.as_ref().is_none_or(|cursor| cursor.entry().is_none()) {
            if !self.open(self.at + 1).await? {
                return Ok(());
            }
            if let Some(cursor) = &mut self.cursor {
                cursor.seek_first().await?;
            }
        }
        self.place = Place::On;
        Ok(())
    }

    /// Stays on the entry of the cursor if that is in table `at`, or goes to the last entry of an earlier table.
    async fn land_backward(&mut self, mut at: usize) -> Result<()> {
        while self.cursor.as_ref().is_none_or(|cursor| cursor.entry().is_none()) {
            let Some(before) = at.checked_sub(1) else {
                (self.place, self.cursor) = (Place::BeforeFirst, None);
                return Ok(());
            };
            at = before;
            self.open(at).await?;
            if let Some(cursor) = &mut self.cursor {
                cursor.seek_last().await?;
            }
        }
        self.place = Place::On;
        Ok(())
    }

    /// Opens the table with this index; `false`, and after the last entry, when there is none.
    async fn open(&mut self, at: usize) -> Result<bool> {
        let Some(table) = self.tables.get(at) else {
            (self.place, self.cursor) = (Place::AfterLast, None);
            return Ok(false);
        };
        let reader = match self.reading {
            Reading::Cached => table.reader().await?,
            Reading::Once => table.reader_uncached().await?,
        };
        match &mut self.cursor {
            Some(cursor) => cursor.go_over(&reader),
            None => self.cursor = Some(reader.cursor()),
        }
        self.at = at;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
