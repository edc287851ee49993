//! Death of the process, operations in flight and dropped futures.

use super::*;
use std::time::Duration;

#[test]
fn a_kill_keeps_what_completed_and_a_later_cut_still_loses_it() {
    let sim = SimDisk::new(config(1));
    on(&sim, |disk| async move {
        let file = durable(&disk, "/a", b"one").await;
        write(&file, 3, b"two").await;
        create(&disk, "/b").await;
    });
    let mut lost = 0;
    for seed in 0..200 {
        let next = sim.kill(seed, config(seed));
        assert_eq!(read(&next, "/a").unwrap(), b"onetwo", "seed {seed}");
        assert!(read(&next, "/b").is_some(), "seed {seed}");
        assert_eq!(next.total_unsynced(), Unsynced { writes: 1, bytes: 3, names: 1 });
        let after = next.power_cut(seed, config(seed));
        lost += u64::from(read(&after, "/a").unwrap() == b"one");
        on(&next, |disk| async move {
            disk.open(Path::new("/a"), Mode::Read).await.unwrap().sync().await.unwrap();
        });
        let after = next.power_cut(seed, config(seed));
        assert_eq!(read(&after, "/a").unwrap(), b"onetwo", "seed {seed}: the next process synced it");
    }
    assert!(lost > 40, "{lost}");
}

#[test]
fn an_operation_in_flight_happens_or_not_when_the_process_dies() {
    let sim = SimDisk::new(SimConfig { latency: Latency::up_to(1000), ..config(2) });
    on(&sim, |disk| async move {
        durable(&disk, "/a", &[1; 100]).await;
    });
    let disk = Disk::sim(&sim);
    sim.executor().spawn(async move {
        let file = disk.open(Path::new("/a"), Mode::ReadWrite).await.unwrap();
        let renaming = disk.rename(Path::new("/a"), Path::new("/b"));
        let (written, renamed) = futures::join!(file.write_at(0, vec![2; 100]), renaming);
        assert!(written.0.is_ok() && renamed.is_ok());
    });
    while Disk::sim(&sim).in_flight() < 2 {
        assert_eq!(sim.executor().step(), Step::Progress);
    }
    let mut seen = std::collections::BTreeMap::<_, u64>::new();
    for seed in 0..1000 {
        let next = sim.kill(seed, config(seed));
        let a = read(&next, "/a");
        let renamed = a.is_none();
        let bytes = a.or(read(&next, "/b")).unwrap();
        let new = bytes.iter().take_while(|b| **b == 2).count();
        assert!(bytes[new..].iter().all(|b| *b == 1), "seed {seed}: a prefix");
        *seen.entry((renamed, new.min(1) + new / 100)).or_default() += 1;
    }
    assert!(seen.len() == 6 && seen.values().all(|&n| n > 20), "{seen:?}");
}

#[test]
fn a_dropped_write_happens_later_or_never() {
    let mut happened = 0;
    for seed in 0..300 {
        let sim = SimDisk::new(config(seed));
        let disk = Disk::sim(&sim);
        on(&sim, |disk| async move {
            let file = durable(&disk, "/a", b"old").await;
            let mut writing = Box::pin(file.write_at(0, b"new".to_vec()));
            assert!(futures::poll!(&mut writing).is_pending());
            drop(writing);
            assert_eq!(disk.in_flight(), 1);
            disk.drain().await;
            assert_eq!(disk.in_flight(), 0);
        });
        happened += u64::from(read(&sim, "/a").unwrap() == b"new");
        assert_eq!(disk.in_flight(), 0);
    }
    assert!((100..200).contains(&happened), "{happened} of 300");
}

#[test]
fn a_lock_is_held_until_dropped_and_dies_with_the_process() {
    let sim = SimDisk::new(config(3));
    let lock = on(&sim, |disk| async move {
        let lock = disk.lock(Path::new("/LOCK")).await.unwrap();
        assert!(matches!(disk.lock(Path::new("/LOCK")).await, Err(crate::Error::Locked { .. })));
        drop(lock);
        disk.lock(Path::new("/LOCK")).await.unwrap()
    });
    for next in [sim.kill(0, config(0)), sim.power_cut(0, config(0))] {
        on(&next, |disk| async move { disk.lock(Path::new("/LOCK")).await.map(drop) }).unwrap();
    }
    drop(lock);
}

#[test]
fn killing_the_executor_drops_tasks_and_leaves_operations_in_flight() {
    let sim = SimDisk::new(config(4));
    let alive = std::rc::Rc::new(());
    let (disk, held) = (Disk::sim(&sim), std::rc::Rc::clone(&alive));
    sim.executor().spawn(async move {
        let _held = held;
        let file = create(&disk, "/a").await;
        write(&file, 0, b"x").await;
        disk.sleep(Duration::from_secs(1)).await;
    });
    while sim.boundaries() < 4 {
        sim.executor().step();
    }
    sim.executor().kill();
    assert_eq!(std::rc::Rc::strong_count(&alive), 1);
    assert_eq!(sim.executor().task_count(), 0);
    assert_eq!(Disk::sim(&sim).in_flight(), 1);
    while sim.executor().step() == Step::Progress {}
    assert_eq!(Disk::sim(&sim).in_flight(), 0);
}

#[test]
fn tasks_are_dropped_with_the_last_handle() {
    let alive = std::rc::Rc::new(());
    let held = std::rc::Rc::clone(&alive);
    let sim = SimDisk::new(config(5));
    let disk = Disk::sim(&sim);
    let inner = disk.clone();
    disk.spawn(async move {
        let _held = held;
        inner.sleep(Duration::from_secs(9)).await;
    });
    sim.executor().step();
    let machine = std::rc::Rc::downgrade(&sim.machine);
    drop(sim);
    assert_eq!(std::rc::Rc::strong_count(&alive), 1);
    let inner = disk.clone();
    disk.spawn(async move { inner.sleep(Duration::from_secs(9)).await });
    drop(disk);
    assert!(machine.upgrade().is_none(), "no cycle keeps the machine");
}
