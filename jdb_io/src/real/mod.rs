//! The real disk through compio.
//!
//! Calls that only touch memory (page cache, inode) run on the thread; everything that may wait for the device runs
//! through compio's ring or its thread pool and is counted as in flight until it is over.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is what the rest asks instead"
)]

use crate::counters::Counters;
use crate::disk::{Disk, Driver, Entry, EntryKind, Lock, Mode};
use crate::error::{Error, Result};
use crate::file::File;
use compio::driver::DriverType;
use compio::runtime::Runtime;
pub(crate) use file::RealFile;
use flight::Flight;
use lock::RealLock;
use std::cell::{Cell, OnceCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};
use worker::Worker;

mod buffer;
mod elsewhere;
mod file;
mod flight;
mod handle;
mod lock;
mod mapping;
mod sys;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
mod window;
mod worker;

/// The disk of this machine, driven by the runtime that this thread was in when it was made.
#[derive(Debug)]
pub(crate) struct RealDisk {
    flight: Rc<Flight>,
    driver: Driver,
    maps: Cell<Maps>,
    /// Whether jobs may go to a worker.
    hires: Cell<bool>,
    /// It, once there was a job; `None` when the system had no thread for it.
    worker: OnceCell<Option<Worker>>,
    /// This is the disk of a worker.
    is_worker: bool,
}

/// What may be done by mappings of files.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Maps {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

impl RealDisk {
    /// # Panics
    /// Outside a compio runtime.
    pub(crate) fn new() -> Self {
        let driver = driver_of(Runtime::with_current(Runtime::driver_type));
        Self {
            flight: Rc::default(),
            driver,
            maps: Cell::default(),
            hires: Cell::new(false),
            worker: OnceCell::new(),
            is_worker: false,
        }
    }

    /// The disk of a worker's thread.
    pub(crate) fn of_worker() -> Self {
        Self { is_worker: true, ..Self::new() }
    }

    pub(crate) fn hire(&self, may: bool) {
        self.hires.set(may);
    }

    pub(crate) fn is_worker(&self) -> bool {
        self.is_worker
    }

    /// The worker that jobs go to; `None`: they are done here.
    pub(crate) fn worker(&self) -> Option<&Worker> {
        if !self.hires.get() {
            return None;
        }
        self.worker.get_or_init(|| Worker::start(&self.flight, self.driver).ok()).as_ref()
    }

    /// Has the worker do a job, for which it may map what this disk may at this moment.
    pub(crate) async fn job<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        worker: &Worker,
        job: impl FnOnce(Disk) -> F + Send + 'static,
    ) -> Result<T> {
        let may = self.maps.get().reads;
        let answered = worker.hand_over(move |disk| {
            disk.map_reads(may);
            job(disk)
        });
        let done = self.flight.job(async move { answered.await.map_err(io::Error::other) }).await;
        done.map_err(|error| Error::io("job", Path::new("worker"), error))
    }

    pub(crate) fn map_reads(&self, may: bool) {
        self.maps.set(Maps { reads: may, ..self.maps.get() });
    }

    pub(crate) fn map_writes(&self, may: bool) {
        self.maps.set(Maps { writes: may, ..self.maps.get() });
    }

    pub(crate) async fn open(&self, path: &Path, mode: Mode) -> Result<File> {
        let file = self.blocking("open", path, move |path| sys::open(path, mode)).await?;
        self.flight.count(|c| c.opens += 1);
        let file = RealFile::new(file, path.to_owned(), self.flight.clone(), self.maps.get());
        file.map(File::real).map_err(|error| Error::io("open", path, error))
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.blocking("create_dir", path, |path| std::fs::create_dir_all(path)).await
    }

    pub(crate) async fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.blocking("list", dir, list).await
    }

    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        // The room is there when this is over: a mapping that is just being let go holds the file.
        let remove = |path: &Path| std::fs::remove_file(path).map(|()| handle::wait_dropped());
        self.blocking("remove", path, remove).await?;
        self.flight.count(|c| c.removes += 1);
        Ok(())
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let to = to.to_owned();
        self.blocking("rename", from, move |from| std::fs::rename(from, to)).await?;
        self.flight.count(|c| c.renames += 1);
        Ok(())
    }

    pub(crate) async fn hard_link(&self, from: &Path, to: &Path) -> Result<bool> {
        use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
        let to = to.to_owned();
        let link = move |from: &Path| match std::fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            // A file system without links says that it is not permitted.
            Err(error)
                if matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        };
        self.blocking("link", from, link).await
    }

    pub(crate) async fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.flight.count(|c| c.dir_syncs += 1);
        let owned = dir.to_owned();
        let result = self.flight.run_sync(flight::on_pool(move || sys::sync_dir(&owned))).await;
        result.map_err(|error| Error::io("sync_dir", dir, error))
    }

    pub(crate) async fn lock(&self, path: &Path) -> Result<Lock> {
        RealLock::take(&self.flight, path).await.map(Lock::new)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        compio::runtime::spawn(task).detach();
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        compio::time::sleep(time).await;
    }

    pub(crate) fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        // A clock before 1970 is 1970.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
    }

    pub(crate) fn random(&self) -> Result<u128> {
        sys::random().map_err(|error| Error::io("random", Path::new("operating system"), error))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.flight.counters()
    }

    pub(crate) fn driver(&self) -> Driver {
        self.driver
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flight.in_flight()
    }

    pub(crate) async fn drain(&self) {
        self.flight.drain().await;
    }

    async fn blocking<T: Send + 'static>(
        &self,
        op: &'static str,
        path: &Path,
        call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let owned = path.to_owned();
        let result = self.flight.blocking(move || call(&owned)).await;
        result.map_err(|error| Error::io(op, path, error))
    }
}

/// Our name for compio's driver.
pub(crate) fn driver_of(driver: DriverType) -> Driver {
    match driver {
        DriverType::IoUring => Driver::IoUring,
        DriverType::IOCP => Driver::Iocp,
        DriverType::Poll => Driver::Poll,
    }
}

fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Removed while we listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        entries.push(match meta.file_type() {
            kind if kind.is_file() => Entry { name, kind: EntryKind::File, len: meta.len() },
            kind if kind.is_dir() => Entry { name, kind: EntryKind::Dir, len: 0 },
            _ => Entry { name, kind: EntryKind::Other, len: 0 },
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
