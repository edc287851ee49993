//! A segment's file that is longer than its records.

use super::harness::*;
use crate::{Checkpoint, LogConfig, LogPos};
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimConfig, SimDisk};
use jdb_io::{Disk, Mode};

fn lengthening() -> LogConfig {
    LogConfig { lengthen: true, segment_len: 128 << 10, ..config() }
}

async fn len_of(disk: &Disk, number: u32) -> u64 {
    disk.open(&path(number), Mode::Read).await.unwrap().len().await.unwrap()
}

#[test]
fn a_file_is_longer_than_its_records_until_its_segment_is_closed() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, lengthening(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        append(&log, &mut next, &[vec![put(1, "a", vec![1; 900])]]).await.unwrap();
        let end = |log: &crate::ValueLog| LogPos::new(0, log.written().offset).byte_offset();
        let first = len_of(&disk, 1).await;
        assert_eq!(first, end(&log) + (16 << 10), "an eighth of a segment, 64 KiB at most");
        let lengths = |disk: &Disk| disk.counters().writes;
        let before = lengths(&disk);
        for i in 0..10 {
            append(&log, &mut next, &[vec![put(1, &format!("{i}"), vec![2; 900])]]).await.unwrap();
            assert_eq!(len_of(&disk, 1).await, first, "the length stays while there is room");
        }
        assert_eq!(lengths(&disk) - before, 10);
        while log.written().segment == 1 {
            append(&log, &mut next, &[vec![put(1, "more", vec![3; 900])]]).await.unwrap();
            assert!(len_of(&disk, 1).await <= 128 << 10, "never beyond a segment's length");
        }
        let chain = log.chain();
        assert_eq!(len_of(&disk, 1).await, u64::from(chain[0].end) * 8, "rotation takes back what is left");
        assert!(len_of(&disk, 2).await > end(&log));
        let written = log.seal_now().await;
        assert_eq!(len_of(&disk, 2).await, LogPos::new(0, written.offset).byte_offset());
    });
}

#[test]
fn zeros_behind_the_records_are_no_damage_and_no_record() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    let written = run(&sim, async move {
        let (log, _, _) = open(&disk, lengthening(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..20 {
            append(&log, &mut next, &[vec![put(1, &format!("{i}"), vec![1; 500])]]).await.unwrap();
        }
        log.sync().await.unwrap();
        append(&log, &mut next, &[vec![put(1, "last", "not synced")]]).await.unwrap();
        log.written()
    });
    let killed = sim.kill(2, SimConfig::default());
    let disk = Disk::sim(&killed);
    run(&killed, async move {
        assert!(len_of(&disk, 1).await > LogPos::new(0, written.offset).byte_offset());
        let (log, recovered, seen) = open(&disk, lengthening(), &Checkpoint::default()).await.unwrap();
        assert_eq!((recovered.end, seen.len(), recovered.damage.is_some()), (written, 21, false));
        // What follows goes to another file, and finds its predecessor's end.
        append(&log, &mut 2, &[vec![put(1, "new", "x")]]).await.unwrap();
        drop(log);
        let (_, recovered, seen) = open(&disk, lengthening(), &Checkpoint::default()).await.unwrap();
        assert_eq!((recovered.end.segment, seen.len(), recovered.damage.is_some()), (2, 22, false));
    });
}

#[test]
fn a_length_that_cannot_be_given_is_not_asked_for_again_and_fails_nothing() {
    let sim: SimDisk = sim(1);
    let disk = Disk::sim(&sim);
    sim.inject(Fault { at: At::NthOf(OpKind::SetLen, 0), kind: FaultKind::Enospc, repeat: Repeat::Once });
    let faulty = sim.clone();
    run(&sim, async move {
        let (log, _, _) = open(&disk, lengthening(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..20 {
            append(&log, &mut next, &[vec![put(1, &format!("{i}"), vec![1; 500])]]).await.unwrap();
            assert_eq!(len_of(&disk, 1).await, LogPos::new(0, log.written().offset).byte_offset());
        }
        assert_eq!((faulty.faults_hit(), log.stats().writes_failed), (1, 0));
    });
}
