//! Finds one key without a cursor: one block a level, each looked at once.

use crate::block::Block;
use crate::entry::EntryRef;
use crate::error::Damage;
use crate::footer::Footer;
use crate::walk::{Want, child_want};
use bytes::Bytes;
use jdb_base::{Kind, SeqNo};

/// An entry that was found; the value shares the memory of its block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The sequence number.
    pub seq: SeqNo,
    /// What the entry is.
    pub kind: Kind,
    /// The value's bytes. They keep their whole block in memory.
    pub value: Bytes,
}

impl Entry {
    /// An entry of this block.
    #[inline]
    pub(crate) fn of(entry: EntryRef<'_>, block: &Bytes) -> Self {
        Self { seq: entry.seq, kind: entry.kind, value: block.slice_ref(entry.value) }
    }
}

/// What a block says about a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// The answer is in this block.
    Below(Want),
    /// This is the answer.
    Answer(Option<Entry>),
}

/// The way of one key through the levels of a table, without I/O.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    key: &'a [u8],
    seq: SeqNo,
    height: usize,
    limit: u64,
}

impl<'a> Lookup<'a> {
    /// Looks for the newest version of `key` that is not newer than `seq`. Gives also the first block wanted; `None` when
    /// the table has no entries.
    #[must_use]
    pub fn new(footer: &Footer, limit: u64, key: &'a [u8], seq: SeqNo) -> (Self, Option<Want>) {
        let height = usize::from(footer.height);
        let top = Want { level: 0, handle: footer.top, filter_len: 0 };
        (Self { key, seq, height, limit }, (height > 0).then_some(top))
    }

    /// Looks into a wanted block, verified and without trailer.
    ///
    /// # Errors
    /// [`Damage`] with its offset in the file.
    pub fn look(&self, want: Want, bytes: &Bytes) -> Result<Found, Damage> {
        self.look_inside(want.level, bytes).map_err(|damage| damage.after(want.handle.offset))
    }

    fn look_inside(&self, level: usize, bytes: &Bytes) -> Result<Found, Damage> {
        let block = Block::parse(bytes)?;
        let index = block.find(self.key, self.seq)?;
        if index == block.count() {
            return Ok(Found::Answer(None));
        }
        if level == self.height {
            let entry = block.entry_of(index, self.key)?;
            return Ok(Found::Answer(entry.map(|entry| Entry::of(entry, bytes))));
        }
        let (kind, value, at) = block.value(index)?;
        let below = child_want(kind, value, level + 1, level + 1 == self.height, self.limit);
        Ok(Found::Below(below.map_err(|damage| damage.after(at as u64))?))
    }
}
