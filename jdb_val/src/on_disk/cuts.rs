//! Random work, the power fails or the process dies, the log is opened again, several lives long.
//!
//! What the oracle asks: recovered is a prefix of the commits in their order, whole batches, with everything in it that
//! was acknowledged as durable; no mere crash is called damage; every value is read back; no sequence comes twice.

use super::harness::*;
use crate::{Checkpoint, LogPos, Op, RecordKind, Sealed, ValueLog};
use jdb_base::ValuePtr;
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, Step};
use std::cell::RefCell;
use std::rc::Rc;

/// One batch, as its caller knows it.
#[derive(Clone, Debug)]
struct Commit {
    ops: Vec<(u64, RecordKind, Vec<u8>, Vec<u8>)>,
    end: Option<LogPos>,
    /// Sequences are known from here on; 0 before.
    written: bool,
    synced: bool,
    /// It was written when the process died, and no power cut since.
    cached: bool,
    failed: bool,
}

impl Commit {
    fn last(&self) -> u64 {
        self.ops[self.ops.len() - 1].0
    }

    /// Whether `seen` begins with this commit, whose sequences may be unknown.
    fn is_at_front_of(&self, seen: &[&Seen]) -> bool {
        self.ops.len() <= seen.len()
            && self.ops.iter().zip(seen).enumerate().all(|(i, (op, s))| {
                (!self.written || op.0 == s.seq)
                    && (op.1, &op.2, &op.3) == (s.kind, &s.key, &s.value)
                    && s.left as usize == self.ops.len() - 1 - i
            })
    }
}

/// What outlives a crash: the MANIFEST, kept as if it were written and synced at once, and the oracle's books.
#[derive(Default)]
struct World {
    checkpoint: Checkpoint,
    start: u64,
    hist: Vec<Commit>,
    log: Option<Rc<ValueLog>>,
    problem: Option<String>,
    opened: bool,
    poisoned: bool,
    /// A value is being read: no file of the log is given up.
    reading: bool,
    /// A sync will fail in this life, and take what was not synced with it.
    sync_fails: bool,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    commits: u64,
    replayed: u64,
    lost: u64,
    cuts: u64,
    kills: u64,
    cuts_in_recovery: u64,
    torn: u64,
    flushes: u64,
    segments: u64,
    failed: u64,
    poisoned: u64,
    recycled: u64,
}

type Shared = Rc<RefCell<World>>;

fn problem(world: &Shared, what: String) {
    world.borrow_mut().problem.get_or_insert(what);
}

/// Opens the log, compares it with the books, works until something stops it.
async fn life(disk: Disk, world: Shared, seed: u64) {
    let checkpoint = world.borrow().checkpoint.clone();
    let mut seen = Vec::new();
    let opened = ValueLog::open(&disk, config(), &checkpoint, &mut |r| {
        seen.push(Seen {
            seq: r.seq.get(),
            kind: r.kind,
            key: r.key.to_vec(),
            value: r.value.to_vec(),
            left: r.ops_left,
            pos: r.pos,
            end: r.end,
        });
    })
    .await;
    let (log, recovered) = match opened {
        Ok(opened) => opened,
        Err(crate::Error::Io(_)) => {
            world.borrow_mut().poisoned = true; // an injected fault of a sync: nothing is known of the tail
            return;
        }
        Err(error) => return problem(&world, format!("a mere crash made the log unreadable: {error}")),
    };
    let log = Rc::new(log);
    {
        let mut world = world.borrow_mut();
        world.opened = true;
        world.counts.torn += u64::from(recovered.torn);
        compare(&mut world, &seen, recovered.last_seq.get());
        // The start of a life is durable before its first record.
        world.start = world.start.max(recovered.last_seq.get()) + 1000;
        log.start_life(seq(world.start));
        world.log = Some(Rc::clone(&log));
        let next = world.checkpoint.next_number.max(recovered.max_number + 1);
        world.checkpoint.next_number = next;
    }
    let number = Rc::new(RefCell::new(world.borrow().checkpoint.next_number));
    disk.spawn(work(Rc::clone(&log), Rc::clone(&world), number, Chance(seed)));
    disk.spawn(sync(disk.clone(), Rc::clone(&log), Rc::clone(&world), Chance(seed ^ 1)));
    disk.spawn(read(disk.clone(), log, world, Chance(seed ^ 2)));
}

/// Recovered records against the books, which forget what is gone.
fn compare(world: &mut World, seen: &[Seen], last_seq: u64) {
    let from = world.checkpoint.last_seq.get();
    let all: Vec<&Seen> = seen.iter().filter(|s| s.kind != RecordKind::Mark).collect();
    let mut rest = &all[..];
    let mut kept = Vec::new();
    let mut gone = None;
    let mut back = None;
    let known: Vec<u64> = world.hist.iter().filter(|c| c.written).map(|c| c.ops[0].0).collect();
    for mut commit in std::mem::take(&mut world.hist) {
        if commit.written && commit.last() <= from {
            kept.push(commit);
            continue;
        }
        let taken = !commit.written && rest.first().is_some_and(|s| known.contains(&s.seq));
        if !taken && commit.is_at_front_of(rest) {
            for (op, s) in commit.ops.iter_mut().zip(rest) {
                op.0 = s.seq;
            }
            rest = &rest[commit.ops.len()..];
            if commit.failed {
                back = Some(commit.last());
            } else if let Some(back) = back {
                let last = commit.last();
                world.problem.get_or_insert(format!(
                    "failed commit {back} is back although {last} went on without it"
                ));
            }
            if let Some(gone) = gone {
                world
                    .problem
                    .get_or_insert(format!("commit {} is there, {gone} before it is not", commit.last()));
            }
            // What the open log serves is durable: it was synced before.
            (commit.written, commit.synced, commit.failed) = (true, true, false);
            commit.cached = true;
            world.counts.replayed += 1;
            kept.push(commit);
        } else if commit.synced || commit.cached {
            world.problem.get_or_insert(format!(
                "commit {} is lost, synced {}",
                commit.last(),
                commit.synced
            ));
        } else if !commit.failed {
            gone = Some(commit.last());
            world.counts.lost += 1;
        }
    }
    if let Some(extra) = rest.first() {
        world.problem.get_or_insert(format!("sequence {} was never committed, or not as it is", extra.seq));
    }
    let newest = kept.iter().flat_map(|c| &c.ops).map(|op| op.0).max().unwrap_or(0);
    if newest > last_seq {
        world.problem.get_or_insert(format!("last sequence {last_seq} although {newest} is there"));
    }
    // Ends of recovered commits are told by their records.
    for commit in &mut kept {
        let last = commit.last();
        if let Some(found) = seen.iter().find(|s| s.seq == last) {
            commit.end = Some(found.end);
        }
    }
    world.hist = kept;
}

async fn work(log: Rc<ValueLog>, world: Shared, number: Rc<RefCell<u32>>, mut chance: Chance) {
    loop {
        match chance.below(20) {
            0 => flush(&log, &world, &mut chance),
            1 => log.seal(),
            2 => drop(log.mark().await),
            3 => collect(&log, &world).await,
            _ => {
                let batches: Vec<Vec<Op>> = (0..1 + chance.below(4)).map(|_| batch(&mut chance)).collect();
                if !append_all(&log, &world, &number, batches).await {
                    return;
                }
            }
        }
        jdb_io::task::yield_now().await;
    }
}

fn batch(chance: &mut Chance) -> Vec<Op> {
    let count = if chance.below(3) == 0 { 1 + chance.below(6) } else { 1 };
    (0..count)
        .map(|_| {
            let len = if chance.below(12) == 0 { chance.below(6000) } else { chance.below(300) };
            let byte = chance.below(256) as u8;
            let mut op = put(chance.below(4), &format!("{}", chance.below(9)), vec![byte; len as usize]);
            if chance.below(4) == 0 {
                (op.kind, op.value) = (RecordKind::Delete, bytes::Bytes::new());
            }
            op
        })
        .collect()
}

/// Appends; the books know of a commit before its write begins. False when the log takes no more.
async fn append_all(log: &ValueLog, world: &Shared, number: &RefCell<u32>, batches: Vec<Vec<Op>>) -> bool {
    let mut rest: Vec<&[Op]> = batches.iter().map(Vec::as_slice).collect();
    while !rest.is_empty() {
        let known = world.borrow().hist.len();
        for batch in &rest {
            let ops = batch.iter().map(|op| (0, op.kind, op.key.clone(), op.value.to_vec())).collect();
            let commit =
                Commit { ops, end: None, written: false, synced: false, cached: false, failed: false };
            world.borrow_mut().hist.push(commit);
        }
        let mut next_number = || {
            *number.borrow_mut() += 1;
            *number.borrow() - 1
        };
        let result = log.append(&rest, &mut next_number).await;
        let mut world = world.borrow_mut();
        match result {
            Ok(appended) => {
                let mut placed = appended.placed.iter();
                for commit in world.hist.iter_mut().skip(known).take(appended.batches) {
                    for op in &mut commit.ops {
                        let place = placed.next().expect("one place an operation");
                        op.0 = place.seq.get();
                        let end =
                            place.ptr.offset + (crate::record::record_len(op.2.len(), op.3.len()) / 8) as u32;
                        commit.end = Some(LogPos::new(place.ptr.segment, end));
                    }
                    commit.written = true;
                }
                world.hist.truncate(known + appended.batches);
                world.counts.commits += appended.batches as u64;
                rest.drain(..appended.batches);
            }
            Err(_) => {
                for commit in world.hist.iter_mut().skip(known) {
                    commit.failed = true;
                }
                world.counts.failed += 1;
                return !log.is_poisoned();
            }
        }
    }
    true
}

/// The replay position moves to the end of some synced commit, as a flush would move it.
fn flush(log: &ValueLog, world: &Shared, chance: &mut Chance) {
    let mut world = world.borrow_mut();
    let from = world.checkpoint.replay_from;
    let synced = log.synced();
    let able: Vec<(LogPos, u64)> = world
        .hist
        .iter()
        .filter(|c| c.written && !c.failed)
        .filter_map(|c| Some((c.end?, c.last())))
        .filter(|&(end, _)| end > from && end <= synced)
        .collect();
    if able.is_empty() {
        return;
    }
    let (replay_from, last) = able[chance.below(able.len() as u64) as usize];
    let mut checkpoint = std::mem::take(&mut world.checkpoint);
    checkpoint.replay_from = replay_from;
    checkpoint.last_seq = seq(last);
    for s in log.chain().iter().filter(|s| LogPos::new(s.number, s.end) <= replay_from && !s.open) {
        let sealed = Sealed {
            end: s.end,
            seq_min: s.seq_min,
            seq_max: s.seq_max,
            pred: s.pred,
            pred_last_seq: s.pred_last_seq,
            footer: None,
        };
        checkpoint.sealed.insert(s.number, sealed);
    }
    world.checkpoint = checkpoint;
    world.counts.flushes += 1;
}

/// The values of the oldest segment below the replay position are wanted no more, as if a collection had moved them; its file is
/// for the next segment.
async fn collect(log: &ValueLog, world: &Shared) {
    let number = {
        let mut world = world.borrow_mut();
        let replay_from = world.checkpoint.replay_from.segment;
        let oldest = world.checkpoint.sealed.keys().next().copied();
        let Some(number) = oldest.filter(|&number| number < replay_from && !world.reading) else { return };
        world.checkpoint.sealed.remove(&number);
        let gone = |commit: &Commit| commit.end.is_some_and(|end| end.segment == number);
        world.hist.iter_mut().filter(|commit| gone(commit)).for_each(|commit| commit.end = None);
        number
    };
    log.forget(number);
    log.recycle(number).await;
}

async fn sync(disk: Disk, log: Rc<ValueLog>, world: Shared, mut chance: Chance) {
    loop {
        disk.sleep(std::time::Duration::from_micros(chance.below(400))).await;
        // As often alone what nothing is appended to any more.
        let result = if chance.below(2) == 0 { log.sync().await } else { log.sync_closed().await };
        let mut world = world.borrow_mut();
        match result {
            Ok(upto) => {
                for commit in
                    world.hist.iter_mut().filter(|c| c.written && c.end.is_some_and(|end| end <= upto))
                {
                    commit.synced = true;
                }
            }
            Err(_) => {
                world.poisoned = true;
                world.counts.poisoned += 1;
                return;
            }
        }
    }
}

async fn read(disk: Disk, log: Rc<ValueLog>, world: Shared, mut chance: Chance) {
    loop {
        disk.sleep(std::time::Duration::from_micros(chance.below(300))).await;
        let picked = {
            let world = world.borrow();
            let able: Vec<&Commit> =
                world.hist.iter().filter(|c| c.written && !c.failed && c.end.is_some()).collect();
            if able.is_empty() {
                continue;
            }
            able[chance.below(able.len() as u64) as usize].clone()
        };
        world.borrow_mut().reading = true;
        let end = picked.end.expect("filtered");
        let lens: u64 = picked.ops.iter().map(|op| crate::record::record_len(op.2.len(), op.3.len())).sum();
        let mut offset = end.offset - (lens / 8) as u32;
        for (number, kind, key, value) in &picked.ops {
            let ptr = ValuePtr { segment: end.segment, offset, len: value.len() as u32 };
            offset += (crate::record::record_len(key.len(), value.len()) / 8) as u32;
            if *kind != RecordKind::Put {
                continue;
            }
            match log.read(ptr, key, seq(*number)).await {
                Ok(read) if read == value[..] => {}
                Ok(_) => problem(&world, format!("value of {number} is another one")),
                Err(_) if world.borrow().sync_fails => {}
                Err(error) => problem(&world, format!("value of {number}: {error}")),
            }
        }
        world.borrow_mut().reading = false;
    }
}

/// Several lives from one seed; the problem found, if any.
fn campaign(seed: u64, total: &mut Counts) -> Option<String> {
    let mut chance = Chance(seed);
    let world: Shared = Rc::default();
    world.borrow_mut().checkpoint.next_number = 1;
    let mut disk = sim(seed);
    for round in 0..6 {
        let executor = disk.executor();
        world.borrow_mut().opened = false;
        world.borrow_mut().poisoned = false;
        world.borrow_mut().reading = false;
        if round > 0 && chance.below(4) == 0 {
            let kind = if chance.below(2) == 0 { FaultKind::Eio } else { FaultKind::Enospc };
            let at = At::NthOf(
                if chance.below(4) == 0 { OpKind::Create } else { OpKind::Write },
                chance.below(20),
            );
            disk.inject(Fault { at, kind, repeat: Repeat::Once });
            // Cleaning up behind a failed write is best effort: the log does not depend on it.
            if chance.below(4) > 0 {
                for kind in [OpKind::SetLen, OpKind::Remove] {
                    let at = At::NthOf(kind, 0);
                    disk.inject(Fault { at, kind: FaultKind::Eio, repeat: Repeat::Forever });
                }
            }
        }
        let sync_fails = chance.below(12) == 0;
        world.borrow_mut().sync_fails = sync_fails;
        if sync_fails {
            disk.inject(Fault {
                at: At::NthOf(OpKind::Sync, 3 + chance.below(9)),
                kind: FaultKind::Eio,
                repeat: Repeat::Once,
            });
        }
        executor.spawn(life(Disk::sim(&disk), Rc::clone(&world), seed.wrapping_add(round)));
        let steps = if chance.below(3) == 0 { chance.below(40) } else { 100 + chance.below(1500) };
        for _ in 0..steps {
            if executor.step() == Step::Idle || world.borrow().problem.is_some() {
                break;
            }
        }
        if let Some(problem) = &world.borrow().problem {
            return Some(format!("seed {seed} round {round}: {problem}"));
        }
        let config = SimConfig { seed: seed ^ round << 32, ..SimConfig::default() };
        let mut world = world.borrow_mut();
        // A failed sync may leave pages behind that look written and are not; they may be gone with the process.
        let stale = world.poisoned || (sync_fails && disk.faults_hit() > 0);
        if chance.below(3) > 0 {
            disk = disk.power_cut(chance.below(1 << 40), config);
            world.hist.iter_mut().for_each(|commit| commit.cached = false);
            world.counts.cuts += 1;
            world.counts.cuts_in_recovery += u64::from(!world.opened);
        } else {
            disk = disk.kill(chance.below(1 << 40), config);
            world.counts.kills += 1;
            // Before the log was open again the books do not know what an earlier cut took.
            if stale {
                world.hist.iter_mut().for_each(|commit| commit.cached = false);
            } else if world.opened {
                world.hist.iter_mut().for_each(|commit| commit.cached = commit.written && !commit.failed);
            }
        }
        if let Some(log) = world.log.take() {
            world.counts.segments += log.stats().segments_begun;
            world.counts.recycled += log.stats().segments_recycled;
        }
    }
    let counts = world.borrow().counts;
    for (sum, one) in [
        (&mut total.commits, counts.commits),
        (&mut total.replayed, counts.replayed),
        (&mut total.lost, counts.lost),
        (&mut total.cuts, counts.cuts),
        (&mut total.kills, counts.kills),
        (&mut total.cuts_in_recovery, counts.cuts_in_recovery),
        (&mut total.torn, counts.torn),
        (&mut total.flushes, counts.flushes),
        (&mut total.segments, counts.segments),
        (&mut total.failed, counts.failed),
        (&mut total.poisoned, counts.poisoned),
        (&mut total.recycled, counts.recycled),
    ] {
        *sum += one;
    }
    None
}

#[test]
fn after_any_crash_the_log_is_a_prefix_with_everything_synced() {
    let seeds: u64 = std::env::var("JDB_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    let first: u64 = std::env::var("JDB_FIRST").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut total = Counts::default();
    for seed in first..first + seeds {
        if let Some(problem) = campaign(seed, &mut total) {
            panic!("{problem}");
        }
    }
    println!("{total:?}");
    assert!(total.cuts > seeds && total.kills > seeds / 2 && total.cuts_in_recovery > seeds / 10);
    assert!(total.recycled > seeds);
    assert!(
        total.lost > seeds && total.replayed > seeds && total.flushes > seeds && total.failed > seeds / 20
    );
}

/// Appending to another life's segment is not among them: sequences that must rise hide it from chance.
#[test]
fn every_planted_bug_is_noticed() {
    for bug in [
        Plant::NoLogSync,
        Plant::NoSegmentDirSync,
        Plant::NoTailSync,
        Plant::SyncLastSegmentOnly,
        Plant::SyncReachAtCompletion,
        Plant::HalfBatch,
        Plant::IgnoreTrueEnd,
        Plant::AnySuccessor,
        Plant::SyncedBackFromReplay,
        Plant::AnyRecordProves,
        Plant::AppendAfterFailedWrite,
        Plant::RetryFailedSync,
        Plant::RecycledNameUnsynced,
    ] {
        plant(&[bug]);
        let found = (0..400).find_map(|seed| campaign(seed, &mut Counts::default()).map(|what| (seed, what)));
        plant(&[]);
        match found {
            Some((seed, what)) => println!("{}: found at seed {seed}: {what}", bug.name()),
            None => panic!("{} was not noticed", bug.name()),
        }
    }
}
