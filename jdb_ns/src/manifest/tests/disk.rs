//! The file on a simulated disk: power cuts, deaths of the process and errors at every change of the disk.

use super::*;
use crate::error::Error;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{At, Fault as SimFault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, Step, SyncFailure};
use jdb_io::{Disk, Mode};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

const DIR: &str = "/db/shard-003";

fn config(seed: u64) -> SimConfig {
    SimConfig { seed, ..SimConfig::default() }
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

/// A disk with an empty, durable directory.
fn disk_with_dir(seed: u64) -> SimDisk {
    let sim = SimDisk::new(config(seed));
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        disk.create_dir_all(dir()).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
        disk.sync_dir(Path::new("/db")).await.unwrap();
    });
    sim
}

fn on<T: 'static>(sim: &SimDisk, future: impl Future<Output = T> + 'static) -> T {
    sim.executor().block_on(future).expect("the future never ends")
}

async fn load(disk: &Disk) -> crate::Result<Loaded> {
    ManifestFile::load(disk, dir(), &SECRET, SHARD, Mode::ReadWrite).await
}

/// What may be found after a crash: the state of the last success and those of failed or unanswered attempts since.
#[derive(Clone, Default)]
struct Promise {
    allowed: Rc<RefCell<Vec<State>>>,
    /// Nothing was made yet: there may be no file.
    none: Rc<Cell<bool>>,
}

impl Promise {
    fn try_to(&self, state: &State) {
        self.allowed.borrow_mut().push(state.clone());
    }

    fn done(&self, state: &State) {
        self.none.set(false);
        *self.allowed.borrow_mut() = vec![state.clone()];
    }

    fn copy(&self) -> Self {
        Self {
            allowed: Rc::new(RefCell::new(self.allowed.borrow().clone())),
            none: Rc::new(Cell::new(self.none.get())),
        }
    }
}

/// One life: opens or makes the file, then commits. Ends early where nothing more can be written.
async fn live(disk: Disk, promise: Promise, seed: u64, commits: u64) {
    let mut r = Rng(seed);
    let (mut state, mut file) = match load(&disk).await {
        Ok(mut loaded) => {
            if loaded.file.sync_at_open().await.is_err() {
                return;
            }
            // From here on files are removed because of this state.
            promise.done(&loaded.state);
            (loaded.state, loaded.file)
        }
        Err(Error::Missing { .. }) => {
            let state = State::default();
            promise.try_to(&state);
            match ManifestFile::create(&disk, dir(), &SECRET, SHARD, &state).await {
                Ok(file) => {
                    promise.done(&state);
                    (state, file)
                }
                Err(_) => return,
            }
        }
        Err(_) => return,
    };
    for _ in 0..commits {
        let mut edit = fitting_edit(&mut r, &state);
        if r.below(8) == 0 && edit.tables_added.is_empty() {
            let number = edit.packs_added.len() as u32 + edit.segments_sealed.len() as u32 + 1000;
            let key = Bytes::from(vec![7; 30_000]);
            let table = TableEntry { first_key: key.clone(), last_key: key, ..TableEntry::default() };
            edit.tables_added.push(TableEntry {
                number: state.next_number + number + edit.next_number.unwrap_or(0),
                ..table
            });
        }
        let mut next = state.clone();
        next.apply(&edit).unwrap();
        promise.try_to(&next);
        let done = match r.below(6) {
            0 => file.roll(&next).await,
            _ => {
                let mut copy = state.clone();
                let done = file.commit(&mut copy, &edit).await;
                assert_eq!(copy, if done.is_ok() { next.clone() } else { state.clone() });
                done
            }
        };
        if done.is_ok() {
            promise.done(&next);
            state = next;
        } else if file.check_healthy().is_err() {
            return;
        }
    }
}

/// Whether what is on `sim` keeps the promise.
fn verify(sim: &SimDisk, promise: &Promise) -> Result<(), String> {
    let disk = Disk::sim(sim);
    match on(sim, async move { load(&disk).await }) {
        Ok(loaded) if promise.allowed.borrow().contains(&loaded.state) => Ok(()),
        Ok(loaded) => {
            Err(format!("none of the {} states allowed: {:?}", promise.allowed.borrow().len(), loaded.state))
        }
        Err(Error::Missing { .. }) if promise.none.get() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs a life on `sim`, crashes at every change of the disk and checks what is found; from some crashes it goes on
/// with another life, `depth` deep. The number of crashes.
fn crash_everywhere(sim: &SimDisk, promise: &Promise, seed: u64, depth: u32) -> Result<u64, String> {
    let mut r = Rng(seed ^ 0x5eed);
    let executor = sim.executor();
    executor.spawn(live(Disk::sim(sim), promise.clone(), seed, 5));
    let (mut crashes, mut seen) = (0, sim.changes());
    while executor.step() == Step::Progress {
        if sim.changes() == seen {
            continue;
        }
        seen = sim.changes();
        let crash_seed = r.below(u64::MAX);
        let power = r.below(3) > 0;
        let next = config(crash_seed);
        let after = if power { sim.power_cut(crash_seed, next) } else { sim.kill(crash_seed, next) };
        crashes += 1;
        let story = |error| format!("seed {seed}, depth {depth}, change {seen}, power cut {power}: {error}");
        verify(&after, promise).map_err(story)?;
        if depth > 0 && r.below(8) == 0 {
            crashes += crash_everywhere(&after, &promise.copy(), crash_seed, depth - 1).map_err(story)?;
        }
    }
    Ok(crashes)
}

fn crash_runs(seeds: std::ops::Range<u64>) -> Result<u64, String> {
    let mut crashes = 0;
    for seed in seeds {
        let promise = Promise::default();
        promise.none.set(true);
        crashes += crash_everywhere(&disk_with_dir(seed), &promise, seed, 2)?;
    }
    Ok(crashes)
}

#[test]
fn after_any_crash_a_committed_state_is_found() {
    let crashes = crash_runs(0..25).unwrap();
    assert!(crashes >= 2500, "only {crashes} crashes");
}

#[test]
fn each_planted_bug_is_found() {
    for bug in [Plant::NoManifestSync, Plant::NoManifestDirSync, Plant::NoOpenSync] {
        plant(&[bug]);
        let found = (0..20).any(|seed| crash_runs(seed..seed + 1).is_err());
        plant(&[]);
        assert!(found, "{} is not found", bug.name());
    }
}

/// A life with a fault, the death of the process, another life with crashes everywhere.
fn fault_run(seed: u64, fault: SimFault) -> Result<bool, String> {
    let sim = disk_with_dir(seed);
    let promise = Promise::default();
    promise.none.set(true);
    sim.inject(fault);
    on(&sim, live(Disk::sim(&sim), promise.clone(), seed, 12));
    let hit = sim.faults_hit() > 0;
    let story = |when: &str, error| format!("seed {seed}, {fault:?}, {when}: {error}");
    verify(&sim.power_cut(seed, config(seed)), &promise).map_err(|error| story("power cut", error))?;
    let killed = sim.kill(seed, config(seed));
    verify(&killed, &promise).map_err(|error| story("killed", error))?;
    crash_everywhere(&killed, &promise, seed + 1, 0).map_err(|error| story("killed, another life", error))?;
    Ok(hit)
}

#[test]
fn after_a_fault_a_committed_state_is_found() {
    let mut hit = 0;
    for seed in 0..3 {
        for n in 0..10 {
            let at = |op| At::NthOf(op, n);
            for (at, kind) in [
                (at(OpKind::Write), FaultKind::Eio),
                (at(OpKind::Write), FaultKind::Enospc),
                (at(OpKind::Write), FaultKind::ShortWrite),
                (at(OpKind::Rename), FaultKind::Eio),
                (at(OpKind::SyncDir), FaultKind::FailedSync(SyncFailure::Sticky)),
                (at(OpKind::Sync), FaultKind::FailedSync(SyncFailure::DroppedClean)),
                (at(OpKind::Sync), FaultKind::FailedSync(SyncFailure::Reverted)),
                (at(OpKind::Sync), FaultKind::FailedSync(SyncFailure::Sticky)),
            ] {
                for repeat in [Repeat::Once, Repeat::Forever] {
                    hit += u32::from(fault_run(seed, SimFault { at, kind, repeat }).unwrap());
                }
            }
        }
    }
    assert!(hit > 300, "only {hit} faults took effect");
}

/// A file of this life with one commit, and its state.
async fn begun(disk: &Disk) -> (ManifestFile, State) {
    let mut state = State::default();
    let mut file = ManifestFile::create(disk, dir(), &SECRET, SHARD, &state).await.unwrap();
    file.commit(&mut state, &small_edit()).await.unwrap();
    (file, state)
}

fn named(n: u64) -> Edit {
    Edit { next_name: Some(n), ..Edit::default() }
}

#[test]
fn a_failed_sync_ends_writing_until_reopen() {
    let sim = disk_with_dir(1);
    let disk = Disk::sim(&sim);
    let handle = sim.clone();
    on(&sim, async move {
        let (mut file, mut state) = begun(&disk).await;
        handle.inject(SimFault {
            at: At::NthOf(OpKind::Sync, 0),
            kind: FaultKind::FailedSync(SyncFailure::Reverted),
            repeat: Repeat::Once,
        });
        let before = state.clone();
        let error = file.commit(&mut state, &named(50)).await.unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.path() == dir().join("MANIFEST")), "{error:?}");
        for _ in 0..2 {
            let error = file.commit(&mut state, &named(51)).await.unwrap_err();
            assert!(matches!(&error, Error::Poisoned { why, .. } if why.contains("sync")), "{error}");
            assert!(matches!(file.roll(&state).await, Err(Error::Poisoned { .. })));
        }
        assert_eq!(state, before);
        let mut again = load(&disk).await.unwrap();
        again.file.sync_at_open().await.unwrap();
        again.file.commit(&mut again.state, &named(52)).await.unwrap();
        assert_eq!(load(&disk).await.unwrap().state.next_name, 52);
    });
}

#[test]
fn a_failed_write_is_left_behind_by_a_new_file() {
    let sim = disk_with_dir(2);
    let disk = Disk::sim(&sim);
    let handle = sim.clone();
    on(&sim, async move {
        let (mut file, mut state) = begun(&disk).await;
        let fault = |repeat| SimFault { at: At::NthOf(OpKind::Write, 0), kind: FaultKind::Enospc, repeat };
        handle.inject(fault(Repeat::Forever));
        let before = state.clone();
        for _ in 0..3 {
            let error = file.commit(&mut state, &named(50)).await.unwrap_err();
            assert!(error.is_no_space(), "{error}");
        }
        assert!(matches!(file.append(&named(50)).await, Err(Error::Poisoned { .. })));
        assert_eq!(state, before);
        assert_eq!(load(&disk).await.unwrap().state, before);
        handle.clear_faults();
        file.commit(&mut state, &named(51)).await.unwrap();
        file.append(&named(52)).await.unwrap();
        assert_eq!(load(&disk).await.unwrap().state.next_name, 52);
        assert!(!disk.list(dir()).await.unwrap().iter().any(|entry| entry.name == "MANIFEST.tmp"));
    });
}

#[test]
fn a_file_from_another_life_is_not_appended_to() {
    let sim = disk_with_dir(3);
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        let (file, state) = begun(&disk).await;
        drop(file);
        let path = dir().join("MANIFEST");
        let old = disk.open(&path, Mode::Read).await.unwrap();
        let old_bytes = old.read_at(0, 10_000).await.unwrap();
        let mut loaded = load(&disk).await.unwrap();
        assert_eq!((&loaded.state, loaded.torn, loaded.len), (&state, false, old_bytes.len() as u64));
        loaded.file.sync_at_open().await.unwrap();
        assert!(matches!(loaded.file.append(&named(50)).await, Err(Error::InvalidArgument { .. })));
        plant(&[Plant::AppendToOldManifest]);
        assert!(!loaded.file.must_roll());
        plant(&[]);
        loaded.file.commit(&mut loaded.state, &named(50)).await.unwrap();
        assert_eq!(old.read_at(0, 10_000).await.unwrap(), old_bytes);
        let new = disk.open(&path, Mode::Read).await.unwrap();
        assert_ne!(new.read_at(0, 10_000).await.unwrap()[..64], old_bytes[..64]);
        assert_eq!(load(&disk).await.unwrap().state, loaded.state);
    });
}

#[test]
fn a_long_file_is_rolled_over() {
    let sim = disk_with_dir(4);
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        let (mut file, mut state) = begun(&disk).await;
        let (mut longest, mut rolled) = (0, 0);
        for n in 0..200 {
            let before = file.len();
            let key = Bytes::from(vec![b'k'; 1000]);
            let added = TableEntry {
                number: state.next_number,
                first_key: key.clone(),
                last_key: key,
                ..TableEntry::default()
            };
            let tables_removed = state.tables.keys().copied().filter(|_| n % 2 == 0).collect();
            let edit = Edit { tables_added: vec![added], tables_removed, ..Edit::default() };
            file.commit(&mut state, &edit).await.unwrap();
            rolled += u32::from(file.len() < before);
            longest = longest.max(file.len());
        }
        assert!(
            (3..9).contains(&rolled) && longest < ROLL_LEN_MIN + 10_000,
            "{rolled} times, {longest} bytes"
        );
        assert_eq!(load(&disk).await.unwrap().state, state);
    });
}

#[test]
fn a_dropped_commit_ends_writing() {
    let sim = disk_with_dir(5);
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        let (mut file, mut state) = begun(&disk).await;
        {
            let edit = named(50);
            let mut commit = Box::pin(file.commit(&mut state, &edit));
            let first = std::future::poll_fn(|cx| std::task::Poll::Ready(commit.as_mut().poll(cx))).await;
            assert!(first.is_pending());
        }
        assert!(matches!(file.commit(&mut state, &named(51)).await, Err(Error::Poisoned { .. })));
    });
}

#[test]
fn an_edit_that_does_not_fit_is_not_written() {
    let sim = disk_with_dir(6);
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        let (mut file, mut state) = begun(&disk).await;
        let len = file.len();
        let edit = Edit { tables_removed: vec![77], ..Edit::default() };
        assert!(matches!(file.commit(&mut state, &edit).await, Err(Error::Corrupt { found: 77, .. })));
        let whole = state.to_edit();
        assert!(matches!(file.append(&whole).await, Err(Error::InvalidArgument { .. })));
        file.commit(&mut state, &Edit::default()).await.unwrap();
        assert_eq!(file.len(), len);
        file.commit(&mut state, &named(9)).await.unwrap();
        assert_eq!(load(&disk).await.unwrap().state, state);
    });
}

#[test]
fn damage_names_file_and_offset() {
    let sim = disk_with_dir(7);
    let disk = Disk::sim(&sim);
    on(&sim, async move {
        assert!(matches!(load(&disk).await, Err(Error::Missing { what: "manifest", .. })));
        let (mut file, mut state) = begun(&disk).await;
        let second = file.len();
        file.commit(&mut state, &named(20)).await.unwrap();
        file.commit(&mut state, &named(21)).await.unwrap();
        let path = dir().join("MANIFEST");
        let raw = disk.open(&path, Mode::ReadWrite).await.unwrap();
        raw.write_at(second + 13, vec![0xff]).await.0.unwrap();
        match load(&disk).await {
            Err(Error::Corrupt { path: found, offset, .. }) => assert_eq!((found, offset), (path, second)),
            other => panic!("{other:?}"),
        }
    });
}
