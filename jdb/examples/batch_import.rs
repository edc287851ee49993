//! Batches: many rows in one commit, all of them or none.
//!
//! `cargo run --release -p jdb --example batch_import [ROWS]`

use std::error::Error;

const BATCH: u64 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(200_000), |count| count.parse())?;
    let scratch = tempfile::tempdir()?;
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(scratch.path().join("data")).await?;
        let events = db.ns(1u64);
        let mut last = None;
        for first in (0..rows).step_by(BATCH as usize) {
            let mut batch = events.batch();
            for number in first..rows.min(first + BATCH) {
                // Big-endian numbers sort as numbers do.
                batch.put(number.to_be_bytes(), format!("event {number}"));
            }
            last = Some(batch.commit().await?);
        }
        // One wait at the end instead of a sync a batch: commits become durable in their order.
        if let Some(commit) = &last {
            commit.durable().await?;
        }
        let stats = db.stats();
        println!(
            "{rows} rows in {} commits and {} syncs; {:.3} bytes written per byte put",
            stats.shards.iter().map(|shard| shard.commits).sum::<u64>(),
            stats.io.syncs,
            stats.io.write_len as f64 / stats.put_len() as f64,
        );
        db.close().await?;
        Ok(())
    })
}
