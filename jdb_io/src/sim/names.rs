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

/// Whether a rename would replace a file that has another name today: the rename that gave it that name was lost, so
/// this one, which stands on it, must be lost too.
pub(super) fn stands_on_lost(names: &Map, change: &Change) -> bool {
    let Change::Rename { to, node, .. } = change else { return false };
    names.get(to).is_some_and(|there| !Rc::ptr_eq(there, node) && there.links.get() > 0)
}

/// Carries out a change. When earlier changes were lost, a new file whose name is still taken is lost too, and a rename
/// moves its file from wherever it is: no file gets two names by this.
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

#[cfg(test)]
mod tests {
    use super::super::image::Body;
    use super::*;
    use std::cell::RefCell;

    fn file(id: u64) -> Rc<Node> {
        Node::new(id, Body::File(RefCell::default()))
    }

    fn show(names: &Map) -> Vec<(&str, u64)> {
        names.iter().map(|(name, node)| (&**name, node.id)).collect()
    }

    #[test]
    fn a_sync_takes_along_what_the_covered_changes_stand_on() {
        let (old, new, other) = (file(1), file(2), file(3));
        let mut names = Names::default();
        names.change(1, Change::Link { name: "a".into(), node: Rc::clone(&old) });
        names.change(2, Change::Link { name: "x".into(), node: other });
        names.change(3, Change::Rename { from: "a".into(), to: "b".into(), node: old });
        names.change(4, Change::Link { name: "a".into(), node: new });
        names.complete(4, 7);
        names.sync(6);
        assert_eq!(show(&names.durable), []);
        names.sync(7);
        // Not `x`: its create had not completed. It still stands before what was synced.
        let synced: Vec<bool> = names.pending.iter().map(|p| p.synced).collect();
        assert_eq!((show(&names.durable), synced), (vec![("a", 1)], vec![false, true, true]));
        names.complete(2, 8);
        names.sync(8);
        assert_eq!(show(&names.durable), [("a", 2), ("b", 1), ("x", 3)]);
        assert_eq!(show(&names.current), show(&names.durable));
    }

    #[test]
    fn what_is_left_of_a_history_never_names_a_file_twice() {
        let (one, two) = (file(1), file(2));
        one.links.set(1);
        two.links.set(1);
        let link = |name: &str, node: &Rc<Node>| Change::Link { name: name.into(), node: Rc::clone(node) };
        let rename = |from: &str, to: &str, node: &Rc<Node>| Change::Rename {
            from: from.into(),
            to: to.into(),
            node: Rc::clone(node),
        };
        let history = [
            link("tmp", &one),
            rename("tmp", "m", &one),
            rename("m", "bak", &one),
            link("tmp", &two),
            rename("tmp", "m", &two),
        ];
        for kept in 0..1u32 << history.len() {
            let mut names = Map::new();
            for (_, change) in history.iter().enumerate().filter(|(i, _)| kept >> i & 1 == 1) {
                if !stands_on_lost(&names, change) {
                    apply(&mut names, change);
                }
            }
            let shown = show(&names);
            for id in [1, 2] {
                let count = shown.iter().filter(|(_, n)| *n == id).count();
                assert!(count <= 1, "kept {kept:05b}: {shown:?}");
            }
            let moved = kept & 0b00111 != 0;
            assert!(!moved || shown.iter().any(|(_, n)| *n == 1), "kept {kept:05b}: {shown:?}");
        }
    }
}
