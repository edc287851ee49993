//! The tree of files and directories, and what each operation does to it.

use super::action::{Action, Effect, Outcome};
use super::content::{self, Content, FILE_LEN_MAX};
use super::faults::{FaultKind, OpKind, SyncFailure};
use super::names::{self, Names};
use super::rng::Rng;
use crate::disk::{Entry, EntryKind, Mode};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::rc::Rc;

/// A file, a directory or a symbolic link. It lives while a name, a pending change of names or an open file holds it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u64,
    /// Current names (0 or 1).
    pub(super) links: Cell<u32>,
    pub(super) handles: Cell<u32>,
    /// Bytes of the disk that it takes up: its length while it has a name or is open.
    pub(super) charged: Cell<u64>,
    pub(super) locked: Cell<bool>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    File(RefCell<Content>),
    Dir(RefCell<Names>),
    Symlink,
}

/// All that a disk holds.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) root: Rc<Node>,
    /// Bytes of all files that have a name or are open.
    pub(super) used: Cell<u64>,
    pub(super) capacity: Cell<Option<u64>>,
    /// Counts changes and nodes.
    clock: Cell<u64>,
}

impl Node {
    pub(super) fn new(id: u64, body: Body) -> Rc<Self> {
        let (links, handles, charged) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Rc::new(Self { id, links, handles, charged, locked: Cell::new(false), body })
    }

    pub(super) fn file(&self) -> io::Result<&RefCell<Content>> {
        match &self.body {
            Body::File(content) => Ok(content),
            Body::Dir(_) => Err(ErrorKind::IsADirectory.into()),
            Body::Symlink => Err(io::Error::new(ErrorKind::InvalidInput, "symbolic link")),
        }
    }

    pub(super) fn dir(&self) -> io::Result<&RefCell<Names>> {
        match &self.body {
            Body::Dir(names) => Ok(names),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.file().map_or(0, |f| f.borrow().len())
    }

    /// Notes when the operation that made a change was reported as done.
    pub(super) fn complete(&self, token: u64, stamp: u64) {
        match &self.body {
            Body::File(content) => content.borrow_mut().complete(token, stamp),
            Body::Dir(names) => names.borrow_mut().complete(token, stamp),
            Body::Symlink => {}
        }
    }

    fn held(&self) -> bool {
        self.links.get() + self.handles.get() > 0
    }
}

impl Image {
    pub(super) fn new(capacity: Option<u64>) -> Self {
        let root = Node::new(0, Body::Dir(RefCell::default()));
        root.links.set(1);
        Self { root, used: Cell::new(0), capacity: Cell::new(capacity), clock: Cell::new(0) }
    }

    /// The next number for a change or a node.
    pub(super) fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// The image of a copy that is being made: same counters, another tree.
    pub(super) fn with_root(&self, root: Rc<Node>) -> Self {
        Self { root, used: Cell::new(0), capacity: Cell::new(None), clock: Cell::new(self.clock.get()) }
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<Rc<Node>> {
        let mut node = Rc::clone(&self.root);
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => utf8(name)?,
                Component::ParentDir => return Err(ErrorKind::InvalidInput.into()),
                _ => continue,
            };
            let next = node.dir()?.borrow().current.get(name).cloned();
            node = next.ok_or(ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// The directory that holds the last part of `path`, and that part.
    pub(super) fn parent(&self, path: &Path) -> io::Result<(Rc<Node>, Rc<str>)> {
        let name = utf8(path.file_name().ok_or(ErrorKind::InvalidInput)?)?;
        let dir = self.lookup(path.parent().unwrap_or(Path::new("/")))?;
        dir.dir()?;
        Ok((dir, name.into()))
    }

    /// A handle was made.
    pub(super) fn opened(&self, node: &Node) {
        node.handles.set(node.handles.get() + 1);
        self.charge(node, node.len());
    }

    /// A handle was closed.
    pub(super) fn closed(&self, node: &Node) {
        node.handles.set(node.handles.get().saturating_sub(1));
        self.charge(node, node.len());
    }

    /// A name was removed or replaced.
    pub(super) fn unlinked(&self, node: &Node) {
        node.links.set(node.links.get().saturating_sub(1));
        self.charge(node, node.len());
    }

    /// Counts a file of this length in what is used.
    pub(super) fn charge(&self, node: &Node, len: u64) {
        let len = if node.held() { len } else { 0 };
        let used = self.used.get() + len;
        self.used.set(used.saturating_sub(node.charged.replace(len)));
    }

    /// Carries out one operation, with a fault or without.
    pub(super) fn perform(&self, action: &Action, fault: Option<FaultKind>, rng: &Rng) -> Effect {
        let mut touched = None;
        let result = self.carry_out(action, fault, rng, &mut touched);
        Effect { result, touched }
    }

    fn carry_out(
        &self,
        action: &Action,
        fault: Option<FaultKind>,
        rng: &Rng,
        touched: &mut Option<(Rc<Node>, u64)>,
    ) -> io::Result<Outcome> {
        let failed_sync = match fault {
            None | Some(FaultKind::ShortRead | FaultKind::ShortWrite) => None,
            Some(FaultKind::FailedSync(mode)) => Some(mode),
            Some(FaultKind::Eio) if matches!(action.kind(), OpKind::Sync | OpKind::SyncDir) => {
                SyncFailure::ALL.get(rng.index(3)).copied()
            }
            Some(kind @ (FaultKind::Eio | FaultKind::Enospc)) => {
                if let Action::Write(node, offset, data, from) = action
                    && rng.chance(1, 2)
                {
                    let part = data.get(*from..).unwrap_or_default();
                    let done = if rng.chance(1, 3) { part.len() } else { rng.index(part.len() + 1) };
                    let part = part.get(..done).unwrap_or_default();
                    if !part.is_empty() {
                        // Whatever becomes of the part, the operation fails with its fault.
                        self.write(node, offset + *from as u64, part, touched).ok();
                    }
                }
                return Err(if kind == FaultKind::Eio { eio() } else { ErrorKind::StorageFull.into() });
            }
        };
        let short = fault.is_some() && failed_sync.is_none();
        let cut = |len: usize| if short && len > 1 { 1 + rng.index(len - 1) } else { len };
        match action {
            Action::Open(path, mode) => self.open(path, *mode, touched).map(Outcome::Node),
            Action::Lock(path) => {
                let node = match self.lookup(path) {
                    Ok(node) => node,
                    Err(e) if e.kind() == ErrorKind::NotFound => self.open(path, Mode::CreateNew, touched)?,
                    Err(e) => return Err(e),
                };
                node.file()?;
                if node.locked.replace(true) {
                    Err(ErrorKind::WouldBlock.into())
                } else {
                    Ok(Outcome::Node(node))
                }
            }
            Action::CreateDir(path) => {
                if self.lookup(path).is_ok() {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                let (dir, name) = self.parent(path)?;
                self.link(&dir, name, Body::Dir(RefCell::default()), touched).map(|_| Outcome::Unit)
            }
            Action::List(path) => Ok(Outcome::Entries(entries(&self.lookup(path)?.dir()?.borrow()))),
            Action::Remove(path) => {
                let (dir, name) = self.parent(path)?;
                let node = dir.dir()?.borrow().current.get(&name).cloned().ok_or(ErrorKind::NotFound)?;
                if matches!(node.body, Body::Dir(_)) {
                    return Err(ErrorKind::IsADirectory.into());
                }
                self.change_names(&dir, names::Change::Unlink { name, node: Rc::clone(&node) }, touched)?;
                self.unlinked(&node);
                Ok(Outcome::Unit)
            }
            Action::Rename(from, to) => self.rename(from, to, touched).map(|()| Outcome::Unit),
            Action::SyncDir(path, covers) => {
                let node = self.lookup(path)?;
                let mut names = node.dir()?.borrow_mut();
                match failed_sync {
                    None if !names.sync_broken => {
                        names.sync(*covers);
                        return Ok(Outcome::Unit);
                    }
                    None => {}
                    Some(SyncFailure::Sticky) => names.sync_broken = true,
                    Some(_) => names.forget(*covers),
                }
                Err(eio())
            }
            Action::Read(node, offset, len) => {
                let content = node.file()?.borrow();
                let start = usize::try_from(*offset).unwrap_or(usize::MAX).min(content.current.len());
                let end = start.saturating_add(*len).min(content.current.len());
                let bytes = content.current.get(start..end).unwrap_or_default();
                let bytes = bytes.get(..cut(bytes.len())).unwrap_or_default();
                Ok(Outcome::Bytes(Bytes::copy_from_slice(bytes)))
            }
            Action::Write(node, offset, data, from) => {
                let part = data.get(*from..).unwrap_or_default();
                let part = part.get(..cut(part.len())).unwrap_or_default();
                self.write(node, offset + *from as u64, part, touched).map(Outcome::Count)
            }
            Action::Sync(node, covers) => {
                let mut content = node.file()?.borrow_mut();
                match failed_sync {
                    None if !content.sync_broken => {
                        content.sync(*covers);
                        return Ok(Outcome::Unit);
                    }
                    None => {}
                    Some(mode) => {
                        content.fail_sync(*covers, mode, rng);
                        self.charge(node, content.len());
                    }
                }
                Err(eio())
            }
            Action::Len(node) => Ok(Outcome::Count(node.file()?.borrow().len())),
            Action::SetLen(node, len) => {
                let mut content = node.file()?.borrow_mut();
                let old = content.len();
                if *len > FILE_LEN_MAX {
                    return Err(ErrorKind::FileTooLarge.into());
                }
                if len.saturating_sub(old) > self.room() {
                    return Err(ErrorKind::StorageFull.into());
                }
                let token = self.tick();
                content.change(token, content::Change::SetLen(*len));
                self.charge(node, *len);
                *touched = Some((Rc::clone(node), token));
                Ok(Outcome::Unit)
            }
        }
    }

    /// Bytes that files may still grow by.
    fn room(&self) -> u64 {
        self.capacity.get().map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used.get()))
    }

    fn open(&self, path: &Path, mode: Mode, touched: &mut Option<(Rc<Node>, u64)>) -> io::Result<Rc<Node>> {
        let (dir, name) = self.parent(path)?;
        let found = dir.dir()?.borrow().current.get(&name).cloned();
        let Some(node) = found else {
            return match mode {
                Mode::Read | Mode::ReadWrite => Err(ErrorKind::NotFound.into()),
                Mode::CreateNew | Mode::Truncate => {
                    self.link(&dir, name, Body::File(RefCell::default()), touched)
                }
            };
        };
        if mode == Mode::CreateNew {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let mut content = node.file()?.borrow_mut();
        let old = content.len();
        if mode == Mode::Truncate && old > 0 {
            let token = self.tick();
            content.change(token, content::Change::SetLen(0));
            self.charge(&node, 0);
            *touched = Some((Rc::clone(&node), token));
        }
        drop(content);
        Ok(node)
    }

    fn link(
        &self,
        dir: &Rc<Node>,
        name: Rc<str>,
        body: Body,
        touched: &mut Option<(Rc<Node>, u64)>,
    ) -> io::Result<Rc<Node>> {
        let node = Node::new(self.tick(), body);
        node.links.set(1);
        self.change_names(dir, names::Change::Link { name, node: Rc::clone(&node) }, touched)?;
        Ok(node)
    }

    fn change_names(
        &self,
        dir: &Rc<Node>,
        change: names::Change,
        touched: &mut Option<(Rc<Node>, u64)>,
    ) -> io::Result<()> {
        let token = self.tick();
        dir.dir()?.borrow_mut().change(token, change);
        *touched = Some((Rc::clone(dir), token));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path, touched: &mut Option<(Rc<Node>, u64)>) -> io::Result<()> {
        let (dir, from) = self.parent(from)?;
        let (other, to) = self.parent(to)?;
        if !Rc::ptr_eq(&dir, &other) {
            return Err(ErrorKind::CrossesDevices.into());
        }
        let (node, target) = {
            let names = dir.dir()?.borrow();
            (names.current.get(&from).cloned().ok_or(ErrorKind::NotFound)?, names.current.get(&to).cloned())
        };
        if from == to {
            return Ok(());
        }
        if let Some(target) = &target {
            match (&node.body, &target.body) {
                (Body::Dir(_), Body::Dir(names)) if !names.borrow().current.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                (Body::Dir(_), Body::Dir(_)) => {}
                (Body::Dir(_), _) => return Err(ErrorKind::NotADirectory.into()),
                (_, Body::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
                _ => {}
            }
        }
        self.change_names(&dir, names::Change::Rename { from, to, node }, touched)?;
        if let Some(target) = target {
            self.unlinked(&target);
        }
        Ok(())
    }

    fn write(
        &self,
        node: &Rc<Node>,
        offset: u64,
        data: &[u8],
        touched: &mut Option<(Rc<Node>, u64)>,
    ) -> io::Result<u64> {
        let mut content = node.file()?.borrow_mut();
        let old = content.len();
        let end = offset.saturating_add(data.len() as u64);
        if end > FILE_LEN_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let end = end.min(old.saturating_add(self.room()));
        if end <= offset {
            return Err(ErrorKind::StorageFull.into());
        }
        let data = data.get(..(end - offset) as usize).unwrap_or_default();
        let token = self.tick();
        content.change(token, content::Change::Write { offset, data: data.into() });
        self.charge(node, content.len());
        *touched = Some((Rc::clone(node), token));
        Ok(data.len() as u64)
    }
}

fn entries(names: &Names) -> Vec<Entry> {
    let entry = |(name, node): (&Rc<str>, &Rc<Node>)| Entry {
        name: name.to_string(),
        kind: match node.body {
            Body::File(_) => EntryKind::File,
            Body::Dir(_) => EntryKind::Dir,
            Body::Symlink => EntryKind::Other,
        },
        len: node.len(),
    };
    names.current.iter().map(entry).collect()
}

fn utf8(name: &std::ffi::OsStr) -> io::Result<&str> {
    name.to_str().ok_or_else(|| ErrorKind::InvalidInput.into())
}

fn eio() -> io::Error {
    io::Error::other("simulated input/output error")
}
