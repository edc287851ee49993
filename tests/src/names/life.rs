//! One life of a process that works with names, and what an image of its disk is asked.

use super::NamedWorld;
use super::client::Client;
use super::look::{Found, look};
use super::racer::Racer;
use crate::life::{Depth, Plan, open, unexpected, verify};
use crate::machine::{self, quiet};
use crate::oracle::After;
use crate::rng::Rng;
use crate::violation::Check;
use jdb::Db;
use jdb_io::Disk;
use jdb_io::sim::SimDisk;
use jdb_io::task::Event;
use std::cell::Cell;
use std::rc::Rc;

/// A whole life; afterwards the database is closed and everything acknowledged is durable.
///
/// # Errors
/// A broken promise.
pub async fn live(disk: Disk, named: Rc<NamedWorld>, plan: Plan, mut rng: Rng) -> Check {
    let mut after = plan.after;
    for _ in 0..plan.sessions {
        let db = open_and_settle(&disk, &named, after).await?;
        work(&db, &disk, &named, plan.operations, &mut rng).await;
        named.world.verdict()?;
        let found = look(&db, &named).await.map_err(|v| v.at("at rest"))?;
        named.model.borrow().check(&found, &named.plan.raced, After::Kill).map_err(|v| v.at("at rest"))?;
        let marks = named.model.borrow().marks();
        named.world.trace(|| "close".into());
        db.close().await.map_err(|e| unexpected("close", &e))?;
        named.model.borrow_mut().made_durable(&marks);
        named.world.counts.borrow_mut().closed += 1;
        after = After::Kill;
    }
    Ok(())
}

/// Opens, checks against the model, and lets the model start anew from what is there.
async fn open_and_settle(disk: &Disk, named: &NamedWorld, after: After) -> Check<Db> {
    named.world.trace(|| format!("open, {after:?}"));
    let db = open(disk, &named.world).await.map_err(|e| unexpected("open", &e))?;
    let found = look(&db, named).await.map_err(|v| v.at("after open"))?;
    named.world.counts.borrow_mut().opened += 1;
    let settled = named.model.borrow().settle(&found, &named.plan.raced, after);
    *named.model.borrow_mut() = settled.map_err(|v| v.at("after open"))?;
    named.world.after_kill.set(After::Kill);
    Ok(db)
}

/// Lets the clients do `operations` operations and waits for all of them.
async fn work(db: &Db, disk: &Disk, named: &Rc<NamedWorld>, operations: u32, rng: &mut Rng) {
    let left = Rc::new(Cell::new(operations));
    let running = Rc::new(Cell::new(0));
    let done = Rc::new(Event::new());
    let spawn = |client: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let (running, done) = (Rc::clone(&running), Rc::clone(&done));
        running.set(running.get() + 1);
        disk.spawn(async move {
            client.await;
            running.set(running.get() - 1);
            done.notify();
        });
    };
    for group in 0..named.plan.own.len() {
        let client = Client::new(named, disk, rng.fork(), group);
        spawn(Box::pin(client.run(db.clone(), Rc::clone(&left))));
    }
    for _ in 0..named.plan.racers {
        spawn(Box::pin(Racer::new(named, disk, rng.fork()).run(db.clone(), Rc::clone(&left))));
    }
    while running.get() > 0 {
        done.wait().await;
    }
    let stats = db.stats();
    let mut counts = named.world.counts.borrow_mut();
    counts.compactions += stats.shards.iter().map(|shard| shard.compactions).sum::<u64>();
    counts.collections += stats.shards.iter().map(|shard| shard.collections).sum::<u64>();
    counts.recycled += stats.shards.iter().map(|shard| shard.segments_recycled).sum::<u64>();
    counts.packs += stats.shards.iter().map(|shard| shard.packs as u64).sum::<u64>();
}

/// Opens an image of this world's disk and checks it.
///
/// # Errors
/// A broken promise.
pub fn check_image(image: &SimDisk, named: &NamedWorld, after: After, depth: Depth, seed: u64) -> Check {
    let raced = &named.plan.raced;
    let found = look_at(image, named, false).map_err(|v| v.at("image"))?;
    let settled = named.model.borrow().settle(&found, raced, after)?;
    if depth == Depth::Look {
        return Ok(());
    }
    let fork = named.fork(settled);
    if depth == Depth::Reopen {
        let again = look_at(image, &fork, true).map_err(|v| v.at("image opened again"))?;
        let checked = fork.model.borrow().check(&again, raced, After::PowerCut);
        return checked.map_err(|v| v.at("image opened again"));
    }
    let main = {
        let (disk, fork) = (Disk::sim(image), Rc::clone(&fork));
        async move {
            let db = open_and_settle(&disk, &fork, After::PowerCut).await?;
            work(&db, &disk, &fork, 60, &mut Rng::new(seed)).await;
            fork.world.verdict()?;
            let found = look(&db, &fork).await?;
            fork.model.borrow().check(&found, &fork.plan.raced, After::Kill)?;
            verify(&db).await
        }
    };
    machine::block_on(image, &fork.world, main)?.map_err(|v| v.at("60 more operations"))?;
    for after in [After::Kill, After::PowerCut] {
        let copy = match after {
            After::PowerCut => image.power_cut(seed, quiet(seed)),
            _ => image.kill(seed, quiet(seed)),
        };
        let checked =
            look_at(&copy, &fork, false).and_then(|found| fork.model.borrow().check(&found, raced, after));
        checked.map_err(|v| v.at(format!("{after:?} after 60 more operations")))?;
    }
    Ok(())
}

/// Opens an image, reads everything, dies. Closely: whole files are checked too.
fn look_at(image: &SimDisk, named: &NamedWorld, closely: bool) -> Check<Found> {
    let looker = named.fork(named.model.borrow().clone());
    let main = {
        let (disk, looker) = (Disk::sim(image), Rc::clone(&looker));
        async move {
            let db = open(&disk, &looker.world).await.map_err(|e| unexpected("open", &e))?;
            let found = look(&db, &looker).await?;
            if closely {
                verify(&db).await?;
            }
            Ok(found)
        }
    };
    machine::block_on(image, &looker.world, main)?
}
