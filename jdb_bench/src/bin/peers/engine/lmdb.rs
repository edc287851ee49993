//! LMDB through heed: without a sync a commit is in the page cache, so that it survives the process.

use super::{Change, Engine, Setup, Walk, on_threads};
use crate::measure::Times;
use crate::rows::Key;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithTls};
use jdb_bench::Result;
use std::cell::RefCell;
use std::ops::Bound;
use std::path::Path;

/// Address space for the file, which grows as it must.
const MAP_LEN: usize = 1 << 40;

/// All rows in the unnamed database.
pub(crate) struct Lmdb {
    env: Env,
    rows: Database<'static, Bytes, Bytes>,
    /// A read transaction that goes on until the next commit.
    reader: RefCell<Option<RoTxn<'static, WithTls>>>,
}

impl Engine for Lmdb {
    async fn open(dir: &Path, setup: Setup) -> Result<Self> {
        let mut flags = EnvFlags::empty();
        flags.set(EnvFlags::NO_SYNC, !setup.sync);
        flags.set(EnvFlags::NO_READ_AHEAD, setup.scattered);
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_LEN).max_readers(126);
        #[expect(unsafe_code, reason = "opening LMDB is")]
        // SAFETY: the file is in a directory that this run made, and nobody else opens or changes it. NO_SYNC risks the
        // file in a power cut only.
        let env = unsafe { options.flags(flags).open(dir)? };
        let rows = env
            .create_databases_and_commit(env.write_txn()?, |opener, write| {
                opener.create_database(write, None).map(CommitOrAbort::<_, ()>::Commit)
            })?
            .unwrap_commit();
        Ok(Self { env, rows, reader: RefCell::default() })
    }

    async fn commit(&self, changes: &[Change<'_>]) -> Result<()> {
        self.reader.replace(None);
        let mut write = self.env.write_txn()?;
        for (key, value) in changes {
            match value {
                Some(value) => self.rows.put(&mut write, key, value)?,
                None => drop(self.rows.delete(&mut write, key)?),
            }
        }
        Ok(write.commit()?)
    }

    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        self.with_reader(|txn| {
            show(self.rows.get(txn, key)?);
            Ok(())
        })
    }

    async fn get_at_once(
        &self,
        keys: &[Key],
        show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    ) -> Result<Times> {
        let (env, rows) = (&self.env, self.rows);
        on_threads(keys, show, || {
            let txn = env.read_txn()?;
            Ok(move |key: &Key, show: &mut dyn FnMut(Option<&[u8]>)| {
                show(rows.get(&txn, key)?);
                Ok(())
            })
        })
    }

    async fn walk(&self, walk: Walk, show: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let from = walk.from.as_ref().map_or(Bound::Unbounded, |key| Bound::Included(&key[..]));
        self.with_reader(|txn| {
            if walk.backward {
                show_all(self.rows.rev_range(txn, &(Bound::Unbounded, from))?, walk, show)
            } else {
                show_all(self.rows.range(txn, &(from, Bound::Unbounded))?, walk, show)
            }
        })
    }

    async fn settle(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    async fn close(self) -> Result<()> {
        self.reader.replace(None);
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

impl Lmdb {
    fn with_reader(&self, act: impl FnOnce(&RoTxn<'static, WithTls>) -> Result<()>) -> Result<()> {
        let mut reader = self.reader.borrow_mut();
        let txn = match reader.take() {
            Some(txn) => txn,
            None => self.env.clone().static_read_txn()?,
        };
        act(reader.insert(txn))
    }
}

fn show_all<'a>(
    rows: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
    walk: Walk,
    mut show: impl FnMut(&[u8], &[u8]),
) -> Result<()> {
    for row in rows.take(walk.limit) {
        let (key, value) = row?;
        show(key, if walk.values { value } else { &[] });
    }
    Ok(())
}
