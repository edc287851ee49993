//! The figures of tables and of the tree over them, as one table: both directions, points, filters, bytes.
//!
//! `cargo run --release -p jdb_bench --example sst_figures -- --help`
//!
//! What is compared takes turns, round by round, in one process; the figures are medians over the rounds, ratios those of
//! each round. Everything is in memory: the block caches hold all blocks and each contestant walks once before it counts.

use clap::Parser;
use jdb_bench::Result;
use std::path::PathBuf;

mod contest;
mod filters;
mod lookups;
mod names;
mod report;
mod stores;
mod walks;

/// Measures tables and the tree over them, against lsm-tree and `BTreeMap`.
#[derive(Parser)]
struct Args {
    /// Entries of the one table, and of each source of the merge.
    #[arg(long, default_value_t = 250_000)]
    entries: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Millions of keys that are put into filters, and as many that are not, all of them asked.
    #[arg(long, default_value_t = 100)]
    probes: u64,
    /// Names of packages, the first column of a compressed table; drawn from a seed when there is no such file.
    #[arg(long, default_value = "../shared/data/npm-packages.tsv.gz")]
    names: PathBuf,
    /// Only the parts whose name holds this: walks, lookups, filters, names.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut report = report::Report::default();
    let runs = |part: &str| part.contains(&args.only);
    if runs("walks") {
        walks::measure(&mut report, args.entries, args.rounds)?;
    }
    if runs("lookups") {
        lookups::measure(&mut report, args.entries, args.rounds)?;
    }
    if runs("names") {
        names::measure(&mut report, &args.names)?;
    }
    if runs("filters") {
        filters::measure(&mut report, args.probes * 1_000_000)?;
    }
    report.print();
    Ok(())
}
