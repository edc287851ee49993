//! Pieces of the tree: index seek, merge step, flush, compaction. `cargo bench -p jdb_bench --bench tree`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jdb_base::{Kind, SeqNo};
use jdb_bench::index::{key, pointer};
use jdb_io::{BlockCache, Disk, Handles};
use jdb_lsm::{
    Compaction, CompactionOptions, FlushOptions, Hidden, Newest, PickerOptions, Scan, Table, Tree, pick,
    write_table,
};
use jdb_mem::Memtable;
use jdb_sst::WriterOptions;
use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Entries of each table and of the memtable.
const COUNT: u64 = 25_000;
const TABLES: u64 = 4;

fn fill(memtable: &Memtable, part: u64) {
    for i in part * COUNT..(part + 1) * COUNT {
        memtable.insert(&key(i), SeqNo::new(i + 1), Kind::Pointer, &pointer(i));
    }
}

fn flush_options() -> FlushOptions {
    FlushOptions::newest(WriterOptions::default(), |_, _| 0)
}

/// Four tables of level 0 and a memtable.
async fn tree(disk: &Disk, dir: &Path) -> Tree {
    let (cache, handles) = (Rc::new(BlockCache::new(64 << 20)), Rc::<Handles>::default());
    let tree = Tree::new(Vec::new());
    for part in 0..TABLES {
        let memtable = tree.active();
        fill(&memtable, part);
        tree.rotate();
        let path = dir.join(format!("{part}.sst"));
        let written = write_table(disk, &path, part as u32, flush_options(), &memtable);
        let flushed = written.await.expect("a table").expect("entries");
        let table = Table::new(disk, path, flushed.meta, Some(cache.clone()), &handles);
        tree.flushed(&memtable, Some(Rc::new(table)));
    }
    fill(&tree.active(), TABLES);
    tree
}

fn pieces(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).expect("a runtime");
    let (disk, tree) = runtime.block_on(async {
        let disk = Disk::real();
        let tree = tree(&disk, dir.path()).await;
        (disk, tree)
    });
    let version = tree.version();
    let scan = || Scan::new(version.clone(), SeqNo::MAX, Hidden::NONE, Vec::new(), vec![0xff]);

    let mut cursor = runtime.block_on(async {
        let table = version.tables().next().expect("a table");
        table.reader().await.expect("a reader").cursor()
    });
    // Keys of the newest table, far from the order in which they lie.
    let mut next = 0;
    criterion.bench_function("seek in a table, cached", |bencher| {
        bencher.iter(|| {
            next = (next + 7919) % COUNT;
            let key = key((TABLES - 1) * COUNT + next);
            runtime.block_on(cursor.seek(&key, SeqNo::MAX)).expect("a seek");
            assert_eq!(cursor.entry().expect("an entry").key, key);
        });
    });

    let mut group = criterion.benchmark_group("merge of 4 tables and a memtable, cached");
    group.throughput(Throughput::Elements((TABLES + 1) * COUNT)).sample_size(20);
    group.bench_function("forward", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let (mut scan, mut rows) = (scan(), 0);
                while scan.next().await.expect("a row") {
                    rows += u64::from(black_box(scan.row()).is_some());
                }
                assert_eq!(rows, (TABLES + 1) * COUNT);
            });
        });
    });
    group.bench_function("backward", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let (mut scan, mut rows) = (scan(), 0);
                scan.seek_end();
                while scan.prev().await.expect("a row") {
                    rows += u64::from(black_box(scan.row()).is_some());
                }
                assert_eq!(rows, (TABLES + 1) * COUNT);
            });
        });
    });
    group.finish();

    let number = Cell::new(1000u32);
    let next_file = || {
        number.set(number.get() + 1);
        (number.get(), dir.path().join(format!("{}.sst", number.get())))
    };
    let mut group = criterion.benchmark_group("background, file written and synced");
    group.throughput(Throughput::Elements(2 * COUNT)).sample_size(10);
    let memtable = Rc::new(Memtable::new());
    fill(&memtable, 0);
    fill(&memtable, 1);
    group.bench_function("flush of a memtable", |bencher| {
        bencher.iter(|| {
            let (number, path) = next_file();
            let options = flush_options();
            runtime.block_on(async {
                write_table(&disk, &path, number, options, &memtable).await.expect("a table");
                disk.remove(&path).await.expect("removed");
            });
        });
    });
    group.throughput(Throughput::Elements(TABLES * COUNT));
    group.bench_function("compaction of 4 tables", |bencher| {
        bencher.iter(|| {
            let plan =
                pick(&version.candidates(|_| 0, |_, _| false), u64::MAX, &[], &PickerOptions::default());
            let writer = WriterOptions::default();
            let options =
                CompactionOptions { writer, table_len: 16 << 20, record_len: |_, _| 0, tracked: Vec::new() };
            let plan = plan.expect("four tables of level 0 are due");
            let compaction = Compaction::new(&disk, &version, plan, Rc::new(Newest), options);
            runtime.block_on(async {
                let mut files = Vec::new();
                let mut next = || {
                    let (number, path) = next_file();
                    files.push(path.clone());
                    (number, path)
                };
                let compacted = compaction.expect("a plan for this tree").run(&mut next).await;
                assert_eq!(compacted.expect("a compaction").progress.written_count, TABLES * COUNT);
                for path in files {
                    disk.remove(&path).await.expect("removed");
                }
            });
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = pieces
}
criterion_main!(benches);
