//! A table of the tree: what the MANIFEST says about it, and its reader, opened at first use.
//!
//! Opening a database reads no table; a cold table costs its metadata only.

use crate::error::{Error, Result};
use crate::held::Held;
use crate::table_file::TableFile;
use crate::version::Version;
use jdb_base::SeqNo;
use jdb_io::{BlockCache, Disk, Handles};
use jdb_sst::{Footer, SstReader, TableInfo};
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
    /// What it holds for read points alone.
    pub held: Held,
}

impl TableMeta {
    /// Of a table that was just written: the drops before its oldest entry were applied to it, and nothing else is known yet.
    pub(crate) fn of(number: u32, info: TableInfo) -> Self {
        let before = SeqNo::new(info.seq_min.get().saturating_sub(1));
        Self {
            number,
            len: info.len,
            count: info.count,
            first_key: info.first_key,
            last_key: info.last_key,
            seq_min: info.seq_min,
            seq_max: info.seq_max,
            drop_seq: before,
            judged_seq: before,
            id: info.id,
            tombstones: 0,
            hidden_len: 0,
            held: Held::default(),
        }
    }
}

/// Tables by level as a job takes them along: what the MANIFEST says about them and where they are.
#[derive(Clone, Default, Debug)]
pub struct TableSet {
    pub(crate) levels: Vec<Vec<(TableMeta, PathBuf)>>,
}

impl TableSet {
    /// The same tables on this disk, opened when they are read; their blocks are kept in `cache`.
    #[must_use]
    pub fn on(self, disk: &Disk, cache: Option<&Rc<BlockCache>>, handles: &Rc<Handles>) -> Version {
        let table = |(meta, path)| Rc::new(Table::new(disk, path, meta, cache.cloned(), handles));
        let levels = self.levels.into_iter().map(|tables| tables.into_iter().map(table).collect()).collect();
        Version { levels, ..Version::default() }
    }
}

/// A table of the tree.
#[derive(Debug)]
pub struct Table {
    meta: TableMeta,
    file: TableFile,
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
        Self { meta, file: TableFile::new(disk, path, cache, handles) }
    }

    /// What the MANIFEST says about it.
    #[must_use]
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
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

    /// Its reader, opened when it is not, see [`TableFile::reader`].
    ///
    /// # Errors
    /// A missing, cut or damaged file, or a sound one that is not this table.
    pub async fn reader(&self) -> Result<Rc<SstReader>> {
        self.file.reader(|footer| self.check_identity(footer)).await
    }

    /// Its reader if it is open. Cost: no allocation, no look-up.
    #[inline]
    #[must_use]
    pub fn ready(&self) -> Option<Rc<SstReader>> {
        self.file.ready()
    }

    /// A reader of its own for one walk over the whole table: it leaves the block cache to those who read rows.
    ///
    /// # Errors
    /// As [`Table::reader`].
    pub async fn reader_uncached(&self) -> Result<Rc<SstReader>> {
        self.file.reader_uncached(|footer| self.check_identity(footer)).await
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
                return Err(Error::OtherTable { path: self.path().to_owned(), what, expected, found });
            }
        }
        if meta.id != footer.id {
            let (path, what) = (self.path().to_owned(), "id of a table");
            return Err(Error::OtherTable { path, what, expected: half(&meta.id), found: half(&footer.id) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{HANDLES_MAX, Rng, handles, on_sim, row, table_of};
    use futures::future::join_all;
    use jdb_base::SeqNo;
    use std::rc::Rc;

    #[test]
    fn of_thousands_of_tables_few_are_open_and_every_read_is_right() {
        on_sim(1, |_, disk| async move {
            let mut tables = Vec::new();
            for number in 0..2000 {
                tables.push(table_of(&disk, number, &[row(&format!("{number:04}"), 7)]).await);
            }
            assert_eq!(disk.counters().open_files, 0, "nothing is opened before it is read");
            let mut rng = Rng(3);
            for step in 0..1000 {
                let at_once = 1 + rng.below(5);
                let reads = (0..at_once).map(|_| rng.below(2000)).map(|number| {
                    let table = &tables[number];
                    async move {
                        let key = format!("{number:04}");
                        let entry =
                            table.reader().await.unwrap().get(key.as_bytes(), SeqNo::MAX).await.unwrap();
                        assert_eq!(entry.unwrap().value, format!("{key}@7"), "step {step}");
                    }
                });
                join_all(reads.collect::<Vec<_>>()).await;
                assert!(disk.counters().open_files <= HANDLES_MAX as u64, "step {step}");
            }
            // Each of five had one in its hand, and another task's was just being opened.
            assert!(disk.counters().open_files_peak <= HANDLES_MAX as u64 + 5, "{:?}", disk.counters());
            let opens = disk.counters().opens;
            for _ in 0..10 {
                assert!(tables[5].reader().await.unwrap().get(b"0005", SeqNo::MAX).await.unwrap().is_some());
            }
            assert!(disk.counters().opens <= opens + 1, "a table in use was opened again");
            drop(tables);
            assert_eq!(
                (disk.counters().open_files, handles().count()),
                (0, 0),
                "a table that is gone is open"
            );
        });
    }

    #[test]
    fn two_tasks_that_open_a_table_share_its_reader_and_its_top_index_counts() {
        on_sim(1, |_, disk| async move {
            let rows: Vec<_> = (0..2000).map(|i| row(&format!("{i:04}"), 1)).collect();
            let table = table_of(&disk, 1, &rows).await;
            assert!(table.ready().is_none());
            let readers = join_all([table.reader(), table.reader()]).await;
            let [a, b] = <[_; 2]>::try_from(readers).unwrap().map(Result::unwrap);
            assert!(Rc::ptr_eq(&a, &b));
            a.get(b"0999", SeqNo::MAX).await.unwrap().unwrap();
            assert!(table.ready().is_some_and(|reader| Rc::ptr_eq(&reader, &a)));
            assert!(a.pinned_len() > 0);
            assert_eq!(handles().len(), crate::table_file::READER_LEN + a.pinned_len());
        });
    }
}
