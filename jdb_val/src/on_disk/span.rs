//! How far a power cut could throw the sequences back: the bound that keeps a sequence from being given out twice.

use super::harness::*;
use crate::{Checkpoint, Op, ValueLog};
use jdb_base::SeqNo;
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, Step};
use jdb_io::task::yield_now;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const JUMP: u64 = 12;

fn full_disk() -> Fault {
    Fault { at: At::NthOf(OpKind::Write, 0), kind: FaultKind::Enospc, repeat: Repeat::Once }
}

fn given(log: &ValueLog) -> u64 {
    log.state.borrow().last_given().get()
}

#[test]
fn a_group_that_is_being_encoded_or_written_is_not_covered_by_a_sync() {
    // The value is long enough for turns while it is encoded; which turn the sync gets is varied.
    for turns in 0..40 {
        let sim = sim(turns);
        let disk = Disk::sim(&sim);
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            let log = Rc::new(log);
            append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap();
            let (other, over) = (Rc::clone(&log), Rc::new(Cell::new(false)));
            let done = Rc::clone(&over);
            disk.spawn(async move {
                let mut group = vec![put(1, "k", "v"); 9];
                group.push(put(1, "long", vec![1; 2 << 20]));
                append(&other, &mut 2, &[group]).await.unwrap();
                done.set(true);
            });
            for _ in 0..turns {
                yield_now().await;
            }
            let covered = log.last_seq().get();
            log.sync().await.unwrap();
            assert_eq!(log.unsynced_span(), given(&log) - covered, "sync after {turns} turns");
            while !over.get() {
                yield_now().await;
            }
            assert_eq!(log.unsynced_span(), given(&log) - covered, "sync after {turns} turns");
            log.sync().await.unwrap();
            assert_eq!(log.unsynced_span(), 0);
        });
    }
}

#[test]
fn marks_and_failed_writes_count_and_a_sync_with_nothing_to_do_resets_nothing() {
    let sim = sim(1);
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        assert_eq!(log.unsynced_span(), 0);
        append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
        assert_eq!(log.unsynced_span(), 1);
        log.sync().await.unwrap();
        assert!(log.mark().await.unwrap());
        assert_eq!(log.unsynced_span(), 1);
        log.sync().await.unwrap();
        assert_eq!(log.unsynced_span(), 0);
        for failed in 1..=5 {
            shared.inject(full_disk());
            append(&log, &mut next, &[vec![put(1, "b", "2"); 3]]).await.unwrap_err();
            log.sync().await.unwrap();
            assert_eq!(log.unsynced_span(), 3 * failed);
            assert!(!log.mark().await.unwrap(), "a mark waits until nothing is in doubt");
        }
        log.start_life(log.last_seq().plus(100));
        assert_eq!(log.unsynced_span(), 0, "what was given out lies below the new start");
        let placed = append(&log, &mut next, &[vec![put(1, "c", "3")]]).await.unwrap();
        assert_eq!(placed[0].seq, seq(1001 + 100), "the mark took 1001");
        assert_eq!(log.unsynced_span(), 1);
    });
}

#[test]
fn without_sequences_left_an_append_is_refused() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        log.start_life(SeqNo::new(u64::MAX - 2));
        append(&log, &mut 1, &[vec![put(1, "a", "1"); 2]]).await.unwrap_err();
        append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap();
        log.sync().await.unwrap();
        let error = append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap_err();
        assert!(matches!(error, crate::Error::TooLarge { what: "sequence", .. }), "{error}");
        assert!(log.mark().await.is_err());
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        append(&log, &mut 2, &[vec![put(1, "a", "1")]]).await.unwrap_err();
    });
}

/// What lives share: the recorded start of the newest one, and the largest sequence that any of them gave out.
#[derive(Default)]
struct Books {
    start: Cell<u64>,
    given: Cell<u64>,
    bounded: Cell<u64>,
    problem: Cell<Option<(u64, u64)>>,
    log: RefCell<Option<Rc<ValueLog>>>,
}

impl Books {
    /// Starts a life of this log, or goes on in it, above whatever can be known.
    fn start(&self, log: &ValueLog, found: u64) {
        let first = found.max(self.start.get()) + JUMP;
        let given = self.log.borrow().as_ref().map_or(0, |log| given(log)).max(self.given.get());
        if first <= given {
            self.problem.set(Some((first, given)));
        }
        self.given.set(given);
        self.start.set(first);
        log.start_life(seq(first));
    }
}

/// Appends, fails, marks and syncs at random, at most [`JUMP`] ahead, until the power fails.
async fn life(disk: Disk, sim: SimDisk, books: Rc<Books>, seed: u64, mut next: u32) {
    let Ok((log, recovered)) = ValueLog::open(&disk, config(), &Checkpoint::default(), &mut |_| {})
        .await
        .map(|(l, r)| (Rc::new(l), r))
    else {
        return;
    };
    books.start(&log, recovered.last_seq.get());
    *books.log.borrow_mut() = Some(Rc::clone(&log));
    let (syncing, slow) = (Rc::clone(&log), disk.clone());
    disk.spawn(async move {
        let mut chance = Chance(seed ^ 1);
        while syncing.sync().await.is_ok() {
            slow.sleep(std::time::Duration::from_micros(chance.below(2000))).await;
        }
    });
    let mut chance = Chance(seed);
    loop {
        let group: Vec<Op> = vec![put(1, "k", "v"); 1 + chance.below(5) as usize];
        while log.unsynced_span() + group.len() as u64 >= JUMP {
            books.bounded.set(books.bounded.get() + 1);
            let span = log.unsynced_span();
            if log.sync().await.is_err() {
                return;
            }
            if log.unsynced_span() == span && log.synced() == log.written() {
                books.start(&log, log.last_seq().get());
            }
        }
        if chance.below(2) == 0 {
            sim.inject(full_disk());
        }
        if chance.below(4) == 0 {
            drop(log.mark().await);
        }
        drop(append(&log, &mut next, &[group]).await);
        yield_now().await;
    }
}

#[test]
fn no_sequence_is_given_out_twice_with_a_small_jump() {
    let mut bounded = 0;
    for seed in 0..150 {
        let books = Rc::new(Books::default());
        let mut sim = sim(seed);
        for round in 0..8 {
            let next = 1 + round as u32 * 10_000;
            sim.executor().spawn(life(
                Disk::sim(&sim),
                sim.clone(),
                Rc::clone(&books),
                seed * 8 + round,
                next,
            ));
            for _ in 0..Chance(seed * 8 + round).below(400) {
                if sim.executor().step() == Step::Idle {
                    break;
                }
            }
            if let Some((first, given)) = books.problem.get() {
                panic!("seed {seed} round {round}: a life starts at {first} although {given} was given out");
            }
            sim = sim.power_cut(seed ^ round << 32, SimConfig { seed: seed + round, ..SimConfig::default() });
        }
        bounded += books.bounded.get();
    }
    assert!(bounded > 150, "the bound was met {bounded} times");
}
