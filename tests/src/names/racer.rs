//! One of several clients on the same names. What its names are nobody can say; but what was dropped stays dropped, and each
//! name leads to one namespace, whatever the order.

use super::NamedWorld;
use super::client::{NONE, shared};
use super::look::list;
use crate::broken;
use crate::life::unexpected;
use crate::rng::Rng;
use crate::violation::Check;
use bytes::Bytes;
use jdb::{Db, Durability, ErrorKind, Expected, Namespace};
use jdb_io::Disk;
use std::cell::Cell;
use std::rc::Rc;

/// A client of the raced names.
#[derive(Debug)]
pub struct Racer {
    named: Rc<NamedWorld>,
    disk: Disk,
    rng: Rng,
    held: Option<Namespace>,
}

impl Racer {
    /// A client that draws from `rng`.
    #[must_use]
    pub fn new(named: &Rc<NamedWorld>, disk: &Disk, rng: Rng) -> Self {
        Self { named: Rc::clone(named), disk: disk.clone(), rng, held: None }
    }

    /// Does one operation after the other while `left` lasts, which all clients share.
    pub async fn run(mut self, db: Db, left: Rc<Cell<u32>>) {
        while left.get() > 0 && !self.named.world.is_broken() {
            left.set(left.get() - 1);
            self.named.world.counts.borrow_mut().operations += 1;
            let check = self.one(&db).await.map_err(|v| v.at("racer"));
            self.named.world.note(check);
        }
    }

    async fn one(&mut self, db: &Db) -> Check {
        let named = Rc::clone(&self.named);
        let ns = match &self.held {
            Some(ns) if self.rng.one_in(3) => ns.clone(),
            _ => db.named(self.draw_name()).await.map_err(|e| unexpected("named", &e))?,
        };
        self.held = self.rng.one_in(2).then(|| ns.clone());
        let sync = self.rng.percent(named.world.spec.sync_percent);
        let ns = ns.durability(if sync { Durability::Sync } else { Durability::Os });
        let key = named.plan.keys[self.rng.index(named.plan.keys.len())].clone();
        let value = named.world.spec.value(&mut self.rng, named.world.next_version());
        let (what, done) = match self.rng.below(100) {
            0..25 => ("put", ns.put_bytes(&key, value).await.map(drop)),
            25..30 => ("delete", ns.delete(&key).await.map(drop)),
            30..37 => ("update", ns.update(&key, |_| Some(value.clone())).await.map(drop)),
            37..43 => {
                let done = ns.put_if(&key, Expected::Absent, &value).await;
                ("put_if", done.map(drop).or_else(|error| expected(error, ErrorKind::Conflict)))
            }
            43..48 => ("clear", ns.clear().await.map(drop)),
            48..67 => return self.drop_ns(db, &ns, sync).await,
            67..85 => {
                let done = db.rename(self.draw_name(), self.draw_name()).await;
                named.world.counts.borrow_mut().renames += u64::from(done.is_ok());
                let done = done.or_else(|error| expected(error, ErrorKind::NotFound));
                ("rename", done.or_else(|error| expected(error, ErrorKind::Conflict)))
            }
            85..92 => return self.list(db).await,
            _ => return shared(db, &named, &self.disk, &mut self.rng).await,
        };
        named.world.trace(|| format!("   racer: {what} {:?}, sync: {sync}: {done:?}", ns.id()));
        done.map_err(|e| unexpected(what, &e))?;
        match ns.id() {
            NONE => Ok(()),
            id => named.model.borrow_mut().saw(id),
        }
    }

    async fn drop_ns(&self, db: &Db, ns: &Namespace, sync: bool) -> Check {
        let id = ns.id();
        if id == NONE {
            return Ok(());
        }
        self.named.model.borrow_mut().saw(id)?;
        let durability = if sync { Durability::Sync } else { Durability::Os };
        db.drop_ns(id).durability(durability).await.map_err(|e| unexpected("drop", &e))?;
        self.named.world.trace(|| format!("   racer: dropped {id:?}, sync: {sync}"));
        self.named.world.counts.borrow_mut().drops += 1;
        self.named.model.borrow_mut().drop_acknowledged(id, sync);
        match db.name_of(id).await {
            Ok(None) => Ok(()),
            other => broken!("{id:?} was dropped and has the name {other:?}"),
        }
    }

    /// What was dropped before is not listed.
    async fn list(&self, db: &Db) -> Check {
        let dropped = self.named.model.borrow().dropped();
        let found = list(db).await?;
        match found.iter().find(|(_, id)| dropped.contains(id)) {
            Some(back) => broken!("{back:?} is listed and was dropped before"),
            None => Ok(()),
        }
    }

    fn draw_name(&mut self) -> Bytes {
        let names = &self.named.plan.raced;
        // One is hotter than the others.
        names[self.rng.index(names.len()).min(self.rng.index(names.len()))].clone()
    }
}

/// An error that may be.
fn expected(error: jdb::Error, kind: ErrorKind) -> jdb::Result<()> {
    if error.kind() == kind { Ok(()) } else { Err(error) }
}
