//! A step of any walk allocates nothing, and a cached look-up nothing but the value it returns.

#![expect(clippy::unwrap_used, reason = "a test")]

use jdb_base::{Kind, SeqNo};
use jdb_bench::index::{key, pointer};
use jdb_io::{BlockCache, Disk};
use jdb_lsm::{Hidden, Scan, Table, Tree, write_table};
use jdb_sst::WriterOptions;
use std::rc::Rc;

/// Entries of each table, and of the memtable.
const COUNT: u64 = 5000;

/// Allocations of a piece of work.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// A memtable over two tables of level 0, everything cached.
async fn tree(dir: &std::path::Path) -> Tree {
    let (disk, cache, handles) = (Disk::real(), Rc::new(BlockCache::new(64 << 20)), Rc::default());
    let tree = Tree::new(Vec::new());
    for number in 0..3 {
        let memtable = tree.active();
        for i in number * COUNT..(number + 1) * COUNT {
            memtable.insert(&key(i), SeqNo::new(i + 1), Kind::Pointer, &pointer(i));
        }
        if number < 2 {
            tree.rotate();
            let path = dir.join(format!("{number}.sst"));
            let options = WriterOptions::default();
            let flushed = write_table(&disk, &path, number as u32, options, &memtable, |_, _| 0)
                .await
                .unwrap()
                .unwrap();
            tree.flushed(
                &memtable,
                Some(Rc::new(Table::new(&disk, path, flushed.meta, Some(cache.clone()), &handles))),
            );
        }
    }
    tree
}

#[test]
fn steps_and_cached_gets_allocate_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime.block_on(async {
        let tree = tree(dir.path()).await;
        let version = tree.version();
        let mut scan = Scan::new(version.clone(), SeqNo::MAX, Hidden::NONE, Vec::new(), vec![0xff]);
        let reader = version.levels.first().unwrap().first().unwrap().reader().await.unwrap();
        let mut cursor = reader.cursor();
        let mut memtable = tree.active().cursor();
        // Fills the cache. In the loop the first round fills buffers.
        while scan.next().await.unwrap() {}
        for i in 0..4 * COUNT {
            version.get(&key(i), SeqNo::MAX, &Hidden::NONE).await.unwrap();
        }
        scan.seek_start();
        for round in 0..2 {
            let mut rows = 0;
            let steps = allocation_counter::measure(|| {
                let walk = async {
                    while scan.next().await.unwrap() {
                        rows += u64::from(scan.row().is_some());
                    }
                    while scan.prev().await.unwrap() {
                        rows += u64::from(scan.row().is_some());
                    }
                    cursor.seek_first().await.unwrap();
                    while cursor.entry().is_some() {
                        cursor.next().await.unwrap();
                    }
                    cursor.seek_last().await.unwrap();
                    while cursor.entry().is_some() {
                        cursor.prev().await.unwrap();
                    }
                };
                now(walk);
                memtable.seek_first();
                while memtable.entry().is_some() {
                    memtable.next();
                }
                memtable.seek_last();
                while memtable.entry().is_some() {
                    memtable.prev();
                }
            });
            assert_eq!(rows, 6 * COUNT);
            let mut found = 0;
            let gets = allocations(|| {
                for i in 0..4 * COUNT {
                    let got = now(version.get(&key(i), SeqNo::MAX, &Hidden::NONE)).unwrap();
                    found += u64::from(got.is_some());
                }
            });
            assert_eq!(found, 3 * COUNT);
            if round > 0 {
                assert_eq!(steps.count_total, 0, "steps");
                assert_eq!(gets, 0, "look-ups");
            }
        }
    });
}

/// The result of a future that does not suspend, as everything is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("something was not in memory"),
    }
}
