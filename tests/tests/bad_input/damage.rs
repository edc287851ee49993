//! Files that are cut, zeroed, or another file in the place of ours.

use crate::support::{Fixture, assert_corrupt, assert_truncates, look, look_at, on_real, options, put_rows};
use jdb::{Durability, ErrorKind, Options};
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::fs;
use std::path::Path;

#[test]
fn cut_last_segment_without_proof_of_a_sync_is_a_torn_tail() {
    let fixture = Fixture::left_open();
    let file = fixture.files(".log").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut counts = Vec::new();
    on_real(async {
        for len in (0..whole.len()).rev().step_by(41) {
            let case = format!("{} of {} bytes", len, whole.len());
            fs::write(&file, &whole[..len]).unwrap();
            let options = Options { read_only: true, ..options(&fixture.path) };
            // The records that could prove anything are cut off too.
            counts.push(look(options, &case).await.unwrap().assert_prefix(&case));
        }
    });
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    assert!(counts.first() > counts.last(), "{counts:?}");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    on_real(async {
        let db = jdb::open(options(&fixture.path)).await.unwrap();
        let count = look_at(&db, "cut").await.assert_prefix("cut");
        put_rows(&db, count as u32..crate::support::ROWS).await;
        db.close().await.unwrap();
        look(options(&fixture.path), "written again").await.unwrap().assert_whole("written again");
    });
}

#[test]
fn cut_last_segment_of_a_closed_database_is_damage() {
    let fixture = Fixture::new();
    let file = fixture.files(".log").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    // The mark behind the last sync proves nothing and may be missing.
    for len in (0..whole.len() - 64).rev().step_by(41) {
        let case = format!("{} of {} bytes", len, whole.len());
        fs::write(&file, &whole[..len]).unwrap();
        let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
        assert_corrupt(&error, &file, &case);
    }
    let count = assert_truncates(&fixture.path, "cut to its beginning");
    assert!((70..crate::support::ROWS as usize).contains(&count), "{count}");
}

#[test]
fn emptied_log_of_a_closed_database_without_tables_is_damage_not_an_empty_database() {
    for len in [0, 1, 59, 64, 100] {
        let fixture = Fixture::of_one_segment();
        let file = fixture.files(".log").pop().unwrap();
        let whole = fs::read(&file).unwrap();
        assert!(whole.len() > len + 64, "the segment is short");
        fs::write(&file, &whole[..len]).unwrap();
        let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
        assert_corrupt(&error, &file, &format!("{len} bytes left"));
    }
}

#[test]
fn zeros_in_the_middle_of_a_synced_segment_are_damage_and_the_rows_before_can_be_had() {
    for from_last in [2, 1] {
        let fixture = Fixture::new();
        let files = fixture.files(".log");
        let file = &files[files.len() - from_last];
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle..middle + 100].fill(0);
        fs::write(file, bytes).unwrap();
        let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
        assert_corrupt(&error, file, "zeros");
        let offset = error.offset().unwrap() as usize;
        assert!((64..middle + 100).contains(&offset), "{offset}, zeros from {middle}");

        let count = assert_truncates(&fixture.path, "zeros");
        assert!((70..crate::support::ROWS as usize).contains(&count), "{count}");
    }
}

#[test]
fn cut_segment_that_the_checkpoint_names_is_damage() {
    let fixture = Fixture::new();
    let file = &fixture.files(".log")[0];
    let whole = fs::read(file).unwrap();
    for len in [0, 63, 64, 1000] {
        fs::write(file, &whole[..len]).unwrap();
        let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
        assert_corrupt(&error, file, &format!("cut to {len}"));
    }
}

#[test]
fn cut_or_longer_table_is_damage() {
    let fixture = Fixture::new();
    let file = &fixture.files(".sst")[1];
    let whole = fs::read(file).unwrap();
    for len in [0, 1, 127, whole.len() / 2, whole.len() - 1, whole.len() + 1, whole.len() + 128] {
        let mut bytes = whole.clone();
        bytes.resize(len, 0);
        fs::write(file, bytes).unwrap();
        let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
        assert_corrupt(&error, file, &format!("{len} of {} bytes", whole.len()));
    }
}

#[test]
fn segment_from_another_database_in_the_place_of_ours_is_damage() {
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    let (files, others) = (ours.files(".log"), theirs.files(".log"));
    let newest = files.len() - 1;
    for index in 0..files.len() {
        let whole = fs::read(&files[index]).unwrap();
        let other = fs::read(&others[index]).unwrap();
        let case = format!("segment {index} of {}", files.len());
        fs::write(&files[index], &other).unwrap();
        match on_real(look(options(&ours.path), &case)) {
            Err(error) => assert_corrupt(&error, &files[index], &case),
            // Nothing that is still there can say what was synced in the last one.
            Ok(seen) if index == newest => assert!(seen.assert_prefix(&case) >= 70),
            Ok(seen) => {
                let refused = seen.assert_refused_or_right(&files[index], &case);
                assert!(refused > 0, "{case}: read another database's values");
            }
        }
        fs::write(&files[index], whole).unwrap();
    }
    on_real(look(options(&ours.path), "put back")).unwrap().assert_whole("put back");
}

#[test]
fn any_file_from_another_shard_in_the_place_of_ours_is_never_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let two = Options { shards: 2, ..options(&path) };
    on_real(async {
        let db = jdb::open(two.clone()).await.unwrap();
        for part in 0..2 {
            write_both_shards(&db, part).await;
            if part == 0 {
                db.flush().await.unwrap();
            }
        }
        db.close().await.unwrap();
    });
    for suffix in ["MANIFEST", ".log", ".sst"] {
        let [ours, theirs] =
            ["shard-000", "shard-001"].map(|shard| crate::support::files(&path.join(shard), suffix));
        for file in &ours {
            let name = file.file_name().unwrap();
            let Some(other) = theirs.iter().find(|other| other.file_name() == Some(name)) else { continue };
            let whole = fs::read(file).unwrap();
            fs::copy(other, file).unwrap();
            let case = format!("{name:?} of the other shard");
            let seen = on_real(read_both_shards(&Options { read_only: true, ..two.clone() }, &case));
            let last = suffix == ".log" && Some(file) == ours.last();
            match seen {
                Err(error) => assert_corrupt(&error, file, &case),
                Ok(rows) => assert!(last && rows < ROWS_BOTH, "{case}: {rows} rows, no error"),
            }
            fs::write(file, whole).unwrap();
        }
    }
    assert_eq!(on_real(read_both_shards(&two, "put back")).unwrap(), ROWS_BOTH);
}

const ROWS_BOTH: u64 = 2 * 200;

async fn write_both_shards(db: &jdb::Db, part: u64) {
    for i in 0..200u64 {
        db.ns(i).put(format!("{part}"), value_both(i, part)).await.unwrap();
    }
}

fn value_both(i: u64, part: u64) -> Vec<u8> {
    vec![(i * 2 + part) as u8; 50]
}

async fn read_both_shards(options: &Options, case: &str) -> jdb::Result<u64> {
    let db = jdb::open(options.clone()).await?;
    let mut count = 0;
    for i in 0..200 {
        for part in 0..2 {
            if let Some(value) = db.ns(i).get(format!("{part}")).await? {
                assert_eq!(value[..], value_both(i, part), "{case}: {i}");
                count += 1;
            }
        }
    }
    db.close().await?;
    Ok(count)
}

#[test]
fn table_from_another_database_in_the_place_of_ours_is_damage() {
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    for (file, other) in ours.files(".sst").iter().zip(theirs.files(".sst")) {
        let whole = fs::read(file).unwrap();
        fs::copy(&other, file).unwrap();
        assert_eq!(fs::metadata(file).unwrap().len(), whole.len() as u64, "else its length tells");
        let seen = on_real(look(options(&ours.path), "other table")).unwrap();
        assert!(seen.assert_refused_or_right(file, "other table") >= 30);
        fs::write(file, whole).unwrap();
    }
}

#[test]
fn zeros_in_what_a_power_cut_left_synced_are_damage() {
    let sim = SimDisk::new(SimConfig { seed: 3, ..SimConfig::default() });
    let at = Path::new("/db");
    let disk = Disk::sim(&sim);
    let done = sim.executor().block_on(async move {
        let db = jdb::open(options(at).on_disk(disk)).await.unwrap();
        for i in 0..12u32 {
            let (key, value) = crate::support::row(i);
            db.ns(crate::support::NS).put(key, value).durability(Durability::Sync).await.unwrap();
        }
        std::mem::forget(db);
    });
    done.unwrap();
    let cut = sim.power_cut(1, SimConfig::default());
    let file = cut.paths().into_iter().find(|path| path.to_str().unwrap().ends_with(".log")).unwrap();
    let mut bytes = cut.read_raw(&file).unwrap();
    bytes[700..800].fill(0);
    cut.write_raw(&file, bytes);
    let disk = Disk::sim(&cut);
    let error =
        cut.executor().block_on(async move { jdb::open(options(at).on_disk(disk)).await.unwrap_err() });
    let error = error.unwrap();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*file)), "{error}");
    assert!(error.offset().is_some_and(|offset| (64..800).contains(&offset)), "{error}");
}
