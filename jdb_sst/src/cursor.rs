//! A cursor over a table in a file.

use crate::entry::EntryRef;
use crate::error::{Damage, Error, Result};
use crate::reader::SstReader;
use crate::walk::{Walk, Want};
use bytes::Bytes;
use jdb_base::SeqNo;
use std::rc::Rc;

/// A place in a table: before the first entry, on an entry, or after the last.
///
/// A new cursor is before the first entry. [`Cursor::next`] and [`Cursor::prev`] mix freely: after the last entry `prev`
/// gives the last, before the first `next` gives the first. A step inside a block suspends never and allocates nothing;
/// at a block's end the next one is loaded.
///
/// An error leaves the cursor without a place, and so does dropping the future of a step: [`Cursor::entry`] is `None` and a
/// step gives [`Error::Lost`] until the next seek. So an error is never mistaken for the end.
#[derive(Debug)]
pub struct Cursor {
    reader: Rc<SstReader>,
    walk: Walk,
}

impl Cursor {
    pub(crate) fn new(reader: Rc<SstReader>) -> Self {
        let walk = reader.walk();
        Self { reader, walk }
    }

    /// Goes over to another table, before its first entry, and keeps its buffers: walking on from table to table allocates
    /// nothing.
    pub fn go_over(&mut self, reader: &Rc<SstReader>) {
        reader.start_over(&mut self.walk);
        self.reader = Rc::clone(reader);
    }

    /// The entry the cursor sits on; `None` before the first, after the last and after an error.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.walk.entry()
    }

    /// The value of that entry, sharing its block's memory instead of copying.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        self.walk.value()
    }

    /// Goes to the first entry at or after `(key, seq)` in entry order: the newest version of `key` that is not newer than
    /// `seq`, else the first entry of the next key.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`], [`Error::Io`]; the same for all moves.
    pub async fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        let want = self.walk.seek(key, seq);
        self.follow(want).await
    }

    /// Goes to the first entry.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub async fn seek_first(&mut self) -> Result<()> {
        let want = self.walk.seek_first();
        self.follow(want).await
    }

    /// Goes to the last entry.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub async fn seek_last(&mut self) -> Result<()> {
        let want = self.walk.seek_last();
        self.follow(want).await
    }

    /// Goes one entry forward.
    ///
    /// # Errors
    /// As [`Cursor::seek`]; [`Error::Lost`] after an error.
    pub async fn next(&mut self) -> Result<()> {
        if self.next_in_block()? {
            return Ok(());
        }
        self.check_place()?;
        let want = self.walk.next();
        self.follow(want).await
    }

    /// Goes one entry back.
    ///
    /// # Errors
    /// As [`Cursor::next`].
    pub async fn prev(&mut self) -> Result<()> {
        if self.prev_in_block()? {
            return Ok(());
        }
        self.check_place()?;
        let want = self.walk.prev();
        self.follow(want).await
    }

    /// After an error: goes to the first entry behind the block that could not be read, an index block too. For who saves what is
    /// left of a damaged table; the entries of that block are passed over.
    ///
    /// # Errors
    /// As [`Cursor::seek`]; then it can be called again.
    pub async fn skip_block(&mut self) -> Result<()> {
        let want = self.walk.skip();
        self.follow(want).await
    }

    /// Goes one entry forward when that needs no other block; else stays and says `false`. For tight loops.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    #[inline]
    pub fn next_in_block(&mut self) -> Result<bool> {
        self.walk.next_in_block().map_err(|damage| self.error(damage))
    }

    /// Goes one entry back when that needs no other block; else stays and says `false`. For tight loops.
    ///
    /// # Errors
    /// As [`Cursor::next_in_block`].
    #[inline]
    pub fn prev_in_block(&mut self) -> Result<bool> {
        self.walk.prev_in_block().map_err(|damage| self.error(damage))
    }

    /// Loads what the walk wants until it has arrived.
    async fn follow(&mut self, mut want: Result<Option<Want>, Damage>) -> Result<()> {
        loop {
            let Some(next) = want.map_err(|damage| self.error(damage))? else { return Ok(()) };
            let bytes = match self.reader.ready(next) {
                Some(bytes) => bytes,
                None => self.reader.fetch(next).await?,
            };
            want = self.walk.supply(next, bytes);
        }
    }

    fn check_place(&self) -> Result<()> {
        if self.walk.is_lost() { Err(Error::Lost { path: self.reader.path().to_owned() }) } else { Ok(()) }
    }

    #[cold]
    fn error(&self, damage: Damage) -> Error {
        damage.of(self.reader.path())
    }
}
