//! Failed writes, creations and syncs; dropped futures.

use super::harness::*;
use crate::{Checkpoint, Error, LogPos};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk, SyncFailure};
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
fn closed_segments_are_synced_alone_and_nothing_of_the_open_one() {
    let sim = sim(3);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        let mut record = async || append(&log, &mut next, &[vec![put(1, "a", vec![1; 1000])]]).await.unwrap();
        record().await;
        assert!(!log.has_unsynced_closed());
        assert_eq!(log.sync_closed().await.unwrap(), LogPos::START, "there is none");
        while log.chain().len() < 3 {
            record().await;
        }
        assert!(log.has_unsynced_closed());
        assert_eq!((log.held_segments(), log.unsynced_span()), (3, 7));
        let [_, closed, open] = log.chain()[..] else { panic!() };
        assert_eq!(log.sync_closed().await.unwrap(), open.pred);
        assert_eq!(open.pred, LogPos::new(closed.number, closed.end));
        assert!(!log.has_unsynced_closed());
        assert_eq!((log.held_segments(), log.unsynced_span()), (1, 1));
        // What follows says so, as behind any sync.
        record().await;
        assert_eq!(log.sync().await.unwrap(), log.written());
        // The open one is closed when all of it is synced: nothing is left to do, and its file goes with the next.
        while log.chain().len() < 4 {
            log.sync().await.unwrap();
            record().await;
        }
        assert!(!log.has_unsynced_closed());
        assert_eq!((log.sync_closed().await.unwrap(), log.held_segments()), (log.synced(), 2));
        log.sync().await.unwrap();
        assert_eq!(log.held_segments(), 1);
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
            // It dies before anybody hears how that went.
            let _ = open(&disk, config(), &Checkpoint::default()).await;
        });
        for _ in 0..seed * 3 {
            executor.step();
        }
    }
    assert_eq!(sim.paths(), files);
    assert_eq!(reopen(&sim, config()).unwrap().1.len(), 60);
}

#[test]
fn a_thousand_failed_puts_leave_no_file_and_take_no_room() {
    for open_segment in [true, false] {
        let sim = SimDisk::new(SimConfig { capacity: Some(3000), ..SimConfig::default() });
        assert!(sim.create_dir_raw(std::path::Path::new(DIR)));
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            let mut next = 1;
            append(&log, &mut next, &[vec![put(1, "a", vec![1; 500])]]).await.unwrap();
            if !open_segment {
                log.seal();
            }
            let files = shared.paths();
            let end = log.written();
            for i in 0..1000 {
                let lost = append(&log, &mut next, &[vec![put(1, "lost", vec![2; 3000])]]).await;
                assert!(lost.unwrap_err().is_no_space(), "put {i}");
                assert_eq!((shared.paths(), log.written()), (files.clone(), end), "put {i}");
            }
            assert_eq!(shared.read_raw(&path(1)).unwrap().len() as u64, end.byte_offset());
            append(&log, &mut next, &[vec![put(1, "b", vec![3; 2000])]]).await.unwrap();
            log.sync().await.unwrap();
            let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            assert_eq!((recovered.end, seen.len(), recovered.dead), (log.written(), 2, vec![]));
        });
    }
}

#[test]
fn a_failed_write_takes_back_what_it_left_behind_the_end() {
    for seed in 0..20 {
        let sim = sim(seed);
        let (disk, shared) = (Disk::sim(&sim), sim.clone());
        run(&sim, async move {
            let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
            let mut next = 1;
            append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
            let end = log.written();
            shared.inject(once(OpKind::Write, 0, FaultKind::Eio));
            append(&log, &mut next, &[vec![put(1, "lost", vec![2; 900])]]).await.unwrap_err();
            assert_eq!(shared.read_raw(&path(1)).unwrap().len() as u64, end.byte_offset(), "seed {seed}");
        });
    }
}

#[test]
fn a_seal_during_a_failed_write_closes_no_later_segment() {
    let sim = sim(1);
    let (disk, shared) = (Disk::sim(&sim), sim.clone());
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let log = Rc::new(log);
        append(&log, &mut 1, &[vec![put(1, "a", "1")]]).await.unwrap();
        shared.inject(once(OpKind::Write, 0, FaultKind::Enospc));
        let (failing, over) = (Rc::clone(&log), Rc::new(std::cell::Cell::new(false)));
        let done = Rc::clone(&over);
        disk.spawn(async move {
            append(&failing, &mut 2, &[vec![put(1, "lost", "x")]]).await.unwrap_err();
            done.set(true);
        });
        while disk.in_flight() == 0 {
            yield_now().await;
        }
        assert!(log.chain()[0].open, "a write is under way in it");
        log.seal();
        while !over.get() {
            yield_now().await;
        }
        assert!(!log.chain()[0].open);
        for _ in 0..5 {
            append(&log, &mut 3, &[vec![put(1, "b", "2")]]).await.unwrap();
        }
        assert_eq!(log.chain().len(), 2);
    });
}

/// Every future of the log is dropped after every number of polls; what follows works, or says that the log is poisoned.
#[test]
fn futures_dropped_anywhere_leave_the_log_usable_or_poisoned_and_never_stuck() {
    for what in ["append", "long append", "new segment", "mark", "sync", "waiting append", "waiting sync"] {
        let mut finished = false;
        for polls in 0..200 {
            let sim = sim(polls);
            let disk = Disk::sim(&sim);
            finished = run(&sim, async move {
                let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
                let mut next = 1;
                append(&log, &mut next, &[vec![put(1, "a", "1")]]).await.unwrap();
                let (mut other, mut third) = (2, 3);
                let end = {
                    let _holder;
                    match what {
                        "new segment" => log.seal(),
                        "mark" => drop(log.sync().await.unwrap()),
                        "waiting append" => _holder = log.writing.take().await,
                        "waiting sync" => _holder = log.syncing.take().await,
                        _ => {}
                    }
                    let (short, long) = ([vec![put(1, "x", "y")]], [vec![put(1, "x", vec![0; 1 << 20])]]);
                    let future: std::pin::Pin<Box<dyn Future<Output = bool>>> = match what {
                        "mark" => Box::pin(async { log.mark().await.unwrap() }),
                        "sync" | "waiting sync" => Box::pin(async { log.sync().await.is_ok() }),
                        "long append" => Box::pin(async { append(&log, &mut other, &long).await.is_ok() }),
                        _ => Box::pin(async { append(&log, &mut other, &short).await.is_ok() }),
                    };
                    polled(future, polls).await
                };
                third += other;
                let appended = append(&log, &mut third, &[vec![put(1, "b", "2")]]).await;
                if log.is_poisoned() {
                    assert!(what == "sync" && !end && polls > 0, "{what} after {polls} polls");
                    assert!(matches!(appended, Err(Error::Poisoned { .. })));
                    return end;
                }
                appended.unwrap();
                log.seal();
                append(&log, &mut third, &[vec![put(1, "c", "3")]]).await.unwrap();
                assert_eq!(log.sync().await.unwrap(), log.written());
                log.mark().await.unwrap();
                disk.drain().await;
                let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
                assert_eq!(recovered.end, log.written(), "{what} after {polls} polls");
                let puts = seen.iter().filter(|s| s.kind == crate::RecordKind::Put).count();
                assert_eq!(puts, 3 + usize::from(end && !matches!(what, "mark" | "sync" | "waiting sync")));
                end
            });
            if finished || what.starts_with("waiting") && polls > 3 {
                finished = true;
                break;
            }
        }
        assert!(finished, "{what} was never over");
    }
}

/// Polls at most so often, with turns for the disk between; whether the future ended, and with `true`.
async fn polled(mut future: std::pin::Pin<Box<dyn Future<Output = bool> + '_>>, polls: u64) -> bool {
    for _ in 0..polls {
        let over = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await;
        if let std::task::Poll::Ready(over) = over {
            return over;
        }
        yield_now().await;
    }
    false
}
