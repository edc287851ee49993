//! A second disk from the first one: contents are shared until either side changes them.

use super::action::Action;
use super::image::{Body, Image, Node};
use super::names::{self, Names};
use jdb_base::Map;
use std::cell::RefCell;
use std::rc::Rc;

/// Nodes of the copy by the number they have in both.
pub(super) type Copied = Map<u64, Rc<Node>>;

/// Copies everything that a name, or a change of names still pending, refers to. Open files and locks end here.
pub(super) fn copy(image: &Image) -> (Image, Copied) {
    let mut copied = Copied::default();
    let root = copy_node(&image.root, &mut copied);
    let copy = image.with_root(root);
    copied.values().for_each(|node| copy.charge(node, node.len()));
    (copy, copied)
}

fn copy_node(node: &Rc<Node>, copied: &mut Copied) -> Rc<Node> {
    if let Some(copy) = copied.get(&node.id) {
        return Rc::clone(copy);
    }
    let body = match &node.body {
        Body::File(content) => Body::File(content.clone()),
        Body::Dir(names) => Body::Dir(RefCell::new(copy_names(&names.borrow(), copied))),
        Body::Symlink => Body::Symlink,
    };
    let copy = Node::new(node.id, body);
    copy.links.set(node.links.get());
    copied.insert(node.id, Rc::clone(&copy));
    copy
}

fn copy_names(names: &Names, copied: &mut Copied) -> Names {
    let mut copy_map = |map: &names::Map| -> names::Map {
        map.iter().map(|(name, node)| (Rc::clone(name), copy_node(node, copied))).collect()
    };
    let (durable, current) = (copy_map(&names.durable), copy_map(&names.current));
    let mut pending = names.pending.clone();
    for pending in &mut pending {
        let (names::Change::Link { node, .. }
        | names::Change::Unlink { node, .. }
        | names::Change::Rename { node, .. }) = &mut pending.change;
        *node = copy_node(node, copied);
    }
    Names { durable, current, pending, sync_broken: names.sync_broken }
}

/// The same operation on the copy; `None` when it cannot matter there: it changes nothing, or its file has no name.
pub(super) fn translate(action: &Action, copied: &Copied) -> Option<Action> {
    let node = |node: &Rc<Node>| copied.get(&node.id).cloned();
    Some(match action {
        Action::Open(path, mode) => Action::Open(path.clone(), *mode),
        Action::CreateDir(path) => Action::CreateDir(path.clone()),
        Action::Remove(path) => Action::Remove(path.clone()),
        Action::Rename(from, to) => Action::Rename(from.clone(), to.clone()),
        Action::SyncDir(path, covers) => Action::SyncDir(path.clone(), *covers),
        Action::Lock(path) => Action::Lock(path.clone()),
        Action::Write(file, offset, data, from) => Action::Write(node(file)?, *offset, data.clone(), *from),
        Action::Sync(file, covers) => Action::Sync(node(file)?, *covers),
        Action::SetLen(file, len) => Action::SetLen(node(file)?, *len),
        Action::List(_) | Action::Read(..) | Action::Len(_) => return None,
    })
}
