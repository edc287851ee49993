//! The simulated disk: files, directories, clock, chance and tasks in memory, all from one seed.
//!
//! A [`SimDisk`] keeps a durable image, a current image and, per file and directory, the ordered changes between them.
//! [`SimDisk::power_cut`] gives a new disk that holds what was synced and, of the rest, whatever the seed says;
//! [`SimDisk::kill`] one that a process finds after another one died. The disk itself goes on, so that one run gives
//! images at every moment of it.
//!
//! | what is not synced | at a power cut |
//! |---|---|
//! | a write | lost, whole, or torn: a prefix, any 512-byte sectors, any 4 KiB pages, any bytes of it |
//! | a file's length | its own fate, whatever becomes of the data; holes read as zeros |
//! | a new, renamed or removed name | lost or kept until the *directory* is synced, as a prefix or any subset; a rename is atomic |
//! | a new directory | likewise, and everything below it is lost with its name |
//! | an operation in flight | may have happened, in part or whole |
//!
//! A sync covers what had *completed* before the sync was submitted. A failed one leaves one of three states behind
//! ([`SyncFailure`]).
//!
//! Time is virtual: an operation takes what [`Latency`] and the seed say, and the clock jumps when no task is ready. The
//! same program on the same seed does the same, which [`SimDisk::trace_hash`] shows.
//!
//! ```
//! use jdb_io::{Disk, Mode, sim::{SimConfig, SimDisk}};
//! use std::path::Path;
//!
//! let sim = SimDisk::new(SimConfig { seed: 7, ..SimConfig::default() });
//! let disk = Disk::sim(&sim);
//! sim.executor().block_on(async move {
//!     let file = disk.open(Path::new("/log"), Mode::CreateNew).await?;
//!     file.write_at(0, b"kept".to_vec()).await.0?;
//!     file.sync().await?;
//!     disk.sync_dir(Path::new("/")).await?;
//!     file.write_at(4, b" or lost".to_vec()).await.0
//! }).expect("not idle")?;
//! let after = sim.power_cut(1, SimConfig::default());
//! assert!(after.read_raw(Path::new("/log")).is_some_and(|bytes| bytes.starts_with(b"kept")));
//! # Ok::<(), jdb_io::Error>(())
//! ```
//! Not simulated: hard links, renames between directories, permissions; files are at most 1 GiB long.

mod action;
mod content;
mod copy;
mod damage;
mod disk;
mod executor;
mod faults;
mod file;
mod image;
mod machine;
mod names;
mod queue;
mod raw;
mod rng;
#[cfg(test)]
mod tests;

pub use damage::DamageCounts;
pub use executor::{Executor, Step};
pub use faults::{At, Fault, FaultKind, OpKind, Repeat, SyncFailure};
pub(crate) use file::SimFile;

use action::{Action, Outcome};
use executor::Owner;
use image::{Body, Image};
use machine::Machine;
use rng::Rng;
use std::fmt;
use std::rc::Rc;

/// How long operations take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// Longest time from submission to effect, in virtual microseconds; from effect to completion it is half of that.
    /// The seed draws from 0 up to this for each operation.
    pub max_us: u64,
}

/// What a simulated disk is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimConfig {
    /// Of everything that is drawn: order of tasks and completions, latencies, [`Disk::random`](crate::Disk::random).
    pub seed: u64,
    /// How long operations take.
    pub latency: Latency,
    /// Bytes that all files may hold before writes fail with "no space".
    pub capacity: Option<u64>,
    /// Every I/O suspends at least once. Otherwise reads are ready half of the time, and whatever drew no latency.
    pub suspend: bool,
    /// Of 1000 reads and writes, how many are short (and go on).
    pub short_permille: u16,
    /// Steps after which [`Executor::block_on`] gives up: a task that ticks for ever is never idle.
    pub steps_max: u64,
    /// At a power cut a file whose removal was lost may have lost its blocks.
    pub removed_lose_blocks: bool,
}

/// The simulated disk. Clones are the same disk.
///
/// A [`Disk`](crate::Disk) made of it does not keep its tasks alive: they are dropped with the last `SimDisk` or
/// [`Executor`].
#[derive(Clone)]
pub struct SimDisk {
    machine: Rc<Machine>,
    owner: Option<Rc<Owner>>,
}

/// What a power cut could lose.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unsynced {
    /// Writes and changes of lengths.
    pub writes: u64,
    /// Bytes of these writes.
    pub bytes: u64,
    /// Creates, renames and removes.
    pub names: u64,
}

impl Latency {
    /// Operations take no virtual time.
    pub const NONE: Self = Self { max_us: 0 };

    /// Operations take up to `max_us` microseconds.
    #[must_use]
    pub const fn up_to(max_us: u64) -> Self {
        Self { max_us }
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: Latency::up_to(100),
            capacity: None,
            suspend: true,
            short_permille: 0,
            steps_max: 50_000_000,
            removed_lose_blocks: true,
        }
    }
}

impl SimDisk {
    /// An empty disk: nothing but the directory `/`.
    #[must_use]
    pub fn new(config: SimConfig) -> Self {
        let image = Image::new(config.capacity);
        Self::of(Machine::new(config, image, 0, UNIX_MS_START, DamageCounts::default()))
    }

    fn of(machine: Machine) -> Self {
        let machine = Rc::new(machine);
        Self { owner: Some(Rc::new(Owner(Rc::clone(&machine)))), machine }
    }

    /// The same disk without a claim on its tasks, for what those tasks hold.
    pub(crate) fn for_tasks(&self) -> Self {
        Self { machine: Rc::clone(&self.machine), owner: None }
    }

    /// The executor of this disk.
    ///
    /// # Panics
    /// Never on a disk that came from [`SimDisk::new`], [`SimDisk::power_cut`] or [`SimDisk::kill`].
    #[must_use]
    pub fn executor(&self) -> Executor {
        let owner = self.owner.clone();
        Executor { owner: owner.expect("public handles own the tasks") }
    }

    /// I/O events so far: each submission, each effect and each completion is one.
    #[must_use]
    pub fn boundaries(&self) -> u64 {
        self.machine.events.get()
    }

    /// Of [`SimDisk::boundaries`], those of operations that can change what a crash leaves: an image between two reads
    /// shows nothing new.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.machine.changes.get()
    }

    /// What the disk holds after the power failed now: what was synced, and of everything else what `seed` says.
    /// This disk goes on unchanged. `config` is that of the new one; everything on it is durable.
    ///
    /// Of 24 seeds about 2 lose everything, 2 keep everything, 2 keep whole files, 4 cut the history at some moment, and
    /// 14 give each change a fate of its own; lengths and operations in flight are drawn apart.
    ///
    /// Cost: a node and a name per file, and a copy of those with unsynced writes.
    #[must_use]
    pub fn power_cut(&self, seed: u64, config: SimConfig) -> Self {
        let rng = Rng::new(seed, POWER_CUT);
        let (image, mut counts) = self.dead_image(&rng);
        counts += damage::cut(&image, &rng, self.machine.config.removed_lose_blocks);
        self.successor(config, image, counts)
    }

    /// What the next process finds after this one died now: the page cache with everything that had taken effect, and of
    /// the operations in flight whatever `seed` says. What was not synced is still not: a later power cut can lose it.
    /// This disk goes on unchanged.
    ///
    /// Cost: as [`SimDisk::power_cut`], but contents are shared.
    #[must_use]
    pub fn kill(&self, seed: u64, config: SimConfig) -> Self {
        let rng = Rng::new(seed, KILL);
        let (image, mut counts) = self.dead_image(&rng);
        image.each_node(&mut |node| {
            match &node.body {
                Body::File(content) => {
                    let mut content = content.borrow_mut();
                    content.sync_broken = false;
                    if content.cache_stale && rng.chance(1, 2) {
                        content.evict();
                        counts.caches_evicted += 1;
                    }
                }
                Body::Dir(names) => names.borrow_mut().sync_broken = false,
                Body::Symlink => {}
            }
            node.complete_all();
        });
        self.successor(config, image, counts)
    }

    /// A copy of the image in which each operation in flight has happened or has not.
    fn dead_image(&self, rng: &Rng) -> (Image, DamageCounts) {
        let (image, copied) = copy::copy(&self.machine.image);
        let mut in_flight = Vec::new();
        self.machine.each_in_flight(|action| in_flight.extend(copy::translate(action, &copied)));
        let mut counts = DamageCounts::default();
        let of_4 = [0, 1, 2, 4].get(rng.index(4)).copied().unwrap_or(0);
        while !in_flight.is_empty() {
            let action = in_flight.swap_remove(rng.index(in_flight.len()));
            if !rng.chance(of_4, 4) {
                counts.in_flight_lost += 1;
                continue;
            }
            let short = matches!(action, Action::Write(..)) && rng.chance(1, 3);
            let effect = image.perform(&action, short.then_some(FaultKind::ShortWrite), rng);
            if let Ok(outcome) = effect.result {
                counts.in_flight_done += 1;
                // The file of a lock may be there; nobody holds it.
                if let Outcome::Node(node) = outcome {
                    node.unlock();
                }
            }
        }
        (image, counts)
    }

    fn successor(&self, config: SimConfig, image: Image, counts: DamageCounts) -> Self {
        let machine = &self.machine;
        let unix_ms = machine.unix_ms_start + machine.now.get() / 1_000_000 + 1000;
        Self::of(Machine::new(config, image, machine.generation + 1, unix_ms, counts))
    }

    /// What really took effect at the crash that made this disk; all 0 on a new one.
    #[must_use]
    pub fn damage_counts(&self) -> DamageCounts {
        self.machine.damage
    }

    /// Lets an operation fail; several faults may wait at once.
    pub fn inject(&self, fault: Fault) {
        self.machine.faults.borrow_mut().inject(fault);
    }

    /// Forgets the faults that wait.
    pub fn clear_faults(&self) {
        self.machine.faults.borrow_mut().clear();
    }

    /// How many operations an injected fault has hit.
    #[must_use]
    pub fn faults_hit(&self) -> u64 {
        self.machine.faults.borrow().hit
    }

    /// Changes how much room there is.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.machine.image.capacity.set(capacity);
    }

    /// Bytes of all files that have a name or are open.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.machine.image.used.get()
    }

    /// A hash over every operation with its result and moment, and over the order of the tasks.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.machine.trace.get()
    }

    /// What a power cut now could lose, operations in flight apart.
    #[must_use]
    pub fn total_unsynced(&self) -> Unsynced {
        let mut total = Unsynced::default();
        self.machine.image.each_node(&mut |node| match &node.body {
            Body::File(file) => {
                for pending in file.borrow().pending.iter().filter(|p| !p.synced) {
                    total.writes += 1;
                    if let content::Change::Write { data, .. } = &pending.change {
                        total.bytes += data.len() as u64;
                    }
                }
            }
            Body::Dir(names) => {
                total.names += names.borrow().pending.iter().filter(|p| !p.synced).count() as u64;
            }
            Body::Symlink => {}
        });
        total
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("seed", &self.machine.config.seed)
            .field("generation", &self.machine.generation)
            .field("boundaries", &self.boundaries())
            .finish_non_exhaustive()
    }
}

/// Streams of chance of a crash; those of a disk are 0 and, one per life, 1 and above.
const POWER_CUT: u64 = 1 << 32;
const KILL: u64 = POWER_CUT + 1;
/// Wall clock of a new disk: some moment in 2023.
const UNIX_MS_START: u64 = 1_700_000_000_000;
