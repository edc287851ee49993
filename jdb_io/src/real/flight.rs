//! What is under way: operations that were handed to compio and are not over.
//!
//! Every operation runs as a task of its own, so that dropping the future that waits for it drops only the answer: the
//! operation goes on, its memory stays valid, and it is counted down when it is over.
//!
//! Invariants
//! - An operation is counted from before its submission until its result has arrived. A task that the runtime drops
//!   without a result (the runtime goes away) is never counted down: its operation may still be running.
//! - A lock that is let go while something is in flight is released when nothing is any more; or, when the runtime goes away before, at once
//!   if only syncs are, which change nothing, else never.
//! - When it is gone, so are all mappings of its files: each file drops its own before its share of this.

use crate::counters::Counters;
use crate::real::worker::Report;
use crate::real::{handle, window};
use crate::task::Event;
use compio::BufResult;
use compio::buf::IntoInner;
use compio::driver::op::Asyncify;
use compio::runtime::JoinHandle;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The operations and counters of one disk, shared by its files and locks.
#[derive(Default, Debug)]
pub(crate) struct Flight {
    in_flight: Cell<usize>,
    counters: Cell<Counters>,
    landed: Event,
    let_go: RefCell<Vec<File>>,
    /// Of what is in flight, syncs.
    syncs: Cell<usize>,
    /// Of what is in flight, jobs of the worker.
    jobs: Cell<usize>,
    /// What the worker has done.
    report: Cell<Report>,
}

impl Flight {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Those of the worker included, as of its last answer.
    pub(crate) fn counters(&self) -> Counters {
        self.counters.get().plus(&self.report.get().counters)
    }

    /// Changes the counters.
    #[inline]
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn drain(&self) {
        while self.in_flight.get() > 0 {
            self.landed.wait().await;
        }
    }

    /// Runs an operation to its end, whatever becomes of the future that this returns.
    pub(crate) async fn run<T: 'static>(
        self: &Rc<Self>,
        operation: impl Future<Output = io::Result<T>> + 'static,
    ) -> io::Result<T> {
        let seat = Seat::take(self);
        let task = compio::runtime::spawn(async move {
            let result = operation.await;
            seat.leave();
            result
        });
        // A cancelled or panicked task is an error here; its seat stays taken, for its operation may go on.
        Waiter(Some(task)).await?
    }

    /// As [`Flight::run`], for a sync: whoever opens its files meanwhile has nothing to fear from it.
    pub(crate) async fn run_sync(
        self: &Rc<Self>,
        sync: impl Future<Output = io::Result<()>> + 'static,
    ) -> io::Result<()> {
        self.syncs.set(self.syncs.get() + 1);
        let flight = self.clone();
        let counted = async move {
            let result = sync.await;
            flight.syncs.set(flight.syncs.get() - 1);
            result
        };
        self.run(counted).await
    }

    /// Runs a slow call on a thread of compio's pool.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Rc<Self>,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.run(on_pool(call)).await
    }

    /// Waits for the answer to a job of the worker, which is in flight until it comes, whatever becomes of the future that this returns.
    pub(crate) async fn job<T: 'static>(
        self: &Rc<Self>,
        answered: impl Future<Output = io::Result<(Report, T)>> + 'static,
    ) -> io::Result<T> {
        self.in_flight.set(self.in_flight.get() + 1);
        self.jobs.set(self.jobs.get() + 1);
        let flight = self.clone();
        let task = compio::runtime::spawn(async move {
            let result = answered.await;
            // The worker may be gone by now, and all its jobs with it.
            if let Some(jobs) = flight.jobs.get().checked_sub(1) {
                flight.jobs.set(jobs);
                flight.land();
            }
            let (report, result) = result?;
            flight.report.set(flight.report.get().newer(report));
            Ok(result)
        });
        Waiter(Some(task)).await?
    }

    /// The worker has ended: what it had in flight is over, whether its answers are ever looked at or not.
    pub(crate) fn jobs_are_over(&self) {
        for _ in 0..self.jobs.take() {
            self.land();
        }
    }

    /// Releases a lock and closes its file as soon as nothing is in flight.
    pub(crate) fn let_go(&self, lock: File) {
        if self.in_flight.get() > 0 {
            self.let_go.borrow_mut().push(lock);
        } else {
            release(lock);
        }
    }

    fn land(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            self.let_go.take().into_iter().for_each(release);
            self.landed.notify();
        }
    }
}

impl Drop for Flight {
    /// Locks still here wait for operations that nobody will hear of again: their descriptors stay open, so that no
    /// other process takes the database over while the kernel may still be writing to it for us.
    fn drop(&mut self) {
        let changes_nothing = self.in_flight.get() == self.syncs.get();
        self.let_go.take().into_iter().for_each(if changes_nothing { release } else { std::mem::forget });
        // The last file of the disk is gone, and so shall be what it had mapped: nothing holds its file system any more.
        handle::wait_dropped();
    }
}

/// A slow call on a thread of compio's pool.
pub(super) async fn on_pool<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let operation = Asyncify::new(move || BufResult(Ok(0), call()));
    let BufResult(result, operation) = compio::runtime::submit(operation).await;
    result?;
    operation.into_inner()
}

/// Not before the last page is there that was asked for. And not by closing alone: a process that another thread is just starting
/// has a copy of the descriptor until it runs its program, and would keep the lock so long.
fn release(lock: File) {
    window::wait_asked();
    drop(lock.unlock());
}

/// A place among the operations in flight. Dropping it does not give it back.
struct Seat(Rc<Flight>);

impl Seat {
    fn take(flight: &Rc<Flight>) -> Self {
        flight.in_flight.set(flight.in_flight.get() + 1);
        Self(flight.clone())
    }

    fn leave(self) {
        self.0.land();
    }
}

/// Waits for a task. Dropped, it lets the task go on: a dropped [`JoinHandle`] would cancel it.
struct Waiter<T>(Option<JoinHandle<T>>);

impl<T> Future for Waiter<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(cx).map_err(io::Error::from),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}
