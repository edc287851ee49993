//! fjall: values separated from its defaults' length of 1 KiB on, shorter ones in the tree.

use super::{CACHE_LEN, Change, Engine, Setup, Walk, on_threads};
use crate::measure::Times;
use crate::rows::Key;
use ::fjall::{CompressionType, config::CompressionPolicy};
use ::fjall::{
    Database, Guard, Iter, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Slice,
};
use jdb_bench::Result;
use std::path::Path;
use std::time::Duration;

/// All rows in one keyspace.
pub(crate) struct Fjall {
    db: Database,
    rows: Keyspace,
    sync: bool,
}

impl Engine for Fjall {
    async fn open(dir: &Path, setup: Setup) -> Result<Self> {
        let db = Database::builder(dir)
            .cache_size(CACHE_LEN as u64)
            .journal_compression(CompressionType::None)
            .open()?;
        let separation = KvSeparationOptions::default().compression(CompressionType::None);
        let options = KeyspaceCreateOptions::default()
            .with_kv_separation(Some(separation))
            .data_block_compression_policy(CompressionPolicy::disabled());
        let rows = db.keyspace("rows", || options)?;
        Ok(Self { db, rows, sync: setup.sync })
    }

    async fn commit(&self, changes: &[Change<'_>]) -> Result<()> {
        match changes {
            [(key, Some(value))] if !self.sync => self.rows.insert(key, *value)?,
            [(key, None)] if !self.sync => self.rows.remove(key)?,
            _ => {
                let mode = if self.sync { PersistMode::SyncData } else { PersistMode::Buffer };
                let mut batch = self.db.batch().durability(Some(mode));
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.insert(&self.rows, key, *value),
                        None => batch.remove(&self.rows, key),
                    }
                }
                batch.commit()?;
            }
        }
        Ok(())
    }

    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        show(self.rows.get(key)?.as_deref());
        Ok(())
    }

    async fn get_at_once(
        &self,
        keys: &[Key],
        show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    ) -> Result<Times> {
        on_threads(keys, show, || {
            let rows = self.rows.clone();
            Ok(move |key: &Key, show: &mut dyn FnMut(Option<&[u8]>)| {
                show(rows.get(key)?.as_deref());
                Ok(())
            })
        })
    }

    async fn walk(&self, walk: Walk, show: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let rows: Iter = match (walk.from, walk.backward) {
            (None, _) => self.rows.iter(),
            (Some(key), false) => self.rows.range(key..),
            (Some(key), true) => self.rows.range(..=key),
        };
        if walk.backward { show_all(rows.rev(), walk, show) } else { show_all(rows, walk, show) }
    }

    async fn settle(&self) -> Result<()> {
        self.rows.rotate_memtable_and_wait()?;
        // It has no call that waits for compactions: idle is when none runs and none has ended for a while.
        let (mut idle, mut before) = (0, 0);
        while idle < 5 {
            std::thread::sleep(Duration::from_millis(20));
            let done = self.db.compactions_completed();
            let busy = self.db.active_compactions() + self.db.outstanding_flushes() > 0 || done != before;
            idle = if busy { 0 } else { idle + 1 };
            before = done;
        }
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}

fn show_all(rows: impl Iterator<Item = Guard>, walk: Walk, mut show: impl FnMut(&[u8], &[u8])) -> Result<()> {
    for row in rows.take(walk.limit) {
        let (key, value) = if walk.values { row.into_inner()? } else { (row.key()?, Slice::empty()) };
        show(&key, &value);
    }
    Ok(())
}
