//! The segment that is open, or that replay starts in: what is dead in it comes back, too.

use super::{check_sound, log_len, on_sim, patient, put, rows};
use jdb::{Db, Options};
use std::collections::BTreeMap;

/// Puts 20 values and deletes all but two, all within one segment.
async fn leave_two(db: &Db) {
    put(db, 0..20, 0).await;
    db.flush().await.unwrap();
    for key in 2..20u64 {
        db.ns(key % 3).delete(key.to_be_bytes()).await.unwrap();
    }
    db.flush().await.unwrap();
}

#[test]
fn what_is_dead_in_the_open_segment_goes_although_nothing_more_is_written() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(options.clone()).await.unwrap();
        leave_two(&db).await;
        db.settle().await.unwrap();
        let settled = db.stats().shards[0].clone();
        // Two values in a pack, and a segment that has only begun.
        assert!(settled.log_len < 4_000 && settled.packs == 1, "{settled:?}");
        for _ in 0..3 {
            db.flush().await.unwrap();
            db.settle().await.unwrap();
        }
        assert_eq!(db.stats().shards[0].flushes, settled.flushes, "and that is all");
        assert_eq!(rows(&db).await, BTreeMap::from([(0, 0), (1, 0)]));
        put(&db, 5..7, 3).await;
        check_sound(&db).await;
        db.close().await.unwrap();
        let db = jdb::open(options).await.unwrap();
        assert_eq!(rows(&db).await, BTreeMap::from([(0, 0), (1, 0), (5, 3), (6, 3)]));
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn values_that_stay_in_the_index_leave_no_log() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(Options { inline_max: 1000, ..options }).await.unwrap();
        put(&db, 0..20, 0).await;
        assert!(log_len(&db) > 10_000);
        db.flush().await.unwrap();
        db.settle().await.unwrap();
        assert!(log_len(&db) < 500, "{:?}", db.stats().shards[0]);
        assert_eq!(rows(&db).await.len(), 20);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn who_asks_in_another_life_has_the_last_segment_collected() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(patient(options.clone())).await.unwrap();
        leave_two(&db).await;
        db.close().await.unwrap();
        for more in [false, true] {
            let db = jdb::open(patient(options.clone())).await.unwrap();
            let report = db.collect().await.unwrap();
            assert!(report.after_len < 4_000, "{report:?}");
            assert_eq!(report.freed_len > 0, !more, "{report:?}");
            assert_eq!(rows(&db).await, BTreeMap::from([(0, 0), (1, 0)]));
            check_sound(&db).await;
            db.close().await.unwrap();
        }
    });
}

#[test]
fn what_is_overwritten_is_flushed_sooner_than_what_is_new() {
    on_sim(0, |_, options| async move {
        let mut options = Options { memory: 512 << 20, ..options };
        options.tuning.segment_len = None;
        let db = jdb::open(options).await.unwrap();
        let write = async |round: u8| {
            for key in 0..320u64 {
                db.ns(1u64).put(key.to_be_bytes(), vec![round; 64 << 10]).await.unwrap();
            }
        };
        let unflushed = || db.stats().shards[0].unflushed_len;
        write(0).await;
        assert!(unflushed() > 20 << 20, "{}", unflushed());
        db.flush().await.unwrap();
        write(1).await;
        db.compact().await.unwrap();
        write(2).await;
        db.settle().await.unwrap();
        assert!(unflushed() < 16 << 20, "{}", unflushed());
        db.close().await.unwrap();
    });
}
