//! Segments that are written over the files of collected ones.

use super::{check_sound, on_sim, options, patient, put, rows};
use jdb::{Db, Durability, Options};
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use std::collections::BTreeMap;

/// Puts the same keys again and again and lets collections keep up; when `sync` says so, some commits wait for a sync.
async fn overwrite(db: &Db, rounds: std::ops::Range<u64>, sync: bool) {
    for round in rounds {
        for from in (0..60).step_by(6) {
            put(db, from..from + 6, round).await;
            if sync {
                let (ns, key) = (db.ns(from % 3), from.to_be_bytes());
                let mut batch = ns.batch();
                batch.put(key, super::value(from, round)).durability(Durability::Sync);
                batch.commit().await.unwrap();
            }
        }
        db.flush().await.unwrap();
        db.settle().await.unwrap();
    }
}

#[test]
fn who_commits_with_syncs_writes_over_collected_files_and_nobody_else_does() {
    for sync in [true, false] {
        on_sim(0, move |sim, options| async move {
            let db = jdb::open(options.clone()).await.unwrap();
            overwrite(&db, 0..12, sync).await;
            let stats = db.stats().shards[0].clone();
            assert!(stats.freed_len > 200_000);
            assert_eq!(stats.segments_recycled > 0, sync, "{stats:?}");
            let wanted: BTreeMap<u64, u64> = (0..60).map(|key| (key, 11)).collect();
            assert_eq!(rows(&db).await, wanted);
            check_sound(&db).await;
            let segments = stats.segments as usize;
            db.close().await.unwrap();
            let files = Disk::sim(&sim).list("/db/shard-000".as_ref()).await.unwrap();
            let logs = files.iter().filter(|file| file.name.ends_with(".log")).count();
            assert_eq!(logs, segments, "a closed database keeps no file for later");
            let db = jdb::open(options).await.unwrap();
            assert_eq!(rows(&db).await, wanted);
            check_sound(&db).await;
            db.close().await.unwrap();
        });
    }
}

/// Whether a backup, whose files are links, is sound after the database has gone on.
fn backup_stays_sound() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("db"), dir.path().join("copy"));
    let runtime = || jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime().block_on(async {
        // In tables, so that their segments are sealed and linked; nothing is collected yet.
        let db = jdb::open(patient(options(&path))).await.unwrap();
        put(&db, 0..60, 0).await;
        db.flush().await.unwrap();
        assert!(db.backup_to(&copy).await.unwrap().linked > 1);
        db.close().await.unwrap();
        let db = jdb::open(options(&path)).await.unwrap();
        overwrite(&db, 1..9, true).await;
        assert!(db.stats().shards[0].freed_len > 100_000);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
    runtime().block_on(async {
        let Ok(db) = jdb::open(Options { read_only: true, ..options(&copy) }).await else { return false };
        db.verify(|_| ()).await.is_ok_and(|report| report.damage_count == 0)
    })
}

#[test]
fn a_file_that_a_backup_links_is_not_written_over() {
    assert!(backup_stays_sound());
    plant(&[Plant::RecycleLinked]);
    // Which file is taken depends on what the disk does first.
    let found = (0..20).any(|_| !backup_stays_sound());
    plant(&[]);
    assert!(found, "the planted bug is noticed");
}
