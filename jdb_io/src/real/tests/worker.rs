//! Jobs: where they run, what comes back, and what is left of them when nobody waits any more.

use super::*;
use crate::Abort;
#[cfg(target_os = "linux")]
use crate::real::handle::drop_elsewhere;
use futures::channel::oneshot;
use std::sync::mpsc;
use std::thread::ThreadId;

/// Runs a claim with a disk that may have a worker, with every driver.
fn on_each_hiring(claim: impl AsyncFn(&Disk, &Path)) {
    on_each_driver(async |disk, dir| {
        disk.hire(true);
        claim(disk, dir).await;
    });
}

fn thread() -> ThreadId {
    std::thread::current().id()
}

#[test]
fn a_job_runs_on_another_thread_with_the_same_driver_and_its_io_is_counted() {
    on_each_hiring(async |disk, dir| {
        let path = dir.join("f");
        let (abort, of_job) = (Abort::default(), path.clone());
        let (there, driver, is_worker) = disk
            .job(&abort, |disk| async move {
                file_with(&disk, &of_job, b"by a job").await.sync().await.unwrap();
                (thread(), disk.driver(), disk.is_worker())
            })
            .await
            .unwrap();
        assert_ne!(there, thread());
        assert_eq!((driver, is_worker, disk.is_worker()), (disk.driver(), true, false));
        let counters = disk.counters();
        let counted = (counters.opens, counters.write_len, counters.syncs, counters.open_files);
        assert_eq!(counted, (1, 8, 1, 0));
        assert!(!abort.is_set());
        let again = disk.job(&abort, |_| async { thread() }).await.unwrap();
        assert_eq!(again, there, "there is one worker");
        assert_eq!(disk.open(&path, Mode::Read).await.unwrap().read_at(0, 9).await.unwrap(), "by a job");
    });
}

#[test]
fn the_worker_maps_what_it_reads_often_where_that_is_allowed() {
    for allowed in [false, true] {
        on_each_hiring(async |disk, dir| {
            disk.map_reads(allowed);
            let (path, data) = (dir.join("f"), bytes(300 << 10, 5));
            drop(file_with(disk, &path, &data).await);
            let job = move |disk: Disk| async move {
                let file = disk.open(&path, Mode::Read).await.unwrap();
                for at in (0..500).map(|i| i * 7919 % (data.len() - 1000)) {
                    assert_eq!(file.read_at(at as u64, 1000).await.unwrap(), data[at..at + 1000]);
                }
                disk.counters().reads_mapped
            };
            let mapped = disk.job(&Abort::default(), job).await.unwrap();
            assert_eq!(mapped > 0, allowed);
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_worker_lets_others_have_the_processor_and_nobody_else_does() {
    on_each_hiring(async |disk, _| {
        let here = sys::niceness();
        let there = disk.job(&Abort::default(), |_| async { sys::niceness() }).await.unwrap();
        assert!(there > here, "{there} {here}");
        assert_eq!(sys::niceness(), here);
        // Nor the thread on which it lets things go, which everybody waits for.
        let (tell, told) = mpsc::channel();
        disk.job(&Abort::default(), |_| async { drop_elsewhere(Told(tell)) }).await.unwrap();
        assert_eq!(told.recv().unwrap(), here);
    });
}

/// Tells how nice the thread is that drops it.
#[cfg(target_os = "linux")]
struct Told(mpsc::Sender<i32>);

#[cfg(target_os = "linux")]
impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(sys::niceness()).unwrap();
    }
}

#[test]
fn without_a_worker_a_job_is_a_part_of_who_waits() {
    on_each_driver(async |disk, _| {
        let abort = Abort::default();
        let done = disk.job(&abort, |disk| async move { (thread(), disk.is_worker()) }).await;
        assert_eq!(done.unwrap(), (thread(), false));
        assert!(!disk.has_worker());
    });
}

#[test]
fn jobs_run_at_once_and_one_that_panics_takes_none_with_it() {
    on_each_hiring(async |disk, _| {
        let (tell, told) = oneshot::channel::<u32>();
        let (abort, second) = (Abort::default(), Abort::default());
        let waits = disk.job(&abort, |_| async move { told.await.unwrap() });
        let tells = disk.job(&second, |_| async move { tell.send(7).unwrap() });
        assert_eq!(futures::join!(waits, tells).0.unwrap(), 7);
        let panics = disk.job(&abort, |_| async { assert!(thread() == thread(), "a panic of the test") });
        panics.await.unwrap();
        let panicked = disk.job(&abort, |_| async { panic!("this panic is part of the test") }).await;
        assert!(matches!(panicked, Err(Error::Io { op: "job", .. })), "{panicked:?}");
        assert_eq!(disk.job(&abort, |_| async { 8 }).await.unwrap(), 8);
    });
}

#[test]
fn a_dropped_wait_tells_the_job_to_end_and_the_disk_goes_when_it_has() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let (started, has_started) = mpsc::channel();
        runtime.block_on(async {
            let disk = Disk::real();
            disk.hire(true);
            let (abort, at) = (Abort::default(), path.clone());
            let watched = abort.clone();
            let job = disk.job(&abort, move |disk| async move {
                started.send(()).unwrap();
                while !watched.is_set() {
                    task::yield_now().await;
                }
                file_with(&disk, &at, b"the last that it does").await.sync().await.unwrap();
            });
            drop(poll_immediate(job).await);
            has_started.recv().unwrap();
            assert!(abort.is_set());
        });
        // The disk is gone: so is the job.
        assert_eq!(std::fs::read(&path).unwrap(), b"the last that it does", "{driver:?}");
        assert_eq!(descriptors_of(&path), 0);
        drop(runtime);
    }
}

#[test]
fn a_lock_is_held_until_the_job_is_over_and_no_longer() {
    for (driver, runtime) in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        runtime.block_on(async {
            let disk = Disk::real();
            disk.hire(true);
            let (go, wait) = oneshot::channel::<()>();
            let abort = Abort::default();
            let job = disk.job(&abort, |_| async move { wait.await.is_ok() });
            let mut job = Box::pin(job);
            assert!(poll_immediate(job.as_mut()).await.is_none());
            drop(disk.lock(&path).await.unwrap());
            assert_eq!(descriptors_of(&path), 1, "{driver:?}: held on");
            go.send(()).unwrap();
            assert!(job.await.unwrap());
            disk.drain().await;
            assert_eq!(descriptors_of(&path), 0, "{driver:?}: released");
        });
        // A runtime that goes away while a task waits for a job: the lock goes with the worker.
        let (abort, watched) = (Abort::default(), Abort::default());
        let of_job = watched.clone();
        runtime.block_on(async {
            let disk = Disk::real();
            disk.hire(true);
            let lock = disk.lock(&path).await.unwrap();
            let waiting = disk.clone();
            disk.spawn(async move {
                let job = waiting.job(&abort, |_| async move {
                    while !of_job.is_set() {
                        task::yield_now().await;
                    }
                });
                drop(job.await);
                drop(lock);
            });
            task::yield_now().await;
            task::yield_now().await;
        });
        watched.set();
        drop(runtime);
        assert_eq!(descriptors_of(&path), 0, "{driver:?}: released by the end of the runtime");
    }
}
