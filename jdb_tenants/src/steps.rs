//! What each process does, and the line that it tells.

use crate::error::{Error, Result};
use crate::median;
use crate::plan::{Args, Step};
use crate::rows::{Key, Row, Rows, key, mix};
use crate::store::Store;
use crate::system::{self, Sampler};
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

/// Rows in one commit.
const BATCH_ROWS: usize = 100;
/// Commits that wait for their answer at the same time.
const IN_FLIGHT: usize = 16;
/// Namespaces that are touched cold to open files, and those that are measured then.
const TOUCHED: u64 = 400;
/// Namespaces that are asked over and over.
const HOT: u64 = 10_000;
/// How often each of them is asked, in two series: its row, and a key that it lacks.
const ROUNDS: u64 = 5;
/// Namespaces of a page.
pub(crate) const PAGE: usize = 1000;
/// Pages that are listed.
const PAGES: u64 = 31;
/// How often the active namespace is written and read, in turns with the same one alone in a database.
const ACTIVE_ROUNDS: u64 = 9;
/// Small namespaces that are dropped.
const DROPPED: u64 = 200;

/// [`Step::Load`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) load_s: f64,
    pub(crate) settle_s: f64,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) fds: Option<u64>,
}

/// [`Step::Open`] and [`Step::Recover`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) open_ms: f64,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) replay_bytes: Option<u64>,
}

/// [`Step::Use`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) opening_touch: Touch,
    pub(crate) touch: Touch,
    pub(crate) get_p50_us: f64,
    pub(crate) absent_p50_us: f64,
    pub(crate) walk_per_s: f64,
    pub(crate) list_page_ms: f64,
    pub(crate) fds: Option<u64>,
}

/// Cold reads of one row each.
#[derive(Serialize, Deserialize)]
pub(crate) struct Touch {
    pub(crate) p50_us: f64,
    pub(crate) reads: Option<f64>,
}

/// [`Step::Active`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Active {
    pub(crate) per_s: f64,
    pub(crate) alone_per_s: f64,
}

/// [`Step::Drop`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) small_us: f64,
    pub(crate) put_us: f64,
    pub(crate) big_us: f64,
    pub(crate) fds: Option<u64>,
}

/// Does one step with the store in `path` and prints a line of JSON.
///
/// # Errors
/// The store's, and whatever it does not hold.
pub fn run_step<S: Store>(args: &Args, step: Step, path: &Path) -> Result<()> {
    let runtime =
        jdb::runtime(&jdb::RuntimeConfig::default()).map_err(Error::io("start a runtime for", path))?;
    runtime.block_on(async {
        match step {
            Step::Load => tell(&load::<S>(args, path).await?),
            Step::Open => tell(&open::<S>(args, path, false).await?),
            Step::Recover => tell(&open::<S>(args, path, true).await?),
            Step::Use => tell(&make_use::<S>(args, path).await?),
            Step::Active => tell(&active::<S>(args, path).await?),
            Step::Drop => tell(&drop_some::<S>(args, path).await?),
            Step::Crash => crash::<S>(args, path).await,
        }
    })
}

fn tell(figures: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(figures).map_err(Error::store)?;
    let mut out = std::io::stdout().lock();
    let told = writeln!(out, "{line}").and_then(|()| out.flush());
    told.map_err(Error::io("write to", Path::new("the parent process")))
}

async fn load<S: Store>(args: &Args, path: &Path) -> Result<Loaded> {
    let rows = args.all_rows();
    let sampler = Sampler::start();
    let store = S::open(path, args.memory_len()).await?;
    let start = Instant::now();
    put_all(&store, (0..rows.count()).map(|n| rows.nth(n, 0))).await?;
    let load_s = start.elapsed().as_secs_f64();
    store.settle().await?;
    let settle_s = start.elapsed().as_secs_f64() - load_s;
    let peaks = sampler.stop();
    store.close().await?;
    Ok(Loaded { load_s, settle_s, rss_bytes: peaks.anonymous_len, fds: peaks.open_count })
}

async fn put_all<S: Store>(store: &S, mut rows: impl Iterator<Item = Row>) -> Result<()> {
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < IN_FLIGHT {
            let batch: Vec<Row> = rows.by_ref().take(BATCH_ROWS).collect();
            if batch.is_empty() {
                break;
            }
            in_flight.push(store.put(batch));
        }
        if in_flight.try_next().await?.is_none() {
            return Ok(());
        }
    }
}

async fn open<S: Store>(args: &Args, path: &Path, killed: bool) -> Result<Opened> {
    let start = Instant::now();
    let store = S::open(path, args.memory_len()).await?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let replay_bytes = store.replayed_len();
    if killed {
        // What was answered is there.
        let (rows, count) = (args.all_rows(), args.crash_rows());
        for draw in 0..count.min(1000) {
            expect(&store, &rows.nth(mix(draw) % count, 1)).await?;
        }
    }
    store.settle().await?;
    let rss_bytes = system::anonymous_len();
    store.close().await?;
    Ok(Opened { open_ms, rss_bytes, replay_bytes })
}

/// The row is there as it was put.
async fn expect<S: Store>(store: &S, row: &Row) -> Result<()> {
    let mut same = false;
    store.get(row.ns, &row.key, |value| same = value == Some(&row.value)).await?;
    if same { Ok(()) } else { Err(wrong(row.ns, "the row that was put", "another or none")) }
}

fn wrong(ns: u64, expected: impl ToString, found: impl ToString) -> Error {
    Error::Wrong { ns, expected: expected.to_string(), found: found.to_string() }
}

async fn make_use<S: Store>(args: &Args, path: &Path) -> Result<Used> {
    let (rows, sampler) = (args.all_rows(), Sampler::start());
    let store = S::open_to_evict(path, args.memory_len()).await?;
    store.settle().await?;
    let (order, count) = (rows.order(1), args.some(TOUCHED));
    let opening_touch = touch(&store, &rows, (0..count).map(|n| order.at(n))).await?;
    system::evict(path)?;
    let touch = touch(&store, &rows, (count..2 * count).map(|n| order.at(n))).await?;
    store.close().await?;
    let store = S::open(path, args.memory_len()).await?;
    system::read_all(path)?;
    let get_p50_us = ask(&store, args, |_, number| (key(number), true)).await?;
    // Between two keys that are there, or behind the last one.
    let absent_p50_us = ask(&store, args, |_, number| (absent(number), false)).await?;

    let start = Instant::now();
    let walked = list(&store, &rows, None, usize::MAX).await?;
    let walk_per_s = walked as f64 / start.elapsed().as_secs_f64();
    let mut pages_ms = Vec::new();
    for n in 0..PAGES {
        let after = rows.order(2).at(n);
        // The first time warms up.
        list(&store, &rows, Some(after), PAGE).await?;
        let start = Instant::now();
        list(&store, &rows, Some(after), PAGE).await?;
        pages_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    store.close().await?;
    let (list_page_ms, fds) = (median(pages_ms), sampler.stop().open_count);
    Ok(Used { opening_touch, touch, get_p50_us, absent_p50_us, walk_per_s, list_page_ms, fds })
}

/// Reads one row of each namespace.
async fn touch<S: Store>(store: &S, rows: &Rows, which: impl Iterator<Item = u64>) -> Result<Touch> {
    let mut times_us = Vec::new();
    let before = store.reads();
    for ns in which {
        let row = rows.row(ns, mix(ns) % rows.per_ns, 0);
        let start = Instant::now();
        expect(store, &row).await?;
        times_us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let reads = before.zip(store.reads()).map(|(before, after)| after.saturating_sub(before));
    let reads = reads.map(|reads| reads as f64 / times_us.len().max(1) as f64);
    Ok(Touch { p50_us: median(times_us), reads })
}

/// Asks hot namespaces for a key, in several rounds of which the first is not measured. Gives the median in microseconds.
async fn ask<S: Store>(store: &S, args: &Args, what: impl Fn(u64, u64) -> (Key, bool)) -> Result<f64> {
    let rows = args.all_rows();
    let (order, count) = (rows.order(3), args.some(HOT));
    let mut times_us = Vec::new();
    for round in 0..=ROUNDS {
        for n in 0..count {
            let ns = order.at(n);
            let (key, present) = what(ns, mix(n) % rows.per_ns);
            let (mut found, start) = (false, Instant::now());
            store.get(ns, &key, |value| found = value.is_some()).await?;
            let time_us = start.elapsed().as_secs_f64() * 1e6;
            if found != present {
                return Err(wrong(ns, present, found));
            }
            if round > 0 {
                times_us.push(time_us);
            }
        }
    }
    Ok(median(times_us))
}

/// A key that no namespace has, behind the one of this row.
fn absent(number: u64) -> Key {
    let mut key = key(number);
    if let Some(last) = key.last_mut() {
        *last = b'x';
    }
    key
}

/// Lists namespaces and compares each. Gives their number.
async fn list<S: Store>(store: &S, rows: &Rows, after: Option<u64>, limit: usize) -> Result<u64> {
    let first = after.map_or(0, |after| after + 1);
    let (mut next, mut bad) = (first, None);
    store
        .list(after, limit, |ns| {
            if ns != next {
                bad = bad.or(Some((next, ns)));
            }
            next += 1;
        })
        .await?;
    if let Some((expected, found)) = bad {
        return Err(wrong(expected, "to be listed next", format_args!("{found}")));
    }
    let want = rows.namespaces.min(first.saturating_add(limit as u64)) - first;
    let seen = next - first;
    if seen == want { Ok(seen) } else { Err(wrong(first, format_args!("{want} listed from it on"), seen)) }
}

/// The same load in one namespace among all others, and alone in a database of its own, in turns.
async fn active<S: Store>(args: &Args, path: &Path) -> Result<Active> {
    let rows = args.all_rows();
    let (ns, count) = (rows.namespaces + 1, args.active_rows());
    let among = S::open(path, args.memory_len()).await?;
    let alone = S::open(&path.with_file_name("alone"), args.memory_len()).await?;
    let mut per_s = [Vec::new(), Vec::new()];
    for round in 0..=ACTIVE_ROUNDS {
        let mut turns = [(&among, 0), (&alone, 1)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (store, place) in turns {
            let start = Instant::now();
            let row = |n: u64| rows.row(ns, mix(n ^ mix(round)) % count, round);
            put_all(store, (0..count).map(row)).await?;
            for n in 0..count {
                expect(store, &row(n)).await?;
            }
            let time_s = start.elapsed().as_secs_f64();
            // The first time warms up.
            if let Some(rates) = per_s.get_mut(place).filter(|_| round > 0) {
                rates.push(2.0 * count as f64 / time_s);
            }
        }
    }
    among.settle().await?;
    among.close().await?;
    alone.close().await?;
    let [per_s, alone_per_s] = per_s.map(median);
    Ok(Active { per_s, alone_per_s })
}

async fn drop_some<S: Store>(args: &Args, path: &Path) -> Result<Dropped> {
    let (rows, sampler) = (args.all_rows(), Sampler::start());
    let store = S::open(path, args.memory_len()).await?;
    let big = rows.namespaces;
    put_all(&store, (0..args.big_rows()).map(|number| rows.row(big, number, 0))).await?;
    store.settle().await?;
    let (order, count) = (rows.order(4), args.some(DROPPED));
    let (mut small_us, mut put_us) = (Vec::new(), Vec::new());
    for n in 0..count {
        // What a commit costs that changes one row.
        let row = rows.row(big, n % args.big_rows(), 1);
        let start = Instant::now();
        store.put(vec![row]).await?;
        put_us.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        store.drop_ns(order.at(n)).await?;
        small_us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let start = Instant::now();
    store.drop_ns(big).await?;
    let big_us = start.elapsed().as_secs_f64() * 1e6;
    let gone = (0..count).map(|n| (order.at(n), 0)).chain([(big, 0), (big, args.big_rows() - 1)]);
    for (ns, number) in gone {
        let mut found = false;
        store.get(ns, &key(number), |value| found = value.is_some()).await?;
        if found {
            return Err(wrong(ns, "nothing after its drop", "a row"));
        }
    }
    store.close().await?;
    let (small_us, put_us, fds) = (median(small_us), median(put_us), sampler.stop().open_count);
    Ok(Dropped { small_us, put_us, big_us, fds })
}

/// Puts rows, says so and waits for its end.
async fn crash<S: Store>(args: &Args, path: &Path) -> Result<()> {
    let rows = args.all_rows();
    let store = S::open(path, args.memory_len()).await?;
    put_all(&store, (0..args.crash_rows()).map(|n| rows.nth(n, 1))).await?;
    tell(&())?;
    // Ends with the parent at the latest.
    let _ = std::io::stdin().read(&mut [0]);
    drop(store);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_keys_are_no_keys() {
        for number in [0, 9, 10, 9_999_999] {
            assert!((0..100).all(|other| key(other) != absent(number)), "{number}");
        }
    }
}
