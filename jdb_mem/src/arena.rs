//! Arena: memory that is only added to. Nothing in it moves or goes before the arena itself does.
//!
//! The first chunk is small, each next one twice as long, up to [`CHUNK_LEN`]; so an idle shard costs a page. What is
//! longer than a quarter of a chunk gets a chunk of its own, and at most that quarter is lost at a chunk's end.
//!
//! Chunks can be given back one by one ([`Arena::free_chunk`]), so that dropping a full memtable need not hold its
//! thread in one long step.
#![expect(unsafe_code, reason = "hands out raw memory")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

/// Length of a full-grown chunk in bytes.
pub(crate) const CHUNK_LEN: usize = 256 << 10;
const FIRST_CHUNK_LEN: usize = 4 << 10;
const OWN_CHUNK_LEN_MIN: usize = CHUNK_LEN / 4;
/// Alignment of chunks, and the largest that can be asked for: a cache line.
pub(crate) const ALIGN_MAX: usize = 64;

const _: () = assert!(CHUNK_LEN.is_multiple_of(ALIGN_MAX) && FIRST_CHUNK_LEN.is_multiple_of(ALIGN_MAX));

#[derive(Default)]
pub(crate) struct Arena {
    chunks: RefCell<Vec<Chunk>>,
    /// The free part of the chunk that is being filled; empty when there is none.
    free: Cell<Free>,
    next_chunk_len: Cell<usize>,
    held_len: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Free {
    start: NonNull<u8>,
    len: usize,
}

impl Default for Free {
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0 }
    }
}

impl Arena {
    /// `len` bytes, aligned to `align`, not initialized; they live as long as the arena.
    ///
    /// `align` is a power of two up to [`ALIGN_MAX`]. Cost: a few instructions, or one allocation a chunk.
    #[inline]
    pub(crate) fn alloc(&self, len: usize, align: usize) -> NonNull<u8> {
        debug_assert!(align.is_power_of_two() && align <= ALIGN_MAX, "alignment {align}");
        let Free { start, len: free_len } = self.free.get();
        let pad = start.as_ptr().addr().wrapping_neg() & (align - 1);
        // A free part is at most a chunk, so the sum cannot overflow where the comparison is true.
        if len <= free_len && pad + len <= free_len {
            // SAFETY: the free part holds `free_len` bytes of one chunk, and `pad + len` is not more.
            let (place, rest) = unsafe { (start.add(pad), start.add(pad + len)) };
            self.free.set(Free { start: rest, len: free_len - pad - len });
            return place;
        }
        self.alloc_in_new_chunk(len)
    }

    /// Bytes in use: what was handed out, with padding and the lost ends of full chunks.
    pub(crate) fn used_len(&self) -> usize {
        self.held_len.get() - self.free.get().len
    }

    /// Bytes held from the allocator, the free end of the newest chunk included.
    pub(crate) fn held_len(&self) -> usize {
        self.held_len.get()
    }

    /// Gives one chunk back; false when none is left.
    ///
    /// # Safety
    /// Nothing that was allocated here is used again.
    pub(crate) unsafe fn free_chunk(&mut self) -> bool {
        self.free.set(Free::default());
        let Some(chunk) = self.chunks.get_mut().pop() else {
            self.next_chunk_len.set(0);
            return false;
        };
        self.held_len.set(self.held_len.get() - chunk.len);
        true
    }

    #[cold]
    fn alloc_in_new_chunk(&self, len: usize) -> NonNull<u8> {
        let own = len >= OWN_CHUNK_LEN_MIN;
        let chunk_len = if own {
            len
        } else {
            let planned = self.next_chunk_len.get().max(FIRST_CHUNK_LEN);
            self.next_chunk_len.set((planned * 2).min(CHUNK_LEN));
            planned.max(len.next_power_of_two())
        };
        let chunk = Chunk::new(chunk_len);
        let start = chunk.start;
        self.chunks.borrow_mut().push(chunk);
        self.held_len.set(self.held_len.get() + chunk_len);
        if !own {
            // SAFETY: `len <= chunk_len`, both within the new chunk; its start is aligned to ALIGN_MAX.
            let rest = unsafe { start.add(len) };
            self.free.set(Free { start: rest, len: chunk_len - len });
        }
        start
    }

    #[cfg(test)]
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.borrow().len()
    }
}

/// One allocation, given back when dropped.
///
/// It is aligned in here: what an allocator cuts off to align it, it may not find large enough again for the next one, and so
/// hold twice what is in use (glibc 2.36: measured).
struct Chunk {
    /// The aligned part of what was allocated.
    start: NonNull<u8>,
    len: usize,
    allocated: NonNull<u8>,
}

impl Chunk {
    fn new(len: usize) -> Self {
        assert!(len > 0, "a chunk has bytes");
        let layout = Self::layout(len);
        // SAFETY: the layout's size is not 0.
        let Some(allocated) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let pad = allocated.as_ptr().addr().wrapping_neg() & (ALIGN_MAX - 1);
        // SAFETY: `pad` is below ALIGN_MAX, so that `len` bytes of the allocation are left behind it.
        let start = unsafe { allocated.add(pad) };
        #[cfg(test)]
        tests::LIVE_CHUNKS.set(tests::LIVE_CHUNKS.get() + 1);
        Self { start, len, allocated }
    }

    /// `len` bytes and room to align them.
    fn layout(len: usize) -> Layout {
        let padded = len.checked_add(ALIGN_MAX).and_then(|len| Layout::from_size_align(len, 1).ok());
        padded.expect("an entry is shorter than half the address space")
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { dealloc(self.allocated.as_ptr(), Self::layout(self.len)) }
        #[cfg(test)]
        tests::LIVE_CHUNKS.set(tests::LIVE_CHUNKS.get() - 1);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    thread_local! {
        /// Chunks of this thread's arenas that are not freed yet.
        pub(crate) static LIVE_CHUNKS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn pieces_are_aligned_and_do_not_overlap() {
        let arena = Arena::default();
        let mut pieces = vec![];
        for round in 0..2000usize {
            let (len, align) = (1 + round * 37 % 300, 1 << (round % 7));
            let piece = arena.alloc(len, align);
            assert_eq!(piece.as_ptr().addr() % align, 0, "round {round}");
            // SAFETY: `len` bytes were handed out.
            unsafe { piece.write_bytes(round as u8, len) };
            pieces.push((piece, len));
        }
        for (round, (piece, len)) in pieces.iter().enumerate() {
            // SAFETY: written above; the arena lives.
            let bytes = unsafe { std::slice::from_raw_parts(piece.as_ptr(), *len) };
            assert!(bytes.iter().all(|&byte| byte == round as u8), "round {round}");
        }
    }

    #[test]
    fn long_pieces_get_their_own_chunk_and_leave_the_open_one_alone() {
        let arena = Arena::default();
        let first = arena.alloc(10, 1);
        arena.alloc(OWN_CHUNK_LEN_MIN, 1);
        arena.alloc(3 * CHUNK_LEN, 64);
        let second = arena.alloc(10, 1);
        assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), 10);
        assert_eq!(arena.chunk_count(), 3);
        assert_eq!(arena.held_len(), FIRST_CHUNK_LEN + OWN_CHUNK_LEN_MIN + 3 * CHUNK_LEN);
        assert_eq!(arena.used_len(), 20 + OWN_CHUNK_LEN_MIN + 3 * CHUNK_LEN);
    }

    #[test]
    fn chunks_are_freed_one_by_one_and_the_rest_on_drop() {
        assert_eq!(LIVE_CHUNKS.get(), 0);
        let mut arena = Arena::default();
        assert_eq!(arena.held_len(), 0, "an empty arena holds nothing");
        for _ in 0..100 {
            arena.alloc(20_000, 8);
        }
        let count = arena.chunk_count();
        assert!(count > 8, "{count}");
        assert_eq!(LIVE_CHUNKS.get(), count);
        for left in (count - 3..count).rev() {
            // SAFETY: the pieces above are not used.
            assert!(unsafe { arena.free_chunk() });
            assert_eq!(LIVE_CHUNKS.get(), left);
        }
        drop(arena);
        assert_eq!(LIVE_CHUNKS.get(), 0);
    }
}
