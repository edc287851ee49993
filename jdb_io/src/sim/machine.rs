//! The machine under the disk: operations in flight, timers and the virtual clock.
//!
//! An operation has three moments: submission, effect (on the image) and completion (its future wakes). Between them lies
//! virtual time drawn from the seed, so that operations take effect and complete in any order.

use super::action::{Action, Effect};
use super::damage::DamageCounts;
use super::executor::Tasks;
use super::faults::{FaultKind, Faults};
use super::image::Image;
use super::queue::{Done, Moment, Operation, Queue, Sleep, Slot, Waiting, unlock};
use super::rng::{Rng, mix};
use super::{SimConfig, faults};
use crate::counters::Counters;
use jdb_base::checksum::crc32;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Everything that the clones of one disk share.
pub(super) struct Machine {
    pub(super) config: SimConfig,
    pub(super) image: Image,
    pub(super) rng: Rng,
    pub(super) random: Rng,
    pub(super) tasks: RefCell<Tasks>,
    pub(super) faults: RefCell<Faults>,
    pub(super) counters: Cell<Counters>,
    pub(super) damage: DamageCounts,
    /// How many machines this disk has been through.
    pub(super) generation: u64,
    /// Wall clock at virtual time 0.
    pub(super) unix_ms_start: u64,
    /// Virtual time in nanoseconds.
    pub(super) now: Cell<u64>,
    pub(super) events: Cell<u64>,
    pub(super) changes: Cell<u64>,
    pub(super) trace: Cell<u64>,
    /// Completions so far: what a sync covers is told by it.
    stamp: Cell<u64>,
    in_flight: Cell<usize>,
    pub(super) queue: RefCell<Queue>,
    drainers: RefCell<Vec<Waker>>,
}

impl Machine {
    pub(super) fn new(
        config: SimConfig,
        image: Image,
        generation: u64,
        unix_ms_start: u64,
        damage: DamageCounts,
    ) -> Self {
        image.capacity.set(config.capacity);
        Self {
            config,
            image,
            rng: Rng::new(config.seed, 0),
            random: Rng::new(config.seed, 1 + generation),
            tasks: RefCell::default(),
            faults: RefCell::default(),
            counters: Cell::default(),
            damage,
            generation,
            unix_ms_start,
            now: Cell::new(0),
            events: Cell::new(0),
            changes: Cell::new(0),
            trace: Cell::new(mix(config.seed)),
            stamp: Cell::new(0),
            in_flight: Cell::new(0),
            queue: RefCell::default(),
            drainers: RefCell::default(),
        }
    }

    /// Adds to the trace hash.
    pub(super) fn note(&self, what: u64) {
        self.trace.set(mix(self.trace.get() ^ what).wrapping_add(what));
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        count(&mut counters);
        self.counters.set(counters);
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp.get()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    fn event(&self, changes: bool) {
        self.events.set(self.events.get() + 1);
        if changes {
            self.changes.set(self.changes.get() + 1);
        }
    }

    /// Carries out an operation, now or later. Its future may be dropped at any time.
    pub(super) async fn run(self: &Rc<Self>, action: Action, path: &Path) -> Done {
        match self.submit(action, path) {
            Ok(done) => done,
            Err(slot) => Waiting { machine: self, slot, over: false }.await,
        }
    }

    fn submit(&self, action: Action, path: &Path) -> Result<Done, usize> {
        let kind = action.kind();
        let (offset, len) = action.extent();
        self.event(action.changes());
        self.note((kind as u64) << 56 ^ offset << 24 ^ len as u64);
        if let Action::Write(_, _, data, from) = &action {
            self.note(u64::from(crc32(0, &[data.get(*from..).unwrap_or_default()])));
        }
        let mut fault = None;
        if !self.faults.borrow().is_empty() {
            fault = self.faults.borrow_mut().draw(kind, path, len);
        }
        if fault.is_none() && self.config.short_permille > 0 && len > 1 {
            let short = self.rng.chance(self.config.short_permille.into(), 1000);
            fault = match kind {
                faults::OpKind::Write if short => Some(FaultKind::ShortWrite),
                faults::OpKind::Read if short => Some(FaultKind::ShortRead),
                _ => None,
            };
        }
        let latency = self.rng.within(0, self.config.latency.max_us.saturating_mul(1000));
        let cached = kind == faults::OpKind::Read && self.rng.chance(1, 2);
        let ready = !self.config.suspend && (latency == 0 || cached);
        self.in_flight.set(self.in_flight.get() + 1);
        if ready {
            if kind == faults::OpKind::Read {
                self.count(|c| c.reads_ready += 1);
            }
            let effect = self.effect(&action, fault);
            return Ok(self.complete(action, effect));
        }
        let effect_at = self.now.get().saturating_add(self.rng.within(0, latency));
        let mut queue = self.queue.borrow_mut();
        let operation = Operation { action, fault, effect: None, orphan: false, waker: None };
        let slot = queue.put(Slot::Operation(Box::new(operation)));
        queue.heap.push(Reverse((effect_at, self.rng.next(), slot, Moment::Effect)));
        Err(slot)
    }

    fn effect(&self, action: &Action, fault: Option<FaultKind>) -> Effect {
        self.event(action.changes());
        let effect = self.image.perform(action, fault, &self.rng);
        self.note(effect.digest());
        effect
    }

    fn complete(&self, action: Action, effect: Effect) -> Done {
        self.event(action.changes());
        self.stamp.set(self.stamp.get() + 1);
        if let Some((node, token)) = effect.touched {
            node.complete(token, self.stamp.get());
        }
        self.over();
        let buffer = if let Action::Write(_, _, data, _) = action { data } else { Vec::new() };
        Done { result: effect.result, buffer }
    }

    fn over(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            let waiting = std::mem::take(&mut *self.drainers.borrow_mut());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) async fn drain(&self) {
        poll_fn(|cx| {
            if self.in_flight.get() == 0 {
                return Poll::Ready(());
            }
            self.drainers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) fn sleep(self: &Rc<Self>, time: Duration) -> impl Future<Output = ()> {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let at = self.now.get().saturating_add(nanos);
        let mut queue = self.queue.borrow_mut();
        let slot = queue.put(Slot::Timer { waker: None });
        queue.heap.push(Reverse((at, self.rng.next(), slot, Moment::Timer)));
        Sleep { machine: Rc::clone(self), slot }
    }

    /// When the next operation or timer is due; forgets timers that nobody waits for.
    pub(super) fn next_at(&self) -> Option<u64> {
        let mut queue = self.queue.borrow_mut();
        while let Some(&Reverse((at, _, slot, _))) = queue.heap.peek() {
            if !matches!(queue.slots.get(slot), Some(Slot::Dead)) {
                return Some(at);
            }
            queue.heap.pop();
            queue.take(slot);
        }
        None
    }

    /// Lets the next moment come, whenever it is due.
    pub(super) fn advance(&self) {
        let Some(Reverse((at, _, slot, moment))) = self.queue.borrow_mut().heap.pop() else { return };
        self.now.set(self.now.get().max(at));
        self.note(at ^ (slot as u64) << 48);
        let waker = match moment {
            Moment::Effect => {
                self.effect_of(slot);
                None
            }
            Moment::Completion => self.completion_of(slot),
            Moment::Timer => {
                let mut queue = self.queue.borrow_mut();
                match queue.replace(slot, Slot::Rung) {
                    Slot::Timer { waker } => waker,
                    _ => {
                        queue.take(slot);
                        None
                    }
                }
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn effect_of(&self, slot: usize) {
        let mut queue = self.queue.borrow_mut();
        let Some(Slot::Operation(operation)) = queue.slots.get_mut(slot) else { return };
        if operation.orphan {
            let locking = matches!(operation.action, Action::Lock(_));
            if locking || self.rng.chance(1, 2) {
                let changes = operation.action.changes();
                queue.take(slot);
                drop(queue);
                self.event(changes);
                self.over();
                return;
            }
            let whole = operation.fault.is_some() || operation.action.extent().1 < 2;
            if !whole && self.rng.chance(1, 4) {
                operation.fault = Some(FaultKind::ShortWrite);
            }
        }
        operation.effect = Some(self.effect(&operation.action, operation.fault));
        let latency = self.config.latency.max_us.saturating_mul(1000) / 2;
        let at = self.now.get().saturating_add(self.rng.within(0, latency));
        queue.heap.push(Reverse((at, self.rng.next(), slot, Moment::Completion)));
    }

    fn completion_of(&self, slot: usize) -> Option<Waker> {
        let taken = self.queue.borrow_mut().replace(slot, Slot::Free);
        let Slot::Operation(operation) = taken else { return None };
        let Operation { action, effect, orphan, waker, .. } = *operation;
        let locking = matches!(action, Action::Lock(_));
        let done = self.complete(action, effect?);
        if orphan {
            if locking {
                unlock(&done);
            }
            self.queue.borrow_mut().free.push(slot);
        } else {
            self.queue.borrow_mut().replace(slot, Slot::Done(done));
        }
        waker
    }

    /// Operations that have been submitted and have had no effect yet, in the order of their submission.
    pub(super) fn each_in_flight(&self, mut each: impl FnMut(&Action)) {
        for slot in &self.queue.borrow().slots {
            if let Slot::Operation(operation) = slot
                && operation.effect.is_none()
            {
                each(&operation.action);
            }
        }
    }
}
