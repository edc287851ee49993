//! Small writes one behind the other, stored into a mapping of the file: no system call a write.
//!
//! A store into a page that the kernel wants to be asked about first is a fault, and a signal instead of an error (SIGBUS) when the file
//! system then refuses: it is full, or has shut down. So pages are asked for before (`MADV_POPULATE_WRITE`, Linux 5.14), 32 to 256 KiB at a
//! time, which gives an error like any system call; then the bytes are written by one that says why. A page of which that is done
//! stays writable until the kernel has written it out, so that it is asked for again after [`FRESH_MS`] and after a sync, while which nothing is
//! stored. Before that
//! zeros are written to those that were never written to: the kernel then takes memory for many at once, where the request alone makes
//! it look for each on the disk (0.5 instead of 1.6 us a KiB). A writer who has
//! used up 32 KiB has the next asked for by another thread, while it stores into what is there.
//!
//! ```text
//! 16 writes of at most 16 KiB, each where the one before ended and soon after it -> window mapped, 32 KiB of it asked for
//!   from there on, inside the file's length                                      -> stored
//!   anything else                                                                 -> system call
//! ```
//!
//! The bytes are in the page cache as after a system call: they survive the process, and a sync that begins later makes them durable.
//! What was asked for and never used are zeros behind the last write: only a file is used so that is longer than what is in it, and of which
//! its owner has said that what lies behind means nothing ([`File::expect_appends`](crate::File::expect_appends)).
//!
//! Invariants
//! - While another thread may be writing zeros, nothing is written but what is stored before them: whatever else comes waits for it first,
//!   or takes the work from it.

use crate::real::elsewhere::Elsewhere;
use crate::real::handle::drop_elsewhere;
use crate::real::sys::{self, Pages, Window};
use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes in a row before the file is mapped.
const COUNT_MIN: u32 = 16;
/// Longer ones are worth a system call.
const WRITE_LEN_MAX: usize = 16 << 10;
/// Longest time between two writes in a row.
const PAUSE_MS: u64 = 50;
/// How long it is believed that a page can be stored into.
const FRESH_MS: u64 = 100;
/// Bytes asked for at first, and again by who has used them up, which is about 60 us of work.
const FIRST_LEN: u64 = 32 << 10;
const READY_LEN: u64 = 128 << 10;
/// Bytes asked for ahead at a time.
const AHEAD_LEN: u64 = 256 << 10;
/// Bytes mapped at a time.
const WINDOW_LEN: u64 = 1 << 20;
const PAGE_LEN: u64 = 4 << 10;
static ZEROS: [u8; AHEAD_LEN as usize] = [0; AHEAD_LEN as usize];
/// Asks for pages.
pub(super) static ASKER: Elsewhere = Elsewhere::new("jdb-pages");

/// Waits until every page is there that another thread was asked for. Blocks.
pub(super) fn wait_asked() {
    ASKER.wait();
}

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
    /// What comes next, asked for by another thread.
    ahead: Option<Ahead>,
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
        state.start_over();
        state.syncs += 1;
    }

    /// The sync is over.
    pub(crate) fn synced(&self) {
        self.0.borrow_mut().syncs -= 1;
    }

    /// The file's length changes from here to [`Stores::resume`]: nothing is mapped.
    pub(crate) fn suspend(&self) {
        let mut state = self.0.borrow_mut();
        state.start_over();
        // At once: the file may be cut.
        (state.window, state.suspended) = (None, state.suspended + 1);
        state.filled = 0;
    }

    /// The change is over.
    pub(crate) fn resume(&self) {
        self.0.borrow_mut().suspended -= 1;
    }
}

impl State {
    /// Nothing can be stored from here on, until it is asked for again; nobody else writes to the file.
    fn start_over(&mut self) {
        (self.count, self.ready) = (0, 0..0);
        if let Some(ahead) = self.ahead.take() {
            self.filled = self.filled.max(ahead.cancel());
        }
    }

    /// Unmapping pages one by one takes 0.2 ms a window: elsewhere.
    fn let_go(&mut self) {
        self.window.take().map(drop_elsewhere).unwrap_or_default();
    }

    fn write(&mut self, file: &File, offset: u64, data: &[u8], now: u64) -> bool {
        let Some(end) = offset.checked_add(data.len() as u64) else { return false };
        let follows = offset == self.next && now.saturating_sub(self.at_ms) <= PAUSE_MS;
        let is_long = data.len() > WRITE_LEN_MAX;
        let count = self.count;
        if !follows || is_long {
            self.start_over();
        }
        if follows {
            self.count = count;
        }
        (self.next, self.at_ms, self.count) = (end, now, self.count.saturating_add(1));
        if self.count <= COUNT_MIN || is_long || self.suspended + self.syncs > 0 {
            return false;
        }
        let is_ready = self.ready.start <= offset
            && end <= self.ready.end
            && now.saturating_sub(self.ready_ms) <= FRESH_MS;
        if !is_ready && !self.make_ready(file, offset, end, now) {
            return false;
        }
        self.window.as_mut().is_some_and(|window| window.store(offset, data))
    }

    /// Has the page of `offset` and those behind it made ready, as far as the file reaches, and asks for the next.
    fn make_ready(&mut self, file: &File, offset: u64, end: u64, now: u64) -> bool {
        let ready = std::mem::replace(&mut self.ready, 0..0);
        // A writer who takes longer for less will hardly need more soon, and what is made ready is written out.
        let is_used_up = !ready.is_empty() && end > ready.end;
        let len = if is_used_up { READY_LEN } else { FIRST_LEN };
        let ahead = self.ahead.take();
        if !ahead.is_some_and(|ahead| self.take_over(ahead, offset, end, now))
            && !self.make_ready_here(file, offset..end, len, now)
        {
            return false;
        }
        if is_used_up {
            self.ask_ahead(file, now);
        }
        true
    }

    /// Waits for what was asked for ahead, or does it, if it is what is wanted and still good.
    fn take_over(&mut self, ahead: Ahead, offset: u64, end: u64, now: u64) -> bool {
        let holds = ahead.ready.start <= offset && end <= ahead.ready.end;
        if !holds || now.saturating_sub(ahead.asked_ms) > FRESH_MS {
            self.filled = self.filled.max(ahead.cancel());
            return false;
        }
        if !ahead.wait() {
            ahead.cancel();
            return false;
        }
        self.filled = self.filled.max(ahead.fill_end);
        (self.ready, self.ready_ms) = (ahead.ready, ahead.asked_ms);
        self.go_over(ahead.window);
        true
    }

    fn make_ready_here(&mut self, file: &File, wanted: Range<u64>, len: u64, now: u64) -> bool {
        let from = wanted.start & !(PAGE_LEN - 1);
        let fill = self.filled.max(wanted.start.next_multiple_of(PAGE_LEN));
        let to = (from + len).min(pages_end(file));
        if to < wanted.end {
            return false;
        }
        let request = self.request(file, from..to, fill);
        // A full disk: the write itself will say so.
        let Some((window, request)) = request.filter(|(_, request)| request.carry_out(file)) else {
            self.refused = true;
            self.let_go();
            return false;
        };
        self.filled = self.filled.max(request.fill.end);
        (self.ready, self.ready_ms) = (request.ready, now);
        self.go_over(window);
        true
    }

    /// Has another thread make ready what comes behind this.
    fn ask_ahead(&mut self, file: &File, now: u64) {
        let end = self.ready.end;
        let to = (end + AHEAD_LEN).min(pages_end(file));
        // A write that begins in the one and ends in the other lies in the other.
        let from = end.saturating_sub(WRITE_LEN_MAX as u64);
        if to > end
            && ASKER.is_there()
            && let Some((window, request)) = self.request(file, from..to, self.filled.max(end))
            && let Ok(file) = file.try_clone()
        {
            self.ahead = Some(Ahead::ask(window, request, file, now));
        }
    }

    /// To make `ready` ready, with zeros from `fill` on; and the window for it, if it is not the one that there is.
    fn request(&self, file: &File, ready: Range<u64>, fill: u64) -> Option<(Option<Window>, Request)> {
        let here = self.window.as_ref().map(Window::pages);
        let here = here.filter(|pages| pages.hold(ready.start, ready.end)).cloned();
        let (window, pages) = match here {
            Some(pages) => (None, pages),
            None => {
                let window = Window::new(file, ready.start, WINDOW_LEN)?;
                let pages = window.pages().clone();
                (Some(window), pages)
            }
        };
        Some((window, Request { pages, fill: fill.min(ready.end)..ready.end, ready }))
    }

    /// Stores go into this window from now on, if there is one.
    fn go_over(&mut self, window: Option<Window>) {
        if window.is_some() {
            self.let_go();
            self.window = window;
        }
    }
}

/// Where the last whole page of a file ends.
fn pages_end(file: &File) -> u64 {
    file.metadata().map_or(0, |meta| meta.len()) & !(PAGE_LEN - 1)
}

/// Pages to be made ready, and which of them get zeros before.
#[derive(Debug)]
struct Request {
    pages: Arc<Pages>,
    ready: Range<u64>,
    fill: Range<u64>,
}

impl Request {
    fn carry_out(&self, file: &File) -> bool {
        let zeros = ZEROS.get(..(self.fill.end - self.fill.start) as usize).unwrap_or_default();
        let is_filled =
            zeros.is_empty() || sys::write(file, self.fill.start, zeros).ok() == Some(zeros.len());
        is_filled && self.pages.make_ready(self.ready.start, self.ready.end)
    }
}

/// A request that another thread has, or this one if that has not come to it.
#[derive(Debug)]
struct Ahead {
    /// Where these pages are mapped, if not in the window that there is.
    window: Option<Window>,
    ready: Range<u64>,
    fill_end: u64,
    asked_ms: u64,
    work: Arc<Mutex<Work>>,
}

/// Whoever locks it first does it.
#[derive(Debug)]
enum Work {
    Waiting(Request, File),
    Over { is_done: bool },
}

impl Ahead {
    fn ask(window: Option<Window>, request: Request, file: File, now: u64) -> Self {
        let (ready, fill_end) = (request.ready.clone(), request.fill.end);
        let work = Arc::new(Mutex::new(Work::Waiting(request, file)));
        let asked = work.clone();
        ASKER.run(move || _ = Work::carry_out(&asked));
        Self { window, ready, fill_end, asked_ms: now, work }
    }

    /// Waits until it is done, which takes some 60 us if it was begun, or does it. `false`: the system refused.
    fn wait(&self) -> bool {
        Work::carry_out(&self.work)
    }

    /// It is not to be done any more; waits if it was begun. How far it has filled the file, 0 if it has not.
    fn cancel(self) -> u64 {
        let over = Work::Over { is_done: false };
        let work = std::mem::replace(&mut *Work::lock(&self.work), over);
        self.window.map(drop_elsewhere).unwrap_or_default();
        if let Work::Over { is_done: true } = work { self.fill_end } else { 0 }
    }
}

impl Work {
    fn lock(work: &Mutex<Self>) -> MutexGuard<'_, Self> {
        work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(work: &Mutex<Self>) -> bool {
        let mut work = Self::lock(work);
        if let Self::Waiting(request, file) = &*work {
            *work = Self::Over { is_done: request.carry_out(file) };
        }
        matches!(*work, Self::Over { is_done: true })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.start_over();
        self.let_go();
    }
}

/// Whether this system stores into files like this one, which is a page long or longer; its first page is made ready.
#[cfg(test)]
pub(crate) fn is_supported(file: &File) -> bool {
    Window::new(file, 0, PAGE_LEN).is_some_and(|window| window.pages().make_ready(0, PAGE_LEN))
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
