//! Damaged, cut, moved, stale and missing segments.

use super::harness::*;
use crate::record::{Fields, encode};
use crate::segment::segment_seed;
use crate::{Checkpoint, Error, LogConfig, LogPos, RecordKind, Recovery, Sealed, SegmentHeader};
use jdb_base::checksum::crc32;
use jdb_io::Disk;
use jdb_io::plant::{Plant, plant};
use jdb_io::sim::SimDisk;

fn truncating() -> LogConfig {
    LogConfig { recovery: Recovery::TruncateAtDamage, ..config() }
}

/// What was appended to `sim`, as an undamaged opening sees it.
fn all(sim: &SimDisk) -> Vec<Seen> {
    reopen(sim, config()).unwrap().1
}

#[test]
fn every_flipped_bit_is_damage_or_a_torn_tail_but_never_another_record() {
    let sim = written(6, 20);
    let want = all(&sim);
    let bytes = sim.read_raw(&path(1)).unwrap();
    let (mut damaged, mut torn, mut unharmed) = (0, 0, 0);
    for bit in 0..bytes.len() as u64 * 8 {
        assert!(sim.flip_bit(&path(1), bit));
        match reopen(&sim, config()) {
            Ok((_, seen)) => {
                assert_eq!(seen, want[..seen.len()], "bit {bit}");
                if seen.len() == want.len() {
                    unharmed += 1;
                    // Only padding is outside every checksum.
                    let record = want.iter().find(|s| s.end.byte_offset() * 8 > bit).unwrap();
                    let body = record.pos.byte_offset() + 32 + (record.key.len() + record.value.len()) as u64;
                    assert!(bit / 8 >= body, "bit {bit} is not padding");
                } else {
                    torn += 1;
                    // Each record but the last was synced before the next one was written.
                    assert_eq!(seen.len(), want.len() - 1, "bit {bit}");
                }
            }
            Err(error) => {
                damaged += 1;
                assert!(matches!(error, Error::Corrupt { .. }), "bit {bit}: {error}");
                assert_eq!(error.path(), Some(path(1).as_path()), "bit {bit}");
            }
        }
        let (recovered, seen) = reopen(&sim, truncating()).unwrap();
        assert_eq!(seen, want[..seen.len()], "bit {bit}");
        assert_eq!(recovered.damage.is_some(), reopen(&sim, config()).is_err(), "bit {bit}");
        sim.flip_bit(&path(1), bit);
    }
    assert!(damaged > 0 && torn > 0 && unharmed > 0, "{damaged} {torn} {unharmed}");
    assert_eq!(all(&sim), want);
}

#[test]
fn a_cut_last_segment_is_a_torn_tail_up_to_what_later_records_prove() {
    let sim = written(5, 20);
    let want = all(&sim);
    let bytes = sim.read_raw(&path(1)).unwrap();
    for len in 0..bytes.len() {
        sim.set_len_raw(&path(1), len as u64);
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        let whole = want.iter().filter(|s| s.end.byte_offset() <= len as u64).count();
        assert_eq!(seen, want[..whole], "length {len}");
        let at_end =
            recovered.end.byte_offset() == len as u64 || (len == 0 && recovered.end == LogPos::START);
        assert!(recovered.torn != at_end || len == 0, "length {len}: {recovered:?}");
        sim.write_raw(&path(1), bytes.clone());
    }
}

#[test]
fn zeros_in_a_synced_place_are_corrupt_and_name_it() {
    let sim = written(60, 200);
    let want = all(&sim);
    for at in [0, 5, 30, 58] {
        let hit = &want[at];
        let file = path(hit.pos.segment);
        let whole = sim.read_raw(&file).unwrap();
        let mut bytes = whole.clone();
        bytes[hit.pos.byte_offset() as usize..hit.end.byte_offset() as usize].fill(0);
        sim.write_raw(&file, bytes);
        match reopen(&sim, config()) {
            Err(Error::Corrupt { path, offset, .. }) => {
                assert_eq!((path, offset), (file.clone(), hit.pos.byte_offset()), "record {at}");
            }
            other => panic!("record {at}: {other:?}"),
        }
        let (recovered, seen) = reopen(&sim, truncating()).unwrap();
        assert_eq!(seen, want[..at]);
        assert!(recovered.damage.is_some_and(|e| e.is_damage()));
        sim.write_raw(&file, whole);
    }
    let last = &want[59];
    let mut bytes = sim.read_raw(&path(last.pos.segment)).unwrap();
    bytes[last.pos.byte_offset() as usize..].fill(0);
    sim.write_raw(&path(last.pos.segment), bytes);
    assert_eq!(reopen(&sim, config()).unwrap().1.len(), 59, "nothing was written after its sync: no proof");
}

#[test]
fn a_mark_proves_the_last_record() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        append(&log, &mut 1, &[vec![put(1, "only", "value")]]).await.unwrap();
        log.sync().await.unwrap();
        log.mark().await.unwrap();
    });
    sim.flip_bit(&path(1), 80 * 8);
    assert!(matches!(reopen(&sim, config()), Err(Error::Corrupt { offset: 64, .. })));
}

#[test]
fn a_missing_or_headless_middle_segment_is_damage() {
    let sim = written(60, 200);
    let want = all(&sim);
    let last = want[59].pos.segment;
    assert!(last >= 4);
    for number in 1..last {
        let bytes = sim.read_raw(&path(number)).unwrap();
        sim.remove_raw(&path(number));
        match reopen(&sim, config()) {
            Err(Error::Missing { path: file, .. }) => assert_eq!(file, path(number)),
            other => panic!("segment {number}: {other:?}"),
        }
        let mut bad = bytes.clone();
        bad[50] ^= 1;
        sim.write_raw(&path(number), bad);
        match reopen(&sim, config()) {
            Err(Error::Corrupt { path: file, offset: 0, .. }) => assert_eq!(file, path(number)),
            other => panic!("segment {number}: {other:?}"),
        }
        sim.write_raw(&path(number), bytes);
    }
    sim.remove_raw(&path(last));
    let (recovered, seen) = reopen(&sim, config()).unwrap();
    assert_eq!((seen.len(), recovered.torn), (want.iter().filter(|s| s.pos.segment < last).count(), false));
}

#[test]
fn what_the_checkpoint_names_must_be_there() {
    let sim = written(60, 200);
    let want = all(&sim);
    let mut checkpoint =
        Checkpoint { replay_from: want[40].end, last_seq: seq(want[40].seq), ..Checkpoint::default() };
    let ends: Vec<LogPos> =
        want.windows(2).filter(|w| w[0].end.segment != w[1].pos.segment).map(|w| w[0].end).collect();
    for end in ends.iter().filter(|end| **end < want[40].end) {
        checkpoint.sealed.insert(end.segment, Sealed { end: end.offset, ..Sealed::default() });
    }
    assert!(checkpoint.sealed.len() >= 2);
    assert_eq!(reopen_from(&sim, config(), checkpoint.clone()).unwrap().1, want[41..]);
    let from = checkpoint.replay_from;
    for number in checkpoint.sealed.keys().copied().chain([from.segment]) {
        let bytes = sim.read_raw(&path(number)).unwrap();
        sim.remove_raw(&path(number));
        let error = reopen_from(&sim, config(), checkpoint.clone()).unwrap_err();
        assert!(matches!(&error, Error::Missing { path: file, .. } if *file == path(number)), "{error}");
        let end = checkpoint.sealed.get(&number).map_or(from, |sealed| LogPos::new(number, sealed.end));
        sim.write_raw(&path(number), bytes[..end.byte_offset() as usize - 1].to_vec());
        let error = reopen_from(&sim, config(), checkpoint.clone()).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path: file, .. } if *file == path(number)), "{error}");
        assert!(reopen_from(&sim, truncating(), checkpoint.clone()).unwrap().0.damage.is_some());
        sim.write_raw(&path(number), bytes);
    }
    let mut bytes = sim.read_raw(&path(from.segment)).unwrap();
    bytes[30] ^= 4;
    sim.write_raw(&path(from.segment), bytes);
    let error = reopen_from(&sim, config(), checkpoint).unwrap_err();
    assert!(matches!(error, Error::Corrupt { offset: 0, .. }), "{error}");
}

#[test]
fn segments_of_another_shard_database_or_number_do_not_verify() {
    let sim = written(60, 200);
    let want = all(&sim);
    let last = want[59].pos.segment;
    for foreign in [LogConfig { shard: 3, ..config() }, LogConfig { secret: [0; 16], ..config() }] {
        let (recovered, seen) = reopen(&sim, foreign).unwrap();
        assert_eq!((seen.len(), recovered.end, recovered.torn), (0, LogPos::START, true));
    }
    // A copy under the next number neither goes on nor proves anything.
    let bytes = sim.read_raw(&path(last)).unwrap();
    sim.write_raw(&path(last + 1), bytes);
    let (recovered, seen) = reopen(&sim, config()).unwrap();
    assert_eq!((&seen, recovered.max_number), (&want, last + 1));
    assert_eq!(recovered.dead, [last + 1]);
    // Two that changed places are not read as each other.
    sim.remove_raw(&path(last + 1));
    sim.swap_raw(&path(1), &path(2));
    assert!(reopen(&sim, config()).is_err_and(|e| e.is_damage()));
}

#[test]
fn bytes_behind_a_true_end_stay_gone() {
    let sim = written(5, 20);
    let want = all(&sim);
    // The last record is damaged: the log ends before it, a new life goes on in a new segment.
    let whole = sim.read_raw(&path(1)).unwrap();
    sim.flip_bit(&path(1), (want[4].pos.byte_offset() + 40) * 8);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(seen.len(), 4);
        append(&log, &mut 2, &[vec![put(7, "later", "life")]]).await.unwrap();
        log.sync().await.unwrap();
        assert_eq!(log.chain()[1].pred, recovered.end);
    });
    // Now the lost record is whole again, and whatever else lies behind it.
    sim.write_raw(&path(1), whole);
    let (_, seen) = reopen(&sim, config()).unwrap();
    assert_eq!(seen[..4], want[..4]);
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[4].key, key(7, "later"));
}

#[test]
fn a_successor_whose_named_end_was_not_reached_is_dead() {
    let sim = written(5, 20);
    let want = all(&sim);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        append(&log, &mut 2, &[vec![put(7, "later", "life")]]).await.unwrap();
    });
    sim.set_len_raw(&path(1), want[4].pos.byte_offset());
    // The tail was synced when segment 2 was begun, and its record says so.
    assert!(matches!(reopen(&sim, config()), Err(Error::Corrupt { .. })));
    let (recovered, seen) = reopen(&sim, truncating()).unwrap();
    assert_eq!((seen, recovered.end), (want[..4].to_vec(), want[3].end));
    assert_eq!(recovered.dead, [2]);
}

#[test]
fn an_incomplete_batch_ends_the_log() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, ..) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        append(
            &log,
            &mut 1,
            &[vec![put(1, "a", "1")], vec![put(1, "b", "2"), put(1, "c", "3"), put(1, "d", "4")]],
        )
        .await
        .unwrap();
    });
    let want = all(&sim);
    for at in 1..4 {
        let bytes = sim.read_raw(&path(1)).unwrap();
        sim.flip_bit(&path(1), (want[at].pos.byte_offset() + 33) * 8);
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        assert_eq!((seen, recovered.end), (want[..1].to_vec(), want[0].end), "record {at}");
        sim.write_raw(&path(1), bytes);
    }
}

#[test]
fn files_that_are_not_ours_are_left_alone_and_count_for_nothing() {
    let sim = written(5, 20);
    let want = all(&sim);
    let stray = ["7.log", "00000009.log.bak", "notes", "00000000.log", "00000010.LOG"];
    for name in stray {
        sim.write_raw(&path(1).with_file_name(name), b"not ours".to_vec());
    }
    sim.symlink_raw(&path(12));
    sim.write_raw(&path(1).with_file_name("00000007.sst"), Vec::new());
    sim.write_raw(&path(1).with_file_name("00000008.pack"), Vec::new());
    let (recovered, seen) = reopen(&sim, config()).unwrap();
    assert_eq!((seen, recovered.max_number, recovered.torn), (want, 12, false));
    for name in stray {
        assert_eq!(sim.read_raw(&path(1).with_file_name(name)).unwrap(), b"not ours");
    }
}

#[test]
fn empty_and_garbage_segments_are_dead_and_cost_no_panic() {
    let sim = written(5, 20);
    let want = all(&sim);
    let mut chance = Chance(5);
    for len in [0, 1, 31, 63, 64, 65, 4096, 100_000] {
        let garbage: Vec<u8> = (0..len).map(|_| chance.below(256) as u8).collect();
        sim.write_raw(&path(2), garbage);
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        assert_eq!((&seen, recovered.dead), (&want, vec![2]), "length {len}");
    }
}

/// A segment file of single puts with these sequences, made without a log.
fn forged(number: u32, pred: LogPos, seqs: &[u64]) -> Vec<u8> {
    let seed = segment_seed(&SECRET, config().shard, number);
    let header = SegmentHeader { shard: 2, number, pred, pred_last_seq: seq(0), features_compatible: 0 };
    let mut bytes = header.encode(seed).to_vec();
    for &number in seqs {
        let fields = Fields { kind: RecordKind::Put, ops_left: 0, seq: seq(number), synced_back: u32::MAX };
        let at = bytes.len() as u64;
        encode(&mut bytes, seed, at, fields, &key(1, "key"), &number.to_le_bytes());
    }
    bytes
}

#[test]
fn a_sequence_that_does_not_rise_ends_the_log() {
    for (seqs, want) in [(&[5, 6, 7][..], 3), (&[5, 5, 7], 1), (&[5, 9, 7, 10], 2), (&[0, 1], 0)] {
        let sim = sim(1);
        sim.write_raw(&path(1), forged(1, LogPos::START, seqs));
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        assert_eq!((seen.len(), recovered.torn), (want, want < seqs.len()), "{seqs:?}");
    }
    let sim = sim(1);
    sim.write_raw(&path(1), forged(1, LogPos::START, &[5, 6]));
    sim.write_raw(&path(2), forged(2, LogPos::new(1, 20), &[6, 7]));
    assert_eq!(reopen(&sim, config()).unwrap().1.len(), 2, "nor across segments");
}

#[test]
fn the_largest_number_goes_on_among_those_whose_end_was_reached() {
    let ends: Vec<u32> = (0..4).map(|i| 8 + i * 6).collect();
    for (what, others, want) in [
        ("one", vec![(2, ends[3])], vec![1, 2, 3, 102]),
        ("it cuts off", vec![(2, ends[1])], vec![1, 102]),
        ("two at one end", vec![(2, ends[3]), (3, ends[3])], vec![1, 2, 3, 103]),
        ("an earlier one at a later end", vec![(2, ends[3]), (3, ends[2])], vec![1, 2, 103]),
        ("the later one was not reached", vec![(2, ends[2]), (3, ends[3] + 6)], vec![1, 2, 102]),
        ("inside a record", vec![(2, ends[2] + 1)], vec![1, 2, 3]),
        ("before everything", vec![(2, 8)], vec![102]),
    ] {
        let sim = sim(1);
        sim.write_raw(&path(1), forged(1, LogPos::START, &[1, 2, 3]));
        for &(number, end) in &others {
            sim.write_raw(&path(number), forged(number, LogPos::new(1, end), &[100 + u64::from(number)]));
        }
        let (_, seen) = reopen(&sim, config()).unwrap();
        assert_eq!(seen.iter().map(|s| s.seq).collect::<Vec<_>>(), want, "{what}");
    }
}

#[test]
fn whole_records_and_headers_of_a_later_version_are_unsupported() {
    let seed = segment_seed(&SECRET, config().shard, 1);
    let base = forged(1, LogPos::START, &[1, 2]);
    let second = 64 + 48;
    for (at, what) in
        [(second + 6, "record kind"), (second + 7, "record flags"), (16, "incompatible features")]
    {
        let mut bytes = base.clone();
        bytes[at] = 0x40;
        if at < 64 {
            let crc = crc32(seed.at(0), &[&bytes[..60]]);
            bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        } else {
            let start = seed.at(second as u64);
            let check = crc32(start ^ crate::layout::HEAD_CHECK_MIX, &[&bytes[second + 4..second + 29]]);
            bytes[second + 29..second + 32].copy_from_slice(&check.to_le_bytes()[..3]);
            let len = 32 + key(1, "key").len() + 8;
            let crc = crc32(start, &[&bytes[second + 4..second + len]]);
            bytes[second..second + 4].copy_from_slice(&crc.to_le_bytes());
        }
        let sim = sim(1);
        sim.write_raw(&path(1), bytes);
        for config in [config(), truncating()] {
            match reopen(&sim, config) {
                Err(Error::Unsupported { what: field, path: file, offset, found: 0x40 }) => {
                    assert_eq!((field, file, offset), (what, path(1), at as u64));
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_log_ends_at_a_record_whose_checksum_fits_and_whose_head_check_does_not() {
    let seed = segment_seed(&SECRET, config().shard, 1);
    let (second, len) = (64 + 48, 32 + key(1, "key").len() + 8);
    let mut bytes = forged(1, LogPos::START, &[1, 2, 3]);
    bytes[second + 30] ^= 4;
    let crc = crc32(seed.at(second as u64), &[&bytes[second + 4..second + len]]);
    bytes[second..second + 4].copy_from_slice(&crc.to_le_bytes());
    let sim = sim(1);
    sim.write_raw(&path(1), bytes);
    let (recovered, seen) = reopen(&sim, config()).unwrap();
    assert_eq!(seen.iter().map(|s| s.seq).collect::<Vec<_>>(), [1]);
    assert_eq!((recovered.end.byte_offset(), recovered.torn), (second as u64, true));
}

#[test]
fn rules_left_out_are_noticed_by_the_tests_above() {
    for (bug, test) in [
        (Plant::NoCorruptionProof, zeros_in_a_synced_place_are_corrupt_and_name_it as fn()),
        (Plant::NoCorruptionProof, a_missing_or_headless_middle_segment_is_damage),
        (Plant::NoRise, a_sequence_that_does_not_rise_ends_the_log),
        (Plant::HalfBatch, an_incomplete_batch_ends_the_log),
        (Plant::IgnoreTrueEnd, bytes_behind_a_true_end_stay_gone),
        (Plant::IgnoreTrueEnd, the_largest_number_goes_on_among_those_whose_end_was_reached),
        (Plant::AnySuccessor, the_largest_number_goes_on_among_those_whose_end_was_reached),
        (Plant::AppendToOldSegment, bytes_behind_a_true_end_stay_gone),
        (Plant::NoKeyCheck, super::basics::only_exactly_the_named_record_is_read),
        (Plant::RetryFailedSync, super::faults::a_failed_sync_poisons_for_good),
        (
            Plant::AppendAfterFailedWrite,
            super::faults::a_failed_write_is_left_out_and_the_log_goes_on_in_a_new_segment,
        ),
    ] {
        test();
        plant(&[bug]);
        let noticed = std::panic::catch_unwind(test).is_err();
        plant(&[]);
        assert!(noticed, "{} was not noticed", bug.name());
    }
}

#[test]
fn of_many_segments_the_largest_that_names_a_reached_end_goes_on() {
    let sim = written(30, 20);
    let want = all(&sim);
    for number in 100..1100 {
        let never_reached = LogPos::new(1, want[29].end.offset + number);
        sim.write_raw(&path(number), forged(number, never_reached, &[5000]));
    }
    let (recovered, seen) = reopen(&sim, config()).unwrap();
    assert_eq!((seen, recovered.dead.len()), (want.clone(), 1000));
    for (number, at) in [(2000, 9), (2001, 4), (2002, 17), (2003, 17), (1500, 29)] {
        sim.write_raw(&path(number), forged(number, want[at].end, &[6000]));
    }
    let (recovered, seen) = reopen(&sim, LogConfig { read_only: true, ..truncating() }).unwrap();
    assert_eq!(
        (&seen[..18], seen[18].seq, seen.len()),
        (&want[..18], 6000, 19),
        "the largest number goes on"
    );
    assert_eq!(recovered.end.segment, 2003);
}
