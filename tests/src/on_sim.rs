//! A database of one shard on a simulated disk, for tests that need nothing else.

use jdb::{Db, Options};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use std::time::Duration;

/// Opens a database on a disk of this seed whose operations take up to `latency_us`, runs, closes. It is flushed only when it is asked
/// to.
///
/// # Panics
/// When it cannot be opened or closed, or waits for what never comes.
pub fn on_sim(seed: u64, latency_us: u64, run: impl AsyncFnOnce(Db) + 'static) {
    let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(latency_us), ..SimConfig::default() });
    let options = Options {
        shards: 1,
        flush_interval: Duration::from_secs(1000),
        ..Options::at("/db").on_disk(Disk::sim(&sim))
    };
    let run = async move {
        let db = jdb::open(options).await.expect("a new disk");
        run(db.clone()).await;
        db.close().await.expect("no fault");
    };
    sim.executor().block_on(run).expect("nothing waits for ever");
}
