//! What goes into a pack, in its order: the live records of segments, which were found before, and those of older packs, which are
//! asked about as they come.
//!
//! Invariants
//! - Of packs one row each is held, whatever their length; of segments the keys of the live records.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::live_sets::{Fate, Origins};
use crate::pack::Pack;
use crate::packing::{Clock, Site};
use crate::records::{InOrder, Record, Records};
use crate::survivors::{DOUBTED_EVERY, Index};
use bytes::Bytes;
use jdb_base::key::entry_order;
use jdb_base::{SeqNo, ValuePtr};
use jdb_sst::Cursor;
use jdb_val::{Wanted, record_len};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A live record.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) seq: SeqNo,
    /// The segment that it was written to.
    pub(crate) origin: u32,
    pub(crate) value: Value,
}

/// The value of a live record.
#[derive(Debug)]
pub(crate) enum Value {
    /// It is in the record's segment.
    At(ValuePtr),
    /// It was read along.
    Read(Bytes),
}

impl Value {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::At(ptr) => u64::from(ptr.len),
            Self::Read(value) => value.len() as u64,
        }
    }
}

impl Row {
    /// What has to be read of it.
    pub(crate) fn wanted(&self) -> Option<Wanted<'_>> {
        match self.value {
            Value::At(ptr) => Some(Wanted { ptr, key: &self.key, seq: self.seq }),
            Value::Read(_) => None,
        }
    }
}

/// The live records of some files, in the order of a table.
pub(crate) struct Merge<'a> {
    site: &'a Site,
    index: Index<'a>,
    records: InOrder<'a>,
    packs: Vec<Source<'a>>,
    /// Bytes of the records so far, by origin.
    live: BTreeMap<u32, u64>,
}

/// A pack and where it stands.
struct Source<'a> {
    number: u32,
    pack: Rc<Pack>,
    /// What is known of what is in it.
    known: Origins<'a>,
    /// Rows that were known to be dead.
    dead: u32,
    cursor: Cursor,
}

impl<'a> Merge<'a> {
    /// These records of segments and what is live in these packs.
    ///
    /// # Errors
    /// A pack is damaged, and left out from now on.
    pub(crate) async fn new(
        site: &'a Site,
        records: &'a Records,
        packs: Vec<(u32, Option<Rc<Pack>>)>,
    ) -> Result<Self> {
        let mut merge = Self {
            site,
            index: Index::new(site),
            records: records.in_order(),
            packs: Vec::new(),
            live: BTreeMap::new(),
        };
        for (number, pack) in packs {
            let left_out = |error: Error| site.leave_out_if_damaged(number, error);
            let Some(pack) = pack else {
                let path = FileName::Pack(number).path(&site.dir);
                return Err(left_out(Error::Missing { path, what: "pack" }));
            };
            let mut cursor = pack.reader_uncached().await.map_err(left_out)?.cursor();
            cursor.seek_first().await.map_err(|error| left_out(error.into()))?;
            let known = site.known.origins(&pack.entry().origins);
            merge.packs.push(Source { number, pack, known, dead: 0, cursor });
        }
        Ok(merge)
    }

    /// The next live record; `None` behind the last, and when the job is to end.
    ///
    /// # Errors
    /// A pack is damaged, and left out from now on; the index cannot be read.
    pub(crate) async fn next(&mut self, clock: &mut Clock<'_>) -> Result<Option<Row>> {
        loop {
            let first =
                self.packs.iter().enumerate().filter_map(|(at, source)| {
                    source.cursor.entry().map(|entry| (at, (entry.key, entry.seq)))
                });
            let first = first.min_by(|(_, a), (_, b)| entry_order(*a, *b));
            let record = self.records.peek().map(|record| (record.key, record.seq));
            let at = match (first, record) {
                (Some((at, entry)), record)
                    if record.is_none_or(|record| entry_order(entry, record).is_lt()) =>
                {
                    Some(at)
                }
                _ => None,
            };
            let Some(source) = at.and_then(|at| self.packs.get_mut(at)) else {
                let Some(Record { key, seq, ptr }) = self.records.next() else { return Ok(None) };
                return Ok(Some(self.counted(Row {
                    key: key.to_vec(),
                    seq,
                    origin: ptr.segment,
                    value: Value::At(ptr),
                })));
            };
            let row = source.row(self.site, &mut self.index).await?;
            if let Some(row) = row {
                return Ok(Some(self.counted(row)));
            }
            // There may be nothing but what is dead.
            if clock.tick(0).await {
                return Ok(None);
            }
        }
    }

    /// Bytes of all records by origin.
    pub(crate) fn into_live(self) -> BTreeMap<u32, u64> {
        self.live
    }

    fn counted(&mut self, row: Row) -> Row {
        let len = record_len(row.key.len(), row.value.len() as usize);
        *self.live.entry(row.origin).or_default() += len;
        row
    }
}

impl Source<'_> {
    /// What the cursor sits on, if it is live; goes on to the next.
    async fn row(&mut self, site: &Site, index: &mut Index<'_>) -> Result<Option<Row>> {
        let left_out = |error: Error| site.leave_out_if_damaged(self.number, error);
        let mut row = None;
        if let Some(entry) = self.cursor.entry() {
            let mut fate = self.known.fate(entry.seq);
            if fate == Fate::Dead {
                self.dead = self.dead.wrapping_add(1);
                if self.dead.is_multiple_of(DOUBTED_EVERY) {
                    fate = Fate::Unknown;
                }
            }
            let origin_and_len = match fate {
                Fate::Dead => None,
                Fate::Live(origin) => Some((origin, entry.value.len() as u32)),
                // An origin has one home: what the index holds of this key and sequence is in this pack or nowhere.
                Fate::Unknown => {
                    let ptr = index.pointer(entry.key, entry.seq).await?;
                    ptr.filter(|ptr| self.pack.is_home_of(ptr.segment)).map(|ptr| (ptr.segment, ptr.len))
                }
            };
            if let Some((origin, len)) = origin_and_len
                && let Some(value) = self.cursor.value()
            {
                let value = self.pack.value(entry.kind, value, len).map_err(left_out)?;
                row =
                    Some(Row { key: entry.key.to_vec(), seq: entry.seq, origin, value: Value::Read(value) });
            }
        }
        self.cursor.next().await.map_err(|error| left_out(error.into()))?;
        Ok(row)
    }
}
