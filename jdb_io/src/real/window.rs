//! Small writes one behind the other, stored into a mapping of the file: no system call a write.
//!
//! A store into a page that the kernel wants to be asked about first is a fault, and a signal instead of an error (SIGBUS) when the file
//! system then refuses: it is full, or has shut down. So pages are asked for before (`MADV_POPULATE_WRITE`, Linux 5.14), 128 KiB at a
//! time, which gives an error like any system call; then the bytes are written by one that says why. A page of which that is done
//! stays writable until the kernel has written it out, so that it is asked for again after [`FRESH_MS`] and after a sync, while which nothing is
//! stored. Before that
//! zeros are written to those that were never written to: the kernel then takes memory for many at once, where the request alone makes
//! it look for each on the disk (0.5 instead of 1.6 us a KiB).
//!
//! ```text
//! 16 writes of at most 16 KiB, each where the one before ended and soon after it -> window mapped, 128 KiB of it asked for
//!   from there on, inside the file's length                                      -> stored
//!   anything else                                                                 -> system call
//! ```
//!
//! The bytes are in the page cache as after a system call: they survive the process, and a sync that begins later makes them durable.
//! What was asked for and never used are zeros behind the last write: only a file is used so that is longer than what is in it, and of which
//! its owner has said that what lies behind means nothing ([`File::expect_appends`](crate::File::expect_appends)).

use crate::real::handle::drop_elsewhere;
use crate::real::sys::{self, Window};
use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;

/// Writes in a row before the file is mapped.
const COUNT_MIN: u32 = 16;
/// Longer ones are worth a system call.
const WRITE_LEN_MAX: usize = 16 << 10;
/// Longest time between two writes in a row.
const PAUSE_MS: u64 = 50;
/// How long it is believed that a page can be stored into.
const FRESH_MS: u64 = 100;
/// Bytes asked for at a time, about 60 us of work.
const READY_LEN: u64 = 128 << 10;
/// Bytes mapped at a time.
const WINDOW_LEN: u64 = 1 << 20;
const PAGE_LEN: u64 = 4 << 10;
static ZEROS: [u8; READY_LEN as usize] = [0; READY_LEN as usize];

/// How writes to one file may do without system calls. Starts without a mapping.
#[derive(Debug, Default)]
pub(crate) struct Stores(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    /// Where the last write ended, when it was, and how many came in a row.
    next: u64,
    at_ms: u64,
    count: u32,
    window: Option<Window>,
    /// What of the window can be stored into, and since when.
    ready: Range<u64>,
    ready_ms: u64,
    /// How far the file was written to, zeros included.
    filled: u64,
    /// The system does not do this, or did not want to.
    refused: bool,
    /// Changes of the file's length under way, and syncs.
    suspended: usize,
    syncs: usize,
}

impl Stores {
    /// Writes `data` at `offset` if it can be stored; `false`, and nothing was written, if not.
    #[inline]
    pub(crate) fn write(&self, file: &File, offset: u64, data: &[u8]) -> bool {
        let mut state = self.0.borrow_mut();
        !state.refused && state.write(file, offset, data, sys::coarse_ms())
    }

    /// From here to [`Stores::synced`] the kernel writes pages out, and wants to be asked about them again: nothing is stored.
    pub(crate) fn syncing(&self) {
        let mut state = self.0.borrow_mut();
        (state.count, state.ready, state.syncs) = (0, 0..0, state.syncs + 1);
    }

    /// The sync is over.
    pub(crate) fn synced(&self) {
        self.0.borrow_mut().syncs -= 1;
    }

    /// The file's length changes from here to [`Stores::resume`]: nothing is mapped.
    pub(crate) fn suspend(&self) {
        let mut state = self.0.borrow_mut();
        // At once: the file may be cut.
        (state.window, state.suspended) = (None, state.suspended + 1);
        (state.count, state.ready) = (0, 0..0);
        state.filled = 0;
    }

    /// The change is over.
    pub(crate) fn resume(&self) {
        self.0.borrow_mut().suspended -= 1;
    }
}

impl State {
    /// Unmapping pages one by one takes 0.2 ms a window: elsewhere.
    fn let_go(&mut self) {
        self.window.take().map(drop_elsewhere).unwrap_or_default();
    }

    fn write(&mut self, file: &File, offset: u64, data: &[u8], now: u64) -> bool {
        let Some(end) = offset.checked_add(data.len() as u64) else { return false };
        let follows = offset == self.next && now.saturating_sub(self.at_ms) <= PAUSE_MS;
        if !follows {
            (self.count, self.ready) = (0, 0..0);
        }
        (self.next, self.at_ms, self.count) = (end, now, self.count.saturating_add(1));
        if self.count <= COUNT_MIN || data.len() > WRITE_LEN_MAX || self.suspended + self.syncs > 0 {
            return false;
        }
        let is_ready = self.ready.start <= offset
            && end <= self.ready.end
            && now.saturating_sub(self.ready_ms) <= FRESH_MS;
        if !is_ready && !self.make_ready(file, offset, end, now) {
            return false;
        }
        self.window.as_ref().is_some_and(|window| window.store(offset, data))
    }

    /// Has the page of `offset` and those behind it made ready, as far as the file reaches.
    fn make_ready(&mut self, file: &File, offset: u64, end: u64, now: u64) -> bool {
        let from = offset & !(PAGE_LEN - 1);
        let file_len = file.metadata().map_or(0, |meta| meta.len());
        let to = (from + READY_LEN).min(file_len & !(PAGE_LEN - 1));
        if to < end {
            return false;
        }
        self.ready = 0..0;
        let fill = self.filled.max(offset.next_multiple_of(PAGE_LEN));
        if let Some(len @ 1..) = to.checked_sub(fill) {
            let zeros = ZEROS.get(..len as usize).unwrap_or_default();
            // A full disk: the write itself will say so.
            if sys::write(file, fill, zeros).ok() != Some(zeros.len()) {
                self.refused = true;
                return false;
            }
            self.filled = to;
        }
        if self.window.as_ref().is_none_or(|window| !window.holds(from, to)) {
            self.let_go();
            self.window = Window::new(file, from, WINDOW_LEN);
        }
        if !self.window.as_ref().is_some_and(|window| window.make_ready(from, to)) {
            self.refused = true;
            self.let_go();
            return false;
        }
        (self.ready, self.ready_ms) = (from..to, now);
        true
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Whether this system stores into files like this one, which is a page long or longer; its first page is made ready.
#[cfg(test)]
pub(crate) fn is_supported(file: &File) -> bool {
    Window::new(file, 0, PAGE_LEN).is_some_and(|window| window.make_ready(0, PAGE_LEN))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A file of `len` zeros on a disk, and what knows of it; `None`, and said so, where nothing is stored.
    fn file_of(len: u64) -> Option<(File, State)> {
        let file = tempfile::tempfile_in(std::env::current_dir().expect("the system does it"))
            .expect("the system does it");
        file.set_len(len).expect("the system does it");
        let supported = is_supported(&file);
        if !supported {
            println!("skipped: not on this file system, or this kernel");
        }
        supported.then(|| (file, State::default()))
    }

    /// One write, by a system call when it is not stored. Whether it was.
    fn write(file: &File, state: &mut State, offset: u64, len: usize, now: u64) -> bool {
        let data: Vec<u8> = (0..len as u64).map(|at| ((offset + at) % 251) as u8).collect();
        let stored = state.write(file, offset, &data, now);
        if !stored {
            file.write_all_at(&data, offset).expect("the system does it");
        }
        stored
    }

    /// Whether the file holds what [`write`] wrote, from its beginning, and zeros behind it.
    fn check(file: &File, end: u64) {
        let mut bytes = vec![0xff; file.metadata().expect("the system does it").len() as usize];
        file.read_exact_at(&mut bytes, 0).expect("the system does it");
        let want = |at: usize| if at as u64 >= end { 0 } else { (at % 251) as u8 };
        let wrong = bytes.iter().enumerate().find(|&(at, &byte)| byte != want(at));
        assert_eq!(wrong, None, "of {end}");
    }

    #[test]
    fn writes_in_a_row_are_stored_as_far_as_the_file_reaches_and_are_read_back() {
        let Some((file, mut state)) = file_of(2 << 20) else { return };
        let (mut offset, mut stored) = (0, 0);
        while offset < 3 << 20 {
            let len = 1 + offset as usize % 3000;
            let was = write(&file, &mut state, offset, len, offset >> 15);
            assert!(!was || offset + len as u64 <= 2 << 20, "{offset}");
            stored += u64::from(was);
            offset += len as u64;
        }
        assert!(stored > 600, "{stored}");
        check(&file, offset);
        assert_eq!(
            file.metadata().expect("the system does it").len(),
            offset,
            "only system calls make it longer"
        );
    }

    #[test]
    fn what_does_not_follow_soon_or_is_long_is_written_by_a_system_call() {
        let Some((file, mut state)) = file_of(2 << 20) else { return };
        let mut offset = 0;
        let mut next = |state: &mut State, len: usize, now| {
            offset += len as u64;
            write(&file, state, offset - len as u64, len, now)
        };
        (0..COUNT_MIN).for_each(|count| assert!(!next(&mut state, 100, 7), "{count}"));
        assert!(next(&mut state, 100, 7 + PAUSE_MS));
        assert!(!next(&mut state, WRITE_LEN_MAX + 1, 7 + PAUSE_MS));
        assert!(next(&mut state, WRITE_LEN_MAX, 7 + PAUSE_MS), "it goes on behind that");
        // Later than the answer is believed, it is asked for again.
        let later = 7 + FRESH_MS;
        (2..=4).for_each(|part| assert!(next(&mut state, 100, 7 + part * PAUSE_MS)));
        assert!(state.ready_ms > later, "{state:?}");
        assert!(!next(&mut state, 100, 8 + 5 * PAUSE_MS), "a pause");
        (1..COUNT_MIN).for_each(|count| assert!(!next(&mut state, 100, 300), "{count}"));
        assert!(next(&mut state, 100, 300));
        let stores = Stores(RefCell::new(state));
        stores.syncing();
        (0..2 * COUNT_MIN).for_each(|_| assert!(!next(&mut stores.0.borrow_mut(), 100, 300), "a sync"));
        stores.synced();
        let mut state = stores.0.take();
        assert!(next(&mut state, 100, 300));
        check(&file, offset);
        // Over what is there already.
        assert!(!write(&file, &mut state, 0, 100, 300));
    }

    #[test]
    fn a_file_that_is_cut_is_not_stored_into_behind_its_end() {
        let Some((file, mut state)) = file_of(1 << 20) else { return };
        (0..100).for_each(|at| _ = write(&file, &mut state, at * 100, 100, 1));
        assert!(state.window.is_some());
        let stores = Stores(RefCell::new(state));
        stores.suspend();
        assert!(stores.0.borrow().window.is_none());
        file.set_len(10_000).expect("the system does it");
        for at in 100..140 {
            assert!(!write(&file, &mut stores.0.borrow_mut(), at * 100, 100, 1), "{at}");
        }
        stores.resume();
        for at in 140..200 {
            assert!(!write(&file, &mut stores.0.borrow_mut(), at * 100, 100, 1), "{at}");
        }
        file.set_len(1 << 20).expect("the system does it");
        assert!(write(&file, &mut stores.0.borrow_mut(), 20_000, 100, 1));
        check(&file, 20_100);
    }

    #[test]
    fn what_may_not_be_written_is_refused_by_an_error() {
        let Some((file, mut state)) = file_of(1 << 20) else { return };
        (0..20).for_each(|at| _ = write(&file, &mut state, at * 100, 100, 1));
        let read_only = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)))
            .expect("the system does it");
        let mut state = State::default();
        let data = [1; 100];
        (0..40).for_each(|at| assert!(!state.write(&read_only, at * 100, &data, 1)));
        assert!(state.refused);
    }
}
