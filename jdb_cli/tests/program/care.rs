//! `verify`, `salvage`, `backup`, `dump` and a held lock: a database that is damaged, copied, looked into.

use crate::support::{Place, files, said};
use std::io::Write;
use std::process::Stdio;

fn rows(count: u32) -> String {
    (0..count).map(|n| format!("key{n:05}\t{}\n", "value ".repeat(40))).collect()
}

fn filled(count: u32) -> Place {
    let place = Place::new();
    assert_eq!(place.run_with(&["import", "-", "--ns", "1"], rows(count).as_bytes()).code, Some(0));
    place
}

/// Flips a bit in the middle of a file.
fn damage(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_listed_with_code_2_and_the_rest_is_salvaged() {
    let place = filled(2000);
    place.ok(&["compact"]);
    assert!(place.ok(&["verify"]).ends_with("all is sound\n"));
    let segment =
        files(&place.path("db"), ".log").into_iter().max_by_key(|path| path.metadata().unwrap().len());
    damage(&segment.unwrap());

    let said = place.run(&["verify"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.out.contains("damaged: ") && said.out.contains(".log"), "{}", said.out);
    assert_eq!(said.err, "error: 2 places are damaged; `jdb salvage` saves what is sound\n");
    let said = place.run(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["damage_count"]), (Some(2), &serde_json::json!(2)));

    let said = place.run(&["salvage", "saved"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.out.contains("1 rows have lost their values"), "{}", said.out);
    assert_eq!(place.ok(&["scan", "--ns", "1", "--count", "--db", "saved"]), "1999\n");
    assert!(place.ok(&["verify", "--db", "saved"]).ends_with("all is sound\n"));
}

#[test]
fn a_database_that_does_not_open_is_code_2_and_says_what_to_do() {
    let place = filled(10);
    place.ok(&["backup", "copy"]);
    damage(&place.path("db/SUPERBLOCK"));
    for args in [&["stat"][..], &["verify"], &["put", "--ns", "1", "k", "v"]] {
        let said = place.fails(2, args);
        assert!(said.contains("SUPERBLOCK") && said.contains("out of a backup"), "{args:?}: {said}");
    }
    // What it says helps.
    std::fs::copy(place.path("copy/SUPERBLOCK"), place.path("db/SUPERBLOCK")).unwrap();
    assert!(place.ok(&["verify"]).ends_with("all is sound\n"));

    let manifest = files(&place.path("db"), ".log")[0].with_file_name("MANIFEST");
    damage(&manifest);
    assert!(place.fails(2, &["stat"]).contains("jdb salvage"));
    let said = place.run(&["salvage", "saved"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(place.ok(&["scan", "--ns", "1", "--count", "--db", "saved"]), "10\n");
}

#[test]
fn a_backup_is_a_database_of_its_own() {
    let place = filled(500);
    place.ok(&["backup", "copy"]);
    place.ok(&["delete", "--ns", "1", "key00000"]);
    assert_eq!(place.ok(&["scan", "--ns", "1", "--count"]), "499\n");
    assert_eq!(place.ok(&["scan", "--ns", "1", "--count", "--db", "copy"]), "500\n");
    place.ok(&["put", "--ns", "1", "more", "x", "--db", "copy"]);
    assert!(place.ok(&["verify"]).ends_with("all is sound\n"));
    assert!(place.ok(&["verify", "--db", "copy"]).ends_with("all is sound\n"));
}

#[test]
fn every_sort_of_file_is_dumped() {
    let place = filled(300);
    place.ok(&["compact"]);
    let db = place.path("db");
    let dump = |kind: &str, path: &std::path::Path| place.ok(&["dump", kind, path.to_str().unwrap()]);
    assert!(dump("superblock", &db.join("SUPERBLOCK")).contains("8 shards"));
    let table = dump("sst", &files(&db, ".sst")[0]);
    assert!(table.contains("entry 0") && table.contains("count 300"), "{table}");
    let segment = dump("segment", &files(&db, ".log")[0]);
    assert!(segment.contains("magic \"jdbv\"") && segment.contains("record at"), "{segment}");
    let manifest = dump("manifest", files(&db, ".sst")[0].with_file_name("MANIFEST").as_path());
    assert!(manifest.contains("magic \"jdbm\"") && manifest.contains("table"), "{manifest}");

    let (segment, other) = (files(&db, ".log")[0].clone(), place.path("00000001.log"));
    std::fs::copy(&segment, &other).unwrap();
    assert!(
        place.fails(1, &["dump", "segment", other.to_str().unwrap()]).contains("must lie in its shard's")
    );
    let table = files(&db, ".sst")[0].clone();
    damage(&table);
    assert!(place.fails(2, &["dump", "sst", table.to_str().unwrap()]).contains(".sst"));
    assert!(place.fails(1, &["dump", "sst", "missing"]).contains("missing"));
    place.write("short", "x");
    assert!(place.fails(2, &["dump", "sst", "short"]).contains("file length"));
}

#[test]
fn a_database_in_use_says_so() {
    let place = filled(1);
    let log_len =
        || files(&place.path("db"), ".log").iter().map(|log| log.metadata().unwrap().len()).sum::<u64>();
    let before = log_len();
    let mut command = place.command(&["import", "-", "--ns", "1", "--batch", "1"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = holder.stdin.take().unwrap();
    stdin.write_all(b"key\tvalue\n").unwrap();
    // It has the database open when the row is there, and waits for more.
    while log_len() == before {
        std::thread::yield_now();
    }
    for args in [&["put", "--ns", "1", "k", "v"][..], &["stat"], &["import", "/dev/null", "--ns", "1"]] {
        let said = place.fails(1, args);
        assert!(
            said.contains("another process has this database open; close it there first"),
            "{args:?}: {said}"
        );
    }
    drop(stdin);
    assert_eq!(said(&holder.wait_with_output().unwrap()).out, "1 rows, 8 bytes of keys and values\n");
}
