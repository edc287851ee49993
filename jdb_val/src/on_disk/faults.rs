//! Failed writes, creations and syncs; dropped futures.

use super::harness::*;
use crate::{Checkpoint, Error, LogPos};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SyncFailure};
use jdb_io::task::yield_now;
use std::rc::Rc;

fn once(kind: OpKind, nth: u64, fault: FaultKind) -> Fault {
    Fault { at: At::NthOf(kind, nth), kind: fault, repeat: Repeat::Once }
}

#[test]
pub(super) fn a_failed_write_is_left_out_and_the_log_goes_on_in_a_new_segment() {
    for fault in [FaultKind::Eio, FaultKind::Enospc] {
        let sim = sim(1);
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            let mut next = 1;
            append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
            let end = log.written();
            shared.inject(once(OpKind::Write, 0, fault));
            let lost = append(&log, &mut next, &[vec![put(1, "lost", "x")], vec![put(1, "lost", "y")]]).await;
            assert!(lost.is_err());
            assert_eq!(log.written(), end);
            let placed = append(&log, &mut next, &[vec![put(1, "b", "2")]]).await.unwrap();
            assert!(placed[0].seq.get() > 1002, "a failed write's sequences are used up");
            assert_eq!(log.chain()[1].pred, end);
            log.sync().await.unwrap();
            let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            assert_eq!(seen.iter().map(|s| s.key.clone()).collect::<Vec<_>>(), [key(1, "a"), key(1, "b")]);
            assert_eq!(recovered.end, log.written());
        });
    }
}

#[test]
fn a_failed_creation_leaves_a_dead_file_and_the_next_number_is_tried() {
    for kind in [OpKind::Create, OpKind::Write] {
        let sim = sim(1);
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            let mut next = 1;
            append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
            let end = log.written();
            log.seal();
            for _ in 0..3 {
                shared.inject(once(kind, 0, FaultKind::Enospc));
                append(&log, &mut next, &[vec![put(1, "lost", "x")]]).await.unwrap_err();
            }
            append(&log, &mut next, &[vec![put(1, "b", "2")]]).await.unwrap();
            assert_eq!((log.chain()[1].number, log.chain()[1].pred), (5, end));
            let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            assert_eq!(seen.iter().map(|s| s.key.clone()).collect::<Vec<_>>(), [key(1, "a"), key(1, "b")]);
            assert!(recovered.dead.iter().all(|n| (2..5).contains(n)));
        });
    }
}

#[test]
fn nothing_follows_in_a_segment_that_a_failed_creation_has_named() {
    let sim = sim(1);
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
        shared.inject(once(OpKind::Create, 0, FaultKind::Enospc));
        append(&log, &mut next, &[vec![put(1, "big", vec![0; 5000])]]).await.unwrap_err();
        append(&log, &mut next, &[vec![put(1, "small", "fits")]]).await.unwrap();
        assert_eq!(log.chain().len(), 2, "the first segment was closed");
    });
}

#[test]
pub(super) fn a_failed_sync_poisons_for_good() {
    for (kind, fault) in [
        (OpKind::Sync, FaultKind::FailedSync(SyncFailure::DroppedClean)),
        (OpKind::Sync, FaultKind::FailedSync(SyncFailure::Reverted)),
        (OpKind::SyncDir, FaultKind::Eio),
    ] {
        let sim = sim(1);
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap();
            shared.inject(once(kind, 0, fault));
            assert!(matches!(log.sync().await, Err(Error::Io(_))));
            assert!(log.is_poisoned());
            assert!(matches!(log.sync().await, Err(Error::Poisoned { .. })));
            let error = append(&log, &mut 2, &[vec![put(1, "b", "2")]]).await.unwrap_err();
            assert!(matches!(error, Error::Poisoned { .. }), "{error}");
            assert!(matches!(log.mark().await, Err(Error::Poisoned { .. })));
            assert_eq!(log.synced(), LogPos::START);
        });
    }
}

#[test]
fn a_sync_given_up_half_way_poisons_and_an_append_given_up_is_left_out() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
        let end = log.written();
        {
            let batches = [vec![put(1, "lost", "x")]];
            let mut given_up = Box::pin(append(&log, &mut next, &batches));
            std::future::poll_fn(|cx| {
                let _ = given_up.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        assert_eq!(log.written(), end);
        append(&log, &mut next, &[vec![put(1, "b", "2")]]).await.unwrap();
        assert_eq!(log.chain()[1].pred, end);
        {
            let mut given_up = Box::pin(log.sync());
            std::future::poll_fn(|cx| {
                let _ = given_up.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        assert!(log.is_poisoned());
    });
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_appends_go_on() {
    let sim = sim(3);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let log = Rc::new(log);
        append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap();
        let before = log.written();
        let other = Rc::clone(&log);
        let answer = Rc::new(std::cell::Cell::new(None));
        let place = Rc::clone(&answer);
        disk.spawn(async move { place.set(Some(other.sync().await.unwrap())) });
        yield_now().await;
        while disk.in_flight() == 0 {
            yield_now().await;
        }
        let mut appended = 0;
        while answer.get().is_none() {
            append(&log, &mut 2, &[vec![put(1, "b", "2")]]).await.unwrap();
            appended += 1;
        }
        assert!(appended > 0);
        assert_eq!(answer.get(), Some(before));
        assert_eq!(log.unsynced_span(), appended);
        assert!(log.synced() < log.written());
    });
}

#[test]
fn opening_needs_no_space_and_fifty_crashes_while_opening_leave_nothing() {
    let mut sim = written(60, 200);
    let files = sim.paths();
    for seed in 0..50 {
        sim = sim.power_cut(seed, SimConfig { seed, capacity: Some(0), ..SimConfig::default() });
        let disk = Disk::sim(&sim);
        let executor = sim.executor();
        executor.spawn(async move {
            let _ = open(&disk, config(), &Checkpoint::default()).await;
        });
        for _ in 0..seed * 3 {
            executor.step();
        }
    }
    assert_eq!(sim.paths(), files);
    assert_eq!(reopen(&sim, config()).unwrap().1.len(), 60);
}
