//! Real processes on a real file system, killed with SIGKILL in the middle of work.
//!
//! The child writes a seeded workload and tells its parent of every commit and answer; the parent kills it after a random
//! number of answers (or while it opens), opens the database itself and compares it with the oracle, round after round.

use crate::ext4::{Ext4, waiting_len};
use crate::life::{open_and_settle, unexpected, work};
use crate::observe;
use crate::oracle::{After, Oracle};
use crate::read::read_sound;
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::{Check, Violation};
use crate::wire::{Hearer, Message, Teller};
use crate::world::World;
use crate::{broken, life};
use jdb::RuntimeConfig;
use jdb_io::{Disk, Driver};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Rounds on one database before a new one is begun.
const ROUNDS_PER_DATABASE: u64 = 12;
/// A child that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How to run.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// First seed; each database takes one.
    pub seed: u64,
    /// Rounds at most.
    pub rounds: u64,
    /// Time at most.
    pub time: Duration,
    /// Shut an ext4 down under the child, instead of only killing it.
    pub ext4: bool,
    /// Says what happens.
    pub trace: bool,
    /// The program that is its own child: it must call [`child`] when started with `--child SEED VERSION DIR`.
    pub program: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// What was done.
    pub counts: Counts,
    /// The first broken promise and its seed.
    pub broken: Option<(u64, Violation)>,
    /// The driver of the parent.
    pub driver: Option<Driver>,
    /// Why nothing was done.
    pub skipped: Option<String>,
}

/// Runs rounds until a bound is reached or a promise is broken.
#[must_use]
pub fn run(rounds: &Rounds) -> Ended {
    let mut ended = Ended { counts: Counts::default(), broken: None, driver: None, skipped: None };
    let start = Instant::now();
    for seed in rounds.seed.. {
        let left = rounds.rounds.saturating_sub(ended.counts.kills);
        if left == 0 || start.elapsed() > rounds.time {
            break;
        }
        let home = match Home::new(rounds.ext4) {
            Ok(home) => home,
            Err(reason) => {
                ended.skipped = Some(reason);
                break;
            }
        };
        let world = World::new(spec(seed, home.path()), rounds.trace);
        let check = one_database(rounds, &home, &world, seed, left, &mut ended.driver);
        ended.counts.add(&world.counts.take());
        ended.counts.runs += 1;
        if let Err(violation) = check {
            ended.broken = Some((seed, violation));
            break;
        }
    }
    ended
}

/// Where a database lies.
enum Home {
    Temp(tempfile::TempDir),
    Ext4(Ext4),
}

impl Home {
    fn new(ext4: bool) -> Result<Self, String> {
        if ext4 {
            return Ext4::new().map(Self::Ext4);
        }
        tempfile::tempdir().map(Self::Temp).map_err(|e| format!("no temporary directory: {e}"))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temp(dir) => dir.path(),
            Self::Ext4(ext4) => ext4.mount_point(),
        }
    }
}

fn spec(seed: u64, dir: &Path) -> Spec {
    let mut rng = Rng::new(seed ^ 0x9119);
    let mut spec = Spec::new(seed, &dir.join("db"));
    spec.memtable_len = rng.pick(&[2048, 16 << 10, 64 << 10]);
    spec.segment_len = rng.pick(&[4096, 32 << 10, 256 << 10]);
    spec.sync_percent = rng.pick(&[2, 10, 30]);
    spec.naps_ms = [0, 1, 1, 3];
    spec
}

fn one_database(
    rounds: &Rounds,
    home: &Home,
    world: &Rc<World>,
    seed: u64,
    rounds_max: u64,
    driver: &mut Option<Driver>,
) -> Check {
    let mut rng = Rng::new(seed ^ 0x9120);
    let mut after = After::Kill;
    for round in 0..rounds_max.min(ROUNDS_PER_DATABASE) {
        *driver = Some(look(world, after)?);
        let version = (round + 1) << 32;
        let killed = one_child(rounds, home, world, seed, version, &mut rng)
            .map_err(|v| v.at(format!("round {round}")));
        world.counts.borrow_mut().kills += 1;
        killed?;
        if let Home::Ext4(ext4) = home {
            ext4.remount().map_err(Violation)?;
            after = After::PowerCut;
        }
        world.trace(|| format!("==== round {round} over ===="));
    }
    look(world, after).map(|_| ())
}

/// Opens the database, compares, closes.
fn look(world: &Rc<World>, after: After) -> Check<Driver> {
    let runtime =
        jdb::runtime(&RuntimeConfig::default()).map_err(|e| Violation(format!("no runtime: {e}")))?;
    let entered = observe::enter(world);
    let driver = runtime.block_on(async {
        let disk = Disk::real();
        let db = open_and_settle(&disk, world, after).await?;
        life::close(db, world).await?;
        Ok(disk.driver())
    });
    drop(entered);
    driver
}

/// Starts a child, hears it, kills it, hears the rest.
fn one_child(
    rounds: &Rounds,
    home: &Home,
    world: &Rc<World>,
    seed: u64,
    version: u64,
    rng: &mut Rng,
) -> Check {
    let spawned = Command::new(&rounds.program)
        .args(["--child", &seed.to_string(), &version.to_string()])
        .arg(home.path())
        .args(rounds.ext4.then_some("--tolerant"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| Violation(format!("no child: {e}")))?;
    let mut hearer = Hearer::new(child.stdout.take().unwrap());
    let child = Arc::new(Mutex::new(child));
    let (alive, watch) = mpsc::channel::<()>();
    let watchdog = {
        let child = Arc::clone(&child);
        std::thread::spawn(move || {
            loop {
                match watch.recv_timeout(SILENCE_MAX) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                    Err(RecvTimeoutError::Timeout) => {
                        let _ = child.lock().unwrap().kill();
                        return true;
                    }
                }
            }
        })
    };
    // One child in eight dies while it opens, the others after some answers and a little more.
    let answers_max = if rng.one_in(8) { 0 } else { rng.within(1..400) };
    let pause = Duration::from_micros(rng.below(if answers_max == 0 { 12_000 } else { 2_000 }));
    let (mut killed, mut cut) = (false, false);
    let mut answers = 0;
    loop {
        if answers >= answers_max && !killed {
            let until = Instant::now() + pause;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            if let Home::Ext4(ext4) = home {
                // What is said from here on is no promise: a sync that the shutdown overtakes may come back as if it had succeeded.
                let before = waiting_len(hearer.source()).and_then(|len| hearer.hear_within(len));
                for message in before.map_err(|e| Violation(format!("pipe: {e}")))? {
                    answers += u64::from(matches!(message, Message::Acknowledged { .. }));
                    heard(world, message)?;
                }
                ext4.shut_down().map_err(Violation)?;
                cut = true;
            }
            child.lock().unwrap().kill().map_err(|e| Violation(format!("kill: {e}")))?;
            killed = true;
        }
        let message = hearer.hear().map_err(|e| Violation(format!("pipe: {e}")))?;
        let Some(message) = message else { break };
        let _ = alive.send(());
        answers += u64::from(matches!(message, Message::Acknowledged { .. }));
        match message {
            Message::Acknowledged { ns, seq, .. } if cut => {
                heard(world, Message::Acknowledged { ns, seq, sync: false })?;
            }
            Message::Durable { .. } | Message::MadeDurable(_) if cut => {}
            message => heard(world, message)?,
        }
    }
    drop(alive);
    let silent = watchdog.join().unwrap_or(false);
    let status = child.lock().unwrap().wait().map_err(|e| Violation(format!("wait: {e}")))?;
    world.counts.borrow_mut().acknowledged_os += answers;
    if silent {
        broken!("P5: a child said nothing for {} s", SILENCE_MAX.as_secs());
    }
    if !killed {
        broken!("a child ended by itself: {status}");
    }
    Ok(())
}

fn heard(world: &World, message: Message) -> Check {
    let mut oracle = world.oracle.borrow_mut();
    match message {
        Message::Open => Ok(()),
        Message::Submitted { shard, first_seq, ops } => oracle.submitted(shard, first_seq, ops),
        Message::Acknowledged { ns, seq, sync } => oracle.acknowledged_by_seq(ns, seq, sync),
        Message::Durable { ns, seq } => {
            oracle.commit_durable(ns, seq);
            Ok(())
        }
        Message::MadeDurable(marks) => {
            oracle.made_durable(&marks);
            Ok(())
        }
    }
}

/// The child: opens the database in `dir`, tells that it did, and works until it is killed. Returns an exit code.
#[must_use]
pub fn child(seed: u64, version: u64, dir: &Path, tolerant: bool) -> i32 {
    match work_for_ever(seed, version, dir, tolerant) {
        Ok(()) => 0,
        Err(violation) => {
            eprintln!("child of seed {seed}: {violation}");
            3
        }
    }
}

fn work_for_ever(seed: u64, version: u64, dir: &Path, tolerant: bool) -> Check {
    let world = World::new(spec(seed, dir), false);
    world.tolerant.set(tolerant);
    world.set_version(version);
    let runtime =
        jdb::runtime(&RuntimeConfig::default()).map_err(|e| Violation(format!("no runtime: {e}")))?;
    let _entered = observe::enter(&world);
    runtime.block_on(async {
        let disk = Disk::real();
        let db = match life::open(&disk, &world).await {
            Ok(db) => db,
            // The file system may be gone already.
            Err(_) if tolerant => return wait_for_death(&disk).await,
            Err(error) => return Err(unexpected("open", &error)),
        };
        // The parent has compared; here only the starting point counts.
        let contents = match read_sound(&db, &world.spec).await {
            Ok(contents) => contents,
            Err(_) if tolerant => return wait_for_death(&disk).await,
            Err(violation) => return Err(violation),
        };
        let oracle = Oracle::new(world.spec.ns.len(), usize::from(world.spec.shards)).settle(contents);
        *world.oracle.borrow_mut() = oracle;
        *world.listener.borrow_mut() = Some(Box::new(Teller::new(io::stdout())));
        world.tell(|| Message::Open);
        work(&db, &disk, &world, u32::MAX, &mut Rng::new(seed ^ version)).await;
        world.verdict()?;
        wait_for_death(&disk).await
    })
}

async fn wait_for_death(disk: &Disk) -> Check {
    disk.sleep(Duration::from_secs(120)).await;
    broken!("nobody killed the child")
}
