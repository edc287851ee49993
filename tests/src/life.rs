//! One life of a process: opens the database, looks at all of it, works, closes or is killed.

use crate::client::Client;
use crate::machine::{self, quiet};
use crate::oracle::{After, Contents, Oracle};
use crate::read::read_sound;
use crate::rng::Rng;
use crate::violation::{Check, Violation};
use crate::world::{World, show_error};
use jdb::Db;
use jdb_io::Disk;
use jdb_io::sim::SimDisk;
use jdb_io::task::Event;
use std::cell::Cell;
use std::rc::Rc;

/// What a life does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What happened before: what must be there.
    pub after: After,
    /// Operations of all clients together, per session.
    pub operations: u32,
    /// How often the database is opened; between sessions it is closed.
    pub sessions: u32,
}

/// Opens the database that `world` tells of.
///
/// # Errors
/// The engine's.
pub async fn open(disk: &Disk, world: &World) -> jdb::Result<Db> {
    jdb::open(world.spec.options().on_disk(disk.clone())).await
}

/// Opens, checks against the oracle, and lets the oracle start anew from what is there.
///
/// # Errors
/// A broken promise; any error of the engine.
pub async fn open_and_settle(disk: &Disk, world: &World, after: After) -> Check<Db> {
    world.trace(|| format!("open, {after:?}"));
    let db = open(disk, world).await.map_err(|e| unexpected("open", &e))?;
    let contents = read_sound(&db, &world.spec).await?;
    world.counts.borrow_mut().opened += 1;
    world.oracle.borrow().check(&contents, after).map_err(|v| v.at("after open"))?;
    let settled = world.oracle.borrow().settle(contents);
    *world.oracle.borrow_mut() = settled;
    world.after_kill.set(After::Kill);
    Ok(db)
}

/// A whole life; afterwards the database is closed and everything acknowledged is durable.
///
/// # Errors
/// A broken promise.
pub async fn live(disk: Disk, world: Rc<World>, plan: Plan, mut rng: Rng) -> Check {
    let mut after = plan.after;
    for _ in 0..plan.sessions {
        let db = open_and_settle(&disk, &world, after).await?;
        work(&db, &disk, &world, plan.operations, &mut rng).await;
        world.verdict()?;
        Client::new(&world, &disk, rng.fork()).catch_up(&db).await?;
        let contents = read_sound(&db, &world.spec).await?;
        world.oracle.borrow().check(&contents, After::Kill).map_err(|v| v.at("at rest"))?;
        close(db, &world).await?;
        after = After::Kill;
    }
    Ok(())
}

/// Lets the clients do `operations` operations and waits for all of them.
pub async fn work(db: &Db, disk: &Disk, world: &Rc<World>, operations: u32, rng: &mut Rng) {
    let left = Rc::new(Cell::new(operations));
    let running = Rc::new(Cell::new(world.spec.clients));
    let done = Rc::new(Event::new());
    for _ in 0..world.spec.clients {
        let client = Client::new(world, disk, rng.fork()).run(db.clone(), Rc::clone(&left));
        let (running, done) = (Rc::clone(&running), Rc::clone(&done));
        disk.spawn(async move {
            client.await;
            running.set(running.get() - 1);
            done.notify();
        });
    }
    while running.get() > 0 {
        done.wait().await;
    }
    let stats = db.stats();
    let mut counts = world.counts.borrow_mut();
    counts.compactions += stats.shards.iter().map(|shard| shard.compactions).sum::<u64>();
    counts.collections += stats.shards.iter().map(|shard| shard.collections).sum::<u64>();
    counts.recycled += stats.shards.iter().map(|shard| shard.segments_recycled).sum::<u64>();
    counts.packs += stats.shards.iter().map(|shard| shard.packs as u64).sum::<u64>();
}

/// Closes the database: then everything acknowledged is durable.
///
/// # Errors
/// The engine's, as a violation.
pub async fn close(db: Db, world: &World) -> Check {
    world.trace(|| "close".into());
    let marks = world.oracle.borrow().acknowledged_marks();
    db.close().await.map_err(|e| unexpected("close", &e))?;
    world.made_durable(&marks);
    world.counts.borrow_mut().closed += 1;
    Ok(())
}

/// What an image is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Open and read everything.
    Look,
    /// Then open and read everything once more.
    Reopen,
    /// Then 100 more puts, flush, close, open, look; cut the power; look.
    Live,
}

/// Opens an image of `world`'s disk and checks it.
///
/// # Errors
/// A broken promise.
pub fn check_image(image: &SimDisk, world: &World, after: After, depth: Depth, seed: u64) -> Check<Contents> {
    let looker = looker(world);
    let contents = look(image, &looker).map_err(|v| v.at("image"))?;
    world.oracle.borrow().check(&contents, after)?;
    if depth == Depth::Look {
        return Ok(contents);
    }
    let settled = world.oracle.borrow().settle(contents.clone());
    if depth == Depth::Reopen {
        let again = look_closely(image, &looker).map_err(|v| v.at("image opened again"))?;
        settled.check(&again, After::PowerCut).map_err(|v| v.at("image opened again"))?;
        return Ok(contents);
    }
    let lively = world.fork(settled);
    let main = {
        let (disk, lively) = (Disk::sim(image), Rc::clone(&lively));
        async move {
            let db = open_and_settle(&disk, &lively, After::PowerCut).await?;
            let mut client = Client::new(&lively, &disk, Rng::new(seed));
            for i in 0..100 {
                client.write(&db).await?;
                if i == 60 {
                    db.flush().await.map_err(|e| unexpected("flush", &e))?;
                }
            }
            client.catch_up(&db).await?;
            let contents = read_sound(&db, &lively.spec).await?;
            lively.oracle.borrow().check(&contents, After::Kill).map_err(|v| v.at("after 100 more puts"))?;
            verify(&db).await
        }
    };
    machine::block_on(image, &lively, main)?.map_err(|v| v.at("100 more puts"))?;
    let killed = image.kill(seed, quiet(seed));
    let contents_killed = look(&killed, &looker).map_err(|v| v.at("killed after 100 more puts"))?;
    lively
        .oracle
        .borrow()
        .check(&contents_killed, After::Kill)
        .map_err(|v| v.at("killed after 100 more puts"))?;
    let cut = image.power_cut(seed, quiet(seed));
    let contents_cut = look(&cut, &looker).map_err(|v| v.at("cut after 100 more puts"))?;
    lively
        .oracle
        .borrow()
        .check(&contents_cut, After::PowerCut)
        .map_err(|v| v.at("cut after 100 more puts"))?;
    Ok(contents)
}

/// A world for those who only look.
#[must_use]
pub fn looker(world: &World) -> Rc<World> {
    world.fork(Oracle::new(world.spec.ns.len(), usize::from(world.spec.shards)))
}

/// Opens an image, reads everything, dies.
///
/// # Errors
/// An error of the engine, or a commit that was written meanwhile.
pub fn look(image: &SimDisk, looker: &Rc<World>) -> Check<Contents> {
    look_and(image, looker, false)
}

/// As [`look`]; whole files are checked too, whatever reads of rows leave out.
fn look_closely(image: &SimDisk, looker: &Rc<World>) -> Check<Contents> {
    look_and(image, looker, true)
}

fn look_and(image: &SimDisk, looker: &Rc<World>, closely: bool) -> Check<Contents> {
    let main = {
        let (disk, world) = (Disk::sim(image), Rc::clone(looker));
        async move {
            let db = open(&disk, &world).await.map_err(|e| unexpected("open", &e))?;
            let contents = read_sound(&db, &world.spec).await?;
            if closely {
                verify(&db).await?;
            }
            Ok(contents)
        }
    };
    let before = looker.oracle.borrow().submitted_count();
    let contents = machine::block_on(image, looker, main)??;
    if looker.oracle.borrow().submitted_count() != before {
        return Err(Violation("opening and reading wrote a commit".into()));
    }
    Ok(contents)
}

/// No file is damaged, and live bytes are what the MANIFEST counts.
///
/// # Errors
/// Damage; an error of the engine.
pub async fn verify(db: &Db) -> Check {
    let report = db.verify(|_| ()).await.map_err(|e| unexpected("verify", &e))?;
    match report.damage.first() {
        None => Ok(()),
        Some(error) => Err(Violation(format!("verify found damage: {}", show_error(error)))),
    }
}

/// An error where none may be.
#[must_use]
pub fn unexpected(what: &str, error: &jdb::Error) -> Violation {
    Violation(format!("{what} failed without a fault: {}", show_error(error)))
}
