//! The writer's future, kept where a caller can poll it in its own place.
//!
//! A commit that finds the writer idle need not wake the writer's task and wait until the executor has come round: it polls the
//! writer itself, which nearly always writes, inserts and answers without suspending. What does suspend goes on in the writer's
//! task, whose waker the poll uses. So that a caller which commits without end leaves the others their turn, only so much is done this
//! way, in all shards together, before the writer's task is woken again as if this did not exist. A writer that finds several commits
//! waiting goes on in its own place, where they become one write. And while a compaction or a collection is under way nothing is done
//! here: it waits for one read after the other, each time for all that the foreground does between two turns, and the bound of the
//! garbage depends on it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that callers write in a row before the tasks of the executor have their turn: about 50 us.
const ALLOWANCE: usize = 64 << 10;
/// What a commit counts for beside its bytes.
const COMMIT_COST: usize = 3 << 10;

/// What callers may still write in their own place, in all shards of a database.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Cell<usize>,
    /// Those that want nothing to be written this way.
    closed: Cell<usize>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: Cell::new(ALLOWANCE), closed: Cell::new(0) }
    }
}

impl Allowance {
    /// Takes what a commit of `len` bytes needs, if it is left.
    fn take(&self, len: usize) -> bool {
        let left = self.left.get().checked_sub(len.saturating_add(COMMIT_COST));
        let left = left.filter(|_| self.closed.get() == 0);
        self.left.set(left.unwrap_or(self.left.get()));
        left.is_some()
    }
}

/// Nothing is polled in a caller's place while this is held.
#[derive(Debug)]
pub(crate) struct Closed(Rc<Allowance>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.closed.set(self.0.closed.get() - 1);
    }
}

/// A task's future that others may poll in their place.
#[derive(Default)]
pub(crate) struct Inline {
    allowance: Rc<Allowance>,
    /// `None` while it is polled, and when it is over.
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    /// The task's.
    waker: RefCell<Option<Waker>>,
}

impl Inline {
    pub(crate) fn new(allowance: &Rc<Allowance>) -> Self {
        Self { allowance: allowance.clone(), ..Self::default() }
    }

    /// Runs `future` to its end, in the task that awaits this and in the place of who calls [`Inline::poll_here`]. Dropping this drops
    /// `future`.
    pub(crate) async fn run(&self, future: impl Future<Output = ()> + 'static) {
        /// Breaks the circle shard -> future -> shard.
        struct End<'a>(&'a Inline);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                let future = self.0.future.borrow_mut().take();
                drop(future);
            }
        }
        *self.future.borrow_mut() = Some(Box::pin(future));
        let end = End(self);
        poll_fn(|cx| {
            self.allowance.left.set(ALLOWANCE);
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            self.poll(cx)
        })
        .await;
        drop(end);
    }

    /// Has nothing polled in callers' places, in any shard, until what this returns is dropped.
    pub(crate) fn close_here(&self) -> Closed {
        self.allowance.closed.set(self.allowance.closed.get() + 1);
        Closed(self.allowance.clone())
    }

    /// Polls the future for a commit of `len` bytes if the allowance is large enough; `false` if nothing was done.
    pub(crate) fn poll_here(&self, len: usize) -> bool {
        let waker = self.waker.borrow().clone();
        let Some(waker) = waker.filter(|_| self.future.borrow().is_some() && self.allowance.take(len)) else {
            return false;
        };
        if self.poll(&mut Context::from_waker(&waker)).is_ready() {
            // Its task has to see that it is over.
            waker.wake();
        }
        true
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut future) = self.future.borrow_mut().take() else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            *self.future.borrow_mut() = Some(future);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jdb_io::task::Event;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An inline future that counts how often it went on, its owner's wake-ups and the owner.
    fn counting() -> (Rc<Inline>, Rc<Event>, Rc<Cell<usize>>) {
        (Rc::default(), Rc::default(), Rc::default())
    }

    #[test]
    fn what_is_polled_elsewhere_wakes_its_own_task() {
        let (inline, event, count) = counting();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        let body = {
            let (event, count) = (event.clone(), count.clone());
            async move {
                for _ in 0..3 {
                    event.wait().await;
                    count.set(count.get() + 1);
                }
            }
        };
        let mut task = Box::pin(inline.run(body));
        assert!(!inline.poll_here(1), "nothing to poll before the task began");
        assert!(task.as_mut().poll(&mut cx).is_pending());
        event.notify_quietly();
        assert!(inline.poll_here(1));
        assert_eq!((count.get(), wakes.0.load(Ordering::Relaxed)), (1, 0));
        event.notify();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "it waits with the waker of its task");
        assert!(inline.poll_here(1));
        event.notify_quietly();
        assert!(inline.poll_here(1));
        assert_eq!((count.get(), wakes.0.load(Ordering::Relaxed)), (3, 2), "and its end wakes the task");
        assert!(task.as_mut().poll(&mut cx).is_ready());
        assert!(!inline.poll_here(1));
    }

    #[test]
    fn the_allowance_ends_and_begins_again_with_the_task() {
        let (inline, event, _) = counting();
        let mut cx = Context::from_waker(Waker::noop());
        let body = async move { event.wait().await };
        let mut task = Box::pin(inline.run(body));
        assert!(task.as_mut().poll(&mut cx).is_pending());
        assert!(!inline.poll_here(ALLOWANCE), "too much at once");
        let polls = (0..100).take_while(|_| inline.poll_here(1 << 10)).count();
        assert_eq!(polls, ALLOWANCE / (COMMIT_COST + (1 << 10)));
        assert!(task.as_mut().poll(&mut cx).is_pending());
        let closed = [inline.close_here(), inline.close_here()];
        assert!(!inline.poll_here(1 << 10));
        drop(closed);
        assert!(inline.poll_here(1 << 10));
    }

    #[test]
    fn a_dropped_task_drops_the_future() {
        let (inline, event, count) = counting();
        let held = count.clone();
        let mut task = Box::pin(inline.run(async move {
            event.wait().await;
            held.set(1);
        }));
        assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(task);
        assert_eq!(Rc::strong_count(&count), 1);
        assert!(!inline.poll_here(1));
    }
}
