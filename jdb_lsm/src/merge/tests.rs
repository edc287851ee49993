use super::*;
use crate::level::{LevelCursor, Reading};
use crate::testing::{Rng, Row, on_sim, sort, table_of};
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat};
use jdb_mem::Memtable;
use std::rc::Rc;

/// The key of a letter: itself, or a long one that shares one word or three with its neighbours.
fn key(letter: u8, long: bool) -> Vec<u8> {
    let group = letter / 7;
    let words = [&[b'-'; 7][..], &[group], &[b'+'; 16][..usize::from(group % 2) * 16], &[letter]].concat();
    if long { words } else { vec![letter] }
}

/// Rows of 20 keys spread over a memtable, two tables and a level; returns all of them sorted, and the merge.
async fn merge_of(disk: &Disk, rng: &mut Rng, long: bool) -> (Vec<Row>, Merge, Rc<Memtable>) {
    let mut parts = vec![Vec::new(); 4];
    let mut all = Vec::new();
    for seq in 1..120u64 {
        let row: Row = (key(b'a' + rng.below(20) as u8, long), seq, Kind::Inline, seq.to_le_bytes().to_vec());
        parts[rng.below(4)].push(row.clone());
        all.push(row);
    }
    sort(&mut all);
    let memtable = Rc::new(Memtable::new());
    for (key, seq, kind, value) in &parts[0] {
        memtable.insert(key, SeqNo::new(*seq), *kind, value);
    }
    let mut sources = vec![Source::Memtable(memtable.cursor())];
    for (number, part) in parts[1..3].iter_mut().enumerate() {
        sort(part);
        let table = table_of(disk, number as u32, part).await;
        sources.push(Source::Table(table.reader().await.unwrap().cursor()));
    }
    sort(&mut parts[3]);
    let mut tables = Vec::new();
    for (number, keys) in
        parts[3].chunk_by(|a, b| a.0.last().map(|x| x / 4) == b.0.last().map(|x| x / 4)).enumerate()
    {
        tables.push(table_of(disk, 10 + number as u32, keys).await);
    }
    sources.push(Source::Level(LevelCursor::new(tables, Reading::Cached)));
    (all, Merge::new(sources), memtable)
}

#[test]
fn seeks_steps_and_turns_agree_with_a_sorted_list() {
    for seed in 0..60 {
        on_sim(seed, move |_, disk| async move {
            let mut rng = Rng(seed);
            let long = seed % 2 == 1;
            let (rows, mut merge, _) = merge_of(&disk, &mut rng, long).await;
            merge.seek_forward(&[], SeqNo::MAX).await.unwrap();
            // Position among the rows: 0 is before the first, len + 1 after the last.
            let (mut at, mut forward) = (1, true);
            let end = rows.len() + 1;
            for step in 0..300 {
                let turned = match rng.below(16) {
                    0 => {
                        let key = key(b'a' + rng.below(22) as u8 - 1, long);
                        let seq = SeqNo::new(rng.next() % 130);
                        let below = |row: &Row| {
                            entry_order((&row.0, SeqNo::new(row.1)), (&key, seq)) == Ordering::Less
                        };
                        at = rows.partition_point(below);
                        forward = rng.once_in(2);
                        if forward {
                            merge.seek_forward(&key, seq).await.unwrap();
                            at += 1;
                        } else {
                            merge.seek_backward(&key, seq).await.unwrap();
                        }
                        false
                    }
                    1..=3 => {
                        let turned = forward;
                        merge.turn_backward().await.unwrap();
                        forward = false;
                        turned
                    }
                    4..=6 => {
                        let turned = !forward;
                        merge.turn_forward().await.unwrap();
                        forward = true;
                        turned
                    }
                    _ => {
                        merge.step().await.unwrap();
                        true
                    }
                };
                if turned {
                    at = if forward { (at + 1).min(end) } else { at.saturating_sub(1) };
                }
                let want = at.checked_sub(1).and_then(|at| rows.get(at)).map(|r| (r.0.as_slice(), r.1));
                assert_eq!(merge.entry().map(|e| (e.key, e.seq.get())), want, "seed {seed} step {step}");
            }
        });
    }
}

#[test]
fn a_turn_stays_on_its_side_of_entries_that_came_meanwhile() {
    on_sim(5, |_, disk| async move {
        let (_, mut merge, memtable) = merge_of(&disk, &mut Rng(5), false).await;
        merge.seek_forward(b"h", SeqNo::MAX).await.unwrap();
        let entry = merge.entry().unwrap();
        let (key, seq) = (entry.key.to_vec(), entry.seq);
        for (number, letter) in (b'a'..=b't').enumerate() {
            memtable.insert(&[letter, 0], SeqNo::new(500 + number as u64), Kind::Inline, b"");
        }
        merge.turn_backward().await.unwrap();
        let mut last = (key, seq);
        while let Some(entry) = merge.entry() {
            assert_eq!(entry_order((entry.key, entry.seq), (&last.0, last.1)), Ordering::Less);
            last = (entry.key.to_vec(), entry.seq);
            merge.step().await.unwrap();
        }
        assert_eq!(last.0, b"a");
    });
}

#[test]
fn a_failed_step_loses_the_merge_until_it_is_sought() {
    let mut failures = 0;
    for nth in 0..60 {
        failures += on_sim(nth, move |sim, disk| async move {
            let (rows, mut merge, _) = merge_of(&disk, &mut Rng(7), false).await;
            let at = At::NthOf(OpKind::Read, nth);
            sim.inject(Fault { at, kind: FaultKind::Eio, repeat: Repeat::Once });
            let mut result = merge.seek_forward(&[], SeqNo::MAX).await;
            let mut count = 0;
            while result.is_ok() && merge.entry().is_some() {
                count += 1;
                result = merge.step().await;
            }
            if result.is_ok() {
                assert_eq!(count, rows.len(), "read {nth}");
                return 0;
            }
            assert!(merge.entry().is_none());
            assert!(matches!(merge.step().await, Err(Error::Lost)));
            assert!(matches!(merge.turn_backward().await, Err(Error::Lost)));
            sim.clear_faults();
            merge.seek_forward(&[], SeqNo::MAX).await.unwrap();
            assert!(merge.entry().is_some());
            1
        });
    }
    assert!(failures > 20, "{failures}");
}
