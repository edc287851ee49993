//! Old versions that lie beside newer ones in the same table: nothing above or below that table says that they are garbage.

use super::{check_sound, log_len, on_sim, value};

/// Log bytes of one row with [`value`] and its header, and some.
const ROW_LEN: u64 = 600;

#[test]
fn versions_of_one_memtable_go_without_another_write() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(options.clone()).await.unwrap();
        let ns = db.ns(1u64);
        for key in 0..20u64 {
            ns.put(key.to_be_bytes(), value(key, 0)).await.unwrap();
        }
        for round in 1..=300 {
            ns.put(7u64.to_be_bytes(), value(7, round)).await.unwrap();
        }
        db.flush().await.unwrap();
        db.settle().await.unwrap();
        let stats = &db.stats().shards[0];
        // 16 KiB is the length of an open segment.
        assert!(stats.log_len < 20 * ROW_LEN * 16 / 10 + (16 << 10), "{stats:?}");
        assert_eq!(ns.get(7u64.to_be_bytes()).await.unwrap().as_deref(), Some(&value(7, 300)[..]));
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn what_a_snapshot_kept_goes_when_it_is_gone() {
    // Kept by a compaction, or by a flush of all of it.
    for (merged, reopened) in [(true, false), (true, true), (false, false), (false, true)] {
        on_sim(0, move |_, options| async move {
            let mut db = jdb::open(options.clone()).await.unwrap();
            let keys = 0..100u64;
            for key in keys.clone() {
                db.ns(1u64).put(key.to_be_bytes(), value(key, 0)).await.unwrap();
            }
            if merged {
                db.flush().await.unwrap();
            }
            let snapshot = db.ns(1u64).snapshot();
            for key in keys.clone() {
                db.ns(1u64).put(key.to_be_bytes(), value(key, 1)).await.unwrap();
            }
            db.flush().await.unwrap();
            if merged {
                // All of both rounds lies in one level then.
                db.compact().await.unwrap();
            }
            db.settle().await.unwrap();
            assert!(log_len(&db) > 2 * 100 * 516, "the snapshot holds its values");
            for key in keys.clone() {
                let found = snapshot.get(key.to_be_bytes()).await.unwrap();
                assert_eq!(found.as_deref(), Some(&value(key, 0)[..]));
            }
            drop(snapshot);
            if reopened {
                db.close().await.unwrap();
                db = jdb::open(options).await.unwrap();
            }
            db.settle().await.unwrap();
            let stats = &db.stats().shards[0];
            assert!(stats.log_len < 100 * ROW_LEN * 16 / 10 + (16 << 10), "{merged} {reopened}: {stats:?}");
            for key in keys {
                let found = db.ns(1u64).get(key.to_be_bytes()).await.unwrap();
                assert_eq!(found.as_deref(), Some(&value(key, 1)[..]));
            }
            check_sound(&db).await;
            db.close().await.unwrap();
        });
    }
}

#[test]
fn who_asks_gets_back_also_the_little_that_a_snapshot_kept() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(options).await.unwrap();
        let ns = db.ns(1u64);
        for key in 0..100u64 {
            ns.put(key.to_be_bytes(), value(key, 0)).await.unwrap();
        }
        let snapshot = ns.snapshot();
        for key in 0..5u64 {
            ns.put(key.to_be_bytes(), value(key, 1)).await.unwrap();
        }
        db.compact().await.unwrap();
        let live_len = |db: &jdb::Db| db.stats().shards[0].live_len;
        let both = live_len(&db);
        drop(snapshot);
        db.settle().await.unwrap();
        assert_eq!(live_len(&db), both, "a twentieth is not worth a compaction");
        db.compact().await.unwrap();
        assert_eq!(live_len(&db), both / 105 * 100);
        check_sound(&db).await;
        db.close().await.unwrap();
    });
}
