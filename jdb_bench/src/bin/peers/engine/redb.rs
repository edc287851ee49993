//! redb: without a sync a commit is in the process's memory only, so that it does not survive the process.

use super::{CACHE_LEN, Change, Engine, Setup, Walk, on_threads};
use crate::measure::Times;
use crate::rows::Key;
use ::redb::{
    AccessGuard, Database, Durability, ReadOnlyTable, ReadableDatabase, StorageError, TableDefinition,
};
use jdb_bench::Result;
use std::cell::RefCell;
use std::ops::Bound;
use std::path::Path;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Row<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

/// All rows in one table.
pub(crate) struct Redb {
    db: Database,
    durability: Durability,
    /// A read transaction that goes on until the next commit.
    reader: RefCell<Option<Table>>,
}

impl Engine for Redb {
    async fn open(dir: &Path, setup: Setup) -> Result<Self> {
        let db = Database::builder().set_cache_size(CACHE_LEN).create(dir.join("rows.redb"))?;
        let durability = if setup.sync { Durability::Immediate } else { Durability::None };
        let write = db.begin_write()?;
        write.open_table(ROWS)?;
        write.commit()?;
        Ok(Self { db, durability, reader: RefCell::default() })
    }

    fn durability(setup: Setup) -> &'static str {
        if setup.sync { "sync" } else { "none" }
    }

    async fn commit(&self, changes: &[Change<'_>]) -> Result<()> {
        self.reader.replace(None);
        let mut write = self.db.begin_write()?;
        write.set_durability(self.durability)?;
        let mut table = write.open_table(ROWS)?;
        for (key, value) in changes {
            match value {
                Some(value) => table.insert(&key[..], *value)?,
                None => table.remove(&key[..])?,
            };
        }
        drop(table);
        Ok(write.commit()?)
    }

    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        self.with_reader(|table| {
            show(table.get(&key[..])?.as_ref().map(|value| value.value()));
            Ok(())
        })
    }

    async fn get_at_once(
        &self,
        keys: &[Key],
        show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    ) -> Result<Times> {
        let db = &self.db;
        on_threads(keys, show, || {
            let table = db.begin_read()?.open_table(ROWS)?;
            Ok(move |key: &Key, show: &mut dyn FnMut(Option<&[u8]>)| {
                show(table.get(&key[..])?.as_ref().map(|value| value.value()));
                Ok(())
            })
        })
    }

    async fn walk(&self, walk: Walk, show: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let from = walk.from.as_ref().map_or(Bound::Unbounded, |key| Bound::Included(&key[..]));
        self.with_reader(|table| {
            if walk.backward {
                show_all(table.range::<&[u8]>((Bound::Unbounded, from))?.rev(), walk, show)
            } else {
                show_all(table.range::<&[u8]>((from, Bound::Unbounded))?, walk, show)
            }
        })
    }

    async fn settle(&self) -> Result<()> {
        // A durable commit takes those before it along.
        Ok(self.db.begin_write()?.commit()?)
    }

    async fn close(self) -> Result<()> {
        self.reader.replace(None);
        Ok(self.db.close()?)
    }
}

impl Redb {
    fn with_reader(&self, act: impl FnOnce(&Table) -> Result<()>) -> Result<()> {
        let mut reader = self.reader.borrow_mut();
        let table = match reader.take() {
            Some(table) => table,
            None => self.db.begin_read()?.open_table(ROWS)?,
        };
        act(reader.insert(table))
    }
}

fn show_all<'a>(
    rows: impl Iterator<Item = Result<Row<'a>, StorageError>>,
    walk: Walk,
    mut show: impl FnMut(&[u8], &[u8]),
) -> Result<()> {
    for row in rows.take(walk.limit) {
        let (key, value) = row?;
        show(key.value(), if walk.values { value.value() } else { &[] });
    }
    Ok(())
}
