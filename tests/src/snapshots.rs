//! Snapshots that a client holds while it and the others go on: each must show one moment, the same one for ever.

use crate::broken;
use crate::oracle::Ns;
use crate::violation::Check;
use crate::world::World;
use bytes::Bytes;
use jdb::{Db, Snapshot};
use std::rc::Rc;

/// A client holds no more at once.
const HELD_MAX: usize = 3;

type Rows = Vec<(Bytes, Bytes)>;

/// The snapshots of a client.
#[derive(Default, Debug)]
pub struct Snapshots(Vec<Held>);

#[derive(Debug)]
struct Held {
    ns: Ns,
    snapshot: Snapshot,
    rows: Rows,
}

impl Snapshots {
    /// Takes one of `ns` and reads it; the one held longest goes when there are many.
    ///
    /// # Errors
    /// Rows that fit no moment. An error of the engine comes inside, and nothing is held then.
    pub async fn take(&mut self, db: &Db, world: &Rc<World>, ns: Ns) -> Check<jdb::Result<()>> {
        let from = *world.oracle.borrow().visible(ns).start();
        let snapshot = db.ns(world.spec.ns[usize::from(ns)]).snapshot();
        let to = *world.oracle.borrow().visible(ns).end();
        let rows = match read(&snapshot, false).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        if !world.tolerant.get() {
            world.oracle.borrow().check_scan(ns, &(from..=to), &rows)?;
        }
        if self.0.len() == HELD_MAX {
            self.0.remove(0);
        }
        self.0.push(Held { ns, snapshot, rows });
        Ok(Ok(()))
    }

    /// Reads the `index`-th again, in one direction, and some keys of it.
    ///
    /// # Errors
    /// Anything that is not as it was. An error of the engine comes inside.
    pub async fn read_again(&self, index: usize, backward: bool) -> Check<jdb::Result<()>> {
        let Some(held) = self.0.get(index % self.0.len().max(1)) else { return Ok(Ok(())) };
        let mut rows = match read(&held.snapshot, backward).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        if backward {
            rows.reverse();
        }
        if rows != held.rows {
            broken!(
                "namespace {}: a snapshot at {} shows {} rows, and showed {}: {rows:?}, not {:?}",
                held.ns,
                held.snapshot.seq(),
                rows.len(),
                held.rows.len(),
                held.rows
            );
        }
        for (key, value) in rows.iter().step_by(3) {
            match held.snapshot.get(key).await {
                Ok(got) if got.as_ref() == Some(value) => {}
                Ok(got) => broken!("namespace {}: a snapshot's get of {key:?} gives {got:?}", held.ns),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Lets go of all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

async fn read(snapshot: &Snapshot, backward: bool) -> jdb::Result<Rows> {
    let mut scan = if backward { snapshot.iter().rev() } else { snapshot.iter() };
    let mut rows = Vec::new();
    while let Some(item) = scan.next().await? {
        rows.push((Bytes::copy_from_slice(item.key()), item.value().await?));
    }
    Ok(rows)
}
