//! Failing I/O: EIO, a full disk, short reads and writes, failed syncs, at every operation, once and for ever.

use super::Settings;
use crate::life::{Depth, check_image, open, unexpected, work};
use crate::machine;
use crate::oracle::{After, Contents};
use crate::read::{Read, read_all};
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::{Check, Violation};
use crate::world::{World, show_error};
use jdb::{Db, ErrorKind};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, SyncFailure};
use std::path::Path;
use std::rc::Rc;

const KINDS: [FaultKind; 7] = [
    FaultKind::Eio,
    FaultKind::Enospc,
    FaultKind::ShortWrite,
    FaultKind::ShortRead,
    FaultKind::FailedSync(SyncFailure::DroppedClean),
    FaultKind::FailedSync(SyncFailure::Reverted),
    FaultKind::FailedSync(SyncFailure::Sticky),
];

/// One run: the same workload again and again, a fault one operation later each time, until it no longer hits.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let mut rng = Rng::new(seed ^ 0xfa17);
    let mut counts = Counts::default();
    let mut missed = 0;
    for n in 0.. {
        let kind = rng.pick(&KINDS);
        let repeat = if rng.one_in(3) { Repeat::Forever } else { Repeat::Once };
        // A directory cannot be put back to what it was: reverting is for files, of whose syncs there are fewer.
        let reverts = kind == FaultKind::FailedSync(SyncFailure::Reverted);
        let at = if reverts { At::NthOf(OpKind::Sync, n % 64) } else { At::Nth(n) };
        let fault = Fault { at, kind, repeat };
        let (hit, check) = one(seed, settings, fault, &mut counts);
        if let Err(violation) = check {
            return (counts, Err(violation.at(format!("{fault:?}"))));
        }
        missed = if hit > 0 { 0 } else { missed + 1 };
        if missed > 8 || stop(&counts) {
            break;
        }
    }
    (counts, Ok(()))
}

/// The workload with one fault; returns how often it hit.
fn one(seed: u64, settings: &Settings, fault: Fault, counts: &mut Counts) -> (u64, Check) {
    let mut rng = Rng::new(seed ^ 0xfa18);
    let world = World::new(Spec::new(seed, Path::new("/db")), settings.trace);
    world.tolerant.set(true);
    let disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    world.trace(|| format!("==== {fault:?} ===="));
    disk.inject(fault);
    let check = lives(&disk, &world, fault, &mut rng);
    let hit = disk.faults_hit();
    counts.add(&world.counts.take());
    counts.faults_hit += hit.min(1);
    (hit, check)
}

/// A life with the fault, one without.
fn lives(disk: &SimDisk, world: &Rc<World>, fault: Fault, rng: &mut Rng) -> Check {
    let operations = rng.within(20..50) as u32;
    let main = {
        let (sim, disk, world, mut rng) = (disk.clone(), Disk::sim(disk), Rc::clone(world), rng.fork());
        async move { life(&sim, &disk, &world, fault, operations, &mut rng).await }
    };
    machine::block_on(disk, world, main)??;
    // Everything is repaired; the process starts anew.
    let after = if syncs_failed(disk, fault) { After::PowerCut } else { After::Kill };
    world.tolerant.set(false);
    let (seed, config) = (rng.next(), SimConfig { seed: rng.next(), ..SimConfig::default() });
    let cut = disk.power_cut(seed, machine::quiet(seed));
    check_image(&cut, world, After::PowerCut, Depth::Look, seed).map_err(|v| v.at("cut after the fault"))?;
    let killed = disk.kill(seed, config);
    let depth = if cache_lies(disk, fault) { Depth::Reopen } else { Depth::Live };
    check_image(&killed, world, after, depth, seed).map_err(|v| v.at("opened after the fault"))?;
    Ok(())
}

/// Pages of unsynced data may be gone, from the page cache too: only what is durable is promised.
fn syncs_failed(disk: &SimDisk, fault: Fault) -> bool {
    disk.faults_hit() > 0 && matches!(fault.kind, FaultKind::FailedSync(_) | FaultKind::Eio)
}

/// Clean pages may never reach the disk: until the machine starts anew nothing that is read, or synced, is known to be
/// there, and no program can tell.
fn cache_lies(disk: &SimDisk, fault: Fault) -> bool {
    let lying = matches!(fault.kind, FaultKind::FailedSync(SyncFailure::DroppedClean) | FaultKind::Eio);
    disk.faults_hit() > 0 && lying
}

async fn life(
    sim: &SimDisk,
    disk: &Disk,
    world: &Rc<World>,
    fault: Fault,
    operations: u32,
    rng: &mut Rng,
) -> Check {
    for session in 0..2 {
        if cache_lies(sim, fault) {
            break;
        }
        let db = match open(disk, world).await {
            Ok(db) => db,
            Err(error) => {
                says_so("open", &error, sim)?;
                continue;
            }
        };
        let after = if syncs_failed(sim, fault) { After::PowerCut } else { After::Kill };
        let found =
            look(&db, world, sim, after).await.map_err(|v| v.at(format!("session {session}, after open")))?;
        let Some(contents) = found else { return Ok(()) };
        let settled = world.oracle.borrow().settle(contents);
        *world.oracle.borrow_mut() = settled;
        work(&db, disk, world, operations, rng).await;
        world.verdict()?;
        // Reads of this life see all that was acknowledged, whatever became of the disk.
        let found = look(&db, world, sim, After::Kill).await;
        if let Some(contents) = found.map_err(|v| v.at(format!("session {session}, at rest")))? {
            world.oracle.borrow_mut().resolve(&contents);
        }
        let marks = world.oracle.borrow().acknowledged_marks();
        match db.close().await {
            Ok(()) => world.made_durable(&marks),
            Err(error) => says_so("close", &error, sim)?,
        }
    }
    Ok(())
}

/// Reads everything; it is right, or the engine says that it cannot: `None`.
async fn look(db: &Db, world: &Rc<World>, sim: &SimDisk, after: After) -> Check<Option<Contents>> {
    match read_all(db, &world.spec).await? {
        Read::All(contents) => {
            world.oracle.borrow().check(&contents, after)?;
            Ok(Some(contents))
        }
        Read::Refused(error) => {
            says_so("read", &error, sim)?;
            Ok(None)
        }
    }
}

/// An error must come from the fault, be of a kind that fits and name a file.
fn says_so(what: &str, error: &jdb::Error, sim: &SimDisk) -> Check {
    if sim.faults_hit() == 0 {
        return Err(unexpected(what, error));
    }
    let fits = matches!(
        error.kind(),
        ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::Corrupt | ErrorKind::Closed | ErrorKind::Stopped
    );
    if !fits || (error.kind() != ErrorKind::Closed && error.path().is_none()) {
        return Err(Violation(format!("P6: {what} after a fault answers {}", show_error(error))));
    }
    Ok(())
}
