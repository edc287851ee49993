//! Small tools for tasks on one thread: an event to wait for, turns, and a step aside.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Wakes every task that waits for it. A waiter checks its condition, then awaits, in a loop.
///
/// On one thread nothing can happen between a check and the first poll of [`Event::wait`], so no wake-up is missed.
#[derive(Default, Debug)]
pub struct Event {
    round: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

impl Event {
    /// An event nobody waits for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all who wait now.
    pub fn notify(&self) {
        self.round.set(self.round.get().wrapping_add(1));
        let wakers = std::mem::take(&mut *self.wakers.borrow_mut());
        for waker in wakers {
            waker.wake();
        }
    }

    /// Lets all who wait now go on when they are polled the next time, and wakes nobody: for who polls them.
    pub fn notify_quietly(&self) {
        self.round.set(self.round.get().wrapping_add(1));
    }

    /// Waits for the next [`Event::notify`] after this call. Dropping the future stops waiting.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let start = self.round.get();
        poll_fn(move |cx| {
            if self.round.get() != start {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|w| w.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

/// Lets tasks go one after the other.
#[derive(Default, Debug)]
pub struct Turns {
    busy: Cell<bool>,
    over: Event,
}

impl Turns {
    /// Whether somebody has the turn.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Waits for its turn, which lasts until the guard is dropped.
    pub async fn take(&self) -> Turn<'_> {
        while self.busy.get() {
            self.over.wait().await;
        }
        self.busy.set(true);
        Turn(self)
    }
}

/// A turn; the next one begins when this is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.over.notify();
    }
}

/// Lets other tasks run once.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
