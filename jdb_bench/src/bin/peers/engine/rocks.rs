//! RocksDB, with values in the tree or, as BlobDB, separated from 1 KiB on like fjall's.

use super::{CACHE_LEN, Change, Engine, Setup, Walk, on_threads};
use crate::measure::Times;
use crate::rows::Key;
use jdb_bench::Result;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, WaitForCompactOptions, WriteBatch, WriteOptions,
};
use std::path::Path;

/// Values from this length on go to blob files.
const BLOB_LEN_MIN: u64 = 1024;

/// All rows in the default column family.
pub(crate) struct Rocks<const BLOBS: bool> {
    db: DB,
    write: WriteOptions,
}

impl<const BLOBS: bool> Engine for Rocks<BLOBS> {
    async fn open(dir: &Path, setup: Setup) -> Result<Self> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(CACHE_LEN));
        blocks.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::None);
        options.set_enable_blob_files(BLOBS);
        options.set_min_blob_size(BLOB_LEN_MIN);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(BLOBS);
        options.set_advise_random_on_open(setup.scattered);
        let mut write = WriteOptions::default();
        write.set_sync(setup.sync);
        Ok(Self { db: DB::open(&options, dir)?, write })
    }

    async fn commit(&self, changes: &[Change<'_>]) -> Result<()> {
        match changes {
            [(key, Some(value))] => self.db.put_opt(key, value, &self.write)?,
            [(key, None)] => self.db.delete_opt(key, &self.write)?,
            _ => {
                let mut batch = WriteBatch::default();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.put(key, value),
                        None => batch.delete(key),
                    }
                }
                self.db.write_opt(batch, &self.write)?;
            }
        }
        Ok(())
    }

    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        show(self.db.get_pinned(key)?.as_deref());
        Ok(())
    }

    async fn get_many(&self, keys: &[Key], mut show: impl FnMut(usize, Option<&[u8]>)) -> Result<()> {
        for (at, value) in self.db.multi_get(keys).into_iter().enumerate() {
            show(at, value?.as_deref());
        }
        Ok(())
    }

    async fn get_at_once(
        &self,
        keys: &[Key],
        show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    ) -> Result<Times> {
        let db = &self.db;
        on_threads(keys, show, || {
            Ok(move |key: &Key, show: &mut dyn FnMut(Option<&[u8]>)| {
                show(db.get_pinned(key)?.as_deref());
                Ok(())
            })
        })
    }

    async fn walk(&self, walk: Walk, mut show: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut rows = self.db.raw_iterator();
        match (walk.from, walk.backward) {
            (None, false) => rows.seek_to_first(),
            (None, true) => rows.seek_to_last(),
            (Some(key), false) => rows.seek(key),
            (Some(key), true) => rows.seek_for_prev(key),
        }
        for _ in 0..walk.limit {
            let Some(key) = rows.key() else { break };
            show(key, if walk.values { rows.value().unwrap_or_default() } else { &[] });
            if walk.backward { rows.prev() } else { rows.next() }
        }
        Ok(rows.status()?)
    }

    async fn settle(&self) -> Result<()> {
        self.db.flush()?;
        self.db.wait_for_compact(&WaitForCompactOptions::default())?;
        Ok(self.db.flush_wal(true)?)
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
