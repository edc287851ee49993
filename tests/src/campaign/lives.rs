//! Several lives of one database, one after the other, each ended by a close, a kill or a power cut.

use crate::life::{Plan, live};
use crate::machine::{self, End, Flow};
use crate::oracle::After;
use crate::rng::Rng;
use crate::violation::Check;
use crate::world::World;
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;

/// What the lives of a run are like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many lives.
    pub lives: Range<u64>,
    /// Operations of a session.
    pub operations: Range<u64>,
    /// Of a life that does not end by itself: I/O boundaries until it is ended.
    pub boundaries: Range<u64>,
}

/// What is done at a boundary.
pub type AtBoundary<'a> = &'a mut dyn FnMut(&SimDisk, &World) -> Check<Flow>;

/// What a life is: it gets the disk, its plan and chance of its own.
pub type Life<'a> = &'a mut dyn FnMut(Disk, Plan, Rng) -> Pin<Box<dyn Future<Output = Check>>>;

/// Runs lives of the general sort; returns the disk that the last one left, and what must be there. Ends early when `at_boundary` says so.
///
/// # Errors
/// A broken promise.
pub fn run(
    world: &Rc<World>,
    rng: &mut Rng,
    shape: &Shape,
    at_boundary: AtBoundary<'_>,
) -> Check<(SimDisk, After)> {
    let mut life = |disk, plan, rng| -> Pin<Box<dyn Future<Output = Check>>> {
        Box::pin(live(disk, Rc::clone(world), plan, rng))
    };
    run_as(world, rng, shape, &mut life, at_boundary)
}

/// [`run`], of lives that `live` makes.
///
/// # Errors
/// A broken promise.
pub fn run_as(
    world: &Rc<World>,
    rng: &mut Rng,
    shape: &Shape,
    live: Life<'_>,
    at_boundary: AtBoundary<'_>,
) -> Check<(SimDisk, After)> {
    let mut disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    let mut after = After::Kill;
    let mut stopped = false;
    for life in 0..rng.within(shape.lives.clone()) {
        let operations = rng.within(shape.operations.clone()) as u32;
        let plan = Plan { after, operations, sessions: rng.pick(&[1, 1, 2]) };
        let mut left = if rng.one_in(3) { u64::MAX } else { rng.within(shape.boundaries.clone()) };
        world.after_kill.set(after);
        let main = live(Disk::sim(&disk), plan, rng.fork());
        let ended = machine::run(&disk, world, main, &mut || {
            stopped = at_boundary(&disk, world)? == Flow::Stop;
            left -= 1;
            Ok(if stopped || left == 0 { Flow::Stop } else { Flow::Go })
        })
        .map_err(|v| v.at(format!("life {life}")))?;
        if let End::Done(check) = ended {
            check.map_err(|v| v.at(format!("life {life}")))?;
        }
        after = world.after_kill.get();
        if stopped {
            break;
        }
        let config = SimConfig { seed: rng.next(), ..SimConfig::default() };
        if rng.one_in(2) {
            disk = disk.power_cut(rng.next(), config);
            let mut counts = world.counts.borrow_mut();
            counts.cuts += 1;
            counts.add_damage(&disk);
            after = After::PowerCut;
        } else {
            disk = disk.kill(rng.next(), config);
            world.counts.borrow_mut().kills += 1;
        }
        world.trace(|| format!("==== {after:?} after life {life} ===="));
    }
    world.counts.borrow_mut().add_files(&disk);
    Ok((disk, after))
}
