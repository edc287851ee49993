//! A read of many keys sees one moment, however long it takes: rows are written, dropped, flushed and merged under it.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use jdb::{Db, Options, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

/// More than are looked up at once.
const NAMESPACES: u64 = 200;

/// Writes `round` into one namespace after the other; in some the old row is dropped with its namespace first. Then brings all of
/// it into one level of tables.
async fn write(db: &Db, round: u64) {
    for id in 0..NAMESPACES {
        if (round + id).is_multiple_of(3) {
            db.drop_ns(id).await.unwrap();
        }
        db.ns(id).put("row", value(round)).await.unwrap();
    }
    db.flush().await.unwrap();
    db.compact().await.unwrap();
}

fn value(round: u64) -> Vec<u8> {
    [&round.to_be_bytes()[..], &[7; 24]].concat()
}

#[test]
fn many_keys_of_many_namespaces_are_read_as_of_one_moment() {
    for seed in 0..4 {
        let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(300), ..SimConfig::default() });
        let options = Options {
            shards: 1,
            // Blocks are read from the disk each time.
            memory: 1,
            inline_max: if seed % 2 == 0 { 0 } else { 128 },
            flush_interval: Duration::from_secs(1000),
            tuning: Tuning {
                segment_len: Some(4096),
                block_len: Some(128),
                drops_min: Some(1),
                ..Tuning::default()
            },
            ..Options::at("/db").on_disk(Disk::sim(&sim))
        };
        let run = async move {
            let db = jdb::open(options).await.unwrap();
            write(&db, 0).await;
            for round in 1..4 {
                let mut read = pin!(db.multi_get((0..NAMESPACES).map(|id| (id, "row"))));
                // Some rows are being looked up, the others have to wait.
                assert!(futures::poll!(&mut read).is_pending(), "{seed}");
                write(&db, round).await;
                let found = read.await.unwrap();
                let want = Some(value(round - 1));
                let wrong = found.iter().filter(|value| value.as_deref() != want.as_deref()).count();
                assert_eq!(wrong, 0, "{seed}, round {round}: {found:?}");
            }
            db.close().await.unwrap();
        };
        sim.executor().block_on(run).expect("nothing waits for ever");
    }
}

#[test]
fn verify_counts_what_each_shard_holds_when_its_turn_comes() {
    let sim = SimDisk::new(SimConfig { seed: 1, latency: Latency::up_to(300), ..SimConfig::default() });
    let options = Options {
        shards: 2,
        flush_interval: Duration::from_secs(1000),
        tuning: Tuning { segment_len: Some(4096), ..Tuning::default() },
        ..Options::at("/db").on_disk(Disk::sim(&sim))
    };
    let run = async move {
        let db = jdb::open(options).await.unwrap();
        let fill = async |from: u64| {
            for id in from..from + 100 {
                db.ns(id).put("row", [7; 300]).await.unwrap();
            }
            db.flush().await.unwrap();
        };
        fill(0).await;
        let told = Cell::new((0, 0));
        let verify = db.verify(|progress| {
            assert!(told.get().0 <= progress.done && progress.done <= progress.total);
            told.set((progress.done, progress.total));
        });
        let (report, ()) = futures::join!(verify, fill(100));
        let report = report.unwrap();
        assert_eq!(report.damage_count, 0, "{:?}", report.damage);
        assert_eq!(told.get(), (report.len, report.len));
        db.close().await.unwrap();
    };
    sim.executor().block_on(run).expect("nothing waits for ever");
}
