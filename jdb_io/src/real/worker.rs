//! The worker: a thread with a runtime and a disk of its own that carries out jobs.
//!
//! It starts with the first job and ends with the disk that it works for: whoever drops that waits until the jobs that are still under way
//! have seen that they are to end, and until nothing of theirs is in flight. So nothing of a database is written after its lock is gone.
//!
//! Invariants
//! - Nothing passes between the threads but a job, its answer with the worker's counters, and what the job itself brought along.

use crate::counters::Counters;
use crate::disk::{Disk, Driver};
use crate::real::flight::Flight;
use crate::real::{handle, sys};
use crate::runtime::{self, Config};
use crate::task::Event;
use futures::FutureExt;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::LocalBoxFuture;
use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::thread::JoinHandle;

/// Places in its submission ring, wake-ups that can wait, threads of its pool: a few jobs at a time.
const CONFIG: Config = Config { driver: None, ring_len: 128, wake_count_max: 256, thread_count_max: 8 };

type Job = Box<dyn FnOnce(Disk) -> LocalBoxFuture<'static, ()> + Send>;

/// What the worker has done so far, counted up with each answer.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Report {
    number: u64,
    pub(crate) counters: Counters,
}

impl Report {
    /// The newer one of two.
    pub(crate) fn newer(self, other: Self) -> Self {
        if other.number >= self.number { other } else { self }
    }
}

/// The worker of a disk.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
    flight: Rc<Flight>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread or no runtime to give.
    pub(crate) fn start(flight: &Rc<Flight>, driver: Driver) -> io::Result<Self> {
        // All databases of the process wait for that thread: not for one as nice as the worker.
        handle::start_closer();
        let (jobs, waiting) = mpsc::unbounded();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let run = move || {
            sys::step_back();
            let config = Config { driver: Some(driver), ..CONFIG };
            match runtime::runtime(&config) {
                Ok(runtime) => {
                    // Whoever started it is gone: then there are no jobs either.
                    drop(ready.send(Ok(())));
                    runtime.block_on(run(waiting));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name("jdb-worker".to_owned()).spawn(run)?;
        let worker = Self { jobs: Some(jobs), thread: Some(thread), flight: flight.clone() };
        is_ready.recv().map_err(io::Error::other)??;
        Ok(worker)
    }

    /// Hands a job over. Its answer comes with a report; none comes when the job panicked.
    pub(crate) fn hand_over<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        job: impl FnOnce(Disk) -> F + Send + 'static,
    ) -> oneshot::Receiver<(Report, T)> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |disk| {
            async move {
                let work = AssertUnwindSafe(async { job(disk.clone()).await });
                // Only when the panic is over: compio lets nobody be woken from another thread before.
                let Ok(result) = work.catch_unwind().await else { return };
                let counters = disk.counters();
                // Every report has more of it than those before.
                let number = counters.reads + counters.writes + counters.opens + counters.removes;
                drop(answer.send((Report { number, counters }, result)));
            }
            .boxed_local()
        });
        if let Some(jobs) = &self.jobs {
            drop(jobs.unbounded_send(job));
        }
        answered
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.flight.jobs_are_over();
    }
}

/// Carries out jobs, all that there are at once, until no more can come and none is under way.
async fn run(mut waiting: mpsc::UnboundedReceiver<Job>) {
    /// Counts a job down when it is over, however it ended.
    struct Running(Rc<(Cell<usize>, Event)>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.0.set(self.0.0.get() - 1);
            self.0.1.notify();
        }
    }
    let disk = Disk::worker();
    let running = Rc::<(Cell<usize>, Event)>::default();
    while let Some(job) = waiting.next().await {
        running.0.set(running.0.get() + 1);
        let guard = Running(running.clone());
        let job = job(disk.clone());
        disk.spawn(async move {
            job.await;
            drop(guard);
        });
    }
    while running.0.get() > 0 {
        running.1.wait().await;
    }
    disk.drain().await;
}
