//! An edit as bytes: tagged fields, one an element.
//!
//! Format: docs/format/manifest.md.

use super::edit::{
    DropEntry, Edit, FooterEntry, Gap, LiveDelta, PackEntry, SegmentEntry, TableEntry, TableMove, WindowEntry,
};
use super::field::{Field, Reader, put, put_all, put_bytes, unzigzag, zigzag};
use super::times::TimeMark;
use crate::error::Fault;
use jdb_base::{NsId, SeqNo};

/// Tags of the fields of an edit. **Format**: `number << 1 | critical`.
mod tag {
    pub(super) const SNAPSHOT: u64 = 1 << 1 | 1;
    pub(super) const TABLE_ADDED: u64 = 2 << 1 | 1;
    pub(super) const TABLE_REMOVED: u64 = 3 << 1 | 1;
    pub(super) const TABLE_MOVED: u64 = 4 << 1 | 1;
    pub(super) const SEGMENT_SEALED: u64 = 5 << 1 | 1;
    pub(super) const FOOTER: u64 = 6 << 1 | 1;
    pub(super) const SEGMENT_REMOVED: u64 = 7 << 1 | 1;
    pub(super) const PACK_ADDED: u64 = 8 << 1 | 1;
    pub(super) const PACK_REMOVED: u64 = 9 << 1 | 1;
    pub(super) const LIVE_DELTA: u64 = 10 << 1 | 1;
    pub(super) const REPLAY_FROM: u64 = 11 << 1 | 1;
    pub(super) const LAST_SEQ: u64 = 12 << 1 | 1;
    pub(super) const UNIX_MS: u64 = 13 << 1;
    pub(super) const NEXT_NUMBER: u64 = 14 << 1 | 1;
    pub(super) const NEXT_NAME: u64 = 15 << 1 | 1;
    pub(super) const DROP_ADDED: u64 = 16 << 1 | 1;
    pub(super) const DROP_REMOVED: u64 = 17 << 1 | 1;
    pub(super) const WINDOW_OPENED: u64 = 18 << 1 | 1;
    pub(super) const WINDOW_CLOSED: u64 = 19 << 1 | 1;
    pub(super) const GAP_ADDED: u64 = 20 << 1 | 1;
    pub(super) const GAP_REMOVED: u64 = 21 << 1 | 1;
    pub(super) const LIFE_START: u64 = 22 << 1 | 1;
    pub(super) const LOG_SYNCED: u64 = 23 << 1;
    pub(super) const TIME: u64 = 24 << 1;
    /// In a table: its tombstones.
    pub(super) const TABLE_TOMBSTONES: u64 = 1 << 1;
    /// In a table: value bytes that it hides.
    pub(super) const TABLE_HIDDEN_LEN: u64 = 2 << 1;
    /// In a table: value bytes that it holds for read points alone.
    pub(super) const TABLE_HELD_LEN: u64 = 3 << 1;
    /// In a segment: where its footer lies.
    pub(super) const SEGMENT_FOOTER: u64 = 1 << 1;
    /// In a pack: live bytes when it was written.
    pub(super) const PACK_LIVE_LEN: u64 = 1 << 1;
}

/// Numbers of the fields, without the critical bit, to match on.
mod number {
    use super::tag;

    macro_rules! numbers {
        ($($name:ident)*) => { $(pub(super) const $name: u64 = tag::$name >> 1;)* };
    }
    numbers! {
        SNAPSHOT TABLE_ADDED TABLE_REMOVED TABLE_MOVED SEGMENT_SEALED FOOTER SEGMENT_REMOVED PACK_ADDED PACK_REMOVED
        LIVE_DELTA REPLAY_FROM LAST_SEQ UNIX_MS NEXT_NUMBER NEXT_NAME DROP_ADDED DROP_REMOVED WINDOW_OPENED
        WINDOW_CLOSED GAP_ADDED GAP_REMOVED LIFE_START LOG_SYNCED TIME TABLE_TOMBSTONES TABLE_HIDDEN_LEN TABLE_HELD_LEN
        SEGMENT_FOOTER PACK_LIVE_LEN
    }
}

impl Edit {
    /// The edit as bytes. **Format**.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.snapshot {
            put(&mut out, tag::SNAPSHOT, |_| ());
        }
        let scalars = [
            (tag::REPLAY_FROM, self.replay_from.map(|p| vec![p.segment.into(), p.offset.into()])),
            (tag::LAST_SEQ, self.last_seq.map(|seq| vec![seq.get()])),
            (tag::UNIX_MS, self.unix_ms.map(|ms| vec![ms])),
            (tag::NEXT_NUMBER, self.next_number.map(|number| vec![number.into()])),
            (tag::NEXT_NAME, self.next_name.map(|name| vec![name])),
            (tag::LIFE_START, self.life_start.map(|seq| vec![seq.get()])),
            (tag::LOG_SYNCED, self.log_synced.map(|p| vec![p.segment.into(), p.offset.into()])),
        ];
        for (tag, numbers) in scalars {
            if let Some(numbers) = numbers {
                put(&mut out, tag, |p| put_all(p, &numbers));
            }
        }
        for mark in &self.times {
            put(&mut out, tag::TIME, |p| put_all(p, &[mark.seq.get(), mark.unix_ms]));
        }
        self.encode_tables(&mut out);
        self.encode_log(&mut out);
        self.encode_hidden(&mut out);
        out
    }

    /// Reads what [`Edit::encode`] wrote; fields of later versions that may be left out are.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with an offset in `body`, [`Fault::Unsupported`] for a critical field of a later version.
    pub fn decode(body: &[u8]) -> Result<Self, Fault> {
        let mut edit = Self::default();
        let mut rest = body;
        loop {
            let start = body.len() - rest.len();
            let Some(field) = Field::take(&mut rest, start)? else { return Ok(edit) };
            edit.take(&field)?;
        }
    }

    /// Puts what `field` holds into this edit.
    pub(super) fn take(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        match field.number {
            number::SNAPSHOT => {
                if std::mem::replace(&mut self.snapshot, true) {
                    return Err(field.reader("second snapshot").fault());
                }
                field.reader("snapshot").end()
            }
            number::TABLE_ADDED => push(&mut self.tables_added, field.reader("table added"), table),
            number::TABLE_REMOVED => {
                push(&mut self.tables_removed, field.reader("table removed"), one(Reader::u32))
            }
            number::TABLE_MOVED => push(&mut self.tables_moved, field.reader("table moved"), |mut r| {
                let moved = TableMove { number: r.u32()?, level: r.u8()? };
                r.end().map(|()| moved)
            }),
            number::SEGMENT_SEALED => {
                push(&mut self.segments_sealed, field.reader("segment sealed"), segment)
            }
            number::FOOTER => push(&mut self.footers, field.reader("footer"), |mut r| {
                let footer = FooterEntry { number: r.u32()?, len: r.u64()?, footer: r.footer()? };
                r.end().map(|()| footer)
            }),
            number::SEGMENT_REMOVED => {
                push(&mut self.segments_removed, field.reader("segment removed"), one(Reader::u32))
            }
            number::PACK_ADDED => push(&mut self.packs_added, field.reader("pack added"), |mut r| {
                let (number, len, id, origins) = (r.u32()?, r.u64()?, r.id()?, r.ascending()?);
                let mut pack = PackEntry { number, len, id, origins, live_len: 0 };
                r.rest(|number, r| {
                    let known = number == number::PACK_LIVE_LEN;
                    if known {
                        pack.live_len = one(Reader::u64)(r)?;
                    }
                    Ok(known)
                })?;
                Ok(pack)
            }),
            number::PACK_REMOVED => {
                push(&mut self.packs_removed, field.reader("pack removed"), one(Reader::u32))
            }
            number::LIVE_DELTA => push(&mut self.live_deltas, field.reader("live bytes"), |mut r| {
                let delta = LiveDelta { origin: r.u32()?, delta: unzigzag(r.u64()?) };
                r.end().map(|()| delta)
            }),
            number::DROP_ADDED => push(&mut self.drops_added, field.reader("drop added"), |mut r| {
                let drop = DropEntry { ns: r.ns()?, from: r.seq()?, to: r.seq()?, at: r.seq()? };
                r.end().map(|()| drop)
            }),
            number::DROP_REMOVED => {
                push(&mut self.drops_removed, field.reader("drop removed"), one(Reader::seq))
            }
            number::WINDOW_OPENED => push(&mut self.windows_opened, field.reader("window opened"), window),
            number::WINDOW_CLOSED => push(&mut self.windows_closed, field.reader("window closed"), window),
            number::GAP_ADDED => push(&mut self.gaps_added, field.reader("gap added"), |mut r| {
                let gap = Gap { from: r.seq()?, to: r.seq()? };
                r.end().map(|()| gap)
            }),
            number::GAP_REMOVED => {
                push(&mut self.gaps_removed, field.reader("gap removed"), one(Reader::seq))
            }
            number::REPLAY_FROM => {
                once(&mut self.replay_from, field.reader("replay position"), Reader::position)
            }
            number::LAST_SEQ => once(&mut self.last_seq, field.reader("last sequence"), Reader::seq),
            number::UNIX_MS => once(&mut self.unix_ms, field.reader("wall-clock time"), Reader::u64),
            number::TIME => push(&mut self.times, field.reader("time"), |mut r| {
                let mark = TimeMark { seq: r.seq()?, unix_ms: r.u64()? };
                r.end().map(|()| mark)
            }),
            number::NEXT_NUMBER => once(&mut self.next_number, field.reader("next file number"), Reader::u32),
            number::NEXT_NAME => once(&mut self.next_name, field.reader("next name number"), Reader::u64),
            number::LIFE_START => once(&mut self.life_start, field.reader("life start"), Reader::seq),
            number::LOG_SYNCED => {
                once(&mut self.log_synced, field.reader("synced position"), Reader::position)
            }
            _ => field.skip(),
        }
    }

    fn encode_tables(&self, out: &mut Vec<u8>) {
        for table in &self.tables_added {
            put(out, tag::TABLE_ADDED, |p| {
                put_all(p, &[table.number.into(), table.level.into(), table.len, table.count]);
                put_bytes(p, &table.first_key);
                put_bytes(p, &table.last_key);
                put_all(p, &[table.seq_min, table.seq_max, table.drop_seq].map(SeqNo::get));
                p.extend_from_slice(&table.id);
                for (tag, value) in [
                    (tag::TABLE_TOMBSTONES, table.tombstones),
                    (tag::TABLE_HIDDEN_LEN, table.hidden_len),
                    (tag::TABLE_HELD_LEN, table.held_len),
                ] {
                    if value > 0 {
                        put(p, tag, |p| put_all(p, &[value]));
                    }
                }
            });
        }
        put_u32s(out, tag::TABLE_REMOVED, &self.tables_removed);
        for moved in &self.tables_moved {
            put(out, tag::TABLE_MOVED, |p| put_all(p, &[moved.number.into(), moved.level.into()]));
        }
    }

    fn encode_log(&self, out: &mut Vec<u8>) {
        for segment in &self.segments_sealed {
            put(out, tag::SEGMENT_SEALED, |p| {
                let pred = segment.pred;
                put_all(p, &[segment.number, segment.end, pred.segment, pred.offset].map(u64::from));
                put_all(p, &[segment.pred_last_seq, segment.seq_min, segment.seq_max].map(SeqNo::get));
                put_all(p, &[segment.len]);
                if let Some(footer) = segment.footer {
                    put(p, tag::SEGMENT_FOOTER, |p| put_all(p, &[footer.offset, footer.len.into()]));
                }
            });
        }
        for FooterEntry { number, len, footer } in &self.footers {
            put(out, tag::FOOTER, |p| {
                put_all(p, &[(*number).into(), *len, footer.offset, footer.len.into()]);
            });
        }
        put_u32s(out, tag::SEGMENT_REMOVED, &self.segments_removed);
        for pack in &self.packs_added {
            put(out, tag::PACK_ADDED, |p| {
                put_all(p, &[pack.number.into(), pack.len]);
                p.extend_from_slice(&pack.id);
                put_all(p, &[pack.origins.len() as u64]);
                let mut last = 0;
                for &origin in &pack.origins {
                    // Origins that do not ascend wrap to something that reading refuses.
                    put_all(p, &[origin.wrapping_sub(last).into()]);
                    last = origin;
                }
                if pack.live_len > 0 {
                    put(p, tag::PACK_LIVE_LEN, |p| put_all(p, &[pack.live_len]));
                }
            });
        }
        put_u32s(out, tag::PACK_REMOVED, &self.packs_removed);
        for live in &self.live_deltas {
            put(out, tag::LIVE_DELTA, |p| put_all(p, &[live.origin.into(), zigzag(live.delta)]));
        }
    }

    fn encode_hidden(&self, out: &mut Vec<u8>) {
        let with_ns = |out: &mut Vec<u8>, tag, ns: NsId, seqs: &[SeqNo]| {
            put(out, tag, |p| {
                ns.encode(p);
                seqs.iter().for_each(|seq| put_all(p, &[seq.get()]));
            });
        };
        for drop in &self.drops_added {
            with_ns(out, tag::DROP_ADDED, drop.ns, &[drop.from, drop.to, drop.at]);
        }
        put_seqs(out, tag::DROP_REMOVED, &self.drops_removed);
        for window in &self.windows_opened {
            with_ns(out, tag::WINDOW_OPENED, window.ns, &[window.s0]);
        }
        for window in &self.windows_closed {
            with_ns(out, tag::WINDOW_CLOSED, window.ns, &[window.s0]);
        }
        for gap in &self.gaps_added {
            put(out, tag::GAP_ADDED, |p| put_all(p, &[gap.from.get(), gap.to.get()]));
        }
        put_seqs(out, tag::GAP_REMOVED, &self.gaps_removed);
    }
}

fn put_u32s(out: &mut Vec<u8>, tag: u64, numbers: &[u32]) {
    for &number in numbers {
        put(out, tag, |p| put_all(p, &[number.into()]));
    }
}

fn put_seqs(out: &mut Vec<u8>, tag: u64, seqs: &[SeqNo]) {
    for seq in seqs {
        put(out, tag, |p| put_all(p, &[seq.get()]));
    }
}

fn push<'a, T>(
    list: &mut Vec<T>,
    reader: Reader<'a>,
    read: impl FnOnce(Reader<'a>) -> Result<T, Fault>,
) -> Result<(), Fault> {
    list.push(read(reader)?);
    Ok(())
}

/// Reads a payload that is one value.
fn one<'a, T>(
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
) -> impl FnOnce(Reader<'a>) -> Result<T, Fault> {
    |mut reader| {
        let value = read(&mut reader)?;
        reader.end().map(|()| value)
    }
}

/// Reads a value that may stand in an edit only once.
fn once<'a, T>(
    to: &mut Option<T>,
    reader: Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
) -> Result<(), Fault> {
    if to.is_some() {
        return Err(reader.fault());
    }
    *to = Some(one(read)(reader)?);
    Ok(())
}

fn table(mut r: Reader<'_>) -> Result<TableEntry, Fault> {
    let mut table = TableEntry {
        number: r.u32()?,
        level: r.u8()?,
        len: r.u64()?,
        count: r.u64()?,
        first_key: r.bytes()?,
        last_key: r.bytes()?,
        seq_min: r.seq()?,
        seq_max: r.seq()?,
        drop_seq: r.seq()?,
        id: r.id()?,
        tombstones: 0,
        hidden_len: 0,
        held_len: 0,
    };
    r.rest(|number, r| {
        match number {
            number::TABLE_TOMBSTONES => table.tombstones = one(Reader::u64)(r)?,
            number::TABLE_HIDDEN_LEN => table.hidden_len = one(Reader::u64)(r)?,
            number::TABLE_HELD_LEN => table.held_len = one(Reader::u64)(r)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(table)
}

fn segment(mut r: Reader<'_>) -> Result<SegmentEntry, Fault> {
    let mut segment = SegmentEntry {
        number: r.u32()?,
        end: r.u32()?,
        pred: r.position()?,
        pred_last_seq: r.seq()?,
        seq_min: r.seq()?,
        seq_max: r.seq()?,
        len: r.u64()?,
        footer: None,
    };
    r.rest(|number, r| {
        if number == number::SEGMENT_FOOTER {
            segment.footer = Some(one(Reader::footer)(r)?);
        }
        Ok(number == number::SEGMENT_FOOTER)
    })?;
    Ok(segment)
}

fn window(mut r: Reader<'_>) -> Result<WindowEntry, Fault> {
    let window = WindowEntry { ns: r.ns()?, s0: r.seq()? };
    r.end().map(|()| window)
}
