//! Power cuts and deaths of the process while names are made, changed, dropped and made again.

use super::Settings;
use super::lives::{self, Shape};
use crate::life::Depth;
use crate::machine::{Flow, quiet};
use crate::names::NamedWorld;
use crate::names::life::{check_image, live};
use crate::oracle::After;
use crate::report::Counts;
use crate::rng::Rng;
use crate::violation::Check;
use jdb_io::sim::SimDisk;
use std::rc::Rc;

/// Images of a power cut at a boundary.
const DAMAGES: u64 = 4;

/// A few lives of about 100 operations, or more of a few.
const CALM: Shape = Shape { lives: 1..4, operations: 40..140, boundaries: 1..900 };
const RESTLESS: Shape = Shape { lives: 4..10, operations: 3..25, boundaries: 1..200 };

/// One boundary in so many is looked at, so that a campaign sees many runs.
const SAMPLE: u64 = 30;

/// One run; power cuts and one kill at some of its boundaries.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let named = NamedWorld::new(seed, settings.trace);
    let mut rng = Rng::new(seed ^ 0x4a6d);
    let shape = if rng.one_in(2) { CALM } else { RESTLESS };
    let mut cutter = rng.fork();
    let check = lives::run_as(
        &named.world,
        &mut rng,
        &shape,
        &mut |disk, plan, rng| Box::pin(live(disk, Rc::clone(&named), plan, rng)),
        &mut |disk, world| {
            if cutter.one_in(SAMPLE) {
                cut_here(disk, &named, &mut cutter)?;
            }
            Ok(if stop(&world.counts.borrow()) { Flow::Stop } else { Flow::Go })
        },
    );
    (named.world.counts.take(), check.map(drop))
}

/// All images of one boundary.
fn cut_here(disk: &SimDisk, named: &NamedWorld, rng: &mut Rng) -> Check {
    for damage in 0..=DAMAGES {
        let seed = rng.next();
        let depth = match rng.below(24) {
            0 => Depth::Live,
            1..3 => Depth::Reopen,
            _ => Depth::Look,
        };
        let is_cut = damage < DAMAGES;
        let image = if is_cut { disk.power_cut(seed, quiet(seed)) } else { disk.kill(seed, quiet(seed)) };
        {
            let mut counts = named.world.counts.borrow_mut();
            counts.cuts += u64::from(is_cut);
            counts.kills += u64::from(!is_cut);
            counts.lived_on += u64::from(depth == Depth::Live);
            counts.opened_twice += u64::from(depth == Depth::Reopen);
            if is_cut {
                counts.add_damage(&image);
            }
        }
        let after = if is_cut { After::PowerCut } else { named.world.after_kill.get() };
        let place = || {
            format!(
                "{} at boundary {}, image {damage}",
                if is_cut { "power cut" } else { "kill" },
                disk.changes()
            )
        };
        check_image(&image, named, after, depth, seed).map_err(|v| v.at(place()))?;
    }
    Ok(())
}
