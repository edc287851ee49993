//! The top index as a reader keeps it: its block, and beside it what makes a search in it short.
//!
//! Separators mostly differ in the first bytes behind what all of them share. These eight bytes are kept as one number each, so
//! that a search touches one small array and decodes nothing. Only where they are equal is the block itself asked.
//!
//! Invariants
//! - A number that is smaller means a separator that is smaller; equal numbers say nothing.

use crate::block::Block;
use crate::error::Damage;
use crate::handle::Span;
use crate::walk::{Want, child_want};
use bytes::Bytes;
use jdb_base::SeqNo;
use jdb_base::key::{common_prefix_len, word_at};

/// A top index, loaded and read through once.
#[derive(Debug)]
pub(crate) struct Top {
    bytes: Bytes,
    /// What all separators begin with.
    prefix: Box<[u8]>,
    heads: Box<[u64]>,
    spans: Box<[Span]>,
}

impl Top {
    /// Reads the block through. Cost: each entry decoded once.
    pub(crate) fn new(bytes: Bytes, limit: u64) -> Result<Self, Damage> {
        let block = Block::parse(&bytes)?;
        let mut scratch = Vec::new();
        let mut prefix = Vec::new();
        for index in [0, block.count() - 1] {
            if let Some(entry) = block.entry(index, &mut scratch)? {
                let shared = if index == 0 { entry.key.len() } else { common_prefix_len(&prefix, entry.key) };
                prefix.truncate(shared);
                if index == 0 {
                    prefix.extend_from_slice(entry.key);
                }
            }
        }
        let (mut heads, mut spans) = (Vec::with_capacity(block.count()), Vec::with_capacity(block.count()));
        for index in 0..block.count() {
            let (_, _, value_at) = block.value(index)?;
            let Some(entry) = block.entry(index, &mut scratch)? else { break };
            let want = child_want(entry.kind, entry.value, 1, false, limit);
            let want = want.map_err(|damage| damage.after(value_at as u64))?;
            let offset = want.filter().map_or(want.handle.offset, |filter| filter.offset);
            spans.push(Span { offset, filter_len: want.filter_len, len: want.handle.len });
            heads.push(word_at(entry.key, prefix.len()));
        }
        Ok(Self { prefix: prefix.into(), heads: heads.into(), spans: spans.into(), bytes })
    }

    /// The block.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of memory held.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.prefix.len() + size_of_val(&*self.heads) + size_of_val(&*self.spans)
    }

    /// The index block that can hold `(key, seq)`; `None` beyond the last entry of the table.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], seq: SeqNo) -> Result<Option<Want>, Damage> {
        // An empty prefix is not compared: what its pointer leads to is not memory, and processors can be slow to read nothing there.
        let rest = if self.prefix.is_empty() { Some(key) } else { key.strip_prefix(&*self.prefix) };
        let index = match rest {
            Some(rest) => {
                let head = word_at(rest, 0);
                let index = self.heads.partition_point(|&other| other < head);
                if self.heads.get(index) == Some(&head) { self.find_exactly(key, seq)? } else { index }
            }
            None if key < &*self.prefix => 0,
            None => self.spans.len(),
        };
        let want = |span: &Span| Want { level: 1, handle: span.index(), filter_len: span.filter_len };
        Ok(self.spans.get(index).map(want))
    }

    #[cold]
    fn find_exactly(&self, key: &[u8], seq: SeqNo) -> Result<usize, Damage> {
        Block::parse(&self.bytes)?.find(key, seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::{Found, Lookup};
    use crate::testing::{Rng, Row, Table, options, random_rows, sort};

    #[test]
    fn search_agrees_with_the_block_for_any_key() {
        for seed in 0..60 {
            let mut rng = Rng(seed);
            let mut rows = random_rows(&mut rng, 300);
            if seed % 3 == 0 {
                rows.iter_mut().for_each(|row| row.key.splice(0..0, *b"all of them").for_each(drop));
            }
            if seed % 5 == 0 {
                rows.extend((0..50).map(|seq| Row::new(b"all of them, and more", seq, b"v")));
                sort(&mut rows);
            }
            let table = Table::of(&rows, options(200, 100, 65_536));
            let want = Want { level: 0, handle: table.footer.top, filter_len: 0 };
            let bytes = table.load(want).unwrap();
            let top = Top::new(bytes.clone(), table.limit).unwrap();
            for _ in 0..500 {
                let row = &rows[rng.below(rows.len())];
                let mut key = row.key.clone();
                match rng.below(5) {
                    0 => key.push([0, 1, 0xff][rng.below(3)]),
                    1 => key.truncate(rng.below(key.len() + 1)),
                    2 if !key.is_empty() => {
                        let at = rng.below(key.len());
                        key[at] = rng.next() as u8;
                    }
                    _ => {}
                }
                let seq = SeqNo::new(row.seq.get().saturating_add(rng.below(3) as u64).saturating_sub(1));
                let (lookup, _) = Lookup::new(&table.footer, table.limit, &key, seq);
                let got = top.find(&key, seq).unwrap();
                match lookup.look(want, &bytes).unwrap() {
                    Found::Below(below) => assert_eq!(got, Some(below), "seed {seed}: {key:x?} {seq}"),
                    Found::Answer(_) => assert_eq!(got, None, "seed {seed}: {key:x?} {seq}"),
                }
            }
        }
    }

    #[test]
    fn damaged_blocks_are_errors_or_tops() {
        let rows = random_rows(&mut Rng(3), 300);
        let table = Table::of(&rows, options(200, 100, 65_536));
        let good = table.load(Want { level: 0, handle: table.footer.top, filter_len: 0 }).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(top) = Top::new(bytes.into(), table.limit) {
                for row in rows.iter().step_by(20) {
                    let _ = top.find(&row.key, row.seq);
                }
            }
        }
        for len in 0..good.len() {
            let _ = Top::new(good.slice(..len), table.limit);
        }
    }
}
