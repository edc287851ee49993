//! A table's file, opened at first use and kept open among the database's [`Handles`].

use jdb_io::{BlockCache, Disk, Handles, Held, Mode};
use jdb_sst::{Footer, SstReader};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What an open table is taken to weigh in bytes without its top index: reader, list of meta blocks, file.
pub(crate) const READER_LEN: usize = 512;
/// A top index in memory is about so many times as long as in the file, by the numbers beside it. Until it is read, and its
/// true length known, that stands in for it; and a top that comes to more is not kept.
const TOP_WEIGHT: usize = 2;
const TOP_WEIGHT_MAX: usize = TOP_WEIGHT * jdb_sst::layout::TOP_LEN_PINNED;

/// A file in the format of `jdb_sst`. Whose it is, whoever has it checks in the footer each time it is opened.
#[derive(Debug)]
pub struct TableFile {
    path: PathBuf,
    disk: Disk,
    cache: Option<(Rc<BlockCache>, u64)>,
    reader: Held<SstReader>,
    random: bool,
}

impl TableFile {
    /// The file at `path`; nothing is opened. Its reader will have a place among `handles`, its blocks in `cache`.
    #[must_use]
    pub fn new(disk: &Disk, path: PathBuf, cache: Option<Rc<BlockCache>>, handles: &Rc<Handles>) -> Self {
        let cache = cache.map(|cache| {
            let file_id = cache.next_file_id();
            (cache, file_id)
        });
        Self { path, disk: disk.clone(), cache, reader: Held::new(handles), random: false }
    }

    /// The same for a file whose rows are read here and there: the system is not to read more than it is asked for.
    #[must_use]
    pub fn random(self) -> Self {
        Self { random: true, ..self }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its reader, opened when it is not: one open, one read of the footer, which goes to `check`, mostly
    /// with the top index. It stays open until it is among the least recently used of too many.
    ///
    /// # Errors
    /// A missing, cut or damaged file; what `check` says.
    pub async fn reader<E>(&self, check: impl FnOnce(&Footer) -> Result<(), E>) -> Result<Rc<SstReader>, E>
    where
        E: From<jdb_io::Error> + From<jdb_sst::Error>,
    {
        if let Some(reader) = self.ready() {
            return Ok(reader);
        }
        let opened = self.open(self.cache.clone(), self.random, check).await?;
        // Another task may have opened it meanwhile: the first one stays.
        let guess = opened.footer().top.len as usize * TOP_WEIGHT;
        let top_len = match opened.pinned_len() {
            0 if guess <= TOP_WEIGHT_MAX => guess,
            pinned_len => pinned_len,
        };
        Ok(self.reader.put(opened, READER_LEN + top_len))
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

    /// A reader of its own for one walk over all of it: it leaves the block cache to those who read rows.
    ///
    /// # Errors
    /// As [`TableFile::reader`].
    pub async fn reader_uncached<E>(
        &self,
        check: impl FnOnce(&Footer) -> Result<(), E>,
    ) -> Result<Rc<SstReader>, E>
    where
        E: From<jdb_io::Error> + From<jdb_sst::Error>,
    {
        self.open(None, false, check).await
    }

    async fn open<E>(
        &self,
        cache: Option<(Rc<BlockCache>, u64)>,
        random: bool,
        check: impl FnOnce(&Footer) -> Result<(), E>,
    ) -> Result<Rc<SstReader>, E>
    where
        E: From<jdb_io::Error> + From<jdb_sst::Error>,
    {
        let file = self.disk.open(&self.path, Mode::Read).await?;
        if random {
            file.expect_random();
        }
        let opened = SstReader::open(file, cache).await?;
        check(opened.footer())?;
        Ok(opened)
    }
}
