//! One client with its group of names: it alone changes them, so that each answer is known before.

use super::NamedWorld;
use super::look::list;
use super::model::{Place, State};
use crate::broken;
use crate::life::unexpected;
use crate::oracle::{show, show_value};
use crate::rng::Rng;
use crate::violation::Check;
use bytes::Bytes;
use jdb::{Commit, Db, Durability, ErrorKind, Expected, Namespace};
use jdb_base::{Class, NsId};
use jdb_io::Disk;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Handles that a client keeps over renames and drops.
const HELD_MAX: usize = 3;

/// A client of one group.
#[derive(Debug)]
pub struct Client {
    named: Rc<NamedWorld>,
    disk: Disk,
    rng: Rng,
    group: usize,
    /// Handles, and the names that they must have.
    held: Vec<(Namespace, Bytes)>,
}

/// One change of a row; `None` deletes it.
type Change = (Bytes, Option<Bytes>);

impl Client {
    /// The client of a group.
    #[must_use]
    pub fn new(named: &Rc<NamedWorld>, disk: &Disk, rng: Rng, group: usize) -> Self {
        Self { named: Rc::clone(named), disk: disk.clone(), rng, group, held: Vec::new() }
    }

    /// Does one operation after the other while `left` lasts, which all clients share.
    pub async fn run(mut self, db: Db, left: Rc<Cell<u32>>) {
        while left.get() > 0 && !self.named.world.is_broken() {
            left.set(left.get() - 1);
            self.named.world.counts.borrow_mut().operations += 1;
            let check = self.one(&db).await.map_err(|v| v.at(format!("group {}", self.group)));
            self.named.world.note(check);
        }
    }

    async fn one(&mut self, db: &Db) -> Check {
        match self.rng.below(100) {
            0..30 => self.write(db).await,
            30..35 => self.change_one(db).await,
            35..41 => self.clear(db).await,
            41..53 => self.drop_named(db).await,
            53..72 => self.rename(db).await,
            72..77 => self.write_plain(db).await,
            77..84 => self.get(db).await,
            84..90 => self.list(db).await,
            _ => shared(db, &self.named, &self.disk, &mut self.rng).await,
        }
    }

    /// A handle of some name of the group: a new one, or one that was held over what happened since.
    async fn handle(&mut self, db: &Db) -> Check<(Namespace, Bytes)> {
        if !self.held.is_empty() && self.rng.one_in(3) {
            let (ns, name) = self.held[self.rng.index(self.held.len())].clone();
            if ns.name().as_ref() != Some(&name) {
                broken!("a handle has the name {:?}, want {}", ns.name(), show(&name));
            }
            return Ok((ns, name));
        }
        let name = self.draw_name();
        let ns = db.named(&name).await.map_err(|e| unexpected("named", &e))?;
        let id = self.place(&name).map_or(Some(NONE), |place| self.named.model.borrow().id(place));
        if Some(ns.id()) != id {
            broken!("name {} leads to {:?}, want {id:?}", show(&name), ns.id());
        }
        if self.rng.one_in(3) {
            self.held.truncate(HELD_MAX - 1);
            self.held.insert(0, (ns.clone(), name.clone()));
        }
        Ok((ns, name))
    }

    /// Puts and deletes, alone or in a batch; a put makes the namespace if there is none.
    async fn write(&mut self, db: &Db) -> Check {
        let (ns, name) = self.handle(db).await?;
        let changes = self.draw_changes();
        let (durability, sync) = self.draw_durability();
        let place = self.will(&name, &changes);
        let commit = submit(&ns, &changes, durability).await;
        let commit = commit.map_err(|e| unexpected("a write", &e))?;
        self.answered(place, sync, Some(&ns))?;
        self.durable_later(place, &commit, sync).await
    }

    /// A row is read and changed in one.
    async fn change_one(&mut self, db: &Db) -> Check {
        let (ns, name) = self.handle(db).await?;
        let (durability, sync) = self.draw_durability();
        let ns = ns.durability(durability);
        let key = self.draw_key();
        let value = self.draw_value();
        if self.rng.one_in(2) {
            let old = self.value(&name, &key);
            let place = self.will(&name, &[(key.clone(), Some(value.clone()))]);
            let mut seen = None;
            let change = |found: Option<Bytes>| {
                seen = Some(found);
                Some(value.clone())
            };
            ns.update(&key, change).await.map_err(|e| unexpected("update", &e))?;
            if seen.as_ref() != Some(&old) {
                broken!("update of {} in {} found {seen:?}, want {old:?}", show(&key), show(&name));
            }
            return self.answered(place, sync, Some(&ns));
        }
        if self.value(&name, &key).is_some() {
            return match ns.put_if(&key, Expected::Absent, &value).await {
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
                other => broken!("put_if of {} in {}, which is there: {other:?}", show(&key), show(&name)),
            };
        }
        let place = self.will(&name, &[(key.clone(), Some(value.clone()))]);
        let done = ns.put_if(&key, Expected::Absent, &value).await;
        done.map_err(|e| unexpected("put_if", &e))?;
        self.answered(place, sync, Some(&ns))
    }

    /// All rows go, the name stays.
    async fn clear(&mut self, db: &Db) -> Check {
        let (ns, name) = self.handle(db).await?;
        let (durability, sync) = self.draw_durability();
        let place = self.place(&name);
        if let Some(place) = place {
            self.trace(|| format!("clear {}", show(&name)));
            let state = State { name: Some(name), ..State::default() };
            self.named.model.borrow_mut().begin(place, state);
        }
        ns.clear().durability(durability).await.map_err(|e| unexpected("clear", &e))?;
        self.answered(place, sync, None)
    }

    /// The namespace goes with its name.
    async fn drop_named(&mut self, db: &Db) -> Check {
        let (ns, name) = self.handle(db).await?;
        let (durability, sync) = self.draw_durability();
        let place = self.place(&name);
        if let Some(place) = place {
            self.trace(|| format!("drop {} {:?}, sync: {sync}", show(&name), ns.id()));
            self.named.world.counts.borrow_mut().drops += 1;
            self.named.model.borrow_mut().begin(place, State::default());
        }
        let id = place.map_or(NONE, |_| ns.id());
        let commit = db.drop_ns(id).durability(durability).await.map_err(|e| unexpected("drop", &e))?;
        self.answered(place, sync, None)?;
        self.durable_later(place, &commit, sync).await?;
        match db.name_of(id).await {
            Ok(None) => Ok(()),
            other => broken!("{id:?} was dropped and has the name {other:?}"),
        }
    }

    /// To a free name, to a taken one, to its own.
    async fn rename(&mut self, db: &Db) -> Check {
        let (old, new) = (self.draw_name(), self.draw_name());
        let (place, taken) = (self.place(&old), self.place(&new));
        let want = match (place, taken) {
            (None, _) => Err(ErrorKind::NotFound),
            _ if old == new => Ok(()),
            (_, Some(_)) => Err(ErrorKind::Conflict),
            _ => Ok(()),
        };
        let moves = place.filter(|_| want.is_ok() && old != new);
        if let Some(place) = moves {
            self.trace(|| format!("rename {} to {}", show(&old), show(&new)));
            let mut model = self.named.model.borrow_mut();
            let state = State { name: Some(new.clone()), ..model.state(place).clone() };
            model.begin(place, state);
        }
        let done = db.rename(&old, &new).await;
        let done = done.map_err(|error| error.kind());
        if done != want {
            broken!("rename {} to {}: {done:?}, want {want:?}", show(&old), show(&new));
        }
        {
            let mut counts = self.named.world.counts.borrow_mut();
            counts.renames += u64::from(moves.is_some());
            counts.renames_refused += u64::from(want.is_err());
        }
        if moves.is_some() {
            for (_, name) in self.held.iter_mut().filter(|(_, name)| *name == old) {
                *name = new.clone();
            }
        }
        self.answered(moves, true, None)
    }

    /// The group's namespace without a name.
    async fn write_plain(&mut self, db: &Db) -> Check {
        let (durability, sync) = self.draw_durability();
        let place = self.group;
        let id = self.named.plan.own[place].1;
        if self.rng.one_in(6) {
            self.trace(|| format!("drop {id:?}"));
            self.named.model.borrow_mut().begin(place, State::default());
            let commit = db.drop_ns(id).durability(durability).await;
            commit.map_err(|e| unexpected("drop", &e))?;
        } else {
            let changes = self.draw_changes();
            self.change(place, &changes);
            let commit = submit(&db.ns(id), &changes, durability).await;
            commit.map_err(|e| unexpected("a write", &e))?;
        }
        self.answered(Some(place), sync, None)
    }

    async fn get(&mut self, db: &Db) -> Check {
        let (ns, name) = self.handle(db).await?;
        let key = self.draw_key();
        let want = self.value(&name, &key);
        let got = ns.get(&key).await.map_err(|e| unexpected("get", &e))?;
        self.named.world.counts.borrow_mut().reads += 1;
        if got != want {
            let (got, want) = (show_value(got.as_ref()), show_value(want.as_ref()));
            broken!("{} in {} is {got}, want {want}", show(&key), show(&name));
        }
        Ok(())
    }

    /// The listing, and the way back from each id.
    async fn list(&mut self, db: &Db) -> Check {
        let found = list(db).await?;
        self.named.world.counts.borrow_mut().reads += 1;
        for name in &self.named.plan.own[self.group].0 {
            let place = self.place(name);
            let want = place.and_then(|place| self.named.model.borrow().id(place));
            let got = found.iter().find(|(listed, _)| listed == name).map(|(_, id)| *id);
            if got != want {
                broken!("the listing has {} for {got:?}, want {want:?}", show(name));
            }
            if let Some(id) = want {
                let back = db.name_of(id).await.map_err(|e| unexpected("name_of", &e))?;
                if back.as_ref() != Some(name) {
                    broken!("{id:?} is named {back:?}, want {}", show(name));
                }
            }
        }
        Ok(())
    }

    /// What is about to happen to the namespace of a name, which is made if something is put; `None`: nothing.
    fn will(&mut self, name: &Bytes, changes: &[Change]) -> Option<Place> {
        if let Some(place) = self.place(name) {
            self.change(place, changes);
            return Some(place);
        }
        if changes.iter().all(|(_, value)| value.is_none()) {
            return None;
        }
        let mut state = State { name: Some(name.clone()), ..State::default() };
        apply(&mut state, changes);
        self.trace(|| format!("make {state}"));
        let (place, again) = self.named.model.borrow_mut().create(state);
        let mut counts = self.named.world.counts.borrow_mut();
        *(if again { &mut counts.creations_again } else { &mut counts.creations }) += 1;
        Some(place)
    }

    fn change(&self, place: Place, changes: &[Change]) {
        let mut model = self.named.model.borrow_mut();
        let mut state = model.state(place).clone();
        apply(&mut state, changes);
        self.trace(|| format!("write {state}"));
        model.begin(place, state);
    }

    /// `ns`: the handle that was written through, which has an id now.
    fn answered(&self, place: Option<Place>, sync: bool, ns: Option<&Namespace>) -> Check {
        let mut counts = self.named.world.counts.borrow_mut();
        *(if sync { &mut counts.acknowledged_sync } else { &mut counts.acknowledged_os }) += 1;
        let Some(place) = place else { return Ok(()) };
        self.trace(|| format!("ok, sync: {sync}"));
        let mut model = self.named.model.borrow_mut();
        model.acknowledged(place, sync);
        ns.map_or(Ok(()), |ns| model.tell(place, ns.id()))
    }

    async fn durable_later(&mut self, place: Option<Place>, commit: &Commit, sync: bool) -> Check {
        if let Some(place) = place.filter(|_| !sync && self.rng.percent(8)) {
            commit.durable().await.map_err(|e| unexpected("durable", &e))?;
            self.named.model.borrow_mut().acknowledged(place, true);
        }
        Ok(())
    }

    fn place(&self, name: &Bytes) -> Option<Place> {
        self.named.model.borrow().named(name)
    }

    fn value(&self, name: &Bytes, key: &Bytes) -> Option<Bytes> {
        self.place(name).and_then(|place| self.named.model.borrow().state(place).rows.get(key).cloned())
    }

    fn trace(&self, text: impl FnOnce() -> String) {
        self.named.world.trace(|| format!("   group {}: {}", self.group, text()));
    }

    fn draw_name(&mut self) -> Bytes {
        let names = &self.named.plan.own[self.group].0;
        names[self.rng.index(names.len())].clone()
    }

    fn draw_key(&mut self) -> Bytes {
        let keys = &self.named.plan.keys;
        keys[self.rng.index(keys.len())].clone()
    }

    fn draw_value(&mut self) -> Bytes {
        let world = &self.named.world;
        world.spec.value(&mut self.rng, world.next_version())
    }

    fn draw_changes(&mut self) -> Vec<Change> {
        let count = if self.rng.percent(20) { self.rng.within(2..6) } else { 1 };
        (0..count)
            .map(|_| {
                let key = self.draw_key();
                (key, if self.rng.percent(14) { None } else { Some(self.draw_value()) })
            })
            .collect()
    }

    fn draw_durability(&mut self) -> (Durability, bool) {
        let sync = self.rng.percent(self.named.world.spec.sync_percent);
        (if sync { Durability::Sync } else { Durability::Os }, sync)
    }
}

/// The id of a name that has none.
pub(super) const NONE: NsId = NsId::new(Class::Named, 0);

/// What concerns the whole database.
///
/// # Errors
/// An error of the engine.
pub(super) async fn shared(db: &Db, named: &NamedWorld, disk: &Disk, rng: &mut Rng) -> Check {
    match rng.below(10) {
        0..5 => {
            let marks = named.model.borrow().marks();
            let syncs = rng.one_in(2);
            let done = if syncs { db.sync().await } else { db.flush().await };
            done.map_err(|e| unexpected("sync or flush", &e))?;
            named.world.trace(|| format!("   synced {marks:?}"));
            named.model.borrow_mut().made_durable(&marks);
        }
        5 => db.compact().await.map_err(|e| unexpected("compact", &e))?,
        6 => drop(db.collect().await.map_err(|e| unexpected("collect", &e))?),
        _ => disk.sleep(Duration::from_millis(rng.pick(&named.world.spec.naps_ms))).await,
    }
    Ok(())
}

fn apply(state: &mut State, changes: &[Change]) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(state.rows.insert(key.clone(), value.clone())),
            None => drop(state.rows.remove(key)),
        }
    }
}

async fn submit(ns: &Namespace, changes: &[Change], durability: Durability) -> jdb::Result<Commit> {
    match changes {
        [(key, Some(value))] => ns.put_bytes(key, value.clone()).durability(durability).await,
        [(key, None)] => ns.delete(key).durability(durability).await,
        _ => {
            let mut batch = ns.batch();
            batch.durability(durability);
            for (key, value) in changes {
                match value {
                    Some(value) => drop(batch.put_bytes(key, value.clone())),
                    None => drop(batch.delete(key)),
                }
            }
            batch.commit().await
        }
    }
}
