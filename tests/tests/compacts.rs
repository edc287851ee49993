//! What compaction leaves behind, seen from outside.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use jdb::{Db, ErrorKind, Options, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, Repeat, SimConfig, SimDisk, SyncFailure};
use std::time::Duration;

/// Runs `test` on a database of one shard whose short tables are merged only when somebody asks.
fn on_sim<F: Future<Output = ()> + 'static>(test: impl FnOnce(SimDisk, Db) -> F + 'static) {
    on_sim_with(Some(2000), test);
}

fn on_sim_with<F: Future<Output = ()> + 'static>(
    table_len: Option<u64>,
    test: impl FnOnce(SimDisk, Db) -> F + 'static,
) {
    let sim = SimDisk::new(SimConfig { seed: 1, ..SimConfig::default() });
    let (disk, faulty) = (Disk::sim(&sim), sim.clone());
    let main = async move {
        let tuning = Tuning { newest_count: Some(100), table_len, ..Tuning::default() };
        let options =
            Options { shards: 1, flush_interval: Duration::from_secs(3600), tuning, ..Options::at("/db") };
        let db = jdb::open(options.on_disk(disk)).await.unwrap();
        test(faulty, db).await;
    };
    sim.executor().block_on(main).expect("nothing waits for ever");
}

/// Puts 100 keys and flushes them: one more table of level 0.
async fn one_more_table(db: &Db, round: u32) {
    let ns = db.ns(1u64);
    for key in 0..100u32 {
        ns.put(key.to_be_bytes(), round.to_be_bytes()).await.unwrap();
    }
    db.flush().await.unwrap();
}

fn tables(db: &Db) -> Vec<usize> {
    db.stats().shards.iter().flat_map(|shard| shard.tables.clone()).collect()
}

#[test]
fn compact_merges_level_0_too_and_leaves_one_level() {
    on_sim(|_, db| async move {
        for round in 0..3 {
            one_more_table(&db, round * 2).await;
            one_more_table(&db, round * 2 + 1).await;
            db.compact().await.unwrap();
            let levels = tables(&db);
            assert_eq!(levels.first(), Some(&0), "round {round}: {levels:?}");
            assert_eq!(levels.iter().filter(|&&count| count > 0).count(), 1, "round {round}: {levels:?}");
            let got = db.ns(1u64).get(7u32.to_be_bytes()).await.unwrap();
            assert_eq!(got.as_deref(), Some(&(round * 2 + 1).to_be_bytes()[..]), "round {round}");
        }
        db.close().await.unwrap();
    });
}

#[test]
fn compact_and_settle_say_so_when_writing_has_stopped() {
    on_sim(|sim, db| async move {
        one_more_table(&db, 0).await;
        one_more_table(&db, 1).await;
        let at = At::NthOn(".sst", 0);
        sim.inject(Fault { at, kind: FaultKind::FailedSync(SyncFailure::Reverted), repeat: Repeat::Once });
        // The table of the compaction cannot be synced; nobody works from then on, and nobody may wait for that.
        for turn in 0..3 {
            let error = db.compact().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stopped, "turn {turn}: {error}");
        }
        assert_eq!(db.settle().await.unwrap_err().kind(), ErrorKind::Stopped);
        let got = db.ns(1u64).get(7u32.to_be_bytes()).await.unwrap();
        assert_eq!(got.as_deref(), Some(&1u32.to_be_bytes()[..]), "reads go on");
        // Everything acknowledged is durable in the tables that are there.
        db.close().await.unwrap();
    });
}

#[test]
fn drops_that_no_table_needs_go_without_another_write() {
    on_sim_with(None, |_, db| async move {
        // More than one record of the MANIFEST takes along, in one table, and all at once.
        for id in 0..5000u64 {
            db.ns(id).put("k", "v").await.unwrap();
        }
        db.flush().await.unwrap();
        let held: Vec<_> = (0..5000u64).map(|id| db.ns(id).snapshot()).collect();
        for id in 0..5000u64 {
            db.drop_ns(id).await.unwrap();
        }
        db.compact().await.unwrap();
        assert_eq!(db.stats().shards.first().unwrap().drops, 5000);
        drop(held);
        db.compact().await.unwrap();
        db.settle().await.unwrap();
        let shard = db.stats().shards.first().unwrap().clone();
        assert_eq!((shard.drops, shard.table_len), (0, 0), "{shard:?}");
        db.close().await.unwrap();
    });
}

#[test]
fn compact_applies_a_single_drop() {
    on_sim_with(None, |_, db| async move {
        for id in 0..50u64 {
            db.ns(id).put("k", "v").await.unwrap();
        }
        db.compact().await.unwrap();
        let before = db.stats().shards.first().unwrap().clone();
        db.drop_ns(7u64).await.unwrap();
        db.compact().await.unwrap();
        let after = db.stats().shards.first().unwrap().clone();
        assert!(after.drops == 0 && after.compactions > before.compactions, "{after:?}");
        let compactions = after.compactions;
        db.compact().await.unwrap();
        assert_eq!(db.stats().shards.first().unwrap().compactions, compactions, "once is enough");
        db.close().await.unwrap();
    });
}
