//! Filters as tables have them: how often they say "maybe" of an absent key, and what they cost.

use crate::report::Report;
use jdb_base::{Kind, SeqNo};
use jdb_bench::Result;
use jdb_bench::index::{key, sorted_keys};
use jdb_sst::layout::FILTER_KEYS_TARGET;
use jdb_sst::{FilterBlock, FilterBuilder, TableBuilder, WriterOptions, filter_hash};

/// Keys in the table whose filters are measured.
const TABLE_COUNT: u64 = 400_000;

/// Puts `probes` keys into filters, asks for each of them and for as many others.
pub(crate) fn measure(report: &mut Report, probes: u64) -> Result<()> {
    let mut builder = TableBuilder::new([7; 16], WriterOptions::default())?;
    for key in sorted_keys(0..TABLE_COUNT) {
        builder.append(&key, SeqNo::ZERO, Kind::Inline, b"twelve bytes")?;
    }
    let (_, info) = builder.finish();
    let bits = info.filter_len as f64 * 8.0 / info.count as f64;
    report.add("filters in a table, bits a key", "<= 11.2", format!("{bits:.2}"));

    let (mut missed, mut maybe, mut asked) = (0u64, 0u64, 0u64);
    let mut bytes = Vec::new();
    for salt in 0..probes.div_ceil(FILTER_KEYS_TARGET as u64) {
        let members = salt * FILTER_KEYS_TARGET as u64..(salt + 1) * FILTER_KEYS_TARGET as u64;
        let mut builder = FilterBuilder::new(salt);
        members.clone().for_each(|i| builder.add(&key(i)));
        bytes.clear();
        if !builder.finish(&mut bytes) {
            return Err("a filter was not built".into());
        }
        let filter = FilterBlock::parse(&bytes)?.ok_or("a filter of this version")?;
        for i in members {
            asked += 1;
            missed += u64::from(!filter.may_contain(filter_hash(&key(i), salt)));
            maybe += u64::from(filter.may_contain(filter_hash(&key(i + (1 << 40)), salt)));
        }
    }
    let share = maybe as f64 * 100.0 / asked as f64;
    report.add("filters, \"maybe\" of an absent key", "<= 0.45 %", format!("{share:.3} %"));
    report.add(
        &format!("filters, \"absent\" of a key in them, {} M keys asked", asked / 1_000_000),
        "0",
        missed.to_string(),
    );
    Ok(())
}
