//! Power cuts at every I/O boundary of a small hot run.

use super::Settings;
use crate::life::{Depth, Plan, check_image, live};
use crate::machine::{self, Flow, quiet};
use crate::oracle::After;
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::Check;
use crate::world::World;
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::path::Path;

/// Images of a power cut at every boundary.
pub const DAMAGES: u64 = 8;

/// One run: two sessions of about 100 operations; at every boundary 8 power cuts and one kill.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let world = World::new(Spec::new(seed, Path::new("/db")), settings.trace);
    let mut rng = Rng::new(seed ^ 0xc075);
    let disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    let plan = Plan {
        after: After::Kill,
        operations: rng.within(60..140) as u32,
        sessions: if rng.one_in(3) { 1 } else { 2 },
    };
    let main = live(Disk::sim(&disk), std::rc::Rc::clone(&world), plan, rng.fork());
    let ended = machine::run(&disk, &world, main, &mut || {
        cut_here(&disk, &world, &mut rng)?;
        Ok(if stop(&world.counts.borrow()) { Flow::Stop } else { Flow::Go })
    });
    world.counts.borrow_mut().add_files(&disk);
    let check = match ended {
        Ok(machine::End::Done(check)) => check,
        Ok(machine::End::Stopped) => Ok(()),
        Err(violation) => Err(violation),
    };
    (world.counts.take(), check)
}

/// All damages of one boundary.
fn cut_here(disk: &SimDisk, world: &World, rng: &mut Rng) -> Check {
    let boundary = disk.changes();
    for damage in 0..DAMAGES {
        let seed = rng.next();
        let image = disk.power_cut(seed, quiet(seed));
        let depth = match rng.below(24) {
            0..3 => Depth::Live,
            3..6 => Depth::Reopen,
            _ => Depth::Look,
        };
        {
            let mut counts = world.counts.borrow_mut();
            counts.cuts += 1;
            counts.lived_on += u64::from(depth == Depth::Live);
            counts.opened_twice += u64::from(depth == Depth::Reopen);
            counts.add_damage(&image);
        }
        check_image(&image, world, After::PowerCut, depth, seed)
            .map_err(|v| v.at(format!("power cut at boundary {boundary}, damage {damage}")))?;
    }
    let seed = rng.next();
    let image = disk.kill(seed, quiet(seed));
    world.counts.borrow_mut().kills += 1;
    let depth = if rng.one_in(8) { Depth::Live } else { Depth::Look };
    check_image(&image, world, After::Kill, depth, seed)
        .map_err(|v| v.at(format!("kill at boundary {boundary}")))?;
    Ok(())
}
