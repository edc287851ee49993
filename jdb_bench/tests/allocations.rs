//! A step of any walk allocates nothing, and a cached look-up nothing but the value it returns.

#![expect(clippy::unwrap_used, reason = "a test")]

use jdb_base::{Kind, SeqNo};
use jdb_bench::index::{key, pointer};
use jdb_io::{BlockCache, Disk};
use jdb_lsm::{
    Compaction, CompactionOptions, FlushOptions, Found, Hidden, Newest, Payload, Scan, Table, Tree, pick_all,
    write_table,
};
use jdb_sst::WriterOptions;
use std::path::Path;
use std::rc::Rc;

/// Entries of each table, and of the memtable.
const COUNT: u64 = 5000;

/// Allocations of a piece of work.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// A memtable over two tables of level 0, everything cached.
async fn tree(dir: &Path) -> Tree {
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
            let flushed =
                write_table(&disk, &path, number as u32, FlushOptions::newest(options, |_, _| 0), &memtable)
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

/// Every third value lies in the tree.
fn is_inline(i: u64) -> bool {
    i.is_multiple_of(3)
}

/// A memtable over a table of level 0 over several of level 1, everything cached: a quarter of `4 * COUNT` entries in memory,
/// a quarter in level 0, half of them in level 1.
async fn deep_tree(dir: &Path) -> Tree {
    let (disk, cache, handles) = (Disk::real(), Rc::new(BlockCache::new(64 << 20)), Rc::default());
    let open = |path, meta| Rc::new(Table::new(&disk, path, meta, Some(cache.clone()), &handles));
    let path = |number: u32| dir.join(format!("{number}.sst"));
    let tree = Tree::new(Vec::new());
    for number in 0..4u32 {
        let memtable = tree.active();
        for i in u64::from(number) * COUNT..u64::from(number + 1) * COUNT {
            let (kind, value) =
                if is_inline(i) { (Kind::Inline, vec![7; 40]) } else { (Kind::Pointer, pointer(i)) };
            memtable.insert(&key(i), SeqNo::new(i + 1), kind, &value);
        }
        if number == 3 {
            break;
        }
        tree.rotate();
        let options = WriterOptions::default();
        let written =
            write_table(&disk, &path(number), number, FlushOptions::newest(options, |_, _| 0), &memtable)
                .await;
        tree.flushed(&memtable, Some(open(path(number), written.unwrap().unwrap().meta)));
        if number == 1 {
            let version = tree.version();
            let plan = pick_all(&version.candidates(|_| 0, |_, _| false), 0).1.unwrap();
            let writer = WriterOptions::default();
            let options =
                CompactionOptions { writer, table_len: 64 << 10, record_len: |_, _| 0, tracked: Vec::new() };
            let compaction = Compaction::new(&disk, &version, plan, Rc::new(Newest), options).unwrap();
            let mut next = 10;
            let mut next_file = || {
                next += 1;
                (next, path(next))
            };
            let compacted = compaction.run(&mut next_file).await.unwrap();
            let added = compacted.added.iter().map(|meta| open(path(meta.number), meta.clone()));
            tree.compacted(&compacted, added.collect());
        }
    }
    tree
}

#[test]
fn steps_through_a_level_allocate_nothing_and_gets_only_copied_values() {
    /// Rows left out at either end, so that the walk turns inside the level.
    const EDGE: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    runtime.block_on(async {
        let version = deep_tree(dir.path()).await.version();
        let depths: Vec<usize> = version.levels.iter().map(Vec::len).collect();
        assert!(matches!(depths[..], [1, deep] if deep > 2), "{depths:?}");
        let mut scan = Scan::new(version.clone(), SeqNo::MAX, Hidden::NONE, Vec::new(), vec![0xff]);
        let mut sorted: Vec<u64> = (0..4 * COUNT).collect();
        sorted.sort_unstable_by_key(|&i| key(i));
        let in_level = |part: &[u64]| part.iter().any(|&i| i < 2 * COUNT);
        let (front, back) =
            (sorted.get(..EDGE as usize).unwrap(), sorted.rchunks(EDGE as usize).next().unwrap());
        assert!(in_level(front) && in_level(back), "the level goes on at both ends of the walk");
        let walk = |scan: &mut Scan| {
            allocations(|| {
                for back in [false, true] {
                    for _ in 0..4 * COUNT - 2 * EDGE {
                        let stepped = if back { now(scan.prev()) } else { now(scan.next()) };
                        assert!(stepped.unwrap() && scan.row().is_some());
                    }
                }
            })
        };
        // Fills the cache.
        while scan.next().await.unwrap() {}
        while scan.prev().await.unwrap() {}
        for i in 0..5 * COUNT {
            version.get(&key(i), SeqNo::MAX, &Hidden::NONE).await.unwrap();
        }
        for _ in 0..EDGE {
            assert!(scan.next().await.unwrap());
        }
        // The first round fills buffers.
        walk(&mut scan);
        assert_eq!(walk(&mut scan), 0, "steps");

        // Where a level ends its cursor is let go of; on the way back it gets another.
        let turns = allocations(|| {
            while now(scan.prev()).unwrap() {}
            while now(scan.next()).unwrap() {}
            while now(scan.prev()).unwrap() {}
        });
        assert!(turns <= 8, "{turns} for two turns");

        let (mut found, mut inline) = (0, 0);
        let gets = allocations(|| {
            for i in 0..5 * COUNT {
                let got = now(version.get(&key(i), SeqNo::MAX, &Hidden::NONE)).unwrap();
                found += u64::from(got.is_some());
                inline += u64::from(matches!(got, Some(Found { payload: Payload::Inline(_), .. })));
            }
        });
        let inlines = |which: std::ops::Range<u64>| which.filter(|&i| is_inline(i)).count() as u64;
        assert_eq!((found, inline), (4 * COUNT, inlines(0..4 * COUNT)));
        // A table lends a value out of its block, a memtable gives a copy.
        assert_eq!(gets, inlines(3 * COUNT..4 * COUNT), "look-ups");
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
