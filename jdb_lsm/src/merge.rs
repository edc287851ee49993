//! Many sorted sources as one, in either direction.
//!
//! Sources stay sorted by their present entries; after a step only the stepped source moves among them, which costs one
//! comparison of numbers while the same source keeps winning (`merge/order.rs`). Keys are borrowed from the sources: a step
//! copies nothing and allocates nothing.
//!
//! A seek chooses the direction; a turn changes it in place, at the cost of one step of every source. A source that fails
//! fails the merge: the error is returned, and until the next seek every step gives [`Error::Lost`]. There is never a
//! shorter answer instead.

mod order;
mod source;

pub use source::Source;

use crate::error::{Error, Result};
use jdb_base::{Kind, SeqNo, key::entry_order};
use jdb_io::plant::{Plant, planted};
use order::Order;
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

/// The direction of the steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

/// The merge of its sources.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    /// Sources that sit on an entry.
    order: Order,
    direction: Direction,
    /// A step failed or was dropped: only a seek helps.
    lost: bool,
}

impl Merge {
    /// A merge that sits nowhere until it is sought.
    #[must_use]
    pub fn new(sources: Vec<Source>) -> Self {
        let order = Order::with_capacity(sources.len());
        Self { order, sources, direction: Direction::Forward, lost: false }
    }

    /// Sits on the first entry at or after `(key, seq)` and goes forward from there.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub async fn seek_forward(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.lost = true;
        self.direction = Direction::Forward;
        for source in &mut self.sources {
            forgive(source.seek(key, seq).await)?;
        }
        self.sort();
        Ok(())
    }

    /// Sits on the last entry before `(key, seq)` and goes backward from there.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub async fn seek_backward(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.lost = true;
        self.direction = Direction::Backward;
        for source in &mut self.sources {
            forgive(source.seek(key, seq).await)?;
            forgive(source.step(Direction::Backward).await)?;
        }
        self.sort();
        Ok(())
    }

    /// Goes backward from now on and sits on the entry before the present one, or on the last one when it was past it.
    /// Nothing when it goes backward already.
    ///
    /// # Errors
    /// A source that cannot be read; [`Error::Lost`].
    pub async fn turn_backward(&mut self) -> Result<()> {
        if self.direction == Direction::Backward { Ok(()) } else { self.turn().await }
    }

    /// Goes forward from now on and sits on the entry behind the present one, or on the first one when it was past it.
    /// Nothing when it goes forward already.
    ///
    /// # Errors
    /// A source that cannot be read; [`Error::Lost`].
    pub async fn turn_forward(&mut self) -> Result<()> {
        if self.direction == Direction::Forward { Ok(()) } else { self.turn().await }
    }

    /// Moves on in its direction; past the end it stays there.
    ///
    /// # Errors
    /// A source that cannot be read; [`Error::Lost`].
    pub async fn step(&mut self) -> Result<()> {
        if self.step_in_block()? {
            return Ok(());
        }
        let Some(source) = self.order.first().and_then(|first| self.sources.get_mut(first)) else {
            return Ok(());
        };
        // Whoever drops this future in the middle finds the merge lost.
        self.lost = true;
        forgive(source.step(self.direction).await)?;
        self.lost = false;
        self.order.moved(&self.sources);
        Ok(())
    }

    /// Moves on when that needs no other block; else stays and says `false`. For tight loops.
    ///
    /// # Errors
    /// A damaged block; [`Error::Lost`].
    #[inline]
    pub fn step_in_block(&mut self) -> Result<bool> {
        if self.lost {
            return Err(Error::Lost);
        }
        let Some(source) = self.order.first().and_then(|first| self.sources.get_mut(first)) else {
            return Ok(true);
        };
        match source.step_in_block(self.direction) {
            Ok(true) => {
                self.order.moved(&self.sources);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                self.lost = true;
                Err(error)
            }
        }
    }

    /// The entry it sits on; `None` past the last entry in its direction, before the first seek and after an error.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        if self.lost {
            return None;
        }
        self.sources.get(self.order.first()?)?.entry()
    }

    /// Every source goes to the other side of the present entry.
    async fn turn(&mut self) -> Result<()> {
        if self.lost {
            return Err(Error::Lost);
        }
        self.lost = true;
        let (direction, past) = match self.direction {
            Direction::Forward => (Direction::Backward, Ordering::Less),
            Direction::Backward => (Direction::Forward, Ordering::Greater),
        };
        self.direction = direction;
        if let Some(first) = self.order.first() {
            self.sources.swap(0, first);
        }
        if let Some((present, others)) = self.sources.split_first_mut() {
            for source in others {
                forgive(source.step(direction).await)?;
                // A memtable may have got entries between the present one and where its cursor was.
                while let (Some(at), Some(present)) = (source.entry(), present.entry())
                    && entry_order((at.key, at.seq), (present.key, present.seq)) != past
                {
                    forgive(source.step(direction).await)?;
                }
            }
            forgive(present.step(direction).await)?;
        }
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        self.order.sort(&self.sources, self.direction);
        self.lost = false;
    }
}

/// The result of a source as it is; with its bug planted, an error is taken for the end of the source.
#[inline]
fn forgive(result: Result<()>) -> Result<()> {
    match result {
        Err(_) if planted(Plant::SwallowReadError) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests;
