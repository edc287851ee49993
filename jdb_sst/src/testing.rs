//! What the tests of this crate share: chance from a seed, tables in memory, a driver for walks, a model.

use crate::filter::{FilterBlock, filter_hash};
use crate::footer::Footer;
use crate::layout::FOOTER_LEN;
use crate::lookup::{Found, Lookup};
use crate::options::{TableInfo, WriterOptions};
use crate::table_builder::TableBuilder;
use crate::trailer;
use crate::walk::{Walk, Want};
use crate::{Damage, EntryRef};
use bytes::Bytes;
use jdb_base::key::entry_order;
use jdb_base::{Kind, SeqNo};
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64;

/// Numbers from a seed.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// An entry of the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) seq: SeqNo,
    pub(crate) kind: Kind,
    pub(crate) value: Vec<u8>,
}

impl Row {
    pub(crate) fn new(key: &[u8], seq: u64, value: &[u8]) -> Self {
        Self { key: key.to_vec(), seq: SeqNo::new(seq), kind: Kind::Inline, value: value.to_vec() }
    }

    pub(crate) fn is(&self, entry: EntryRef<'_>) -> bool {
        self.key == entry.key && self.seq == entry.seq && self.kind == entry.kind && self.value == entry.value
    }
}

pub(crate) fn sort(rows: &mut Vec<Row>) {
    rows.sort_by(|a, b| entry_order((&a.key, a.seq), (&b.key, b.seq)));
    rows.dedup_by(|a, b| a.key == b.key && a.seq == b.seq);
}

/// Number of the first row at or after `(key, seq)`.
pub(crate) fn lower_bound(rows: &[Row], key: &[u8], seq: SeqNo) -> usize {
    rows.partition_point(|row| entry_order((&row.key, row.seq), (key, seq)) == Ordering::Less)
}

/// Random rows over a small set of keys with common prefixes, several versions of many.
pub(crate) fn random_rows(rng: &mut Rng, count: usize) -> Vec<Row> {
    let letters = [b'a', b'b', 0, 0xff];
    let mut rows = Vec::new();
    for _ in 0..count {
        let mut key = match rng.below(4) {
            0 => b"prefix/that/is/common/".to_vec(),
            1 => vec![0xff; 3],
            _ => vec![],
        };
        for _ in 0..rng.below(7) {
            key.push(letters[rng.below(4)]);
        }
        let kind = [Kind::Tombstone, Kind::Pointer, Kind::Inline][rng.below(3)];
        let value_len = [0, 3, 12, 40, 300][rng.below(5)];
        let seq = [rng.next() % 50, rng.next() % 50, rng.next() >> 3][rng.below(3)];
        rows.push(Row { key, seq: SeqNo::new(seq), kind, value: vec![rng.next() as u8; value_len] });
    }
    sort(&mut rows);
    rows
}

pub(crate) fn options(block_len: usize, index_len: usize, top_len: usize) -> WriterOptions {
    WriterOptions { block_len, index_len, top_len, ..WriterOptions::default() }
}

pub(crate) fn build(rows: &[Row], options: WriterOptions) -> (Vec<u8>, TableInfo) {
    let mut builder = TableBuilder::new([7; 16], options).unwrap();
    for row in rows {
        builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
    }
    builder.finish()
}

/// A table in memory.
pub(crate) struct Table {
    pub(crate) bytes: Bytes,
    pub(crate) footer: Footer,
    pub(crate) limit: u64,
}

impl Table {
    pub(crate) fn open(bytes: Vec<u8>) -> Result<Self, Damage> {
        let bytes = Bytes::from(bytes);
        let tail = bytes.last_chunk::<FOOTER_LEN>();
        let tail =
            tail.ok_or_else(|| Damage::corrupt("file length", 0, FOOTER_LEN as u64, bytes.len() as u64))?;
        let limit = (bytes.len() - FOOTER_LEN) as u64;
        let footer = Footer::decode(tail, limit).map_err(|damage| damage.after(limit))?;
        Ok(Self { bytes, footer, limit })
    }

    pub(crate) fn of(rows: &[Row], options: WriterOptions) -> Self {
        Self::open(build(rows, options).0).unwrap()
    }

    pub(crate) fn walk(&self) -> Walk {
        Walk::new(&self.footer, self.limit)
    }

    pub(crate) fn load(&self, want: Want) -> Result<Bytes, Damage> {
        let start = want.handle.offset as usize;
        let stored = self.bytes.slice(start..start + want.handle.len as usize);
        trailer::verify(&stored, self.footer.seed(), start as u64)
            .map_err(|damage| damage.after(start as u64))
    }

    /// Drives a walk to where it wants to go; gives the number of blocks loaded.
    pub(crate) fn follow(
        &self,
        walk: &mut Walk,
        mut want: Result<Option<Want>, Damage>,
    ) -> Result<usize, Damage> {
        let mut loads = 0;
        while let Some(next) = want? {
            want = walk.supply(next, self.load(next)?);
            loads += 1;
        }
        Ok(loads)
    }

    pub(crate) fn get(&self, key: &[u8], seq: SeqNo) -> Result<Option<Row>, Damage> {
        let (lookup, mut want) = Lookup::new(&self.footer, self.limit, key, seq);
        while let Some(next) = want {
            if self.ask(next, key)? == Some(false) {
                return Ok(None);
            }
            match lookup.look(next, &self.load(next)?)? {
                Found::Below(below) => want = Some(below),
                Found::Answer(entry) => {
                    return Ok(entry.map(|entry| Row {
                        key: key.to_vec(),
                        seq: entry.seq,
                        kind: entry.kind,
                        value: entry.value.to_vec(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// What the filter before a block says of a key; `None` without a filter.
    pub(crate) fn ask(&self, want: Want, key: &[u8]) -> Result<Option<bool>, Damage> {
        let Some(handle) = want.filter() else { return Ok(None) };
        let body = self.load(Want { handle, ..want })?;
        let filter = FilterBlock::parse(&body).map_err(|damage| damage.after(handle.offset))?;
        Ok(filter.map(|filter| filter.may_contain(filter_hash(key, xxh3_64(&self.footer.id)))))
    }

    /// All rows, forward or backward.
    pub(crate) fn scan(&self, back: bool) -> Result<Vec<Row>, Damage> {
        let mut walk = self.walk();
        let start = if back { walk.seek_last() } else { walk.seek_first() };
        self.follow(&mut walk, start)?;
        let mut rows = Vec::new();
        while let Some(entry) = walk.entry() {
            let value = walk.value().unwrap();
            assert_eq!(value, entry.value);
            rows.push(Row {
                key: entry.key.to_vec(),
                seq: entry.seq,
                kind: entry.kind,
                value: value.to_vec(),
            });
            let step = if back { walk.prev() } else { walk.next() };
            self.follow(&mut walk, step)?;
        }
        if back {
            rows.reverse();
        }
        Ok(rows)
    }
}
