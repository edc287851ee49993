//! The face of [`SimDisk`] towards [`Disk`](crate::Disk).

use super::action::{Action, Outcome};
use super::image::{Body, Image, Node};
use super::machine::Machine;
use super::{SimDisk, SimFile};
use crate::counters::Counters;
use crate::disk::{Driver, Entry, Lock, Mode};
use crate::error::{Error, Result};
use crate::file::File;
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

impl SimDisk {
    async fn run(&self, op: &'static str, path: &Path, action: Action) -> Result<Outcome> {
        self.machine.run(action, path).await.result.map_err(|e| Error::io(op, path, e))
    }

    pub(crate) async fn open(&self, path: &Path, mode: Mode) -> Result<File> {
        self.machine.count(|c| c.opens += 1);
        let outcome = self.run("open", path, Action::Open(path.to_owned(), mode)).await?;
        let Outcome::Node(node) = outcome else { return Err(wrong("open", path)) };
        Ok(File::sim(SimFile::new(Rc::clone(&self.machine), node, path, mode != Mode::Read)))
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|p| self.machine.image.lookup(p).is_err()).collect();
        if missing.is_empty() {
            missing.push(path);
        }
        for dir in missing.into_iter().rev() {
            match self.run("create directory", dir, Action::CreateDir(dir.to_owned())).await {
                Err(e) if e.io_kind() == Some(ErrorKind::AlreadyExists) => {
                    let found = self.machine.image.lookup(dir);
                    if !found.is_ok_and(|node| matches!(node.body, Body::Dir(_))) {
                        return Err(e);
                    }
                }
                other => {
                    other?;
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        match self.run("list", dir, Action::List(dir.to_owned())).await? {
            Outcome::Entries(entries) => Ok(entries),
            _ => Err(wrong("list", dir)),
        }
    }

    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        self.machine.count(|c| c.removes += 1);
        self.run("remove", path, Action::Remove(path.to_owned())).await.map(drop)
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.machine.count(|c| c.renames += 1);
        self.run("rename", from, Action::Rename(from.to_owned(), to.to_owned())).await.map(drop)
    }

    pub(crate) async fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.machine.count(|c| c.dir_syncs += 1);
        let covers = self.machine.stamp();
        self.run("sync directory", dir, Action::SyncDir(dir.to_owned(), covers)).await.map(drop)
    }

    pub(crate) async fn lock(&self, path: &Path) -> Result<Lock> {
        match self.run("lock", path, Action::Lock(path.to_owned())).await {
            Ok(Outcome::Node(node)) => Ok(Lock::new(Held(node))),
            Ok(_) => Err(wrong("lock", path)),
            Err(e) if e.io_kind() == Some(ErrorKind::WouldBlock) => {
                Err(Error::Locked { path: path.to_owned() })
            }
            Err(e) => Err(e),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.machine.spawn(Box::pin(task));
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.machine.sleep(time).await;
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.machine.now.get())
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        self.machine.unix_ms_start + self.machine.now.get() / 1_000_000
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn random(&self) -> Result<u128> {
        let Machine { random, .. } = &*self.machine;
        Ok(u128::from(random.next()) << 64 | u128::from(random.next()))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.machine.counters.get()
    }

    pub(crate) fn driver(&self) -> Driver {
        Driver::Sim
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.machine.in_flight()
    }

    pub(crate) async fn drain(&self) {
        self.machine.drain().await;
    }
}

/// The machine answered something else than it was asked.
pub(super) fn wrong(op: &'static str, path: &Path) -> Error {
    Error::io(op, path, ErrorKind::Unsupported.into())
}

/// A lock file that is held.
struct Held(Rc<Node>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Node {
    pub(super) fn unlock(&self) {
        self.locked.set(false);
    }

    /// The process died: all that it had begun is done.
    pub(super) fn complete_all(&self) {
        match &self.body {
            Body::File(content) => content.borrow_mut().pending.iter_mut().for_each(|p| p.completed = 0),
            Body::Dir(names) => names.borrow_mut().pending.iter_mut().for_each(|p| p.completed = 0),
            Body::Symlink => {}
        }
    }
}

impl Image {
    /// Everything that has a name now.
    pub(super) fn each_node(&self, each: &mut impl FnMut(&Node)) {
        fn below(node: &Rc<Node>, each: &mut impl FnMut(&Node)) {
            each(node);
            if let Body::Dir(names) = &node.body {
                names.borrow().current.values().for_each(|n| below(n, each));
            }
        }
        below(&self.root, each);
    }
}
