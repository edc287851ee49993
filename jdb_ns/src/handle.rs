//! A namespace as its user holds it: an id or a name, and perhaps a quota. What writes into one namespace goes through here.

use crate::catalog::{Named, Target};
use crate::commit::{Committed, Condition, Durability};
use crate::error::{Error, Result};
use crate::manager::Manager;
use crate::quota::{self, Admitted, Quota};
use bytes::Bytes;
use jdb_base::{Class, NsId};
use jdb_val::{Op, RecordKind};
use std::rc::Rc;

/// A namespace as its user holds it. Cheap to clone; clones share name and quota.
#[derive(Clone, Debug)]
pub struct Handle {
    id: NsId,
    pub(crate) named: Option<Rc<Named>>,
    quota: Option<Rc<Quota>>,
}

impl Handle {
    /// The namespace of this id.
    #[must_use]
    pub fn new(id: NsId) -> Self {
        Self { id, named: None, quota: None }
    }

    /// The same with a limit to the bytes of keys and values that it may come to hold.
    #[must_use]
    pub fn with_quota(self, limit: u64) -> Self {
        Self { quota: Some(Rc::new(Quota::new(limit))), ..self }
    }

    /// The id; of a name that has none yet 0 in the class of names, which is nobody's.
    #[must_use]
    pub fn id(&self) -> NsId {
        self.named.as_ref().map_or(self.id, |named| named.id())
    }

    /// The name, if it is held by one.
    #[must_use]
    pub fn name(&self) -> Option<Bytes> {
        self.named.as_ref().map(|named| named.name())
    }

    /// Asks the quota, if there is one.
    async fn admit(
        &self,
        manager: &Manager,
        ns: NsId,
        made_for: NsId,
        ops: &[Op],
    ) -> Result<Option<Admitted<'_>>> {
        match &self.quota {
            Some(quota) => Ok(Some(Box::pin(quota.admit(manager, ns, made_for, ops)).await?)),
            None => Ok(None),
        }
    }
}

impl Manager {
    /// The namespace of a name, which need not exist: the first put makes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty name, [`Error::TooLarge`] for one over 1 KiB; what cannot be read.
    pub async fn named(&self, name: &[u8]) -> Result<Handle> {
        let named = self.catalog().named(name).await?;
        Ok(Handle { id: named.id(), named: Some(named), quota: None })
    }

    /// Gives a namespace another name, durably.
    ///
    /// # Errors
    /// [`Error::NoName`], [`Error::NameTaken`]; those of [`Manager::named`] and [`Manager::commit`].
    pub async fn rename(&self, old: &[u8], new: &[u8]) -> Result<()> {
        self.catalog().rename(old, new).await
    }

    /// The name of an id, if it has one.
    ///
    /// # Errors
    /// What cannot be read.
    pub async fn name_of(&self, ns: NsId) -> Result<Option<Bytes>> {
        if ns.class() != Class::Named {
            return Ok(None);
        }
        Ok(self.catalog().name_of(ns).await?.1)
    }

    /// Commits `ops`, whose keys were made for `made_for`, in the namespace that the handle stands for.
    ///
    /// # Errors
    /// [`Error::Quota`]; [`Error::InvalidArgument`] for puts into an id of a name that was not reached by the name; those of
    /// [`Manager::commit`].
    pub async fn write(
        &self,
        handle: &Handle,
        made_for: NsId,
        ops: Vec<Op>,
        durability: Durability,
    ) -> Result<Committed> {
        let admitted = handle.admit(self, handle.id(), made_for, &ops).await?;
        // The rarer ways in boxes: a caller keeps the whole future, and a plain put shall be a short one.
        let done = match &handle.named {
            Some(named) => Box::pin(self.catalog().write(named, made_for, &ops, durability)).await,
            None => self.write_by_id(handle.id, ops, durability).await,
        };
        quota::settle(admitted, done)
    }

    async fn write_by_id(&self, ns: NsId, ops: Vec<Op>, durability: Durability) -> Result<Committed> {
        match ns.class() {
            Class::User => self.commit(ns, ops, durability).await,
            Class::Named if ops.iter().all(|op| op.kind == RecordKind::Drop) && !ops.is_empty() => {
                Box::pin(self.catalog().drop_ns(ns, durability)).await
            }
            _ => Err(by_id(ns)),
        }
    }

    /// Where a write goes, and into which namespace its keys have to be.
    pub(crate) async fn target(&self, handle: &Handle) -> Result<(Option<Target>, NsId)> {
        let Some(named) = &handle.named else {
            let is_user = handle.id.class() == Class::User;
            return if is_user { Ok((None, handle.id)) } else { Err(by_id(handle.id)) };
        };
        let target = self.catalog().target(named).await?;
        let ns = if let Target::Is { ns, .. } = &target { *ns } else { named.id() };
        Ok((Some(target), ns))
    }

    /// One attempt to commit an operation on a key that was read, while it is as it was.
    pub(crate) async fn commit_if(
        &self,
        handle: &Handle,
        target: Option<Target>,
        op: Op,
        condition: Condition,
        durability: Durability,
    ) -> Result<Committed> {
        let (made_for, ops) = (condition.ns, vec![op]);
        let admitted = handle.admit(self, made_for, made_for, &ops).await?;
        let done = match (target, &handle.named) {
            (Some(target), Some(named)) => {
                // A namespace that is still to be made has no key that could have changed.
                let condition = matches!(target, Target::Is { .. }).then_some(condition);
                self.catalog().commit(named, target, made_for, &ops, condition, durability).await
            }
            _ => self.shards_of().commit(made_for, ops, durability, vec![condition]).await,
        };
        quota::settle(admitted, done)
    }
}

/// Only who comes by the name writes there: by the id alone nobody knows whether it still has one.
pub(crate) fn by_id(ns: NsId) -> Error {
    let what = match ns.class() {
        Class::Named => "a namespace that has a name is written to by its name",
        _ => "a namespace of rows that are not the user's",
    };
    Error::InvalidArgument { what }
}
