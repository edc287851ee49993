//! Namespaces that have names: a model of names and rows, crashes at every change of the disk, ids that nobody gets twice.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use jdb::{Class, Db, Durability, ErrorKind, Expected, NsId, Options, Tuning};
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::{Latency, SimConfig, SimDisk, Step};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use tests::rng::Rng;

/// Names and their rows.
type Model = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Names that are durable, at their length's limits too.
fn name(i: u64) -> Vec<u8> {
    match i {
        0 => b"a".to_vec(),
        1 => vec![0xff; 1024],
        2 => b"..\0/".to_vec(),
        i => format!("user/{i}").into_bytes(),
    }
}

const NAMES: u64 = 6;
/// Names that begin so are written without a sync: a power cut may take them.
const LOOSE: &[u8] = b"loose/";

/// What may be found after a crash.
#[derive(Clone, Default)]
struct Promise {
    /// What was acknowledged last, and what came of the operation since.
    allowed: Rc<RefCell<Vec<Model>>>,
    /// Ids that were ever given out, and how many names without a sync there were.
    ids: Rc<RefCell<BTreeSet<NsId>>>,
    loose: Rc<Cell<u64>>,
}

impl Promise {
    fn copy(&self) -> Self {
        Self {
            allowed: Rc::new(RefCell::new(self.allowed.borrow().clone())),
            ids: Rc::new(RefCell::new(self.ids.borrow().clone())),
            loose: Rc::new(Cell::new(self.loose.get())),
        }
    }
}

fn options(sim: &SimDisk, seed: u64) -> Options {
    let mut rng = Rng::new(seed);
    Options {
        shards: rng.pick(&[1, 4]),
        inline_max: rng.pick(&[0, 128]),
        flush_interval: Duration::from_secs(1000),
        tuning: Tuning {
            segment_len: Some(rng.pick(&[256, 4096])),
            memtable_len: Some(rng.pick(&[1, 16 << 10])),
            block_len: Some(64),
            newest_count: Some(2),
            level_len: Some(2000),
            drops_min: Some(1),
            life_jump: Some(100),
            ..Tuning::default()
        },
        ..Options::at("/db").on_disk(Disk::sim(sim))
    }
}

/// All names and their rows, by the listing, each by its name and by its id.
async fn read(db: &Db) -> Model {
    let mut model = Model::new();
    let mut names = db.names();
    let mut last: Option<Vec<u8>> = None;
    while let Some((name, id)) = names.next().await.unwrap() {
        assert!(last.as_deref() < Some(&name[..]), "names come in order, each once");
        let ns = db.named(&name).await.unwrap();
        assert_eq!((ns.id(), ns.name().as_ref()), (id, Some(&name)));
        assert_eq!(db.name_of(id).await.unwrap().as_ref(), Some(&name));
        let mut rows = BTreeMap::new();
        let mut scan = db.ns(id).iter();
        while let Some(item) = scan.next().await.unwrap() {
            rows.insert(item.key().to_vec(), item.value().await.unwrap().to_vec());
        }
        drop(scan);
        let stats = ns.stats().await.unwrap();
        assert_eq!((stats.rows, stats.is_exact), (rows.len() as u64, true));
        last = Some(name.to_vec());
        model.insert(name.to_vec(), rows);
    }
    for name in (0..NAMES).map(name).filter(|name| !model.contains_key(name)) {
        let nobody = db.named(&name).await.unwrap();
        assert_eq!(nobody.id(), NsId::new(Class::Named, 0), "{name:?} is not listed");
        assert_eq!(nobody.first().await.unwrap(), None);
    }
    model
}

/// Without the names that a power cut may take.
fn firm(model: &Model) -> Model {
    model.iter().filter(|(name, _)| !name.starts_with(LOOSE)).map(|(n, r)| (n.clone(), r.clone())).collect()
}

/// Opens the database and does what the seed says, all of it durable but for the loose names.
async fn live(sim: SimDisk, db_seed: u64, promise: Promise, seed: u64, ops: u32) {
    let mut rng = Rng::new(seed);
    let mut db = jdb::open(options(&sim, db_seed)).await.unwrap();
    let mut model = firm(&read(&db).await);
    promise.allowed.replace(vec![model.clone()]);
    let mut held = Vec::new();
    for step in 0..ops {
        let (key, value) = (vec![rng.below(3) as u8], vec![step as u8; rng.below(40) as usize]);
        let (one, other) = (name(rng.below(NAMES)), name(rng.below(NAMES)));
        let mut next = model.clone();
        let will = |next: &Model| promise.allowed.borrow_mut().push(next.clone());
        let ns = db.named(&one).await.unwrap().durability(Durability::Sync);
        match rng.below(12) {
            0..4 => {
                next.entry(one.clone()).or_default().insert(key.clone(), value.clone());
                will(&next);
                ns.put(&key, &value).await.unwrap();
            }
            4 => {
                if let Some(rows) = next.get_mut(&one) {
                    rows.remove(&key);
                }
                will(&next);
                ns.delete(&key).await.unwrap();
            }
            5 => {
                let is_free = !model.get(&one).is_some_and(|rows| rows.contains_key(&key));
                if is_free {
                    next.entry(one.clone()).or_default().insert(key.clone(), value.clone());
                }
                will(&next);
                match ns.put_if(&key, Expected::Absent, &value).await {
                    Ok(_) => assert!(is_free),
                    Err(error) => assert!(!is_free && error.kind() == ErrorKind::Conflict, "{error}"),
                }
            }
            6 => {
                if let Some(rows) = next.get_mut(&one) {
                    rows.clear();
                }
                will(&next);
                ns.clear().await.unwrap();
            }
            7 => {
                next.remove(&one);
                will(&next);
                db.drop_ns(ns.id()).durability(Durability::Sync).await.unwrap();
            }
            8 | 9 => {
                let done = match (model.contains_key(&one), model.contains_key(&other)) {
                    (false, _) => Err(ErrorKind::NotFound),
                    _ if one == other => Ok(()),
                    (_, true) => Err(ErrorKind::Conflict),
                    _ => {
                        let rows = next.remove(&one).unwrap();
                        next.insert(other.clone(), rows);
                        Ok(())
                    }
                };
                will(&next);
                let renamed = db.rename(&one, &other).await;
                assert_eq!(renamed.map_err(|error| error.kind()), done, "step {step}");
                // Who holds the old name holds the new one.
                if done.is_ok() && one != other {
                    assert_eq!(ns.name().as_deref(), Some(&other[..]));
                    held.push(ns.clone());
                }
            }
            10 => {
                promise.loose.set(promise.loose.get() + 1);
                let loose = [LOOSE, promise.loose.get().to_string().as_bytes()].concat();
                let ns = db.named(&loose).await.unwrap();
                ns.put(&key, &value).await.unwrap();
                assert!(promise.ids.borrow_mut().insert(ns.id()), "seed {seed}: an id is given out again");
                db.drop_ns(ns.id()).await.unwrap();
            }
            _ => match rng.below(4) {
                0 => db.flush().await.unwrap(),
                1 => db.compact().await.unwrap(),
                2 => drop(db.collect().await.unwrap()),
                _ => {
                    held.clear();
                    drop(ns);
                    db.close().await.unwrap();
                    db = jdb::open(options(&sim, db_seed)).await.unwrap();
                }
            },
        }
        promise.allowed.replace(vec![next.clone()]);
        for (name, rows) in &next {
            let ns = db.named(name).await.unwrap();
            let is_new = !model.contains_key(name) && !model.values().any(|before| before == rows);
            assert!(!is_new || promise.ids.borrow_mut().insert(ns.id()), "seed {seed}: an id is used again");
        }
        model = next;
        assert_eq!(firm(&read(&db).await), model, "seed {seed}, step {step}");
    }
    db.close().await.unwrap();
}

/// What is found on an image keeps the promise; and a new name gets an id that none ever had.
fn verify(sim: &SimDisk, db_seed: u64, promise: &Promise) -> Result<(), String> {
    let (options, promise) = (options(sim, db_seed), promise.copy());
    let found = sim.executor().block_on(async move {
        let db = jdb::open(options).await.map_err(|error| error.to_string())?;
        let found = firm(&read(&db).await);
        let fresh = db.named("fresh").await.unwrap();
        fresh.put("key", "value").await.unwrap();
        if promise.ids.borrow().contains(&fresh.id()) {
            return Err(format!("{:?} was given out before", fresh.id()));
        }
        let allowed = promise.allowed.borrow();
        match allowed.contains(&found) {
            true => Ok(()),
            false => Err(format!("found {found:?}, want one of {allowed:?}")),
        }
    });
    found.unwrap_or_else(|| Err("it never ends".to_owned()))
}

fn crash_everywhere(
    sim: &SimDisk,
    db_seed: u64,
    promise: &Promise,
    seed: u64,
    depth: u32,
) -> Result<u64, String> {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let executor = sim.executor();
    executor.spawn(live(sim.clone(), db_seed, promise.clone(), seed, 14));
    let (mut crashes, mut seen) = (0, sim.changes());
    while executor.step() == Step::Progress {
        if sim.changes() == seen {
            continue;
        }
        seen = sim.changes();
        // Before the first answer there may be no database.
        if promise.allowed.borrow().is_empty() || rng.below(8) > 0 {
            continue;
        }
        let crash_seed = rng.next();
        let config = SimConfig { seed: crash_seed, ..SimConfig::default() };
        let power = rng.below(2) == 0;
        let image = || {
            if power { sim.power_cut(crash_seed, config) } else { sim.kill(crash_seed, config) }
        };
        crashes += 1;
        let story = |why| format!("seed {seed}, depth {depth}, change {seen}, power cut {power}: {why}");
        verify(&image(), db_seed, promise).map_err(story)?;
        if depth > 0 && rng.below(40) == 0 {
            crashes +=
                crash_everywhere(&image(), db_seed, &promise.copy(), crash_seed, depth - 1).map_err(story)?;
        }
    }
    Ok(crashes)
}

fn crash_runs(seeds: std::ops::Range<u64>) -> Result<u64, String> {
    let mut crashes = 0;
    for seed in seeds {
        let sim = SimDisk::new(SimConfig { seed, ..SimConfig::default() });
        crashes += crash_everywhere(&sim, seed, &Promise::default(), seed, 1)?;
    }
    Ok(crashes)
}

#[test]
fn names_agree_with_a_model() {
    for seed in 0..30 {
        let sim = SimDisk::new(SimConfig { seed, ..SimConfig::default() });
        let run = live(sim.clone(), seed, Promise::default(), seed, 120);
        sim.executor().block_on(run).expect("nothing waits for ever");
    }
}

/// One of many that write, drop and rename at once.
async fn race(db: Db, seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..30 {
        let ns = db.named(name(rng.below(3))).await.unwrap();
        match rng.below(8) {
            0 => drop(db.drop_ns(ns.id()).await.unwrap()),
            1 => drop(db.rename(name(rng.below(3)), name(rng.below(3))).await),
            2 => drop(ns.clear().await.unwrap()),
            3 => drop(ns.update("key", |_| Some("updated".into())).await.unwrap()),
            4 => drop(ns.put_if("key", Expected::Absent, "put").await),
            5 => db.flush().await.unwrap(),
            _ => drop(ns.put([rng.below(3) as u8], "value").await.unwrap()),
        }
    }
}

#[test]
fn however_writes_drops_and_renames_fall_together_no_row_is_without_a_name() {
    for seed in 0..40 {
        let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(200), ..SimConfig::default() });
        let options = options(&sim, seed);
        let run = async move {
            let db = jdb::open(options).await.unwrap();
            futures::future::join_all((0..4).map(|i| race(db.clone(), seed << 8 | i))).await;
            let mut listed = db.namespaces();
            while let Some(id) = listed.next().await.unwrap() {
                let name = db.name_of(id).await.unwrap().expect("a namespace with a row has a name");
                assert_eq!(db.named(&name).await.unwrap().id(), id, "seed {seed}");
            }
            let by_name = read(&db).await;
            db.close().await.unwrap();
            by_name
        };
        let before = sim.executor().block_on(run).expect("nothing waits for ever");
        let options = self::options(&sim, seed);
        let again = async move { read(&jdb::open(options).await.unwrap()).await };
        assert_eq!(sim.executor().block_on(again), Some(before), "seed {seed}");
    }
}

#[test]
fn after_any_crash_a_namespace_has_one_of_its_names_and_all_its_rows() {
    let crashes = crash_runs(0..6).unwrap();
    assert!(crashes > 1000, "only {crashes} crashes");
}

#[test]
fn an_id_that_is_given_out_twice_is_found() {
    plant(&[Plant::ReuseName]);
    let found =
        (0..20).any(|seed| std::panic::catch_unwind(|| crash_runs(seed..seed + 1).is_err()).unwrap_or(true));
    plant(&[]);
    assert!(found);
}

/// A namespace whose name lies in another shard is dropped while others put into the name, with a power cut at each change.
fn give_on_while_dropped(seed: u64) -> Result<u64, String> {
    let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(200), ..SimConfig::default() });
    let open = |sim: &SimDisk| {
        let options = options(sim, seed);
        // Look-ups wait for nothing, so that the new namespace is written while the drop is being synced.
        let tuning = Tuning { memtable_len: Some(16 << 10), ..options.tuning };
        let options = Options { shards: 8, inline_max: 128, tuning, ..options };
        async move { jdb::open(options).await.unwrap() }
    };
    let (opening, executor) = (open(&sim), sim.executor());
    let going = Rc::new(Cell::new(false));
    let goes = Rc::clone(&going);
    executor.spawn(async move {
        let db = opening.await;
        // The shard of the second name has given out a number, so that the next one takes no sync.
        let before = db.named("two").await.unwrap();
        before.put("key", "older").await.unwrap();
        db.drop_ns(before.id()).await.unwrap();
        let ns = db.named("one").await.unwrap();
        ns.put("key", "old").await.unwrap();
        db.rename("one", "two").await.unwrap();
        goes.set(true);
        let put = futures::future::join_all((0..3).map(async |_| ns.put("key", "new").await.unwrap()));
        let dropped = async { db.drop_ns(ns.id()).await.unwrap() };
        futures::future::join(dropped, put).await;
    });
    let (mut cuts, mut seen) = (0, sim.changes());
    while executor.step() == Step::Progress {
        if sim.changes() == seen || !going.get() {
            continue;
        }
        seen = sim.changes();
        for damage in 0..4 {
            cuts += 1;
            let damage = seed << 32 | seen << 8 | damage;
            let image = sim.power_cut(damage, SimConfig { seed: damage, ..SimConfig::default() });
            let opening = open(&image);
            let lost = image.executor().block_on(async move {
                let db = opening.await;
                let mut listed = db.namespaces();
                while let Some(id) = listed.next().await.unwrap() {
                    if db.named("two").await.unwrap().id() != id {
                        return Some(id);
                    }
                }
                None
            });
            if let Some(id) = lost.expect("it ends") {
                return Err(format!("seed {seed}, change {seen}: nothing leads to {id:?}"));
            }
        }
    }
    Ok(cuts)
}

#[test]
fn a_name_is_given_on_only_when_no_power_cut_brings_back_who_had_it() {
    let cuts: u64 = (0..12).map(|seed| give_on_while_dropped(seed).unwrap()).sum();
    assert!(cuts > 300, "only {cuts} cuts");
    for rule in [Plant::NameFreedEarly, Plant::EntryRemovedEarly] {
        plant(&[rule]);
        let found = (0..12).any(|seed| give_on_while_dropped(seed).is_err());
        plant(&[]);
        assert!(found, "{rule:?}");
    }
}
