//! Conditional writes under contention: tasks that count together lose no step and take none twice, while memtables are flushed,
//! tables merged and namespaces dropped under them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

use bytes::Bytes;
use futures::future::join_all;
use jdb::{Db, ErrorKind, Expected, Options, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use std::cell::Cell;
use std::time::Duration;

const TASKS: u64 = 8;
const STEPS: u64 = 40;
const COUNTERS: u64 = 3;

/// Runs `work` on a simulated disk whose operations take random times.
fn on_sim(seed: u64, work: impl AsyncFnOnce(Db) + 'static) {
    let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(300), ..SimConfig::default() });
    let disk = Disk::sim(&sim);
    let options = Options {
        shards: 1,
        inline_max: [0, 128][seed as usize % 2],
        flush_interval: Duration::from_millis(2),
        tuning: Tuning {
            // 1: the writer waits for a flush before each group, with conditional commits in its queue.
            memtable_len: Some([1, 2 << 10][seed as usize / 2 % 2]),
            segment_len: Some(4096),
            newest_count: Some(2),
            drops_min: Some(1),
            ..Tuning::default()
        },
        ..Options::at("/db").on_disk(disk)
    };
    let run = async move {
        let db = jdb::open(options).await.unwrap();
        work(db.clone()).await;
        db.close().await.unwrap();
    };
    sim.executor().block_on(run).expect("nothing waits for ever");
}

fn number(value: Option<Bytes>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap()))
}

/// Long enough to be a pointer when nothing is inline.
fn bytes(number: u64) -> Bytes {
    [&number.to_be_bytes()[..], &[7; 40]].concat().into()
}

#[test]
fn updates_of_many_tasks_are_counted_each_once() {
    for seed in 0..30 {
        on_sim(seed, async move |db| {
            let retries = Cell::new(0);
            let count = async |task: u64| {
                for step in 0..STEPS {
                    let key = ((task + step) % COUNTERS).to_be_bytes();
                    let mut calls = 0;
                    let change = |old: Option<Bytes>| {
                        calls += 1;
                        Some(bytes(number(old) + 1))
                    };
                    db.ns(1u64).update(key, change).await.unwrap();
                    retries.set(retries.get() + calls - 1);
                }
            };
            let flush = async {
                for _ in 0..10 {
                    db.flush().await.unwrap();
                    db.compact().await.unwrap();
                }
            };
            futures::join!(join_all((0..TASKS).map(count)), flush);
            let mut sum = 0;
            for counter in 0..COUNTERS {
                sum += number(db.ns(1u64).get(counter.to_be_bytes()).await.unwrap());
            }
            assert_eq!(sum, TASKS * STEPS, "seed {seed}");
            assert!(retries.get() > 0, "seed {seed}: nobody was ever overtaken");
        });
    }
}

#[test]
fn of_many_that_want_an_absent_key_one_gets_it() {
    for seed in 0..30 {
        on_sim(seed, async move |db| {
            for round in 0..20u64 {
                let key = (round % 4).to_be_bytes();
                let take = async |task: u64| db.ns(1u64).put_if(key, Expected::Absent, bytes(task)).await;
                let taken = join_all((0..TASKS).map(take)).await;
                let mine: Vec<_> = (0..TASKS).filter(|&task| taken[task as usize].is_ok()).collect();
                assert_eq!(mine.len(), 1, "seed {seed}, round {round}");
                assert_eq!(number(db.ns(1u64).get(key).await.unwrap()), mine[0], "seed {seed}");
                for error in taken.into_iter().filter_map(Result::err) {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "seed {seed}: {error}");
                }
                // By a drop or by a delete, and sometimes with a flush behind it.
                if round % 2 == 0 {
                    db.ns(1u64).delete(key).await.unwrap();
                } else {
                    db.ns(1u64).clear().await.unwrap();
                }
                if round % 3 == 0 {
                    db.flush().await.unwrap();
                }
            }
        });
    }
}

#[test]
fn a_drop_between_read_and_commit_is_seen() {
    for seed in 0..30 {
        on_sim(seed, async move |db| {
            let ns = db.ns(1u64);
            for round in 0..20u64 {
                let first = ns.put("key", bytes(round)).await.unwrap();
                // From a table the read takes its time.
                db.flush().await.unwrap();
                let swap = ns.put_if("key", Expected::Seq(first.seq()), bytes(1000));
                let (swapped, dropped) = futures::join!(swap, async { ns.clear().await.unwrap() });
                let got = ns.get("key").await.unwrap();
                match swapped {
                    // Before the drop, which took it, or it would have failed.
                    Ok(commit) => {
                        assert!(commit.seq() < dropped.seq(), "seed {seed}");
                        assert_eq!(got, None, "seed {seed}");
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "seed {seed}: {error}"),
                }
                assert_eq!(got, None, "seed {seed}");
            }
        });
    }
}
