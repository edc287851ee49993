//! Records of the value log: encoding one and verifying one. `cargo bench -p jdb_bench --bench log`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jdb_base::SeqNo;
use jdb_bench::index::key;
use jdb_val::record::{Fields, Head, encode};
use jdb_val::{LogPos, RecordKind, segment};
use std::hint::black_box;
use std::time::Duration;

fn records(criterion: &mut Criterion) {
    let seed = segment::segment_seed(&[7; 16], 0, 1);
    let fields = Fields { kind: RecordKind::Put, ops_left: 0, seq: SeqNo::new(9), synced_back: 100 };
    for value_len in [128usize, 1024, 16 << 10] {
        let value = vec![0xa5; value_len];
        let mut out = Vec::new();
        encode(&mut out, seed, 64, fields, &key(1), &value);
        let mut group = criterion.benchmark_group("record");
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(BenchmarkId::new("encode", value_len), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(&mut out, seed, 64, fields, &key(1), black_box(&value));
            });
        });
        group.bench_function(BenchmarkId::new("verify", value_len), |bencher| {
            bencher.iter(|| {
                let head = Head::peek(black_box(&out), seed, 64).expect("a record");
                assert!(head.verifies(&out));
                head.record(&out, LogPos::new(1, 8)).expect("a record").value.len()
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = records
}
criterion_main!(benches);
