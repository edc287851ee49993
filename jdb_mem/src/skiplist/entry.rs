//! Entry in the arena: header, key, value, in one piece that never changes and never moves.
//!
//! `seq u64 | value_len u32 | key_len << 3 | kind u32 | key | value`, native byte order, not aligned.

use crate::arena::Arena;
use crate::memtable::Entry;
use jdb_base::{Kind, SeqNo};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

const VALUE_LEN_OFFSET: usize = 8;
const KEY_LEN_OFFSET: usize = 12;
const HEADER_LEN: usize = 16;
const KEY_LEN_MAX: u32 = u32::MAX >> Kind::BITS;

/// An entry of an arena that lives for `'a`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryRef<'a> {
    start: NonNull<u8>,
    arena: PhantomData<&'a Arena>,
}

impl<'a> EntryRef<'a> {
    /// Copies an entry into the arena.
    #[inline]
    pub(super) fn write(arena: &'a Arena, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> Self {
        let value_len = u32::try_from(value.len()).expect("a value is shorter than 4 GiB");
        let key_len = u32::try_from(key.len()).ok().filter(|&len| len <= KEY_LEN_MAX);
        let key_len = key_len.expect("a key is shorter than 512 MiB");
        let start = arena.alloc(HEADER_LEN + key.len() + value.len(), 1);
        // SAFETY: the piece is as long as header, key and value together; new memory overlaps nothing.
        unsafe {
            start.cast().write_unaligned(seq.get());
            start.add(VALUE_LEN_OFFSET).cast().write_unaligned(value_len);
            start.add(KEY_LEN_OFFSET).cast().write_unaligned(key_len << Kind::BITS | u32::from(kind.to_u8()));
            start.add(HEADER_LEN).copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            start
                .add(HEADER_LEN + key.len())
                .copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        Self { start, arena: PhantomData }
    }

    /// # Safety
    /// `start` came from [`EntryRef::start`] of an entry whose arena lives for `'a`.
    #[inline]
    pub(super) unsafe fn from_start(start: NonNull<u8>) -> Self {
        Self { start, arena: PhantomData }
    }

    #[inline]
    pub(super) fn start(self) -> NonNull<u8> {
        self.start
    }

    /// Key and sequence: what entries sort by.
    #[inline]
    pub(super) fn id(self) -> (&'a [u8], SeqNo) {
        (self.key(), self.seq())
    }

    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        let len = (self.key_word() >> Kind::BITS) as usize;
        // SAFETY: `write` put `len` key bytes behind the header; they live for 'a and never change.
        unsafe { slice::from_raw_parts(self.start.add(HEADER_LEN).as_ptr(), len) }
    }

    #[inline]
    pub(super) fn seq(self) -> SeqNo {
        // SAFETY: `write` put the sequence here.
        SeqNo::new(unsafe { self.start.cast().read_unaligned() })
    }

    #[inline]
    pub(super) fn get(self) -> Entry<'a> {
        let kind = Kind::from_u8((self.key_word() & ((1 << Kind::BITS) - 1)) as u8);
        let kind = kind.expect("the number of a kind was written");
        let key = self.key();
        // SAFETY: `write` put the value's length here and its bytes behind the key; they live for 'a and never change.
        let value = unsafe {
            let len: u32 = self.start.add(VALUE_LEN_OFFSET).cast().read_unaligned();
            slice::from_raw_parts(self.start.add(HEADER_LEN + key.len()).as_ptr(), len as usize)
        };
        Entry { key, seq: self.seq(), kind, value }
    }

    #[inline]
    fn key_word(self) -> u32 {
        // SAFETY: `write` put key length and kind here.
        unsafe { self.start.add(KEY_LEN_OFFSET).cast().read_unaligned() }
    }
}
