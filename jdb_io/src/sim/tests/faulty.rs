//! Injected errors, full disks, short I/O, and the errors of names.

use super::*;
use std::io::ErrorKind;

fn once(at: At, kind: FaultKind) -> Fault {
    Fault { at, kind, repeat: Repeat::Once }
}

#[test]
fn each_operation_fails_where_the_fault_says() {
    for kind in OpKind::ALL.iter().copied() {
        for repeat in [Repeat::Once, Repeat::Forever] {
            let sim = SimDisk::new(config(1));
            on(&sim, |disk| async move { durable(&disk, "/old", b"x").await });
            let fault = match kind {
                // An `Eio` may go on by itself here.
                OpKind::Sync | OpKind::SyncDir => FaultKind::FailedSync(SyncFailure::DroppedClean),
                _ => FaultKind::Eio,
            };
            sim.inject(Fault { at: At::NthOf(kind, 0), kind: fault, repeat });
            let failures = on(&sim, |disk| async move {
                let mut failures = 0;
                for round in 0..2 {
                    let (new, old) = (format!("/new{round}"), Path::new("/old"));
                    let dir = format!("/dir{round}");
                    let made = disk.open(Path::new(&new), Mode::CreateNew).await;
                    failures += u64::from(made.is_err());
                    let file = disk.open(old, Mode::ReadWrite).await;
                    failures += u64::from(file.is_err());
                    if let Ok(file) = file {
                        failures += u64::from(file.write_at(0, vec![1; 9]).await.0.is_err());
                        failures += u64::from(file.read_at(0, 3).await.is_err());
                        failures += u64::from(file.sync().await.is_err());
                        failures += u64::from(file.len().await.is_err());
                        failures += u64::from(file.set_len(3).await.is_err());
                    }
                    failures += u64::from(disk.create_dir_all(Path::new(&dir)).await.is_err());
                    failures += u64::from(disk.list(Path::new("/")).await.is_err());
                    failures += u64::from(disk.sync_dir(Path::new("/")).await.is_err());
                    failures += u64::from(disk.lock(Path::new("/old")).await.is_err());
                    if made.is_ok() {
                        let gone = disk.rename(Path::new(&new), Path::new("/moved")).await;
                        failures += u64::from(gone.is_err());
                        let name = if gone.is_ok() { "/moved" } else { &new };
                        failures += u64::from(disk.remove(Path::new(name)).await.is_err());
                    }
                }
                failures
            });
            assert!(sim.faults_hit() >= 1, "{kind:?} {repeat:?}");
            assert_eq!(failures > 1, repeat == Repeat::Forever, "{kind:?} {repeat:?}: {failures} failures");
            assert_eq!(failures, sim.faults_hit(), "{kind:?} {repeat:?}");
        }
    }
}

#[test]
fn the_nth_operation_fails_counted_from_the_injection() {
    let cases = [
        (At::Nth(0), [false, true, true, true]),
        (At::Nth(2), [true, true, false, true]),
        (At::NthOf(OpKind::Write, 1), [true, true, false, true]),
        (At::NthOn("a", 3), [true, true, true, false]),
        (At::NthOn("b", 0), [true; 4]),
    ];
    for (at, want) in cases {
        let sim = SimDisk::new(config(1));
        let file = on(&sim, |disk| async move { create(&disk, "/a").await });
        sim.inject(once(at, FaultKind::Eio));
        let got = on(&sim, |_| async move {
            let write = || file.write_at(0, vec![1]);
            [
                write().await.0.is_ok(),
                file.len().await.is_ok(),
                write().await.0.is_ok(),
                file.sync().await.is_ok(),
            ]
        });
        assert_eq!(got, want, "{at:?}");
    }
}

#[test]
fn short_writes_and_reads_go_on_and_count_as_operations() {
    let sim = SimDisk::new(config(2));
    sim.inject(Fault {
        at: At::NthOf(OpKind::Write, 0),
        kind: FaultKind::ShortWrite,
        repeat: Repeat::Forever,
    });
    sim.inject(Fault { at: At::NthOf(OpKind::Read, 0), kind: FaultKind::ShortRead, repeat: Repeat::Forever });
    let data: Vec<u8> = (0..=255).collect();
    let want = data.clone();
    on(&sim, |disk| async move {
        let file = create(&disk, "/a").await;
        let (result, back) = file.write_at(3, data.clone()).await;
        result.unwrap();
        assert_eq!(back, data, "the buffer comes back whole");
        assert_eq!(&file.read_at(3, 256).await.unwrap()[..], data);
        assert_eq!(file.read_at(200, 500).await.unwrap().len(), 59, "fewer only where the file ends");
        let counters = disk.counters();
        assert!(counters.writes > 2 && counters.reads > 4, "{counters:?}");
        assert_eq!(counters.write_len, 256);
    });
    assert_eq!(read(&sim, "/a").unwrap()[3..], want);
}

#[test]
fn a_crash_falls_between_the_parts_of_a_short_write() {
    let sim = SimDisk::new(config(3));
    on(&sim, |disk| async move { durable(&disk, "/a", b"").await });
    sim.inject(once(At::Nth(1), FaultKind::ShortWrite));
    let disk = Disk::sim(&sim);
    sim.executor().spawn(async move {
        let file = disk.open(Path::new("/a"), Mode::ReadWrite).await.unwrap();
        write(&file, 0, &[1; 100]).await;
    });
    let mut lens = std::collections::BTreeSet::new();
    while sim.executor().step() == Step::Progress {
        lens.insert(read(&sim, "/a").unwrap().len());
    }
    assert!(lens.len() == 3 && lens.contains(&0) && lens.contains(&100), "{lens:?}");
}

#[test]
fn a_full_disk_takes_what_fits_and_then_says_so() {
    let sim = SimDisk::new(SimConfig { capacity: Some(100), ..config(4) });
    on(&sim, |disk| async move {
        let file = durable(&disk, "/a", &[1; 60]).await;
        let other = create(&disk, "/b").await;
        let error = other.write_at(0, vec![2; 50]).await.0.unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        assert_eq!(other.len().await.unwrap(), 40);
        assert!(other.set_len(41).await.unwrap_err().is_no_space());
        write(&file, 0, &[3; 60]).await;
        disk.remove(Path::new("/b")).await.unwrap();
        assert!(file.write_at(60, vec![1; 10]).await.0.is_err(), "an open file keeps its room");
        drop(other);
        write(&file, 60, &[1; 40]).await;
    });
    assert_eq!(sim.used(), 100);
    let after = sim.power_cut(1, SimConfig { capacity: Some(100), ..config(4) });
    assert_eq!(
        after.used(),
        read(&after, "/a").map_or(0, |b| b.len() as u64) + read(&after, "/b").map_or(0, |b| b.len() as u64)
    );
}

#[test]
fn injected_no_space_leaves_removing_and_reading_alone() {
    let sim = SimDisk::new(config(5));
    on(&sim, |disk| async move { durable(&disk, "/a", b"x").await });
    sim.inject(Fault { at: At::Nth(0), kind: FaultKind::Enospc, repeat: Repeat::Forever });
    on(&sim, |disk| async move {
        assert!(disk.open(Path::new("/b"), Mode::CreateNew).await.unwrap_err().is_no_space());
        let file = disk.open(Path::new("/a"), Mode::ReadWrite).await.unwrap();
        assert!(file.write_at(0, vec![1; 8]).await.0.unwrap_err().is_no_space());
        file.sync().await.unwrap();
        disk.remove(Path::new("/a")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
}

/// What reads back after a failed sync, after a second sync that was asked for, and after a power cut then.
fn after_failed_sync(mode: SyncFailure, seed: u64) -> (Vec<u8>, bool, Vec<u8>) {
    let sim = SimDisk::new(config(seed));
    on(&sim, |disk| async move { durable(&disk, "/a", b"old").await });
    sim.inject(once(At::NthOf(OpKind::Sync, 0), FaultKind::FailedSync(mode)));
    let (now, second) = on(&sim, |disk| async move {
        let file = disk.open(Path::new("/a"), Mode::ReadWrite).await.unwrap();
        write(&file, 0, b"new").await;
        file.sync().await.unwrap_err();
        let now = file.read_at(0, 3).await.unwrap().to_vec();
        (now, file.sync().await.is_ok())
    });
    (now, second, read(&sim.power_cut(seed, config(seed)), "/a").unwrap())
}

#[test]
fn a_failed_sync_leaves_one_of_three_states() {
    let mut lost = 0;
    for seed in 0..200 {
        let (now, second, after) = after_failed_sync(SyncFailure::DroppedClean, seed);
        assert_eq!((&now[..], second), (&b"new"[..], true), "seed {seed}: it looks well");
        lost += u64::from(after == b"old");
        let (now, second, after) = after_failed_sync(SyncFailure::Reverted, seed);
        assert!(second && now == after, "seed {seed}: undone at once");
        let (now, second, _) = after_failed_sync(SyncFailure::Sticky, seed);
        assert_eq!((&now[..], second), (&b"new"[..], false), "seed {seed}: no later sync succeeds");
    }
    assert!(lost > 100, "a second sync that succeeded lost {lost} of 200");
}

#[test]
fn a_kill_may_forget_pages_marked_clean_and_mends_a_sticky_failure() {
    let (mut forgot, mut kept) = (0, 0);
    for seed in 0..100 {
        for mode in [SyncFailure::DroppedClean, SyncFailure::Sticky] {
            let sim = SimDisk::new(config(seed));
            on(&sim, |disk| async move { durable(&disk, "/a", b"old").await });
            sim.inject(once(At::NthOf(OpKind::Sync, 0), FaultKind::FailedSync(mode)));
            on(&sim, |disk| async move {
                let file = disk.open(Path::new("/a"), Mode::ReadWrite).await.unwrap();
                write(&file, 0, b"new").await;
                file.sync().await.unwrap_err();
            });
            let next = sim.kill(seed, config(seed));
            let found = read(&next, "/a").unwrap();
            if mode == SyncFailure::Sticky {
                assert_eq!(found, b"new");
                let sync = |disk: Disk| async move {
                    disk.open(Path::new("/a"), Mode::Read).await.unwrap().sync().await
                };
                on(&next, sync).unwrap();
            } else if found == b"old" {
                forgot += 1;
            } else {
                kept += 1;
            }
        }
    }
    assert!(forgot > 10 && kept > 10, "{forgot} {kept}");
}

#[test]
fn a_failed_directory_sync_may_lose_names_that_a_later_one_confirms() {
    let sim = SimDisk::new(config(6));
    sim.inject(once(At::NthOf(OpKind::SyncDir, 0), FaultKind::FailedSync(SyncFailure::DroppedClean)));
    on(&sim, |disk| async move {
        create(&disk, "/a").await;
        disk.sync_dir(Path::new("/")).await.unwrap_err();
        disk.sync_dir(Path::new("/")).await.unwrap();
        assert_eq!(disk.list(Path::new("/")).await.unwrap().len(), 1);
    });
    assert!(cuts(&sim, 20).all(|(_, d)| d.paths().is_empty()));
}

#[test]
fn names_are_refused_as_a_file_system_does() {
    let sim = SimDisk::new(config(7));
    assert!(sim.symlink_raw(Path::new("/d/link")) && sim.write_raw(Path::new("/d/file"), b"x".to_vec()));
    let kinds = on(&sim, |disk| async move {
        let open =
            async |path: &str, mode| disk.open(Path::new(path), mode).await.err().and_then(|e| e.io_kind());
        [
            (open("/no", Mode::Read).await, ErrorKind::NotFound),
            (open("/no/a", Mode::CreateNew).await, ErrorKind::NotFound),
            (open("/d/file", Mode::CreateNew).await, ErrorKind::AlreadyExists),
            (open("/d/file/x", Mode::Read).await, ErrorKind::NotADirectory),
            (open("/d", Mode::Read).await, ErrorKind::IsADirectory),
            (open("/d/link", Mode::Read).await, ErrorKind::InvalidInput),
            (open("/d/../x", Mode::CreateNew).await, ErrorKind::InvalidInput),
            (disk.remove(Path::new("/d")).await.err().and_then(|e| e.io_kind()), ErrorKind::IsADirectory),
            (
                disk.create_dir_all(Path::new("/d/file")).await.err().and_then(|e| e.io_kind()),
                ErrorKind::AlreadyExists,
            ),
            (
                disk.rename(Path::new("/d/no"), Path::new("/d/x")).await.err().and_then(|e| e.io_kind()),
                ErrorKind::NotFound,
            ),
        ]
    });
    for (row, (got, want)) in kinds.into_iter().enumerate() {
        assert_eq!(got, Some(want), "row {row}");
    }
    let listed = on(&sim, |disk| async move { disk.list(Path::new("/d")).await.unwrap() });
    let listed: Vec<_> = listed.iter().map(|e| (e.name.as_str(), e.kind, e.len)).collect();
    assert_eq!(listed, [("file", crate::EntryKind::File, 1), ("link", crate::EntryKind::Other, 0)]);
}

#[test]
fn raw_changes_are_durable_at_once() {
    let sim = SimDisk::new(config(8));
    let (a, b) = (Path::new("/x/a"), Path::new("/x/b"));
    assert!(sim.write_raw(a, vec![1; 9]) && sim.write_raw(b, vec![2; 5]));
    assert!(sim.flip_bit(a, 9) && !sim.flip_bit(a, 72));
    assert!(sim.swap_raw(a, b) && sim.set_len_raw(a, 3));
    assert!(!sim.swap_raw(a, Path::new("/none")) && !sim.remove_raw(Path::new("/none")));
    for (seed, after) in cuts(&sim, 50) {
        assert_eq!(after.read_raw(a).unwrap(), [2; 3], "seed {seed}");
        assert_eq!(after.read_raw(b).unwrap(), [1, 3, 1, 1, 1, 1, 1, 1, 1], "seed {seed}");
        assert_eq!(after.used(), 12);
    }
    assert!(sim.remove_raw(b));
    assert!(cuts(&sim, 50).all(|(_, d)| d.paths() == [a]));
    assert_eq!(sim.used(), 3);
}

#[test]
fn a_failed_sync_of_a_directory_fails_those_that_wait_for_their_turn() {
    for failure in SyncFailure::ALL.iter().copied() {
        let sim = SimDisk::new(config(1));
        sim.inject(once(At::NthOf(OpKind::SyncDir, 0), FaultKind::FailedSync(failure)));
        let results = on(&sim, |disk| async move {
            let names = crate::Names::default();
            let create = async |path: &str| disk.open(Path::new(path), Mode::CreateNew).await.is_ok();
            assert!(create("/a").await && create("/b").await);
            // Both names are new when the first sync is submitted.
            let sync = || names.sync(&disk, Path::new("/"));
            let (first, second) = futures::join!(sync(), sync());
            [first, second, sync().await, crate::Names::default().sync(&disk, Path::new("/")).await]
                .map(|result| result.map_err(|error| error.path().to_owned()))
        });
        let root = Err(std::path::PathBuf::from("/"));
        let fresh = if failure == SyncFailure::Sticky { root.clone() } else { Ok(()) };
        assert_eq!(results, [root.clone(), root.clone(), root, fresh], "{failure:?}");
    }
}

#[test]
fn a_sync_of_a_directory_that_was_given_up_counts_as_failed() {
    let sim = SimDisk::new(SimConfig { suspend: true, ..config(1) });
    let result = on(&sim, |disk| async move {
        let names = crate::Names::default();
        let mut given_up = Box::pin(names.sync(&disk, Path::new("/")));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        names.sync(&disk, Path::new("/")).await.map_err(|error| error.to_string())
    });
    assert_eq!(result, Err("sync_dir /".to_owned()));
}
