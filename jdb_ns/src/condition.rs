//! Writes that happen only while a key is as it was read: compare-and-set, and read-modify-write.
//!
//! ```text
//! read at sequence R -> decide -> commit with the condition "nobody changed the key after R"
//!          ^                                 |
//!          +--------- overtaken -------------+   (the writer looks, without suspending, before it takes the commit)
//! ```
//!
//! Whoever is overtaken reads again: somebody else's commit went through, so that the shard as a whole always gets on.

use crate::commit::{Committed, Condition, Durability};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::manager::Manager;
use crate::shards::{check_ops, too_large};
use crate::writer::{delete_op, put_op};
use bytes::Bytes;
use jdb_base::{SeqNo, key};
use jdb_lsm::Payload;

/// What a key has to be for a write to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected<'a> {
    /// Not there.
    Absent,
    /// There, with exactly this value.
    Value(&'a [u8]),
    /// There, and last changed at this sequence.
    Seq(SeqNo),
}

impl Manager {
    /// Puts `value` if `key` is as expected.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not; those of [`Manager::get`] and [`Manager::write`].
    pub async fn put_if(
        &self,
        handle: &Handle,
        key: &[u8],
        expected: Expected<'_>,
        value: Bytes,
        durability: Durability,
    ) -> Result<Committed> {
        check_ops(handle.id(), &[put_op(handle.id(), key, value.clone())])?;
        loop {
            let (target, ns) = self.target(handle).await?;
            let op = put_op(ns, key, value.clone());
            let (view, found) = self.shards_of().find(ns, &op.key).await?;
            let found = found.filter(|found| found.payload != Payload::Tombstone);
            let seq = found.as_ref().map(|found| found.seq);
            let holds = match (expected, found) {
                (Expected::Absent, None) => true,
                (Expected::Seq(expected), Some(found)) => found.seq == expected,
                (Expected::Value(expected), Some(found)) => {
                    // A value of another length need not be read.
                    let same_len = match &found.payload {
                        Payload::Pointer(ptr) => ptr.len as usize == expected.len(),
                        _ => true,
                    };
                    same_len && self.shard(ns).value_of(found, &op.key).await?.as_deref() == Some(expected)
                }
                _ => false,
            };
            if !holds {
                return Err(Error::Conflict { found: seq });
            }
            let condition = Condition { ns, key: op.key.clone(), read_at: view.seq };
            drop(view);
            match self.commit_if(handle, target, op, condition, durability).await {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
    }

    /// Reads `key`, lets `change` say what it becomes (`None`: deleted), and commits that if nobody changed the key meanwhile;
    /// else all over again. Nothing is written when an absent key stays absent.
    ///
    /// # Errors
    /// Those of [`Manager::get`] and [`Manager::write`].
    pub async fn update(
        &self,
        handle: &Handle,
        key: &[u8],
        mut change: impl FnMut(Option<Bytes>) -> Option<Bytes>,
        durability: Durability,
    ) -> Result<Committed> {
        if key.len() > key::KEY_LEN_MAX {
            return Err(too_large("key", key.len(), key::KEY_LEN_MAX));
        }
        loop {
            let (target, ns) = self.target(handle).await?;
            let engine_key = key::engine_key(ns, key);
            let (view, found) = self.shards_of().find(ns, &engine_key).await?;
            let old = match found {
                None => None,
                Some(found) => self.shard(ns).value_of(found, &engine_key).await?,
            };
            let was_there = old.is_some();
            let op = match change(old) {
                Some(value) => put_op(ns, key, value),
                None if was_there => delete_op(ns, key),
                None => return self.shards_of().commit(ns, Vec::new(), durability, Vec::new()).await,
            };
            check_ops(ns, std::slice::from_ref(&op))?;
            let condition = Condition { ns, key: engine_key, read_at: view.seq };
            drop(view);
            match self.commit_if(handle, target, op, condition, durability).await {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
    }
}
