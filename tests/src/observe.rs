//! The engine's own account of its commit order: what got which sequences, told before it is written.
//!
//! The hook is one per thread and several databases run on a thread in turn (the run itself, and the images taken of it),
//! so whoever steps an executor says first whose world it is.

use crate::oracle::Op;
use crate::spec::Spec;
use crate::violation::{Check, Violation};
use crate::world::World;
use bytes::Bytes;
use jdb_base::NsId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static INSTALLED: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, commits of this thread belong to one world; then to the one before again.
#[derive(Debug)]
pub struct Entered(Option<Rc<World>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Sends the commits of this thread to `world`.
#[must_use]
pub fn enter(world: &Rc<World>) -> Entered {
    if !INSTALLED.replace(true) {
        jdb_io::observe::observe(Rc::new(|observed: &jdb_io::observe::Observed<'_>| {
            let world = CURRENT.with_borrow(Clone::clone);
            let speaks_of_the_log = observed.ops.iter().all(|op| matches!(op.0, PAD | MARK));
            if let Some(world) = world.filter(|world| !speaks_of_the_log && !world.spec.names) {
                let ops: Check<Vec<Op>> = observed.ops.iter().map(|op| decode(&world.spec, *op)).collect();
                world.submitted(observed.shard as u16, observed.first_seq, ops);
            }
        }));
    }
    Entered(CURRENT.replace(Some(Rc::clone(world))))
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DROP: u8 = 3;
const PAD: u8 = 5;
const MARK: u8 = 6;

fn decode(spec: &Spec, (kind, mut key, value): (u8, &[u8], &[u8])) -> Check<Op> {
    let unknown =
        || Violation(format!("an unknown change was written: kind {kind}, key {}", key.escape_ascii()));
    let id = NsId::take(&mut key).ok_or_else(unknown)?;
    let ns = spec.ns.iter().position(|ns| *ns == id).ok_or_else(unknown)? as u8;
    match kind {
        PUT => Ok(Op::Put { ns, key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(value) }),
        DELETE => Ok(Op::Delete { ns, key: Bytes::copy_from_slice(key) }),
        DROP => Ok(Op::Drop { ns }),
        _ => Err(unknown()),
    }
}
