//! jdb and its peers, one workload after the other, under the same conditions.
//!
//! `cargo run --release -p jdb_bench --bin peers -- --engine jdb,fjall,redb,lmdb --workload fillrandom,readrandom
//! --value-len 1024 --n 1000000 --rounds 3 --json out.jsonl`
//!
//! Every engine gets the same keys, values and order, from seeds; 64 MiB of cache; no compression. In a round the engines
//! take turns at each workload. Each turn is a child process, so that memory, CPU time and bytes are its own. Workloads
//! that read or change rows find a database which the same engine has filled in random order, in the same round, and
//! settled; those that change it get a copy. What is read is compared with what was put. Each turn is a line of JSON; the
//! medians of the rounds are printed as a table at the end.
//!
//! What to know when reading the figures:
//! - Durability `os` survives the death of the process; redb without a sync does not survive it, its lines say `none`.
//! - LMDB and redb keep one read transaction until their next commit, the best that a user can do.
//! - The 64 MiB of jdb are its memory for memtables and everything else as well; fjall's memtable (64 MiB) comes on top.
//!   LMDB has the page cache; its mapped pages count as memory of the process.
//! - `bytes_written` counts a page each time it is made dirty. `dev_bytes_written` counts what all processes write: keep
//!   the machine quiet. The device's host may hold what was evicted from the page cache here.

mod child;
mod engine;
mod measure;
mod record;
mod rounds;
mod rows;
mod session;
mod workload;

use clap::{Parser, ValueEnum};
use engine::EngineName;
use jdb_bench::Result;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use workload::Workload;

/// Compares jdb with other embedded databases.
#[derive(Parser, Debug)]
struct Args {
    /// Engines, with commas; default: all that are built in.
    #[arg(long, value_enum, value_delimiter = ',', hide_possible_values = true)]
    engine: Vec<EngineName>,
    /// Workloads, with commas; default: all.
    #[arg(long, value_enum, value_delimiter = ',', hide_possible_values = true)]
    workload: Vec<Workload>,
    /// Rows of a database [default: 1000000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    n: Option<u32>,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1 << 24))]
    value_len: u32,
    /// Rounds [default: 3].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// File for the lines of JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// A choice of workloads, 100,000 rows and one round, unless said otherwise; some minutes.
    #[arg(long)]
    quick: bool,
    /// Where a temporary directory for the databases is made [default: the system's].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Does one workload on the database in this directory and prints its line.
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    round: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ran = if args.child.is_some() { child(&args) } else { compare(args) };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn count(&self) -> u64 {
        self.n.map_or(if self.quick { 100_000 } else { 1_000_000 }, u64::from)
    }
}

fn child(args: &Args) -> Result<()> {
    let (Some(dir), [engine], [workload]) = (&args.child, &args.engine[..], &args.workload[..]) else {
        return Err("a child does one workload on one engine".into());
    };
    let value_len = args.value_len as usize;
    let job = child::Job {
        engine: *engine,
        workload: *workload,
        count: args.count(),
        value_len,
        round: args.round,
    };
    println!("{}", serde_json::to_string(&job.run(dir)?)?);
    Ok(())
}

fn compare(args: Args) -> Result<()> {
    let (quick, count) = (args.quick, args.count());
    let all = || if quick { workload::QUICK.to_vec() } else { Workload::value_variants().to_vec() };
    let plan = rounds::Plan {
        engines: some_or(args.engine, || EngineName::value_variants().to_vec()),
        workloads: some_or(args.workload, all),
        count,
        value_len: args.value_len as usize,
        rounds: args.rounds.map_or(if quick { 1 } else { 3 }, usize::from),
        dir: args.dir.unwrap_or_else(std::env::temp_dir),
    };
    let mut json = args.json.map(File::create).transpose()?;
    let mut records = Vec::new();
    plan.run(|record| {
        eprintln!(
            "round {}: {} {}, {:.1} k/s",
            record.round,
            record.workload,
            record.engine,
            record.ops_per_s / 1e3
        );
        if let Some(file) = &mut json {
            writeln!(file, "{}", serde_json::to_string(&record)?)?;
        }
        records.push(record);
        Ok(())
    })?;
    println!("{count} rows of 24 + {} bytes, medians of {} rounds", plan.value_len, plan.rounds);
    println!("{}", record::table(&records));
    Ok(())
}

/// What was given, each once; or else the default.
fn some_or<T: PartialEq>(given: Vec<T>, default: impl FnOnce() -> Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in given {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    if once.is_empty() { default() } else { once }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
        let args =
            Args::try_parse_from(["peers", "--engine", "jdb,lmdb", "--workload", "ycsb-a,fillseq"]).unwrap();
        assert_eq!(args.engine, [EngineName::Jdb, EngineName::Lmdb]);
        assert_eq!(args.workload, [Workload::YcsbA, Workload::FillSeq]);
    }

    #[test]
    fn what_is_unknown_is_answered_with_what_is_known() {
        for (flag, known) in [("--engine", "jdb, fjall, redb, lmdb"), ("--workload", "fillseq, fillrandom")] {
            let error = Args::try_parse_from(["peers", flag, "leveldb"]).unwrap_err().to_string();
            assert!(error.contains("'leveldb'") && error.contains(known), "{error}");
        }
    }
}
