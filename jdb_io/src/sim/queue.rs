//! Operations in flight and timers, and the futures that wait for them.

use super::action::{Action, Effect, Outcome};
use super::faults::FaultKind;
use super::image::Node;
use super::machine::Machine;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What an operation came to, and its buffer.
pub(super) struct Done {
    pub(super) result: io::Result<Outcome>,
    pub(super) buffer: Vec<u8>,
}

/// What a place of the queue is due for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    Effect,
    Completion,
    Timer,
}

/// Operations in flight and timers, by the time they are due.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<usize>,
    /// By time, then by chance.
    pub(super) heap: BinaryHeap<Reverse<(u64, u64, usize, Moment)>>,
}

pub(super) enum Slot {
    Free,
    Operation(Box<Operation>),
    /// Completed, not yet fetched.
    Done(Done),
    Timer {
        waker: Option<Waker>,
    },
    /// A timer whose future is gone.
    Dead,
    /// A timer that rang.
    Rung,
}

pub(super) struct Operation {
    pub(super) action: Action,
    pub(super) fault: Option<FaultKind>,
    pub(super) effect: Option<Effect>,
    /// Its future is gone: whether it happens at all is a matter of chance.
    pub(super) orphan: bool,
    pub(super) waker: Option<Waker>,
}

impl Queue {
    pub(super) fn put(&mut self, slot: Slot) -> usize {
        if let Some(at) = self.free.pop()
            && let Some(place) = self.slots.get_mut(at)
        {
            *place = slot;
            return at;
        }
        self.slots.push(slot);
        self.slots.len() - 1
    }

    pub(super) fn replace(&mut self, at: usize, with: Slot) -> Slot {
        self.slots.get_mut(at).map_or(Slot::Free, |place| std::mem::replace(place, with))
    }

    /// Takes what is there and lets the place be used again.
    pub(super) fn take(&mut self, at: usize) -> Slot {
        self.free.push(at);
        self.replace(at, Slot::Free)
    }
}

/// A lock that nobody will ever hold is given back.
pub(super) fn unlock(done: &Done) {
    if let Ok(Outcome::Node(node)) = &done.result {
        Node::unlock(node);
    }
}

/// An operation's future.
pub(super) struct Waiting<'a> {
    pub(super) machine: &'a Machine,
    pub(super) slot: usize,
    pub(super) over: bool,
}

impl Future for Waiting<'_> {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        let mut queue = self.machine.queue.borrow_mut();
        match queue.slots.get_mut(self.slot) {
            Some(Slot::Operation(operation)) => {
                match &mut operation.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Some(Slot::Done(_)) => {
                let Slot::Done(done) = queue.take(self.slot) else { return Poll::Pending };
                drop(queue);
                self.over = true;
                Poll::Ready(done)
            }
            _ => Poll::Pending,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut queue = self.machine.queue.borrow_mut();
        match queue.slots.get_mut(self.slot) {
            Some(Slot::Operation(operation)) => {
                operation.orphan = true;
                operation.waker = None;
            }
            Some(Slot::Done(_)) => {
                if let Slot::Done(done) = queue.take(self.slot) {
                    unlock(&done);
                }
            }
            _ => {}
        }
    }
}

/// A timer's future.
pub(super) struct Sleep {
    pub(super) machine: Rc<Machine>,
    pub(super) slot: usize,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.machine.queue.borrow_mut();
        if let Some(Slot::Timer { waker }) = queue.slots.get_mut(self.slot) {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let mut queue = self.machine.queue.borrow_mut();
        match queue.slots.get_mut(self.slot) {
            Some(place @ Slot::Timer { .. }) => *place = Slot::Dead,
            Some(Slot::Rung) => {
                queue.take(self.slot);
            }
            _ => {}
        }
    }
}
