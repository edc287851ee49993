//! What a database takes of the system where its options let it: a second thread, mappings. On the real disk.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use jdb::{Options, RuntimeConfig, Tuning};
use jdb_io::{Counters, Disk};
use std::path::Path;
use std::process::Command;

/// Overwrites rows until tables were merged and files collected, closes, opens again and reads all. Whether there was a worker, and the
/// counters of the first life.
fn live(dir: &Path, options: impl Fn(Options) -> Options) -> (bool, Counters) {
    let tuning = Tuning { segment_len: Some(1 << 20), memtable_len: Some(32 << 10), ..Tuning::default() };
    let open =
        |disk: Disk| jdb::open(options(Options { shards: 1, tuning, ..Options::at(dir) }).on_disk(disk));
    let row = |i: u32| ((i % 500).to_be_bytes(), vec![i as u8; 300]);
    let runtime = jdb::runtime(&RuntimeConfig::default()).unwrap();
    let did = runtime.block_on(async {
        let disk = Disk::real();
        let db = open(disk.clone()).await.unwrap();
        for i in 0..5000 {
            let (key, value) = row(i);
            db.ns(1u64).put(key, value).await.unwrap();
        }
        db.collect().await.unwrap();
        let stats = db.stats();
        assert!(stats.shards.iter().all(|shard| shard.compactions > 0 && shard.collections > 0), "{stats:?}");
        db.close().await.unwrap();
        (disk.has_worker(), disk.counters())
    });
    runtime.block_on(async {
        let db = open(Disk::real()).await.unwrap();
        for i in 4500..5000 {
            let (key, value) = row(i);
            assert_eq!(db.ns(1u64).get(key).await.unwrap().unwrap(), value);
        }
        db.close().await.unwrap();
    });
    did
}

#[test]
fn tables_and_packs_are_the_work_of_a_second_thread_where_there_is_one_and_it_is_wanted() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let dir = tempfile::tempdir().unwrap();
    let did = |name, worker| live(&dir.path().join(name), |options| Options { worker, ..options });
    let ((here, one), (there, two)) = (did("one", false), did("two", true));
    assert_eq!((here, there), (false, cores > 1));
    // The worker's I/O is counted, too: it is about the same work.
    assert!(two.write_len > one.write_len / 2 && two.opens > one.opens / 2, "{one:?} {two:?}");
}

#[test]
fn small_commits_are_stored_unless_that_is_not_wanted() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let did =
        |name, mapped_writes| live(&dir.path().join(name), |options| Options { mapped_writes, ..options }).1;
    assert_eq!(did("no", false).writes_mapped, 0);
    let counters = did("yes", true);
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir.path()).output().unwrap().stdout;
    if kind.starts_with(b"ext") || kind.starts_with(b"tmpfs") {
        assert!(counters.writes_mapped > 1000, "{counters:?}");
    } else {
        println!("skipped: {}", String::from_utf8_lossy(&kind));
    }
}

#[test]
fn segments_that_are_sealed_have_a_footer_whoever_makes_it() {
    let tuning = Tuning { segment_len: Some(1 << 20), memtable_len: Some(32 << 10), ..Tuning::default() };
    let runtime = jdb::runtime(&RuntimeConfig::default()).unwrap();
    for worker in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let path = dir.path().join("db");
            let db = jdb::open(Options { shards: 1, tuning, worker, ..Options::at(&path) }).await.unwrap();
            for i in 0..12_000_u32 {
                db.ns(1u64).put(i.to_be_bytes(), [7; 300]).await.unwrap();
            }
            db.flush().await.unwrap();
            db.close().await.unwrap();
            let names = std::fs::read_dir(path.join("shard-000")).unwrap();
            let mut segments: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
            segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
            segments.sort();
            // The last one is still open.
            segments.pop();
            assert!(segments.len() >= 3, "{segments:?}");
            for segment in segments {
                let text = jdb::dump(&segment, jdb::FileKind::Segment).await.unwrap();
                assert!(text.contains("footer at"), "{worker} {}", segment.display());
            }
        });
    }
}
