//! One namespace that imports, or reads or writes without end, does not hold up the others.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use futures::future::{join, join_all};
use jdb::{Db, Options, RuntimeConfig, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use std::cell::Cell;
use std::future::IntoFuture;
use std::time::Duration;
use tests::on_sim::on_sim;

/// Puts of the importer that are under way at once; 1 MiB of them are written together.
const IMPORTED: usize = 400;
const VALUE_LEN: usize = 64 << 10;

#[test]
fn a_put_does_not_wait_for_the_backlog_of_another_namespace() {
    for seed in 0..5 {
        on_sim(seed, 500, async move |db| {
            let (done, ahead) = (Cell::new(0), Cell::new(IMPORTED));
            let import = join_all((0..IMPORTED).map(|i| {
                let put = db.ns(1u64).put(i.to_be_bytes(), vec![7; VALUE_LEN]).into_future();
                let done = &done;
                async move {
                    put.await.unwrap();
                    done.set(done.get() + 1);
                }
            }));
            let other = async {
                // Behind the importer's, which have all been handed over by now.
                db.ns(2u64).put("key", "value").await.unwrap();
                ahead.set(done.get());
            };
            join(import, other).await;
            assert_eq!(done.get(), IMPORTED);
            assert!(ahead.get() <= 3 * (1 << 20) / VALUE_LEN, "seed {seed}: {} puts went first", ahead.get());
        });
    }
}

#[test]
fn who_writes_on_and_on_waits_for_no_sync() {
    for seed in 0..5 {
        let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(100), ..SimConfig::default() });
        let tuning = Tuning { segment_len: Some(64 << 10), ..Tuning::default() };
        let forever = Duration::from_secs(1000);
        let options = Options { shards: 1, tuning, sync_interval: forever, ..Options::at("/db") };
        let options = Options { flush_interval: forever, ..options.on_disk(Disk::sim(&sim)) };
        let run = async move {
            let db = jdb::open(options).await.unwrap();
            for i in 0..1000u32 {
                db.ns(1u64).put(i.to_be_bytes(), vec![7; 1000]).await.unwrap();
            }
            let shard = db.stats().shards.swap_remove(0);
            assert!(shard.segments > 15, "{}", shard.segments);
            assert_eq!(shard.stalled, Duration::ZERO, "seed {seed}");
            assert!(shard.syncs >= shard.segments - 2, "{} syncs, {} segments", shard.syncs, shard.segments);
            db.close().await.unwrap();
        };
        sim.executor().block_on(run).unwrap();
    }
}

#[test]
fn what_follows_a_closed_segment_is_durable_within_the_interval() {
    for seed in 0..5 {
        let config = SimConfig { seed, latency: Latency::up_to(100), ..SimConfig::default() };
        let sim = SimDisk::new(config);
        let options = |sim: &SimDisk| {
            let tuning = Tuning { segment_len: Some(64 << 10), ..Tuning::default() };
            let interval = Duration::from_millis(200);
            let options = Options { shards: 1, tuning, sync_interval: interval, ..Options::at("/db") };
            Options { flush_interval: Duration::from_secs(1000), ..options.on_disk(Disk::sim(sim)) }
        };
        let (first, disk) = (options(&sim), Disk::sim(&sim));
        let run = async move {
            let db = jdb::open(first).await.unwrap();
            let segments = || db.stats().shards.iter().map(|shard| shard.segments).sum::<u64>();
            // Nothing follows the record that begins a segment: the one before is being synced then.
            let mut rows = 0u32;
            while segments() < 4 {
                db.ns(1u64).put(rows.to_be_bytes(), vec![7; 1000]).await.unwrap();
                rows += 1;
            }
            disk.sleep(Duration::from_millis(200)).await;
            // Not closed: the power fails.
            rows
        };
        let rows = sim.executor().block_on(run).unwrap();
        let next = sim.power_cut(seed, config);
        let again = options(&next);
        let run = async move {
            let db = jdb::open(again).await.unwrap();
            for i in 0..rows {
                assert!(db.ns(1u64).contains(i.to_be_bytes()).await.unwrap(), "seed {seed}: row {i}");
            }
            db.close().await.unwrap();
        };
        next.executor().block_on(run).unwrap();
    }
}

#[test]
fn who_reads_from_memory_lets_others_have_the_thread() {
    on_sim(1, 0, async |db| {
        db.put_many((0..20_000u32).map(|i| (1u64, i.to_be_bytes(), "value"))).await.unwrap();
        let over = Cell::new(false);
        let turns = Cell::new(0);
        let reads = async {
            let mut scan = db.ns(1u64).iter();
            while scan.next().await.unwrap().is_some() {}
            db.ns(1u64).multi_get((0..20_000u32).map(u32::to_be_bytes)).await.unwrap();
            over.set(true);
        };
        let others = async {
            while !over.get() {
                turns.set(turns.get() + 1);
                jdb_io::task::yield_now().await;
            }
        };
        join(reads, others).await;
        assert!(turns.get() >= 20_000 / 1024 + 20_000 / 256, "{} turns", turns.get());
    });
}

/// Runs `test` on a database of a real disk: there a write does not suspend.
fn on_disk(test: impl AsyncFnOnce(&Db)) {
    let dir = tempfile::tempdir().unwrap();
    jdb::runtime(&RuntimeConfig::default()).unwrap().block_on(async {
        let db = jdb::open(dir.path().join("db")).await.unwrap();
        test(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn commits_that_come_together_are_written_together() {
    on_disk(async |db| {
        for round in 0..10u32 {
            join_all(
                (0..100u32).map(|i| db.ns(1u64).put(i.to_be_bytes(), round.to_be_bytes()).into_future()),
            )
            .await;
        }
        let groups: u64 = db.stats().shards.iter().map(|shard| shard.groups).sum();
        // The first of the first round are alone, before it shows that others come with them.
        assert!(groups < 60, "{groups} writes for 1000 commits");
    });
}

#[test]
fn who_puts_without_end_lets_others_have_the_thread() {
    on_disk(async |db| {
        let (over, done) = (Cell::new(false), Cell::new(0));
        let most = Cell::new(0);
        // The first commit of a shard waits for the disk.
        db.put_many((0..100u64).map(|id| (id, "key", "value"))).await.unwrap();
        let puts = async {
            for i in 0..2000u32 {
                db.ns(u64::from(i % 8)).put(i.to_be_bytes(), [7; 1024]).await.unwrap();
                done.set(done.get() + 1);
            }
            over.set(true);
        };
        let others = async {
            let mut before = 0;
            while !over.get() {
                most.set(most.get().max(done.get() - before));
                before = done.get();
                jdb_io::task::yield_now().await;
            }
        };
        join(puts, others).await;
        // 64 KiB are written between two turns, a commit counted with 3 KiB beside its bytes; the last one woke the writer's task.
        assert!((2..=17).contains(&most.get()), "{} puts between two turns", most.get());
    });
}
