//! Campaigns: many seeded runs of one kind, on every core, until a bound is reached or a promise is broken.

pub mod cuts;
pub mod damage;
pub mod drops;
pub mod faults;
pub mod lives;
pub mod names;
pub mod order;
pub mod recovery;

use crate::place;
use crate::report::Counts;
use crate::violation::{Check, Violation};
use jdb_io::plant::{Plant, plant};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a campaign does to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Power cuts at every I/O boundary.
    Cuts,
    /// Power cuts inside recovery, three deep.
    Recovery,
    /// Random order of tasks and completions, with kills and cuts between lives.
    Order,
    /// Failing I/O.
    Faults,
    /// Futures dropped at every poll.
    Drops,
    /// Damaged files.
    Damage,
    /// Power cuts while names are made, changed and dropped.
    Names,
}

impl Kind {
    /// All kinds that run on the simulated disk.
    pub const ALL: &'static [Self] =
        &[Self::Cuts, Self::Recovery, Self::Order, Self::Faults, Self::Drops, Self::Damage, Self::Names];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuts => "cuts",
            Self::Recovery => "recovery",
            Self::Order => "order",
            Self::Faults => "faults",
            Self::Drops => "drops",
            Self::Damage => "damage",
            Self::Names => "names",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What its bounds and floors count.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cuts | Self::Names => "cuts",
            Self::Recovery => "nested cuts",
            Self::Order => "runs",
            Self::Faults => "faults",
            Self::Drops => "dropped futures",
            Self::Damage => "damaged files",
        }
    }

    /// How much of its unit was done.
    #[must_use]
    pub const fn done(self, counts: &Counts) -> u64 {
        match self {
            Self::Cuts | Self::Names => counts.cuts,
            Self::Recovery => counts.nested,
            Self::Order => counts.runs,
            Self::Faults => counts.faults_hit,
            Self::Drops => counts.abandoned,
            Self::Damage => counts.damaged,
        }
    }

    fn run(self, seed: u64, settings: &Settings, stop: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
        match self {
            Self::Cuts => cuts::run(seed, settings, stop),
            Self::Recovery => recovery::run(seed, settings, stop),
            Self::Order => order::run(seed, settings, stop),
            Self::Faults => faults::run(seed, settings, stop),
            Self::Drops => drops::run(seed, settings, stop),
            Self::Damage => damage::run(seed, settings, stop),
            Self::Names => names::run(seed, settings, stop),
        }
    }
}

/// How a campaign is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it does.
    pub kind: Kind,
    /// First seed.
    pub first_seed: u64,
    /// Number of seeds at most.
    pub seed_count: u64,
    /// Time at most.
    pub time: Duration,
    /// Stops when this much of the kind's unit is done.
    pub bound: u64,
    /// Planted bugs.
    pub plants: Vec<Plant>,
    /// Threads.
    pub threads: usize,
    /// Says what happens in the run.
    pub trace: bool,
}

impl Settings {
    /// A campaign without bounds of its own.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            first_seed: 1,
            seed_count: u64::MAX,
            time: Duration::from_secs(365 * 86_400),
            bound: u64::MAX,
            plants: Vec::new(),
            threads: 1,
            trace: false,
        }
    }
}

/// What came of a campaign.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub counts: Counts,
    /// The first broken promise and its seed.
    pub broken: Option<(u64, Violation)>,
    /// Seeds that were begun: `first..end`.
    pub seeds: std::ops::Range<u64>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Runs a campaign.
///
/// # Panics
/// When a thread cannot be started.
#[must_use]
pub fn run(settings: &Settings) -> Outcome {
    let start = Instant::now();
    let shared = Arc::new(Shared {
        next: AtomicU64::new(settings.first_seed),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        result: Mutex::default(),
    });
    let end = settings.first_seed.saturating_add(settings.seed_count);
    std::thread::scope(|scope| {
        for _ in 0..settings.threads.max(1) {
            let shared = Arc::clone(&shared);
            scope.spawn(move || worker(settings, &shared, start, end));
        }
    });
    let (counts, broken) = std::mem::take(&mut *shared.result.lock().unwrap());
    let seeds = settings.first_seed..shared.next.load(Ordering::Relaxed).min(end);
    Outcome { counts, broken, seeds, elapsed: start.elapsed() }
}

struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    /// Units done by finished runs.
    done: AtomicU64,
    result: Mutex<(Counts, Option<(u64, Violation)>)>,
}

fn worker(settings: &Settings, shared: &Shared, start: Instant, end: u64) {
    plant(&settings.plants);
    let stop = |counts: &Counts| {
        shared.stop.load(Ordering::Relaxed)
            || start.elapsed() > settings.time
            || shared.done.load(Ordering::Relaxed) + settings.kind.done(counts) >= settings.bound
    };
    while !stop(&Counts::default()) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let ran = catch_unwind(AssertUnwindSafe(|| settings.kind.run(seed, settings, &stop)));
        let (mut counts, check) = ran.unwrap_or_else(|panic| (Counts::default(), Err(panicked(&*panic))));
        counts.runs += 1;
        shared.done.fetch_add(settings.kind.done(&counts), Ordering::Relaxed);
        let mut result = shared.result.lock().unwrap();
        result.0.add(&counts);
        if let Err(violation) = check {
            shared.stop.store(true, Ordering::Relaxed);
            if result.1.as_ref().is_none_or(|first| seed < first.0) {
                result.1 = Some((seed, violation));
            }
        }
    }
}

/// A panic as a violation.
#[must_use]
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Violation(format!("P5: panic: {} {}", text.unwrap_or("?"), place::take()))
}
