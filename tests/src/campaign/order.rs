//! Random order of tasks and completions: several lives, each ended by a close, a kill or a power cut at a random moment,
//! with readers that run beside the writers.

use super::Settings;
use crate::life::{Depth, Plan, check_image, live};
use crate::machine::{self, End, Flow};
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

/// One run of up to five lives.
pub fn run(seed: u64, settings: &Settings, _: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let mut rng = Rng::new(seed ^ 0x04de);
    let mut spec = Spec::new(seed, Path::new("/db"));
    spec.read_percent = rng.pick(&[10, 30, 50]);
    spec.clients = rng.within(2..9) as usize;
    lives(spec, settings.trace, &mut rng, 5)
}

/// Lives of one database, one after the other.
pub fn lives(spec: Spec, trace: bool, rng: &mut Rng, lives_max: u64) -> (Counts, Check) {
    let world = World::new(spec, trace);
    let check = all_lives(&world, rng, lives_max);
    (world.counts.take(), check)
}

fn all_lives(world: &Rc<World>, rng: &mut Rng, lives_max: u64) -> Check {
    let mut disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    let mut after = After::Kill;
    for life in 0..rng.within(1..lives_max + 1) {
        let plan = Plan { after, operations: rng.within(20..120) as u32, sessions: rng.pick(&[1, 1, 2]) };
        let mut left = if rng.one_in(3) { u64::MAX } else { rng.within(1..500) };
        let opened = world.counts.borrow().opened;
        let main = live(Disk::sim(&disk), Rc::clone(world), plan, rng.fork());
        let ended = machine::run(&disk, world, main, &mut || {
            left -= 1;
            Ok(if left == 0 { Flow::Stop } else { Flow::Go })
        })
        .map_err(|v| v.at(format!("life {life}")))?;
        if let End::Done(check) = ended {
            check.map_err(|v| v.at(format!("life {life}")))?;
        }
        world.counts.borrow_mut().add_files(&disk);
        // What a power cut took stays lost until a recovery was over.
        let recovered = world.counts.borrow().opened > opened;
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
            after = if recovered { After::Kill } else { after };
        }
        world.trace(|| format!("==== {after:?} after life {life} ===="));
    }
    check_image(&disk, world, after, Depth::Live, rng.next()).map_err(|v| v.at("after the last life"))?;
    Ok(())
}
