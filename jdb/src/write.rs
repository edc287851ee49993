//! A write on its way, and what is known once it is acknowledged.

use crate::db::Inner;
use crate::error::{Error, Result};
use jdb_base::{NsId, SeqNo};
use jdb_ns::{Committed, Durability, Handle, Op};
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::rc::Rc;

/// A put, delete or drop that begins when it is awaited.
///
/// Nothing happens before the first poll. From then on the write belongs to the database: dropping the future drops only
/// the answer, and the write happens, or not, as a whole.
#[must_use = "a write happens when it is awaited"]
pub struct Write {
    inner: Rc<Inner>,
    handle: Handle,
    /// The namespace that the keys were made for.
    ns: NsId,
    ops: Vec<Op>,
    durability: Durability,
}

impl Write {
    pub(crate) fn new(inner: Rc<Inner>, handle: Handle, ns: NsId, ops: Vec<Op>) -> Self {
        let durability = inner.durability;
        Self { inner, handle, ns, ops, durability }
    }

    /// What the acknowledgement of this write promises, instead of the database's default.
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

impl IntoFuture for Write {
    type Output = Result<Commit>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Commit>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let committed = self.inner.manager.write(&self.handle, self.ns, self.ops, self.durability).await;
            Ok(Commit(committed?))
        })
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("ns", &self.ns).field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}

/// Puts into many namespaces that begin when they are awaited; from [`Db::put_many`](crate::Db::put_many).
///
/// Nothing happens before the first poll. From then on the writes belong to the database: dropping the future drops only the
/// answer.
#[must_use = "a write happens when it is awaited"]
pub struct WriteMany {
    inner: Rc<Inner>,
    ops: Vec<(NsId, Op)>,
    durability: Durability,
}

impl WriteMany {
    pub(crate) fn new(inner: Rc<Inner>, ops: Vec<(NsId, Op)>) -> Self {
        let durability = inner.durability;
        Self { inner, ops, durability }
    }

    /// What the acknowledgement of these writes promises, instead of the database's default.
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

impl IntoFuture for WriteMany {
    type Output = Result<Vec<Commit>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Vec<Commit>>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let committed = self.inner.manager.commit_many(self.ops, self.durability).await?;
            Ok(committed.into_iter().map(Commit).collect())
        })
    }
}

impl fmt::Debug for WriteMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteMany").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct Commit(pub(crate) Committed);

impl Commit {
    /// Sequence of its last operation in its shard's commit order; rises, and is never given out twice.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.0.seq
    }

    /// Waits until it survives a power cut; at once when it was acknowledged with [`Durability::Sync`].
    ///
    /// # Errors
    /// [`Stopped`](crate::ErrorKind::Stopped) when a sync failed.
    pub async fn durable(&self) -> Result<()> {
        self.0.durable().await.map_err(Error::from)
    }
}
