//! Claims about the real disk, each checked with every driver that this machine allows.

mod children;
mod going_away;
mod mapped;
mod names;
mod rounds;
mod turns;
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
