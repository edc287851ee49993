//! A MANIFEST as lines of text: a golden dump, field by field.

use super::edit::Edit;
use super::field::Field;
use super::layout::{HEADER_LEN, ID_LEN, RECORD_HEADER_LEN};
use super::reader;
use crate::error::Fault;
use crate::superblock::dump_line;
use std::fmt::Write as _;
use std::ops::Range;

/// The bytes of a whole MANIFEST as lines: range, bytes in hex, meaning.
///
/// # Errors
/// Those of reading it: [`Fault::Corrupt`], [`Fault::Unsupported`].
pub fn dump(file: &[u8], secret: &[u8; ID_LEN], shard: u32) -> Result<String, Fault> {
    let content = reader::read(file, secret, shard)?;
    let features = content.header.features;
    let mut out = Lines { file, out: String::new(), at: 0 };
    out.line(4, "magic \"jdbm\"");
    out.line(2, "version 1");
    out.line(2, "reserved, zeros");
    out.line(8, &format!("compatible features {:#x}", features.compatible));
    out.line(8, &format!("read-only features {:#x}", features.read_only));
    out.line(8, &format!("incompatible features {:#x}", features.incompatible));
    out.line(4, &format!("shard {shard}"));
    out.line(ID_LEN, "file id");
    out.line(HEADER_LEN - 4 - out.at, "reserved, zeros");
    out.line(4, "crc32 of the header");
    for body in &content.bodies {
        out.pad(body.start - RECORD_HEADER_LEN);
        out.line(4, "crc32 of length and body");
        out.line(4, &format!("body of {} bytes", body.len()));
        out.line(4, "crc32 of the length");
        out.fields(body.clone())?;
    }
    out.pad(usize::try_from(content.len).unwrap_or(usize::MAX));
    if content.torn {
        out.line(file.len() - out.at, "torn");
    }
    Ok(out.out)
}

struct Lines<'a> {
    file: &'a [u8],
    out: String,
    at: usize,
}

impl Lines<'_> {
    fn line(&mut self, len: usize, text: &str) {
        dump_line(&mut self.out, self.file, self.at, len, text);
        self.at += len;
    }

    fn pad(&mut self, to: usize) {
        if let Some(len @ 1..) = to.checked_sub(self.at) {
            self.line(len, "padding");
        }
    }

    fn fields(&mut self, body: Range<usize>) -> Result<(), Fault> {
        let mut rest = self.file.get(body.clone()).unwrap_or_default();
        loop {
            let Some(field) = Field::take(&mut rest, self.at)? else { return Ok(()) };
            let mut edit = Edit::default();
            edit.take(&field)?;
            let end = body.end - rest.len();
            self.line(end - self.at, &describe(&edit, field.number));
        }
    }
}

/// What an edit of one field does.
fn describe(edit: &Edit, number: u64) -> String {
    let mut out = String::new();
    let mut say = |text: String| {
        let _ = write!(out, "{text}");
    };
    if edit.snapshot {
        say("whole state".into());
    }
    for t in &edit.tables_added {
        say(format!(
            "table {} added: level {}, {} bytes, {} entries, keys {} to {}, sequences {} to {}, drops to {}, \
             id {}, {} tombstones, hides {}{}",
            t.number,
            t.level,
            t.len,
            t.count,
            hex(&t.first_key),
            hex(&t.last_key),
            t.seq_min,
            t.seq_max,
            t.drop_seq,
            hex(&t.id),
            t.tombstones,
            t.hidden_len,
            if t.held_len > 0 { format!(", holds {} for read points", t.held_len) } else { String::new() }
        ));
    }
    edit.tables_removed.iter().for_each(|n| say(format!("table {n} removed")));
    edit.tables_moved.iter().for_each(|t| say(format!("table {} moved to level {}", t.number, t.level)));
    for s in &edit.segments_sealed {
        say(format!(
            "segment {} sealed: end {}, after {}:{}, sequences above {}: {} to {}, {} bytes",
            s.number, s.end, s.pred.segment, s.pred.offset, s.pred_last_seq, s.seq_min, s.seq_max, s.len
        ));
        s.footer.iter().for_each(|f| say(format!(", footer at {}, {} bytes", f.offset, f.len)));
    }
    for f in &edit.footers {
        let place = f.footer;
        say(format!("footer of segment {}: at {}, {} bytes of {}", f.number, place.offset, place.len, f.len));
    }
    edit.segments_removed.iter().for_each(|n| say(format!("segment {n} removed")));
    edit.packs_added.iter().for_each(|p| {
        say(format!(
            "pack {} added: {} bytes, id {}, origins {:?}, {} bytes live",
            p.number,
            p.len,
            hex(&p.id),
            p.origins,
            p.live_len,
        ))
    });
    edit.packs_removed.iter().for_each(|n| say(format!("pack {n} removed")));
    edit.live_deltas.iter().for_each(|l| say(format!("live bytes of origin {}: {:+}", l.origin, l.delta)));
    edit.replay_from.iter().for_each(|p| say(format!("replay from {}:{}", p.segment, p.offset)));
    edit.last_seq.iter().for_each(|seq| say(format!("last sequence {seq}")));
    edit.unix_ms.iter().for_each(|ms| say(format!("at {ms} ms")));
    edit.times.iter().for_each(|mark| say(format!("sequence {} by {} ms", mark.seq, mark.unix_ms)));
    edit.next_number.iter().for_each(|n| say(format!("next file number {n}")));
    edit.next_name.iter().for_each(|n| say(format!("next name number {n}")));
    edit.drops_added
        .iter()
        .for_each(|d| say(format!("drop of namespace {} added: ({}, {}] at {}", d.ns, d.from, d.to, d.at)));
    edit.drops_removed.iter().for_each(|at| say(format!("drop at {at} removed")));
    edit.windows_opened.iter().for_each(|w| say(format!("window of namespace {} opened at {}", w.ns, w.s0)));
    edit.windows_closed.iter().for_each(|w| say(format!("window of namespace {} of {} closed", w.ns, w.s0)));
    edit.gaps_added.iter().for_each(|g| say(format!("gap added: {} to {}", g.from, g.to)));
    edit.gaps_removed.iter().for_each(|from| say(format!("gap from {from} removed")));
    edit.life_start.iter().for_each(|seq| say(format!("life starts at {seq}")));
    edit.log_synced.iter().for_each(|p| say(format!("log synced through {}:{}", p.segment, p.offset)));
    if out.is_empty() { format!("field {number} of a later version") } else { out }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
