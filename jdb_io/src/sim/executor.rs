//! The executor of a simulated disk: one thread, no runtime, the next task picked by seed.
//!
//! Nothing takes virtual time but waiting: the clock jumps to the next operation or timer when no task is ready. A poll
//! costs up to a microsecond, so that a task which spins does not stop the clock.

use super::machine::Machine;
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Virtual nanoseconds that one poll takes at most.
const POLL_NANOS_MAX: u64 = 1000;

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Woken = Arc<Mutex<Vec<(usize, u64)>>>;

/// What one [`Executor::step`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A task was polled, an operation took effect or completed, or a timer rang.
    Progress,
    /// No task is ready, no operation in flight and no timer set: nothing will ever happen again by itself.
    Idle,
}

/// Runs the tasks of one [`SimDisk`](super::SimDisk). Clones are the same executor.
///
/// When the last handle (executor or disk) is gone, its tasks are dropped, in the order of their places.
#[derive(Clone)]
pub struct Executor {
    pub(super) owner: Rc<Owner>,
}

/// Drops the tasks when the last handle is gone: tasks hold the machine, and the machine holds the tasks.
pub(super) struct Owner(pub(super) Rc<Machine>);

/// The tasks of a machine.
#[derive(Default)]
pub(super) struct Tasks {
    places: Vec<Place>,
    free: Vec<usize>,
    ready: Vec<(usize, u64)>,
    woken: Woken,
    spawned: u64,
    /// Grows with each kill: a task that is being polled then must not come back.
    kills: u64,
    dying: bool,
}

struct Place {
    serial: u64,
    task: Option<Task>,
    waker: Arc<TaskWaker>,
    live: bool,
}

struct TaskWaker {
    place: usize,
    serial: u64,
    queued: AtomicBool,
    woken: Woken,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            woken.push((self.place, self.serial));
        }
    }
}

impl Executor {
    /// Adds a task; it is polled first when a step picks it.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.owner.0.spawn(Box::pin(task));
    }

    /// Polls one ready task, picked by seed, or lets the next operation or timer come; the clock jumps when only that is
    /// left.
    pub fn step(&self) -> Step {
        self.owner.0.step()
    }

    /// Steps until `future` is over. `None` when everything is idle before, or after
    /// [`SimConfig::steps_max`](super::SimConfig::steps_max) steps; the future is dropped then.
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Option<T> {
        let answer = Rc::new(RefCell::new(None));
        let place = Rc::clone(&answer);
        let (index, serial) = self.owner.0.spawn(Box::pin(async move {
            let value = future.await;
            *place.borrow_mut() = Some(value);
        }))?;
        for _ in 0..self.owner.0.config.steps_max {
            if self.step() == Step::Idle {
                break;
            }
            let value = answer.borrow_mut().take();
            if value.is_some() {
                return value;
            }
        }
        let unfinished = self.owner.0.tasks.borrow_mut().remove(index, serial);
        drop(unfinished);
        None
    }

    /// Steps until nothing will ever happen, at most `steps_max` times; the number of steps taken.
    pub fn run(&self, steps_max: u64) -> u64 {
        (0..steps_max).find(|_| self.step() == Step::Idle).unwrap_or(steps_max)
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.owner.0.tasks.borrow().places.iter().filter(|p| p.live).count()
    }

    /// Drops all tasks at once, as the death of the process does, those included that their drops spawn. What they had
    /// submitted stays in flight: it happens at later steps or never, by seed.
    pub fn kill(&self) {
        self.owner.0.kill();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill();
        // Nobody will ever step again: a task spawned now would only hold the machine.
        self.0.tasks.borrow_mut().dying = true;
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.task_count()).finish()
    }
}

impl Machine {
    pub(super) fn spawn(&self, task: Task) -> Option<(usize, u64)> {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.dying {
            drop(tasks);
            drop(task);
            return None;
        }
        Some(tasks.insert(task))
    }

    fn step(&self) -> Step {
        let due = self.next_at();
        let picked = {
            let mut tasks = self.tasks.borrow_mut();
            tasks.gather();
            let ready = tasks.ready.len();
            match due {
                None if ready == 0 => return Step::Idle,
                // An operation that is due competes with the ready tasks.
                Some(at) if ready == 0 || at <= self.now.get() && self.rng.chance(1, 2) => None,
                _ => {
                    let index = self.rng.index(ready);
                    Some(tasks.ready.swap_remove(index))
                }
            }
        };
        match picked {
            None => self.advance(),
            Some((place, serial)) => self.poll(place, serial),
        }
        Step::Progress
    }

    fn poll(&self, place: usize, serial: u64) {
        let (mut task, waker, kills) = {
            let mut tasks = self.tasks.borrow_mut();
            let kills = tasks.kills;
            let Some(found) = tasks.places.get_mut(place).filter(|p| p.serial == serial) else { return };
            found.waker.queued.store(false, Ordering::Relaxed);
            let Some(task) = found.task.take() else { return };
            (task, Waker::from(Arc::clone(&found.waker)), kills)
        };
        self.note(serial);
        self.now.set(self.now.get() + self.rng.below(POLL_NANOS_MAX));
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        if poll == Poll::Pending && tasks.kills == kills {
            if let Some(found) = tasks.places.get_mut(place) {
                found.task = Some(task);
            }
            return;
        }
        if tasks.kills == kills {
            tasks.remove(place, serial);
        }
        drop(tasks);
        drop(task);
    }

    fn kill(&self) {
        let mut places = {
            let mut tasks = self.tasks.borrow_mut();
            tasks.dying = true;
            tasks.kills += 1;
            tasks.free.clear();
            tasks.ready.clear();
            tasks.woken.lock().unwrap_or_else(PoisonError::into_inner).clear();
            std::mem::take(&mut tasks.places)
        };
        places.drain(..).for_each(drop);
        self.tasks.borrow_mut().dying = false;
    }
}

impl Tasks {
    fn insert(&mut self, task: Task) -> (usize, u64) {
        self.spawned += 1;
        let serial = self.spawned;
        let index = self.free.pop().unwrap_or(self.places.len());
        let (queued, woken) = (AtomicBool::new(true), Arc::clone(&self.woken));
        let waker = Arc::new(TaskWaker { place: index, serial, queued, woken });
        let place = Place { serial, task: Some(task), waker, live: true };
        match self.places.get_mut(index) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
        self.ready.push((index, serial));
        (index, serial)
    }

    fn remove(&mut self, index: usize, serial: u64) -> Option<Task> {
        let place = self.places.get_mut(index).filter(|p| p.serial == serial && p.live)?;
        place.live = false;
        self.free.push(index);
        place.task.take()
    }

    /// Makes the tasks ready that were woken.
    fn gather(&mut self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.append(&mut woken);
    }
}
