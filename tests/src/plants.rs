//! Every planted bug, the campaigns that must notice it, and after how much work they did.

use crate::campaign::{self, Kind, Settings};
use jdb_io::plant::Plant;
use std::time::Duration;

/// A bug, and who must find it.
struct Hunt {
    plant: Plant,
    /// Another rule that would hide it, left out as well.
    with: Option<Plant>,
    by: By,
}

/// Who must find a bug.
enum By {
    /// Campaigns, one after the other, each with a bound in its own unit.
    Campaigns(&'static [(Kind, u64)]),
    /// A test of the crate that has the rule: what the rule guards against does not come about in a whole database of
    /// today, but can be made by hand.
    Test(&'static str),
}

const fn hunt(plant: Plant, kinds: &'static [(Kind, u64)]) -> Hunt {
    Hunt { plant, with: None, by: By::Campaigns(kinds) }
}

const fn test(plant: Plant, test: &'static str) -> Hunt {
    Hunt { plant, with: None, by: By::Test(test) }
}

/// CI's floors.
const CUTS: (Kind, u64) = (Kind::Cuts, 40_000);
const RECOVERY: (Kind, u64) = (Kind::Recovery, 20_000);
const ORDER: (Kind, u64) = (Kind::Order, 5_000);
const FAULTS: (Kind, u64) = (Kind::Faults, 10_000);
const DAMAGE: (Kind, u64) = (Kind::Damage, 10_000);
const NAMES: (Kind, u64) = (Kind::Names, 30_000);

const HUNTS: &[Hunt] = &[
    hunt(Plant::NoLogSync, &[CUTS]),
    hunt(Plant::NoTableSync, &[CUTS]),
    hunt(Plant::NoManifestSync, &[CUTS]),
    hunt(Plant::NoSegmentDirSync, &[CUTS, ORDER]),
    hunt(Plant::NoTableDirSync, &[CUTS]),
    hunt(Plant::NoManifestDirSync, &[CUTS, RECOVERY]),
    // It takes two cuts: one that keeps a removal and loses the record before it.
    hunt(Plant::NoOpenSync, &[(Kind::Recovery, 150_000)]),
    hunt(Plant::NoTailSync, &[RECOVERY, ORDER, CUTS]),
    hunt(Plant::NoSuperblockSync, &[CUTS]),
    hunt(Plant::SyncLastSegmentOnly, &[CUTS, ORDER]),
    hunt(Plant::FlushBeforeLogSync, &[CUTS]),
    hunt(Plant::ReplayFromWritten, &[ORDER, CUTS]),
    hunt(Plant::HalfBatch, &[CUTS]),
    hunt(Plant::NoLifeStart, &[CUTS, RECOVERY, ORDER]),
    hunt(Plant::SeqPlusOne, &[CUTS, RECOVERY, ORDER]),
    // What is found behind a new record has lower sequences, which ends the log: two rules guard one place.
    Hunt { with: Some(Plant::NoRise), ..hunt(Plant::AppendToOldSegment, &[ORDER, CUTS, RECOVERY]) },
    hunt(Plant::AnySuccessor, &[CUTS, RECOVERY]),
    hunt(Plant::RemoveUnknownSegments, &[CUTS]),
    hunt(Plant::ReuseFileNumber, &[RECOVERY, CUTS, ORDER]),
    hunt(Plant::DropMapOfNow, &[ORDER, CUTS]),
    hunt(Plant::SyncReachAtCompletion, &[ORDER, CUTS]),
    hunt(Plant::SyncedBackFromReplay, &[CUTS, RECOVERY]),
    hunt(Plant::UnboundedUnsynced, &[CUTS, ORDER]),
    hunt(Plant::NoCorruptionProof, &[DAMAGE]),
    hunt(Plant::AnyRecordProves, &[CUTS]),
    hunt(Plant::RetryFailedSync, &[FAULTS]),
    hunt(Plant::AppendAfterFailedWrite, &[FAULTS]),
    hunt(Plant::ForgetDropBelowReplay, &[CUTS, ORDER]),
    // What a failed write leaves behind a true end is cut off at once.
    test(Plant::IgnoreTrueEnd, "jdb_val: bytes_behind_a_true_end_stay_gone"),
    // Bytes of another life are written over only in recycled files, and do not verify there.
    test(Plant::NoRise, "jdb_val: rules_left_out_are_noticed_by_the_tests_above"),
    test(Plant::NoKeyCheck, "jdb_val: rules_left_out_are_noticed_by_the_tests_above"),
    test(Plant::AppendToOldManifest, "jdb_ns manifest: the file of another life is not appended to"),
    hunt(Plant::TombstoneDroppedEarly, &[ORDER, CUTS]),
    hunt(Plant::SnapshotIgnored, &[ORDER]),
    hunt(Plant::ForgetReadPoint, &[ORDER]),
    hunt(Plant::MergeDropsOverSnapshot, &[ORDER]),
    hunt(Plant::CutInsideKey, &[ORDER, CUTS]),
    hunt(Plant::SwallowReadError, &[DAMAGE, FAULTS]),
    hunt(Plant::DropSeqAtEnd, &[ORDER, CUTS]),
    // It takes a drop that leaves older versions in sight: an aborted import, which no database makes yet.
    test(Plant::ShadowBeforeDrops, "jdb_lsm compaction: every_planted_bug_is_found"),
    hunt(Plant::CompactBeforeLogSync, &[CUTS, ORDER]),
    hunt(Plant::FlushDropsAhead, &[CUTS, ORDER]),
    hunt(Plant::RemoveBeforeManifest, &[CUTS]),
    hunt(Plant::StaleEdit, &[ORDER, CUTS]),
    hunt(Plant::ReadInTwoSteps, &[ORDER]),
    hunt(Plant::RemoveCollectedEarly, &[CUTS]),
    hunt(Plant::TrustNewest, &[ORDER]),
    hunt(Plant::VictimAtReplay, &[CUTS, ORDER]),
    hunt(Plant::ForgetHomes, &[CUTS]),
    hunt(Plant::CountLiveTwice, &[CUTS, ORDER]),
    hunt(Plant::ForgetPointed, &[ORDER, CUTS]),
    hunt(Plant::KeepLeftOut, &[ORDER, CUTS]),
    hunt(Plant::RemovePinned, &[ORDER]),
    hunt(Plant::TurnOverUnflushed, &[CUTS]),
    hunt(Plant::RecycledNameUnsynced, &[CUTS, ORDER]),
    // The simulated disk has no links.
    test(Plant::RecycleLinked, "tests collects: a_file_that_a_backup_links_is_not_written_over"),
    hunt(Plant::ReuseName, &[NAMES]),
    hunt(Plant::RenameUnsynced, &[NAMES]),
    hunt(Plant::NoNameGuard, &[NAMES]),
    // It takes a write between a drop and its sync: 150,000 cuts of `names` had none, the test makes it.
    test(
        Plant::NameFreedEarly,
        "tests names: a_name_is_given_on_only_when_no_power_cut_brings_back_who_had_it",
    ),
    hunt(Plant::EntryRemovedEarly, &[NAMES]),
    // It breaks no promise about what is read.
    test(Plant::UnfairQueue, "jdb_ns queue: who_has_nothing_waiting_goes_before_anothers_backlog"),
    // Such a filter cannot be built, or is left out because it misses a key: answers stay right, reads become more.
    test(Plant::FilterBeforeDedup, "jdb_sst filter: keys_that_come_twice_have_a_filter"),
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
    let name = hunt.plant.name();
    let kinds = match hunt.by {
        By::Campaigns(kinds) => kinds,
        By::Test(test) => {
            print(format!("{name:<24} {:<10} {:>10} {:>8}  {test}", "a test", "-", "-"));
            return true;
        }
    };
    let mut tried = String::new();
    for (kind, bound) in kinds {
        let settings = Settings {
            kind: *kind,
            bound: *bound,
            plants: [Some(hunt.plant), hunt.with].into_iter().flatten().collect(),
            time: settings.time.min(Duration::from_secs(120)),
            ..settings.clone()
        };
        let outcome = campaign::run(&settings);
        let done = kind.done(&outcome.counts);
        if let Some((seed, violation)) = outcome.broken {
            let line = violation.0.lines().next().unwrap_or_default();
            let line: String = line.chars().take(150).collect();
            print(format!("{name:<24} {:<10} {done:>10} {seed:>8}  {line}", kind.name()));
            return true;
        }
        tried.push_str(&format!(" {} {done}", kind.name()));
    }
    print(format!("{name:<24} NOT FOUND:{tried}"));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_is_hunted_once() {
        for plant in Plant::ALL {
            let hunts = HUNTS.iter().filter(|hunt| hunt.plant == *plant).count();
            assert_eq!(hunts, 1, "{}", plant.name());
        }
    }
}
