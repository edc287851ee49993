//! Short seeded campaigns of every kind, and single crashes that once deserved a name.
#![expect(clippy::unwrap_used, reason = "tests")]

use jdb::{Db, Options};
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{At, Fault, FaultKind, Latency, OpKind, Repeat, SimConfig, SimDisk};
use tests::campaign::{self, Kind, Settings};

/// A campaign of a fixed size; the runner's own bounds, floors and more seeds are in `.ci/run`.
fn campaign(kind: Kind, seeds: u64, bound: u64, floor: u64) {
    let settings = Settings { seed_count: seeds, bound, ..Settings::new(kind) };
    let outcome = campaign::run(&settings);
    let done = kind.done(&outcome.counts);
    if let Some((seed, violation)) = outcome.broken {
        panic!("{} seed {seed}: {violation}", kind.name());
    }
    assert!(done >= floor, "only {done} {}", kind.unit());
}

#[test]
fn power_cuts_leave_a_prefix_with_everything_promised() {
    campaign(Kind::Cuts, 20, 1500, 1500);
}

#[test]
fn power_cuts_inside_recovery_change_nothing() {
    campaign(Kind::Recovery, 4, 1000, 1000);
}

#[test]
fn any_order_of_tasks_and_completions_is_right() {
    campaign(Kind::Order, 60, u64::MAX, 60);
}

#[test]
fn failing_io_is_said_and_harms_nothing_else() {
    campaign(Kind::Faults, 20, 150, 150);
}

#[test]
fn dropped_futures_leave_whole_commits() {
    campaign(Kind::Drops, 60, u64::MAX, 200);
}

#[test]
fn damaged_files_give_right_answers_or_errors_that_name_them() {
    campaign(Kind::Damage, 8, u64::MAX, 500);
}

#[test]
fn names_lead_to_one_namespace_each_after_power_cuts_and_kills() {
    campaign(Kind::Names, 20, 1000, 1000);
}

fn quiet(seed: u64) -> SimConfig {
    SimConfig { seed, latency: Latency::NONE, suspend: false, ..SimConfig::default() }
}

async fn open(disk: &Disk) -> Db {
    jdb::open(Options { shards: 1, ..Options::at("/db") }.on_disk(disk.clone())).await.unwrap()
}

async fn keys(db: &Db) -> Vec<String> {
    let mut keys = Vec::new();
    let mut scan = db.ns(1u64).iter();
    while let Some(item) = scan.next().await.unwrap() {
        keys.push(String::from_utf8(item.key().to_vec()).unwrap());
    }
    keys
}

/// A write that fails may have reached the disk whole; what came after it must not bring it back.
fn failed_group_stays_out(seed: u64) -> Vec<String> {
    let sim = SimDisk::new(quiet(seed));
    let disk = Disk::sim(&sim);
    let faulty = sim.clone();
    sim.executor()
        .block_on(async move {
            let db = open(&disk).await;
            let ns = db.ns(1u64);
            ns.put("a", "1").await.unwrap();
            // The write fails, and so does cutting off what it left.
            for op in [OpKind::Write, OpKind::SetLen] {
                faulty.inject(Fault { at: At::NthOf(op, 0), kind: FaultKind::Eio, repeat: Repeat::Once });
            }
            ns.put("b", "2").await.unwrap_err();
            ns.put("c", "3").await.unwrap();
            assert_eq!(keys(&db).await, ["a", "c"], "seed {seed}");
        })
        .unwrap();
    let killed = sim.kill(seed, quiet(seed));
    let disk = Disk::sim(&killed);
    killed.executor().block_on(async move { keys(&open(&disk).await).await }).unwrap()
}

#[test]
fn a_failed_write_that_reached_the_disk_does_not_come_back_behind_a_later_one() {
    for seed in 0..40 {
        assert_eq!(failed_group_stays_out(seed), ["a", "c"], "seed {seed}");
    }
    plant(&[Plant::IgnoreTrueEnd]);
    let noticed = (0..40)
        .any(|seed| std::panic::catch_unwind(|| failed_group_stays_out(seed) != ["a", "c"]).unwrap_or(true));
    plant(&[]);
    assert!(noticed, "without the rule nothing happens: the test tests nothing");
}
