//! Verifying, backing up and salvaging whole databases: sound ones, used ones, damaged ones.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use futures::StreamExt;
use jdb::{Db, ErrorKind, NsId, Options, Recovery, RuntimeConfig, Tuning};
use jdb_io::Disk;
use jdb_io::sim::{Latency, SimConfig, SimDisk};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tests::rng::Rng;

/// The rows of all namespaces.
type Rows = BTreeMap<(NsId, Vec<u8>), Vec<u8>>;

fn on_real<T>(work: impl Future<Output = T>) -> T {
    jdb::runtime(&RuntimeConfig::default()).unwrap().block_on(work)
}

fn small(path: &Path) -> Options {
    Options {
        shards: 2,
        inline_max: 16,
        sync_interval: Duration::from_secs(3600),
        flush_interval: Duration::from_secs(3600),
        // What packs do is in `collects`.
        max_garbage: 0.95,
        tuning: Tuning {
            segment_len: Some(4096),
            block_len: Some(256),
            table_len: Some(4096),
            newest_count: Some(2),
            level_len: Some(16 << 10),
            ..Tuning::default()
        },
        ..Options::at(path)
    }
}

/// Puts, deletes, drops, flushes and merges; gives what is there then. The last rows are in the log alone.
async fn use_it(db: &Db, seed: u64) -> Rows {
    let mut rng = Rng::new(seed);
    let mut rows = Rows::new();
    for step in 0..700u32 {
        let ns = NsId::from(rng.below(5));
        let key = format!("key {:03}", rng.below(150)).into_bytes();
        match rng.below(100) {
            0..75 => {
                let value = vec![step as u8; rng.index(200)];
                db.ns(ns).put(&key, &value).await.unwrap();
                rows.insert((ns, key), value);
            }
            75..90 => {
                db.ns(ns).delete(&key).await.unwrap();
                rows.remove(&(ns, key));
            }
            90 => {
                db.drop_ns(ns).await.unwrap();
                rows.retain(|(of, _), _| *of != ns);
            }
            91..96 if step < 600 => db.flush().await.unwrap(),
            96 if step < 600 => db.compact().await.unwrap(),
            _ => {}
        }
    }
    rows
}

async fn read_all(db: &Db) -> Rows {
    let mut rows = Rows::new();
    let mut namespaces = db.namespaces();
    while let Some(ns) = namespaces.next().await.unwrap() {
        let mut scan = db.ns(ns).iter();
        while let Some(item) = scan.next().await.unwrap() {
            rows.insert((ns, item.key().to_vec()), item.value().await.unwrap().to_vec());
        }
    }
    rows
}

/// A closed database, and what it holds.
struct Fixture {
    dir: TempDir,
    path: PathBuf,
    rows: Rows,
}

impl Fixture {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let rows = on_real(async {
            let db = jdb::open(small(&path)).await.unwrap();
            let rows = use_it(&db, seed).await;
            db.close().await.unwrap();
            rows
        });
        Self { dir, path, rows }
    }

    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for shard in ["shard-000", "shard-001"] {
            let entries = fs::read_dir(self.path.join(shard)).unwrap().map(|entry| entry.unwrap().path());
            found.extend(entries.filter(|path| path.to_str().unwrap().ends_with(suffix)));
        }
        found.sort();
        found
    }

    /// What a salvage finds, and the rows it saves.
    fn salvage(&self) -> (jdb::SalvageReport, Rows) {
        let to = self.dir.path().join(format!("saved {}", self.dir.path().read_dir().unwrap().count()));
        on_real(async {
            let options =
                Options { read_only: true, create: false, recovery: Recovery::Salvage, ..small(&self.path) };
            let db = jdb::open(options).await.unwrap();
            let report = db.salvage(&to, |_| ()).await.unwrap();
            db.close().await.unwrap();
            let saved = jdb::open(&to).await.unwrap();
            let rows = read_all(&saved).await;
            saved.close().await.unwrap();
            assert_eq!(report.rows, rows.len() as u64);
            (report, rows)
        })
    }
}

/// Every row saved is one that was written; those that differ or should be gone are counted, and so are the missing ones.
fn compare(saved: &Rows, wanted: &Rows) -> (usize, usize) {
    let wrong = saved.iter().filter(|(key, value)| wanted.get(key) != Some(value)).count();
    let missing = wanted.keys().filter(|key| !saved.contains_key(key)).count();
    (wrong, missing)
}

#[test]
fn sound_database_verifies_and_the_report_counts_it() {
    for seed in 0..4 {
        let fixture = Fixture::new(seed);
        on_real(async {
            let db = jdb::open(small(&fixture.path)).await.unwrap();
            let told = Cell::new((0, 0));
            let report = db
                .verify(|progress| {
                    let (done, _) = told.get();
                    assert!(done <= progress.done && progress.done <= progress.total);
                    told.set((progress.done, progress.total));
                })
                .await
                .unwrap();
            assert_eq!(
                report.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
                [""; 0],
                "seed {seed}"
            );
            assert_eq!(report.damage_count, 0);
            // At least one table a shard: how many depends on how far the background has come.
            assert!(report.tables >= 2 && report.entries > 100 && report.values > 50, "{report:?}");
            assert!(report.segments > 5 && report.records > report.values, "{report:?}");
            let (done, total) = told.get();
            assert_eq!((done, total), (report.len, report.len));
            db.close().await.unwrap();
        });
    }
}

#[test]
fn verify_finds_a_flipped_bit_in_any_file_and_names_it() {
    let fixture = Fixture::new(7);
    let mut found = BTreeMap::new();
    for suffix in [".sst", ".log"] {
        for file in fixture.files(suffix) {
            let whole = fs::read(&file).unwrap();
            for at in (0..whole.len()).step_by(whole.len() / 9 + 1) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&file, &bytes).unwrap();
                let case = format!("{}, byte {at}", file.display());
                on_real(async {
                    // The log that is replayed is checked when the database is opened.
                    let Ok(db) = jdb::open(small(&fixture.path)).await else { return };
                    let report = db.verify(|_| ()).await.unwrap();
                    drop(db);
                    let (hits, all) = found.entry(suffix).or_insert((0, 0));
                    *all += 1;
                    if report.damage_count > 0 {
                        *hits += 1;
                        let named = report.damage.iter().any(|error| error.path() == Some(&file));
                        assert!(named, "{case}: {:?}", report.damage);
                    } else {
                        // A bad footer is no damage, and not told by name.
                        *hits += report.footers_bad;
                    }
                });
                fs::write(&file, &whole).unwrap();
            }
        }
    }
    // Padding, and pages that nothing refers to, are outside every checksum.
    for (suffix, (hits, all)) in found {
        assert!(all > 10 && hits * 10 >= all * 8, "{suffix}: {hits} of {all}");
    }
}

#[test]
fn verify_counts_live_bytes_anew() {
    // Whatever was flushed, merged, deleted and dropped, the MANIFEST's sums are those of the tables.
    for seed in 10..20 {
        let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(200), ..SimConfig::default() });
        let disk = Disk::sim(&sim);
        let run = async move {
            let db = jdb::open(small(Path::new("/db")).on_disk(disk)).await.unwrap();
            use_it(&db, seed).await;
            let report = db.verify(|_| ()).await.unwrap();
            assert_eq!(report.damage_count, 0, "seed {seed}: {:?}", report.damage);
            db.close().await.unwrap();
        };
        sim.executor().block_on(run).unwrap();
    }
}

#[test]
fn backup_of_a_database_in_use_opens_with_what_was_there_and_both_go_on() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("db"), dir.path().join("sub/backup"));
        on_real(async {
            let db = jdb::open(small(&path)).await.unwrap();
            let before = use_it(&db, seed).await;
            let report = db.backup_to(&to).await.unwrap();
            assert!(report.linked > 5, "{report:?}");
            let mut after = before.clone();
            let later = use_it(&db, seed + 100).await;
            db.compact().await.unwrap();

            let backup = jdb::open(small(&to)).await.unwrap();
            assert_eq!(read_all(&backup).await, before, "seed {seed}");
            assert_eq!(backup.verify(|_| ()).await.unwrap().damage_count, 0, "seed {seed}");
            for i in 0..50u32 {
                let (ns, key) = (NsId::from(9u64), format!("new {i}").into_bytes());
                backup.ns(ns).put(&key, [1; 90]).await.unwrap();
                after.insert((ns, key), vec![1; 90]);
            }
            backup.compact().await.unwrap();
            backup.close().await.unwrap();
            let backup = jdb::open(small(&to)).await.unwrap();
            assert_eq!(read_all(&backup).await, after, "seed {seed}, written to");
            backup.close().await.unwrap();

            // The first one holds what it held, overlaid by what was done later.
            let report = db.verify(|_| ()).await.unwrap();
            assert_eq!(report.damage_count, 0, "seed {seed}: {:?}", report.damage);
            let now = read_all(&db).await;
            assert!(later.iter().all(|(key, value)| now.get(key) == Some(value)), "seed {seed}");
            assert!(now.keys().all(|(ns, _)| *ns != NsId::from(9u64)), "the backup's rows");
            db.close().await.unwrap();
            let db = jdb::open(small(&path)).await.unwrap();
            assert_eq!(read_all(&db).await, now, "seed {seed}, reopened");
            db.close().await.unwrap();
        });
    }
}

#[test]
fn backup_that_copies_holds_the_same() {
    for seed in 0..6 {
        let sim = SimDisk::new(SimConfig { seed, latency: Latency::up_to(200), ..SimConfig::default() });
        let disk = Disk::sim(&sim);
        let run = async move {
            let db = jdb::open(small(Path::new("/db")).on_disk(disk.clone())).await.unwrap();
            let before = use_it(&db, seed).await;
            let (report, _) = futures::join!(db.backup_to("/backup"), async {
                for i in 0..200u32 {
                    db.ns(77u64).put(format!("{i}"), [1; 100]).await.unwrap();
                }
            });
            let report = report.unwrap();
            assert_eq!((report.linked, report.copied_len), (0, report.len));
            db.close().await.unwrap();
            let backup = jdb::open(small(Path::new("/backup")).on_disk(disk.clone())).await.unwrap();
            let mut rows = read_all(&backup).await;
            // Of what was put meanwhile a beginning.
            let new: Vec<_> = rows.keys().filter(|(ns, _)| *ns == NsId::from(77u64)).cloned().collect();
            for i in 0..new.len() {
                let key = (NsId::from(77u64), format!("{i}").into_bytes());
                assert!(rows.remove(&key).is_some(), "seed {seed}: row {i} of {}", new.len());
            }
            assert_eq!(rows, before, "seed {seed}");
            backup.close().await.unwrap();
        };
        sim.executor().block_on(run).unwrap();
    }
}

#[test]
fn backup_into_a_directory_with_something_in_it_is_refused_and_an_unfinished_one_is_no_database() {
    let fixture = Fixture::new(1);
    let to = fixture.dir.path().join("to");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("INCOMPLETE"), "").unwrap();
    on_real(async {
        let db = jdb::open(small(&fixture.path)).await.unwrap();
        let error = db.backup_to(&to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(db.backup_to(&fixture.path).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        db.close().await.unwrap();
        let error = jdb::open(&to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADatabase, "{error}");
    });
    assert_eq!(to.read_dir().unwrap().count(), 1);
}

#[test]
fn backup_cut_by_a_power_loss_is_whole_or_no_database_and_the_source_is_unharmed() {
    let mut whole = 0;
    for seed in 0..60u64 {
        let sim = SimDisk::new(SimConfig { seed: 5, ..SimConfig::default() });
        let disk = Disk::sim(&sim);
        let run = async move {
            let db = jdb::open(small(Path::new("/db")).on_disk(disk.clone())).await.unwrap();
            let rows = use_it(&db, 5).await;
            db.sync().await.unwrap();
            let mut backup = std::pin::pin!(db.backup_to("/backup"));
            // The power fails after so many polls.
            for _ in 0..seed * 25 {
                if futures::poll!(backup.as_mut()).is_ready() {
                    return (rows, true);
                }
                disk.sleep(Duration::from_micros(10)).await;
            }
            (rows, false)
        };
        let (rows, finished) = sim.executor().block_on(run).unwrap();
        let cut = sim.power_cut(seed, SimConfig { seed, ..SimConfig::default() });
        let again = Disk::sim(&cut);
        let check = async move {
            let source = jdb::open(small(Path::new("/db")).on_disk(again.clone())).await.unwrap();
            assert_eq!(read_all(&source).await, rows, "seed {seed}");
            source.close().await.unwrap();
            let options = Options { create: false, ..small(Path::new("/backup")).on_disk(again) };
            match jdb::open(options).await {
                Ok(backup) => {
                    assert_eq!(read_all(&backup).await, rows, "seed {seed}");
                    backup.close().await.unwrap();
                    1
                }
                Err(error) => {
                    assert!(!finished, "seed {seed}: {error}");
                    let kind = error.kind();
                    assert!(
                        matches!(kind, ErrorKind::NotADatabase | ErrorKind::NotFound),
                        "seed {seed}: {error}"
                    );
                    0
                }
            }
        };
        whole += cut.executor().block_on(check).unwrap();
    }
    assert!((1..59).contains(&whole), "{whole} backups were whole");
}

#[test]
fn salvage_of_a_sound_database_is_a_copy() {
    let fixture = Fixture::new(3);
    let (report, rows) = fixture.salvage();
    assert_eq!((report.damage_count, report.lost_values), (0, 0), "{:?}", report.damage);
    assert_eq!(rows, fixture.rows);
}

#[test]
fn salvage_saves_all_but_what_a_damaged_place_held() {
    let fixture = Fixture::new(3);
    let (mut cases, mut lost) = (0, 0);
    for suffix in [".sst", ".log"] {
        for file in fixture.files(suffix) {
            let whole = fs::read(&file).unwrap();
            for at in (0..whole.len()).step_by(whole.len() / 3 + 1) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&file, &bytes).unwrap();
                let case = format!("{}, byte {at}", file.display());
                let (report, saved) = fixture.salvage();
                let (wrong, missing) = compare(&saved, &fixture.rows);
                assert!(
                    wrong + missing == 0 || report.damage_count > 0,
                    "{case}: {wrong} wrong, {missing} missing"
                );
                assert!(wrong + missing < fixture.rows.len() / 2, "{case}: {wrong} wrong, {missing} missing");
                cases += 1;
                lost += wrong + missing;
                fs::write(&file, &whole).unwrap();
            }
        }
    }
    assert!(cases > 20 && lost > 0 && lost / cases < 40, "{lost} rows in {cases} cases");
}

#[test]
fn salvage_without_a_table_or_a_segment_saves_the_rest() {
    let fixture = Fixture::new(4);
    for suffix in [".sst", ".log"] {
        for file in fixture.files(suffix) {
            let whole = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            let (report, saved) = fixture.salvage();
            let (wrong, missing) = compare(&saved, &fixture.rows);
            let case = format!("{}: {wrong} wrong, {missing} missing", file.display());
            assert!(wrong + missing == 0 || report.damage_count > 0, "{case}");
            // The other shard, at least.
            assert!(saved.len() > fixture.rows.len() / 4, "{case}");
            fs::write(&file, &whole).unwrap();
        }
    }
}

#[test]
fn salvage_without_a_manifest_puts_the_shard_together_from_its_files() {
    for seed in 5..10 {
        let fixture = Fixture::new(seed);
        for shard in ["shard-000", "shard-001"] {
            fs::write(fixture.path.join(shard).join("MANIFEST"), "no").unwrap();
        }
        let (report, saved) = fixture.salvage();
        assert!(report.damage_count >= 2, "{:?}", report.damage);
        let (wrong, missing) = compare(&saved, &fixture.rows);
        // Drops that only the MANIFESTs knew are lost: rows that they took may be back. None is missing, none older than the newest.
        assert_eq!(missing, 0, "seed {seed}: {:?}", report.damage);
        let differs =
            saved.iter().filter(|(key, value)| fixture.rows.get(key).is_some_and(|row| row != *value));
        assert_eq!(differs.count(), 0, "seed {seed}");
        assert!(wrong < 200, "seed {seed}: {wrong} rows are back");
    }
}

#[test]
fn names_are_copied_and_saved_with_their_rows() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (backup, saved) = on_real(async {
        let db = jdb::open(small(&path("db"))).await.unwrap();
        for i in 0..40u8 {
            let ns = db.named(format!("name {i}")).await.unwrap();
            for row in 0..i % 3 + 1 {
                ns.put([row], [i; 40]).await.unwrap();
            }
        }
        db.rename("name 3", "another").await.unwrap();
        let gone = db.named("name 4").await.unwrap().id();
        db.drop_ns(gone).await.unwrap();
        db.flush().await.unwrap();
        db.backup_to(path("backup")).await.unwrap();
        db.close().await.unwrap();
        let db = jdb::open(Options { read_only: true, ..small(&path("db")) }).await.unwrap();
        let report = db.salvage(small(&path("saved")), |_| ()).await.unwrap();
        assert_eq!(report.damage_count, 0);
        db.close().await.unwrap();
        (read_names(&path("backup")).await, read_names(&path("saved")).await)
    });
    assert_eq!(backup.len(), 39);
    assert_eq!(backup[&b"another"[..]], [([0].to_vec(), [3; 40].to_vec())]);
    assert_eq!(saved, backup);
}

async fn read_names(path: &Path) -> BTreeMap<Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>> {
    let db = jdb::open(small(path)).await.unwrap();
    let (mut names, mut found) = (db.names(), BTreeMap::new());
    while let Some((name, id)) = names.next().await.unwrap() {
        let (mut scan, mut rows) = (db.ns(id).iter(), Vec::new());
        while let Some(item) = scan.next().await.unwrap() {
            rows.push((item.key().to_vec(), item.value().await.unwrap().to_vec()));
        }
        found.insert(name.to_vec(), rows);
    }
    // A new name gets an id that is nobody's.
    let new = db.named("new").await.unwrap();
    new.put("key", "value").await.unwrap();
    assert_eq!(db.name_of(new.id()).await.unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(new.iter().into_stream().count().await, 1);
    drop(names);
    db.close().await.unwrap();
    found
}

#[test]
fn salvage_is_for_reading_only_and_into_an_empty_directory() {
    let fixture = Fixture::new(1);
    on_real(async {
        let options = Options { recovery: Recovery::Salvage, ..small(&fixture.path) };
        assert_eq!(jdb::open(options).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        let db = jdb::open(small(&fixture.path)).await.unwrap();
        let error = db.salvage(fixture.dir.path(), |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        db.close().await.unwrap();
    });
}
