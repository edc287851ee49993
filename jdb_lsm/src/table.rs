//! A table of the tree: what the MANIFEST says about it, and its reader, opened at first use.
//!
//! Opening a database reads no table; a cold table costs its metadata only.

use crate::error::{Error, Result};
use jdb_base::SeqNo;
use jdb_io::{BlockCache, Disk, Handles, Held, Mode};
use jdb_sst::{Footer, SstReader};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the MANIFEST says about a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableMeta {
    /// File number, never reused.
    pub number: u32,
    /// File length in bytes.
    pub len: u64,
    /// Entries.
    pub count: u64,
    /// Smallest engine key.
    pub first_key: Vec<u8>,
    /// Largest engine key.
    pub last_key: Vec<u8>,
    /// Oldest sequence.
    pub seq_min: SeqNo,
    /// Newest sequence.
    pub seq_max: SeqNo,
    /// Every namespace drop up to this sequence was applied to the table.
    pub drop_seq: SeqNo,
    /// Every drop up to this sequence was looked at when the table was written; at or above `drop_seq`, which read points
    /// may have held down. Not kept on disk: `drop_seq` after an open.
    pub judged_seq: SeqNo,
    /// Random id in the file's footer.
    pub id: [u8; 16],
    /// Tombstones in it.
    pub tombstones: u64,
    /// Value bytes that it probably hides in the levels below; an estimate.
    pub hidden_len: u64,
}

/// What an open table is taken to weigh in bytes without its top index: reader, list of meta blocks, file.
const READER_LEN: usize = 512;
/// A top index in memory is about so many times as long as in the file, by the numbers beside it. Until it is read, and its
/// true length known, that stands in for it; and a top that comes to more is not kept.
const TOP_WEIGHT: usize = 2;
const TOP_WEIGHT_MAX: usize = TOP_WEIGHT * jdb_sst::layout::TOP_LEN_PINNED;

/// A table of the tree.
#[derive(Debug)]
pub struct Table {
    meta: TableMeta,
    path: PathBuf,
    disk: Disk,
    cache: Option<(Rc<BlockCache>, u64)>,
    reader: Held<SstReader>,
}

impl Table {
    /// The table in file `path`; nothing is opened. Its reader will have a place among `handles`, its blocks in `cache`.
    #[must_use]
    pub fn new(
        disk: &Disk,
        path: PathBuf,
        meta: TableMeta,
        cache: Option<Rc<BlockCache>>,
        handles: &Rc<Handles>,
    ) -> Self {
        let cache = cache.map(|cache| {
            let file_id = cache.next_file_id();
            (cache, file_id)
        });
        Self { meta, path, disk: disk.clone(), cache, reader: Held::new(handles) }
    }

    /// What the MANIFEST says about it.
    #[must_use]
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `key` lies in its key range.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        self.meta.first_key.as_slice() <= key && key <= self.meta.last_key.as_slice()
    }

    /// Whether any key at or above `lower` and below `upper` lies in its key range.
    #[must_use]
    pub fn overlaps(&self, lower: &[u8], upper: Option<&[u8]>) -> bool {
        lower <= self.meta.last_key.as_slice()
            && upper.is_none_or(|upper| self.meta.first_key.as_slice() < upper)
    }

    /// Its reader, opened when it is not: one open, one read of the footer, and the top index once more at the first block.
    /// It stays open until it is among the least recently used of too many.
    ///
    /// # Errors
    /// A missing, cut or damaged file, or a sound one that is not this table.
    pub async fn reader(&self) -> Result<Rc<SstReader>> {
        if let Some(reader) = self.ready() {
            return Ok(reader);
        }
        let opened = self.open(self.cache.clone()).await?;
        // Another task may have opened it meanwhile: the first one stays.
        let guess = opened.footer().top.len as usize * TOP_WEIGHT;
        Ok(self.reader.put(opened, READER_LEN + if guess <= TOP_WEIGHT_MAX { guess } else { 0 }))
    }

    /// Its reader if it is open. Cost: no allocation, no look-up.
    #[inline]
    #[must_use]
    pub fn ready(&self) -> Option<Rc<SstReader>> {
        let reader = self.reader.get()?;
        let pinned_len = reader.pinned_len();
        if pinned_len > 0 && self.reader.weight() != READER_LEN + pinned_len {
            self.reader.weigh(READER_LEN + pinned_len);
        }
        Some(reader)
    }

    /// A reader of its own for one walk over the whole table: it leaves the block cache to those who read rows.
    ///
    /// # Errors
    /// As [`Table::reader`].
    pub async fn reader_uncached(&self) -> Result<Rc<SstReader>> {
        self.open(None).await
    }

    async fn open(&self, cache: Option<(Rc<BlockCache>, u64)>) -> Result<Rc<SstReader>> {
        let file = self.disk.open(&self.path, Mode::Read).await?;
        let opened = SstReader::open(file, cache).await?;
        self.check_identity(opened.footer())?;
        Ok(opened)
    }

    /// A table verifies against its own id only: that it is the one the MANIFEST means is checked here.
    fn check_identity(&self, footer: &Footer) -> Result<()> {
        let half = |id: &[u8; 16]| u128::from_le_bytes(*id) as u64;
        let meta = &self.meta;
        for (what, expected, found) in [
            ("id of a table", half(&meta.id), half(&footer.id)),
            ("number of entries of a table", meta.count, footer.count),
            ("lowest sequence of a table", meta.seq_min.get(), footer.seq_min.get()),
            ("highest sequence of a table", meta.seq_max.get(), footer.seq_max.get()),
        ] {
            if expected != found {
                return Err(Error::OtherTable { path: self.path.clone(), what, expected, found });
            }
        }
        if meta.id != footer.id {
            let (path, what) = (self.path.clone(), "id of a table");
            return Err(Error::OtherTable { path, what, expected: half(&meta.id), found: half(&footer.id) });
        }
        Ok(())
    }
}
