//! A batch: several operations on one namespace, committed together.

use crate::db::Inner;
use crate::error::Result;
use crate::write::{Commit, Write};
use bytes::Bytes;
use jdb_base::NsId;
use jdb_ns::{Durability, Handle, Op, delete_op, put_op};
use std::fmt;
use std::rc::Rc;

/// Operations on one namespace that happen all or not at all, also after a crash. Of several on one key the last wins.
///
/// Limits: 1 Mi operations, 2 GiB of keys and values.
pub struct Batch {
    inner: Rc<Inner>,
    handle: Handle,
    ns: NsId,
    ops: Vec<Op>,
    durability: Durability,
}

impl Batch {
    pub(crate) fn new(inner: Rc<Inner>, handle: Handle) -> Self {
        let (durability, ns) = (inner.durability, handle.id());
        Self { inner, handle, ns, ops: Vec::new(), durability }
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.put_bytes(key, Bytes::copy_from_slice(value.as_ref()))
    }

    /// Sets `key` to a value that is not copied.
    pub fn put_bytes(&mut self, key: impl AsRef<[u8]>, value: Bytes) -> &mut Self {
        self.ops.push(put_op(self.ns, key.as_ref(), value));
        self
    }

    /// Deletes `key`, whether it exists or not.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.ops.push(delete_op(self.ns, key.as_ref()));
        self
    }

    /// What the acknowledgement of this batch promises, instead of the database's default.
    pub fn durability(&mut self, durability: Durability) -> &mut Self {
        self.durability = durability;
        self
    }

    /// Operations in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is nothing in it; committing it then writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Takes everything out of it again.
    pub fn clear(&mut self) {
        self.ops.clear();
    }

    /// Commits it. From the first poll on it belongs to the database: dropping the future drops only the answer.
    ///
    /// # Errors
    /// Those of [`Namespace::put`](crate::Namespace::put); [`TooLarge`](crate::ErrorKind::TooLarge) over a limit.
    pub async fn commit(self) -> Result<Commit> {
        Write::new(self.inner, self.handle, self.ns, self.ops).durability(self.durability).await
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("ns", &self.ns).field("len", &self.ops.len()).finish_non_exhaustive()
    }
}
