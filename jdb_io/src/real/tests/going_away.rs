//! What is left of operations whose runtime goes away before they end.

use super::*;

/// How long each of the reads is that a runtime's end cuts off.
const CUT_LEN: usize = 1 << 20;

/// Hands `count` cold reads to the kernel while a task holds a lock, then drops the runtime. Returns the lock's path.
fn cut_off(runtime: Runtime, dir: &Path, count: usize) -> PathBuf {
    let (path, lock_path) = (dir.join("f"), dir.join("LOCK"));
    let (disk, file) = runtime.block_on(async {
        let disk = RealDisk::new();
        let file = disk.open(&path, Mode::Truncate).await.unwrap();
        for part in 0..count {
            file.write_at((part * CUT_LEN) as u64, bytes(CUT_LEN, part)).await.0.unwrap();
        }
        cool(&file).await;
        let lock = disk.lock(&lock_path).await.unwrap();
        disk.spawn(async move {
            std::future::pending::<()>().await;
            drop(lock);
        });
        (disk, Rc::new(Handle::new(std::fs::File::open(&path).unwrap())))
    });
    assert_eq!(disk.in_flight(), 0);
    runtime.enter(|| {
        for part in 0..count {
            let offset = (part * CUT_LEN) as u64;
            let (flight, file) = (disk.flight.clone(), file.clone());
            disk.spawn(async move {
                drop(flight.run(buffer::read(file, offset, Vec::new(), CUT_LEN)).await);
            });
        }
        // The tasks run until they wait; nobody asks what has been completed.
        while runtime.run() {}
    });
    runtime.flush();
    drop(file);
    drop(runtime);
    assert_eq!(disk.in_flight(), count, "an operation whose end was not seen stays in flight");
    lock_path
}

#[test]
fn memory_descriptor_and_lock_outlive_a_runtime_that_goes_away_with_reads_in_flight() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let before = buffer::leaked();
        let lock_path = cut_off(runtime, dir.path(), 32);
        assert_eq!(buffer::leaked() - before, 32, "{driver:?}: every buffer is leaked, none freed");
        let open = descriptors_of(&dir.path().join("f"));
        assert!(open >= 1, "{driver:?}: the descriptor that the reads use stays open");
        assert_eq!(descriptors_of(&lock_path), 1, "{driver:?}: the lock's descriptor stays open");
        for (next, runtime) in runtimes() {
            let locked = runtime.block_on(async { Disk::real().lock(&lock_path).await });
            assert!(matches!(locked, Err(Error::Locked { .. })), "{driver:?}, then {next:?}: {locked:?}");
        }
    }
}

#[test]
fn syncs_in_flight_hold_no_lock_when_the_runtime_goes_away() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock_path) = (dir.path().join("f"), dir.path().join("LOCK"));
        let (disk, file) = runtime.block_on(async {
            let disk = Rc::new(RealDisk::new());
            let file = disk.open(&path, Mode::Truncate).await.unwrap();
            file.write_at(0, bytes(CUT_LEN, 1)).await.0.unwrap();
            let lock = disk.lock(&lock_path).await.unwrap();
            disk.spawn(async move {
                std::future::pending::<()>().await;
                drop(lock);
            });
            (disk, file)
        });
        runtime.enter(|| {
            let (of_dir, dir) = (disk.clone(), dir.path().to_owned());
            disk.spawn(async move { drop(file.sync().await) });
            disk.spawn(async move { drop(of_dir.sync_dir(&dir).await) });
            while runtime.run() {}
        });
        runtime.flush();
        drop(runtime);
        assert_eq!(disk.in_flight(), 2, "{driver:?}: operations whose end was not seen");
        assert_eq!(descriptors_of(&lock_path), 1, "{driver:?}: the disk is still there");
        drop(disk);
        assert_eq!(descriptors_of(&lock_path), 0, "{driver:?}");
        for (_, runtime) in runtimes() {
            runtime.block_on(async { Disk::real().lock(&lock_path).await.map(drop) }).unwrap();
        }
    }
}

#[test]
fn a_panic_of_the_main_task_frees_no_memory_that_is_in_use() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, file) = runtime.block_on(async {
            let disk = Disk::real();
            let file = file_with(&disk, &dir.path().join("f"), &bytes(32 * CUT_LEN, 0)).await;
            cool(&file).await;
            (disk, file)
        });
        let before = buffer::leaked();
        let main = async {
            let reads = (0..32).map(|part| file.read_at((part * CUT_LEN) as u64, CUT_LEN));
            let _started: Vec<_> = join_all(reads.map(poll_immediate)).await;
            // Each has begun by then: what has not is in no memory that anybody uses.
            for _ in 0..32 {
                task::yield_now().await;
            }
            assert_eq!(disk.in_flight(), 0, "this panic is part of the test");
        };
        let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(main)));
        assert_eq!(result.is_err(), disk.in_flight() > 0);
        assert_eq!(buffer::leaked() - before, disk.in_flight(), "{driver:?}");
        drop(runtime);
        assert_eq!(buffer::leaked() - before, disk.in_flight(), "{driver:?}");
    }
}

#[test]
fn a_runtime_that_goes_away_with_nothing_in_flight_leaks_nothing() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let before = buffer::leaked();
        let lock_path = cut_off(runtime, dir.path(), 0);
        assert_eq!(buffer::leaked(), before, "{driver:?}");
        assert_eq!(descriptors_of(&dir.path().join("f")) + descriptors_of(&lock_path), 0, "{driver:?}");
        for (_, runtime) in runtimes() {
            runtime.block_on(async { Disk::real().lock(&lock_path).await.map(drop) }).unwrap();
        }
    }
}

#[test]
fn a_lock_let_go_while_something_is_in_flight_is_released_when_that_is_over() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("LOCK");
        let file = file_with(disk, &dir.join("f"), &bytes(1 << 20, 0)).await;
        let lock = disk.lock(&path).await.unwrap();
        drop(poll_immediate(file.sync()).await);
        assert_eq!(disk.in_flight(), 1);
        drop(lock);
        assert_eq!(descriptors_of(&path), 1, "held on");
        disk.drain().await;
        assert_eq!(descriptors_of(&path), 0, "released");
        disk.lock(&path).await.unwrap();
    });
}
