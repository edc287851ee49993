//! A limit to what a namespace holds. It is given with the handle: the program knows the plan of its user.
//!
//! What is in use is loaded at the handle's first write, then counted in memory. Only puts count, and whole: what they overwrite
//! and what is deleted is found out when the limit is reached, by looking again.

use crate::error::{Error, Result};
use crate::manager::Manager;
use jdb_base::NsId;
use jdb_val::{Op, RecordKind};
use std::cell::Cell;
use std::time::Duration;

/// Puts of a batch whose old values are looked up to see by how much it grows.
const LOOKED_UP_MAX: usize = 1024;
/// Time between two walks over a namespace that is full, unless something was deleted.
const WALK_PAUSE: Duration = Duration::from_secs(1);

/// The limit of one handle and its clones, and what it has counted.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    /// Bytes in use, once they were loaded; at least, if others write too; at most, if rows are overwritten or deleted.
    used: Cell<Option<u64>>,
    /// Bytes that were ever let in.
    admitted: Cell<u64>,
    /// Those of them that are on their way.
    pending: Cell<u64>,
    /// When everything was counted by a walk, and whether something was deleted since then.
    walked: Cell<Option<Duration>>,
    deleted: Cell<bool>,
}

/// Bytes that were let in, until their commit is answered.
#[must_use]
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    quota: &'a Quota,
    len: u64,
}

/// Takes note of how a commit went: what did not happen takes no room.
pub(crate) fn settle<T>(admitted: Option<Admitted<'_>>, done: Result<T>) -> Result<T> {
    if let (Some(Admitted { quota, len }), Err(_)) = (&admitted, &done) {
        quota.used.set(quota.used.get().map(|used| used.saturating_sub(*len)));
    }
    done
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.quota.pending.set(self.quota.pending.get().saturating_sub(self.len));
    }
}

impl Quota {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: Cell::new(None),
            admitted: Cell::new(0),
            pending: Cell::new(0),
            walked: Cell::new(None),
            deleted: Cell::new(false),
        }
    }

    /// Lets operations on `ns` in, whose keys were made for `made_for`.
    ///
    /// # Errors
    /// [`Error::Quota`] when they would make it too large; what cannot be read.
    pub(crate) async fn admit(
        &self,
        manager: &Manager,
        ns: NsId,
        made_for: NsId,
        ops: &[Op],
    ) -> Result<Admitted<'_>> {
        if ops.iter().any(|op| op.kind != RecordKind::Put) {
            self.deleted.set(true);
        }
        let prefix_len = made_for.encoded_len();
        let put_len = |op: &Op| (op.key.len().saturating_sub(prefix_len) + op.value.len()) as u64;
        let puts = || ops.iter().filter(|op| op.kind == RecordKind::Put);
        let more: u64 = puts().map(put_len).sum();
        if more == 0 {
            return Ok(Admitted { quota: self, len: 0 });
        }
        if self.used.get().is_none_or(|used| used.saturating_add(more) > self.limit) {
            let (pending, admitted) = (self.pending.get(), self.admitted.get());
            let held = self.look(manager, ns, more).await?;
            // What was let in meanwhile may be in the count or not.
            self.used.set(Some(held + pending + (self.admitted.get() - admitted)));
        }
        let fits = |more| self.used.get().is_some_and(|used| used.saturating_add(more) <= self.limit);
        let mut growth = more;
        if !fits(more) && puts().count() <= LOOKED_UP_MAX {
            for op in puts() {
                let user_key = op.key.get(prefix_len..).unwrap_or_default();
                if let Some(old) = manager.value_len(ns, user_key).await? {
                    growth = growth.saturating_sub(user_key.len() as u64 + old);
                }
            }
        }
        if growth > 0 && !fits(growth) {
            let used = self.used.get().unwrap_or(0);
            return Err(Error::Quota { ns, used, more: growth, limit: self.limit });
        }
        self.used.set(self.used.get().map(|used| used + growth));
        self.admitted.set(self.admitted.get() + growth);
        self.pending.set(self.pending.get() + growth);
        Ok(Admitted { quota: self, len: growth })
    }

    /// What the namespace holds; by a walk when the tables do not know it exactly and `more` would not fit.
    async fn look(&self, manager: &Manager, ns: NsId, more: u64) -> Result<u64> {
        let stats = manager.ns_stats(ns).await?;
        let now = manager.disk().now();
        let is_due = self.walked.get().is_none_or(|walked| now.saturating_sub(walked) >= WALK_PAUSE);
        if stats.is_exact || stats.len().saturating_add(more) <= self.limit || !(is_due || self.deleted.get())
        {
            return Ok(stats.len());
        }
        self.walked.set(Some(now));
        self.deleted.set(false);
        let mut len = 0;
        let mut scan = manager.scan(ns, &[], None);
        while scan.next().await? {
            if let Some(row) = scan.row() {
                len += row.key().len() as u64 + row.value_len()?;
            }
        }
        Ok(len)
    }
}
