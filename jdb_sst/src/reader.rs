//! Reads a table from a file.

use crate::cursor::Cursor;
use crate::error::{Damage, Error, Result};
use crate::filter::{self, FilterBlock, filter_hash};
use crate::footer::Footer;
use crate::handle::Handle;
use crate::layout::{FOOTER_LEN, TAIL_LEN, TOP_LEN_PINNED};
use crate::lookup::{Entry, Found, Lookup};
use crate::meta::{Meta, MetaType, read_list};
use crate::top::Top;
use crate::trailer;
use crate::walk::{Walk, Want};
use bytes::Bytes;
use jdb_base::SeqNo;
use jdb_base::checksum::Seed;
use jdb_io::{BlockCache, File};
use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

/// An open table.
///
/// Opening reads the last 16 KiB, nothing else: the footer, and mostly the top index. That stays in memory, from its first use on
/// at the latest, when it is not longer than 64 KiB; other blocks are read when they are needed and kept in the [`BlockCache`], if
/// there is one. Every block is verified once, when it is read from the file. [`SstReader::get`] asks the filter before it looks into an index partition; both
/// come with one read.
#[derive(Debug)]
pub struct SstReader {
    file: File,
    /// The cache, and this file's number in it.
    cache: Option<(Rc<BlockCache>, u64)>,
    footer: Footer,
    /// Offset of the footer, which is where the blocks end.
    limit: u64,
    seed: Seed,
    meta: Vec<Meta>,
    /// Salt of the filters; `None` when there are none that this version understands.
    salt: Option<u64>,
    top: OnceCell<Top>,
}

/// Where a look-up stopped because a block has to be read.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    want: Want,
    /// The filter before it has to be read too, to be asked for this hash.
    filter: Option<(Handle, u64)>,
}

/// What [`SstReader::begin_get`] has found out; the default is nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Begun(Option<Want>);

impl SstReader {
    /// Opens a table: reads the footer and the list of meta blocks in one read, and the top index with them when it lies there.
    /// `cache` is a cache and the number of this
    /// file in it, which no other file shares.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is too short or its footer does not verify, [`Error::Unsupported`] for a version,
    /// a feature or a critical meta block that this crate does not know, [`Error::Io`].
    pub async fn open(file: File, cache: Option<(Rc<BlockCache>, u64)>) -> Result<Rc<Self>> {
        let len = file.len().await?;
        let error = |damage: Damage| damage.of(file.path());
        let Some(limit) = len.checked_sub(FOOTER_LEN as u64) else {
            return Err(error(Damage::corrupt("file length", 0, FOOTER_LEN as u64, len)));
        };
        let start = len.saturating_sub(TAIL_LEN as u64);
        let tail = read(&file, start, (len - start) as usize).await?;
        let Some((before, bytes)) = tail.split_last_chunk::<FOOTER_LEN>() else {
            return Err(error(Damage::corrupt("file length", 0, FOOTER_LEN as u64, tail.len() as u64)));
        };
        let footer = Footer::decode(bytes, limit).map_err(|damage| error(damage.after(limit)))?;
        let seed = footer.seed();
        let tail = Tail { file: &file, start, before: tail.slice(..before.len()), seed };
        let meta = match footer.meta {
            Handle { len: 0, .. } => Vec::new(),
            handle => {
                let list = tail.block(handle).await?;
                read_list(&list, limit).map_err(|damage| error(damage.after(handle.offset)))?
            }
        };
        let salt = match find(&meta, MetaType::Filters) {
            None => None,
            Some(handle) => {
                let about = tail.block(handle).await?;
                filter::decode_meta(&about).map_err(|damage| error(damage.after(handle.offset)))?
            }
        };
        // What is wrong with it is said by the first read that needs it.
        let read_top = tail.stored(footer.top).filter(|_| footer.height > 0).and_then(|stored| {
            let bytes = trailer::verify(&stored, seed, footer.top.offset).ok()?;
            Top::new(Bytes::copy_from_slice(&bytes), limit).ok()
        });
        let top = read_top.map_or_else(OnceCell::new, OnceCell::from);
        Ok(Rc::new(Self { file, cache, footer, limit, seed, meta, salt, top }))
    }

    /// The newest version of `key` that is not newer than `seq`; `None` when there is none.
    ///
    /// Cost: one block a level, three in most tables; with those in memory it does not suspend. For an absent key the filter
    /// saves all but the top index and itself, but for one key of 256.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`], [`Error::Io`].
    pub async fn get(&self, key: &[u8], seq: SeqNo) -> Result<Option<Entry>> {
        match self.get_ready(key, seq)? {
            ControlFlow::Break(found) => Ok(found),
            ControlFlow::Continue(stopped) => self.get_from(key, seq, stopped).await,
        }
    }

    /// Begins [`SstReader::get`] with what is in memory: the answer, or where a block has to be read. Cost: no I/O, no allocation.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    #[inline]
    pub fn get_ready(&self, key: &[u8], seq: SeqNo) -> Result<ControlFlow<Option<Entry>, Stopped>> {
        let (lookup, want) = self.begin(key, seq)?;
        match want {
            Some(want) => self.go_on(key, &lookup, want),
            None => Ok(ControlFlow::Break(None)),
        }
    }

    /// Asks what is in memory of index and filter. `None`: there is no version of `key` that is not newer than `seq`, for certain.
    /// Anything else is for [`SstReader::get_begun`], and says nothing: of damage neither. Cost: no I/O, no allocation; less than
    /// [`SstReader::get_ready`], which would find the same.
    #[inline]
    #[must_use]
    pub fn begin_get(&self, key: &[u8], seq: SeqNo) -> Option<Begun> {
        let want = match self.begin(key, seq) {
            Ok((_, want)) => want?,
            Err(_) => return Some(Begun(None)),
        };
        let (Some(salt), Some(filter), Some((cache, file_id))) = (self.salt, want.filter(), &self.cache)
        else {
            return Some(Begun(None));
        };
        let asked = cache.get_with(*file_id, filter.offset, |bytes| {
            let filter = FilterBlock::parse(bytes).ok()?;
            Some(filter.is_none_or(|filter| filter.may_contain(filter_hash(key, salt))))
        });
        match asked.flatten() {
            Some(false) => None,
            // It is not asked again.
            Some(true) => Some(Begun(Some(Want { filter_len: 0, ..want }))),
            None => Some(Begun(None)),
        }
    }

    /// As [`SstReader::get_ready`], with what [`SstReader::begin_get`] has found out about the same key and sequence.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    #[inline]
    pub fn get_begun(
        &self,
        key: &[u8],
        seq: SeqNo,
        begun: Begun,
    ) -> Result<ControlFlow<Option<Entry>, Stopped>> {
        let Some(want) = begun.0 else { return self.get_ready(key, seq) };
        let (lookup, _) = Lookup::new(&self.footer, self.limit, key, seq);
        self.go_on(key, &lookup, want)
    }

    /// Goes on with [`SstReader::get`] from where [`SstReader::get_ready`] stopped, for the same key and sequence.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn get_from(&self, key: &[u8], seq: SeqNo, stopped: Stopped) -> Result<Option<Entry>> {
        let (lookup, _) = Lookup::new(&self.footer, self.limit, key, seq);
        let mut stopped = stopped;
        loop {
            let Stopped { want, filter } = stopped;
            let bytes = match filter {
                None => self.fetch(want).await?,
                Some((filter, hash)) => match self.read_and_ask(want, filter, hash).await? {
                    None => return Ok(None),
                    Some(index) => index,
                },
            };
            let below = match lookup.look(want, &bytes).map_err(|damage| damage.of(self.path()))? {
                Found::Answer(entry) => return Ok(entry),
                Found::Below(below) => below,
            };
            match self.go_on(key, &lookup, below)? {
                ControlFlow::Break(found) => return Ok(found),
                ControlFlow::Continue(next) => stopped = next,
            }
        }
    }

    /// Looks for `key` from a wanted block on, in memory.
    #[inline]
    fn go_on(
        &self,
        key: &[u8],
        lookup: &Lookup<'_>,
        want: Want,
    ) -> Result<ControlFlow<Option<Entry>, Stopped>> {
        let mut want = want;
        loop {
            if let (Some(salt), Some(filter)) = (self.salt, want.filter()) {
                let hash = filter_hash(key, salt);
                match self.ask_ready(filter, hash).transpose()? {
                    Some(true) => {}
                    Some(false) => return Ok(ControlFlow::Break(None)),
                    None => return Ok(ControlFlow::Continue(Stopped { want, filter: Some((filter, hash)) })),
                }
            }
            let Some(looked) = self.look_ready(want, |bytes| lookup.look(want, bytes)) else {
                return Ok(ControlFlow::Continue(Stopped { want, filter: None }));
            };
            match looked.map_err(|damage| damage.of(self.path()))? {
                Found::Below(below) => want = below,
                Found::Answer(entry) => return Ok(ControlFlow::Break(entry)),
            }
        }
    }

    /// Whether the table may hold `key`, by its index and filter alone; `false` is certain.
    ///
    /// Cost: the top index and one filter; no data block is read.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn may_contain(&self, key: &[u8]) -> Result<bool> {
        let (lookup, mut want) = self.begin(key, SeqNo::MAX)?;
        while let Some(next) = want.filter(|next| next.level < usize::from(self.footer.height)) {
            if let (Some(salt), Some(filter)) = (self.salt, next.filter()) {
                let hash = filter_hash(key, salt);
                return match self.ask_ready(filter, hash) {
                    Some(maybe) => maybe,
                    None => Ok(self.read_and_ask(next, filter, hash).await?.is_some()),
                };
            }
            let bytes = self.load(next).await?;
            match lookup.look(next, &bytes).map_err(|damage| damage.of(self.path()))? {
                Found::Below(below) => want = Some(below),
                Found::Answer(entry) => return Ok(entry.is_some()),
            }
        }
        Ok(want.is_some())
    }

    /// A cursor before the first entry.
    #[must_use]
    pub fn cursor(self: &Rc<Self>) -> Cursor {
        Cursor::new(Rc::clone(self))
    }

    /// What the footer says.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The list of meta blocks.
    #[must_use]
    pub fn meta(&self) -> &[Meta] {
        &self.meta
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.limit + FOOTER_LEN as u64
    }

    /// The table has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.footer.count == 0
    }

    /// Bytes of memory that this reader holds for the top index, once it was used.
    #[must_use]
    pub fn pinned_len(&self) -> usize {
        self.top.get().map_or(0, Top::len)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn data_level(&self) -> usize {
        usize::from(self.footer.height)
    }

    pub(crate) fn walk(&self) -> Walk {
        Walk::new(&self.footer, self.limit)
    }

    pub(crate) fn start_over(&self, walk: &mut Walk) {
        walk.start_over(&self.footer, self.limit);
    }

    /// A look-up and the first block it wants, beyond the top index if that is in memory.
    #[inline]
    fn begin<'a>(&self, key: &'a [u8], seq: SeqNo) -> Result<(Lookup<'a>, Option<Want>)> {
        let (lookup, first) = Lookup::new(&self.footer, self.limit, key, seq);
        let Some(top) = self.top.get() else { return Ok((lookup, first)) };
        let want = top.find(key, seq);
        Ok((lookup, want.map_err(|damage| damage.after(self.footer.top.offset).of(self.path()))?))
    }

    /// A block that is in memory.
    #[inline]
    pub(crate) fn ready(&self, want: Want) -> Option<Bytes> {
        self.look_ready(want, Bytes::clone)
    }

    /// Looks into a block that is in memory.
    #[inline]
    fn look_ready<T>(&self, want: Want, look: impl FnOnce(&Bytes) -> T) -> Option<T> {
        if want.level == 0
            && let Some(top) = self.top.get()
        {
            return Some(look(top.bytes()));
        }
        let (cache, file_id) = self.cache.as_ref()?;
        cache.get_with(*file_id, want.handle.offset, look)
    }

    /// A block, from memory or from the file.
    async fn load(&self, want: Want) -> Result<Bytes> {
        match self.ready(want) {
            Some(bytes) => Ok(bytes),
            None => self.fetch(want).await,
        }
    }

    /// Reads a block, verifies it and keeps it. Its handle was checked against the file's length.
    pub(crate) async fn fetch(&self, want: Want) -> Result<Bytes> {
        let handle = want.handle;
        let stored = read(&self.file, handle.offset, handle.len as usize).await?;
        let bytes = self.open_block(&stored, handle)?;
        if want.level == 0 && bytes.len() <= TOP_LEN_PINNED {
            let top = Top::new(bytes, self.limit);
            let top = top.map_err(|damage| damage.after(handle.offset).of(self.path()))?;
            // Two tasks may have loaded it at once; the first one stays.
            return Ok(self.top.get_or_init(|| top).bytes().clone());
        }
        self.keep(handle.offset, &bytes);
        Ok(bytes)
    }

    /// Asks a filter that is in memory.
    #[inline]
    fn ask_ready(&self, filter: Handle, hash: u64) -> Option<Result<bool>> {
        let (cache, file_id) = self.cache.as_ref()?;
        cache.get_with(*file_id, filter.offset, |bytes| self.query(filter, bytes, hash))
    }

    /// Reads a filter, and the index partition behind it in the same read, which is given back; `None`: the key is absent.
    async fn read_and_ask(&self, want: Want, filter: Handle, hash: u64) -> Result<Option<Bytes>> {
        let filter_len = filter.len as usize;
        let both = read(&self.file, filter.offset, filter_len + want.handle.len as usize).await?;
        let bytes = self.open_block(&both.slice(..filter_len), filter)?;
        let index = self.open_block(&both.slice(filter_len..), want.handle)?;
        if self.cache.is_some() {
            // Each gets memory of its own, so that the cache counts what it holds.
            self.keep(filter.offset, &Bytes::copy_from_slice(&bytes));
            self.keep(want.handle.offset, &Bytes::copy_from_slice(&index));
        }
        Ok(self.query(filter, &bytes, hash)?.then_some(index))
    }

    #[inline]
    fn query(&self, filter: Handle, bytes: &[u8], hash: u64) -> Result<bool> {
        let parsed = FilterBlock::parse(bytes);
        let parsed = parsed.map_err(|damage| damage.after(filter.offset).of(self.path()))?;
        Ok(parsed.is_none_or(|filter| filter.may_contain(hash)))
    }

    /// Verifies a block that was read.
    fn open_block(&self, stored: &Bytes, handle: Handle) -> Result<Bytes> {
        let opened = trailer::verify(stored, self.seed, handle.offset);
        opened.map_err(|damage| damage.after(handle.offset).of(self.path()))
    }

    fn keep(&self, offset: u64, bytes: &Bytes) {
        if let Some((cache, file_id)) = &self.cache {
            cache.insert(*file_id, offset, bytes.clone());
        }
    }
}

/// What opening has read of the end of a file.
struct Tail<'a> {
    file: &'a File,
    start: u64,
    /// The bytes from `start` to the footer.
    before: Bytes,
    seed: Seed,
}

impl Tail<'_> {
    /// The bytes of a block that lies in the tail.
    fn stored(&self, handle: Handle) -> Option<Bytes> {
        let at = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        let end = at.checked_add(handle.len as usize)?;
        (end <= self.before.len()).then(|| self.before.slice(at..end))
    }

    /// A block, verified; read anew when it does not lie in the tail.
    async fn block(&self, handle: Handle) -> Result<Bytes> {
        let stored = match self.stored(handle) {
            Some(stored) => stored,
            None => read(self.file, handle.offset, handle.len as usize).await?,
        };
        let opened = trailer::verify(&stored, self.seed, handle.offset);
        opened.map_err(|damage| damage.after(handle.offset).of(self.file.path()))
    }
}

/// Place of the first meta block of a type.
fn find(meta: &[Meta], number: MetaType) -> Option<Handle> {
    meta.iter().find(|meta| meta.number == number as u16).map(|meta| meta.handle)
}

/// Reads exactly `len` bytes.
async fn read(file: &File, offset: u64, len: usize) -> Result<Bytes> {
    let bytes = file.read_at(offset, len).await?;
    if bytes.len() != len {
        return Err(Damage::Corrupt {
            what: "bytes read",
            offset,
            expected: len as u64,
            found: bytes.len() as u64,
        }
        .of(file.path()));
    }
    Ok(bytes)
}

mod about;
mod many;
mod near;

pub use many::{Keep, Many};
pub use near::Near;

const _: () = assert!(size_of::<Error>() <= 88);

#[cfg(test)]
mod tests;
