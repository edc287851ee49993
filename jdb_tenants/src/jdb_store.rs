//! jdb as a store of namespaces.

use crate::error::Result;
use crate::rows::{Key, Row};
use crate::store::Store;
use jdb::{Db, NsId, Options};
use std::path::Path;

/// A database of jdb with default options, but for its memory.
#[derive(Debug)]
pub struct JdbStore {
    db: Db,
    replayed_len: u64,
}

impl JdbStore {
    async fn open_with(options: Options) -> Result<Self> {
        let db = jdb::open(options).await?;
        let replayed_len = db.stats().shards.iter().map(|shard| shard.unflushed_len).sum();
        Ok(Self { db, replayed_len })
    }
}

impl Store for JdbStore {
    async fn open(path: &Path, memory_len: usize) -> Result<Self> {
        Self::open_with(Options { memory: memory_len, ..Options::at(path) }).await
    }

    async fn open_to_evict(path: &Path, memory_len: usize) -> Result<Self> {
        Self::open_with(Options { memory: memory_len, mapped_reads: false, ..Options::at(path) }).await
    }

    fn replayed_len(&self) -> Option<u64> {
        Some(self.replayed_len)
    }

    fn reads(&self) -> Option<u64> {
        Some(self.db.stats().io.reads)
    }

    async fn put(&self, rows: Vec<Row>) -> Result<()> {
        self.db.put_many(rows.into_iter().map(|row| (row.ns, row.key, row.value))).await?;
        Ok(())
    }

    async fn get(&self, ns: u64, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        show(self.db.ns(ns).get(key).await?.as_deref());
        Ok(())
    }

    async fn drop_ns(&self, ns: u64) -> Result<()> {
        self.db.drop_ns(ns).await?;
        Ok(())
    }

    async fn list(&self, after: Option<u64>, limit: usize, mut show: impl FnMut(u64)) -> Result<()> {
        let mut page = self.db.namespaces().limit(limit);
        if let Some(after) = after {
            page = page.after(after);
        }
        while let Some(ns) = page.next().await? {
            // What is no number of 64 bits was not put here.
            show(number(ns).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        self.db.flush().await?;
        Ok(self.db.settle().await?)
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }
}

fn number(ns: NsId) -> Option<u64> {
    u64::try_from(ns.id()).ok()
}
