//! Files whose hot pages are read from a mapping.

use super::*;
use crate::real::handle::drop_elsewhere;
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
