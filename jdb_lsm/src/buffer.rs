//! Bytes that are copied again and again, mostly few of them: the key and the value of a row going backward.
//!
//! Short pieces are copied by two loads and stores that overlap instead of a call.
//!
//! Invariants
//! - The memory never shrinks; `len` bytes of it are the content.

#[derive(Clone, Default, Debug)]
pub(crate) struct ShortBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl ShortBuffer {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Holds `piece` from now on.
    #[inline]
    pub(crate) fn set(&mut self, piece: &[u8]) {
        self.len = piece.len();
        let short = match piece.len() {
            8..=16 => copy_ends::<8>(&mut self.bytes, piece),
            17..=32 => copy_ends::<16>(&mut self.bytes, piece),
            _ => None,
        };
        if short.is_none() {
            self.set_any(piece);
        }
    }

    /// Adds a byte at the end.
    pub(crate) fn push(&mut self, byte: u8) {
        self.bytes.truncate(self.len);
        self.bytes.push(byte);
        self.len += 1;
    }

    fn set_any(&mut self, piece: &[u8]) {
        if self.bytes.len() < piece.len() {
            self.bytes.resize(piece.len().next_power_of_two(), 0);
        }
        if let Some(to) = self.bytes.get_mut(..piece.len()) {
            to.copy_from_slice(piece);
        }
    }
}

/// Copies the first and the last `N` bytes of a piece that is `N` to `2 * N` bytes long; `None` when there is no room yet.
#[inline]
fn copy_ends<const N: usize>(to: &mut [u8], piece: &[u8]) -> Option<()> {
    let to = to.get_mut(..piece.len())?;
    *to.first_chunk_mut::<N>()? = *piece.first_chunk::<N>()?;
    *to.last_chunk_mut::<N>()? = *piece.last_chunk::<N>()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_set_last_whatever_its_length() {
        let from: Vec<u8> = (0..=255).collect();
        let mut buffer = ShortBuffer::default();
        for len in (0..=70).chain((0..=70).rev()) {
            buffer.set(&from[len..2 * len]);
            assert_eq!(buffer.as_slice(), &from[len..2 * len], "{len}");
            buffer.push(7);
            assert_eq!(buffer.as_slice(), [&from[len..2 * len], &[7]].concat(), "{len} and one");
        }
    }
}
