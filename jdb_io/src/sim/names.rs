//! What one directory holds: durable names, current names and the changes between them, in order.

use super::content::NEVER;
use super::image::Node;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) type Map = BTreeMap<Rc<str>, Rc<Node>>;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Link { name: Rc<str>, node: Rc<Node> },
    Unlink { name: Rc<str>, node: Rc<Node> },
    Rename { from: Rc<str>, to: Rc<str>, node: Rc<Node> },
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) token: u64,
    pub(super) completed: u64,
    pub(super) synced: bool,
    pub(super) change: Change,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Names {
    pub(super) durable: Map,
    pub(super) current: Map,
    pub(super) pending: Vec<Pending>,
    pub(super) sync_broken: bool,
}

impl Names {
    pub(super) fn change(&mut self, token: u64, change: Change) {
        apply(&mut self.current, &change);
        self.pending.push(Pending { token, completed: NEVER, synced: false, change });
    }

    pub(super) fn complete(&mut self, token: u64, stamp: u64) {
        if let Some(pending) = self.pending.iter_mut().rev().find(|p| p.token == token) {
            pending.completed = stamp;
        }
    }

    /// Makes every change durable that had completed by `covers`, and what those stand on.
    pub(super) fn sync(&mut self, covers: u64) {
        let mut touched: Vec<Rc<str>> = Vec::new();
        for pending in self.pending.iter_mut().rev() {
            let names = pending.change.names();
            let stands_on = |name: &&Rc<str>| touched.contains(name);
            if pending.synced || pending.completed <= covers || names.iter().flatten().any(stands_on) {
                pending.synced = true;
                touched.extend(names.into_iter().flatten().cloned());
            }
        }
        let count = self.pending.iter().take_while(|p| p.synced).count();
        for pending in self.pending.drain(..count) {
            apply(&mut self.durable, &pending.change);
        }
    }

    /// A sync failed and what it covered will never be written, though a later sync says so.
    pub(super) fn forget(&mut self, covers: u64) {
        self.pending.retain(|p| p.synced || p.completed > covers);
    }
}

impl Change {
    fn names(&self) -> [Option<&Rc<str>>; 2] {
        match self {
            Self::Link { name, .. } | Self::Unlink { name, .. } => [Some(name), None],
            Self::Rename { from, to, .. } => [Some(from), Some(to)],
        }
    }
}

/// Carries out a change. When earlier changes were lost, a new file whose name is still taken is lost too, and a rename
/// moves its file from wherever it is: no file gets two names or loses its last one by this.
pub(super) fn apply(names: &mut Map, change: &Change) {
    match change {
        Change::Link { name, node } => {
            names.entry(Rc::clone(name)).or_insert_with(|| Rc::clone(node));
        }
        Change::Unlink { name, node } => {
            if names.get(name).is_some_and(|n| Rc::ptr_eq(n, node)) {
                names.remove(name);
            }
        }
        Change::Rename { from, to, node } => {
            if names.get(from).is_some_and(|n| Rc::ptr_eq(n, node)) {
                names.remove(from);
            } else {
                names.retain(|_, n| !Rc::ptr_eq(n, node));
            }
            names.insert(Rc::clone(to), Rc::clone(node));
        }
    }
}
