//! The disk: directories, names, clock, chance and tasks.

use crate::counters::Counters;
use crate::error::Result;
use crate::file::File;
use crate::job::{Abort, AbortGuard};
use crate::real::RealDisk;
#[cfg(feature = "sim")]
use crate::sim::SimDisk;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Reading an existing file.
    Read,
    /// Reading and writing an existing file.
    ReadWrite,
    /// Reading and writing a file that must not exist yet.
    CreateNew,
    /// Reading and writing a file that is made empty first, whether it exists or not.
    Truncate,
}

/// What a directory entry is; symlinks are not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link or anything else.
    Other,
}

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// File name; names that are not UTF-8 are left out of listings, they are never ours.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes of a file, else 0.
    pub len: u64,
}

/// What carries out the I/O.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Driver {
    /// Linux io_uring.
    IoUring,
    /// Windows I/O completion ports.
    Iocp,
    /// Readiness polling with a thread pool for files.
    Poll,
    /// The simulated disk.
    Sim,
}

/// A held lock file; released when dropped.
#[derive(Debug)]
pub struct Lock {
    _inner: Box<dyn std::any::Any>,
}

impl Lock {
    pub(crate) fn new(guard: impl std::any::Any) -> Self {
        Self { _inner: Box::new(guard) }
    }
}

/// The disk, its clock and its tasks. Cloning is cheap: all clones are one disk.
#[derive(Clone, Debug)]
pub struct Disk(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Real(Rc<RealDisk>),
    #[cfg(feature = "sim")]
    Sim(SimDisk),
}

/// Calls the same method of whichever disk this is.
macro_rules! on {
    ($self:expr, $d:ident => $call:expr) => {
        match &$self.0 {
            Inner::Real($d) => $call,
            #[cfg(feature = "sim")]
            Inner::Sim($d) => $call,
        }
    };
}

impl Disk {
    /// The real disk, driven by the compio runtime that this thread is in.
    ///
    /// # Panics
    /// Outside a compio runtime.
    #[must_use]
    pub fn real() -> Self {
        Self(Inner::Real(Rc::new(RealDisk::new())))
    }

    /// A simulated disk. Its tasks live as long as a handle of `sim` or of its executor does.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn sim(sim: &SimDisk) -> Self {
        Self(Inner::Sim(sim.for_tasks()))
    }

    /// Whether reads of what is in the page cache may be copied from mappings of the files that are opened from now on, by whoever
    /// has this disk; at first they may not. Where pages are mapped, a file that is cut elsewhere, by another [`File`] of it too, must not
    /// be read there any more: that, and a device that fails, can end the process (SIGBUS).
    pub fn map_reads(&self, may: bool) {
        match &self.0 {
            Inner::Real(disk) => disk.map_reads(may),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => {}
        }
    }

    /// Whether small writes one behind the other, inside a file's length, may be stored into a mapping of files that are opened from now
    /// on, by whoever has this disk; at first they may not. Where pages are mapped, a file must not be cut by another [`File`] of
    /// it or elsewhere, and a file system that shuts down at that moment can end the process (SIGBUS).
    pub fn map_writes(&self, may: bool) {
        match &self.0 {
            Inner::Real(disk) => disk.map_writes(may),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => {}
        }
    }

    /// The real disk of a worker's thread.
    pub(crate) fn worker() -> Self {
        Self(Inner::Real(Rc::new(RealDisk::of_worker())))
    }

    /// Whether jobs may be done by a worker, a second thread that starts with the first job and ends with this disk, from now on and by
    /// whoever has this disk; at first they may not. Dropping the disk then waits for the jobs that are under way to end.
    pub fn hire(&self, may: bool) {
        match &self.0 {
            Inner::Real(disk) => disk.hire(may),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => {}
        }
    }

    /// Whether jobs go to a worker.
    #[must_use]
    pub fn has_worker(&self) -> bool {
        match &self.0 {
            Inner::Real(disk) => disk.worker().is_some(),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => false,
        }
    }

    /// Whether this is the disk of a worker, whose thread nobody waits for.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        match &self.0 {
            Inner::Real(disk) => disk.is_worker(),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => false,
        }
    }

    /// Has `job` done by the worker, with the worker's disk, or as a part of this future, with this disk, when there is none.
    ///
    /// When the future is dropped, `abort` is set and the worker's part goes on to its next look at it. Its I/O is in this disk's
    /// [`Disk::counters`] once it has answered, and counts as in flight until then.
    ///
    /// # Errors
    /// The job panicked on the worker.
    pub async fn job<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        abort: &Abort,
        job: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<T> {
        let guard = AbortGuard::new(abort);
        let done = match &self.0 {
            Inner::Real(disk) => match disk.worker() {
                Some(worker) => disk.job(worker, job).await,
                None => Ok(job(self.clone()).await),
            },
            #[cfg(feature = "sim")]
            Inner::Sim(_) => Ok(job(self.clone()).await),
        };
        guard.disarm();
        done
    }

    /// Opens a file. A symbolic link in the last place is refused.
    ///
    /// # Errors
    /// The system's; `NotFound`, `AlreadyExists` by mode.
    pub async fn open(&self, path: &Path, mode: Mode) -> Result<File> {
        on!(self, d => d.open(path, mode).await)
    }

    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// The system's.
    pub async fn create_dir_all(&self, path: &Path) -> Result<()> {
        on!(self, d => d.create_dir_all(path).await)
    }

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// The system's.
    pub async fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        on!(self, d => d.list(dir).await)
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// The system's.
    pub async fn remove(&self, path: &Path) -> Result<()> {
        on!(self, d => d.remove(path).await)
    }

    /// Renames a file over whatever `to` names, at once.
    ///
    /// # Errors
    /// The system's.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        on!(self, d => d.rename(from, to).await)
    }

    /// Gives a file a second name, `to`, which must be free. `false` where that cannot be: another file system, or one without
    /// hard links; then it has to be copied.
    ///
    /// # Errors
    /// The system's, `AlreadyExists` too.
    pub async fn hard_link(&self, from: &Path, to: &Path) -> Result<bool> {
        match &self.0 {
            Inner::Real(disk) => disk.hard_link(from, to).await,
            #[cfg(feature = "sim")]
            Inner::Sim(_) => Ok(false),
        }
    }

    /// Makes the names in a directory durable: every create, rename and remove that had completed before this call.
    ///
    /// # Errors
    /// The system's.
    pub async fn sync_dir(&self, dir: &Path) -> Result<()> {
        on!(self, d => d.sync_dir(dir).await)
    }

    /// Takes the advisory lock of a file that is made when missing; held until the [`Lock`] is dropped.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) when it is held, else the system's.
    pub async fn lock(&self, path: &Path) -> Result<Lock> {
        on!(self, d => d.lock(path).await)
    }

    /// Runs `task` until it ends or the runtime does; it is not cancelled by dropping anything.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        on!(self, d => d.spawn(task));
    }

    /// Waits; with the simulated disk on its virtual clock.
    pub async fn sleep(&self, time: Duration) {
        on!(self, d => d.sleep(time).await);
    }

    /// Monotonic time since some fixed moment.
    #[must_use]
    pub fn now(&self) -> Duration {
        on!(self, d => d.now())
    }

    /// Wall-clock time in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        on!(self, d => d.unix_ms())
    }

    /// 128 random bits from the operating system, or from the simulation's seed.
    ///
    /// # Errors
    /// The system's.
    pub fn random(&self) -> Result<u128> {
        on!(self, d => d.random())
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        on!(self, d => d.counters())
    }

    /// What carries out the I/O.
    #[must_use]
    pub fn driver(&self) -> Driver {
        on!(self, d => d.driver())
    }

    /// Operations submitted and not yet over, those of dropped futures included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        on!(self, d => d.in_flight())
    }

    /// Waits until nothing is in flight any more.
    pub async fn drain(&self) {
        on!(self, d => d.drain().await);
    }
}
