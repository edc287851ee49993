//! The directory: not ours, taken by another, not writable, on a full disk.

use crate::child;
use crate::support::{Fixture, Mount, assert_error, assert_refused, assert_works_on, look, on_real, options};
use jdb::{ErrorKind, Options};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use tests::ext4::Ext4;

#[test]
fn directory_of_somebody_else_is_not_touched() {
    for (name, kind) in [
        ("notes.txt", "file"),
        ("shard-000", "file"),
        ("SUPERBLOCK.tmp", "link"),
        ("photos", "dir"),
        ("LOCK", "dir"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let stray = dir.path().join(name);
        match kind {
            "file" => fs::write(&stray, "mine").unwrap(),
            "link" => std::os::unix::fs::symlink("/etc/passwd", &stray).unwrap(),
            _ => fs::create_dir(&stray).unwrap(),
        }
        assert_refused(options(dir.path()), ErrorKind::NotADatabase, Some(dir.path()), name);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [name], "{name}: something was made");
        if kind == "file" {
            assert_eq!(fs::read(&stray).unwrap(), b"mine");
        }
    }
}

#[test]
fn superblock_of_somebody_else_is_not_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let superblock = dir.path().join("SUPERBLOCK");
    for content in ["", "x", "a file with the same name but nothing of ours in it"] {
        fs::write(&superblock, content).unwrap();
        assert_refused(options(dir.path()), ErrorKind::NotADatabase, Some(&superblock), content);
        assert_eq!(fs::read(&superblock).unwrap(), content.as_bytes());
    }
}

#[test]
fn path_that_is_a_file_or_leads_through_one_is_an_error_and_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("db")] {
        let error = on_real(jdb::open(options(&path))).unwrap_err();
        assert_error(&error, ErrorKind::Io, Some(&path), "file in the way");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}

#[test]
fn database_that_is_open_is_locked_for_everyone_else() {
    let fixture = Fixture::new();
    let lock = fixture.path.join("LOCK");
    on_real(async {
        let db = jdb::open(options(&fixture.path)).await.unwrap();
        for read_only in [false, true] {
            let again = jdb::open(Options { read_only, ..options(&fixture.path) }).await;
            assert_error(&again.unwrap_err(), ErrorKind::Locked, Some(&lock), "same process");
        }
        let said = child::run(&mut child::command("open", &fixture.path));
        assert_eq!(said, format!("Locked {}", lock.display()), "another process");
        db.ns(1u64).put("still", "works").await.unwrap();
        db.close().await.unwrap();
    });
    let mut child = child::command("hold", &fixture.path).spawn().unwrap();
    assert_eq!(child::answer(&mut child), "held");
    let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
    assert_error(&error, ErrorKind::Locked, Some(&lock), "held by another process");
    assert!(error.is_retryable());
    child::end(child);
    assert_works_on(&fixture.path, "the other process is over");
}

#[test]
fn read_only_directory_can_be_read_and_nothing_else() {
    let fixture = Fixture::new();
    let _mount = match Mount::read_only(fixture.dir.path()) {
        Ok(mount) => mount,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.path().unwrap().starts_with(&fixture.path), "{error}");
    assert!(error.to_string().contains("Read-only file system"), "{error}");

    let error = on_real(jdb::open(options(&fixture.dir.path().join("new")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.path().unwrap().starts_with(fixture.dir.path()), "{error}");

    on_real(async {
        let read_only = Options { read_only: true, ..options(&fixture.path) };
        look(read_only, "read only").await.unwrap().assert_whole("read only");
    });
}

#[test]
fn full_disk_refuses_puts_not_deletes_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    match Mount::new(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], dir.path()) {
        Ok(_mount) => fill_and_go_on(dir.path()),
        Err(reason) => println!("skipped: {reason}"),
    }
    match Ext4::with_len(16 << 20, &["-m", "0"]) {
        Ok(ext4) => fill_and_go_on(ext4.mount_point()),
        Err(reason) => println!("skipped: {reason}"),
    }
}

fn fill_and_go_on(dir: &Path) {
    let path = dir.join("db");
    let value = |i: u32| vec![i as u8; 3000 + i as usize % 100];
    let mut there = 0u32;
    on_real(async {
        let db = jdb::open(options(&path)).await.unwrap();
        // The reserve is made behind a flush, and is there when the next one is over.
        for _ in 0..2 {
            db.ns(1u64).put("goes", "away").await.unwrap();
            db.flush().await.unwrap();
        }
        assert!(path.join("RESERVE").exists());
        fill(&dir.join("filler"), 300 << 10);
        let error = loop {
            match db.ns(1u64).put(there.to_be_bytes(), value(there)).await {
                Ok(_) => there += 1,
                Err(error) => break error,
            }
        };
        assert!(there > 0);
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert!(error.path().unwrap().starts_with(&path), "{error}");
        assert!(error.is_retryable());
        db.ns(1u64).delete("goes").await.unwrap();
        fill(&dir.join("filler2"), 0);
        for i in 0..there {
            let got = db.ns(1u64).get(i.to_be_bytes()).await.unwrap();
            assert_eq!(got.as_deref(), Some(&value(i)[..]), "row {i} on the full disk");
        }
        let refused = db.ns(1u64).put("refused", vec![1; 8000]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{refused}");
        db.sync().await.unwrap();
        db.close().await.unwrap();
        fill(&dir.join("filler3"), 0);

        let db = jdb::open(options(&path)).await.expect("no room is needed to open");
        assert_eq!(rows(&db).await, there);
        let refused = db.ns(1u64).put("refused", vec![1; 8000]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{refused}");
        for filler in ["filler", "filler2", "filler3"] {
            fs::remove_file(dir.join(filler)).unwrap();
        }
        db.ns(1u64).put("room", "again").await.unwrap();
        db.flush().await.unwrap();
        db.close().await.unwrap();

        let db = jdb::open(options(&path)).await.unwrap();
        assert_eq!(rows(&db).await, there + 1);
        assert_eq!(db.ns(1u64).get("refused").await.unwrap(), None);
        db.close().await.unwrap();
    });
}

/// Takes all the room there is but `left` bytes.
fn fill(path: &Path, left: u64) {
    let mut file = fs::File::create(path).unwrap();
    for len in [64 << 10, 4096, 512, 1] {
        while file.write(&vec![0xaa; len]).is_ok_and(|written| written > 0) {}
    }
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(left)).unwrap();
}

async fn rows(db: &jdb::Db) -> u32 {
    let mut scan = db.ns(1u64).iter();
    let mut count = 0;
    while let Some(item) = scan.next().await.unwrap() {
        item.value().await.unwrap();
        count += 1;
    }
    count
}
