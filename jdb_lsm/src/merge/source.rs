//! A sorted source of a merge: a memtable, a table, a level.

use super::{Direction, EntryRef};
use crate::error::Result;
use crate::level::LevelCursor;
use jdb_base::SeqNo;

/// A sorted source.
#[derive(Debug)]
pub enum Source {
    /// A memtable.
    Memtable(jdb_mem::Cursor),
    /// A table.
    Table(jdb_sst::Cursor),
    /// The sorted tables of a level.
    Level(LevelCursor),
}

impl Source {
    pub(super) async fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self {
            Self::Memtable(cursor) => cursor.seek(key, seq),
            Self::Table(cursor) => cursor.seek(key, seq).await?,
            Self::Level(cursor) => cursor.seek(key, seq).await?,
        }
        Ok(())
    }

    pub(super) async fn step(&mut self, direction: Direction) -> Result<()> {
        match (self, direction) {
            (Self::Memtable(cursor), Direction::Forward) => cursor.next(),
            (Self::Memtable(cursor), Direction::Backward) => cursor.prev(),
            (Self::Table(cursor), Direction::Forward) => cursor.next().await?,
            (Self::Table(cursor), Direction::Backward) => cursor.prev().await?,
            (Self::Level(cursor), Direction::Forward) => cursor.next().await?,
            (Self::Level(cursor), Direction::Backward) => cursor.prev().await?,
        }
        Ok(())
    }

    #[inline]
    pub(super) fn step_in_block(&mut self, direction: Direction) -> Result<bool> {
        match (self, direction) {
            (Self::Memtable(cursor), Direction::Forward) => cursor.next(),
            (Self::Memtable(cursor), Direction::Backward) => cursor.prev(),
            (Self::Table(cursor), Direction::Forward) => return Ok(cursor.next_in_block()?),
            (Self::Table(cursor), Direction::Backward) => return Ok(cursor.prev_in_block()?),
            (Self::Level(cursor), Direction::Forward) => return cursor.next_in_block(),
            (Self::Level(cursor), Direction::Backward) => return cursor.prev_in_block(),
        }
        Ok(true)
    }

    #[inline(always)]
    pub(super) fn entry(&self) -> Option<EntryRef<'_>> {
        match self {
            Self::Memtable(cursor) => {
                cursor.entry().map(|e| EntryRef { key: e.key, seq: e.seq, kind: e.kind, value: e.value })
            }
            Self::Table(cursor) => {
                cursor.entry().map(|e| EntryRef { key: e.key, seq: e.seq, kind: e.kind, value: e.value })
            }
            Self::Level(cursor) => cursor.entry(),
        }
    }
}
