//! Reading values out of packs, beside reading them where they were written.
//!
//! ```sh
//! packs --dir D build --namespaces 1250 --rows 1000 --shards 1      # D/filled, D/overwritten, D/collected
//! packs --dir D read  --namespaces 1250 --rows 1000                 # the three in alternating rounds
//! ```
//!
//! `filled`: rows put in turn over all namespaces, so that no two of one namespace are neighbours in the log. `overwritten`: each
//! row about twice more, at random, with collection as it comes by itself. `collected`: `Db::collect` after that. One shard of
//! 1250 namespaces is what each of 8 shards has of 10 k namespaces.
//!
//! Cold: page cache evicted and a fresh open for each walk, read-only, so that the three are read in the same state.

use clap::{Parser, Subcommand};
use jdb::{Db, Options, Tuning};
use jdb_bench::keys::mix;
use jdb_bench::report::{each_file, evict, sync_all};
use jdb_bench::{Result, Rows, Usage, block_on, median};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Parser, Clone)]
struct Args {
    /// Where the databases are.
    #[arg(long)]
    dir: PathBuf,
    /// Namespaces.
    #[arg(long, default_value_t = 1250)]
    namespaces: u64,
    /// Rows of each.
    #[arg(long, default_value_t = 1000)]
    rows: u64,
    /// Only this one of the three.
    #[arg(long)]
    only: Option<String>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Clone)]
enum Task {
    /// Makes the databases.
    Build {
        /// Their shards.
        #[arg(long, default_value_t = 1)]
        shards: u16,
        /// Target length of the blocks of packs.
        #[arg(long)]
        pack_block: Option<usize>,
    },
    /// Reads them in alternating rounds.
    Read {
        /// Rounds.
        #[arg(long, default_value_t = 5)]
        rounds: u64,
        /// Cold walks of each in a round; 0 for none.
        #[arg(long, default_value_t = 5)]
        cold: u64,
        /// Warm walks over everything of each in a round, after a cold one; 0 for none.
        #[arg(long, default_value_t = 1)]
        warm: u64,
        /// Random gets, cold ones and then as many warm ones, of each in a round.
        #[arg(long, default_value_t = 0)]
        gets: u64,
    },
}

const VALUE_LEN: usize = 1024;
const NAMES: [&str; 3] = ["filled", "overwritten", "collected"];

fn main() -> Result<()> {
    let args = Args::parse();
    match args.task {
        Task::Build { shards, pack_block } => build(&args, shards, pack_block),
        Task::Read { rounds, cold, warm, gets } => read(&args, rounds, cold, warm, gets),
    }
}

fn build(args: &Args, shards: u16, pack_block: Option<usize>) -> Result<()> {
    let (namespaces, rows) = (args.namespaces, args.rows);
    let all = namespaces * rows;
    let values = Rows { count: all, ns_count: 1, value_len: VALUE_LEN };
    let [filled, overwritten, collected] = NAMES.map(|name| args.dir.join(name));
    let tuning = Tuning { pack_block_len: pack_block, ..Tuning::default() };
    let open = |path: &Path| jdb::open(Options { shards, tuning, ..Options::at(path) });
    block_on(async {
        let db = open(&filled).await?;
        for row in 0..rows {
            for ns in 0..namespaces {
                db.ns(ns).put_bytes(row.to_be_bytes(), values.value(ns * rows + row).into()).await?;
            }
        }
        db.flush().await?;
        db.settle().await?;
        Ok(db.close().await?)
    })?;
    copy(&filled, &overwritten)?;
    block_on(async {
        let db = open(&overwritten).await?;
        for n in 0..2 * all {
            let pick = mix(n) % all;
            let value = values.value(pick + (n + 1) * all);
            db.ns(pick / rows).put_bytes((pick % rows).to_be_bytes(), value.into()).await?;
        }
        db.flush().await?;
        db.settle().await?;
        Ok(db.close().await?)
    })?;
    copy(&overwritten, &collected)?;
    block_on(async {
        let db = open(&collected).await?;
        let usage = Usage::start(&args.dir);
        let before = db.stats().io;
        let report = db.collect().await?;
        let io = db.stats().io;
        println!(
            "collect: {} MiB before, {} MiB after, {} MiB written, {:.1} s",
            report.before_len >> 20,
            report.after_len >> 20,
            (io.write_len - before.write_len) >> 20,
            usage.time().as_secs_f64()
        );
        Ok(db.close().await?)
    })?;
    for path in [&filled, &overwritten, &collected] {
        let (mut packs, mut pack_len, mut len) = (0, 0, 0);
        each_file(path, &mut |file| -> Result<()> {
            let file_len = fs::metadata(file)?.len();
            len += file_len;
            if file.extension().is_some_and(|extension| extension == "pack") {
                packs += 1;
                pack_len += file_len;
            }
            Ok(())
        })?;
        println!("{}: {} MiB, of these {} MiB in {packs} packs", path.display(), len >> 20, pack_len >> 20);
    }
    Ok(())
}

/// A copy of a closed database.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// What was measured, one value for each walk or get.
#[derive(Default)]
struct Figures {
    time_us: Vec<f64>,
    cpu_us: Vec<f64>,
    reads: Vec<f64>,
    waited: Vec<f64>,
    read_kib: Vec<f64>,
}

impl Figures {
    fn line(&self) -> String {
        let m = |values: &Vec<f64>| median(values.clone());
        format!(
            "{:>10.2} us, cpu {:>10.2} us, reads {:>8.2}, waited {:>8.2}, {:>9.2} KiB",
            m(&self.time_us),
            m(&self.cpu_us),
            m(&self.reads),
            m(&self.waited),
            m(&self.read_kib)
        )
    }
}

/// Does something to an open database and takes note of one `count`th of its cost.
async fn note(
    db: &Db,
    path: &Path,
    count: u64,
    figures: &mut Figures,
    act: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let before = db.stats().io;
    let usage = Usage::start(path);
    act().await?;
    let (time, cpu, io) = (usage.time(), usage.cpu(), db.stats().io);
    let part = count as f64;
    let waited = (io.reads - io.reads_ready) - (before.reads - before.reads_ready);
    figures.time_us.push(time.as_secs_f64() * 1e6 / part);
    figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / part);
    figures.reads.push((io.reads - before.reads) as f64 / part);
    figures.waited.push(waited as f64 / part);
    figures.read_kib.push((io.read_len - before.read_len) as f64 / 1024.0 / part);
    Ok(())
}

fn read(args: &Args, rounds: u64, cold: u64, warm: u64, gets: u64) -> Result<()> {
    sync_all();
    let names: Vec<&str> =
        NAMES.into_iter().filter(|name| args.only.as_deref().is_none_or(|only| only == *name)).collect();
    let mut all: Vec<[Figures; 5]> = names.iter().map(|_| <[Figures; 5]>::default()).collect();
    for round in 0..rounds {
        for (name, [walks, walks_cold, walks_warm, gets_cold, gets_warm]) in names.iter().zip(&mut all) {
            let path = &args.dir.join(name);
            let open = || jdb::open(Options { read_only: true, ..Options::at(path) });
            for n in 0..cold {
                evict(path)?;
                let ns = mix(round * cold + n + 77) % args.namespaces;
                block_on(async {
                    let db = open().await?;
                    note(&db, path, 1, walks, async || walk(&db, ns, args.rows).await).await?;
                    Ok(db.close().await?)
                })?;
            }
            if gets > 0 {
                evict(path)?;
                block_on(async {
                    let db = open().await?;
                    let pick = |n| mix(n + round * gets + 991) % (args.namespaces * args.rows);
                    let act = async |count: u64| {
                        for n in 0..count {
                            let (ns, row) = (pick(n) / args.rows, pick(n) % args.rows);
                            let value = db.ns(ns).get(row.to_be_bytes()).await?;
                            if value.is_none_or(|value| value.len() != VALUE_LEN) {
                                return Err(format!("row {row} of namespace {ns}").into());
                            }
                        }
                        Ok(())
                    };
                    note(&db, path, gets, gets_cold, async || act(gets).await).await?;
                    note(&db, path, gets, gets_warm, async || act(gets).await).await?;
                    Ok(db.close().await?)
                })?;
            }
            if warm > 0 {
                evict(path)?;
                block_on(async {
                    let db = open().await?;
                    let act = async || {
                        for ns in 0..args.namespaces {
                            walk(&db, ns, args.rows).await?;
                        }
                        Ok(())
                    };
                    note(&db, path, args.namespaces * args.rows, walks_cold, act).await?;
                    for _ in 0..warm {
                        note(&db, path, args.namespaces * args.rows, walks_warm, act).await?;
                    }
                    Ok(db.close().await?)
                })?;
            }
        }
    }
    for (name, figures) in names.iter().zip(&all) {
        let what = [
            "cold walk, one namespace",
            "cold walk of all, a row",
            "warm walk of all, a row",
            "cold get",
            "get again",
        ];
        for (what, figures) in what.iter().zip(figures).filter(|(_, figures)| !figures.time_us.is_empty()) {
            println!("{name:<12} {what:<25} {}", figures.line());
        }
    }
    Ok(())
}

async fn walk(db: &Db, ns: u64, rows: u64) -> Result<()> {
    let mut scan = db.ns(ns).iter();
    let mut seen = 0;
    while let Some(item) = scan.next().await? {
        seen += u64::from(item.value().await?.len() == VALUE_LEN);
    }
    if seen == rows { Ok(()) } else { Err(format!("{seen} rows of {rows} in namespace {ns}").into()) }
}
