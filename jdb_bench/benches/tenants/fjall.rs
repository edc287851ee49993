//! fjall as a store of namespaces: one keyspace, the namespace's number in front of each key, values in the tree.

use ::fjall::config::CompressionPolicy;
use ::fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use jdb_tenants::{Error, KEY_LEN, Key, Result, Row, Store, system};
use std::path::Path;
use std::time::Duration;

const NS_LEN: usize = size_of::<u64>();
/// Rows that a drop deletes in one commit.
const DROP_ROWS: usize = 1000;

/// A keyspace that all namespaces share.
pub(crate) struct FjallStore {
    db: Database,
    rows: Keyspace,
    replayed_len: u64,
}

impl Store for FjallStore {
    async fn open(path: &Path, memory_len: usize) -> Result<Self> {
        // What is in journals now. Their length says nothing: they are longer than what is in them.
        let mut replayed_len = 0;
        if path.is_dir() {
            system::each_file::<Error>(path, &mut |file| {
                if file.extension().is_some_and(|end| end == "jnl") {
                    replayed_len += system::disk_len(file)?;
                }
                Ok(())
            })?;
        }
        let db = Database::builder(path)
            .cache_size(memory_len as u64 / 4)
            .journal_compression(CompressionType::None)
            .open()
            .map_err(Error::store)?;
        let options = KeyspaceCreateOptions::default()
            .max_memtable_size(memory_len as u64 / 4)
            .data_block_compression_policy(CompressionPolicy::disabled());
        let rows = db.keyspace("rows", || options).map_err(Error::store)?;
        Ok(Self { db, rows, replayed_len })
    }

    fn replayed_len(&self) -> Option<u64> {
        Some(self.replayed_len)
    }

    fn reads(&self) -> Option<u64> {
        system::read_calls()
    }

    async fn put(&self, rows: Vec<Row>) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for row in rows {
            batch.insert(&self.rows, engine_key(row.ns, &row.key), row.value);
        }
        batch.commit().map_err(Error::store)
    }

    async fn get(&self, ns: u64, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()> {
        show(self.rows.get(engine_key(ns, key)).map_err(Error::store)?.as_deref());
        Ok(())
    }

    async fn drop_ns(&self, ns: u64) -> Result<()> {
        let mut keys = self.rows.prefix(ns.to_be_bytes()).map(|row| row.key()).peekable();
        while keys.peek().is_some() {
            let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
            for key in keys.by_ref().take(DROP_ROWS) {
                batch.remove(&self.rows, key.map_err(Error::store)?);
            }
            batch.commit().map_err(Error::store)?;
        }
        Ok(())
    }

    async fn list(&self, after: Option<u64>, limit: usize, mut show: impl FnMut(u64)) -> Result<()> {
        let mut from = after.map_or(0, |after| after + 1);
        for _ in 0..limit {
            let Some(row) = self.rows.range(from.to_be_bytes()..).next() else { break };
            let key = row.key().map_err(Error::store)?;
            // Nobody else writes here: each key begins with a number.
            let ns = key.first_chunk().map_or(u64::MAX, |ns| u64::from_be_bytes(*ns));
            show(ns);
            from = ns.saturating_add(1);
        }
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        self.rows.rotate_memtable_and_wait().map_err(Error::store)?;
        // It has no call that waits for compactions: idle is when none runs and none has ended for a while.
        let (mut idle, mut before) = (0, 0);
        while idle < 5 {
            std::thread::sleep(Duration::from_millis(20));
            let done = self.db.compactions_completed();
            let busy = self.db.active_compactions() + self.db.outstanding_flushes() > 0 || done != before;
            idle = if busy { 0 } else { idle + 1 };
            before = done;
        }
        self.db.persist(PersistMode::SyncAll).map_err(Error::store)
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}

fn engine_key(ns: u64, key: &Key) -> [u8; NS_LEN + KEY_LEN] {
    let mut whole = [0; NS_LEN + KEY_LEN];
    let (front, back) = whole.split_at_mut(NS_LEN);
    front.copy_from_slice(&ns.to_be_bytes());
    back.copy_from_slice(key);
    whole
}
