//! The shards of a database, and which of them a namespace or a name belongs to.

use crate::commit::{Committed, Condition, Durability};
use crate::error::{Error, Result};
use crate::read::find_in;
use crate::shard::{Shard, View};
use jdb_base::{NsId, key};
use jdb_lsm::Found;
use jdb_val::{Op, RecordKind};
use std::ops::Deref;
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// All shards of a database; their number is a power of two.
#[derive(Debug)]
pub(crate) struct Shards {
    list: Vec<Rc<Shard>>,
    hash_seed: u64,
}

impl Shards {
    pub(crate) fn new(list: Vec<Rc<Shard>>, hash_seed: u64) -> Self {
        Self { list, hash_seed }
    }

    /// The shard of a namespace.
    pub(crate) fn of(&self, ns: NsId) -> &Rc<Shard> {
        self.at(self.index_of(ns))
    }

    pub(crate) fn index_of(&self, ns: NsId) -> usize {
        self.index(&ns.id().to_be_bytes())
    }

    /// The shard that holds the catalog's entry of a name.
    pub(crate) fn of_name(&self, name: &[u8]) -> &Rc<Shard> {
        self.at(self.index_of_name(name))
    }

    pub(crate) fn index_of_name(&self, name: &[u8]) -> usize {
        self.index(name)
    }

    fn index(&self, bytes: &[u8]) -> usize {
        xxh3_64_with_seed(bytes, self.hash_seed) as usize & (self.list.len() - 1)
    }

    fn at(&self, index: usize) -> &Rc<Shard> {
        #[expect(clippy::indexing_slicing, reason = "masked by a power of two, the number of shards")]
        &self.list[index]
    }

    /// The newest entry of an engine key of `ns`, and what was read. Its value stays where it is while the view is held.
    pub(crate) async fn find(&self, ns: NsId, key: &[u8]) -> Result<(View, Option<Found>)> {
        let shard = self.of(ns);
        let view = shard.view_at(ns, shard.visible.get());
        let found = find_in(&view, key).await?;
        Ok((view, found))
    }

    /// Commits operations of one namespace as one batch, if the conditions hold when its turn comes.
    ///
    /// # Errors
    /// [`Error::Stale`]; those of [`Manager::commit`](crate::Manager::commit).
    pub(crate) async fn commit(
        &self,
        ns: NsId,
        ops: Vec<Op>,
        durability: Durability,
        conditions: Vec<Condition>,
    ) -> Result<Committed> {
        check_ops(ns, &ops)?;
        self.hand_over(self.of(ns), ops, durability, conditions).await
    }

    /// As [`Shards::commit`], of operations whose keys need no check, in this shard.
    pub(crate) async fn hand_over(
        &self,
        shard: &Rc<Shard>,
        ops: Vec<Op>,
        durability: Durability,
        conditions: Vec<Condition>,
    ) -> Result<Committed> {
        if ops.is_empty() {
            shard.check_writable()?;
            return Ok(shard.committed(shard.visible.get(), shard.inserted.get()));
        }
        if ops.iter().any(|op| op.kind == RecordKind::Drop) {
            Box::pin(shard.wait_for_drop_room()).await?;
        }
        shard.commit(ops, durability, conditions)?.wait().await
    }
}

impl Deref for Shards {
    type Target = [Rc<Shard>];

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

/// Whether operations of `ns` keep the limits.
pub(crate) fn check_ops(ns: NsId, ops: &[Op]) -> Result<()> {
    check_batch(ops)?;
    let prefix_len = ns.encoded_len();
    for op in ops {
        // The limit is on what the user gave: the id before it takes more or less room.
        let key_len = op.key.len().saturating_sub(prefix_len);
        if key_len > key::KEY_LEN_MAX {
            return Err(too_large("key", key_len, key::KEY_LEN_MAX));
        }
        if op.value.len() > key::VALUE_LEN_MAX {
            return Err(too_large("value", op.value.len(), key::VALUE_LEN_MAX));
        }
    }
    Ok(())
}

/// Whether a batch keeps the limits.
pub(crate) fn check_batch(ops: &[Op]) -> Result<()> {
    if ops.len() > key::BATCH_COUNT_MAX {
        return Err(too_large("batch operations", ops.len(), key::BATCH_COUNT_MAX));
    }
    let len = ops.iter().fold(0usize, |len, op| len.saturating_add(op.key.len() + op.value.len()));
    if len > key::BATCH_LEN_MAX {
        return Err(too_large("batch bytes", len, key::BATCH_LEN_MAX));
    }
    Ok(())
}

pub(crate) fn too_large(what: &'static str, len: usize, max: usize) -> Error {
    Error::TooLarge { what, len: len as u64, max: max as u64 }
}
