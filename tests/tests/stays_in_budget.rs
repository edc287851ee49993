//! Memory and descriptors of a database stay inside what its options say.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

use jdb::{Db, ErrorKind, Options, RuntimeConfig, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, Latency, Repeat, SimConfig, SimDisk};
use std::collections::BTreeMap;
#[cfg(target_os = "linux")]
use std::path::{Path, PathBuf};
use tests::rng::Rng;

const PATH: &str = "/db";
/// Descriptors of a shard beside those that are counted: MANIFEST, the segment being written, the table being written, and
/// two that became sealed since the last sync; and of its collector: the file that it walks over, the table that it asks, the pack that it writes.
const OF_A_SHARD: u64 = 5 + 3;

fn on_sim<T: 'static>(sim: &SimDisk, work: impl AsyncFnOnce(Disk) -> T + 'static) -> T {
    let disk = Disk::sim(sim);
    sim.executor().block_on(async move { work(disk).await }).expect("nothing waits for ever")
}

fn value(i: u64, len: usize) -> Vec<u8> {
    i.to_le_bytes().repeat(len.div_ceil(8)).into_iter().take(len).collect()
}

/// Many tables and segments, small and not compacted.
fn small(shards: u16, descriptors: usize) -> Options {
    let tuning = Tuning {
        segment_len: Some(4096),
        memtable_len: Some(1000),
        reserve_len: Some(0),
        ..Tuning::default()
    };
    Options { shards, descriptors, inline_max: 16, tuning, ..Options::at(PATH) }
}

/// Puts and gets at random, some of them at the same time; gives the rows.
async fn work(db: &Db, steps: u64, mut check: impl FnMut(&Db, u64)) -> BTreeMap<(u64, u64), u64> {
    let (mut rng, mut rows) = (Rng::new(5), BTreeMap::new());
    for step in 0..steps {
        let at = (rng.below(40), rng.below(500));
        let len = if step % 3 == 0 { 8 } else { 200 };
        db.ns(at.0).put(at.1.to_be_bytes(), value(step, len)).await.unwrap();
        rows.insert(at, step);
        let keys: Vec<_> = (0..4).map(|_| (rng.below(40), rng.below(500))).collect();
        let spaces: Vec<_> = keys.iter().map(|key| (db.ns(key.0), key.1.to_be_bytes())).collect();
        let (a, b, c, d) = {
            let mut gets = spaces.iter().map(|(space, key)| space.get(key));
            let mut next = || gets.next().unwrap();
            futures::join!(next(), next(), next(), next())
        };
        for (key, got) in keys.iter().zip([a, b, c, d]) {
            let got = got.unwrap().map(|value| u64::from_le_bytes(value[..8].try_into().unwrap()));
            assert_eq!(got, rows.get(key).copied(), "step {step}, key {key:?}");
        }
        check(db, step);
    }
    rows
}

#[test]
fn reads_are_right_and_descriptors_few_while_everything_is_evicted_all_the_time() {
    // With 40 there is enough for the three segments that each shard may write to: they count.
    for (descriptors, shards, written) in [(1, 1, 0), (2, 4, 0), (20, 4, 10), (40, 4, 12)] {
        let config = SimConfig { seed: descriptors, latency: Latency { max_us: 50 }, ..SimConfig::default() };
        let sim = SimDisk::new(config);
        on_sim(&sim, async move |disk| {
            let options = || small(shards, descriptors as usize).on_disk(disk.clone());
            let db = jdb::open(options()).await.unwrap();
            // Four reads at once use a table or segment each.
            let most = descriptors + 4 + u64::from(shards) * OF_A_SHARD;
            let rows = work(&db, 1200, |db, step| {
                let stats = db.stats();
                assert!(stats.handle_count as u64 <= descriptors - written, "step {step}: {stats:?}");
                assert!(stats.io.open_files <= most, "step {step}: {} open", stats.io.open_files);
            })
            .await;
            let tables: usize = db.stats().shards.iter().flat_map(|shard| shard.tables.clone()).sum();
            assert!(tables as u64 > 2 * most || db.stats().io.removes > most, "only {tables} tables");
            db.close().await.unwrap();
            let db = jdb::open(options()).await.unwrap();
            for (at, want) in &rows {
                let value = db.ns(at.0).get(at.1.to_be_bytes()).await.unwrap().unwrap();
                assert_eq!(value[..8], want.to_le_bytes(), "{at:?}");
                assert!(db.stats().io.open_files <= most, "{} open", db.stats().io.open_files);
            }
            for ns in 0..40 {
                let (mut scan, mut seen) = (db.ns(ns).iter().rev(), 0);
                while let Some(item) = scan.next().await.unwrap() {
                    let key = u64::from_be_bytes(item.key().try_into().unwrap());
                    let value = item.value().await.unwrap();
                    assert_eq!(value[..8], rows[&(ns, key)].to_le_bytes(), "{ns} {key}");
                    seen += 1;
                }
                assert_eq!(seen, rows.keys().filter(|at| at.0 == ns).count(), "namespace {ns}");
            }
            db.close().await.unwrap();
            assert_eq!(disk.counters().open_files, 0, "something was left open");
        });
    }
}

/// The files in a directory that this process has open, and that have a name: those without one are closed by a thread of their own.
/// Other tests run beside this one and have descriptors too.
#[cfg(target_os = "linux")]
fn held_in(dir: &Path) -> Vec<PathBuf> {
    let dir = dir.canonicalize().unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let held = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    held.filter(|path| path.starts_with(&dir) && !path.to_string_lossy().ends_with(" (deleted)")).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_counts_as_many_descriptors_as_we_do() {
    let dir = tempfile::tempdir().unwrap();
    jdb::runtime(&RuntimeConfig::default()).unwrap().block_on(async {
        let options = Options { path: dir.path().join("db"), ..small(4, 3) };
        let db = jdb::open(options).await.unwrap();
        work(&db, 500, |db, step| {
            if step % 50 == 0 {
                let open = db.stats().io.open_files;
                assert!(open <= 3 + 4 + 4 * OF_A_SHARD, "step {step}: {open} open");
            }
        })
        .await;
        db.settle().await.unwrap();
        let (held, counted) = (held_in(dir.path()), db.stats().io.open_files);
        // The lock is a descriptor too, and no file of ours.
        assert_eq!(held.len() as u64, counted + 1, "{held:?}");
        db.close().await.unwrap();
        assert_eq!(held_in(dir.path()), [] as [PathBuf; 0]);
    });
}

/// A database whose memtables may hold this much, on a disk that takes its time.
fn slow(sim: &SimDisk, memtable_len: usize, shards: u16) -> Options {
    let tuning = Tuning { memtable_len: Some(memtable_len), ..Tuning::default() };
    Options { shards, tuning, ..Options::at(PATH) }.on_disk(Disk::sim(sim))
}

/// Puts that wait for their answer at the same time: about 150 KiB of memtables.
const AT_ONCE: u64 = 1024;

/// Puts rows whose values lie in the index, until a put fails.
async fn fill(db: &Db, count: u64, mut check: impl FnMut(&Db)) -> Result<(), jdb::Error> {
    for i in (0..count).step_by(AT_ONCE as usize) {
        let puts: Vec<_> = (i..i + AT_ONCE)
            .map(|i| db.ns(i % 61).put(i.to_be_bytes(), value(i, 100)))
            .map(IntoFuture::into_future)
            .collect();
        for result in futures::future::join_all(puts).await {
            result?;
        }
        check(db);
    }
    Ok(())
}

#[test]
fn memtables_stay_inside_their_share_and_writers_wait() {
    const SHARE: usize = 4 << 20;
    // What writers insert after they have looked may begin a chunk.
    const CHUNK: usize = 256 << 10;
    for shards in [1, 4] {
        let config = SimConfig { latency: Latency { max_us: 100_000 }, ..SimConfig::default() };
        let sim = SimDisk::new(config);
        let options = slow(&sim, SHARE, shards);
        on_sim(&sim, async move |_| {
            let db = jdb::open(options).await.unwrap();
            let mut peak = 0;
            fill(&db, 100 * AT_ONCE, |db| {
                let stats = db.stats();
                peak = peak.max(stats.memtable_len + stats.closed_memtable_len);
            })
            .await
            .unwrap();
            assert!(peak <= SHARE + CHUNK * (usize::from(shards) + 1), "{shards} shards: {peak} bytes held");
            assert!(peak >= SHARE * 3 / 4, "{shards} shards: the share was not used: {peak}");
            let stats = db.stats();
            assert!(stats.shards.iter().any(|shard| !shard.stalled.is_zero()), "nobody waited");
            db.flush().await.unwrap();
            let stats = db.stats();
            assert_eq!((stats.memtable_len, stats.closed_memtable_len), (0, 0));
            db.close().await.unwrap();
        });
    }
}

#[test]
fn the_block_cache_has_what_memtables_leave_and_gives_it_back() {
    const MEMORY: usize = 4 << 20;
    // Parts of the cache, tables of the cache that grew, a chunk of a memtable that was begun.
    const ROUNDING: u64 = 384 << 10;
    let sim = SimDisk::new(SimConfig::default());
    let options = Options { memory: MEMORY, shards: 1, ..Options::at(PATH) }.on_disk(Disk::sim(&sim));
    on_sim(&sim, async move |_| {
        let db = jdb::open(options).await.unwrap();
        let rows = 40 * AT_ONCE;
        fill(&db, rows, |_| {}).await.unwrap();
        db.flush().await.unwrap();
        db.settle().await.unwrap();
        for i in 0..rows {
            assert!(db.ns(i % 61).get(i.to_be_bytes()).await.unwrap().is_some());
        }
        let cached = db.stats().cache_len;
        assert!((MEMORY / 2 + MEMORY / 8..=MEMORY * 3 / 4).contains(&(cached as usize)), "{cached}");
        let mut least = cached;
        fill(&db, rows, |db| {
            let stats = db.stats();
            let held = stats.cache_len + (stats.memtable_len + stats.closed_memtable_len) as u64;
            assert!(held <= MEMORY as u64 * 3 / 4 + ROUNDING, "{stats:?}");
            least = least.min(stats.cache_len);
        })
        .await
        .unwrap();
        assert!((MEMORY / 4..MEMORY / 2).contains(&(least as usize)), "{least}");
        db.close().await.unwrap();
    });
}

#[test]
fn a_memtable_that_a_scan_holds_counts_until_the_scan_ends() {
    let sim = SimDisk::new(SimConfig::default());
    let options = slow(&sim, 8 << 20, 1);
    on_sim(&sim, async move |_| {
        let db = jdb::open(options).await.unwrap();
        fill(&db, 1024, |_| {}).await.unwrap();
        let mut scan = db.ns(7u64).iter();
        assert!(scan.next().await.unwrap().is_some());
        let held = db.stats().memtable_len;
        db.flush().await.unwrap();
        let stats = db.stats();
        assert_eq!((stats.memtable_len, stats.closed_memtable_len), (0, held));
        drop(scan);
        assert_eq!(db.stats().closed_memtable_len, 0);
        db.close().await.unwrap();
    });
}

#[test]
fn when_no_flush_can_succeed_puts_are_refused_and_go_on_later() {
    const SHARE: usize = 512 << 10;
    for shards in [1, 4] {
        let sim = SimDisk::new(SimConfig::default());
        let (options, inject) = (slow(&sim, SHARE, shards), sim.clone());
        on_sim(&sim, async move |_| {
            let db = jdb::open(options).await.unwrap();
            fill(&db, 1024, |_| {}).await.unwrap();
            // No table can be written; the log can.
            let at = At::NthOn(".sst", 0);
            inject.inject(Fault { at, kind: FaultKind::Enospc, repeat: Repeat::Forever });
            let error = fill(&db, 200 * AT_ONCE, |_| {}).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            let stats = db.stats();
            let held = stats.memtable_len + stats.closed_memtable_len;
            assert!(held <= SHARE * 3 / 2, "{shards} shards: {held} bytes held");
            inject.clear_faults();
            db.flush().await.unwrap();
            fill(&db, 20 * AT_ONCE, |_| {}).await.unwrap();
            db.close().await.unwrap();
        });
    }
}
