//! Files whose hot pages are read from a mapping.

use super::*;
use crate::real::handle::drop_elsewhere;
use crate::real::window::{ASKER, is_supported};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};

/// Enough for a file to be mapped and its pages to be hot.
const READS: usize = 100;

#[test]
fn warm_reads_are_copied_from_a_mapping_where_that_is_allowed() {
    on_each_driver(async |disk, dir| {
        let (path, data) = (dir.join("f"), bytes(600 << 10, 3));
        for allowed in [false, true] {
            disk.map_reads(allowed);
            let file = file_with(disk, &path, &data).await;
            let before = disk.counters().reads_mapped;
            for at in (0..2000).map(|i| i * 7919 % (data.len() - 1000)) {
                assert_eq!(file.read_at(at as u64, 1000).await.unwrap(), data[at..at + 1000]);
                let end = file.read_at(data.len() as u64 - 500, 1000).await.unwrap();
                assert_eq!(end, data[data.len() - 500..], "fewer at the end");
            }
            assert_eq!(disk.counters().reads_mapped > before, allowed);
            // Written and cut through the same file or another one, it is read as it is.
            let other = disk.open(&path, Mode::ReadWrite).await.unwrap();
            for (writer, byte) in [(&file, 1), (&other, 2)] {
                writer.write_at(5000, vec![byte; 100]).await.0.unwrap();
                for _ in 0..READS {
                    assert_eq!(file.read_at(5050, 50).await.unwrap(), vec![byte; 50]);
                }
            }
            file.set_len(5020).await.unwrap();
            for _ in 0..READS {
                assert_eq!(file.read_at(5000, 100).await.unwrap(), vec![2; 20]);
            }
            drop((file, other));
            disk.remove(&path).await.unwrap();
        }
        disk.map_reads(false);
    });
}

/// Takes until it is told.
struct Slow(Receiver<()>);

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.recv().unwrap();
    }
}

#[test]
fn nothing_of_a_removed_file_is_mapped_any_more_when_that_is_over() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        disk.map_reads(true);
        let file = file_with(disk, &path, &bytes(1 << 20, 0)).await;
        for _ in 0..READS {
            file.read_at(0, 100).await.unwrap();
        }
        let is_mapped =
            || std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap());
        assert!(is_mapped());
        // Its mapping has to wait.
        let (go_on, told) = channel();
        drop_elsewhere(Slow(told));
        drop(file);
        let over = Rc::new(Cell::new(false));
        let removal = (disk.clone(), path.clone(), Rc::clone(&over));
        disk.spawn(async move {
            removal.0.remove(&removal.1).await.unwrap();
            removal.2.set(true);
        });
        for _ in 0..20 {
            disk.sync_dir(dir).await.unwrap();
        }
        assert!(is_mapped() && !over.get(), "its room is not there yet");
        go_on.send(()).unwrap();
        while !over.get() {
            disk.sleep(Duration::from_millis(1)).await;
        }
        assert!(!is_mapped());
        disk.map_reads(false);
    });
}

#[test]
fn nothing_of_a_disk_is_mapped_any_more_when_its_last_file_is_gone() {
    on_each_driver(async |_, dir| {
        let (disk, path) = (Disk::real(), dir.join("f"));
        disk.map_reads(true);
        let file = file_with(&disk, &path, &bytes(1 << 20, 0)).await;
        for _ in 0..READS {
            file.read_at(0, 100).await.unwrap();
        }
        let is_mapped =
            move || std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap());
        assert!(is_mapped());
        // Its mapping has to wait.
        let (go_on, told) = channel();
        drop_elsewhere(Slow(told));
        let still_mapped = is_mapped.clone();
        let other = std::thread::spawn(move || {
            (0..100).for_each(|_| assert!(still_mapped()));
            go_on.send(()).unwrap();
        });
        drop(disk);
        drop(file);
        assert!(!is_mapped());
        other.join().unwrap();
    });
}

#[test]
fn the_lock_is_released_when_no_page_is_asked_for_any_more() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("lock");
        let lock = disk.lock(&path).await.unwrap();
        let (go_on, told) = channel();
        ASKER.run(move || told.recv().unwrap());
        let other = std::thread::spawn(move || {
            let file = std::fs::File::open(path).unwrap();
            (0..1000).for_each(|_| assert!(file.try_lock().is_err(), "released"));
            go_on.send(()).unwrap();
        });
        drop(lock);
        other.join().unwrap();
    });
}

fn may_be_stored_into(path: &Path) -> bool {
    is_supported(&std::fs::File::options().read(true).write(true).open(path).unwrap())
}

#[test]
fn small_writes_in_a_row_are_stored_and_everybody_reads_them() {
    on_each_driver(async |disk, dir| {
        disk.map_writes(true);
        let path = dir.join("f");
        let file = disk.open(&path, Mode::CreateNew).await.unwrap();
        let other = disk.open(&path, Mode::Read).await.unwrap();
        let data = bytes(2 << 20, 9);
        let (mut at, mut lengthened) = (0, 0);
        while at < data.len() {
            let len = (1 + at % 2500).min(data.len() - at);
            if at + len > lengthened {
                lengthened += 256 << 10;
                file.set_len(lengthened as u64).await.unwrap();
            }
            // Somebody who has not said so may write anywhere: only system calls.
            if at > 300 << 10 {
                file.expect_appends();
            } else {
                assert_eq!(disk.counters().writes_mapped, 0);
            }
            file.write_at(at as u64, data[at..at + len].to_vec()).await.0.unwrap();
            let from = at.saturating_sub(100);
            let back = other.read_at(from as u64, at + len - from).await.unwrap();
            assert!(back == data[from..at + len], "{at}");
            at += len;
            if at % 50 == 0 {
                file.sync().await.unwrap();
            }
        }
        let counters = disk.counters();
        assert_eq!(counters.write_len, data.len() as u64);
        let may = may_be_stored_into(&path);
        assert!(!may || counters.writes_mapped > counters.writes / 2, "{counters:?}");
        file.set_len(data.len() as u64 - 5000).await.unwrap();
        drop(file);
        let left = std::fs::read(&path).unwrap();
        assert!(left == data[..data.len() - 5000], "what was cut is gone, the rest is there");
    });
}

#[test]
fn what_a_process_has_stored_is_there_when_it_is_killed() {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let path = dir.path().join("f");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "real::tests::mapped::child_that_stores_and_is_killed",
        "--ignored",
        "--nocapture",
    ]);
    let status = child.env("JDB_TEST_STORE", &path).status().unwrap();
    assert!(!status.success(), "it kills itself");
    let (left, want) = (std::fs::read(&path).unwrap(), bytes(400_000, 3));
    assert!(left[..want.len()] == want, "as after system calls");
    assert!(left[want.len()..].iter().all(|&byte| byte == 0));
}

#[test]
#[ignore = "run by another test"]
fn child_that_stores_and_is_killed() {
    let path = PathBuf::from(std::env::var_os("JDB_TEST_STORE").unwrap());
    let runtime = runtime(&Config::default()).unwrap();
    runtime.block_on(async {
        let disk = Disk::real();
        disk.map_writes(true);
        let file = disk.open(&path, Mode::CreateNew).await.unwrap();
        file.expect_appends();
        file.set_len(1 << 20).await.unwrap();
        let data = bytes(400_000, 3);
        for (part, piece) in data.chunks(1000).enumerate() {
            file.write_at(part as u64 * 1000, piece.to_vec()).await.0.unwrap();
        }
        let may = may_be_stored_into(&path);
        assert!(!may || disk.counters().writes_mapped > 300);
        // SIGKILL leaves no time for anything.
        Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    });
}
