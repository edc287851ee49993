//! Bytes of a tree that holds the names of a package registry in one namespace, with nothing but pointers to the values.

use crate::report::{Report, ratio};
use flate2::read::GzDecoder;
use jdb_base::{Kind, NsId, SeqNo, ValuePtr, key::engine_key};
use jdb_bench::Result;
use jdb_bench::keys::mix;
use jdb_sst::{TableBuilder, WriterOptions};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Names drawn when there are no real ones.
const COUNT: usize = 226_974;
/// Header of a record in the value log.
const RECORD_HEAD_LEN: u64 = 32;
/// Sequence and kind of an entry, and a pointer as a structure holds it.
const FIXED_LEN: u64 = 8 + 1 + 12;

/// A row: its name and the length of its value.
type Row = (Vec<u8>, u32);

/// When and where the rows were put, as their sequences and pointers show it.
struct Log {
    what: &'static str,
    /// In the order of names, else in no order.
    sorted: bool,
    /// Bytes of a segment, and the number of the first one.
    segment_len: u64,
    first_segment: u32,
    /// A sequence of which these are the next ones.
    seq: u64,
}

pub(crate) fn measure(report: &mut Report, path: &Path) -> Result<()> {
    let (rows, whose) = match read(path) {
        Ok(rows) => (rows, "npm names"),
        Err(_) => (drawn(), "drawn names"),
    };
    for log in [
        Log { what: "imported in order", sorted: true, segment_len: 4 << 20, first_segment: 1, seq: 1 << 24 },
        Log { what: "in random order", sorted: false, segment_len: 4 << 20, first_segment: 1, seq: 1 << 24 },
        Log {
            what: "late in a big database",
            sorted: false,
            segment_len: 64 << 20,
            first_segment: 5000,
            seq: 1 << 40,
        },
    ] {
        let (len, raw_len) = table(&rows, &log)?;
        let count = rows.len() as f64;
        println!(
            "{whose}, {}: {:.2} bytes an entry, raw {:.2}",
            log.what,
            len as f64 / count,
            raw_len as f64 / count
        );
        let what = format!("{whose}, {}: bytes / raw", log.what);
        report.add(&what, "<= 0.65", ratio(len as f64 / raw_len as f64));
    }
    Ok(())
}

/// Bytes of the table of these rows, and of its entries as they are.
fn table(rows: &[Row], log: &Log) -> Result<(u64, u64)> {
    let ns = NsId::from(7u64);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if !log.sorted {
        order.sort_by_key(|&row| mix(row as u64));
    }
    let (mut segment, mut offset) = (log.first_segment, 64u64);
    let mut entries = Vec::new();
    for (seq, row) in (log.seq..).zip(order) {
        let Some((name, len)) = rows.get(row) else { continue };
        let key = engine_key(ns, name);
        let record_len = RECORD_HEAD_LEN + (key.len() as u64 + u64::from(*len)).next_multiple_of(8);
        if offset + record_len > log.segment_len {
            (segment, offset) = (segment + 1, 64);
        }
        let mut value = Vec::new();
        ValuePtr { segment, offset: (offset / 8) as u32, len: *len }.encode(&mut value);
        entries.push((key, seq, value));
        offset += record_len;
    }
    entries.sort();
    let mut builder = TableBuilder::new([3; 16], WriterOptions::default())?;
    let mut raw_len = 0;
    for (key, seq, value) in &entries {
        builder.append(key, SeqNo::new(*seq), Kind::Pointer, value)?;
        raw_len += key.len() as u64 + FIXED_LEN;
    }
    Ok((builder.finish().1.len, raw_len))
}

/// Names and what stands beside them in the table at `path`.
fn read(path: &Path) -> Result<Vec<Row>> {
    let mut text = String::new();
    GzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    let rows = text.lines().skip(1).filter_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        Some((name.as_bytes().to_vec(), rest.len() as u32))
    });
    Ok(rows.collect())
}

fn drawn() -> Vec<Row> {
    let names = jdb_bench::names::names(COUNT, 1);
    (0..).zip(names).map(|(i, name)| (name.into_bytes(), 10 + (mix(i) % 120) as u32)).collect()
}
