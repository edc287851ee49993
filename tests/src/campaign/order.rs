//! Random order of tasks and completions: several lives, each ended by a close, a kill or a power cut at a random moment,
//! with readers that run beside the writers.

use super::Settings;
use super::lives::{self, Shape};
use crate::life::{Depth, check_image};
use crate::machine::Flow;
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::Check;
use crate::world::World;
use std::path::Path;

/// One run of up to five lives.
pub fn run(seed: u64, settings: &Settings, _: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let mut rng = Rng::new(seed ^ 0x04de);
    let mut spec = Spec::new(seed, Path::new("/db"));
    spec.read_percent = rng.pick(&[10, 30, 50]);
    spec.clients = rng.within(2..9) as usize;
    run_lives(spec, settings.trace, &mut rng, 5)
}

/// Up to `lives_max` lives of one database; what they leave must live on.
pub fn run_lives(spec: Spec, trace: bool, rng: &mut Rng, lives_max: u64) -> (Counts, Check) {
    let world = World::new(spec, trace);
    let shape = Shape { lives: 1..lives_max + 1, operations: 20..120, boundaries: 1..500 };
    let check = lives::run(&world, rng, &shape, &mut |_, _| Ok(Flow::Go)).and_then(|(disk, after)| {
        let checked = check_image(&disk, &world, after, Depth::Live, rng.next());
        checked.map(drop).map_err(|v| v.at("after the last life"))
    });
    (world.counts.take(), check)
}
