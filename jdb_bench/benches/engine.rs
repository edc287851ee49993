//! Small operations on a whole database: `cargo bench -p jdb_bench --bench engine`.

use criterion::{Criterion, criterion_group, criterion_main};
use jdb::Durability;
use jdb_bench::{Load, Rows, fill, read_random, walk};
use std::hint::black_box;

const ROWS: Rows = Rows { count: 20_000, ns_count: 20, value_len: 1024 };
const ONE: Load = Load { batch_count: 1, in_flight: 1, durability: Durability::Os };

fn engine(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).expect("a runtime");
    let db = runtime.block_on(async {
        let db = jdb::open(dir.path().join("db")).await.expect("an empty database");
        fill(&db, ROWS, 0..ROWS.count, Load { batch_count: 100, ..ONE }).await.expect("rows");
        db.flush().await.expect("a flush");
        db
    });
    let mut next = 0;
    for (name, load, count) in [
        ("put 1 KiB, one by one", ONE, 1),
        ("put 1 KiB, 64 in flight", Load { in_flight: 64, ..ONE }, 64),
        ("put 1 KiB, a batch of 64", Load { batch_count: 64, ..ONE }, 64),
        ("put 1 KiB, synced", Load { durability: Durability::Sync, ..ONE }, 1),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let from = next % (ROWS.count - count);
                next += count;
                runtime.block_on(fill(&db, ROWS, from..from + count, load)).expect("a put");
            });
        });
    }
    criterion.bench_function("get 1 KiB, warm", |bencher| {
        bencher.iter(|| runtime.block_on(read_random(&db, ROWS, 1)).expect("a row"));
    });
    for (name, backward) in [("walk 20,000 keys forward", false), ("walk 20,000 keys backward", true)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| black_box(runtime.block_on(walk(&db, ROWS, backward, false)).expect("a walk")));
        });
    }
    runtime.block_on(db.close()).expect("a close");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = engine
}
criterion_main!(benches);
