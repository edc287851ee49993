//! Work that owns all that it needs, and so can be done by another thread.
//!
//! The engine runs on one thread. What takes much time and little of the engine's state, as merging tables does, is handed as a *job* to
//! the *worker*: a second thread with a runtime and a [`Disk`](crate::Disk) of its own, started with the first job. Nothing is shared
//! between the two but files and [`Abort`]; what a job needs goes there with it, what it found comes back as its answer.
//!
//! Where there is no worker, as on the simulated disk, a job is a part of the task that waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tells a job to end. Clones are one.
///
/// ```
/// let abort = jdb_io::Abort::default();
/// let of_the_job = abort.clone();
/// abort.set();
/// assert!(of_the_job.is_set());
/// ```
#[derive(Clone, Default, Debug)]
pub struct Abort(Arc<AtomicBool>);

impl Abort {
    /// The job is to end at its next step.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that a job sees change while it runs. Clones are one.
///
/// ```
/// let gauge = jdb_io::Gauge::default();
/// let of_the_job = gauge.clone();
/// gauge.set(7);
/// assert_eq!(of_the_job.get(), 7);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: usize) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it was set to last.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one and gives what it was before; at the largest number it stays.
    pub fn take_next(&self, max: usize) -> usize {
        let next = |value: usize| Some(value.saturating_add(1).min(max));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(max)
    }
}

/// Sets an [`Abort`] when dropped before [`AbortGuard::disarm`].
#[derive(Debug)]
pub(crate) struct AbortGuard(Option<Abort>);

impl AbortGuard {
    pub(crate) fn new(abort: &Abort) -> Self {
        Self(Some(abort.clone()))
    }

    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(abort) = self.0.take() {
            abort.set();
        }
    }
}
