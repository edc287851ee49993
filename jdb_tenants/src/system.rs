//! What the system knows: memory, descriptors and reads of this process, files of a directory, the page cache.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of resident anonymous memory of this process: what it has allocated, without files and their cache; `None` where the
/// system does not tell.
#[must_use]
pub fn anonymous_len() -> Option<u64> {
    Some(number_after(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")? << 10)
}

/// Files and the like that this process has open now; `None` where the system does not tell.
#[must_use]
pub fn open_count() -> Option<u64> {
    // Not the one with which it is asked.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Read calls of this process so far, this one's included, those of io_uring not; `None` where the system does not tell.
#[must_use]
pub fn read_calls() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/self/io").ok()?, "syscr:")
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The highest figures of this process while it lives.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Peaks {
    pub(crate) anonymous_len: Option<u64>,
    pub(crate) open_count: Option<u64>,
}

/// A thread that looks at this process a hundred times a second. [`Sampler::stop`] tells what it saw.
pub(crate) struct Sampler {
    thread: JoinHandle<Peaks>,
    stop: std::sync::Arc<AtomicBool>,
}

const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

impl Sampler {
    pub(crate) fn start() -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut peaks = Peaks::default();
            loop {
                let last = stopped.load(Ordering::Acquire);
                peaks.anonymous_len = peaks.anonymous_len.max(anonymous_len());
                peaks.open_count = peaks.open_count.max(open_count());
                if last {
                    return peaks;
                }
                std::thread::park_timeout(SAMPLE_INTERVAL);
            }
        });
        Self { thread, stop }
    }

    /// Looks once more and tells.
    pub(crate) fn stop(self) -> Peaks {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // It has no way to panic; then there are no figures.
        self.thread.join().unwrap_or_default()
    }
}

/// What lies below a directory.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Files {
    pub(crate) files: u64,
    /// The directory itself included.
    pub(crate) dirs: u64,
    /// Bytes that the files take on the disk.
    pub(crate) disk_len: u64,
}

pub(crate) fn count(dir: &Path) -> Result<Files> {
    let mut files = Files { dirs: 1 + dirs_below(dir)?, ..Files::default() };
    each_file::<Error>(dir, &mut |path| {
        files.files += 1;
        files.disk_len += disk_len(path)?;
        Ok(())
    })?;
    Ok(files)
}

fn dirs_below(dir: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        if path.is_dir() {
            count += 1 + dirs_below(&path)?;
        }
    }
    Ok(count)
}

/// Bytes that a file takes on the disk: less than its length when it has holes.
///
/// # Errors
/// A file that is not there.
pub fn disk_len(path: &Path) -> Result<u64> {
    let meta = fs::metadata(path).map_err(Error::io("look at", path))?;
    #[cfg(unix)]
    let len = std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
    #[cfg(not(unix))]
    let len = meta.len();
    Ok(len)
}

/// Calls `act` with every file below a directory.
///
/// # Errors
/// The directory's that cannot be read; those of `act`.
pub fn each_file<E: From<Error>>(dir: &Path, act: &mut impl FnMut(&Path) -> Result<(), E>) -> Result<(), E> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        if path.is_dir() {
            each_file(&path, act)?;
        } else {
            act(&path)?;
        }
    }
    Ok(())
}

/// Has the kernel forget the files below a directory; the host of a virtual disk may still hold them.
///
/// # Errors
/// A file that cannot be opened or synced; everywhere but on Linux.
pub fn evict(dir: &Path) -> Result<()> {
    each_file(dir, &mut |path| {
        let file = File::open(path).map_err(Error::io("open", path))?;
        // Only pages that are on the disk can be forgotten.
        file.sync_all().map_err(Error::io("sync", path))?;
        forget(&file, path)
    })
}

/// Pages that are mapped stay: a mapping that is just being let go is waited for, one second at most.
#[cfg(target_os = "linux")]
fn forget(file: &File, path: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        let forgotten = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        forgotten.map_err(|error| Error::io("evict", path)(error.into()))?;
        if !is_cached(file) || start.elapsed() > Duration::from_secs(1) {
            return Ok(());
        }
        std::thread::yield_now();
    }
}

/// Whether any of the pages looked at, one in sixteen, is in the page cache.
#[cfg(target_os = "linux")]
fn is_cached(file: &File) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let len = file.metadata().map_or(0, |meta| meta.len());
    let read = |at| preadv2(file, &mut [std::io::IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT);
    (0..len).step_by(64 << 10).any(|at| read(at).is_ok_and(|count| count > 0))
}

#[cfg(not(target_os = "linux"))]
fn forget(_file: &File, _path: &Path) -> Result<()> {
    Err(Error::Unsupported("files can be evicted on Linux only"))
}

/// Reads the files below a directory, so that the page cache holds what it has room for.
pub(crate) fn read_all(dir: &Path) -> Result<()> {
    each_file(dir, &mut |path| {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        io::copy(&mut file, &mut io::sink()).map_err(Error::io("read", path))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_are_read() {
        let text = "VmRSS:\t 99 kB\nRssAnon:\t  120 kB\nsyscr: 7\n";
        assert_eq!(number_after(text, "RssAnon:"), Some(120));
        assert_eq!(number_after(text, "syscr:"), Some(7));
        assert_eq!(number_after(text, "syscw:"), None);
    }

    #[test]
    fn files_and_directories_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), vec![1; 8192]).unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        let files = count(dir.path()).unwrap();
        assert_eq!((files.files, files.dirs), (2, 3));
        assert!(files.disk_len >= 8192, "{files:?}");
    }
}
