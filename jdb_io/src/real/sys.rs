//! System calls that the standard library does not make, each with a portable fallback behind the same function.
#![cfg_attr(unix, expect(unsafe_code, reason = "system calls"))]

use crate::disk::Mode;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// By how much the worker is nicer than who starts it: against that one it gets a tenth of a processor.
#[cfg(target_os = "linux")]
const WORKER_NICE: i32 = 10;

/// Reads what is in the page cache: fills `data` up to `len` bytes without waiting for the device.
///
/// `true` when it is complete: `len` bytes, or fewer where the file ends. `false` when the rest (or everything) has to be
/// read in another way, whatever the reason: not cached, not supported, an error that the other way will report.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn read_ready(file: &File, offset: u64, data: &mut Vec<u8>, len: usize) -> bool {
    use std::os::fd::AsRawFd;
    while data.len() < len {
        let at = offset + data.len() as u64;
        let room = len - data.len();
        debug_assert!(room <= data.capacity() - data.len(), "room was reserved");
        let part = libc::iovec { iov_base: data.spare_capacity_mut().as_mut_ptr().cast(), iov_len: room };
        // SAFETY: `part` is one vector of `room` bytes of spare capacity that nobody else looks at; the call is over
        // when it returns.
        let count = unsafe { preadv2(file.as_raw_fd(), &part, at) };
        match count {
            // Linux 5.9 and 5.10 may say 0 without being at the end, so ask.
            0 => return file.metadata().is_ok_and(|meta| meta.len() <= at),
            1.. => {
                // SAFETY: the kernel has written `count <= room` bytes behind the first `data.len()`.
                unsafe { data.set_len(data.len() + count as usize) };
            }
            _ => return false,
        }
    }
    true
}

/// `preadv2` of one vector with `RWF_NOWAIT`, without the C library: there it is a place where a thread may be cancelled, which
/// costs a tenth of what a read in the page cache costs.
///
/// # Safety
/// `part` is memory that the kernel may write.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe fn preadv2(fd: std::os::fd::RawFd, part: &libc::iovec, at: u64) -> libc::c_long {
    let vectors: *const libc::iovec = part;
    // Offsets are passed in two halves; where a register holds all of it the upper one says nothing.
    let (low, high) = (at as libc::c_long, (at >> 32) as libc::c_long);
    // SAFETY: the caller's promise; the arguments are those of preadv2(2).
    unsafe { libc::syscall(libc::SYS_preadv2, fd, vectors, 1 as libc::c_long, low, high, libc::RWF_NOWAIT) }
}

/// Nothing is known about the page cache here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn read_ready(_: &File, _: u64, _: &mut Vec<u8>, len: usize) -> bool {
    len == 0
}

/// Where two threads want the same processor, this one gets it less from now on, and so do threads that it starts. What the
/// system says is not asked: it works the same without.
#[cfg(target_os = "linux")]
pub(crate) fn step_back() {
    // SAFETY: no memory is passed. On Linux it is the calling thread that becomes nicer, not its process (nice(2)).
    unsafe { libc::nice(WORKER_NICE) };
}

/// Only a whole process has a priority here, or it is not for a thread to say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn step_back() {}

/// How far the calling thread has stepped back.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn niceness() -> i32 {
    // SAFETY: no memory is passed.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Has the kernel begin to read a range into the page cache; `false` where that cannot be asked for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn will_need(file: &File, offset: u64, len: usize) -> bool {
    advise(file, offset, len, libc::POSIX_FADV_WILLNEED)
}

/// Has the kernel read what is asked for and no more, whatever order it sees; `false` where that cannot be asked for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn expect_random(file: &File) -> bool {
    advise(file, 0, 0, libc::POSIX_FADV_RANDOM)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn advise(file: &File, offset: u64, len: usize, advice: libc::c_int) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: advice about a range of an open file; no memory is passed.
    unsafe { libc::posix_fadvise64(file.as_raw_fd(), offset as _, len as _, advice) == 0 }
}

/// Nobody can be asked here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn will_need(_: &File, _: u64, _: usize) -> bool {
    false
}

/// Nobody can be asked here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn expect_random(_: &File) -> bool {
    false
}

/// A part of a file, from its beginning on, mapped to be read.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[derive(Debug)]
pub(crate) struct Region {
    start: std::ptr::NonNull<u8>,
    len: usize,
}

// SAFETY: an address range that belongs to the process; only its owner unmaps it.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
unsafe impl Send for Region {}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Region {
    /// Maps `len` bytes, which may lie behind the file's end. `None` where the system refuses, or has pages of another length.
    pub(crate) fn new(file: &File, len: u64) -> Option<Self> {
        use std::os::fd::AsRawFd;
        let len = usize::try_from(len).ok().filter(|&len| len > 0)?;
        // SAFETY: asks for a number.
        if unsafe { libc::sysconf(libc::_SC_PAGESIZE) } != PAGE_LEN as libc::c_long {
            return None;
        }
        let (fd, null) = (file.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: a new mapping at an address that the system chooses.
        let start = unsafe { libc::mmap(null, len, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let region = Self { start: std::ptr::NonNull::new(start.cast())?, len };
        // Without the advice a first load from a page can begin to read megabytes around it.
        // SAFETY: the mapping that was just made.
        unsafe { libc::madvise(start, len, libc::MADV_RANDOM) };
        Some(region)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// A bit for each of the pages of `offset..offset + len`, at most 64, from the lowest on: whether it is in the page cache. `None` when
    /// the system does not say.
    pub(crate) fn resident(&self, offset: u64, len: u64) -> Option<u64> {
        let offset = usize::try_from(offset).ok()?;
        let len = usize::try_from(len).ok().filter(|&len| len <= 64 * PAGE_LEN)?;
        if offset % PAGE_LEN != 0 || offset.checked_add(len)? > self.len {
            return None;
        }
        let mut pages = [0_u8; 64];
        // SAFETY: the range lies in the mapping; `pages` has a byte for each of its pages.
        let done = unsafe { libc::mincore(self.start.as_ptr().add(offset).cast(), len, pages.as_mut_ptr()) };
        let bits = pages.iter().rev().fold(0, |bits, page| bits << 1 | u64::from(page & 1));
        (done == 0).then_some(bits)
    }

    /// Appends `len` bytes at `offset` to `data`. `false` when they are not in the mapping, or there is no memory.
    ///
    /// Bytes of pages that are not in the page cache are read from the device, and a failure of that ends the process (SIGBUS), as does
    /// a page behind the file's end: ask [`Region::resident`] a moment before.
    #[inline]
    pub(crate) fn copy(&self, offset: u64, data: &mut Vec<u8>, len: usize) -> bool {
        let Ok(offset) = usize::try_from(offset) else { return false };
        if offset.checked_add(len).is_none_or(|end| end > self.len) || data.try_reserve(len).is_err() {
            return false;
        }
        // SAFETY: the source lies in the mapping, the target is spare capacity that was just reserved. No reference is made to
        // mapped bytes, which a write to the file may change at any time; they are verified when they have been copied.
        unsafe {
            let target = data.spare_capacity_mut().as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(self.start.as_ptr().add(offset), target, len);
            data.set_len(data.len() + len);
        }
        true
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nothing points into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A part of a file mapped to be written, by whoever has this.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[derive(Debug)]
pub(crate) struct Window(std::sync::Arc<Pages>);

/// The pages of a [`Window`], which stay mapped as long as somebody has them.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[derive(Debug)]
pub(crate) struct Pages {
    start: std::ptr::NonNull<u8>,
    /// Where in the file they begin.
    at: u64,
    len: usize,
}

// SAFETY: an address range that belongs to the process; the last who has it unmaps it.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
unsafe impl Send for Pages {}
// SAFETY: nothing that can be done with a reference to it reads or writes a byte of it.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
unsafe impl Sync for Pages {}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Window {
    /// Maps `len` bytes from byte `at` on, a multiple of a page's length; they may lie behind the file's end. `None` where the system
    /// refuses, has pages of another length, or where a file system may need room to write what it has already written once.
    pub(crate) fn new(file: &File, at: u64, len: u64) -> Option<Self> {
        use std::os::fd::AsRawFd;
        let len = usize::try_from(len).ok().filter(|&len| len > 0)?;
        let offset = libc::off_t::try_from(at).ok()?;
        // SAFETY: asks for a number.
        if unsafe { libc::sysconf(libc::_SC_PAGESIZE) } != PAGE_LEN as libc::c_long || !writes_in_place(file)
        {
            return None;
        }
        let (fd, null, protection) =
            (file.as_raw_fd(), std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at an address that the system chooses.
        let start = unsafe { libc::mmap(null, len, protection, libc::MAP_SHARED, fd, offset) };
        if start == libc::MAP_FAILED {
            return None;
        }
        Some(Self(std::sync::Arc::new(Pages { start: std::ptr::NonNull::new(start.cast())?, at, len })))
    }

    /// Its pages.
    pub(crate) fn pages(&self) -> &std::sync::Arc<Pages> {
        &self.0
    }

    /// Stores `data` at `offset` of the file; `false` when that is not in the window.
    ///
    /// A page that was not made ready can end the process (SIGBUS).
    #[inline]
    pub(crate) fn store(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some(end) = offset.checked_add(data.len() as u64) else { return false };
        if !self.0.hold(offset, end) {
            return false;
        }
        // SAFETY: the target lies in the mapping, which nobody else stores into or has a reference into; `data` is no part of it.
        unsafe {
            let target = self.0.start.as_ptr().add((offset - self.0.at) as usize);
            std::ptr::copy_nonoverlapping(data.as_ptr(), target, data.len());
        }
        true
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Pages {
    /// Whether `from..to` of the file lies in them.
    pub(crate) fn hold(&self, from: u64, to: u64) -> bool {
        self.at <= from && to <= self.at + self.len as u64
    }

    /// Has the kernel make the pages of `from..to` of the file writable, from the start of a page on. `false` where one cannot be: no
    /// room, behind the file's end, an older kernel.
    pub(crate) fn make_ready(&self, from: u64, to: u64) -> bool {
        if !self.hold(from, to) || from > to || !from.is_multiple_of(PAGE_LEN as u64) {
            return false;
        }
        let (offset, len) = ((from - self.at) as usize, (to - from) as usize);
        // SAFETY: the range lies in the mapping.
        unsafe { libc::madvise(self.start.as_ptr().add(offset).cast(), len, libc::MADV_POPULATE_WRITE) == 0 }
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nothing points into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Whether the file system writes what has its blocks to where it is, whoever else has them: ext4, and tmpfs, which has none.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
fn writes_in_place(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: writes to `stat`, which may as well be zeros.
    let kind = unsafe {
        if libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) != 0 {
            return false;
        }
        stat.assume_init().f_type
    };
    [libc::EXT4_SUPER_MAGIC, libc::TMPFS_MAGIC].contains(&kind)
}

/// Nobody says so here.
#[cfg(all(target_os = "linux", not(target_env = "gnu"), target_pointer_width = "64"))]
fn writes_in_place(_: &File) -> bool {
    false
}

/// Nothing is mapped here.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[derive(Debug)]
pub(crate) enum Window {}

/// Nothing is mapped here.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[derive(Debug)]
pub(crate) enum Pages {}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
impl Window {
    pub(crate) fn new(_: &File, _: u64, _: u64) -> Option<Self> {
        None
    }

    pub(crate) fn pages(&self) -> &std::sync::Arc<Pages> {
        match *self {}
    }

    pub(crate) fn store(&mut self, _: u64, _: &[u8]) -> bool {
        match *self {}
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
impl Pages {
    pub(crate) fn hold(&self, _: u64, _: u64) -> bool {
        match *self {}
    }

    pub(crate) fn make_ready(&self, _: u64, _: u64) -> bool {
        match *self {}
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const PAGE_LEN: usize = 4 << 10;

/// Nothing is mapped here.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[derive(Debug)]
pub(crate) enum Region {}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
impl Region {
    pub(crate) fn new(_: &File, _: u64) -> Option<Self> {
        None
    }

    pub(crate) fn len(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn resident(&self, _: u64, _: u64) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn copy(&self, _: u64, _: &mut Vec<u8>, _: usize) -> bool {
        match *self {}
    }
}

/// Milliseconds on a clock that costs next to nothing to look at and is some milliseconds late.
#[cfg(target_os = "linux")]
pub(crate) fn coarse_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Nothing is mapped here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse_ms() -> u64 {
    0
}

/// How many names a file has.
#[cfg(unix)]
pub(crate) fn link_count(meta: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::nlink(meta))
}

/// Not told here.
#[cfg(not(unix))]
pub(crate) fn link_count(_: &std::fs::Metadata) -> Option<u64> {
    None
}

/// Writes a part of `data` at `offset`.
#[cfg(unix)]
pub(crate) fn write(file: &File, offset: u64, data: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, data, offset)
}

/// Only where files can be mapped to be written does anybody ask for this.
#[cfg(not(unix))]
pub(crate) fn write(_: &File, _: u64, _: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a regular file; neither a symbolic link in the last place nor anything else is opened.
pub(crate) fn open(path: &Path, mode: Mode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match mode {
        Mode::Read => &mut options,
        Mode::ReadWrite => options.write(true),
        Mode::CreateNew => options.write(true).create_new(true),
        Mode::Truncate => options.write(true).create(true).truncate(true),
    };
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(
        &mut options,
        FILE_FLAG_OVERLAPPED | FILE_FLAG_OPEN_REPARSE_POINT,
    );
    open_regular(path, options)
}

/// Opens a lock file, which is made when missing; where nothing may be written one that is there is enough.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    open_lock_to_write(path).or_else(|error| match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => open(path, Mode::Read).map_err(|_| error),
        _ => Err(error),
    })
}

fn open_lock_to_write(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_OPEN_REPARSE_POINT);
    open_regular(path, options)
}

#[cfg(unix)]
fn open_regular(path: &Path, mut options: OpenOptions) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    // Not blocking, else opening a FIFO waits for its other end. The standard library adds O_CLOEXEC.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    // io_uring may fail cold reads of a non-blocking descriptor instead of waiting for them, by kernel and file system.
    // SAFETY: reads and sets flags of a descriptor that `file` keeps open.
    let done = unsafe {
        let flags = libc::fcntl(file.as_raw_fd(), libc::F_GETFL);
        if flags < 0 {
            flags
        } else {
            libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK)
        }
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}

#[cfg(windows)]
fn open_regular(path: &Path, options: OpenOptions) -> io::Result<File> {
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// For a completion port.
#[cfg(windows)]
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
/// Opens a symbolic link itself, which is then refused.
#[cfg(windows)]
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// Opens a directory.
#[cfg(windows)]
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(dir)?.sync_all()
}

/// Makes the names in a directory durable.
#[cfg(windows)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    use std::os::windows::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(dir)?.sync_all()
}

/// 128 random bits from the operating system.
#[cfg(target_os = "linux")]
pub(crate) fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let (start, len) = (bytes.as_mut_ptr().wrapping_add(filled), bytes.len() - filled);
        // SAFETY: `start` points at `len` bytes of `bytes`.
        match unsafe { libc::getrandom(start.cast(), len, 0) } {
            count @ 0.. => filled += count as usize,
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(u128::from_le_bytes(bytes))
}

/// 128 random bits from the operating system.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// 128 random bits, from hashers whose keys the standard library takes from the operating system.
#[cfg(windows)]
pub(crate) fn random() -> io::Result<u128> {
    use std::hash::BuildHasher;
    let half = |input: u64| u128::from(std::hash::RandomState::new().hash_one(input));
    Ok(half(1) << 64 | half(2))
}

/// Asks the kernel to drop a file's clean pages.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn evict(file: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: advice about a descriptor that `file` keeps open; it touches no memory of ours.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}
