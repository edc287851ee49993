//! The tree: the newest Version, replaced whole on every change.

use crate::compaction::Compacted;
use crate::table::Table;
use crate::version::Version;
use jdb_mem::Memtable;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Holds the newest [`Version`]. Whoever reads pins one by cloning its `Rc`.
#[derive(Debug)]
pub struct Tree {
    version: RefCell<Rc<Version>>,
    /// Tables that the newest Version does not hold any more and an older one may.
    retired: RefCell<Vec<Rc<Table>>>,
}

impl Tree {
    /// A tree over these levels (level 0 from new to old), with one empty memtable.
    #[must_use]
    pub fn new(levels: Vec<Vec<Rc<Table>>>) -> Self {
        let version = Version { memtables: vec![Rc::default()], levels, epoch: Rc::default() };
        Self { version: RefCell::new(Rc::new(version)), retired: RefCell::default() }
    }

    /// The newest Version.
    #[must_use]
    pub fn version(&self) -> Rc<Version> {
        self.version.borrow().clone()
    }

    /// Whether `version` is the newest one. For a look at every step of a scan.
    #[inline]
    #[must_use]
    pub fn is_newest(&self, version: &Rc<Version>) -> bool {
        Rc::ptr_eq(&self.version.borrow(), version)
    }

    /// The memtable that takes new entries.
    ///
    /// # Panics
    /// Never: a Version has at least one memtable.
    #[must_use]
    pub fn active(&self) -> Rc<Memtable> {
        #[expect(clippy::expect_used, reason = "kept by new, rotate and flushed")]
        self.version.borrow().memtables.first().expect("a Version has an active memtable").clone()
    }

    /// Closes the active memtable and puts an empty one before it.
    pub fn rotate(&self) {
        self.replace(|version| version.memtables.insert(0, Rc::default()));
    }

    /// The oldest closed memtable.
    #[must_use]
    pub fn oldest_closed(&self) -> Option<Rc<Memtable>> {
        let version = self.version.borrow();
        (version.memtables.len() > 1).then(|| version.memtables.last().cloned()).flatten()
    }

    /// Closed memtables that wait for their flush.
    #[must_use]
    pub fn closed_count(&self) -> usize {
        self.version.borrow().memtables.len() - 1
    }

    /// Puts `table` (none for a memtable without entries) in the place of the closed memtable `memtable`, at once.
    pub fn flushed(&self, memtable: &Rc<Memtable>, table: Option<Rc<Table>>) {
        self.replace(|version| {
            version.memtables.retain(|m| !Rc::ptr_eq(m, memtable));
            if let Some(table) = table {
                match version.levels.first_mut() {
                    Some(level) => level.insert(0, table),
                    None => version.levels.push(vec![table]),
                }
            }
        });
    }

    /// Publishes the result of a compaction whole: `added` (from [`Compacted::added`](crate::Compacted)) and the moved
    /// tables enter its level, the removed ones leave the tree. To be called right after the MANIFEST record is durable.
    pub fn compacted(&self, result: &Compacted, added: Vec<Rc<Table>>) {
        let gone = |table: &Rc<Table>| result.removed.contains(&table.meta().number);
        let moves = |table: &Rc<Table>| result.moved.contains(&table.meta().number);
        self.replace(|version| {
            let mut entering = added;
            for level in &mut version.levels {
                self.retired.borrow_mut().extend(level.iter().filter(|t| gone(t)).cloned());
                entering.extend(level.iter().filter(|t| moves(t)).cloned());
                level.retain(|table| !gone(table) && !moves(table));
            }
            if version.levels.len() <= result.level {
                version.levels.resize_with(result.level + 1, Vec::new);
            }
            if let Some(level) = version.levels.get_mut(result.level) {
                level.extend(entering);
                level.sort_by(|a, b| a.meta().first_key.cmp(&b.meta().first_key));
            }
        });
    }

    /// Tables that left the tree and that no Version holds any more; their files may be removed. Each is given once.
    ///
    /// A table whose Version or walk is still pinned waits for a later call: ask after each compaction, and when a scan
    /// has ended.
    #[must_use]
    pub fn take_unpinned(&self) -> Vec<Rc<Table>> {
        self.retired.borrow_mut().extract_if(.., |table| Rc::strong_count(table) == 1).collect()
    }

    /// How many tables wait for [`Tree::take_unpinned`].
    #[must_use]
    pub fn retired_count(&self) -> usize {
        self.retired.borrow().len()
    }

    /// Begins an epoch: returns what lives as long as anybody holds a Version from before this call. Who takes away what those
    /// Versions lead to, files that the tree knows nothing of, waits until it is dead.
    #[must_use]
    pub fn begin_epoch(&self) -> Weak<()> {
        let before = Rc::downgrade(&self.version.borrow().epoch);
        self.replace(|version| version.epoch = Rc::default());
        before
    }

    fn replace(&self, change: impl FnOnce(&mut Version)) {
        let mut version = Version::clone(&self.version.borrow());
        change(&mut version);
        *self.version.borrow_mut() = Rc::new(version);
    }
}
