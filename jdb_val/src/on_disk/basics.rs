//! Appending, reading, rotating, reopening, footers.

use super::harness::*;
use crate::{Checkpoint, Error, LogConfig, LogPos, Op, RecordKind, Sealed};
use jdb_base::ValuePtr;
use jdb_io::{Disk, Handles};
use std::rc::Rc;

#[test]
fn what_was_appended_is_read_back_and_replayed_in_order() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(
            (recovered.end, recovered.records, recovered.torn, seen.len()),
            (LogPos::START, 0, false, 0)
        );
        let mut next = 5;
        let delete = Op { kind: RecordKind::Delete, key: key(7, "a"), value: bytes::Bytes::new() };
        let batches =
            [vec![put(7, "a", "one"), put(8, "b", "")], vec![delete], vec![put(7, "big", vec![9; 300_000])]];
        let placed = append(&log, &mut next, &batches).await.unwrap();
        assert_eq!(placed.iter().map(|p| p.seq.get()).collect::<Vec<_>>(), [1000, 1001, 1002, 1003]);
        assert_eq!(
            log.chain().iter().map(|s| s.number).collect::<Vec<_>>(),
            [5, 6],
            "the big batch has its own segment"
        );
        for (batch, placed) in
            batches.concat().iter().zip(&placed).filter(|(op, _)| op.kind == RecordKind::Put)
        {
            assert_eq!(log.read(placed.ptr, &batch.key, placed.seq).await.unwrap(), batch.value);
        }
        assert_eq!((log.unsynced_span(), log.synced()), (4, LogPos::START));
        assert_eq!(log.sync().await.unwrap(), log.written());
        assert_eq!(log.unsynced_span(), 0);
        assert!(log.mark().await.unwrap() || log.chain().len() == 2);
        let written = log.written();
        drop(log);
        let (log, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!((recovered.end, recovered.torn, recovered.max_number), (written, false, 6));
        let ops: Vec<_> = seen.iter().filter(|s| s.kind != RecordKind::Mark).collect();
        assert_eq!(ops.len(), 4);
        for (op, seen) in batches.concat().iter().zip(&ops) {
            assert_eq!((&op.key, op.kind, &op.value[..]), (&seen.key, seen.kind, &seen.value[..]));
        }
        assert_eq!(log.read(placed[3].ptr, &key(7, "big"), placed[3].seq).await.unwrap().len(), 300_000);
    });
}

#[test]
fn a_group_is_one_write_and_opening_writes_only_the_unproven_tail() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(disk.counters().writes + disk.counters().syncs + disk.counters().dir_syncs, 0);
        let batches: Vec<_> = (0..10).map(|i| vec![put(1, &format!("{i}"), "value")]).collect();
        append(&log, &mut 1, &batches).await.unwrap();
        assert_eq!(disk.counters().writes, 1, "header and group together");
        append(&log, &mut 2, &batches).await.unwrap();
        assert_eq!(disk.counters().writes, 2);
        log.sync().await.unwrap();
        assert_eq!((disk.counters().syncs, disk.counters().dir_syncs), (1, 1));
        append(&log, &mut 2, &batches).await.unwrap();
        log.sync().await.unwrap();
        log.sync().await.unwrap();
        assert_eq!((disk.counters().syncs, disk.counters().dir_syncs), (2, 1), "nothing new, nothing synced");
        let before = disk.counters();
        let (_, recovered, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let after = disk.counters();
        assert_eq!(
            (after.writes, after.syncs, after.dir_syncs),
            (before.writes + 1, before.syncs + 1, before.dir_syncs + 1),
            "the group that no record behind it knows to be synced"
        );
        let checkpoint =
            Checkpoint { replay_from: recovered.end, last_seq: recovered.last_seq, ..Checkpoint::default() };
        open(&disk, config(), &checkpoint).await.unwrap();
        assert_eq!(disk.counters().syncs, after.syncs, "no tail, nothing synced");
    });
}

#[test]
fn segments_rotate_at_their_length_and_a_batch_is_never_split() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..60 {
            let batch: Vec<_> = (0..=i % 9).map(|j| put(3, &format!("{i} {j}"), vec![1; 100])).collect();
            append(&log, &mut next, &[batch]).await.unwrap();
        }
        let chain = log.chain();
        assert!(chain.len() > 8, "{}", chain.len());
        assert!(chain.iter().all(|s| u64::from(s.end) * 8 <= config().segment_len));
        for pair in chain.windows(2) {
            assert_eq!(pair[1].pred, LogPos::new(pair[0].number, pair[0].end));
            assert!(pair[0].seq_max < pair[1].seq_min);
        }
        assert_eq!(chain.iter().filter(|s| s.open).count(), 1);
        log.seal();
        assert_eq!(log.chain().iter().filter(|s| s.open).count(), 0);
        append(&log, &mut next, &[vec![put(1, "x", "y")]]).await.unwrap();
        assert_eq!(log.chain().len(), chain.len() + 1, "sealed: a new segment");
        log.sync().await.unwrap();
        let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(recovered.end, log.written());
        assert_eq!(seen.len() as u64, recovered.records);
        assert_eq!(seen.len() as u64, log.stats().records);
    });
}

#[test]
fn replay_starts_at_the_checkpoint_and_sealed_segments_stay_readable() {
    let sim = written(60, 200);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        for at in [1, 15, 16, 17, 40, 59] {
            let (before, from) = (&seen[at - 1], &seen[at]);
            for replay_from in [before.end, from.pos] {
                let mut checkpoint =
                    Checkpoint { replay_from, last_seq: seq(before.seq), ..Checkpoint::default() };
                for segment in log.chain().iter().filter(|s| LogPos::new(s.number, s.end) <= replay_from) {
                    let (seq_min, seq_max) = (segment.seq_min, segment.seq_max);
                    let sealed = Sealed {
                        end: segment.end,
                        pred: segment.pred,
                        pred_last_seq: segment.pred_last_seq,
                        seq_min,
                        seq_max,
                        footer: None,
                    };
                    checkpoint.sealed.insert(segment.number, sealed);
                }
                let (again, found, rest) = open(&disk, config(), &checkpoint).await.unwrap();
                assert_eq!(rest, seen[at..], "from {replay_from}");
                assert_eq!((found.end, found.last_seq), (recovered.end, recovered.last_seq));
                for s in &seen {
                    let ptr = ValuePtr { segment: s.pos.segment, offset: s.pos.offset, len: 200 };
                    assert_eq!(again.read(ptr, &s.key, seq(s.seq)).await.unwrap(), s.value);
                }
            }
        }
    });
}

#[test]
pub(super) fn only_exactly_the_named_record_is_read() {
    let sim = written(20, 50);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let (s, other) = (&seen[3], &seen[4]);
        let ptr = ValuePtr { segment: s.pos.segment, offset: s.pos.offset, len: 50 };
        log.read(ptr, &s.key, seq(s.seq)).await.unwrap();
        let cases = [
            ("sequence", ptr, &s.key, s.seq + 1),
            ("key", ptr, &other.key, s.seq),
            ("longer key", ptr, &key(7, "key 3 and more"), s.seq),
            ("length", ValuePtr { len: 49, ..ptr }, &s.key, s.seq),
            ("longer", ValuePtr { len: 51, ..ptr }, &s.key, s.seq),
            ("offset", ValuePtr { offset: ptr.offset + 1, ..ptr }, &s.key, s.seq),
            ("header", ValuePtr { offset: 0, ..ptr }, &s.key, s.seq),
            ("neighbour", ValuePtr { offset: other.pos.offset, ..ptr }, &s.key, s.seq),
            ("behind the end", ValuePtr { offset: u32::MAX, ..ptr }, &s.key, s.seq),
            ("huge", ValuePtr { len: u32::MAX, ..ptr }, &s.key, s.seq),
        ];
        for (what, ptr, key, number) in cases {
            let error = log.read(ptr, key, seq(number)).await.unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
            assert!(error.path().is_some_and(|p| p == path(1)), "{what}: {error}");
        }
        let error = log.read(ValuePtr { segment: 99, ..ptr }, &s.key, seq(s.seq)).await.unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    });
}

#[test]
fn arguments_over_their_limits_are_refused_before_anything_is_written() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let long = Op { kind: RecordKind::Put, key: vec![0; 65_536], value: bytes::Bytes::new() };
        let error = append(&log, &mut 1, &[vec![put(1, "a", "b")], vec![long]]).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { what: "key length", len: 65_536, max: 65_535 }), "{error}");
        let empty = log.append(&[&[], &[]], &mut || unreachable!()).await.unwrap();
        assert_eq!((empty.batches, empty.end), (2, LogPos::START));
        assert_eq!(disk.counters().writes, 0);
    });
}

#[test]
fn footers_find_a_namespace_and_are_made_again_when_bad() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    let shared = sim.clone();
    run(&sim, async move {
        let config = LogConfig { segment_len: 64 << 10, ..config() };
        let (log, _, _) = open(&disk, config.clone(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        let mut placed = Vec::new();
        for i in 0..500u64 {
            placed.push((
                i % 37,
                append(&log, &mut next, &[vec![put(i % 37, "k", vec![0; 40])]]).await.unwrap()[0],
            ));
        }
        log.sync().await.unwrap();
        log.seal();
        let place = log.write_footer(1).await.unwrap();
        let footer = log.read_footer(1, place).await.unwrap();
        assert_eq!((footer.summary().records, footer.summary().namespaces), (500, 37));
        assert_eq!(footer.summary().seq_max, placed[499].1.seq);
        for ns in 0..40 {
            let before = disk.counters().reads;
            let found: Vec<u32> = footer.find(ns.into()).await.unwrap().iter().map(|r| r.offset).collect();
            assert!(disk.counters().reads - before <= 1);
            let want: Vec<u32> = placed.iter().filter(|p| p.0 == ns).map(|p| p.1.ptr.offset).collect();
            assert_eq!(found, want, "namespace {ns}");
        }
        for bad in [
            (place.0 + 4096, place.1),
            (place.0, place.1 + 4096),
            (0, 4096),
            (place.0, u32::MAX),
            (u64::MAX, 4096),
        ] {
            assert!(
                matches!(log.read_footer(1, bad).await, Err(Error::Corrupt { .. } | Error::Io(_))),
                "{bad:?}"
            );
        }
        shared.flip_bit(&path(1), (place.0 + 100) * 8);
        assert!(log.read_footer(1, place).await.is_err_and(|e| e.is_damage()));
        assert_eq!(log.write_footer(1).await.unwrap(), place);
        assert_eq!(log.read_footer(1, place).await.unwrap().summary(), footer.summary());
        let (_, recovered, seen) = open(&disk, config, &Checkpoint::default()).await.unwrap();
        assert_eq!((recovered.end, seen.len()), (log.written(), 500), "a footer is no part of the log");
    });
}

#[test]
fn open_files_are_bounded_and_close_the_least_recently_used() {
    let sim = written(200, 200);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let config = LogConfig { handles: Rc::new(Handles::new(3, usize::MAX)), ..config() };
        let (log, _, seen) = open(&disk, config, &Checkpoint::default()).await.unwrap();
        assert!(log.chain().len() > 8);
        for s in seen.iter().chain(&seen) {
            let ptr = ValuePtr { segment: s.pos.segment, offset: s.pos.offset, len: 200 };
            log.read(ptr, &s.key, seq(s.seq)).await.unwrap();
            assert!(log.stats().open_files <= 3);
            assert!(disk.counters().open_files <= 3);
        }
        let opens = disk.counters().opens;
        let s = &seen[199];
        let ptr = ValuePtr { segment: s.pos.segment, offset: s.pos.offset, len: 200 };
        log.read(ptr, &s.key, seq(s.seq)).await.unwrap();
        assert_eq!(disk.counters().opens, opens);
    });
}

#[test]
fn mark_is_written_once_and_only_when_all_is_synced() {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert!(!log.mark().await.unwrap(), "no segment");
        append(&log, &mut 1, &[vec![put(1, "a", "b")]]).await.unwrap();
        assert!(!log.mark().await.unwrap(), "not synced");
        log.sync().await.unwrap();
        assert!(log.mark().await.unwrap());
        assert!(!log.mark().await.unwrap(), "a mark is last");
        assert_eq!(log.unsynced_span(), 1, "a mark takes a sequence");
        log.sync().await.unwrap();
        assert!(!log.mark().await.unwrap(), "a mark is last");
        let (_, _, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.kind).collect::<Vec<_>>(), [RecordKind::Put, RecordKind::Mark]);
    });
}

#[test]
fn without_numbers_left_an_append_that_needs_a_segment_is_refused() {
    let sim = sim(1);
    sim.write_raw(&path(u32::MAX).with_extension("sst"), Vec::new());
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, recovered, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!(recovered.max_number, u32::MAX);
        let mut offered = || u32::MAX;
        let batch = [put(1, "a", "b")];
        for _ in 0..3 {
            let error = log.append(&[&batch], &mut offered).await.unwrap_err();
            assert!(matches!(error, Error::NoNumber { number: u32::MAX, .. }), "{error}");
        }
        log.append(&[&batch], &mut || u32::MAX - 1).await.unwrap();
        let large = [put(1, "a", vec![0; 5000])];
        for number in [u32::MAX, u32::MAX - 1, 7, 0] {
            let error = log.append(&[&large], &mut || number).await.unwrap_err();
            assert!(matches!(error, Error::NoNumber { newest: 0xffff_fffe, .. }), "{error}");
        }
        log.append(&[&batch], &mut offered).await.unwrap();
        assert_eq!(log.chain().len(), 1, "what fits goes on in the open segment");
        log.sync().await.unwrap();
        let (_, recovered, seen) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        assert_eq!((recovered.end, seen.len()), (log.written(), 2));
    });
}

#[test]
fn records_across_the_border_of_what_is_read_at_once_are_replayed_wherever_it_cuts_them() {
    // One record moves all that follow by 8 bytes each time, so that the border falls everywhere in a record of 72 bytes.
    for shift in 0..9 {
        let sim = sim(1);
        let disk = Disk::sim(&sim);
        let mut batches = vec![vec![put(1, "first", vec![1; 100 + 8 * shift])]];
        batches.extend((0..4000u32).map(|i| vec![put(1, &format!("{i:05}"), i.to_le_bytes().repeat(8))]));
        // A batch that the border cuts is read again from its first record on.
        batches.extend(
            (0..1500u32).map(|i| (0..4).map(|n| put(2, &format!("{i:05}{n}"), vec![n; 9])).collect()),
        );
        let want: Vec<_> = batches.iter().flatten().map(|op| (op.key.clone(), op.value.to_vec())).collect();
        run(&sim, async move {
            let config = LogConfig { segment_len: 4 << 20, ..config() };
            let (log, _, _) = open(&disk, config, &Checkpoint::default()).await.unwrap();
            append(&log, &mut 1, &batches).await.unwrap();
            log.sync().await.unwrap();
        });
        let (recovered, seen) = reopen(&sim, config()).unwrap();
        let seen: Vec<_> = seen.into_iter().map(|seen| (seen.key, seen.value)).collect();
        assert!(recovered.replayed_len > 2 * crate::reader::WINDOW_LEN as u64);
        assert!(seen == want, "shifted by {shift} units: {} of {}", seen.len(), want.len());
    }
}
