//! What collection gives back, what it leaves alone, and what it must not lose.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

#[path = "collects/known.rs"]
mod known;
#[path = "collects/open_segment.rs"]
mod open_segment;
#[path = "collects/recycled.rs"]
mod recycled;
#[path = "collects/within_tables.rs"]
mod within_tables;

use futures::future::join_all;
use jdb::{Db, ErrorKind, Options, Recovery, Tuning};
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{At, Fault, FaultKind, Latency, Repeat, SimConfig, SimDisk};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

fn options(path: impl Into<std::path::PathBuf>) -> Options {
    Options {
        shards: 1,
        inline_max: 0,
        flush_interval: Duration::from_secs(3600),
        tuning: Tuning {
            segment_len: Some(16 << 10),
            table_len: Some(4000),
            newest_count: Some(2),
            hidden_len_min: Some(1),
            pack_block_len: Some(1000),
            ..Tuning::default()
        },
        ..Options::at(path)
    }
}

/// Runs `test` on a simulated disk; `latency` in microseconds.
fn on_sim<F: Future<Output = ()> + 'static>(latency: u64, test: impl FnOnce(SimDisk, Options) -> F) {
    let latency = if latency == 0 { Latency::NONE } else { Latency::up_to(latency) };
    let sim = SimDisk::new(SimConfig { seed: 3, latency, ..SimConfig::default() });
    let options = options("/db").on_disk(Disk::sim(&sim));
    sim.executor().block_on(test(sim.clone(), options)).expect("nothing waits for ever");
}

fn value(key: u64, round: u64) -> Vec<u8> {
    [&key.to_be_bytes()[..], &round.to_be_bytes(), &[7; 500]].concat()
}

/// Nothing is collected but by request.
fn patient(options: Options) -> Options {
    Options { max_garbage: 0.95, ..options }
}

async fn put(db: &Db, keys: impl Iterator<Item = u64>, round: u64) {
    for key in keys {
        db.ns(key % 3).put(key.to_be_bytes(), value(key, round)).await.unwrap();
    }
}

/// All rows by key, read by scans and by keys in both directions.
async fn rows(db: &Db) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for id in 0..3u64 {
        let ns = db.ns(id);
        let mut scan = ns.iter();
        let mut keys = Vec::new();
        while let Some(item) = scan.next().await.unwrap() {
            let value = item.value().await.unwrap();
            let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().unwrap());
            assert_eq!(item.key(), &value[..8]);
            keys.push(number(0));
            rows.insert(number(0), number(8));
        }
        let mut back = ns.iter().rev();
        let mut left = keys.len();
        while let Some(item) = back.next().await.unwrap() {
            left -= 1;
            assert_eq!(item.value().await.unwrap(), value(keys[left], rows[&keys[left]]));
        }
        assert_eq!(left, 0);
        let found = ns.multi_get(keys.iter().map(|key| key.to_be_bytes())).await.unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found.as_deref(), Some(&value(*key, rows[key])[..]));
            let one = ns.get(key.to_be_bytes()).await.unwrap();
            assert_eq!(one.as_deref(), Some(&value(*key, rows[key])[..]));
        }
    }
    rows
}

async fn check_sound(db: &Db) {
    let report = db.verify(|_| ()).await.unwrap();
    assert_eq!(report.damage.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
}

fn log_len(db: &Db) -> u64 {
    db.stats().log_len()
}

#[test]
fn garbage_goes_by_itself_and_everything_else_stays() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(options.clone()).await.unwrap();
        let mut wanted = BTreeMap::new();
        for round in 0..8 {
            put(&db, (0..300).filter(|key| key % 5 < 4 || round == 0), round).await;
            wanted.extend((0..300).filter(|key| key % 5 < 4 || round == 0).map(|key| (key, round)));
            db.flush().await.unwrap();
            db.settle().await.unwrap();
            assert_eq!(rows(&db).await, wanted, "round {round}");
            check_sound(&db).await;
        }
        let stats = &db.stats().shards[0];
        assert!(stats.collections > 3 && stats.packs > 0 && stats.retired_files == 0, "{stats:?}");
        // 300 values of 516 bytes; a tenth more for what is in no table's reach yet.
        assert!(stats.log_len < 300 * 560 * 16 / 10, "{stats:?}");
        db.close().await.unwrap();
        let db = jdb::open(options).await.unwrap();
        assert_eq!(rows(&db).await, wanted);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

/// Runs `test` on a database with 300 rows in tables, in which nothing is collected but by request and what is dead as a whole.
fn filled<F: Future<Output = ()>>(test: impl FnOnce(SimDisk, Db) -> F + 'static) {
    on_sim(0, |sim, options| async move {
        let db = jdb::open(patient(options)).await.unwrap();
        put(&db, 0..300, 0).await;
        db.flush().await.unwrap();
        test(sim, db.clone()).await;
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn all_values_deleted_leave_nothing() {
    filled(|sim, db| async move {
        for key in 0..300u64 {
            db.ns(key % 3).delete(key.to_be_bytes()).await.unwrap();
        }
        let report = db.collect().await.unwrap();
        // What was half dead at the time may have been moved, and died there: no pack is left.
        assert!(report.after_len < 40_000, "{report:?}");
        assert!(db.stats().shards[0].freed_len > 150_000);
        assert!(sim.paths().iter().all(|path| path.extension().is_none_or(|e| e != "pack")));
    });
}

#[test]
fn dropped_namespaces_give_their_room_back() {
    filled(|_, db| async move {
        db.drop_ns(1u64).await.unwrap();
        db.drop_ns(2u64).await.unwrap();
        let report = db.collect().await.unwrap();
        assert!(report.after_len < 100 * 600 + (16 << 10), "{report:?}");
        assert_eq!(rows(&db).await, (0..300).filter(|key| key % 3 == 0).map(|key| (key, 0)).collect());
    });
}

#[test]
fn on_a_full_disk_dead_files_go_and_the_others_when_there_is_room() {
    filled(|sim, db| async move {
        sim.inject(Fault { at: At::NthOn(".pack", 0), kind: FaultKind::Enospc, repeat: Repeat::Forever });
        // The first half is dead, of the second every other value: that takes a pack.
        for key in (0..300u64).filter(|key| *key < 150 || key % 2 == 0) {
            db.ns(key % 3).delete(key.to_be_bytes()).await.unwrap();
        }
        let error = db.collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        let stats = db.stats();
        assert!(stats.shards[0].freed_len >= 60_000 && stats.shards[0].packs == 0, "{stats:?}");
        let wanted: BTreeMap<u64, u64> = (150..300).filter(|key| key % 2 == 1).map(|key| (key, 0)).collect();
        assert_eq!(rows(&db).await, wanted);
        sim.clear_faults();
        let report = db.collect().await.unwrap();
        assert!(report.moved_len > 0 && report.after_len < 75 * 600 + (32 << 10), "{report:?}");
        assert_eq!(rows(&db).await, wanted);
    });
}

#[test]
fn asking_ends_although_others_go_on_writing() {
    on_sim(300, |_, options| async move {
        let db = jdb::open(options).await.unwrap();
        put(&db, 0..60, 0).await;
        let done = Cell::new(false);
        let mut wanted: BTreeMap<u64, u64> = (0..60).map(|key| (key, 0)).collect();
        let write = async {
            for round in 1.. {
                assert!(round < 20, "new files are collected as well");
                // A third of each segment lives longer, so that there is always something to move.
                let keys = || (0..60u64).filter(|key| !(key + round).is_multiple_of(3));
                join_all(keys().map(|key| put(&db, key..key + 1, round))).await;
                wanted.extend(keys().map(|key| (key, round)));
                db.flush().await.unwrap();
                if done.get() {
                    break;
                }
            }
        };
        let collect = async {
            db.collect().await.unwrap();
            done.set(true);
        };
        futures::join!(write, collect);
        assert_eq!(rows(&db).await, wanted);
        db.close().await.unwrap();
    });
}

#[test]
fn a_collection_that_finds_less_than_is_counted_leaves_its_files_and_the_others_go_on() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(patient(options)).await.unwrap();
        put(&db, 0..300, 0).await;
        db.flush().await.unwrap();
        plant(&[Plant::CountLiveTwice]);
        put(&db, 0..100, 1).await;
        db.flush().await.unwrap();
        plant(&[]);
        // Three of four values that were counted twice die: the count is still above what is live, and garbage above what may be.
        let dies = |key: &u64| !key.is_multiple_of(4);
        let round = |key: u64| if dies(&key) { 2 } else { u64::from(key < 100) };
        put(&db, (0..300).filter(dies), 2).await;
        let error = db.collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("live bytes of a segment"), "{error}");
        let stats = db.stats();
        assert!(stats.shards[0].packs > 0, "what was counted rightly goes on: {stats:?}");
        assert!(db.settle().await.is_ok());
        assert_eq!(rows(&db).await, (0..300).map(|key| (key, round(key))).collect());
        db.close().await.unwrap();
    });
}

#[test]
fn what_was_there_when_the_database_was_opened_is_collected_with_what_came_since() {
    on_sim(0, |_, options| async move {
        let mut wanted = BTreeMap::new();
        for life in 1..=3 {
            let db = jdb::open(patient(options.clone())).await.unwrap();
            for round in [10 * life, 10 * life + 1] {
                let keys = || (0..400u64).filter(move |key| !(key + round).is_multiple_of(3));
                put(&db, keys(), round).await;
                wanted.extend(keys().map(|key| (key, round)));
                // Packs of before are merged with segments of now.
                db.collect().await.unwrap();
                let report = db.verify(|_| ()).await.unwrap();
                assert!(report.damage.is_empty(), "{:?}", report.damage);
                assert_eq!(rows(&db).await, wanted);
                let stats = db.stats();
                assert!(stats.shards[0].packs > 0 && db.stats().log_len() < 400 << 10, "{stats:?}");
            }
            db.close().await.unwrap();
        }
    });
}

#[test]
fn salvage_without_a_manifest_reads_the_log_behind_a_segment_that_was_collected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let runtime = || jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime().block_on(async {
        let db = jdb::open(patient(options(&path))).await.unwrap();
        // The newest sequence of any table stays in a segment that is not the last one flushed: the rows behind it are deleted, and
        // their tombstones go with them.
        put(&db, 0..100, 0).await;
        db.compact().await.unwrap();
        put(&db, 100..200, 0).await;
        for key in 100..200u64 {
            db.ns(key % 3).delete(key.to_be_bytes()).await.unwrap();
        }
        db.collect().await.unwrap();
        put(&db, 200..210, 0).await;
        db.sync().await.unwrap();
        drop(db);
    });
    fs::remove_file(path.join("shard-000/MANIFEST")).unwrap();
    runtime().block_on(async {
        let lost = Options { read_only: true, recovery: Recovery::Salvage, ..options(&path) };
        let lost = jdb::open(lost).await.unwrap();
        let report = lost.salvage(options(dir.path().join("saved")), |_| ()).await.unwrap();
        let saved = jdb::open(options(dir.path().join("saved"))).await.unwrap();
        let rows = rows(&saved).await;
        assert_eq!(rows, (0..100).chain(200..210).map(|key| (key, 0)).collect(), "{:?}", report.damage);
        saved.close().await.unwrap();
    });
}

#[test]
fn asking_again_and_again_writes_nothing_more() {
    on_sim(0, |_, options| async move {
        // Long keys, a block each: the pack is longer than the records were.
        let db = jdb::open(options).await.unwrap();
        let key = |i: u8| [vec![i], vec![b'k'; 3000]].concat();
        for round in 0..2u8 {
            for i in 0..30 {
                db.ns(1u64).put(key(i), [round; 300]).await.unwrap();
            }
        }
        db.collect().await.unwrap();
        let moved = db.stats().shards[0].collected_len;
        for _ in 0..3 {
            assert_eq!(db.collect().await.unwrap().moved_len, 0);
        }
        assert_eq!(db.stats().shards[0].collected_len, moved);
        for i in 0..30 {
            assert_eq!(db.ns(1u64).get(key(i)).await.unwrap().as_deref(), Some(&[1; 300][..]));
        }
        db.close().await.unwrap();
    });
}

#[test]
fn who_asks_finds_the_values_gathered_in_few_packs() {
    on_sim(300, |_, options| async move {
        let db = jdb::open(options.clone()).await.unwrap();
        let mut wanted = BTreeMap::new();
        for round in 0..12 {
            let keys = || (0..600).filter(|key| round == 0 || key % 11 == round % 11 || key % 3 == 0);
            put(&db, keys(), round).await;
            wanted.extend(keys().map(|key| (key, round)));
            db.flush().await.unwrap();
            db.settle().await.unwrap();
        }
        let before = db.stats().shards[0].clone();
        assert!(before.packs > 3, "{before:?}");
        // A read that is under way holds what is gathered.
        let ns = db.ns(1u64);
        let mut scan = ns.iter();
        assert!(scan.next().await.unwrap().is_some());
        let report = db.collect().await.unwrap();
        let after = db.stats().shards[0].clone();
        assert!(after.retired_files > 0, "{after:?}");
        while scan.next().await.unwrap().is_some() {}
        drop(scan);
        assert_eq!(rows(&db).await, wanted);
        check_sound(&db).await;
        db.settle().await.unwrap();
        assert!(db.collect().await.unwrap().moved_len < report.moved_len / 4, "{report:?}");
        assert_eq!(db.stats().shards[0].packs, 1, "{:?}", db.stats().shards[0]);
        db.close().await.unwrap();
        let db = jdb::open(options).await.unwrap();
        assert_eq!(rows(&db).await, wanted);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[cfg(feature = "lz4")]
#[test]
fn compressed_packs_are_shorter_and_hold_the_same() {
    let mut lens = Vec::new();
    for compress_packs in [false, true] {
        let (len, out) = std::sync::mpsc::channel();
        on_sim(0, move |_, options| async move {
            let db = jdb::open(Options { compress_packs, ..options.clone() }).await.unwrap();
            for round in 0..3 {
                put(&db, (0..300).filter(|key| round == 0 || key % 3 == round), round).await;
                db.collect().await.unwrap();
            }
            let wanted: BTreeMap<u64, u64> =
                (0..300).map(|key| (key, if key % 3 == 0 { 0 } else { key % 3 })).collect();
            assert_eq!(rows(&db).await, wanted);
            check_sound(&db).await;
            len.send(db.stats().log_len()).unwrap();
            db.close().await.unwrap();
            // How packs are written now says nothing of those that are there.
            let db = jdb::open(options).await.unwrap();
            assert_eq!(rows(&db).await, wanted);
            put(&db, (0..300).filter(|key| key % 2 == 0), 7).await;
            db.collect().await.unwrap();
            check_sound(&db).await;
            assert_eq!(rows(&db).await.values().filter(|round| **round == 7).count(), 150);
            db.close().await.unwrap();
        });
        lens.push(out.recv().unwrap());
    }
    assert!(lens[1] < lens[0] / 4, "{lens:?}");
}

#[cfg(not(feature = "lz4"))]
#[test]
fn compressed_packs_are_refused_where_the_codec_is_not_built_in() {
    on_sim(0, |_, options| async move {
        let error = jdb::open(Options { compress_packs: true, ..options }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    });
}

#[test]
fn gathering_that_finds_no_room_is_left_alone() {
    on_sim(0, |sim, options| async move {
        // No garbage is ever left that somebody could ask for.
        let db = jdb::open(Options { max_garbage: 0.02, ..options }).await.unwrap();
        for round in 0..12 {
            put(&db, (0..600).filter(|key| round == 0 || key % 11 == round % 11), round).await;
            db.compact().await.unwrap();
            db.settle().await.unwrap();
        }
        // Nor in the segment that is open.
        put(&db, 600..660, 0).await;
        db.compact().await.unwrap();
        db.settle().await.unwrap();
        let wanted = rows(&db).await;
        let packs = db.stats().shards[0].packs;
        assert!(packs > 1);
        sim.inject(Fault { at: At::NthOn(".pack", 0), kind: FaultKind::Enospc, repeat: Repeat::Forever });
        db.collect().await.unwrap();
        assert!(sim.faults_hit() > 0 && db.stats().shards[0].packs == packs);
        assert_eq!(rows(&db).await, wanted);
        sim.clear_faults();
        db.collect().await.unwrap();
        assert!(db.stats().shards[0].packs < packs, "{packs} {:?}", db.stats().shards[0]);
        assert_eq!(rows(&db).await, wanted);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn snapshots_scans_and_reads_under_way_see_what_they_saw() {
    on_sim(300, |_, options| async move {
        // Every block is read from the disk.
        let db = jdb::open(Options { memory: 1, ..options }).await.unwrap();
        put(&db, 0..200, 0).await;
        db.collect().await.unwrap();
        for round in 1..6 {
            let snapshot = db.ns(0u64).snapshot();
            let ns = db.ns(1u64);
            let mut scan = ns.iter();
            assert!(scan.next().await.unwrap().is_some());
            let mut many = pin!(db.multi_get((0..200u64).map(|key| (key % 3, key.to_be_bytes()))));
            assert!(futures::poll!(&mut many).is_pending());
            put(&db, 0..200, round).await;
            db.collect().await.unwrap();
            put(&db, (0..200).filter(|key| key % 2 == 0), round).await;
            db.collect().await.unwrap();
            let held = db.stats().shards[0].retired_files;
            assert!(held > 0, "what a read under way may want is kept");
            for (key, found) in (0..200u64).zip(many.await.unwrap()) {
                assert_eq!(found.as_deref(), Some(&value(key, round - 1)[..]), "round {round}");
            }
            let old = snapshot.get(3u64.to_be_bytes()).await.unwrap();
            assert_eq!(old.as_deref(), Some(&value(3, round - 1)[..]), "round {round}");
            let mut seen = 1;
            while let Some(item) = scan.next().await.unwrap() {
                let key = u64::from_be_bytes(item.key().try_into().unwrap());
                assert_eq!(item.value().await.unwrap(), value(key, round - 1), "round {round}");
                seen += 1;
            }
            assert_eq!(seen, 67);
        }
        assert_eq!(rows(&db).await, (0..200).map(|key| (key, 5)).collect());
        // What the snapshots held goes when its tables are merged again.
        put(&db, 0..200, 5).await;
        db.collect().await.unwrap();
        assert!(log_len(&db) < 200 * 700, "{:?}", db.stats().shards);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn change_under_way_finds_the_value_that_it_wants_to_change() {
    on_sim(300, |_, options| async move {
        let db = jdb::open(options).await.unwrap();
        put(&db, 0..200, 0).await;
        for round in 1..4 {
            db.collect().await.unwrap();
            let (a, b) = (db.ns(1u64), db.ns(0u64));
            // The index is in memory; the values are not.
            assert!(
                a.contains(1u64.to_be_bytes()).await.unwrap()
                    && b.contains(3u64.to_be_bytes()).await.unwrap()
            );
            let mut changed = pin!(a.update(1u64.to_be_bytes(), |old| {
                assert_eq!(old.as_deref(), Some(&value(1, 0)[..]));
                old
            }));
            let (key, expected) = (3u64.to_be_bytes(), value(3, 0));
            let mut compared = pin!(b.put_if(key, jdb::Expected::Value(&expected), &expected));
            assert!(futures::poll!(&mut changed).is_pending() && futures::poll!(&mut compared).is_pending());
            put(&db, (0..200).filter(|key| ![1, 3].contains(key)), round).await;
            db.collect().await.unwrap();
            assert!(db.stats().shards[0].retired_files > 0, "they hold what they want");
            changed.await.unwrap();
            compared.await.unwrap();
        }
        let wanted = (0..200).map(|key| (key, if [1, 3].contains(&key) { 0 } else { 3 })).collect();
        assert_eq!(rows(&db).await, wanted);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn file_with_a_damaged_live_value_stays_and_the_others_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let runtime = || jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime().block_on(async {
        let db = jdb::open(patient(options(&path))).await.unwrap();
        put(&db, 0..300, 0).await;
        db.flush().await.unwrap();
        db.close().await.unwrap();
    });
    let file = first(&path, "log");
    flip(&file, 600);
    runtime().block_on(async {
        let db = jdb::open(patient(options(&path))).await.unwrap();
        put(&db, (0..300).filter(|key| key % 2 == 1), 1).await;
        let error = db.collect().await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*file)), "{error}");
        assert!(file.exists() && db.stats().shards[0].packs > 0, "what is left is collected all the same");
        let why = db.stats().shards[0].collection_error.clone().unwrap();
        assert!(why.contains("00000001.log"), "{why}");
        assert!(db.settle().await.is_ok());
        // Just the value that is damaged cannot be read.
        let mut lost = 0;
        for key in 0..300u64 {
            match db.ns(key % 3).get(key.to_be_bytes()).await {
                Ok(found) => assert_eq!(found.as_deref(), Some(&value(key, key % 2)[..])),
                Err(error) => {
                    assert_eq!(error.path(), Some(&*file));
                    lost += 1;
                }
            }
        }
        assert_eq!(lost, 1);
        db.close().await.unwrap();
    });
}

#[test]
fn damaged_and_missing_packs_are_named_and_salvage_reads_them_without_a_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let runtime = || jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime().block_on(async {
        let db = jdb::open(options(&path)).await.unwrap();
        put(&db, 0..300, 0).await;
        put(&db, (0..300).filter(|key| key % 2 == 1), 1).await;
        db.collect().await.unwrap();
        db.backup_to(dir.path().join("backup")).await.unwrap();
        db.close().await.unwrap();
    });
    let wanted: BTreeMap<u64, u64> = (0..300).map(|key| (key, key % 2)).collect();
    runtime().block_on(async {
        let backup = jdb::open(options(dir.path().join("backup"))).await.unwrap();
        assert_eq!(rows(&backup).await, wanted);
        check_sound(&backup).await;
        backup.close().await.unwrap();
    });
    fs::remove_file(path.join("shard-000/MANIFEST")).unwrap();
    runtime().block_on(async {
        let lost = Options { read_only: true, recovery: Recovery::Salvage, ..options(&path) };
        let lost = jdb::open(lost).await.unwrap();
        let refused = lost.backup_to(dir.path().join("no backup")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        let report = lost.salvage(options(dir.path().join("saved")), |_| ()).await.unwrap();
        assert_eq!((report.rows, report.lost_values), (300, 0), "{:?}", report.damage);
        let saved = jdb::open(options(dir.path().join("saved"))).await.unwrap();
        assert_eq!(rows(&saved).await, wanted);
        saved.close().await.unwrap();
    });
    let path = dir.path().join("backup");
    let pack = first(&path, "pack");
    flip(&pack, 700);
    runtime().block_on(async {
        let db = jdb::open(options(&path)).await.unwrap();
        let report = db.verify(|_| ()).await.unwrap();
        assert!(report.damage_count > 0 && report.packs > 0);
        assert!(report.damage.iter().all(|error| error.path() == Some(&*pack)), "{:?}", report.damage);
        db.close().await.unwrap();
        fs::remove_file(&pack).unwrap();
        let error = jdb::open(options(&path)).await.unwrap_err();
        assert_eq!(error.path(), Some(&*pack), "{error}");
    });
}

fn first(path: &Path, extension: &str) -> std::path::PathBuf {
    let files = fs::read_dir(path.join("shard-000")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).min().unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}
