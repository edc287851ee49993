//! Finds a way through the levels of a table without doing I/O: it says which block it needs next.
//!
//! Whoever drives it loads that block and hands it over with [`Walk::supply`], until no block is wanted. The async
//! [`Cursor`](crate::Cursor) drives it over a file; tests and fuzzers drive it over bytes.
//!
//! Invariants
//! - Level 0 is the top index, the level behind the last index level the data. Each level keeps the block it was in; a block
//!   still wanted is not asked for again.
//! - The place is `Lost` from the first step of a move to its end: a move that fails or is given up leaves no half place.

use crate::block_cursor::BlockCursor;
use crate::entry::EntryRef;
use crate::error::Damage;
use crate::footer::Footer;
use crate::handle::{Handle, Span};
use bytes::Bytes;
use jdb_base::{Kind, SeqNo};
use std::cmp::Ordering;

/// A block that a walk needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// Level of the block: 0 for the top index.
    pub level: usize,
    /// Where the block lies.
    pub handle: Handle,
    /// Length of the filter block that lies directly before it, trailer included; 0 for none. A walk needs no filter.
    pub filter_len: u32,
}

impl Want {
    /// The place of the filter block before it; `None` when there is none.
    #[must_use]
    pub fn filter(self) -> Option<Handle> {
        let offset = self.handle.offset.checked_sub(u64::from(self.filter_len))?;
        (self.filter_len > 0).then_some(Handle { offset, len: self.filter_len })
    }
}

/// Where a walk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Before,
    On,
    After,
    Lost,
}

/// Where to land in the blocks below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    First,
    Last,
    Target,
}

/// A place in a table and the blocks that lead there.
#[derive(Debug)]
pub struct Walk {
    place: Place,
    /// The data level, beside the others because every step uses it.
    data: Level,
    /// The levels of the index; none in a table without entries.
    index: Vec<Level>,
    top: Handle,
    /// Blocks lie below this offset.
    limit: u64,
    aim: Aim,
    /// Level of the block that was asked for last, or found damaged.
    at_level: usize,
    target: Vec<u8>,
    target_seq: SeqNo,
}

#[derive(Default, Debug)]
struct Level {
    cursor: BlockCursor,
    /// Offset of the block the cursor is in; `None` before the first and after an error.
    offset: Option<u64>,
}

impl Walk {
    /// A walk before the first entry of the table with this footer, which lies at `limit` of the file.
    #[must_use]
    pub fn new(footer: &Footer, limit: u64) -> Self {
        Self {
            place: Place::Before,
            data: Level::default(),
            index: (0..footer.height).map(|_| Level::default()).collect(),
            top: footer.top,
            limit,
            aim: Aim::First,
            at_level: 0,
            target: Vec::new(),
            target_seq: SeqNo::ZERO,
        }
    }

    /// Goes over to the table with this footer, which lies at `limit` of its file, before the first entry; the buffers are kept.
    pub fn start_over(&mut self, footer: &Footer, limit: u64) {
        (self.place, self.top, self.limit) = (Place::Before, footer.top, limit);
        self.index.resize_with(usize::from(footer.height), Level::default);
        for level in self.index.iter_mut().chain([&mut self.data]) {
            level.offset = None;
        }
    }

    /// The entry the walk is at; `None` before the first, after the last, while a block is wanted, and after an error.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        if self.place == Place::On { self.data.cursor.entry() } else { None }
    }

    /// The value of that entry, sharing its block's memory.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        if self.place == Place::On { self.data.cursor.value() } else { None }
    }

    /// An earlier move failed or was given up.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.place == Place::Lost
    }

    /// Goes to the first entry at or after `(key, seq)`.
    ///
    /// # Errors
    /// [`Damage`] with its offset in the file; the same for all moves.
    pub fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<Option<Want>, Damage> {
        self.target.clear();
        self.target.extend_from_slice(key);
        self.target_seq = seq;
        self.enter(Aim::Target)
    }

    /// Whether the data block that was wanted last is the one to look for `(key, seq)` in too, which is not before what was sought.
    pub(crate) fn leads_to_same(&self, key: &[u8], seq: SeqNo) -> bool {
        let order = self.index.last().and_then(|at| at.cursor.order_to(key, seq));
        order.is_some_and(Ordering::is_ge)
    }

    /// Goes to the first entry.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    pub fn seek_first(&mut self) -> Result<Option<Want>, Damage> {
        self.enter(Aim::First)
    }

    /// Goes to the last entry.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    pub fn seek_last(&mut self) -> Result<Option<Want>, Damage> {
        self.enter(Aim::Last)
    }

    /// Goes one entry forward; from before the first to the first. After the last, and when lost, it stays.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    #[expect(clippy::should_implement_trait, reason = "lends its entries, and goes both ways")]
    pub fn next(&mut self) -> Result<Option<Want>, Damage> {
        match self.place {
            Place::Before => self.enter(Aim::First),
            Place::On => {
                if self.next_in_block()? {
                    return Ok(None);
                }
                self.leave(Aim::First)
            }
            Place::After | Place::Lost => Ok(None),
        }
    }

    /// Goes one entry back; from after the last to the last. Before the first, and when lost, it stays.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    pub fn prev(&mut self) -> Result<Option<Want>, Damage> {
        match self.place {
            Place::After => self.enter(Aim::Last),
            Place::On => {
                if self.prev_in_block()? {
                    return Ok(None);
                }
                self.leave(Aim::Last)
            }
            Place::Before | Place::Lost => Ok(None),
        }
    }

    /// Goes one entry forward when that entry is in the same block; else stays and says `false`.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    #[inline]
    pub fn next_in_block(&mut self) -> Result<bool, Damage> {
        if self.place != Place::On || self.data.cursor.is_last() {
            return Ok(false);
        }
        let result = self.data.cursor.next();
        result.map_err(|damage| self.lose(damage))
    }

    /// Goes one entry back when that entry is in the same block; else stays and says `false`.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    #[inline]
    pub fn prev_in_block(&mut self) -> Result<bool, Damage> {
        if self.place != Place::On || self.data.cursor.is_first() {
            return Ok(false);
        }
        let result = self.data.cursor.prev();
        result.map_err(|damage| self.lose(damage))
    }

    /// Hands over the block that was wanted, verified and without trailer; gives the next one wanted.
    ///
    /// # Errors
    /// As [`Walk::seek`].
    pub fn supply(&mut self, want: Want, bytes: Bytes) -> Result<Option<Want>, Damage> {
        let Some(level) = self.level(want.level) else { return Ok(None) };
        level.offset = None;
        level.cursor.reset(bytes).map_err(|damage| damage.after(want.handle.offset))?;
        level.offset = Some(want.handle.offset);
        self.descend(want.level)
    }

    fn enter(&mut self, aim: Aim) -> Result<Option<Want>, Damage> {
        (self.place, self.aim) = (Place::Lost, aim);
        match self.index.first() {
            // A table without entries: both ends are one place.
            None => {
                self.place = if aim == Aim::Last { Place::Before } else { Place::After };
                Ok(None)
            }
            Some(level) if level.offset.is_some() => self.descend(0),
            Some(_) => {
                self.at_level = 0;
                Ok(Some(Want { level: 0, handle: self.top, filter_len: 0 }))
            }
        }
    }

    /// After an error: goes to the first entry behind the block that could not be had; behind a damaged index block too, and to
    /// the end when that was the top one.
    ///
    /// # Errors
    /// As [`Walk::seek`]; the next one may be damaged too.
    pub fn skip(&mut self) -> Result<Option<Want>, Damage> {
        if self.place != Place::Lost {
            return Ok(None);
        }
        self.aim = Aim::First;
        // Levels at and below it hold nothing that leads on.
        for level in self.at_level..=self.index.len() {
            if let Some(level) = self.level(level) {
                level.offset = None;
            }
        }
        self.climb(self.at_level)
    }

    /// Goes from the end of the data block to its neighbour.
    fn leave(&mut self, aim: Aim) -> Result<Option<Want>, Damage> {
        (self.place, self.aim) = (Place::Lost, aim);
        self.climb(self.index.len())
    }

    /// Lands in the block of `level` and goes down from there.
    fn descend(&mut self, mut level: usize) -> Result<Option<Want>, Damage> {
        let data_level = self.index.len();
        loop {
            let at = if level == data_level { Some(&mut self.data) } else { self.index.get_mut(level) };
            let Some(at) = at else { return Ok(None) };
            let landed = match self.aim {
                Aim::First => at.cursor.seek_first(),
                Aim::Last => at.cursor.seek_last(),
                Aim::Target => at.cursor.seek(&self.target, self.target_seq),
            };
            if !landed.map_err(|damage| self.lose_at(level, damage))? {
                // Beyond the last entry of this block, and at or before the separator that led here.
                self.aim = Aim::First;
                return self.climb(level);
            }
            if level == data_level {
                self.place = Place::On;
                return Ok(None);
            }
            let want = self.child(level)?;
            level += 1;
            if self.level(level).is_none_or(|below| below.offset != Some(want.handle.offset)) {
                self.at_level = level;
                return Ok(Some(want));
            }
        }
    }

    /// Steps on in the nearest level above `level` that has a next block, and goes down from there.
    fn climb(&mut self, mut level: usize) -> Result<Option<Want>, Damage> {
        let back = self.aim == Aim::Last;
        while let Some(above) = level.checked_sub(1) {
            level = above;
            let Some(at) = self.index.get_mut(level) else { break };
            let moved = if back { at.cursor.prev() } else { at.cursor.next() };
            if moved.map_err(|damage| self.lose_at(level, damage))? {
                let want = self.child(level)?;
                if self.level(level + 1).is_some_and(|below| below.offset == Some(want.handle.offset)) {
                    return self.descend(level + 1);
                }
                self.at_level = level + 1;
                return Ok(Some(want));
            }
        }
        self.place = if back { Place::Before } else { Place::After };
        Ok(None)
    }

    /// A level by its number.
    fn level(&mut self, number: usize) -> Option<&mut Level> {
        if number == self.index.len() { Some(&mut self.data) } else { self.index.get_mut(number) }
    }

    /// The block that the entry of an index level leads to.
    fn child(&mut self, level: usize) -> Result<Want, Damage> {
        let (limit, to_data) = (self.limit, level + 1 == self.index.len());
        let cursor = self.index.get(level).map(|at| &at.cursor);
        let Some((cursor, entry)) = cursor.and_then(|cursor| Some((cursor, cursor.entry()?))) else {
            return Ok(Want { level: level + 1, handle: Handle::default(), filter_len: 0 });
        };
        let want = child_want(entry.kind, entry.value, level + 1, to_data, limit);
        let value_at = cursor.value_at() as u64;
        want.map_err(|damage| self.lose_at(level, damage.after(value_at)))
    }

    #[cold]
    fn lose(&mut self, damage: Damage) -> Damage {
        self.lose_at(self.index.len(), damage)
    }

    /// Gives up the place; says where in the file the damage is, which was found in the block of `level`.
    #[cold]
    fn lose_at(&mut self, level: usize, damage: Damage) -> Damage {
        (self.place, self.at_level) = (Place::Lost, level);
        let offset = self.level(level).and_then(|at| at.offset.take());
        damage.after(offset.unwrap_or_default())
    }
}

/// Reads the value of an index entry, which leads to a block of `level`. Other kinds than `Inline` are kept for other ways
/// to lead to a block.
pub(crate) fn child_want(
    kind: Kind,
    value: &[u8],
    level: usize,
    to_data: bool,
    limit: u64,
) -> Result<Want, Damage> {
    if kind != Kind::Inline {
        return Err(Damage::unsupported("kind of an index entry", 0, u64::from(kind.to_u8())));
    }
    if to_data {
        return Ok(Want { level, handle: Handle::decode(value, limit)?, filter_len: 0 });
    }
    let span = Span::decode(value, limit)?;
    Ok(Want { level, handle: span.index(), filter_len: span.filter_len })
}

#[cfg(test)]
mod tests;
