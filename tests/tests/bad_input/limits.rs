//! Arguments and options that make no sense, and calls after the end.

use crate::support::{assert_error, assert_refused, on_real, options};
use bytes::Bytes;
use jdb::{Db, ErrorKind, Options, Tuning};
use std::path::Path;

const KEY_LEN_MAX: usize = 65_500;
const VALUE_LEN_MAX: usize = 1 << 30;
const BATCH_COUNT_MAX: usize = 1 << 20;

fn with_db<F: Future<Output = ()>>(work: impl FnOnce(Db) -> F) {
    let dir = tempfile::tempdir().unwrap();
    on_real(async {
        let db = jdb::open(options(&dir.path().join("db"))).await.unwrap();
        db.ns(1u64).put("there", "before").await.unwrap();
        work(db.clone()).await;
        assert_eq!(db.ns(1u64).get("there").await.unwrap().as_deref(), Some(&b"before"[..]));
        db.ns(1u64).put("there", "after").await.unwrap();
        db.close().await.unwrap();
    });
}

#[test]
fn key_over_65500_bytes_is_too_large_and_one_of_65500_is_not() {
    with_db(|db| async move {
        let ns = db.ns(1u64);
        let key = vec![b'k'; KEY_LEN_MAX + 1];
        let mut batch = ns.batch();
        batch.put("small", "1").put(&key, "2");
        for (case, result) in [
            ("put", ns.put(&key, "value").await),
            ("delete", ns.delete(&key).await),
            ("batch", batch.commit().await),
        ] {
            assert_error(&result.unwrap_err(), ErrorKind::TooLarge, None, case);
        }
        assert_eq!(ns.get(&key).await.unwrap(), None);
        assert_eq!(ns.get("small").await.unwrap(), None, "half a batch");
        let mut scan = ns.range(key.clone()..);
        assert!(scan.next().await.unwrap().is_some(), "\"there\" comes behind");
        scan.seek(vec![0xff; KEY_LEN_MAX + 1]).await.unwrap();
        assert!(scan.next().await.unwrap().is_none());

        let key = &key[..KEY_LEN_MAX];
        ns.put(key, "longest").await.unwrap();
        db.flush().await.unwrap();
        assert_eq!(ns.get(key).await.unwrap().as_deref(), Some(&b"longest"[..]));
    });
}

#[test]
fn value_over_1_gib_and_batch_over_2_gib_are_too_large() {
    // Zeros that nobody touches take no memory.
    let value = Bytes::from(vec![0u8; VALUE_LEN_MAX + 1]);
    with_db(|db| async move {
        let ns = db.ns(1u64);
        let result = ns.put_bytes("key", value.clone()).await;
        assert_error(&result.unwrap_err(), ErrorKind::TooLarge, None, "value");

        let longest = value.slice(..VALUE_LEN_MAX);
        let mut batch = ns.batch();
        batch.put("small", "1").put_bytes("a", longest.clone()).put_bytes("b", longest);
        let result = batch.commit().await;
        assert_error(&result.unwrap_err(), ErrorKind::TooLarge, None, "batch bytes");
        assert_eq!(ns.get("small").await.unwrap(), None, "half a batch");
    });
}

#[test]
fn batch_over_a_mebi_of_operations_is_too_large() {
    with_db(|db| async move {
        let mut batch = db.ns(1u64).batch();
        for _ in 0..=BATCH_COUNT_MAX {
            batch.delete("");
        }
        assert_eq!(batch.len(), BATCH_COUNT_MAX + 1);
        let result = batch.commit().await;
        assert_error(&result.unwrap_err(), ErrorKind::TooLarge, None, "batch operations");
    });
}

#[test]
fn empty_batch_and_empty_range_are_nothing() {
    with_db(|db| async move {
        let ns = db.ns(1u64);
        ns.batch().commit().await.unwrap();
        assert!(ns.range("z".."a").next().await.unwrap().is_none());
        assert!(ns.range("z".."a").rev().next().await.unwrap().is_none());
    });
}

#[test]
fn options_that_make_no_sense_are_refused_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let segment_len = |len| Tuning { segment_len: Some(len), ..Tuning::default() };
    for (case, options) in [
        ("empty path", Options::at("")),
        ("0 shards", Options { shards: 0, ..options(&path) }),
        ("3 shards", Options { shards: 3, ..options(&path) }),
        ("512 shards", Options { shards: 512, ..options(&path) }),
        ("segments of 255 bytes", Options { tuning: segment_len(255), ..options(&path) }),
    ] {
        assert_refused(options, ErrorKind::InvalidArgument, None, case);
        assert!(!path.exists(), "{case}: made something");
    }
}

#[test]
fn missing_database_is_not_made_when_it_shall_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    for (case, options) in [
        ("create: false", Options { create: false, ..options(&path) }),
        ("read only", Options { read_only: true, ..options(&path) }),
    ] {
        assert_refused(options, ErrorKind::NotADatabase, Some(&path), case);
        assert!(!path.exists(), "{case}: made something");
    }
    assert!(Path::new(&path).parent().unwrap().read_dir().unwrap().next().is_none());
}

#[test]
fn closed_database_refuses_writes_and_a_read_only_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    on_real(async {
        let db = jdb::open(options(&path)).await.unwrap();
        db.ns(1u64).put("key", "value").await.unwrap();
        db.clone().close().await.unwrap();
        assert_writes_fail(&db, ErrorKind::Closed).await;
        db.clone().close().await.unwrap();

        let db = jdb::open(Options { read_only: true, ..options(&path) }).await.unwrap();
        assert_writes_fail(&db, ErrorKind::ReadOnly).await;
        assert_eq!(db.ns(1u64).get("key").await.unwrap().as_deref(), Some(&b"value"[..]));
        db.close().await.unwrap();
    });
}

async fn assert_writes_fail(db: &Db, kind: ErrorKind) {
    let ns = db.ns(1u64);
    let mut batch = ns.batch();
    batch.put("key", "other");
    for (case, result) in [
        ("put", ns.put("key", "other").await),
        ("delete", ns.delete("key").await),
        ("batch", batch.commit().await),
        ("empty batch", ns.batch().commit().await),
        ("drop", db.drop_ns(1u64).await),
    ] {
        assert_error(&result.unwrap_err(), kind, None, case);
    }
    assert_error(&db.flush().await.unwrap_err(), kind, None, "flush");
}
