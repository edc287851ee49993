//! A commit on its way: the operations, what its caller waits for, and the answer.
//!
//! The shard owns a mutation from the moment it is handed in. A caller that drops its future drops only the answer.

use crate::error::{Error, Result};
use crate::shard::Shard;
use jdb_base::{NsId, SeqNo};
use jdb_val::{LogPos, Op};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// Survives the death of the process; survives a power cut once synced, within the sync interval (500 ms).
    #[default]
    Os,
    /// Survives a power cut.
    Sync,
}

/// An acknowledged commit.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Sequence of its last operation.
    pub seq: SeqNo,
    /// Where its last record ends.
    pub(crate) end: LogPos,
    pub(crate) shard: Rc<Shard>,
}

impl Committed {
    /// Waits until this commit survives a power cut; at once when it already does.
    ///
    /// # Errors
    /// The shard stopped writing before its sync.
    pub async fn durable(&self) -> Result<()> {
        self.shard.wait_synced(self.end).await
    }
}

/// Where a commit's answer is put, and who waits for it.
#[derive(Default, Debug)]
pub(crate) struct Reply {
    answer: RefCell<Option<Result<Committed>>>,
    waker: RefCell<Option<Waker>>,
    /// The caller's future is gone.
    abandoned: Cell<bool>,
}

impl Reply {
    pub(crate) fn give(&self, answer: Result<Committed>) {
        if self.abandoned.get() {
            return;
        }
        *self.answer.borrow_mut() = Some(answer);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits for the answer. Dropping this future leaves the commit as it is.
    pub(crate) async fn wait(self: Rc<Self>) -> Result<Committed> {
        let guard = Abandon(self);
        poll_fn(|cx| match guard.0.answer.borrow_mut().take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                *guard.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Breaks the circle reply -> answer -> shard -> queue when nobody will read the answer.
struct Abandon(Rc<Reply>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandoned.set(true);
        self.0.answer.borrow_mut().take();
    }
}

/// A commit in the shard's queue.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) ops: Vec<Op>,
    pub(crate) len: usize,
    pub(crate) durability: Durability,
    /// It happens only if all of these hold when its turn comes.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) reply: Rc<Reply>,
}

/// A commit happens only while a key is as its caller read it.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) ns: NsId,
    /// Engine key.
    pub(crate) key: Vec<u8>,
    /// The caller read as of this sequence.
    pub(crate) read_at: SeqNo,
}

/// A commit that is written and waits for a sync that reaches `end`.
#[derive(Debug)]
pub(crate) struct Unsynced {
    pub(crate) seq: SeqNo,
    pub(crate) end: LogPos,
    pub(crate) reply: Rc<Reply>,
}

/// Fails every one of `replies` with the same error.
pub(crate) fn fail_all<'a>(replies: impl Iterator<Item = &'a Rc<Reply>>, error: &Error) {
    for reply in replies {
        reply.give(Err(error.again()));
    }
}
