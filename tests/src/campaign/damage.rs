//! Damaged files of a closed database: every answer is right, or an error that names a file, or (for the end of a log,
//! where nothing proves more) a clean earlier moment.

use super::Settings;
use crate::life::{Plan, live, looker, open};
use crate::machine::{self, Flow, quiet};
use crate::oracle::{After, Oracle};
use crate::place;
use crate::read::{Read, read_all};
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::{Check, Violation};
use crate::world::{World, show_error};
use jdb::ErrorKind;
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Damaged copies of one database.
const DAMAGES: u64 = 120;

/// One run: a database that lived two sessions and was closed, damaged in many ways, each time anew.
pub fn run(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let mut counts = Counts::default();
    let check = damage_all(seed, settings, stop, &mut counts);
    (counts, check)
}

fn damage_all(seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool, counts: &mut Counts) -> Check {
    let mut rng = Rng::new(seed ^ 0xda3a);
    let mut spec = Spec::new(seed, Path::new("/db"));
    spec.read_percent = 0;
    let stranger = build(spec.clone(), settings, &mut rng, counts)?;
    let home = build(spec, settings, &mut rng, counts)?;
    for _ in 0..DAMAGES {
        if stop(counts) {
            break;
        }
        let Some(damage) = draw(&home, &stranger, &mut rng) else { continue };
        place::set(|| damage.to_string());
        let seed = rng.next();
        let copy = home.disk.kill(seed, quiet(seed));
        apply(&damage, &copy);
        counts.damaged += 1;
        let answer = examine(&copy, &home, &damage).map_err(|v| v.at(&damage))?;
        *counts.outcomes.entry(format!("{}: {answer}", damage.name())).or_default() += 1;
    }
    place::clear();
    Ok(())
}

/// A closed database.
struct Built {
    disk: SimDisk,
    world: Rc<World>,
    /// Earlier contents of its files.
    earlier: BTreeMap<PathBuf, Vec<u8>>,
}

fn build(spec: Spec, settings: &Settings, rng: &mut Rng, counts: &mut Counts) -> Check<Built> {
    let world = World::new(spec, settings.trace);
    let disk = SimDisk::new(SimConfig { seed: rng.next(), ..SimConfig::default() });
    let plan = Plan { after: After::Kill, operations: rng.within(30..160) as u32, sessions: 2 };
    let mut earlier = BTreeMap::new();
    let main = live(Disk::sim(&disk), Rc::clone(&world), plan, rng.fork());
    let ended = machine::run(&disk, &world, main, &mut || {
        if rng.one_in(60) {
            for path in disk.paths() {
                if let Some(bytes) = disk.read_raw(&path)
                    && (rng.one_in(3) || !earlier.contains_key(&path))
                {
                    earlier.insert(path, bytes);
                }
            }
        }
        Ok(Flow::Go)
    })?;
    if let machine::End::Done(check) = ended {
        check?;
    }
    counts.add(&world.counts.take());
    Ok(Built { disk, world, earlier })
}

/// One damage.
enum Damage {
    Flip(PathBuf, u64),
    Zero(PathBuf, u64, u64),
    Truncate(PathBuf, u64),
    Swap(PathBuf, PathBuf),
    Aged(PathBuf, Vec<u8>),
    Missing(PathBuf),
    Foreign(PathBuf, Vec<u8>),
}

impl Damage {
    const fn name(&self) -> &'static str {
        match self {
            Self::Flip(..) => "bit flip",
            Self::Zero(..) => "zeroed page",
            Self::Truncate(..) => "truncation",
            Self::Swap(..) => "swapped files",
            Self::Aged(..) => "aged file",
            Self::Missing(_) => "missing file",
            Self::Foreign(..) => "file of another database",
        }
    }

    const fn path(&self) -> &PathBuf {
        let (Self::Flip(path, _)
        | Self::Zero(path, ..)
        | Self::Truncate(path, _)
        | Self::Swap(path, _)
        | Self::Aged(path, _)
        | Self::Missing(path)
        | Self::Foreign(path, _)) = self;
        path
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.path().display())?;
        match self {
            Self::Flip(_, bit) => write!(f, " byte {} bit {}", bit / 8, bit % 8),
            Self::Zero(_, from, to) => write!(f, " bytes {from}..{to}"),
            Self::Truncate(_, len) => write!(f, " to {len}"),
            Self::Swap(_, other) => write!(f, " with {}", other.display()),
            Self::Aged(_, bytes) | Self::Foreign(_, bytes) => write!(f, " ({} bytes)", bytes.len()),
            Self::Missing(_) => Ok(()),
        }
    }
}

fn draw(home: &Built, stranger: &Built, rng: &mut Rng) -> Option<Damage> {
    let paths = home.disk.paths();
    let path = paths[rng.index(paths.len())].clone();
    let bytes = home.disk.read_raw(&path)?;
    let len = bytes.len() as u64;
    match rng.below(10) {
        0..4 => (len > 0).then(|| Damage::Flip(path, rng.below(len * 8))),
        4 => {
            let page = rng.pick(&[64, 512, 4096]);
            let from = rng.below(len.div_ceil(page).max(1)) * page;
            let to = (from + page).min(len);
            let harmful = bytes[from as usize..to as usize].iter().any(|&byte| byte != 0);
            harmful.then_some(Damage::Zero(path, from, to))
        }
        5 => (len > 0).then(|| Damage::Truncate(path, rng.below(len))),
        6 => {
            let same = |other: &&PathBuf| other.extension() == path.extension() && **other != path;
            let others: Vec<&PathBuf> = paths.iter().filter(same).collect();
            let other = if others.is_empty() { None } else { Some(others[rng.index(others.len())].clone()) };
            other.map(|other| Damage::Swap(path, other))
        }
        7 => {
            let earlier = home.earlier.get(&path)?;
            (*earlier != bytes).then(|| Damage::Aged(path, earlier.clone()))
        }
        8 => Some(Damage::Missing(path)),
        _ => {
            let other = stranger.disk.read_raw(&path)?;
            (other != bytes).then_some(Damage::Foreign(path, other))
        }
    }
}

fn apply(damage: &Damage, disk: &SimDisk) {
    let done = match damage {
        Damage::Flip(path, bit) => disk.flip_bit(path, *bit),
        Damage::Zero(path, from, to) => {
            let mut bytes = disk.read_raw(path).unwrap_or_default();
            bytes[*from as usize..*to as usize].fill(0);
            disk.write_raw(path, bytes)
        }
        Damage::Truncate(path, len) => disk.set_len_raw(path, *len),
        Damage::Swap(path, other) => disk.swap_raw(path, other),
        Damage::Aged(path, bytes) | Damage::Foreign(path, bytes) => disk.write_raw(path, bytes.clone()),
        Damage::Missing(path) => disk.remove_raw(path),
    };
    assert!(done, "the damage was not done: {damage}");
}

/// How a damaged database answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Right,
    Earlier,
    Error(ErrorKind),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right => f.write_str("right"),
            Self::Earlier => f.write_str("an earlier moment"),
            Self::Error(kind) => write!(f, "{kind:?}"),
        }
    }
}

fn examine(disk: &SimDisk, home: &Built, damage: &Damage) -> Check<Answer> {
    let looker = looker(&home.world);
    let main = {
        let (disk, world) = (Disk::sim(disk), Rc::clone(&looker));
        async move {
            match open(&disk, &world).await {
                Ok(db) => read_all(&db, &world.spec).await,
                Err(error) => Ok(Read::Refused(error)),
            }
        }
    };
    match machine::block_on(disk, &looker, main)?? {
        Read::All(contents) => {
            let oracle: &Oracle = &home.world.oracle.borrow();
            if oracle.check(&contents, After::PowerCut).is_ok() {
                return Ok(Answer::Right);
            }
            let marks = oracle.check(&contents, After::Damage)?;
            if damage.path().extension().is_none_or(|extension| extension != "log") {
                return Err(Violation("P4: rows are missing without an error".into()));
            }
            if let (Damage::Flip(..), Some(seq)) = (damage, oracle.proven_loss(&marks)) {
                return Err(Violation(format!("P4: sequence {seq} is proven and missing without an error")));
            }
            Ok(Answer::Earlier)
        }
        Read::Refused(error) => {
            let fits = matches!(
                error.kind(),
                ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::NotADatabase
            );
            if !fits || error.path().is_none() {
                return Err(Violation(format!(
                    "P4: the error names no file or is of another kind: {}",
                    show_error(&error)
                )));
            }
            Ok(Answer::Error(error.kind()))
        }
    }
}
