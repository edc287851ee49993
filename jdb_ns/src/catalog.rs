//! The name catalog: namespaces that have a name instead of an id of the user's.
//!
//! ```text
//! entry   in the name's shard  catalog, name       -> id
//! name    in the id's shard    hidden row of id    -> name
//! ```
//!
//! An entry holds only while its id names it back: the hidden row decides. Ids are numbers that nobody gets twice; a new name
//! gets one of its own shard, so that entry, hidden row and first rows are one commit. A drop takes the hidden row away
//! with all others, and with it the name.
//!
//! Renaming goes in three commits: the new entry, durable; the hidden row, durable, from which on the new name holds; the old
//! entry away. A crash between them leaves an entry that resolves to nothing.
//!
//! Invariants
//! - Nothing is written into a namespace of a name unless its hidden row stands: each write carries that condition.
//! - All who hold a name at one time share one `Named`: what one of them finds out all know.
//! - A name that is being renamed, or renamed to, is not created meanwhile.

use crate::commit::{Committed, Condition, Durability};
use crate::error::{Error, Result};
use crate::read::find_in;
use crate::shard::Shard;
use crate::shards::{Shards, check_ops, too_large};
use crate::writer::{delete_op, drop_op, put_op};
use bytes::Bytes;
use futures::channel::oneshot;
use jdb_base::key::BATCH_COUNT_MAX;
use jdb_base::{Class, NsId, SeqNo, key};
use jdb_io::Disk;
use jdb_io::plant::{Plant, planted};
use jdb_io::task::Event;
use jdb_val::{Op, RecordKind};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

mod numbers;

pub(crate) use numbers::NameNumbers;
use numbers::next_id;

/// Longest name in bytes.
pub const NAME_LEN_MAX: usize = 1024;
/// Where the catalog's entries are: each shard has those of its names.
pub(crate) const CATALOG: NsId = NsId::new(Class::Catalog, 0);
/// The id of a name that has none yet; never given out.
const NONE: NsId = NsId::new(Class::Named, 0);
/// The user's key of the hidden row.
const NAME_KEY: &[u8] = b"name";

/// The catalog of an open database.
#[derive(Debug)]
pub(crate) struct Catalog {
    disk: Disk,
    shards: Rc<Shards>,
    /// Names that somebody holds.
    held: RefCell<BTreeMap<Bytes, Weak<Named>>>,
    /// Names that are being renamed, or renamed to.
    renaming: RefCell<BTreeSet<Bytes>>,
    renamed: Event,
}

/// A name that somebody holds, and the id behind it.
#[derive(Debug)]
pub(crate) struct Named {
    catalog: Weak<Catalog>,
    name: RefCell<Bytes>,
    id: Cell<NsId>,
    /// The hidden row of the id named it back at this sequence; `None`: it has to be looked up.
    known_at: Cell<Option<SeqNo>>,
    /// The one that stands for this one's namespace, since both came to have one name.
    merged_with: RefCell<Option<Rc<Self>>>,
}

/// Where a write goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// Into this namespace, while its name stands.
    Is { ns: NsId, guard: Condition },
    /// Into one that the write makes, while the name is as free as it was, once this is durable.
    New { guard: Condition, freed_by: Option<Committed> },
}

/// What a name leads to.
enum Entry {
    /// An id whose hidden row, read at this sequence, names it back.
    Is(NsId, SeqNo),
    /// Nothing, as long as the entry stays as it is. When it leads to an id of another shard, that one may have lost the name
    /// by this commit.
    Free(Condition, Option<Committed>),
}

impl Named {
    /// The id; before there is one that of nothing.
    pub(crate) fn id(&self) -> NsId {
        self.with(|named| named.id.get())
    }

    pub(crate) fn name(&self) -> Bytes {
        self.with(|named| named.name.borrow().clone())
    }

    fn known_at(&self) -> Option<SeqNo> {
        self.with(|named| named.known_at.get())
    }

    fn set(&self, id: NsId, known_at: Option<SeqNo>) {
        self.with(|named| {
            named.id.set(id);
            named.known_at.set(known_at);
        });
    }

    /// What was known is not true any more, or may not be.
    fn forget(&self) {
        self.with(|named| named.known_at.set(None));
    }

    fn with<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        match &*self.merged_with.borrow() {
            Some(other) => other.with(act),
            None => act(self),
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let Some(catalog) = self.catalog.upgrade() else { return };
        let mut held = catalog.held.borrow_mut();
        if held.get(self.name.get_mut()).is_some_and(|named| named.strong_count() == 0) {
            held.remove(self.name.get_mut());
        }
    }
}

/// Keeps names from being created or renamed by others until it is dropped.
struct Renaming {
    catalog: Rc<Catalog>,
    names: [Bytes; 2],
}

impl Drop for Renaming {
    fn drop(&mut self) {
        let mut renaming = self.catalog.renaming.borrow_mut();
        for name in &self.names {
            renaming.remove(name);
        }
        self.catalog.renamed.notify();
    }
}

impl Catalog {
    pub(crate) fn new(disk: &Disk, shards: &Rc<Shards>) -> Self {
        Self {
            disk: disk.clone(),
            shards: shards.clone(),
            held: RefCell::default(),
            renaming: RefCell::default(),
            renamed: Event::new(),
        }
    }

    /// The namespace of a name, which need not exist.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty name, [`Error::TooLarge`]; what cannot be read.
    pub(crate) async fn named(self: &Rc<Self>, name: &[u8]) -> Result<Rc<Named>> {
        check_name(name)?;
        let held = self.held.borrow().get(name).and_then(Weak::upgrade);
        let named = held.unwrap_or_else(|| {
            let name = Bytes::copy_from_slice(name);
            let named = Rc::new(Named {
                catalog: Rc::downgrade(self),
                name: RefCell::new(name.clone()),
                id: Cell::new(NONE),
                known_at: Cell::new(None),
                merged_with: RefCell::default(),
            });
            self.held.borrow_mut().insert(name, Rc::downgrade(&named));
            named
        });
        self.target(&named).await?;
        Ok(named)
    }

    /// Where a write into the namespace of a name goes.
    pub(crate) async fn target(&self, named: &Named) -> Result<Target> {
        loop {
            if let Some(read_at) = named.known_at() {
                let ns = named.id();
                return Ok(Target::Is { ns, guard: name_stands(ns, read_at) });
            }
            let name = named.name();
            if self.renaming.borrow().contains(&name) {
                self.renamed.wait().await;
                continue;
            }
            let entry = self.look_up(&name).await?;
            // Somebody else may have made it meanwhile, or given it another name.
            if named.name() == name && named.known_at().is_none() {
                match entry {
                    Entry::Is(ns, read_at) => named.set(ns, Some(read_at)),
                    Entry::Free(guard, freed_by) => {
                        named.set(NONE, None);
                        return Ok(Target::New { guard, freed_by });
                    }
                }
            }
        }
    }

    /// Commits operations on the namespace of a name, whose keys were made for `made_for`; makes the namespace if it is not there
    /// and something is put.
    ///
    /// # Errors
    /// Those of [`Manager::commit`](crate::Manager::commit).
    pub(crate) async fn write(
        &self,
        named: &Named,
        made_for: NsId,
        ops: &[Op],
        durability: Durability,
    ) -> Result<Committed> {
        check_ops(made_for, ops)?;
        loop {
            let target = self.target(named).await?;
            match self.commit(named, target, made_for, ops, None, durability).await {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
    }

    /// One attempt of [`Catalog::write`], with one more condition.
    pub(crate) async fn commit(
        &self,
        named: &Named,
        target: Target,
        made_for: NsId,
        ops: &[Op],
        condition: Option<Condition>,
        durability: Durability,
    ) -> Result<Committed> {
        let puts = ops.iter().any(|op| op.kind == RecordKind::Put);
        let name = named.name();
        let done = match target {
            Target::Is { ns, guard } => {
                let ops = moved(ops, made_for, ns, Some(&name));
                let guard = Some(guard).filter(|_| !planted(Plant::NoNameGuard));
                let conditions = guard.into_iter().chain(condition).collect();
                self.shards.hand_over(self.shards.of(ns), ops, durability, conditions).await
            }
            Target::New { .. } if !puts => {
                // There is nothing that could be taken away.
                self.shards.hand_over(self.shards.of_name(&name), Vec::new(), durability, Vec::new()).await
            }
            Target::New { guard, freed_by } => {
                wait_durable(freed_by).await?;
                let shard = self.shards.of_name(&name);
                let ns = next_id(&self.shards, &name).await?;
                let mut all = vec![put_op(CATALOG, &name, encoded(ns)), name_op(ns, &name)];
                let alone = all.len() + ops.len() > BATCH_COUNT_MAX;
                if !alone {
                    all.extend(moved(ops, made_for, ns, Some(&name)));
                }
                let done = self.shards.hand_over(shard, all, durability, vec![guard]).await?;
                named.set(ns, Some(done.seq));
                // What does not fit beside the name comes behind it.
                return if alone { Err(Error::Stale) } else { Ok(done) };
            }
        };
        if matches!(done, Err(Error::Stale)) {
            named.forget();
        }
        done
    }

    /// Takes a namespace and its name away.
    ///
    /// # Errors
    /// Those of [`Manager::commit`](crate::Manager::commit).
    pub(crate) async fn drop_ns(&self, ns: NsId, durability: Durability) -> Result<Committed> {
        let shard = self.shards.of(ns);
        loop {
            let (read_at, name) = self.name_of(ns).await?;
            let mut ops = vec![drop_op(ns)];
            let here = name.as_ref().is_some_and(|name| Rc::ptr_eq(self.shards.of_name(name), shard));
            if let Some(name) = name.as_ref().filter(|_| here) {
                ops.push(delete_op(CATALOG, name));
            }
            let stands = vec![name_stands(ns, read_at)];
            // Without its entry nobody finds it again should a power cut bring it back.
            let sync = name.is_some() && !here && !planted(Plant::EntryRemovedEarly);
            let durability = if sync { Durability::Sync } else { durability };
            let done = match self.shards.hand_over(shard, ops, durability, stands).await {
                Err(Error::Stale) => continue,
                done => done?,
            };
            if let Some(name) = name {
                if let Some(named) = self.held.borrow().get(&name).and_then(Weak::upgrade) {
                    named.forget();
                }
                if !here {
                    self.remove_entry(&name, ns).await?;
                }
            }
            return Ok(done);
        }
    }

    /// Removes the entry of a name, if it still leads to this id and nobody is about to change it.
    async fn remove_entry(&self, name: &Bytes, ns: NsId) -> Result<()> {
        let key = key::engine_key(CATALOG, name);
        let shard = self.shards.of_name(name);
        let view = shard.view_at(CATALOG, shard.visible.get());
        let guard = Condition { ns: CATALOG, key: key.clone(), read_at: view.seq };
        let found = find_in(&view, &key).await?;
        let Some(found) = found else { return Ok(()) };
        if shard.value_of(found, &key).await? != Some(encoded(ns)) {
            return Ok(());
        }
        let ops = vec![delete_op(CATALOG, name)];
        match self.shards.hand_over(shard, ops, Durability::Os, vec![guard]).await {
            // It leads somewhere else by now, or its shard was flushed: then it stays, and resolves to nothing.
            Err(Error::Stale) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Gives a namespace another name. It goes on to its end when this future is dropped.
    ///
    /// # Errors
    /// [`Error::NoName`], [`Error::NameTaken`]; those of [`Catalog::named`] and of two durable commits.
    pub(crate) async fn rename(self: &Rc<Self>, old: &[u8], new: &[u8]) -> Result<()> {
        check_name(old)?;
        check_name(new)?;
        let (old, new) = (Bytes::copy_from_slice(old), Bytes::copy_from_slice(new));
        let (send, answer) = oneshot::channel();
        let catalog = self.clone();
        self.disk.spawn(async move {
            // Who asked may be gone.
            drop(send.send(catalog.rename_now(old, new).await));
        });
        answer.await.unwrap_or(Err(Error::Closed))
    }

    async fn rename_now(self: &Rc<Self>, old: Bytes, new: Bytes) -> Result<()> {
        let busy = |catalog: &Self| {
            let renaming = catalog.renaming.borrow();
            renaming.contains(&old) || renaming.contains(&new)
        };
        while busy(self) {
            self.renamed.wait().await;
        }
        self.renaming.borrow_mut().extend([old.clone(), new.clone()]);
        let _busy = Renaming { catalog: self.clone(), names: [old.clone(), new.clone()] };
        let no_name = || Error::NoName { name: shown(&old) };
        let Entry::Is(ns, mut read_at) = self.look_up(&old).await? else { return Err(no_name()) };
        if old == new {
            return Ok(());
        }
        let durability = if planted(Plant::RenameUnsynced) { Durability::Os } else { Durability::Sync };
        loop {
            let (guard, freed_by) = match self.look_up(&new).await? {
                Entry::Is(..) => return Err(Error::NameTaken { name: shown(&new) }),
                Entry::Free(guard, freed_by) => (guard, freed_by),
            };
            wait_durable(freed_by).await?;
            let (shard, entry) = (self.shards.of_name(&new), put_op(CATALOG, &new, encoded(ns)));
            match self.shards.hand_over(shard, vec![entry], durability, vec![guard]).await {
                Err(Error::Stale) => {}
                done => break drop(done?),
            }
        }
        loop {
            let stands = vec![name_stands(ns, read_at)];
            let ops = vec![name_op(ns, &new)];
            match self.shards.hand_over(self.shards.of(ns), ops, Durability::Sync, stands).await {
                Err(Error::Stale) => match self.look_up(&old).await? {
                    Entry::Is(found, seq) if found == ns => read_at = seq,
                    // Dropped meanwhile: the new entry resolves to nothing.
                    _ => return Err(no_name()),
                },
                done => break drop(done?),
            }
        }
        self.move_held(&old, &new, ns);
        self.remove_entry(&old, ns).await
    }

    /// Who holds the old name holds the new one from now on, and who held the new one has an id now.
    fn move_held(&self, old: &Bytes, new: &Bytes, ns: NsId) {
        let mut held = self.held.borrow_mut();
        let of_new = held.get(new).and_then(Weak::upgrade);
        let of_old = held.remove(old).and_then(|named| named.upgrade());
        match (&of_old, &of_new) {
            (_, Some(named)) => named.set(ns, None),
            (Some(named), None) => {
                named.name.replace(new.clone());
                named.set(ns, None);
                held.insert(new.clone(), Rc::downgrade(named));
            }
            (None, None) => {}
        }
        drop(held);
        if let (Some(named), Some(other)) = (of_old, of_new) {
            named.merged_with.replace(Some(other));
        }
    }

    async fn look_up(&self, name: &Bytes) -> Result<Entry> {
        let shard = self.shards.of_name(name);
        let key = key::engine_key(CATALOG, name);
        let view = shard.view_at(CATALOG, shard.visible.get());
        let guard = Condition { ns: CATALOG, key: key.clone(), read_at: view.seq };
        let Some(found) = find_in(&view, &key).await? else { return Ok(Entry::Free(guard, None)) };
        let Some(value) = shard.value_of(found, &key).await? else { return Ok(Entry::Free(guard, None)) };
        let ns = decoded(&value).ok_or_else(|| bad_entry(shard))?;
        let (read_at, back) = self.name_of(ns).await?;
        if back.as_ref() == Some(name) {
            return Ok(Entry::Is(ns, read_at));
        }
        let of_id = self.shards.of(ns);
        let elsewhere = !Rc::ptr_eq(of_id, shard);
        let freed_by = elsewhere.then(|| of_id.committed(of_id.visible.get(), of_id.inserted.get()));
        Ok(Entry::Free(guard, freed_by))
    }

    /// The name that an id has, and the sequence it was read at.
    pub(crate) async fn name_of(&self, ns: NsId) -> Result<(SeqNo, Option<Bytes>)> {
        let key = key::engine_key(hidden(ns), NAME_KEY);
        let (view, found) = self.shards.find(hidden(ns), &key).await?;
        let name = match found {
            Some(found) => self.shards.of(ns).value_of(found, &key).await?,
            None => None,
        };
        Ok((view.seq, name))
    }
}

/// A name is given on when no power cut can give it back to the one that had it before.
async fn wait_durable(freed_by: Option<Committed>) -> Result<()> {
    match freed_by {
        Some(committed) if !planted(Plant::NameFreedEarly) => committed.durable().await,
        _ => Ok(()),
    }
}

/// The condition that an id still has the name that it had at `read_at`.
fn name_stands(ns: NsId, read_at: SeqNo) -> Condition {
    Condition { ns: hidden(ns), key: key::engine_key(hidden(ns), NAME_KEY), read_at }
}

/// The hidden rows of an id of the catalog.
fn hidden(ns: NsId) -> NsId {
    NsId::new(Class::NamedHidden, ns.id())
}

fn name_op(ns: NsId, name: &Bytes) -> Op {
    put_op(hidden(ns), NAME_KEY, name.clone())
}

/// Operations whose keys were made for one namespace, for another one. What drops all rows leaves the name.
fn moved(ops: &[Op], from: NsId, to: NsId, name: Option<&Bytes>) -> Vec<Op> {
    let (from_prefix, to_prefix) = (key::engine_key(from, &[]), key::engine_key(to, &[]));
    let mut all = Vec::with_capacity(ops.len() + 1);
    for op in ops {
        let mut op = op.clone();
        if let Some(key) = op.key.strip_prefix(from_prefix.as_slice()).filter(|_| from != to) {
            op.key = [to_prefix.as_slice(), key].concat();
        }
        let drops = op.kind == RecordKind::Drop;
        all.push(op);
        if let Some(name) = name.filter(|_| drops) {
            all.push(name_op(to, name));
        }
    }
    all
}

/// An entry's value. **Format**.
fn encoded(ns: NsId) -> Bytes {
    let mut out = Vec::new();
    ns.encode(&mut out);
    out.into()
}

fn decoded(mut value: &[u8]) -> Option<NsId> {
    NsId::take(&mut value).filter(|ns| ns.class() == Class::Named && value.is_empty())
}

/// The id of an entry that a walk found.
pub(crate) fn entry_id(shard: &Shard, value: &[u8]) -> Result<NsId> {
    decoded(value).ok_or_else(|| bad_entry(shard))
}

fn bad_entry(shard: &Shard) -> Error {
    let (path, what) = (shard.dir.clone(), "entry of the name catalog");
    Error::Corrupt { path, what, offset: 0, expected: 0, found: 0 }
}

fn check_name(name: &[u8]) -> Result<()> {
    match name.len() {
        0 => Err(Error::InvalidArgument { what: "an empty name" }),
        len if len > NAME_LEN_MAX => Err(too_large("name", len, NAME_LEN_MAX)),
        _ => Ok(()),
    }
}

/// A name in an error.
fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_page_shows_keys_as_they_are() {
        let mut dump = String::new();
        let mut line = |bytes: &[u8], what: &str| {
            let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            writeln!(dump, "{hex:<24}  {what}").unwrap();
        };
        for id in [0, 7, 300, u128::MAX] {
            line(&key::engine_key(NsId::from(id), &[]), &format!("namespace {id}"));
        }
        line(&key::engine_key(NsId::from(7u64), b"key"), "key \"key\" of namespace 7");
        let named = NsId::new(Class::Named, 5);
        line(&key::engine_key(named, &[]), &format!("namespace {named}, of a name"));
        let name = Bytes::from_static(b"us");
        line(&name_op(named, &name).key, "its name row");
        line(&put_op(CATALOG, &name, encoded(named)).key, "entry of the name \"us\", in the catalog");
        line(&encoded(named), "the entry's value");
        let page = include_str!("../../docs/format/keys.md");
        let golden = page.split("```golden keys_v1\n").nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
    }

    #[test]
    fn an_entry_leads_to_an_id_of_the_catalog_or_is_damaged() {
        for id in [1, 255, u128::MAX] {
            let named = NsId::new(Class::Named, id);
            assert_eq!(decoded(&encoded(named)), Some(named));
        }
        for value in [&[][..], &[0x41], &[0x01, 7], &[0x41, 5, 0], &[0x42, 0, 5], &[0x61, 5]] {
            assert_eq!(decoded(value), None, "{value:x?}");
        }
    }
}
