//! One namespace that imports, or reads without end, does not hold up the others.

use futures::future::{join, join_all};
use std::cell::Cell;
use std::future::IntoFuture;
use tests::on_sim::on_sim;

/// Puts of the importer that are under way at once; 1 MiB of them are written together.
const IMPORTED: usize = 400;
const VALUE_LEN: usize = 64 << 10;

#[test]
fn a_put_does_not_wait_for_the_backlog_of_another_namespace() {
    for seed in 0..5 {
        on_sim(seed, 500, async move |db| {
            let (done, ahead) = (Cell::new(0), Cell::new(IMPORTED));
            let import = join_all((0..IMPORTED).map(|i| {
                let put = db.ns(1u64).put(i.to_be_bytes(), vec![7; VALUE_LEN]).into_future();
                let done = &done;
                async move {
                    put.await.unwrap();
                    done.set(done.get() + 1);
                }
            }));
            let other = async {
                // Behind the importer's, which have all been handed over by now.
                db.ns(2u64).put("key", "value").await.unwrap();
                ahead.set(done.get());
            };
            join(import, other).await;
            assert_eq!(done.get(), IMPORTED);
            assert!(ahead.get() <= 3 * (1 << 20) / VALUE_LEN, "seed {seed}: {} puts went first", ahead.get());
        });
    }
}

#[test]
fn who_reads_from_memory_lets_others_have_the_thread() {
    on_sim(1, 0, async |db| {
        db.put_many((0..20_000u32).map(|i| (1u64, i.to_be_bytes(), "value"))).await.unwrap();
        let over = Cell::new(false);
        let turns = Cell::new(0);
        let reads = async {
            let mut scan = db.ns(1u64).iter();
            while scan.next().await.unwrap().is_some() {}
            db.ns(1u64).multi_get((0..20_000u32).map(u32::to_be_bytes)).await.unwrap();
            over.set(true);
        };
        let others = async {
            while !over.get() {
                turns.set(turns.get() + 1);
                jdb_io::task::yield_now().await;
            }
        };
        join(reads, others).await;
        assert!(turns.get() >= 20_000 / 1024 + 20_000 / 256, "{} turns", turns.get());
    });
}
