//! What a collection does when it is wrong about what is live.

use super::{on_sim, patient, put, rows};
use jdb::{Db, ErrorKind};
use jdb_io::plant::{Plant, plant};

/// A collection is refused and names a segment; every row is there: those that are 3 modulo 4 as they were, the others written again.
async fn is_refused(db: &Db) {
    let error = db.collect().await.unwrap_err();
    plant(&[]);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("live bytes of a segment"), "{error}");
    assert_eq!(rows(db).await, (0..100).map(|key| (key, u64::from(key % 4 != 3))).collect());
}

async fn write_again(db: &Db) {
    put(db, (0..100u64).filter(|key| key % 4 != 3), 1).await;
}

#[test]
fn records_that_are_taken_for_dead_keep_their_files() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(patient(options)).await.unwrap();
        put(&db, 0..100, 0).await;
        plant(&[Plant::ForgetPointed]);
        db.flush().await.unwrap();
        plant(&[]);
        let report = db.verify(|_| ()).await.unwrap();
        let said: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
        assert!(said.iter().all(|said| said.contains("known to be")) && !said.is_empty(), "{said:?}");
        write_again(&db).await;
        is_refused(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn records_that_are_taken_for_live_keep_their_files() {
    on_sim(0, |_, options| async move {
        let db = jdb::open(patient(options)).await.unwrap();
        put(&db, 0..100, 0).await;
        db.flush().await.unwrap();
        write_again(&db).await;
        plant(&[Plant::KeepLeftOut]);
        is_refused(&db).await;
        db.close().await.unwrap();
    });
}

#[test]
fn of_many_records_that_are_taken_for_dead_one_is_looked_up() {
    on_sim(0, |_, options| async move {
        let mut options = patient(options);
        options.tuning.segment_len = Some(1 << 20);
        let db = jdb::open(options).await.unwrap();
        put(&db, 0..100, 0).await;
        plant(&[Plant::ForgetPointed]);
        db.flush().await.unwrap();
        plant(&[]);
        // The 64th of the segment is live.
        for key in (0..100u64).filter(|key| key % 4 != 3) {
            db.ns(key % 3).delete(key.to_be_bytes()).await.unwrap();
        }
        let error = db.collect().await.unwrap_err().to_string();
        assert!(error.contains("live bytes of a segment") && !error.contains("found 0x0"), "{error}");
        db.close().await.unwrap();
    });
}
