//! The thread: who gets turns, what goes on without its future, clocks.

use super::*;

#[test]
fn others_get_turns_while_a_large_write_goes_on() {
    on_each_driver(async |disk, dir| {
        let file = disk.open(&dir.join("f"), Mode::CreateNew).await.unwrap();
        let (turns, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        disk.spawn({
            let (turns, done) = (turns.clone(), done.clone());
            async move {
                while !done.get() {
                    turns.set(turns.get() + 1);
                    task::yield_now().await;
                }
            }
        });
        file.write_at(0, vec![1; 4 << 20]).await.0.unwrap();
        done.set(true);
        assert!(turns.get() >= 10, "{} turns in 16 slices", turns.get());
    });
}

#[test]
fn a_task_that_keeps_the_thread_busy_does_not_starve_operations() {
    on_each_driver(async |disk, dir| {
        for main_is_busy in [true, false] {
            let file = file_with(disk, &dir.join("f"), &bytes(100_000, 0)).await;
            let synced = Rc::new(Cell::new(false));
            let sync = {
                let synced = synced.clone();
                async move {
                    file.sync().await.unwrap();
                    synced.set(true);
                }
            };
            let busy = {
                let disk = disk.clone();
                async move {
                    let start = disk.now();
                    while !synced.get() {
                        assert!(
                            disk.now() - start < Duration::from_secs(20),
                            "main {main_is_busy}: never synced"
                        );
                        task::yield_now().await;
                    }
                }
            };
            if main_is_busy {
                disk.spawn(sync);
                busy.await;
            } else {
                disk.spawn(busy);
                sync.await;
            }
        }
    });
}

#[test]
fn a_dropped_future_leaves_the_operation_to_end_by_itself() {
    on_each_driver(async |disk, dir| {
        let file = file_with(disk, &dir.join("f"), &bytes(1 << 20, 0)).await;
        for round in 0..20 {
            cool(&file).await;
            for offset in 0..8 {
                let read = poll_immediate(file.read_at(offset * 100_000, 50_000)).await;
                drop(read);
            }
            drop(poll_immediate(file.sync()).await);
            drop(poll_immediate(disk.list(dir)).await);
            assert!(disk.in_flight() >= 2, "round {round}");
            if round % 2 == 0 {
                disk.drain().await;
            } else {
                while disk.in_flight() > 0 {
                    disk.sleep(Duration::from_millis(1)).await;
                }
            }
            assert_eq!(disk.in_flight(), 0);
        }
    });
}

#[test]
fn drain_returns_at_once_when_nothing_is_in_flight() {
    on_each_driver(async |disk, _| {
        assert!(poll_immediate(disk.drain()).await.is_some());
    });
}

#[test]
fn spawned_tasks_run_to_their_end() {
    on_each_driver(async |disk, dir| {
        let path = dir.join("f");
        let done = Rc::new(task::Event::new());
        disk.spawn({
            let (disk, path, done) = (disk.clone(), path.clone(), done.clone());
            async move {
                disk.sleep(Duration::from_millis(5)).await;
                file_with(&disk, &path, b"x").await;
                done.notify();
            }
        });
        done.wait().await;
        assert!(path.exists());
    });
}

#[test]
fn clocks_go_on_and_chance_varies() {
    on_each_driver(async |disk, _| {
        let start = disk.now();
        disk.sleep(Duration::from_millis(20)).await;
        assert!(disk.now() - start >= Duration::from_millis(20));
        assert!(disk.unix_ms() > 1_700_000_000_000);
        let (a, b) = (disk.random().unwrap(), disk.random().unwrap());
        assert!(a != b && a >> 64 != 0 && a as u64 != 0);
    });
}
