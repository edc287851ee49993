//! A database does what a `BTreeMap` does: seeded operations on both, every answer compared.
//!
//! | module | what |
//! |---|---|
//! | `model` | namespaces as maps, and a scan over a frozen one |
//! | `run` | one run: options, operations and checks drawn from a seed; its `writes`, its `reads`, what it `draw`s |
//!
//! A failure prints seed and step; [`one_seed`] runs a seed again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

#[path = "agrees_with_model/model.rs"]
mod model;
#[path = "agrees_with_model/run.rs"]
mod run;

use jdb::{Driver, RuntimeConfig};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use run::{Run, STEPS};
use std::path::PathBuf;

const SIM_SEEDS: u64 = 60;
const REAL_SEEDS: u64 = 6;

/// Environment variable for [`one_seed`].
const SEED: &str = "JDB_MODEL_SEED";

#[test]
fn simulated_disk_agrees_with_a_btree_map_on_many_seeds() {
    for seed in 0..SIM_SEEDS {
        on_sim(seed);
    }
}

#[test]
fn real_disk_agrees_with_a_btree_map_on_io_uring() {
    on_real(Driver::IoUring, 1000);
}

#[test]
fn real_disk_agrees_with_a_btree_map_on_poll() {
    on_real(Driver::Poll, 2000);
}

#[test]
fn one_seed() {
    if let Ok(seed) = std::env::var(SEED) {
        on_sim(seed.parse().unwrap());
    }
}

fn on_sim(seed: u64) {
    let latency = if seed.is_multiple_of(3) { Latency::NONE } else { Latency::up_to(300) };
    let short_permille = if seed.is_multiple_of(4) { 50 } else { 0 };
    let suspend = !seed.is_multiple_of(5);
    let sim = SimDisk::new(SimConfig { seed, latency, short_permille, suspend, ..SimConfig::default() });
    let disk = Disk::sim(&sim);
    let run = Run::new(seed, PathBuf::from("/db"), Some(disk));
    sim.executor().block_on(run.go(STEPS)).expect("nothing waits for ever");
}

fn on_real(driver: Driver, first: u64) {
    for seed in first..first + REAL_SEEDS {
        let runtime = match jdb::runtime(&RuntimeConfig { driver: Some(driver), ..RuntimeConfig::default() })
        {
            Ok(runtime) => runtime,
            Err(error) => return println!("skipped: no {driver:?}: {error}"),
        };
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let run = Run::new(seed, dir.path().join("db"), None);
            assert_eq!(run.go(STEPS / 2).await, driver);
        });
    }
}
