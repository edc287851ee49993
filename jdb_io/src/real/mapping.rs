//! Reads of what is in the page cache, copied from a mapping of the file: no system call a read.
//!
//! A load from a mapped page that has left the page cache reads the device on this thread, and is a signal instead of an
//! error (SIGBUS) when that fails. So a page is loaded from only when the kernel has said within [`FRESH_MS`] that it is
//! there. What is not known to be there is read with a system call.
//!
//! ```text
//! chunk of 64 pages, first read of an interval                         -> system call
//!   second, if it was hot in the interval before; eighth, if it was not -> mincore(2) of the chunk
//!   from there on                                                       -> copied, if its pages were there
//! ```
//!
//! Hot is what was read eight times. Asking costs about what three copies spare, and the first copy from a page, which the kernel
//! has to map then, costs more than a system call: what is read here and there, or for the first time, gains nothing from a mapping.
//! The system calls also tell the kernel which pages are in use: loads from a mapping that is read at random do not.
//!
//! A file is mapped once it has answered [`MAP_AFTER`] reads from the page cache: a cold one never is.

use crate::real::handle::drop_elsewhere;
use crate::real::sys::{self, Region};
use std::cell::RefCell;
use std::fs::File;

/// Reads answered from the page cache before the file is mapped.
const MAP_AFTER: u32 = 16;
/// Reads of a chunk in an interval, from which on it is hot.
const HOT: u32 = 8;
/// How long it is believed that a page is in the page cache.
const FRESH_MS: u64 = 250;
/// Longer reads are worth a system call, and would touch too many pages one by one.
const READ_LEN_MAX: usize = 64 << 10;
/// What is asked about at once: a bit for each page.
const CHUNK_LEN: u64 = 64 * PAGE_LEN;
const PAGE_LEN: u64 = 4 << 10;
/// The shortest mapping.
const MAP_LEN_MIN: u64 = 1 << 20;

/// How reads of one file may do without system calls. Starts without a mapping.
#[derive(Debug, Default)]
pub(crate) struct Mapping(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    /// Reads answered from the page cache since the last mapping, or attempt at one.
    ready: u32,
    /// Mapping makes no sense: it was refused, or the kernel does not say what is there.
    refused: bool,
    /// Changes of the file's length under way.
    suspended: usize,
    region: Option<Region>,
    /// Bytes of the file that are known to be there: what lies behind them in the last page are zeros to a load.
    file_len: u64,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Chunk {
    /// The interval in which it was read last, see [`interval`].
    interval: u32,
    /// How often it was read in that interval.
    reads: u32,
    /// It was hot in the interval before.
    was_hot: bool,
    /// Its pages that were there when somebody asked in that interval.
    pages: Option<u64>,
}

impl Mapping {
    /// Appends `len` bytes at `offset` to `data` if they can be copied; `false`, and nothing was appended, if not.
    #[inline]
    pub(crate) fn read(&self, file: &File, offset: u64, data: &mut Vec<u8>, len: usize) -> bool {
        let mut state = self.0.borrow_mut();
        state.region.is_some() && len <= READ_LEN_MAX && state.read(file, offset, data, len, interval())
    }

    /// A read through `offset..offset + len` was answered from the page cache by a system call.
    pub(crate) fn note_ready(&self, file: &File, offset: u64, len: usize) {
        let mut state = self.0.borrow_mut();
        let end = offset.saturating_add(len as u64);
        if state.refused
            || state.suspended > 0
            || state.region.as_ref().is_some_and(|region| end <= region.len())
        {
            return;
        }
        state.ready += 1;
        if state.ready >= MAP_AFTER {
            state.map(file);
        }
    }

    /// The file's length changes from here to [`Mapping::resume`]: nothing is mapped.
    pub(crate) fn suspend(&self) {
        let mut state = self.0.borrow_mut();
        unmap(state.region.take());
        (state.ready, state.suspended) = (0, state.suspended + 1);
    }

    /// The change is over.
    pub(crate) fn resume(&self) {
        self.0.borrow_mut().suspended -= 1;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.0.get_mut().region.take());
    }
}

/// 64 MiB take two milliseconds.
fn unmap(region: Option<Region>) {
    if let Some(region) = region {
        drop_elsewhere(region);
    }
}

/// Numbers intervals of [`FRESH_MS`], from 1 on.
fn interval() -> u32 {
    1 + (sys::coarse_ms() / FRESH_MS) as u32
}

impl State {
    /// Maps the file, and room for it to grow into.
    fn map(&mut self, file: &File) {
        self.ready = 0;
        unmap(self.region.take());
        let file_len = file.metadata().map_or(0, |meta| meta.len());
        // A chunk behind its end, to see whether the kernel tells the truth: to who may not write a file it says that every page is
        // there.
        let len = file_len.next_power_of_two().max(MAP_LEN_MIN) + CHUNK_LEN;
        let region =
            Region::new(file, len).filter(|region| region.resident(len - CHUNK_LEN, CHUNK_LEN) == Some(0));
        self.refused = region.is_none();
        self.chunks = vec![Chunk::default(); usize::try_from(len / CHUNK_LEN).unwrap_or(0)];
        (self.region, self.file_len) = (region, 0);
    }

    fn read(&mut self, file: &File, offset: u64, data: &mut Vec<u8>, len: usize, now: u32) -> bool {
        let Some(end) = offset.checked_add(len as u64).filter(|_| len > 0) else { return false };
        if self.region.as_ref().is_none_or(|region| region.len() < end) {
            return false;
        }
        let mut known = true;
        for index in offset / CHUNK_LEN..=(end - 1) / CHUNK_LEN {
            known &= self.is_resident(file, index, offset, end, now);
        }
        if !known || self.file_len < end {
            return false;
        }
        self.region.as_ref().is_some_and(|region| region.copy(offset, data, len))
    }

    /// Whether the pages of a chunk that `offset..end` touches are in the page cache.
    fn is_resident(&mut self, file: &File, index: u64, offset: u64, end: u64, now: u32) -> bool {
        let (Some(region), Some(chunk)) = (&self.region, self.chunks.get_mut(index as usize)) else {
            return false;
        };
        if chunk.interval != now {
            let was_hot = chunk.interval.wrapping_add(1) == now && chunk.reads >= HOT;
            *chunk = Chunk { interval: now, reads: 0, was_hot, pages: None };
        }
        chunk.reads = chunk.reads.saturating_add(1);
        let start = index * CHUNK_LEN;
        let pages = match chunk.pages {
            Some(pages) => pages,
            None if chunk.reads >= HOT || chunk.was_hot && chunk.reads > 1 => {
                // Before the pages are looked at: what is cut off meanwhile is not there.
                self.file_len = file.metadata().map_or(0, |meta| meta.len());
                *chunk.pages.insert(region.resident(start, CHUNK_LEN).unwrap_or(0))
            }
            None => return false,
        };
        let first = offset.saturating_sub(start) / PAGE_LEN;
        let last = (end - 1 - start).min(CHUNK_LEN - 1) / PAGE_LEN;
        let wanted = (u64::MAX >> (63 - (last - first))) << first;
        pages & wanted == wanted
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A file of `len` bytes in the page cache, and its mapping.
    fn mapped(len: usize) -> (File, Vec<u8>, State) {
        let file = tempfile::tempfile().expect("a new file");
        let bytes: Vec<u8> = (0..len).map(|at| (at / 7 + at % 251) as u8).collect();
        file.write_all_at(&bytes, 0).expect("room");
        let mut state = State::default();
        state.map(&file);
        assert!(!state.refused);
        (file, bytes, state)
    }

    fn read(state: &mut State, file: &File, offset: u64, len: usize, now: u32) -> Option<Vec<u8>> {
        let mut data = b"before".to_vec();
        let done = state.read(file, offset, &mut data, len, now);
        assert_eq!(data.len() - 6, if done { len } else { 0 });
        done.then(|| data.split_off(6))
    }

    /// Reads often enough that what is there is copied.
    fn heat(state: &mut State, file: &File, offset: u64, now: u32) {
        (1..HOT).for_each(|count| assert_eq!(read(state, file, offset, 1, now), None, "{count}"));
    }

    #[test]
    fn what_is_read_often_in_an_interval_or_was_in_the_one_before_is_copied() {
        let (file, bytes, mut state) = mapped(3 << 20);
        let mut check = |now, offset: u64, len, copied: bool| {
            let want = copied.then(|| bytes[offset as usize..offset as usize + len].to_vec());
            assert_eq!(read(&mut state, &file, offset, len, now), want, "{now} {offset} {len}");
        };
        (1..HOT).for_each(|_| check(1, 100, 1000, false));
        check(1, 5000, 1000, true);
        check(1, 262_143, 1, true);
        check(1, 0, 64 << 10, true);
        // Into the next chunk: only when both are hot.
        (1..HOT).for_each(|_| check(1, 262_000, 1000, false));
        check(1, 262_000, 1000, true);
        // The first read of an interval is a system call.
        check(2, 100, 1000, false);
        (0..2).for_each(|_| check(2, 100, 1000, true));
        // It was not hot then.
        (1..HOT).for_each(|_| check(3, 100, 1000, false));
        check(3, 100, 1000, true);
        // Nor in the one before.
        (1..HOT).for_each(|_| check(5, 100, 1000, false));
        check(5, (3 << 20) - 10, 10, false);
    }

    #[test]
    fn nothing_behind_the_end_is_read_and_growth_is_seen() {
        let (file, _, mut state) = mapped((1 << 20) + 100);
        for (offset, len) in
            [((1 << 20) + 50, 51), ((1 << 20) + 100, 1), (2 << 20, 10), (u64::MAX - 5, 10), (7, 0)]
        {
            for _ in 0..2 * HOT {
                assert_eq!(read(&mut state, &file, offset, len, 1), None, "{offset} {len}");
            }
        }
        file.write_all_at(b"grown", (1 << 20) + 100).unwrap();
        assert_eq!(read(&mut state, &file, (1 << 20) + 100, 5, 1), None, "known from the next interval on");
        assert_eq!(read(&mut state, &file, (1 << 20) + 100, 5, 2), None);
        assert_eq!(read(&mut state, &file, (1 << 20) + 100, 5, 2).as_deref(), Some(&b"grown"[..]));
        // Not while its length changes.
        let mapping = Mapping(RefCell::new(state));
        mapping.suspend();
        for _ in 0..2 * MAP_AFTER {
            mapping.note_ready(&file, 0, 5);
            assert_eq!(read(&mut mapping.0.borrow_mut(), &file, 0, 5, 2), None);
        }
        mapping.resume();
        (0..MAP_AFTER).for_each(|_| mapping.note_ready(&file, 0, 5));
        let mut state = mapping.0.borrow_mut();
        heat(&mut state, &file, 0, 2);
        assert!(read(&mut state, &file, 0, 5, 2).is_some());
    }

    #[test]
    fn pages_that_are_not_there_are_not_touched() {
        // Without a page cache of its own, such as tmpfs, a file never leaves memory.
        let dir = std::env::current_dir().unwrap();
        let file = tempfile::tempfile_in(dir).unwrap();
        file.write_all_at(&vec![1; 1 << 20], 0).unwrap();
        file.sync_all().unwrap();
        sys::evict(&file);
        file.read_exact_at(&mut [0; 10], 300 << 10).unwrap();
        let mut state = State::default();
        state.map(&file);
        let page = |at: u64| state.region.as_ref().unwrap().resident(at & !(CHUNK_LEN - 1), CHUNK_LEN);
        let bits = page(300 << 10).unwrap();
        let there = |at: u64| bits & 1 << (at % CHUNK_LEN / PAGE_LEN) != 0;
        assert!(there(300 << 10), "read a moment ago");
        heat(&mut state, &file, 300 << 10, 1);
        for page in (256..512u64).step_by(4) {
            let copied = read(&mut state, &file, page << 10, 10, 1).is_some();
            assert_eq!(copied, there(page << 10), "{page}");
        }
    }

    #[test]
    fn a_file_is_mapped_when_it_is_warm_and_again_when_it_has_outgrown_its_mapping() {
        let (file, _, _) = mapped(1 << 20);
        let mapping = Mapping::default();
        let region_len = || mapping.0.borrow().region.as_ref().map(Region::len);
        for count in 0..MAP_AFTER {
            assert_eq!(region_len(), None, "{count}");
            mapping.note_ready(&file, 0, 10);
        }
        assert_eq!(region_len(), Some((1 << 20) + CHUNK_LEN));
        file.set_len(5 << 20).unwrap();
        for _ in 0..MAP_AFTER {
            assert_eq!(region_len(), Some((1 << 20) + CHUNK_LEN));
            mapping.note_ready(&file, 0, 10);
            mapping.note_ready(&file, 4 << 20, 10);
        }
        assert_eq!(region_len(), Some((8 << 20) + CHUNK_LEN));
    }
}
