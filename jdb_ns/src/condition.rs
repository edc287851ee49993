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
use crate::manager::Manager;
use crate::read::find_in;
use crate::writer::{delete_op, put_op};
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key};
use jdb_lsm::{Found, Payload};

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
    /// [`Error::Conflict`] when it is not; those of [`Manager::get`] and [`Manager::commit`].
    pub async fn put_if(
        &self,
        ns: NsId,
        key: &[u8],
        expected: Expected<'_>,
        value: Bytes,
        durability: Durability,
    ) -> Result<Committed> {
        let op = put_op(ns, key, value);
        let shard = self.shard_for(ns, std::slice::from_ref(&op))?;
        loop {
            let (read_at, found) = self.find(ns, &op.key).await?;
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
                    same_len && shard.value_of(found, &op.key).await?.as_deref() == Some(expected)
                }
                _ => false,
            };
            if !holds {
                return Err(Error::Conflict { found: seq });
            }
            let condition = Condition { ns, key: op.key.clone(), read_at };
            match shard.commit(vec![op.clone()], durability, Some(condition))?.wait().await {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
    }

    /// Reads `key`, lets `change` say what it becomes (`None`: deleted), and commits that if nobody changed the key meanwhile;
    /// else all over again. Nothing is written when an absent key stays absent.
    ///
    /// # Errors
    /// Those of [`Manager::get`] and [`Manager::commit`].
    pub async fn update(
        &self,
        ns: NsId,
        key: &[u8],
        mut change: impl FnMut(Option<Bytes>) -> Option<Bytes>,
        durability: Durability,
    ) -> Result<Committed> {
        if key.len() > key::KEY_LEN_MAX {
            let (len, max) = (key.len() as u64, key::KEY_LEN_MAX as u64);
            return Err(Error::TooLarge { what: "key", len, max });
        }
        let engine_key = key::engine_key(ns, key);
        loop {
            let (read_at, found) = self.find(ns, &engine_key).await?;
            let shard = self.shard(ns);
            let old = match found {
                None => None,
                Some(found) => shard.value_of(found, &engine_key).await?,
            };
            let was_there = old.is_some();
            let op = match change(old) {
                Some(value) => put_op(ns, key, value),
                None if was_there => delete_op(ns, key),
                None => return self.commit(ns, Vec::new(), durability).await,
            };
            let shard = self.shard_for(ns, std::slice::from_ref(&op))?;
            let condition = Condition { ns, key: engine_key.clone(), read_at };
            match shard.commit(vec![op], durability, Some(condition))?.wait().await {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
    }

    /// The newest entry of an engine key, and the sequence it was read at.
    async fn find(&self, ns: NsId, key: &[u8]) -> Result<(SeqNo, Option<Found>)> {
        let shard = self.shard(ns);
        let view = shard.view_at(ns, shard.visible.get());
        Ok((view.seq, find_in(&view, key).await?))
    }
}
