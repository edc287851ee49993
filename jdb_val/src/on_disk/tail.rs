//! The recovered tail after a sync that failed: clean pages that the disk never got.

use super::harness::*;
use crate::{Checkpoint, Error, LogConfig, LogPos, ValueLog};
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, SyncFailure};

fn once(kind: OpKind, fault: FaultKind) -> Fault {
    Fault { at: At::NthOf(kind, 0), kind: fault, repeat: Repeat::Once }
}

fn dropped_clean() -> Fault {
    once(OpKind::Sync, FaultKind::FailedSync(SyncFailure::DroppedClean))
}

fn next_of(sim: &SimDisk) -> u32 {
    sim.paths()
        .iter()
        .filter_map(|p| crate::segment::parse_any_name(p.file_name()?.to_str()?))
        .max()
        .unwrap_or(0)
        + 1
}

/// One life: opens, appends and syncs at random; gives what a sync acknowledged, by value, in order, or what is wrong.
fn life(sim: &SimDisk, seed: u64, fails: bool) -> Result<Vec<Vec<u8>>, String> {
    let (disk, shared, mut next) = (Disk::sim(sim), sim.clone(), next_of(sim));
    run(sim, async move {
        let mut chance = Chance(seed);
        let config = LogConfig { segment_len: 4096 << chance.below(9), ..config() };
        let opened = open(&disk, config, &Checkpoint::default()).await;
        let (log, _, seen) = opened.map_err(|error| format!("does not open: {error}"))?;
        let mut values: Vec<Vec<u8>> = seen.into_iter().map(|s| s.value).collect();
        if log.synced() != log.written() {
            return Err("what open serves is not durable".into());
        }
        let steps = 1 + chance.below(12);
        for step in 0..steps {
            let long = chance.below(8) == 0;
            let len = 16 + chance.below(if long { 400_000 } else { 600 });
            let mut value = vec![step as u8; len as usize];
            value[..8].copy_from_slice(&seed.to_le_bytes());
            append(&log, &mut next, &[vec![put(1, "k", value.clone())]]).await.map_err(|e| e.to_string())?;
            values.push(value);
            if chance.below(3) == 0 {
                log.sync().await.map_err(|e| e.to_string())?;
                drop(log.mark().await);
            }
        }
        if fails {
            append(&log, &mut next, &[vec![put(1, "k", "never synced")]]).await.map_err(|e| e.to_string())?;
            shared.inject(dropped_clean());
            return if log.sync().await.is_err() { Ok(values) } else { Err("the sync did not fail".into()) };
        }
        log.sync().await.map_err(|e| e.to_string())?;
        Ok(values)
    })
}

/// Lives whose last sync fails, each followed by the process's end, then one whose commits are acknowledged as synced, and
/// a power cut.
fn campaign(seed: u64) -> Option<String> {
    let mut chance = Chance(seed);
    let mut sim = sim(seed);
    for round in 0..1 + chance.below(3) {
        if let Err(what) = life(&sim, seed * 16 + round, true) {
            return Some(format!("seed {seed} round {round}: {what}"));
        }
        sim = sim.kill(chance.below(1 << 40), SimConfig { seed, ..SimConfig::default() });
    }
    let acknowledged = match life(&sim, seed * 16 + 15, false) {
        Ok(acknowledged) => acknowledged,
        Err(what) => return Some(format!("seed {seed}: {what}")),
    };
    sim = sim.power_cut(chance.below(1 << 40), SimConfig { seed, ..SimConfig::default() });
    match reopen(&sim, config()) {
        Err(error) => Some(format!("seed {seed}: {error}")),
        Ok((_, seen)) => {
            let kept: Vec<Vec<u8>> =
                seen.into_iter().filter(|s| s.kind != crate::RecordKind::Mark).map(|s| s.value).collect();
            let want: Vec<Vec<u8>> = acknowledged.into_iter().filter(|value| !value.is_empty()).collect();
            (kept != want).then(|| format!("seed {seed}: {} of {} are there", kept.len(), want.len()))
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_after_a_failed_sync_and_a_reopening_from_the_page_cache() {
    for seed in 0..300 {
        if let Some(problem) = campaign(seed) {
            panic!("{problem}");
        }
    }
    plant(&[Plant::NoTailSync]);
    let noticed = (0..100).any(|seed| campaign(seed).is_some());
    plant(&[]);
    assert!(noticed, "a tail that is not made durable was not noticed");
}

/// A disk whose log holds synced and then unsynced single puts; the last sync failed, all is in the page cache.
fn failed_sync() -> (SimDisk, LogPos, LogPos) {
    let sim = sim(1);
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    let (synced, written) = run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..40 {
            append(&log, &mut next, &[vec![put(1, &format!("{i}"), vec![7; 300])]]).await.unwrap();
            if i == 4 {
                log.sync().await.unwrap();
            }
        }
        shared.inject(dropped_clean());
        log.sync().await.unwrap_err();
        (log.synced(), log.written())
    });
    (sim, synced, written)
}

#[test]
fn only_what_no_record_proves_is_written_again() {
    for seed in 0..20 {
        let (sim, synced, written) = failed_sync();
        let before = Disk::sim(&sim).counters();
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        assert_eq!((recovered.end, seen.len()), (written, 40));
        let after = Disk::sim(&sim).counters();
        let pieces = written.segment - synced.segment + 1;
        assert_eq!(after.writes - before.writes, u64::from(pieces));
        assert_eq!(after.syncs - before.syncs, u64::from(pieces));
        let cut = sim.power_cut(seed, SimConfig::default());
        assert_eq!(reopen(&cut, config()).unwrap().1, seen, "seed {seed}");
    }
}

#[test]
fn a_tail_without_room_to_be_written_again_is_served_and_counts_as_unsynced() {
    let (sim, synced, written) = failed_sync();
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    run(&sim, async move {
        shared.inject(once(OpKind::Write, FaultKind::Enospc));
        let (log, _, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!((log.synced(), log.written(), seen.len()), (synced, written, 40));
        shared.inject(once(OpKind::Write, FaultKind::Enospc));
        assert!(log.sync().await.unwrap_err().is_no_space());
        assert!(!log.is_poisoned());
        assert_eq!(log.sync().await.unwrap(), written);
    });
    for seed in 0..20 {
        let cut = sim.power_cut(seed, SimConfig::default());
        assert_eq!(reopen(&cut, config()).unwrap().1.len(), 40, "seed {seed}");
    }
}

#[test]
fn a_sync_of_closed_segments_makes_up_for_the_whole_tail() {
    for seed in 0..20 {
        let (sim, synced, written) = failed_sync();
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            shared.inject(once(OpKind::Write, FaultKind::Enospc));
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            assert!(log.synced() == synced && log.has_unsynced_closed());
            shared.inject(once(OpKind::Write, FaultKind::Enospc));
            assert!(log.sync_closed().await.unwrap_err().is_no_space());
            assert!(!log.is_poisoned() && log.has_unsynced_closed());
            let open_from = log.chain().last().unwrap().pred;
            assert_eq!(log.sync_closed().await.unwrap(), open_from);
            assert!(synced < open_from && open_from < written && !log.has_unsynced_closed());
            if seed % 2 == 0 {
                // Nothing of this life is behind it: no file, and yet durable.
                assert_eq!(log.sync().await.unwrap(), written);
                append(&log, &mut 100, &[vec![put(1, "k", "of this life")]]).await.unwrap();
            }
        });
        let cut = sim.power_cut(seed, SimConfig::default());
        let (recovered, seen) = reopen(&cut, config()).unwrap();
        assert!((40..=41).contains(&seen.len()) && recovered.end >= written, "seed {seed}: {}", seen.len());
    }
}

/// Opens a log of 1 MB, unsynced behind its first records, of which `change` is made when replay has read the record with this
/// number, before anything is written again. The result, where that record lies, and the disk.
fn changed_while_open(
    number: usize,
    change: impl Fn(&SimDisk, LogPos, LogPos) + 'static,
) -> (Result<usize, Error>, LogPos, SimDisk) {
    let config = || LogConfig { segment_len: 8 << 20, ..config() };
    let sim = sim(2);
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..3000 {
            append(&log, &mut next, &[vec![put(1, &format!("{i:04}"), vec![7; 300])]]).await.unwrap();
            if i == 10 {
                log.sync().await.unwrap();
            }
        }
        shared.inject(dropped_clean());
        log.sync().await.unwrap_err();
    });
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    let (result, place) = run(&sim, async move {
        let (mut count, mut places) = (0, Vec::new());
        let opened = ValueLog::open(&disk, config(), &Checkpoint::default(), &mut |record| {
            count += 1;
            places.push((record.pos, record.end));
            // By then all of the log has been read for the first time.
            if count == 3000 {
                let (pos, end) = places[number];
                change(&shared, pos, end);
            }
        })
        .await;
        (opened.map(|_| count), places[number].0)
    });
    (result, place, sim)
}

fn changed(sim: &SimDisk, number: u32, at: u64) {
    assert!(sim.flip_bit(&path(number), 8 * at));
}

#[test]
fn a_record_that_changes_before_it_is_written_again_is_found_where_it_lies() {
    for number in [11, 12, 700, 701, 702, 703, 2998, 2999] {
        let (result, place, _) =
            changed_while_open(number, |sim, pos, _| changed(sim, pos.segment, pos.byte_offset() + 100));
        match result {
            Err(Error::Corrupt { what: "record that was replayed", offset, .. }) => {
                assert_eq!(offset, place.byte_offset(), "record {number}");
            }
            other => panic!("record {number}: {other:?}"),
        }
    }
}

#[test]
fn what_lies_between_records_may_change_before_they_are_written_again() {
    // A key of 6 bytes and a value of 300: 6 of 8 bytes of padding.
    for number in [12, 1500, 2999] {
        let (result, _, sim) =
            changed_while_open(number, |sim, _, end| changed(sim, end.segment, end.byte_offset() - 1));
        assert_eq!(result.unwrap(), 3000, "record {number}");
        let cut = sim.power_cut(3, SimConfig::default());
        assert_eq!(reopen(&cut, config()).unwrap().1.len(), 3000, "record {number}");
    }
}

#[test]
fn a_file_that_is_cut_before_it_is_written_again_fails_the_open() {
    let (result, place, _) = changed_while_open(2000, |sim, pos, _| {
        assert!(sim.set_len_raw(&path(pos.segment), pos.byte_offset() + 40));
    });
    assert!(
        matches!(result, Err(Error::Corrupt { what: "record that was replayed", offset, .. }) if offset == place.byte_offset()),
        "{result:?}"
    );
}

#[test]
fn a_long_tail_is_written_again_whole() {
    let (result, _, sim) = changed_while_open(0, |_, _, _| {});
    assert_eq!(result.unwrap(), 3000);
    for seed in 0..5 {
        let cut = sim.power_cut(seed, SimConfig::default());
        assert_eq!(reopen(&cut, config()).unwrap().1.len(), 3000, "seed {seed}");
    }
}

#[test]
fn another_failure_of_writing_again_fails_the_open() {
    for fault in [once(OpKind::Write, FaultKind::Eio), once(OpKind::Sync, FaultKind::Eio)] {
        let (sim, ..) = failed_sync();
        sim.inject(fault);
        assert!(matches!(reopen(&sim, config()), Err(Error::Io(_))));
        reopen(&sim, config()).unwrap();
    }
}

#[test]
fn a_log_open_for_reading_only_writes_and_syncs_nothing() {
    let (sim, synced, written) = failed_sync();
    let (disk, before) = (Disk::sim(&sim), Disk::sim(&sim).counters());
    run(&sim, async move {
        let config = LogConfig { read_only: true, ..config() };
        let (log, _, seen) = open(&disk, config, &Checkpoint::default()).await.unwrap();
        assert_eq!((log.written(), seen.len()), (written, 40));
        assert_eq!(log.sync().await.unwrap(), synced);
        let refused = append(&log, &mut 99, &[vec![put(1, "a", "b")]]).await;
        assert!(matches!(refused, Err(Error::ReadOnly { .. })));
        assert!(matches!(log.mark().await, Err(Error::ReadOnly { .. })));
        assert!(matches!(log.write_footer(1).await, Err(Error::ReadOnly { .. })));
    });
    let after = Disk::sim(&sim).counters();
    assert_eq!((after.writes, after.syncs, after.dir_syncs), (before.writes, before.syncs, before.dir_syncs));
}
