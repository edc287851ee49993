use super::model::World;
use crate::testing::on_sim;
use jdb_io::plant::{Plant, plant};

/// Seeds of a run without bugs, and seeds within which a planted bug must be found.
const SEEDS: u64 = 40;

fn run(seed: u64, steps: usize) -> Result<super::model::Counts, String> {
    on_sim(seed, move |sim, disk| async move {
        let mut world = World::new(sim, disk, seed);
        world.run(steps).await.map_err(|why| format!("seed {seed}, {why}"))?;
        Ok(world.counts)
    })
}

#[test]
fn every_read_point_reads_the_same_after_any_compactions() {
    let mut total = super::model::Counts::default();
    for seed in 0..SEEDS {
        let counts = run(seed, 400).unwrap_or_else(|why| panic!("{why}"));
        total.flushes += counts.flushes;
        total.merges += counts.merges;
        total.moves += counts.moves;
        total.rewrites += counts.rewrites;
        total.failed += counts.failed;
        total.read_errors += counts.read_errors;
        total.drops_left += counts.drops_left;
        total.tombstones_dropped += counts.tombstones_dropped;
        total.deepest = total.deepest.max(counts.deepest);
    }
    let floors = [
        ("merges", total.merges, 5),
        ("moves", total.moves, 1),
        ("rewrites", total.rewrites, 1),
        ("failed", total.failed, 1),
        ("read errors", total.read_errors, 2),
        ("drops left", total.drops_left, 2),
        ("tombstones dropped", total.tombstones_dropped, 1),
    ];
    for (what, count, a_seed) in floors {
        assert!(count >= a_seed * SEEDS / 4, "{what}: {total:?}");
    }
    assert!(total.deepest >= 3, "{total:?}");
}

#[test]
fn every_planted_bug_is_found() {
    for bug in [
        Plant::TombstoneDroppedEarly,
        Plant::SnapshotIgnored,
        Plant::CutInsideKey,
        Plant::SwallowReadError,
        Plant::DropSeqAtEnd,
        Plant::ShadowBeforeDrops,
    ] {
        plant(&[bug]);
        let found = (0..SEEDS).find(|&seed| run(seed, 400).is_err());
        plant(&[]);
        assert!(found.is_some(), "{bug:?} was not found");
    }
}
