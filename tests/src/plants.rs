//! Every planted bug, the campaigns that must notice it, and after how much work they did.

use crate::campaign::{self, Kind, Settings};
use jdb_io::plant::Plant;
use std::time::Duration;

/// A bug, and which campaigns look for it in turn, each with a bound in its own unit.
struct Hunt {
    plant: Plant,
    kinds: &'static [(Kind, u64)],
}

const fn hunt(plant: Plant, kinds: &'static [(Kind, u64)]) -> Hunt {
    Hunt { plant, kinds }
}

/// CI's floors.
const CUTS: (Kind, u64) = (Kind::Cuts, 40_000);
const RECOVERY: (Kind, u64) = (Kind::Recovery, 20_000);
const ORDER: (Kind, u64) = (Kind::Order, 5_000);
const FAULTS: (Kind, u64) = (Kind::Faults, 10_000);
const DAMAGE: (Kind, u64) = (Kind::Damage, 10_000);

const HUNTS: &[Hunt] = &[
    hunt(Plant::NoLogSync, &[CUTS]),
    hunt(Plant::NoTableSync, &[CUTS]),
    hunt(Plant::NoManifestSync, &[CUTS]),
    hunt(Plant::NoSegmentDirSync, &[CUTS]),
    hunt(Plant::NoTableDirSync, &[CUTS]),
    hunt(Plant::NoManifestDirSync, &[CUTS, RECOVERY]),
    hunt(Plant::NoOpenSync, &[CUTS, RECOVERY]),
    hunt(Plant::NoTailSync, &[RECOVERY, ORDER, CUTS]),
    hunt(Plant::NoSuperblockSync, &[CUTS]),
    hunt(Plant::SyncLastSegmentOnly, &[CUTS]),
    hunt(Plant::FlushBeforeLogSync, &[CUTS]),
    hunt(Plant::ReplayFromWritten, &[CUTS, ORDER]),
    hunt(Plant::HalfBatch, &[CUTS]),
    hunt(Plant::NoLifeStart, &[CUTS, RECOVERY, ORDER]),
    hunt(Plant::SeqPlusOne, &[CUTS, RECOVERY, ORDER]),
    hunt(Plant::AppendToOldSegment, &[RECOVERY, CUTS, ORDER]),
    hunt(Plant::IgnoreTrueEnd, &[RECOVERY, CUTS, ORDER]),
    hunt(Plant::AnySuccessor, &[CUTS, RECOVERY]),
    hunt(Plant::RemoveUnknownSegments, &[CUTS]),
    hunt(Plant::ReuseFileNumber, &[RECOVERY, CUTS, ORDER]),
    hunt(Plant::DropMapOfNow, &[CUTS]),
    hunt(Plant::SyncReachAtCompletion, &[CUTS]),
    hunt(Plant::StaleEdit, &[CUTS, ORDER]),
    hunt(Plant::SyncedBackFromReplay, &[CUTS, RECOVERY]),
    hunt(Plant::UnboundedUnsynced, &[ORDER]),
    hunt(Plant::ReadInTwoSteps, &[ORDER]),
    hunt(Plant::AppendToOldManifest, &[CUTS, RECOVERY]),
    hunt(Plant::NoCorruptionProof, &[DAMAGE]),
    hunt(Plant::AnyRecordProves, &[CUTS]),
    hunt(Plant::NoRise, &[CUTS, RECOVERY, DAMAGE]),
    hunt(Plant::RetryFailedSync, &[FAULTS]),
    hunt(Plant::AppendAfterFailedWrite, &[FAULTS]),
    hunt(Plant::NoKeyCheck, &[DAMAGE]),
    hunt(Plant::ForgetDropBelowReplay, &[CUTS]),
];

/// Hunts all planted bugs, or those that `settings` names; prints a table row each through `print`. False when one was
/// not found.
pub fn run(settings: &Settings, print: &mut dyn FnMut(String)) -> bool {
    let mut all = true;
    print(format!("{:<24} {:<10} {:>10} {:>8}  how it shows", "planted bug", "kind", "after", "seed"));
    for hunt in HUNTS {
        if settings.plants.is_empty() || settings.plants.contains(&hunt.plant) {
            all &= one(settings, hunt, print);
        }
    }
    all
}

fn one(settings: &Settings, hunt: &Hunt, print: &mut dyn FnMut(String)) -> bool {
    let mut tried = String::new();
    for (kind, bound) in hunt.kinds {
        let settings = Settings {
            kind: *kind,
            bound: *bound,
            plants: vec![hunt.plant],
            time: settings.time.min(Duration::from_secs(120)),
            ..settings.clone()
        };
        let outcome = campaign::run(&settings);
        let done = kind.done(&outcome.counts);
        if let Some((seed, violation)) = outcome.broken {
            let line = violation.0.lines().next().unwrap_or_default();
            let line: String = line.chars().take(150).collect();
            print(format!("{:<24} {:<10} {done:>10} {seed:>8}  {line}", hunt.plant.name(), kind.name()));
            return true;
        }
        tried.push_str(&format!(" {} {done}", kind.name()));
    }
    print(format!("{:<24} NOT FOUND:{tried}", hunt.plant.name()));
    false
}
