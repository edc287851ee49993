//! jdb: one task on one thread; reads at once are futures of that thread.

use super::{CACHE_LEN, Change, Engine, Setup, Walk};
use crate::measure::Times;
use crate::rows::Key;
use crate::workload::IN_FLIGHT;
use ::jdb::{Db, Durability, Namespace, Options};
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use jdb_bench::Result;
use std::path::Path;
use std::time::Instant;

/// All rows in one namespace.
pub(crate) struct Jdb {
    db: Db,
    rows: Namespace,
}

impl Engine for Jdb {
    async fn open(dir: &Path, setup: Setup) -> Result<Self> {
        let durability = if setup.sync { Durability::Sync } else { Durability::Os };
        // The memory is that for memtables and all other things too, not for cached blocks alone.
        let db = ::jdb::open(Options { memory: CACHE_LEN, durability, ..Options::at(dir) }).await?;
        let rows = db.ns(1u64);
        Ok(Self { db, rows })
    }

    async fn commit(&self, changes: &[Change<'_>]) -> Result<()> {
        match changes {
            [(key, Some(value))] => self.rows.put(key, value).await?,
            [(key, None)] => self.rows.delete(key).await?,
            _ => {
                let mut batch = self.rows.batch();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.put(key, value),
                        None => batch.delete(key),
                    };
                }
                batch.commit().await?
            }
        };
        Ok(())
    }

    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        show(self.rows.get(key).await?.as_deref());
        Ok(())
    }

    async fn get_many(&self, keys: &[Key], mut show: impl FnMut(usize, Option<&[u8]>)) -> Result<()> {
        for (at, value) in self.rows.multi_get(keys).await?.iter().enumerate() {
            show(at, value.as_deref());
        }
        Ok(())
    }

    async fn get_at_once(
        &self,
        keys: &[Key],
        show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    ) -> Result<Times> {
        let mut times = Times::new()?;
        let get = async |at, key: &Key| {
            let start = Instant::now();
            show(at, self.rows.get(key).await?.as_deref());
            Ok::<_, ::jdb::Error>(start.elapsed())
        };
        let (mut left, mut pending) = (keys.iter().enumerate(), FuturesUnordered::new());
        loop {
            let room = IN_FLIGHT - pending.len();
            pending.extend(left.by_ref().take(room).map(|(at, key)| get(at, key)));
            match pending.try_next().await? {
                Some(time) => times.add(time),
                None => return Ok(times),
            }
        }
    }

    async fn walk(&self, walk: Walk, mut show: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut scan = match (walk.from, walk.backward) {
            (None, _) => self.rows.iter(),
            (Some(key), false) => self.rows.range(key..),
            (Some(key), true) => self.rows.range(..=key),
        };
        if walk.backward {
            scan = scan.rev();
        }
        if !walk.values {
            scan = scan.keys_only();
        }
        scan = scan.limit(walk.limit);
        while let Some(row) = scan.next().await? {
            if walk.values {
                show(row.key(), &row.value().await?);
            } else {
                show(row.key(), &[]);
            }
        }
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        self.db.flush().await?;
        self.db.settle().await?;
        Ok(self.db.sync().await?)
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }
}
