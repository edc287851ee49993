//! What the parties of one timeline share: parameters, oracle, counts, the first violation.

use crate::oracle::{After, Marks, Ns, Op, Oracle};
use crate::report::Counts;
use crate::spec::Spec;
use crate::violation::{Check, Violation};
use crate::wire::Message;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// One timeline of one database.
#[derive(Debug)]
pub struct World {
    /// What the run does.
    pub spec: Rc<Spec>,
    /// What must be true.
    pub oracle: RefCell<Oracle>,
    /// What was done.
    pub counts: RefCell<Counts>,
    /// What must be there when the process dies now: less than what was acknowledged while a recovery from a power cut is
    /// not over.
    pub after_kill: Cell<After>,
    /// Errors of the engine are answers, not violations: faults are injected.
    pub tolerant: Cell<bool>,
    /// Says what happens, on standard error.
    pub trace: bool,
    /// Told of every commit and every answer, after the oracle.
    pub listener: RefCell<Option<Box<dyn Listener>>>,
    version: Cell<u64>,
    broken: RefCell<Option<Violation>>,
}

/// Hears what a world hears; the child of a kill -9 round passes it on to its parent.
pub trait Listener: fmt::Debug {
    /// Something happened.
    fn hear(&mut self, message: &Message);
}

impl World {
    /// The world of an empty database.
    #[must_use]
    pub fn new(spec: Spec, trace: bool) -> Rc<Self> {
        let oracle = Oracle::new(spec.ns.len(), usize::from(spec.shards));
        Self::with(Rc::new(spec), oracle, 0, trace)
    }

    /// The world of an image of this one's disk.
    #[must_use]
    pub fn fork(&self, oracle: Oracle) -> Rc<Self> {
        Self::with(Rc::clone(&self.spec), oracle, self.version.get() + 1_000_000, self.trace)
    }

    fn with(spec: Rc<Spec>, oracle: Oracle, version: u64, trace: bool) -> Rc<Self> {
        Rc::new(Self {
            spec,
            oracle: RefCell::new(oracle),
            counts: RefCell::default(),
            after_kill: Cell::new(After::Kill),
            tolerant: Cell::new(false),
            trace,
            listener: RefCell::default(),
            version: Cell::new(version),
            broken: RefCell::default(),
        })
    }

    /// A number that no value had yet.
    pub fn next_version(&self) -> u64 {
        self.version.set(self.version.get() + 1);
        self.version.get()
    }

    /// Later versions are above this one.
    pub fn set_version(&self, version: u64) {
        self.version.set(version);
    }

    /// Keeps the first violation.
    pub fn note(&self, check: Check) {
        if let Err(violation) = check {
            self.trace(|| format!("!! {violation}"));
            self.broken.borrow_mut().get_or_insert(violation);
        }
    }

    /// Whether a promise was broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// The first violation.
    ///
    /// # Errors
    /// When there is one.
    pub fn verdict(&self) -> Check {
        self.broken.borrow().clone().map_or(Ok(()), Err)
    }

    /// Prints when tracing.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{}", text());
        }
    }

    /// Tells the listener, if there is one.
    pub fn tell(&self, message: impl FnOnce() -> Message) {
        if let Some(listener) = &mut *self.listener.borrow_mut() {
            listener.hear(&message());
        }
    }

    /// A commit got its sequences.
    pub fn submitted(&self, shard: u16, first_seq: u64, ops: Check<Vec<Op>>) {
        let ops = match ops {
            Ok(ops) => ops,
            Err(violation) => return self.note(Err(violation)),
        };
        self.trace(|| format!("   shard {shard} #{first_seq}: {}", show_ops(&ops)));
        self.tell(|| Message::Submitted { shard, first_seq, ops: ops.clone() });
        let check = self.oracle.borrow_mut().submitted(shard, first_seq, ops);
        self.note(check);
    }

    /// A commit was answered; `after` is what had been answered in its shard when it was submitted.
    pub fn acknowledged(&self, ops: &[Op], seq: u64, sync: bool, after: u64) {
        self.trace(|| format!("   ok #{seq}{}", if sync { " sync" } else { "" }));
        let check = self.oracle.borrow_mut().acknowledged(ops, seq, sync, after);
        self.note(check);
        self.tell(|| Message::Acknowledged { ns: ops[0].ns(), seq, sync });
        let mut counts = self.counts.borrow_mut();
        *(if sync { &mut counts.acknowledged_sync } else { &mut counts.acknowledged_os }) += 1;
    }

    /// A commit was promised to survive a power cut.
    pub fn durable(&self, ns: Ns, seq: u64) {
        self.trace(|| format!("   durable #{seq}"));
        self.oracle.borrow_mut().commit_durable(ns, seq);
        self.tell(|| Message::Durable { ns, seq });
    }

    /// Everything up to `marks` was promised to survive a power cut.
    pub fn made_durable(&self, marks: &Marks) {
        self.trace(|| format!("   durable to {marks:?}"));
        self.oracle.borrow_mut().made_durable(marks);
        self.tell(|| Message::MadeDurable(marks.clone()));
    }

    /// A commit was answered with an error.
    pub fn failed(&self, ops: &[Op], error: &jdb::Error) {
        self.trace(|| format!("   error: {error} for {}", show_ops(ops)));
        self.oracle.borrow_mut().failed(ops);
        self.counts.borrow_mut().errors += 1;
        if !self.tolerant.get() {
            self.note(Err(Violation(format!("an error without a fault: {}", show_error(error)))));
        }
    }

    /// A read, a sync or a flush answered with an error.
    pub fn refused(&self, what: &str, error: &jdb::Error) {
        self.trace(|| format!("   {what}: {error}"));
        self.counts.borrow_mut().errors += 1;
        if !self.tolerant.get() {
            self.note(Err(Violation(format!("{what} failed without a fault: {}", show_error(error)))));
        }
    }
}

/// An error with its kind, place and sources.
#[must_use]
pub fn show_error(error: &jdb::Error) -> String {
    let mut text = format!("{:?}: {error}", error.kind());
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

fn show_ops(ops: &[Op]) -> String {
    use crate::oracle::{show, show_value};
    let one = |op: &Op| match op {
        Op::Put { ns, key, value } => format!("put {ns} {} {}", show(key), show_value(Some(value))),
        Op::Delete { ns, key } => format!("delete {ns} {}", show(key)),
        Op::Drop { ns } => format!("drop {ns}"),
    };
    ops.iter().map(one).collect::<Vec<_>>().join(", ")
}
