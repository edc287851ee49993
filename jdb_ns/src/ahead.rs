//! Rows that a scan has read ahead, with their values.
//!
//! A walk that asks for every value would wait for each in turn. When it shows that it does, the scan collects the next rows
//! and reads their values together: neighbours in one read, the others all at once.
//!
//! ```text
//! lazy --2 values that were not in memory, or 4 that were neighbours--> 8 rows ahead --> 16 --> .. --> at most `depth`
//!  ^                                                                                             |
//!  +-------------- a window whose values were all in memory, none a neighbour of another --------+
//! ```
//!
//! Invariants
//! - The scan below sits on the last row of the window, or beyond the end. Where the user is follows from `at` alone.
//! - A row is in the window once it was passed, its value whenever it was read: a step that was given up loses nothing, and
//!   leaves the user before the first row.

use crate::error::Result;
use bytes::Bytes;
use jdb_base::{SeqNo, ValuePtr};
use std::cell::Cell;
use std::ops::Range;

/// Rows of the first window.
const DEPTH_FIRST: usize = 8;
/// Rows of the longest window, unless the user says otherwise.
pub(crate) const DEPTH_DEFAULT: usize = 256;
/// Rows of the longest window that can be asked for.
pub(crate) const DEPTH_MAX: usize = 1024;
/// Bytes of values in a window, one value at least.
pub(crate) const LEN_MAX: u64 = 1 << 20;
/// Values that had to be waited for, one after the other, before the scan reads ahead.
const WAITED_MAX: u32 = 2;
/// Values that lay behind or before the one before, before the scan reads ahead.
const NEIGHBOURS_MAX: u32 = 4;
/// Two records this close are neighbours, in bytes.
const NEAR_LEN: u64 = 4 << 10;

/// A row of the window.
#[derive(Debug)]
pub(crate) struct AheadRow {
    /// Its engine key, in the window's keys.
    key: Range<usize>,
    pub(crate) seq: SeqNo,
    pub(crate) value: AheadValue,
}

/// The value of a row of the window.
#[derive(Debug)]
pub(crate) enum AheadValue {
    /// Read, or why it could not be.
    Read(Result<Bytes>),
    /// Not read: its step was given up, or nobody wants values.
    Pointer(ValuePtr),
}

/// The window, and what decides about the next one.
#[derive(Debug)]
pub(crate) struct Ahead {
    rows: Vec<AheadRow>,
    keys: Vec<u8>,
    /// Rows that the user has come to: on the last of these, or before the first row.
    at: usize,
    pub(crate) backward: bool,
    /// Rows of the next window; 0 while values are read when they are asked for.
    depth: usize,
    /// Rows of the longest window; 0 for none at all.
    depth_max: usize,
    /// The user has asked for it: windows stay, whatever they show.
    asked: bool,
    waited: Cell<u32>,
    neighbours: Cell<u32>,
    last: Cell<Option<ValuePtr>>,
}

impl Ahead {
    pub(crate) fn new() -> Self {
        Self {
            rows: Vec::new(),
            keys: Vec::new(),
            at: 0,
            backward: false,
            depth: 0,
            depth_max: DEPTH_DEFAULT,
            asked: false,
            waited: Cell::new(0),
            neighbours: Cell::new(0),
            last: Cell::new(None),
        }
    }

    /// Windows of this many rows from now on; 0 for none.
    pub(crate) fn ask(&mut self, depth: usize) {
        let depth = depth.min(DEPTH_MAX);
        (self.depth, self.depth_max, self.asked) = (depth, depth, depth > 0);
    }

    /// Whether there is a window.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The row that the user is on, while there is a window.
    #[inline]
    pub(crate) fn row(&self) -> Option<(&[u8], &AheadRow)> {
        let row = self.rows.get(self.at.checked_sub(1)?)?;
        Some((self.keys.get(row.key.clone()).unwrap_or_default(), row))
    }

    /// The key that the user is on, or before in the window's direction.
    pub(crate) fn place(&self) -> Option<&[u8]> {
        let row = self.rows.get(self.at.saturating_sub(1))?;
        self.keys.get(row.key.clone())
    }

    /// Goes to the next row of the window; `false` at its end.
    #[inline]
    pub(crate) fn step(&mut self) -> bool {
        let more = self.at < self.rows.len();
        self.at += usize::from(more);
        more
    }

    /// Forgets the window.
    pub(crate) fn close(&mut self) {
        self.rows.clear();
        self.keys.clear();
        self.at = 0;
    }

    /// How many rows the next window has; 0 for none.
    #[inline]
    pub(crate) fn wanted(&self) -> usize {
        self.depth
    }

    /// Adds a row that was passed.
    pub(crate) fn push(&mut self, key: &[u8], seq: SeqNo, value: AheadValue) {
        let from = self.keys.len();
        self.keys.extend_from_slice(key);
        self.rows.push(AheadRow { key: from..self.keys.len(), seq, value });
    }

    /// The rows whose values are not read: their index, engine key, sequence and pointer.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (usize, &[u8], SeqNo, ValuePtr)> {
        self.rows.iter().enumerate().filter_map(|(i, row)| match row.value {
            AheadValue::Pointer(ptr) => {
                Some((i, self.keys.get(row.key.clone()).unwrap_or_default(), row.seq, ptr))
            }
            AheadValue::Read(_) => None,
        })
    }

    /// Gives a row its value.
    pub(crate) fn put(&mut self, i: usize, value: Result<Bytes>) {
        if let Some(row) = self.rows.get_mut(i) {
            row.value = AheadValue::Read(value);
        }
    }

    /// Takes note of how the values of a window were read.
    pub(crate) fn was_read(&mut self, values: usize, reads: usize, waited: usize) {
        if waited > 0 || reads < values {
            self.depth = (self.depth * 2).min(self.depth_max);
        } else if values > 0 && !self.asked {
            self.depth = 0;
            self.waited.set(0);
            self.neighbours.set(0);
        }
    }

    /// Takes note of a value that was read when it was asked for. One that was moved into a pack has the rows around it for
    /// neighbours.
    #[inline]
    pub(crate) fn was_asked(&self, ptr: ValuePtr, waited: bool, moved: bool) {
        let near = |last: ValuePtr| {
            let (a, b) = if last.offset <= ptr.offset { (last, ptr) } else { (ptr, last) };
            let between = b.byte_offset().saturating_sub(a.byte_offset() + u64::from(a.len));
            a.segment == b.segment && between <= NEAR_LEN
        };
        let neighbours =
            if moved || self.last.get().is_some_and(near) { self.neighbours.get() + 1 } else { 0 };
        self.last.set(Some(ptr));
        self.neighbours.set(neighbours);
        self.waited.set(if waited { self.waited.get() + 1 } else { 0 });
    }

    /// Whether the values asked for so far say that reading ahead pays; then the next window has rows.
    #[inline]
    pub(crate) fn decide(&mut self) {
        if self.depth == 0
            && self.depth_max > 0
            && (self.waited.get() >= WAITED_MAX || self.neighbours.get() >= NEIGHBOURS_MAX)
        {
            self.depth = DEPTH_FIRST.min(self.depth_max);
        }
    }
}
