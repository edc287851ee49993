//! The key of the entry that a cursor sits on, put together from pieces of a block.
//!
//! Pieces are short. So they are copied 16 or 32 bytes at once, whatever their length: two instructions instead of a call, and
//! what is copied too much is overwritten by the next piece, or lies behind the key.
//!
//! Invariants
//! - The buffer reaches [`ROOM`] bytes beyond every key that was put into it, and never shrinks.

/// Bytes of the longest piece that is copied at once.
const ROOM: usize = 32;

#[derive(Clone, Default, Debug)]
pub(crate) struct KeyBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Makes the key end with the bytes `start..end` of `from`, which follow its first `at` bytes.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, from: &[u8], start: usize, end: usize) {
        self.len = at + (end - start);
        let short = match end - start {
            0..=16 => copy::<16>(&mut self.bytes, at, from, start),
            17..=ROOM => copy::<ROOM>(&mut self.bytes, at, from, start),
            _ => None,
        };
        if short.is_none() {
            self.put_long(at, from.get(start..end).unwrap_or_default());
        }
    }

    /// Any piece: the first ones, long ones, and those at the end of a short block.
    #[cold]
    fn put_long(&mut self, at: usize, piece: &[u8]) {
        let len = at + piece.len();
        if self.bytes.len() < len + ROOM {
            self.bytes.resize((len + ROOM).next_power_of_two(), 0);
        }
        if let Some(to) = self.bytes.get_mut(at..len) {
            to.copy_from_slice(piece);
        }
    }
}

/// Copies `N` bytes; `None` when one of the two is too short.
#[inline]
fn copy<const N: usize>(to: &mut [u8], at: usize, from: &[u8], start: usize) -> Option<()> {
    *to.get_mut(at..)?.first_chunk_mut::<N>()? = *from.get(start..)?.first_chunk::<N>()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_what_was_put_whatever_the_lengths() {
        let from: Vec<u8> = (0..=255).collect();
        let mut key = KeyBuffer::default();
        let mut want = Vec::new();
        for (at, start, end) in [
            (0, 0, 0),
            (0, 3, 8),
            (5, 0, 16),
            (4, 100, 117),
            (21, 0, 33),
            (2, 250, 256),
            (8, 240, 256),
            (0, 0, 256),
            (256, 1, 33),
            (250, 9, 10),
        ] {
            want.truncate(at);
            want.extend_from_slice(&from[start..end]);
            key.put(at, &from, start, end);
            assert_eq!(key.as_slice(), want, "{at} {start}..{end}");
        }
    }
}
