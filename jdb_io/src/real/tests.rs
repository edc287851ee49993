//! Claims about the real disk, each checked with every driver that this machine allows.

mod children;
mod going_away;
mod mapped;
mod rounds;
mod worker;

use crate::real::flight::Flight;
use crate::real::handle::{DROPPED_ELSEWHERE, Handle};
use crate::real::{RealDisk, buffer, sys};
use crate::runtime::{Config, DRIVER_VARIABLE};
use crate::{Disk, Driver, EntryKind, Error, File, Mode, runtime, task};
use compio::runtime::Runtime;
use futures::future::{join_all, poll_immediate};
use std::cell::Cell;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

const SIZES: [usize; 7] = [0, 1, 4095, 4096, 4097, 256 << 10, (1 << 20) + 3];

/// Runtimes of every driver; one that the system blocks is left out and said so.
fn runtimes() -> Vec<(Driver, Runtime)> {
    let mut runtimes = Vec::new();
    for driver in [Driver::IoUring, Driver::Poll] {
        match runtime(&Config { driver: Some(driver), ..Config::default() }) {
            Ok(runtime) => runtimes.push((driver, runtime)),
            Err(error) if driver == Driver::IoUring => println!("skipped {driver:?}: {error}"),
            Err(error) => panic!("{driver:?}: {error}"),
        }
    }
    runtimes
}

/// Runs a claim in an empty directory with every driver, and checks that it leaves nothing in flight.
fn on_each_driver(claim: impl AsyncFn(&Disk, &Path)) {
    for (driver, runtime) in runtimes() {
        println!("driver {driver:?}");
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let disk = Disk::real();
            assert_eq!(disk.driver(), driver);
            claim(&disk, dir.path()).await;
            assert_eq!(disk.in_flight(), 0);
        });
        assert_eq!(buffer::leaked(), 0);
    }
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i ^ seed).wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
}

async fn file_with(disk: &Disk, path: &Path, data: &[u8]) -> File {
    let file = disk.open(path, Mode::Truncate).await.unwrap();
    let (result, back) = file.write_at(0, data.to_vec()).await;
    result.unwrap();
    assert_eq!(back, data, "the buffer comes back as it was");
    file
}

/// Has the kernel drop a file's pages, where it listens.
async fn cool(file: &File) {
    file.sync().await.unwrap();
    sys::evict(&std::fs::File::open(file.path()).unwrap());
}

#[test]
fn what_was_written_is_read_back_warm_and_cold() {
    on_each_driver(async |disk, dir| {
        for len in SIZES {
            for offset in [0, 1, 4096, 5000] {
                let file = disk.open(&dir.join("f"), Mode::Truncate).await.unwrap();
                let data = bytes(len, offset as usize);
                file.write_at(offset, data.clone()).await.0.unwrap();
                for cold in [false, true] {
                    if cold {
                        cool(&file).await;
                    }
                    let back = file.read_at(offset, len).await.unwrap();
                    assert!(back == data, "len {len} offset {offset} cold {cold}");
                }
                let want_len = if len == 0 { 0 } else { offset + len as u64 };
                assert_eq!(file.len().await.unwrap(), want_len, "len {len} offset {offset}");
            }
        }
    });
}

#[test]
fn a_read_is_short_only_where_the_file_ends() {
    on_each_driver(async |disk, dir| {
        let data = bytes(10_000, 7);
        let file = file_with(disk, &dir.join("f"), &data).await;
        for (offset, len) in [
            (0, 10_000),
            (0, 10_001),
            (0, 1 << 20),
            (9_999, 1),
            (9_999, 2),
            (10_000, 1),
            (10_001, 5),
            (1 << 40, 9),
        ] {
            let from = data.len().min(offset as usize);
            let to = data.len().min(offset as usize + len);
            for cold in [false, true] {
                if cold {
                    cool(&file).await;
                }
                let back = file.read_at(offset, len).await.unwrap();
                assert!(
                    back == data[from..to],
                    "offset {offset} len {len} cold {cold}: {} bytes",
                    back.len()
                );
            }
        }
    });
}

#[test]
fn a_read_goes_on_where_the_page_cache_ends() {
    on_each_driver(async |disk, dir| {
        let data = bytes(1 << 20, 3);
        let file = file_with(disk, &dir.join("f"), &data).await;
        cool(&file).await;
        // The first pages are warm now (and read-ahead has its pages), those at the end are not.
        file.read_at(0, 100).await.unwrap();
        assert!(file.read_at(0, data.len()).await.unwrap() == data);
    });
}

#[test]
fn many_cold_reads_at_once_each_get_their_own_bytes() {
    on_each_driver(async |disk, dir| {
        let data = bytes(4 << 20, 11);
        let file = file_with(disk, &dir.join("f"), &data).await;
        cool(&file).await;
        let reads = (0..500).map(|i| {
            let (file, offset) = (file.clone(), (i * 7919 * 13) % (data.len() - 3000));
            async move { (offset, file.read_at(offset as u64, 3000).await.unwrap()) }
        });
        for (offset, back) in join_all(reads).await {
            assert!(back == data[offset..offset + 3000], "offset {offset}");
        }
    });
}

#[test]
fn impossible_ranges_are_refused() {
    on_each_driver(async |disk, dir| {
        let file = disk.open(&dir.join("f"), Mode::CreateNew).await.unwrap();
        for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64 + 1, i64::MAX as u64 - 1] {
            let error = file.read_at(offset, 3).await.unwrap_err();
            assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput), "read at {offset}");
            let error = file.write_at(offset, vec![0; 3]).await.0.unwrap_err();
            assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput), "write at {offset}");
        }
        let error = file.read_at(0, i64::MAX as usize).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::OutOfMemory));
        assert_eq!(file.len().await.unwrap(), 0);
    });
}

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
fn set_len_cuts_and_lengthens_with_zeros() {
    on_each_driver(async |disk, dir| {
        let file = file_with(disk, &dir.join("f"), &[7; 5000]).await;
        for len in [100, 6000, 0, 1] {
            file.set_len(len).await.unwrap();
            assert_eq!(file.len().await.unwrap(), len);
            let data = file.read_at(0, 10_000).await.unwrap();
            assert_eq!(data.len() as u64, len);
            assert!(data.iter().skip(100).all(|&b| b == 0), "len {len}");
        }
        let reader = disk.open(&dir.join("f"), Mode::Read).await.unwrap();
        let error = reader.set_len(5).await.unwrap_err();
        assert!(error.to_string().starts_with("set_len "), "{error}");
    });
}

#[test]
fn counters_are_exact() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        let file = file_with(disk, &path, &bytes(600 << 10, 0)).await; // three slices
        file.write_at(0, vec![]).await.0.unwrap();
        file.write_at(5, vec![1; 10]).await.0.unwrap();
        let clone = file.clone();
        assert_eq!(clone.read_at(0, 1000).await.unwrap().len(), 1000);
        assert_eq!(clone.read_at((600 << 10) - 5, 1000).await.unwrap().len(), 5);
        assert!(clone.read_at(0, 0).await.unwrap().is_empty());
        assert!(clone.will_need(0, 4096));
        assert_eq!(clone.read_ready(7, 1000).unwrap().len(), 1000);
        assert_eq!(clone.read_ready((600 << 10) - 5, 1000).unwrap().len(), 5, "fewer at the end");
        file.sync().await.unwrap();
        disk.sync_dir(dir).await.unwrap();
        disk.rename(&path, &dir.join("g")).await.unwrap();
        disk.open(&path, Mode::Read).await.unwrap_err();
        disk.open(&dir.join("g"), Mode::Read).await.unwrap();
        disk.remove(&dir.join("g")).await.unwrap();
        let got = disk.clone().counters();
        let want = crate::Counters {
            reads: 4,
            reads_ready: got.reads_ready,
            reads_mapped: got.reads_mapped,
            read_len: 2010,
            hints: 1,
            writes: 4,
            writes_mapped: 0,
            write_len: (600 << 10) + 10,
            syncs: 1,
            dir_syncs: 1,
            opens: 2,
            removes: 1,
            renames: 1,
            open_files: 1,
            open_files_peak: 2,
        };
        assert_eq!(got, want);
        assert!(got.reads_ready <= got.reads);
        if cfg!(target_os = "linux") {
            assert_eq!(got.reads_ready, 4, "warm reads are answered at once");
        }
        drop((file, clone));
        assert_eq!(disk.counters().open_files, 0);
    });
}

#[test]
fn a_warm_read_is_ready_at_once() {
    on_each_driver(async |disk, dir| {
        let file = file_with(disk, &dir.join("f"), &bytes(100_000, 0)).await;
        if cfg!(target_os = "linux") {
            let data = poll_immediate(file.read_at(1000, 60_000)).await.expect("ready at the first poll");
            assert_eq!(data.unwrap().len(), 60_000);
        }
    });
}

#[test]
fn others_get_turns_while_a_large_write_goes_on() {
    on_each_driver(async |disk, dir| {
        let file = disk.open(&dir.join("f"), Mode::CreateNew).await.unwrap();
        let (turns, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        disk.spawn({
            let (turns, done) = (turns.clone(), done.clone());
            async move {
                while !done.get() {
                    turns.set(turns.get() + 1);
                    task::yield_now().await;
                }
            }
        });
        file.write_at(0, vec![1; 4 << 20]).await.0.unwrap();
        done.set(true);
        assert!(turns.get() >= 10, "{} turns in 16 slices", turns.get());
    });
}

#[test]
fn a_task_that_keeps_the_thread_busy_does_not_starve_operations() {
    on_each_driver(async |disk, dir| {
        for main_is_busy in [true, false] {
            let file = file_with(disk, &dir.join("f"), &bytes(100_000, 0)).await;
            let synced = Rc::new(Cell::new(false));
            let sync = {
                let synced = synced.clone();
                async move {
                    file.sync().await.unwrap();
                    synced.set(true);
                }
            };
            let busy = {
                let disk = disk.clone();
                async move {
                    let start = disk.now();
                    while !synced.get() {
                        assert!(
                            disk.now() - start < Duration::from_secs(20),
                            "main {main_is_busy}: never synced"
                        );
                        task::yield_now().await;
                    }
                }
            };
            if main_is_busy {
                disk.spawn(sync);
                busy.await;
            } else {
                disk.spawn(busy);
                sync.await;
            }
        }
    });
}

#[test]
fn a_dropped_future_leaves_the_operation_to_end_by_itself() {
    on_each_driver(async |disk, dir| {
        let file = file_with(disk, &dir.join("f"), &bytes(1 << 20, 0)).await;
        for round in 0..20 {
            cool(&file).await;
            for offset in 0..8 {
                let read = poll_immediate(file.read_at(offset * 100_000, 50_000)).await;
                drop(read);
            }
            drop(poll_immediate(file.sync()).await);
            drop(poll_immediate(disk.list(dir)).await);
            assert!(disk.in_flight() >= 2, "round {round}");
            if round % 2 == 0 {
                disk.drain().await;
            } else {
                while disk.in_flight() > 0 {
                    disk.sleep(Duration::from_millis(1)).await;
                }
            }
            assert_eq!(disk.in_flight(), 0);
        }
    });
}

#[test]
fn drain_returns_at_once_when_nothing_is_in_flight() {
    on_each_driver(async |disk, _| {
        assert!(poll_immediate(disk.drain()).await.is_some());
    });
}

#[test]
fn spawned_tasks_run_to_their_end() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        let done = Rc::new(task::Event::new());
        disk.spawn({
            let (disk, path, done) = (disk.clone(), path.clone(), done.clone());
            async move {
                disk.sleep(Duration::from_millis(5)).await;
                file_with(&disk, &path, b"x").await;
                done.notify();
            }
        });
        done.wait().await;
        assert!(path.exists());
    });
}

#[test]
fn clocks_go_on_and_chance_varies() {
    on_each_driver(async |disk, _| {
        let start = disk.now();
        disk.sleep(Duration::from_millis(20)).await;
        assert!(disk.now() - start >= Duration::from_millis(20));
        assert!(disk.unix_ms() > 1_700_000_000_000);
        let (a, b) = (disk.random().unwrap(), disk.random().unwrap());
        assert!(a != b && a >> 64 != 0 && a as u64 != 0);
    });
}

/// How many descriptors of this process name a path.
fn descriptors_of(path: &Path) -> usize {
    let dir = path.parent().unwrap();
    descriptors_named(path.file_name().unwrap().to_str().unwrap(), dir)
}

/// The same, by the name that the system shows.
fn descriptors_named(name: &str, dir: &Path) -> usize {
    let path = dir.canonicalize().unwrap().join(name);
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter(|fd| std::fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|to| to == path)).count()
}

/// What the common operations cost: `cargo test --release -p jdb_io -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_warm_reads_and_writes() {
    const ROUNDS: u32 = 100_000;
    on_each_driver(async |disk, dir| {
        let file = file_with(disk, &dir.join("f"), &bytes(64 << 20, 0)).await;
        let start = disk.now();
        for i in 0..ROUNDS {
            let offset = u64::from(i.wrapping_mul(2_654_435_761) % (63 << 20));
            assert_eq!(file.read_at(offset, 1024).await.unwrap().len(), 1024);
        }
        println!("warm read_at of 1 KiB: {} ns", ((disk.now() - start) / ROUNDS).as_nanos());
        let inner = Rc::new(Handle::new(std::fs::File::open(file.path()).unwrap()));
        let flight: Rc<Flight> = Rc::default();
        let start = disk.now();
        for i in 0..ROUNDS {
            let offset = u64::from(i.wrapping_mul(2_654_435_761) % (63 << 20));
            let read = buffer::read(inner.clone(), offset, Vec::new(), 1024);
            assert_eq!(flight.run(read).await.unwrap().len(), 1024);
        }
        println!("the same through compio, one by one: {} ns", ((disk.now() - start) / ROUNDS).as_nanos());
        let start = disk.now();
        for i in 0..ROUNDS / 32 {
            let reads = (0..32).map(|j| {
                let offset = u64::from((i * 32 + j).wrapping_mul(2_654_435_761) % (63 << 20));
                flight.run(buffer::read(inner.clone(), offset, Vec::new(), 1024))
            });
            for data in join_all(reads).await {
                assert_eq!(data.unwrap().len(), 1024);
            }
        }
        println!("the same, 32 at once: {} ns", ((disk.now() - start) / (ROUNDS / 32 * 32)).as_nanos());
        let log = disk.open(&dir.join("log"), Mode::CreateNew).await.unwrap();
        let mut data = bytes(1126, 0);
        let start = disk.now();
        for i in 0..ROUNDS {
            let (result, back) = log.write_at(u64::from(i) * 1126, data).await;
            result.unwrap();
            data = back;
        }
        println!("write_at of 1.1 KiB: {} ns", ((disk.now() - start) / ROUNDS).as_nanos());
    });
}

#[test]
fn what_is_announced_comes_into_the_page_cache() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        let file = file_with(disk, &path, &bytes(1 << 20, 3)).await;
        file.sync().await.unwrap();
        sys::evict(&std::fs::File::open(&path).unwrap());
        if file.read_ready(512 << 10, 4096).is_some() {
            return println!("skipped: nothing is evicted here");
        }
        assert!(file.will_need(512 << 10, 4096));
        // The device is not waited for: some reads later it is there.
        for i in 0.. {
            if let Some(data) = file.read_ready(512 << 10, 4096) {
                assert_eq!(data, file.read_at(512 << 10, 4096).await.unwrap());
                break;
            }
            assert!(i < 100_000, "never came");
            disk.sync_dir(dir).await.unwrap();
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
