//! A simulated machine: disk and executor, stepped until a task is done, with a look at every I/O boundary.

use crate::broken;
use crate::observe;
use crate::violation::Check;
use crate::world::World;
use jdb_io::sim::{Latency, SimConfig, SimDisk, Step};
use std::cell::RefCell;
use std::rc::Rc;

/// No honest run takes this many steps; one that does will not end.
const STEPS_MAX: u64 = 3_000_000;

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on.
    Go,
    /// The process dies here.
    Stop,
}

/// How a run ended.
#[derive(Debug)]
pub enum End<T> {
    /// The task is done.
    Done(T),
    /// Somebody said [`Flow::Stop`].
    Stopped,
}

/// The configuration of an image that is only looked at: no latencies, nothing suspends.
#[must_use]
pub fn quiet(seed: u64) -> SimConfig {
    SimConfig { seed, latency: Latency::NONE, suspend: false, ..SimConfig::default() }
}

/// Runs `main` on the disk until it is done, with `at_boundary` called after every step in which an
/// operation that changes the disk was submitted, took effect or completed. Then the
/// process is dead: all its tasks are gone.
///
/// # Errors
/// A violation that `world` noted, one that `at_boundary` found, or a `main` that waits for ever.
pub fn run<T: 'static>(
    disk: &SimDisk,
    world: &Rc<World>,
    main: impl Future<Output = T> + 'static,
    at_boundary: &mut dyn FnMut() -> Check<Flow>,
) -> Check<End<T>> {
    let executor = disk.executor();
    let result = Rc::new(RefCell::new(None));
    let place = Rc::clone(&result);
    let entered = observe::enter(world);
    executor.spawn(async move {
        let value = main.await;
        *place.borrow_mut() = Some(value);
    });
    drop(entered);
    let mut seen = disk.changes();
    let mut steps = 0;
    let ended = loop {
        let entered = observe::enter(world);
        let went = executor.step() == Step::Progress;
        drop(entered);
        if let Some(value) = result.borrow_mut().take() {
            break Ok(End::Done(value));
        }
        if let Err(violation) = world.verdict() {
            break Err(violation);
        }
        let now = disk.changes();
        if now != seen {
            seen = now;
            match at_boundary() {
                Ok(Flow::Go) => {}
                Ok(Flow::Stop) => break Ok(End::Stopped),
                Err(violation) => break Err(violation),
            }
        }
        steps += 1;
        if !went || steps > STEPS_MAX {
            break hang(steps, went);
        }
    };
    let entered = observe::enter(world);
    executor.kill();
    drop(entered);
    let ended = ended?;
    world.verdict()?;
    Ok(ended)
}

/// Runs `main` to its end.
///
/// # Errors
/// As [`run`].
pub fn block_on<T: 'static>(
    disk: &SimDisk,
    world: &Rc<World>,
    main: impl Future<Output = T> + 'static,
) -> Check<T> {
    match run(disk, world, main, &mut || Ok(Flow::Go))? {
        End::Done(value) => Ok(value),
        End::Stopped => broken!("stopped although nobody said so"),
    }
}

fn hang<T>(steps: u64, went: bool) -> Check<T> {
    if went {
        broken!("P5: not done after {steps} steps");
    }
    broken!("P5: after {steps} steps every task waits for another for ever")
}
