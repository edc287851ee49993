//! `jdb demo`: real data goes in, the process dies, nothing acknowledged is lost.
//!
//! 1. A child process imports source files and tells which commits were answered; it is killed in the middle.
//! 2. This process opens the database and compares every answered file with the disk, byte by byte.
//! 3. It finishes the import, flushes, and walks every namespace in both directions.
//! 4. It closes the database, opens it again and looks everything up once more.
//!
//! Any difference ends the run with exit code 1, and the database is kept to be looked at.

mod check;
mod child;
mod corpus;
mod import;
mod process;
mod report;

pub(crate) use child::{ChildArgs, run_child};

use crate::error::{Error, Result};
use crate::out::{good, say};
use child::Killed;
use corpus::Corpus;
use import::Put;
use jdb::Db;
use process::{IoCounts, Memory};
use report::Report;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `jdb demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop collecting files after this many MiB.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    limit_mb: u64,
    /// Where to make the temporary directory [default: the system's place for such].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the database there and say where.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// [`Error::Check`] when the database does not hold what it must, else whatever stopped the run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent).map_err(Error::io("make", &parent))?;
    let mut dir = tempfile::Builder::new()
        .prefix("jdb-demo-")
        .tempdir_in(&parent)
        .map_err(Error::io("make a temporary directory in", &parent))?;
    let done = in_dir(args.limit_mb << 20, dir.path());
    // One that nobody reads to its end has found nothing.
    if args.keep || done.as_ref().is_err_and(|error| !matches!(error, Error::Pipe)) {
        dir.disable_cleanup(true);
        let said = say(format_args!("the database is kept in {}", dir.path().join("db").display()));
        return done.and(said);
    }
    done
}

fn in_dir(limit: u64, dir: &Path) -> Result<()> {
    let start = Instant::now();
    let (list, path) = (dir.join("files"), dir.join("db"));
    let corpus = Corpus::find(limit)?;
    corpus.save(&list)?;
    let folder_count = corpus.folders().count() as u64;
    say(format_args!(
        "{} files, {}, of {} folders: one namespace each",
        report::count(corpus.files().len() as u64),
        report::mb(corpus.len()),
        report::count(folder_count),
    ))?;
    let killed = child::import_and_kill(&corpus, &list, &path)?;
    say(format_args!(
        "killed the importing process (SIGKILL) after {}: {} of {} batches were acknowledged, a log was synced {} times",
        report::time(killed.time),
        report::count(killed.acknowledged.len() as u64),
        report::count(corpus.batch_count() as u64),
        killed.syncs,
    ))?;
    let report = crate::block_on(go_on(&corpus, &path, &killed))?;
    report.print()?;
    say(format_args!("{} after {}", good("all checks passed"), report::time(start.elapsed())))?;
    Ok(())
}

/// Everything after the kill.
async fn go_on(corpus: &Corpus, path: &Path, killed: &Killed) -> Result<Report> {
    let (db, reopen_killed) = open(path).await?;
    let written_again = db.stats().io.write_len;
    let survivors = check::survivors(&db, corpus, &killed.acknowledged).await?;
    say(format_args!(
        "reopened in {}: all {} acknowledged files are there, byte by byte, and {} whose answer went unheard",
        report::time(reopen_killed),
        report::count(survivors.acknowledged_count as u64),
        report::count(survivors.unheard_count as u64),
    ))?;

    let start = Instant::now();
    let put = import::import(&db, corpus, survivors.missing.iter().copied(), |_| Ok(())).await?;
    let import_time = start.elapsed();
    db.flush().await?;
    let flush_time = start.elapsed().saturating_sub(import_time);
    let memory = Memory::here();
    say(format_args!("finished the import: {} more files", report::count(put.count)))?;

    let start = Instant::now();
    let walked = check::walk(&db, corpus).await?;
    let walk_time = start.elapsed();
    say("walked every namespace forward and backward: the same rows, equal to the files")?;

    let written = killed.write_len + db.stats().io.write_len - written_again;
    let driver = db.stats().driver;
    let start = Instant::now();
    db.close().await?;
    let close_time = start.elapsed();
    let (db, reopen_closed) = open(path).await?;
    check::all_there(&db, corpus).await?;
    db.close().await?;
    say(format_args!("closed, reopened in {}, looked every file up again", report::time(reopen_closed)))?;

    // The kernel counts a whole folio, up to hundreds of KiB, for each small append to a clean one: an upper bound.
    let dirtied_len =
        killed.io.zip(IoCounts::here()).map(|(child, here)| child.dirtied_len + here.dirtied_len);
    let mut report = Report::new();
    report.row("rows", report::count(walked.count));
    report.row("namespaces", report::count(walked.ns_count));
    report.row("keys and values", report::mb(walked.len));
    let whole = Put { count: walked.count, len: walked.len };
    report.row(
        "import, until the kill",
        figures(Put { count: whole.count - put.count, len: whole.len - put.len }, killed.time),
    );
    report.row("import, the rest", figures(put, import_time));
    report.row("flush", report::time(flush_time));
    report.row(
        "two walks, compared with the files",
        figures(Put { count: 2 * whole.count, len: 2 * whole.len }, walk_time),
    );
    report.row("bytes written per byte put (jdb's counter)", report::ratio(written, whole.len));
    report.row("unsynced log written again after the kill", report::mb(written_again));
    if let Some(len) = dirtied_len.filter(|&len| len > 0) {
        report.row("bytes of pages dirtied per byte put (/proc/PID/io)", report::ratio(len, whole.len));
    }
    if let Some(memory) = memory {
        report.row(
            "resident memory after the flush / peak, mapped files counted",
            format!("{} / {}", report::mb(memory.now), report::mb(memory.peak)),
        );
    }
    report.row("reopen after the kill", report::time(reopen_killed));
    report.row("close", report::time(close_time));
    report.row("reopen after the close", report::time(reopen_closed));
    report.row("I/O driver", format!("{driver:?}"));
    Ok(report)
}

async fn open(path: &Path) -> Result<(Db, Duration)> {
    let start = Instant::now();
    let db = jdb::open(path).await?;
    Ok((db, start.elapsed()))
}

fn figures(put: Put, time: Duration) -> String {
    format!("{} rows in {}, {}", report::count(put.count), report::time(time), report::rate(put.len, time))
}
