//! Power cuts at every I/O boundary of a small hot run.

use super::Settings;
use super::lives::{self, Shape};
use crate::life::{Depth, check_image};
use crate::machine::{Flow, quiet};
use crate::oracle::After;
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::Check;
use crate::world::World;
use jdb_io::sim::SimDisk;
use std::path::Path;

/// Images of a power cut at every boundary.
pub const DAMAGES: u64 = 8;
/// Images where a rename is at stake: such moments are few.
const DAMAGES_RARE: u64 = 72;

/// A few lives of about 100 operations, or many short ones that mostly open and close.
const CALM: Shape = Shape { lives: 1..4, operations: 40..140, boundaries: 1..600 };
const RESTLESS: Shape = Shape { lives: 6..16, operations: 1..8, boundaries: 1..60 };

/// Of the boundaries of most runs one in so many is looked at, so that a campaign sees many runs.
const SAMPLE: u64 = 12;

/// One run; 8 power cuts and one kill at every boundary, in three of four runs at some of them.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let world = World::new(Spec::new(seed, Path::new("/db")), settings.trace);
    let mut rng = Rng::new(seed ^ 0xc075);
    let shape = if rng.one_in(4) { CALM } else { RESTLESS };
    let sampled = !rng.one_in(4);
    let mut cutter = rng.fork();
    let check = lives::run(&world, &mut rng, &shape, &mut |disk, world| {
        if !sampled || cutter.one_in(SAMPLE) {
            cut_here(disk, world, &mut cutter)?;
        }
        Ok(if stop(&world.counts.borrow()) { Flow::Stop } else { Flow::Go })
    });
    (world.counts.take(), check.map(drop))
}

/// All damages of one boundary.
fn cut_here(disk: &SimDisk, world: &World, rng: &mut Rng) -> Check {
    let mut damages = DAMAGES;
    for damage in 0..DAMAGES {
        damages = damages.max(cut(disk, world, rng, damage)?);
    }
    for damage in DAMAGES..damages {
        cut(disk, world, rng, damage)?;
    }
    let seed = rng.next();
    let image = disk.kill(seed, quiet(seed));
    world.counts.borrow_mut().kills += 1;
    let depth = if rng.one_in(8) { Depth::Live } else { Depth::Look };
    check_image(&image, world, world.after_kill.get(), depth, seed)
        .map_err(|v| v.at(format!("kill at boundary {}", disk.changes())))?;
    Ok(())
}

/// One image; returns how many such a moment is worth.
fn cut(disk: &SimDisk, world: &World, rng: &mut Rng, damage: u64) -> Check<u64> {
    let seed = rng.next();
    let image = disk.power_cut(seed, quiet(seed));
    let depth = match rng.below(24) {
        0..2 => Depth::Live,
        2..4 => Depth::Reopen,
        _ => Depth::Look,
    };
    {
        let mut counts = world.counts.borrow_mut();
        counts.cuts += 1;
        counts.lived_on += u64::from(depth == Depth::Live);
        counts.opened_twice += u64::from(depth == Depth::Reopen);
        counts.add_damage(&image);
    }
    let done = image.damage_counts();
    check_image(&image, world, After::PowerCut, depth, seed)
        .map_err(|v| v.at(format!("power cut at boundary {}, damage {damage}", disk.changes())))?;
    Ok(if done.renames_lost + done.renames_kept > 0 { DAMAGES_RARE } else { DAMAGES })
}
