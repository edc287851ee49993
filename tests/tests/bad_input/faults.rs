//! A full disk and a failed sync, simulated.

use crate::support::{NS, assert_error, options, row};
use jdb::{Db, Durability, ErrorKind, Options, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, SyncFailure};
use std::path::Path;

const PATH: &str = "/db";

fn on_sim<T: 'static>(sim: &SimDisk, work: impl AsyncFnOnce(Disk) -> T + 'static) -> T {
    let disk = Disk::sim(sim);
    sim.executor().block_on(async move { work(disk).await }).expect("nothing waits for ever")
}

async fn open(disk: &Disk) -> Db {
    let options = options(Path::new(PATH));
    let tuning = Tuning { reserve_len: Some(32 << 10), ..options.tuning };
    jdb::open(Options { tuning, ..options }.on_disk(disk.clone())).await.unwrap()
}

async fn assert_there(db: &Db, rows: std::ops::Range<u32>, case: &str) {
    for i in rows {
        let (key, value) = row(i);
        assert_eq!(db.ns(NS).get(key).await.unwrap().as_deref(), Some(&value[..]), "{case}: row {i}");
    }
}

fn put(db: &Db, i: u32) -> jdb::Write {
    let (key, value) = row(i);
    db.ns(NS).put(key, value)
}

#[test]
fn failed_sync_stops_writing_reads_go_on_and_the_next_open_writes_again() {
    for (seed, mode) in SyncFailure::ALL.iter().copied().enumerate() {
        let case = format!("{mode:?}");
        let sim = SimDisk::new(SimConfig { seed: seed as u64, ..SimConfig::default() });
        let inject = sim.clone();
        on_sim(&sim, async move |disk| {
            let case = format!("{mode:?}");
            let db = open(&disk).await;
            for i in 0..20 {
                put(&db, i).durability(Durability::Sync).await.unwrap();
            }
            let commit = put(&db, 20).await.unwrap();
            let kind = FaultKind::FailedSync(mode);
            inject.inject(Fault { at: At::NthOf(OpKind::Sync, 0), kind, repeat: Repeat::Once });
            let error = put(&db, 21).durability(Durability::Sync).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stopped, "{case}: {error}");
            let path = error.path().unwrap().to_str().unwrap();
            assert!(path.ends_with(".log"), "{case}: {error}");
            assert!(!error.is_retryable());
            for (what, result) in [
                ("put", put(&db, 22).await.map(drop)),
                ("delete", db.ns(NS).delete("x").await.map(drop)),
                ("drop", db.drop_ns(NS).await.map(drop)),
                ("durable", commit.durable().await),
                ("sync", db.sync().await),
                ("flush", db.flush().await),
            ] {
                let error = result.expect_err(what);
                assert_eq!(error.kind(), ErrorKind::Stopped, "{case}, {what}: {error}");
            }
            assert!(db.stats().shards[0].stopped.is_some());
            assert_there(&db, 0..20, &case).await;
            let mut scan = db.ns(NS).prefix("key00");
            assert!(scan.next().await.unwrap().is_some());
            drop(scan);
            assert_eq!(db.close().await.unwrap_err().kind(), ErrorKind::Stopped);
        });
        let next = sim.kill(1, SimConfig { seed: 9, ..SimConfig::default() });
        on_sim(&next, async move |disk| {
            let db = open(&disk).await;
            assert_there(&db, 0..20, &case).await;
            put(&db, 30).durability(Durability::Sync).await.unwrap();
            db.close().await.unwrap();
            let db = open(&disk).await;
            assert_there(&db, 0..20, &case).await;
            assert_there(&db, 30..31, &case).await;
            db.close().await.unwrap();
        });
    }
}

#[test]
fn full_disk_refuses_puts_not_deletes_and_goes_on_when_there_is_room() {
    for seed in 0..8u64 {
        let capacity = 6000 + seed * 1234;
        let sim = SimDisk::new(SimConfig { seed, capacity: Some(1 << 20), ..SimConfig::default() });
        let knob = sim.clone();
        on_sim(&sim, async move |disk| {
            let case = format!("seed {seed}");
            let db = open(&disk).await;
            // The reserve is made behind a flush, and is there when the next one is over.
            for _ in 0..2 {
                db.ns(NS).put("goes", "away").await.unwrap();
                db.flush().await.unwrap();
            }
            knob.set_capacity(Some(knob.used() + capacity));
            let mut there = 0;
            let error = loop {
                match put(&db, there).await {
                    Ok(_) => there += 1,
                    Err(error) => break error,
                }
            };
            assert_error(&error, ErrorKind::NoSpace, error.path(), &case);
            assert!(error.path().is_some_and(|path| path.starts_with(PATH)), "{case}: {error}");
            db.ns(NS).delete("goes").await.unwrap_or_else(|error| panic!("{case}: {error}"));
            knob.set_capacity(Some(knob.used()));
            assert_there(&db, 0..there, &case).await;
            assert_eq!(put(&db, there).await.unwrap_err().kind(), ErrorKind::NoSpace, "{case}");
            if let Err(error) = db.flush().await {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{case}: {error}");
            }
            db.sync().await.unwrap();
            db.close().await.unwrap();

            let db = open(&disk).await;
            assert_there(&db, 0..there, &case).await;
            assert_eq!(db.ns(NS).get(row(there).0).await.unwrap(), None, "{case}: refused, and there");
            assert_eq!(db.ns(NS).get("goes").await.unwrap(), None, "{case}: deleted, and there");
            knob.set_capacity(Some(0));
            assert_eq!(put(&db, there).await.unwrap_err().kind(), ErrorKind::NoSpace, "{case}");
            knob.set_capacity(None);
            put(&db, there).await.unwrap();
            db.flush().await.unwrap();
            assert_there(&db, 0..there + 1, &case).await;
            db.close().await.unwrap();

            let db = open(&disk).await;
            assert_there(&db, 0..there + 1, &case).await;
            db.close().await.unwrap();
        });
    }
}
