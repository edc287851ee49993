//! The syncer of a shard: one sync for all that wait, and one at least every sync interval while something is unsynced.
//!
//! A segment that was closed is synced at once, while the next one is filled: nobody waits for it, and who writes on and on never comes to
//! where too many segments are unsynced.

use crate::commit::fail_all;
use crate::error::Error;
use crate::shard::Shard;
use futures::future::{Either, select};
use jdb_val::LogPos;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Runs until the shard stops or must not write any more.
pub(crate) async fn run(shard: Rc<Shard>) {
    while !shard.stopping.get() && shard.poison.borrow().is_none() {
        if !shard.sync_wanted.get() {
            if shard.closed_is_due() {
                shard.sync_closed_now().await;
                continue;
            }
            match shard.sync_deadline() {
                None => {
                    shard.wait_until_dirty().await;
                    continue;
                }
                Some(left) if !left.is_zero() => {
                    let (due, timer) = (pin!(shard.sync_due.wait()), pin!(shard.disk.sleep(left)));
                    if let Either::Left(_) = select(due, timer).await {
                        continue;
                    }
                }
                Some(_) => {}
            }
        }
        shard.sync_now().await;
    }
    if !shard.stopping.get() {
        // Something else than the log failed: what was acknowledged keeps its promise.
        drop(shard.log.sync().await);
    }
}

impl Shard {
    /// Time until unsynced records are old enough; `None` when nothing is unsynced.
    fn sync_deadline(&self) -> Option<Duration> {
        let since = self.dirty_since.get()?;
        // A margin for the sync itself, so that the promise of the interval holds.
        let wait = self.settings.sync_interval * 4 / 5;
        Some((since + wait).saturating_sub(self.disk.now()))
    }

    /// Whether a closed segment is to be synced. After a sync for which there was no room the next one is tried when its time has come.
    fn closed_is_due(&self) -> bool {
        self.sync_error.borrow().is_none() && self.log.has_unsynced_closed()
    }

    /// Waits for something to sync. When nothing comes for a while after a sync, a mark notes in the log how far it is
    /// durable: damage to what the burst wrote is then told from a torn tail.
    async fn wait_until_dirty(&self) {
        if self.mark_due.replace(false) {
            let (due, timer) =
                (pin!(self.sync_due.wait()), pin!(self.disk.sleep(self.settings.sync_interval)));
            if let Either::Left(_) = select(due, timer).await {
                return;
            }
            // Best effort: a failed mark fails nothing else.
            drop(self.log.mark().await);
        } else {
            self.sync_due.wait().await;
        }
    }

    /// One sync: everything written before it is durable afterwards, and those who wait for that are answered.
    async fn sync_now(self: &Rc<Self>) {
        if self.stopping.get() {
            return;
        }
        self.sync_wanted.set(false);
        self.dirty_since.set(None);
        let result = self.log.sync().await;
        self.mark_due.set(self.mark_due.get() || result.is_ok());
        self.sync_over(result);
    }

    /// One sync of what nothing is appended to any more.
    async fn sync_closed_now(self: &Rc<Self>) {
        let begun = self.segment_begun.get();
        let result = self.log.sync_closed().await;
        // What is left was written after the newest segment began.
        let left_since = self.dirty_since.get().map(|since| since.max(begun));
        self.dirty_since.set(left_since);
        self.sync_over(result);
    }

    fn sync_over(self: &Rc<Self>, result: jdb_val::Result<LogPos>) {
        match result {
            Ok(end) => {
                *self.sync_error.borrow_mut() = None;
                self.count(|counts| counts.syncs += 1);
                self.answer_synced(end);
                self.synced.notify();
            }
            Err(error) if error.is_no_space() && !self.log.is_poisoned() => {
                self.sync_later(&Error::from(error))
            }
            Err(error) => self.poison(&Error::from(error)),
        }
    }

    /// The recovered tail could not be written again for want of room: nothing is in doubt, only not durable yet.
    fn sync_later(&self, error: &Error) {
        *self.sync_error.borrow_mut() = Some(error.again());
        self.dirty_since.set(Some(self.disk.now()));
        let waiting = std::mem::take(&mut *self.unsynced.borrow_mut());
        fail_all(waiting.iter().map(|u| &u.reply), error);
        self.synced.notify();
    }

    fn answer_synced(self: &Rc<Self>, end: LogPos) {
        let waiting = std::mem::take(&mut *self.unsynced.borrow_mut());
        let (reached, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|u| u.end <= end);
        self.unsynced.borrow_mut().extend(rest);
        self.sync_commits.set(self.sync_commits.get() || !reached.is_empty());
        if !self.unsynced.borrow().is_empty() {
            self.want_sync();
        }
        for unsynced in reached {
            unsynced.reply.give(Ok(self.committed(unsynced.seq, unsynced.end)));
        }
    }
}
