//! Names: opening, locking, listing, renaming, removing, linking.

use super::*;

#[test]
fn a_mode_does_what_it_says() {
    use Mode::{CreateNew, Read, ReadWrite, Truncate};
    on_each_driver(async |disk, dir| {
        // Exists before, mode, error or length after.
        for (exists, mode, want) in [
            (false, Read, Err(ErrorKind::NotFound)),
            (false, ReadWrite, Err(ErrorKind::NotFound)),
            (false, CreateNew, Ok(0)),
            (false, Truncate, Ok(0)),
            (true, Read, Ok(5)),
            (true, ReadWrite, Ok(5)),
            (true, CreateNew, Err(ErrorKind::AlreadyExists)),
            (true, Truncate, Ok(0)),
        ] {
            let path = dir.join(format!("{exists}-{mode:?}"));
            if exists {
                file_with(disk, &path, b"hello").await;
            }
            let opened = disk.open(&path, mode).await;
            let got = match &opened {
                Ok(file) => Ok(file.len().await.unwrap()),
                Err(error) => Err(error.io_kind().unwrap()),
            };
            assert_eq!(got, want, "exists {exists} mode {mode:?}");
            match opened {
                Ok(file) => {
                    assert_eq!(file.path(), path);
                    let written = file.write_at(0, b"x".to_vec()).await.0;
                    assert_eq!(written.is_ok(), mode != Read, "exists {exists} mode {mode:?}");
                }
                Err(error) => {
                    assert_eq!(error.path(), path);
                    assert!(error.to_string().starts_with("open "), "{error}");
                }
            }
        }
    });
}

#[test]
fn only_regular_files_are_opened() {
    on_each_driver(async |disk, dir| {
        file_with(disk, &dir.join("target"), b"precious").await;
        std::os::unix::fs::symlink(dir.join("target"), dir.join("link")).unwrap();
        std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("dangling")).unwrap();
        std::fs::create_dir(dir.join("dir")).unwrap();
        assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap().success());
        for name in ["link", "dangling", "dir", "fifo"] {
            for mode in [Mode::Read, Mode::ReadWrite, Mode::CreateNew, Mode::Truncate] {
                let opened = disk.open(&dir.join(name), mode).await;
                assert!(opened.is_err(), "{name} {mode:?}");
            }
            assert!(matches!(disk.lock(&dir.join(name)).await, Err(Error::Io { .. })), "lock {name}");
        }
        assert_eq!(std::fs::read(dir.join("target")).unwrap(), b"precious");
        assert!(!dir.join("nowhere").exists());
    });
}

#[test]
fn a_lock_is_held_once_and_released_by_dropping_it() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("LOCK");
        for round in 0..3 {
            let lock = disk.lock(&path).await.unwrap();
            for other in [disk.clone(), Disk::real()] {
                match other.lock(&path).await {
                    Err(Error::Locked { path: named }) => assert_eq!(named, path),
                    got => panic!("round {round}: {got:?}"),
                }
            }
            drop(lock);
        }
        let error = disk.lock(&dir.join("missing/LOCK")).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn a_listing_is_sorted_and_names_kinds() {
    on_each_driver(async |disk, dir| {
        disk.create_dir_all(&dir.join("sub/of/many")).await.unwrap();
        disk.create_dir_all(&dir.join("sub/of/many")).await.unwrap();
        for (name, len) in [("b", 3), ("a10", 0), ("a9", 5000), ("ü", 1)] {
            file_with(disk, &dir.join(name), &bytes(len, 0)).await;
        }
        std::os::unix::fs::symlink(dir.join("b"), dir.join("link")).unwrap();
        let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"not-utf8-\xff");
        std::fs::File::create(dir.join(odd)).unwrap();
        let entries = disk.list(dir).await.unwrap();
        let got: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind, e.len)).collect();
        let (file, sub, other) = (EntryKind::File, EntryKind::Dir, EntryKind::Other);
        assert_eq!(
            got,
            [
                ("a10", file, 0),
                ("a9", file, 5000),
                ("b", file, 3),
                ("link", other, 0),
                ("sub", sub, 0),
                ("ü", file, 1),
            ]
        );
        let error = disk.list(&dir.join("none")).await.unwrap_err();
        assert!(error.is_not_found() && error.path().ends_with("none"), "{error}");
    });
}

#[test]
fn names_are_renamed_over_and_removed() {
    on_each_driver(async |disk, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        let old = file_with(disk, &b, b"old").await;
        file_with(disk, &a, b"new").await;
        disk.rename(&a, &b).await.unwrap();
        disk.sync_dir(dir).await.unwrap();
        assert_eq!(disk.open(&b, Mode::Read).await.unwrap().read_at(0, 9).await.unwrap(), "new");
        assert_eq!(old.read_at(0, 9).await.unwrap(), "old", "a file that is open outlives its name");
        disk.remove(&b).await.unwrap();
        assert!(disk.list(dir).await.unwrap().is_empty());
        assert_eq!(old.read_at(0, 9).await.unwrap(), "old");
        for (op, error) in [
            ("remove ", disk.remove(&b).await.unwrap_err()),
            ("rename ", disk.rename(&b, &a).await.unwrap_err()),
            ("sync_dir ", disk.sync_dir(&b).await.unwrap_err()),
        ] {
            assert!(error.is_not_found() && error.path() == b, "{op}: {error:?}");
            assert!(error.to_string().starts_with(op), "{error}");
        }
    });
}

#[test]
fn the_last_close_of_a_removed_file_is_left_to_another_thread() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        let before = DROPPED_ELSEWHERE.get();
        file_with(disk, &path, b"keeps its name").await;
        let file = file_with(disk, &path, &bytes(1 << 20, 0)).await;
        let clone = file.clone();
        disk.remove(&path).await.unwrap();
        drop(file);
        assert!(clone.read_at(0, 10).await.is_ok(), "open as long as a clone is there");
        assert_eq!(DROPPED_ELSEWHERE.get() - before, 0);
        drop(clone);
        assert_eq!(DROPPED_ELSEWHERE.get() - before, 1);
        while descriptors_named("f (deleted)", dir) > 0 {
            disk.sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn link_is_a_second_name_of_the_same_file() {
    on_each_driver(async |disk, dir| {
        let (from, to) = (dir.join("f"), dir.join("g"));
        file_with(disk, &from, b"one").await;
        assert!(disk.hard_link(&from, &to).await.unwrap());
        disk.open(&from, Mode::ReadWrite).await.unwrap().write_at(0, b"two".to_vec()).await.0.unwrap();
        assert_eq!(disk.open(&to, Mode::Read).await.unwrap().read_at(0, 9).await.unwrap(), "two");
        let error = disk.hard_link(&from, &to).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AlreadyExists), "{error}");
        assert!(disk.hard_link(&dir.join("none"), &to).await.unwrap_err().is_not_found());
    });
}
