//! Faults of a real kernel: a disk whose syncs fail.

#![expect(clippy::unwrap_used, reason = "a test")]

use jdb::{Durability, ErrorKind, Options, Tuning};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ext4 without journal in a sparse image on a tmpfs that is too small for it: writes go to the page cache, and a sync
/// fails once, with the pages marked clean, as soon as the tmpfs is full.
struct Thin {
    dir: tempfile::TempDir,
}

impl Thin {
    fn new() -> Result<Self, String> {
        let thin = Self { dir: tempfile::tempdir().unwrap() };
        let (store, disk) = (thin.store(), thin.disk());
        fs::create_dir(&store).unwrap();
        fs::create_dir(&disk).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=6m", "tmpfs", text(&store)])?;
        let image = store.join("image");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "nodiscard", text(&image)])?;
        run("mount", &["-o", "loop", text(&image), text(&disk)])?;
        Ok(thin)
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Makes room below, forgets the page cache: what is read afterwards is what the disk holds.
    fn mend(&self) -> Result<(), String> {
        run("umount", &[text(&self.disk())])?;
        run("mount", &["-o", "remount,size=96m", text(&self.store())])?;
        run("mount", &["-o", "loop", text(&self.store().join("image")), text(&self.disk())])
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        for mount in [self.disk(), self.store()] {
            // Never mounted when the set-up failed.
            drop(run("umount", &[text(&mount)]));
        }
    }
}

#[test]
fn failed_sync_stops_writing_and_loses_nothing_that_was_synced_before() {
    let thin = match Thin::new() {
        Ok(thin) => thin,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let options = || Options {
        shards: 1,
        tuning: Tuning { segment_len: Some(1 << 20), reserve_len: Some(0), ..Tuning::default() },
        ..Options::at(thin.disk().join("db"))
    };
    let value = |i: u32| vec![i as u8 | 1; 16 << 10];
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).unwrap();
    let (synced, failed) = runtime.block_on(async {
        let db = jdb::open(options()).await.unwrap();
        let ns = db.ns(1u64);
        let mut synced = 0u32;
        let failed = loop {
            // Every eighth is synced: the others are what the failing sync finds.
            let durability = if synced % 8 == 7 { Durability::Sync } else { Durability::Os };
            match ns.put(synced.to_be_bytes(), value(synced)).durability(durability).await {
                Ok(_) => synced += 1,
                Err(error) => break error,
            }
            assert!(synced < 2000, "32 MB fit into a disk of 6 MB");
        };
        assert_eq!(failed.kind(), ErrorKind::Stopped, "{failed}");
        assert!(failed.path().unwrap().starts_with(thin.disk()), "{failed}");
        let again = ns.put("more", "x").await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Stopped, "a second sync is not believed: {again}");
        for i in 0..synced {
            assert_eq!(ns.get(i.to_be_bytes()).await.unwrap().unwrap(), value(i), "reads go on, row {i}");
        }
        assert_eq!(db.clone().close().await.unwrap_err().kind(), ErrorKind::Stopped);
        (synced, failed)
    });
    println!("{synced} rows, then: {failed}");
    drop(runtime);
    thin.mend().unwrap();

    // The kernel's loop driver takes a write that the tmpfs cut short for a whole one (seen with strace: fdatasync gives 0,
    // the rest of its pages is zeros): the last sync that was said to have succeeded may have been that one.
    let durable = synced / 8 * 8 - 8;
    assert!(durable > 8, "{synced} rows before the disk was full");
    jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
        let db = jdb::open(options()).await.unwrap();
        let ns = db.ns(1u64);
        let mut there = 0u32;
        while let Some(got) = ns.get(there.to_be_bytes()).await.unwrap() {
            assert_eq!(got, value(there), "row {there}");
            there += 1;
        }
        assert!(there >= durable, "{durable} rows were synced, {there} are there");
        for i in there..synced {
            assert_eq!(ns.get(i.to_be_bytes()).await.unwrap(), None, "a prefix: row {i}");
        }
        ns.put("more", "x").durability(Durability::Sync).await.unwrap();
        db.close().await.unwrap();
    });
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
