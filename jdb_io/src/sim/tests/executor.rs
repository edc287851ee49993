//! Tasks, order and the virtual clock.

use super::*;
use crate::task::Event;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn order(seed: u64) -> Vec<u32> {
    let sim = SimDisk::new(config(seed));
    let seen = Rc::new(RefCell::new(Vec::new()));
    for task in 0..6 {
        let seen = Rc::clone(&seen);
        sim.executor().spawn(async move { seen.borrow_mut().push(task) });
    }
    assert_eq!(sim.executor().run(1000), 6);
    seen.take()
}

#[test]
fn ready_tasks_run_in_the_order_of_the_seed() {
    assert_eq!(order(1), order(1));
    let orders: std::collections::BTreeSet<_> = (0..100).map(order).collect();
    assert!(orders.len() > 60, "{} orders", orders.len());
}

#[test]
fn the_clock_jumps_when_no_task_is_ready() {
    let sim = SimDisk::new(config(1));
    let (slept, unix) = on(&sim, |disk| async move {
        let (start, unix) = (disk.now(), disk.unix_ms());
        futures::join!(disk.sleep(Duration::from_secs(3600)), disk.sleep(Duration::from_millis(1)));
        (disk.now() - start, disk.unix_ms() - unix)
    });
    assert!(slept >= Duration::from_secs(3600) && slept < Duration::from_secs(3601), "{slept:?}");
    assert!((3_600_000..3_601_000).contains(&unix), "{unix}");
}

#[test]
fn a_task_that_spins_does_not_stop_the_clock() {
    let sim = SimDisk::new(config(1));
    on(&sim, |disk| async move {
        let end = disk.now() + Duration::from_millis(2);
        while disk.now() < end {
            crate::task::yield_now().await;
        }
    });
}

#[test]
fn block_on_gives_none_on_a_deadlock() {
    let sim = SimDisk::new(config(1));
    let dropped = Rc::new(());
    let held = Rc::clone(&dropped);
    let answer = sim.executor().block_on(async move {
        let _held = held;
        let never = Event::new();
        never.wait().await;
    });
    assert_eq!(answer, None);
    assert_eq!(Rc::strong_count(&dropped), 1, "the future is dropped");
    assert_eq!(sim.executor().step(), Step::Idle);
}

#[test]
fn block_on_gives_up_on_a_task_that_ticks_for_ever() {
    let sim = SimDisk::new(SimConfig { steps_max: 1000, ..config(1) });
    let disk = Disk::sim(&sim);
    sim.executor().spawn(async move {
        loop {
            disk.sleep(Duration::from_millis(500)).await;
        }
    });
    assert_eq!(sim.executor().block_on(std::future::pending::<()>()), None);
}

#[test]
fn a_dropped_timer_neither_rings_nor_keeps_the_machine_busy() {
    let sim = SimDisk::new(config(1));
    on(&sim, |disk| async move {
        let mut sleep = Box::pin(disk.sleep(Duration::from_secs(100)));
        assert!(futures::poll!(&mut sleep).is_pending());
    });
    assert_eq!(sim.executor().step(), Step::Idle);
    assert!(Disk::sim(&sim).now() < Duration::from_secs(1));
}

#[test]
fn the_trace_repeats_by_seed_and_differs_by_seed() {
    let hash = |seed, rounds| {
        let sim = SimDisk::new(SimConfig { short_permille: 100, ..config(seed) });
        for task in 0..3 {
            let disk = Disk::sim(&sim);
            sim.executor().spawn(async move {
                let file = create(&disk, &format!("/{task}")).await;
                for at in 0..rounds {
                    write(&file, at * 8, &[task; 8]).await;
                    file.sync().await.unwrap();
                }
            });
        }
        while sim.executor().step() == Step::Progress {}
        sim.trace_hash()
    };
    assert_eq!(hash(1, 5), hash(1, 5));
    let hashes: std::collections::BTreeSet<_> = (0..50).map(|seed| hash(seed, 5)).collect();
    assert_eq!(hashes.len(), 50);
    assert_ne!(hash(1, 5), hash(1, 6));
}

#[test]
fn operations_complete_in_any_order() {
    let order = |seed| {
        let sim = SimDisk::new(config(seed));
        on(&sim, |disk| async move {
            let file = durable(&disk, "/a", b"").await;
            let seen = RefCell::new(Vec::new());
            futures::future::join_all((0..4u8).map(|i| {
                let (file, seen) = (&file, &seen);
                async move {
                    write(file, 0, &[i]).await;
                    seen.borrow_mut().push(i);
                }
            }))
            .await;
            seen.into_inner()
        })
    };
    let orders: std::collections::BTreeSet<_> = (0..300).map(order).collect();
    assert_eq!(orders.len(), 24);
}

#[test]
fn with_suspend_every_operation_suspends_and_without_some_are_ready() {
    for (suspend, latency) in [(true, Latency::NONE), (false, Latency::NONE), (false, Latency::up_to(50))] {
        let sim = SimDisk::new(SimConfig { suspend, latency, ..config(1) });
        let ready = on(&sim, |disk| async move {
            let file = durable(&disk, "/a", &[1; 64]).await;
            let mut ready = 0;
            for at in 0..64 {
                let mut reading = Box::pin(file.read_at(at, 1));
                match futures::poll!(&mut reading) {
                    std::task::Poll::Ready(bytes) => {
                        ready += 1;
                        assert_eq!(&bytes.unwrap()[..], [1]);
                    }
                    std::task::Poll::Pending => assert_eq!(&reading.await.unwrap()[..], [1]),
                }
            }
            ready
        });
        match (suspend, latency) {
            (true, _) => assert_eq!(ready, 0),
            (false, Latency::NONE) => assert_eq!(ready, 64),
            _ => assert!((16..48).contains(&ready), "{ready}"),
        }
        assert_eq!(Disk::sim(&sim).counters().reads_ready, ready);
    }
}

#[test]
fn random_follows_the_seed_and_no_life_repeats_another() {
    let sim = SimDisk::new(config(1));
    let of = |sim: &SimDisk| Disk::sim(sim).random().unwrap();
    let first = of(&sim);
    assert_eq!(first, of(&SimDisk::new(config(1))));
    assert_ne!(first, of(&SimDisk::new(config(2))));
    assert_ne!(first, of(&sim.kill(0, config(1))));
}
