//! Direct access to what the disk holds, past all operations: for campaigns that damage files, and for looking.
//!
//! Reads see the current image. Changes are made to the durable and the current one at once, whoever has the file open;
//! unsynced changes of that file, or of the names in that directory, are settled first. No event is counted and no virtual
//! time passes.

use super::SimDisk;
use super::content::Content;
use super::image::{Body, Node};
use super::names::{Change, apply};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl SimDisk {
    /// All files, in the order of their paths.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.walk(|node| matches!(node.body, Body::File(_)))
    }

    /// All directories but `/`.
    #[must_use]
    pub fn dirs(&self) -> Vec<PathBuf> {
        self.walk(|node| matches!(node.body, Body::Dir(_)))
    }

    fn walk(&self, wanted: impl Fn(&Node) -> bool) -> Vec<PathBuf> {
        fn below(node: &Node, path: &Path, wanted: &impl Fn(&Node) -> bool, found: &mut Vec<PathBuf>) {
            let Body::Dir(names) = &node.body else { return };
            for (name, node) in &names.borrow().current {
                let path = path.join(&**name);
                below(node, &path, wanted, found);
                if wanted(node) {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        below(&self.machine.image.root, Path::new("/"), &wanted, &mut found);
        found.sort();
        found
    }

    /// What a file holds; `None` when there is no such file.
    #[must_use]
    pub fn read_raw(&self, path: &Path) -> Option<Vec<u8>> {
        let node = self.machine.image.lookup(path).ok()?;
        let content = node.file().ok()?.borrow();
        Some(content.current.to_vec())
    }

    /// What is durable of a file; `None` when there is no such file.
    #[must_use]
    pub fn read_durable(&self, path: &Path) -> Option<Vec<u8>> {
        let node = self.machine.image.lookup(path).ok()?;
        let content = node.file().ok()?.borrow();
        Some(content.durable.to_vec())
    }

    /// Makes a file hold exactly `bytes`, durably; it and its directories are made when missing. False when the path
    /// leads through a file or names a directory.
    pub fn write_raw(&self, path: &Path, bytes: Vec<u8>) -> bool {
        let image = &self.machine.image;
        if let Ok(node) = image.lookup(path) {
            let Ok(content) = node.file() else { return false };
            image.charge(&node, bytes.len() as u64);
            *content.borrow_mut() = Content::settled(bytes);
            return true;
        }
        self.make(path, Body::File(RefCell::new(Content::settled(bytes))))
    }

    /// Removes a file or a symbolic link, durably; false when there is none.
    pub fn remove_raw(&self, path: &Path) -> bool {
        let image = &self.machine.image;
        let Ok(node) = image.lookup(path) else { return false };
        let Ok((dir, name)) = image.parent(path) else { return false };
        let (Ok(names), false) = (dir.dir(), matches!(node.body, Body::Dir(_))) else { return false };
        let mut names = names.borrow_mut();
        names.sync(u64::MAX);
        let change = Change::Unlink { name, node: Rc::clone(&node) };
        apply(&mut names.durable, &change);
        apply(&mut names.current, &change);
        image.unlinked(&node);
        true
    }

    /// Turns one bit of a file over, durably; false when the file is not that long.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        let Some(mut bytes) = self.read_raw(path) else { return false };
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let Some(byte) = bytes.get_mut(at) else { return false };
        *byte ^= 1 << (bit % 8);
        self.write_raw(path, bytes)
    }

    /// Cuts or lengthens (with zeros) a file, durably.
    pub fn set_len_raw(&self, path: &Path, len: u64) -> bool {
        let Some(mut bytes) = self.read_raw(path) else { return false };
        bytes.resize(len as usize, 0);
        self.write_raw(path, bytes)
    }

    /// Lets two files change places, durably; false when one is missing.
    pub fn swap_raw(&self, one: &Path, other: &Path) -> bool {
        match (self.read_raw(one), self.read_raw(other)) {
            (Some(first), Some(second)) => self.write_raw(one, second) && self.write_raw(other, first),
            _ => false,
        }
    }

    /// Makes a symbolic link (to nowhere), durably; false when the name is taken.
    pub fn symlink_raw(&self, path: &Path) -> bool {
        self.machine.image.lookup(path).is_err() && self.make(path, Body::Symlink)
    }

    /// Makes a directory and those above it, durably.
    pub fn create_dir_raw(&self, path: &Path) -> bool {
        match self.machine.image.lookup(path) {
            Ok(node) => node.dir().is_ok(),
            Err(_) => self.make(path, Body::Dir(RefCell::default())),
        }
    }

    fn make(&self, path: &Path, body: Body) -> bool {
        let image = &self.machine.image;
        if !path.parent().is_some_and(|dir| self.create_dir_raw(dir)) {
            return false;
        }
        let Ok((dir, name)) = image.parent(path) else { return false };
        let Ok(names) = dir.dir() else { return false };
        let node = Node::new(image.tick(), body);
        node.links.set(1);
        image.charge(&node, node.len());
        let mut names = names.borrow_mut();
        names.sync(u64::MAX);
        let change = Change::Link { name, node };
        apply(&mut names.durable, &change);
        apply(&mut names.current, &change);
        true
    }
}
