//! A small database with a file of each kind, and how to look at it.

use bytes::Bytes;
use jdb::{Db, Error, ErrorKind, Options, Recovery, RuntimeConfig, Tuning};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The namespace of all rows.
pub(crate) const NS: u64 = 7;
/// Rows of a [`Fixture`]; the first two parts are in tables, the last one only in the log.
pub(crate) const ROWS: u32 = 110;
const FLUSH_AT: [u32; 2] = [40, 70];

/// Runs `work` on the real disk.
pub(crate) fn on_real<T>(work: impl Future<Output = T>) -> T {
    jdb::runtime(&RuntimeConfig::default()).unwrap().block_on(work)
}

/// One shard, and files so small that there are many.
pub(crate) fn options(path: &Path) -> Options {
    Options {
        shards: 1,
        inline_max: 16,
        sync_interval: Duration::from_secs(3600),
        flush_interval: Duration::from_secs(3600),
        // Segments stay where the tests look for them.
        max_garbage: 0.95,
        tuning: Tuning { segment_len: Some(4096), block_len: Some(256), ..Tuning::default() },
        ..Options::at(path)
    }
}

/// Key and value of row `i`; every third value is kept inline.
pub(crate) fn row(i: u32) -> (Vec<u8>, Vec<u8>) {
    let len = if i.is_multiple_of(3) { 9 } else { 240 };
    let value = (0..len).map(|at| (i.wrapping_mul(31).wrapping_add(at * 7) >> 2) as u8 | 1).collect();
    (format!("key{i:03}").into_bytes(), value)
}

/// Puts rows; each is a commit of its own.
pub(crate) async fn put_rows(db: &Db, rows: std::ops::Range<u32>) {
    for i in rows {
        let (key, value) = row(i);
        db.ns(NS).put(key, value).await.unwrap();
    }
}

/// A closed database in a directory of its own: two tables, sealed segments, and a log that is in no table.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::make(async |db| db.close().await.unwrap())
    }

    /// The same rows in a database that was not closed: as after the death of the process, and nothing proves that what is
    /// only in the log was ever synced.
    pub(crate) fn left_open() -> Self {
        Self::make(async |db| drop(db))
    }

    /// Two rows in the log, closed: the first segment of a database's life, and no table.
    pub(crate) fn of_one_segment() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        on_real(async {
            let db = jdb::open(options(&path)).await.unwrap();
            put_rows(&db, 0..2).await;
            db.close().await.unwrap();
        });
        Self { dir, path }
    }

    fn make(leave: impl AsyncFnOnce(Db)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        on_real(async {
            let db = jdb::open(options(&path)).await.unwrap();
            let mut from = 0;
            for to in FLUSH_AT {
                put_rows(&db, from..to).await;
                db.flush().await.unwrap();
                from = to;
            }
            put_rows(&db, from..ROWS).await;
            leave(db).await;
        });
        Self { dir, path }
    }

    pub(crate) fn shard(&self) -> PathBuf {
        self.path.join("shard-000")
    }

    /// Files of the shard whose names end so, in order.
    pub(crate) fn files(&self, suffix: &str) -> Vec<PathBuf> {
        files(&self.shard(), suffix)
    }

    pub(crate) fn secret(&self) -> [u8; 16] {
        let bytes = fs::read(self.path.join("SUPERBLOCK")).unwrap();
        jdb_ns::superblock::Superblock::decode(&bytes).unwrap().secret
    }
}

pub(crate) fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
    found.sort();
    found
}

/// What a database shows of the rows of a [`Fixture`].
pub(crate) struct Seen {
    /// The answer for each row.
    pub(crate) gets: Vec<jdb::Result<Option<Bytes>>>,
    /// Why the scan, forward and then backward, stopped.
    pub(crate) scan: jdb::Result<usize>,
}

/// Opens and reads everything. A wrong value, an unknown key or a wrong order is a panic that names `case`.
pub(crate) async fn look(options: Options, case: &str) -> jdb::Result<Seen> {
    let db = jdb::open(options).await?;
    let seen = look_at(&db, case).await;
    drop(db.close().await);
    Ok(seen)
}

/// Reads everything.
pub(crate) async fn look_at(db: &Db, case: &str) -> Seen {
    let mut gets = Vec::new();
    for i in 0..ROWS {
        let (key, value) = row(i);
        let got = db.ns(NS).get(key).await;
        if let Ok(Some(got)) = &got {
            assert_eq!(got[..], value[..], "{case}: row {i}");
        }
        gets.push(got);
    }
    let scan = scan(db, case).await;
    Seen { gets, scan }
}

async fn scan(db: &Db, case: &str) -> jdb::Result<usize> {
    let expected: BTreeMap<_, _> = (0..ROWS).map(row).collect();
    let mut scan = db.ns(NS).iter();
    let mut forward = Vec::new();
    while let Some(item) = scan.next().await? {
        let value = item.value().await?;
        assert_eq!(expected.get(item.key()).map(Vec::as_slice), Some(&value[..]), "{case}: scanned");
        assert!(forward.last().is_none_or(|last: &Vec<u8>| last.as_slice() < item.key()), "{case}: order");
        forward.push(item.key().to_vec());
    }
    let mut left = forward.len();
    while let Some(item) = scan.prev().await? {
        left = left.checked_sub(1).unwrap_or_else(|| panic!("{case}: backward shows more"));
        assert_eq!(item.key(), forward[left], "{case}: backward");
    }
    assert_eq!(left, 0, "{case}: backward shows fewer");
    Ok(forward.len())
}

impl Seen {
    /// All rows are there.
    pub(crate) fn assert_whole(&self, case: &str) {
        assert_eq!(self.assert_prefix(case), ROWS as usize, "{case}: rows");
    }

    /// The first rows are there and no others; gives how many.
    pub(crate) fn assert_prefix(&self, case: &str) -> usize {
        let there = |got: &jdb::Result<Option<Bytes>>| match got {
            Ok(got) => got.is_some(),
            Err(error) => panic!("{case}: {error}"),
        };
        let count = self.gets.iter().take_while(|got| there(got)).count();
        let hole = self.gets.iter().skip(count).any(there);
        assert!(!hole, "{case}: a row behind a missing one");
        let scanned = self.scan.as_ref().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(*scanned, count, "{case}: scan against gets");
        count
    }

    /// Each row is there, or refused because of damage in `file`; gives how many were refused.
    pub(crate) fn assert_refused_or_right(&self, file: &Path, case: &str) -> usize {
        let refused = self.assert_gets_refused_or_right(file, case);
        match &self.scan {
            Ok(count) => {
                assert_eq!((*count, refused), (ROWS as usize, 0), "{case}: a scan says less than gets")
            }
            Err(error) => assert_corrupt(error, file, case),
        }
        refused
    }

    /// Every get is right or an error about `file`; gives how many are errors.
    pub(crate) fn assert_gets_refused_or_right(&self, file: &Path, case: &str) -> usize {
        let mut refused = 0;
        for (i, got) in self.gets.iter().enumerate() {
            match got {
                Ok(got) => assert!(got.is_some(), "{case}: row {i} is gone without an error"),
                Err(error) => {
                    assert_corrupt(error, file, case);
                    refused += 1;
                }
            }
        }
        refused
    }
}

/// Damage in `file`, at a place inside it.
pub(crate) fn assert_corrupt(error: &Error, file: &Path, case: &str) {
    assert_error(error, ErrorKind::Corrupt, Some(file), case);
    let offset = error.offset().unwrap_or_else(|| panic!("{case}: no offset: {error}"));
    let len = fs::metadata(file).unwrap().len();
    assert!(offset <= len, "{case}: offset {offset} of {len}: {error}");
}

/// An error of this kind about this path.
pub(crate) fn assert_error(error: &Error, kind: ErrorKind, path: Option<&Path>, case: &str) {
    assert_eq!(error.kind(), kind, "{case}: {error}");
    assert_eq!(error.path(), path, "{case}: {error}");
    assert_eq!(error.offset().is_some(), kind == ErrorKind::Corrupt, "{case}: {error}");
    if let Some(path) = path {
        assert!(error.to_string().contains(path.to_str().unwrap()), "{case}: no path in {error}");
    }
}

/// Opening fails so.
pub(crate) fn assert_refused(options: Options, kind: ErrorKind, path: Option<&Path>, case: &str) {
    match on_real(jdb::open(options)) {
        Ok(_) => panic!("{case}: opened"),
        Err(error) => assert_error(&error, kind, path, case),
    }
}

/// Opens it, reads all rows, writes, and opens it once more.
pub(crate) fn assert_works_on(path: &Path, case: &str) {
    on_real(async {
        let opened = jdb::open(options(path)).await;
        let db = opened.unwrap_or_else(|error| panic!("{case}: {error}"));
        look_at(&db, case).await.assert_whole(case);
        db.ns(1u64).put("works", "on").await.unwrap();
        db.flush().await.unwrap();
        db.close().await.unwrap();
        let db = jdb::open(options(path)).await.unwrap();
        look_at(&db, case).await.assert_whole(case);
        assert_eq!(db.ns(1u64).get("works").await.unwrap().as_deref(), Some(&b"on"[..]), "{case}");
        db.close().await.unwrap();
    });
}

/// Opens with [`Recovery::TruncateAtDamage`]: the first rows are there. Then new ones go in, and a strict opening is fine.
pub(crate) fn assert_truncates(path: &Path, case: &str) -> usize {
    on_real(async {
        let lenient = Options { recovery: Recovery::TruncateAtDamage, ..options(path) };
        let db = jdb::open(lenient).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        let count = look_at(&db, case).await.assert_prefix(case);
        db.ns(1u64).put("works", "on").await.unwrap();
        db.close().await.unwrap();
        let db =
            jdb::open(options(path)).await.unwrap_or_else(|error| panic!("{case}, strict again: {error}"));
        assert_eq!(look_at(&db, case).await.assert_prefix(case), count, "{case}");
        assert_eq!(db.ns(1u64).get("works").await.unwrap().as_deref(), Some(&b"on"[..]), "{case}");
        db.close().await.unwrap();
        count
    })
}

/// Something mounted; unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Runs `mount` with these arguments and `at`; the reason when that is not possible here.
    pub(crate) fn new(arguments: &[&str], at: &Path) -> Result<Self, String> {
        run(Command::new("mount").args(arguments).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    /// What is at `dir`, for reading only.
    pub(crate) fn read_only(dir: &Path) -> Result<Self, String> {
        run(Command::new("mount").arg("--bind").args([dir, dir]))?;
        let mount = Self(dir.to_owned());
        run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(dir))?;
        Ok(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(run(Command::new("umount").arg("-l").arg(&self.0)));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", OsStr::new("C")).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
