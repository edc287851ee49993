//! A segment that is written over the file of another one.

use super::harness::*;
use crate::{Checkpoint, LogConfig, LogPos, ValueLog};
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk};
use jdb_io::{Disk, Mode};

fn long() -> LogConfig {
    LogConfig { segment_len: 64 << 10, lengthen: true, ..config() }
}

async fn bytes_of(disk: &Disk, number: u32) -> bytes::Bytes {
    let file = disk.open(&path(number), Mode::Read).await.unwrap();
    let len = file.len().await.unwrap();
    file.read_at(0, len as usize).await.unwrap()
}

async fn names(disk: &Disk) -> Vec<String> {
    disk.list(DIR.as_ref()).await.unwrap().into_iter().map(|entry| entry.name).collect()
}

/// Fills segment 1, begins segment 2, and gives the first one up as if it had been collected.
async fn with_a_spare(disk: &Disk) -> (ValueLog, Checkpoint, u32) {
    let (log, ..) = open(disk, long(), &Checkpoint::default()).await.unwrap();
    let mut next = 1;
    while next < 3 {
        append(&log, &mut next, &[vec![put(1, "old", vec![0xaa; 3000])]]).await.unwrap();
    }
    let replay_from = log.sync().await.unwrap();
    let checkpoint =
        Checkpoint { replay_from, last_seq: log.last_seq(), next_number: 3, ..Checkpoint::default() };
    log.forget(1);
    assert!(log.recycle(1).await);
    assert!(!log.recycle(2).await, "one is enough");
    log.seal_now().await;
    (log, checkpoint, next)
}

#[test]
fn a_new_segment_takes_the_old_file_and_its_writes_end_with_a_block() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, mut next) = with_a_spare(&disk).await;
        let old = bytes_of(&disk, 1).await;
        let before = disk.counters();
        append(&log, &mut next, &[vec![put(1, "new", vec![0xbb; 500])]]).await.unwrap();
        assert_eq!((log.stats().segments_recycled, disk.counters().renames - before.renames), (1, 1));
        assert_eq!(disk.open(&path(1), Mode::Read).await.map(drop).map_err(|e| e.is_not_found()), Err(true));
        let end = |log: &ValueLog| LogPos::new(0, log.written().offset).byte_offset() as usize;
        let bytes = bytes_of(&disk, 3).await;
        assert_eq!(bytes.len(), old.len());
        assert!(bytes[end(&log)..4096].iter().all(|&byte| byte == 0), "the block is written whole");
        assert_eq!(bytes[4096..], old[4096..]);
        append(&log, &mut next, &[vec![put(1, "new", vec![0xcc; 5000])]]).await.unwrap();
        let bytes = bytes_of(&disk, 3).await;
        assert!(bytes[end(&log)..8192].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[8192..], old[8192..]);
        // Over the end of the old file, then to the end of the segment.
        while log.written().segment == 3 {
            append(&log, &mut next, &[vec![put(1, "more", vec![0xdd; 3000])]]).await.unwrap();
        }
        let ends: Vec<_> =
            log.chain().iter().map(|s| (s.number, LogPos::new(0, s.end).byte_offset())).collect();
        assert_eq!(
            bytes_of(&disk, 3).await.len() as u64,
            ends[1].1,
            "what is left of the old file is cut off"
        );
    });
}

#[test]
fn what_is_left_of_the_old_segment_is_neither_a_record_nor_damage() {
    for kill in [true, false] {
        let sim = sim(1);
        let disk = Disk::sim(&sim);
        let (checkpoint, written) = run(&sim, async move {
            let (log, checkpoint, mut next) = with_a_spare(&disk).await;
            for i in 0..9 {
                append(&log, &mut next, &[vec![put(1, &format!("{i}"), vec![i; 700])]]).await.unwrap();
            }
            log.sync().await.unwrap();
            (checkpoint, log.written())
        });
        let after =
            if kill { sim.kill(2, SimConfig::default()) } else { sim.power_cut(2, SimConfig::default()) };
        let (recovered, seen) = reopen_from(&after, long(), checkpoint).unwrap();
        assert_eq!((recovered.end, seen.len(), recovered.damage.is_some()), (written, 9, false));
        let keys: Vec<_> = (0..9).map(|i| key(1, &format!("{i}"))).collect();
        assert_eq!(seen.into_iter().map(|s| s.key).collect::<Vec<_>>(), keys);
    }
}

#[test]
fn without_its_directory_entry_nothing_in_it_is_durable() {
    // The name is lost with every power cut that may lose it; then the log ends before it, and no more than that.
    let mut lost = 0;
    for seed in 0..40 {
        let sim = sim(seed);
        let disk = Disk::sim(&sim);
        let (checkpoint, before) = run(&sim, async move {
            let (log, checkpoint, mut next) = with_a_spare(&disk).await;
            let before = log.written();
            append(&log, &mut next, &[vec![put(1, "not synced", "x")]]).await.unwrap();
            (checkpoint, before)
        });
        let (recovered, seen) =
            reopen_from(&sim.power_cut(seed, SimConfig::default()), long(), checkpoint).unwrap();
        assert!(seen.len() <= 1 && recovered.damage.is_none());
        lost += usize::from(seen.is_empty());
        assert_eq!(seen.is_empty(), recovered.end == before);
    }
    assert!((1..40).contains(&lost), "{lost}");
}

#[test]
fn a_file_that_cannot_be_taken_is_no_obstacle() {
    for fault in [OpKind::Rename, OpKind::Open] {
        let sim: SimDisk = sim(1);
        let disk = Disk::sim(&sim);
        let faulty = sim.clone();
        run(&sim, async move {
            let (log, _, mut next) = with_a_spare(&disk).await;
            faulty.inject(Fault { at: At::NthOf(fault, 0), kind: FaultKind::Eio, repeat: Repeat::Once });
            append(&log, &mut next, &[vec![put(1, "new", vec![1; 500])]]).await.unwrap();
            append(&log, &mut next, &[vec![put(1, "new", vec![2; 500])]]).await.unwrap();
            assert_eq!(
                (faulty.faults_hit(), log.stats().segments_recycled, log.written().segment),
                (1, 0, 3)
            );
            assert_eq!(names(&disk).await, ["00000002.log", "00000003.log"], "{fault:?}");
        });
    }
}

#[test]
fn a_spare_can_be_given_up() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, mut next) = with_a_spare(&disk).await;
        assert!(log.drop_spare().await);
        assert!(!log.drop_spare().await);
        append(&log, &mut next, &[vec![put(1, "new", vec![1; 500])]]).await.unwrap();
        assert_eq!(log.stats().segments_recycled, 0);
        assert_eq!(names(&disk).await, ["00000002.log", "00000003.log"]);
    });
}
