//! The tree: the newest Version, replaced whole on every change.

use crate::table::Table;
use crate::version::Version;
use jdb_mem::Memtable;
use std::cell::RefCell;
use std::rc::Rc;

/// Holds the newest [`Version`]. Whoever reads pins one by cloning its `Rc`.
#[derive(Debug)]
pub struct Tree {
    version: RefCell<Rc<Version>>,
}

impl Tree {
    /// A tree over these levels (level 0 from new to old), with one empty memtable.
    #[must_use]
    pub fn new(levels: Vec<Vec<Rc<Table>>>) -> Self {
        Self { version: RefCell::new(Rc::new(Version { memtables: vec![Rc::default()], levels })) }
    }

    /// The newest Version.
    #[must_use]
    pub fn version(&self) -> Rc<Version> {
        self.version.borrow().clone()
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

    fn replace(&self, change: impl FnOnce(&mut Version)) {
        let mut version = Version::clone(&self.version.borrow());
        change(&mut version);
        *self.version.borrow_mut() = Rc::new(version);
    }
}
