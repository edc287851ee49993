//! Power cuts inside recovery: an image is opened and written a little, cut at every boundary of that, and so on, three
//! deep.

use super::Settings;
use crate::life::{Depth, Plan, check_image, live, look, looker, open_and_settle, work};
use crate::machine::{self, End, Flow, quiet};
use crate::oracle::After;
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::Check;
use crate::world::World;
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::path::Path;
use std::rc::Rc;

const DEPTH_MAX: u32 = 3;
/// Images of a power cut at every boundary of a recovery, by depth.
const DAMAGES: [u64; 3] = [3, 2, 2];

/// One run: a life, of which one boundary in 24 becomes an image to descend into.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let world = World::new(Spec::new(seed, Path::new("/db")), settings.trace);
    let mut rng = Rng::new(seed ^ 0x4ec0);
    let disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    let plan = Plan { after: After::Kill, operations: rng.within(40..160) as u32, sessions: 1 };
    let main = live(Disk::sim(&disk), Rc::clone(&world), plan, rng.fork());
    let mut counts = Counts::default();
    let ended = machine::run(&disk, &world, main, &mut || {
        if rng.one_in(24) {
            let after = if rng.one_in(4) { After::Kill } else { After::PowerCut };
            let boundary = disk.changes();
            descend(&disk, &world, after, 1, &mut rng, &mut counts, stop)
                .map_err(|v| v.at(format!("{after:?} at boundary {boundary}")))?;
        }
        Ok(if stop(&counts) { Flow::Stop } else { Flow::Go })
    });
    let check = match ended {
        Ok(End::Done(check)) => check,
        Ok(End::Stopped) => Ok(()),
        Err(violation) => Err(violation),
    };
    counts.add(&world.counts.take());
    (counts, check)
}

/// Kills `disk`'s process or cuts its power, recovers, writes a little, and cuts the power at every boundary of that.
fn descend(
    disk: &SimDisk,
    world: &Rc<World>,
    after: After,
    depth: u32,
    rng: &mut Rng,
    counts: &mut Counts,
    stop: &dyn Fn(&Counts) -> bool,
) -> Check {
    let (seed, busy) = (rng.next(), SimConfig { seed: rng.next(), ..SimConfig::default() });
    let image = if after == After::Kill { disk.kill(seed, busy) } else { disk.power_cut(seed, busy) };
    // What this image must recover to, found out on a copy; the recovery that is watched must find just that.
    let contents = look(&image.kill(seed, quiet(seed)), &looker(world)).map_err(|v| v.at("copy"))?;
    let marks = world.oracle.borrow().check(&contents, after)?;
    let oracle = match after {
        After::Kill => world.oracle.borrow().truncated(&marks),
        _ => world.oracle.borrow().settle(contents),
    };
    let below = world.fork(oracle);
    if after == After::Kill {
        counts.kills += 1;
    }
    let operations = rng.within(3..16) as u32;
    let main = {
        let (disk, below, mut rng) = (Disk::sim(&image), Rc::clone(&below), rng.fork());
        async move {
            let db = open_and_settle(&disk, &below, After::Kill).await?;
            work(&db, &disk, &below, operations, &mut rng).await;
            below.verdict()
        }
    };
    let ended = machine::run(&image, &below, main, &mut || {
        for _ in 0..DAMAGES[depth as usize - 1] {
            let seed = rng.next();
            let cut = image.power_cut(seed, quiet(seed));
            counts.cuts += 1;
            counts.nested += 1;
            counts.nested_deep += u64::from(depth + 1 >= DEPTH_MAX);
            counts.add_damage(&cut);
            let look_depth = if rng.one_in(24) { Depth::Live } else { Depth::Look };
            counts.lived_on += u64::from(look_depth == Depth::Live);
            let boundary = image.changes();
            check_image(&cut, &below, After::PowerCut, look_depth, seed)
                .map_err(|v| v.at(format!("depth {depth}, power cut at boundary {boundary} of recovery")))?;
        }
        if depth < DEPTH_MAX && rng.one_in(30) {
            let after = if rng.one_in(3) { After::Kill } else { After::PowerCut };
            let boundary = image.changes();
            descend(&image, &below, after, depth + 1, rng, counts, stop)
                .map_err(|v| v.at(format!("depth {depth}, {after:?} at boundary {boundary} of recovery")))?;
        }
        Ok(if stop(counts) { Flow::Stop } else { Flow::Go })
    })?;
    counts.add(&below.counts.take());
    match ended {
        End::Done(check) => check,
        End::Stopped => Ok(()),
    }
}
