use super::*;
use crate::testing::{Rng, Row, on_sim, row, table_of};
use jdb_base::key::entry_order;
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat};
use std::cmp::Ordering;

/// Three versions of each of the keys b, d, f, .. in tables of two keys.
async fn level(disk: &Disk) -> (Vec<Row>, Vec<Rc<Table>>) {
    let mut rows = Vec::new();
    for key in ["b", "d", "f", "h", "j", "l"] {
        rows.extend([3, 2, 1].map(|seq| row(key, seq)));
    }
    let mut tables = Vec::new();
    for (number, rows) in rows.chunks(6).enumerate() {
        tables.push(table_of(disk, number as u32, rows).await);
    }
    (rows, tables)
}

#[test]
fn a_key_or_a_range_names_its_tables() {
    on_sim(1, |_, disk| async move {
        let (_, tables) = level(&disk).await;
        for (key, want) in [
            ("a", None),
            ("b", Some(0)),
            ("c", Some(0)),
            ("e", None),
            ("f", Some(1)),
            ("l", Some(2)),
            ("m", None),
        ] {
            assert_eq!(find(&tables, key.as_bytes()).map(|t| t.meta().number), want, "{key}");
        }
        for (lower, upper, want) in [
            ("a", Some("b"), vec![]),
            ("a", Some("c"), vec![0]),
            ("d", Some("f"), vec![0]),
            ("e", Some("f"), vec![]),
            ("d", Some("g"), vec![0, 1]),
            ("a", None, vec![0, 1, 2]),
            ("l", None, vec![2]),
            ("m", None, vec![]),
            ("z", Some("a"), vec![]),
        ] {
            let found = overlapping(&tables, lower.as_bytes(), upper.map(str::as_bytes));
            let found: Vec<_> = found.iter().map(|t| t.meta().number).collect();
            assert_eq!(found, want, "{lower}..{upper:?}");
        }
    });
}

#[test]
fn any_walk_agrees_with_a_sorted_list() {
    for seed in 0..40 {
        on_sim(seed, move |_, disk| async move {
            let mut rng = Rng(seed);
            let (rows, tables) = level(&disk).await;
            let mut cursor = LevelCursor::new(tables, [Reading::Cached, Reading::Once][rng.below(2)]);
            // Position among the rows: 0 is before the first, len + 1 after the last.
            let mut at = 0;
            for step in 0..200 {
                match rng.below(9) {
                    0 => {
                        let key = [b'a' + rng.below(14) as u8];
                        let seq = SeqNo::new(rng.next() % 5);
                        cursor.seek(&key, seq).await.unwrap();
                        let below = |row: &Row| {
                            entry_order((&row.0, SeqNo::new(row.1)), (&key, seq)) == Ordering::Less
                        };
                        at = rows.partition_point(below) + 1;
                    }
                    1..=4 => {
                        cursor.next().await.unwrap();
                        at = (at + 1).min(rows.len() + 1);
                    }
                    _ => {
                        cursor.prev().await.unwrap();
                        at = at.saturating_sub(1);
                    }
                }
                let want = at.checked_sub(1).and_then(|at| rows.get(at)).map(|r| (r.0.as_slice(), r.1));
                let found = cursor.entry().map(|e| (e.key, e.seq.get()));
                assert_eq!(found, want, "seed {seed} step {step}");
            }
        });
    }
}

#[test]
fn only_the_table_it_stands_on_is_opened() {
    on_sim(1, |_, disk| async move {
        let (_, tables) = level(&disk).await;
        let mut cursor = LevelCursor::new(tables.clone(), Reading::Once);
        cursor.seek(b"g", SeqNo::MAX).await.unwrap();
        assert_eq!(cursor.entry().unwrap().key, b"h");
        for missing in [0, 2] {
            disk.remove(tables[missing].path()).await.unwrap();
        }
        cursor.next().await.unwrap();
        assert_eq!(cursor.entry().unwrap().key, b"h");
    });
}

#[test]
fn an_error_is_not_the_end_and_a_seek_recovers() {
    on_sim(1, |sim, disk| async move {
        let (rows, tables) = level(&disk).await;
        let mut failures = 0;
        for nth in 0..30 {
            for forward in [true, false] {
                let mut cursor = LevelCursor::new(tables.clone(), Reading::Once);
                if !forward {
                    cursor.seek(b"z", SeqNo::MAX).await.unwrap();
                }
                let at = At::NthOf(OpKind::Read, nth);
                sim.inject(Fault { at, kind: FaultKind::Eio, repeat: Repeat::Once });
                let mut count = 0;
                loop {
                    let step = if forward { cursor.next().await } else { cursor.prev().await };
                    if step.is_err() {
                        failures += 1;
                        assert!(cursor.entry().is_none());
                        assert!(matches!(cursor.next().await, Err(Error::Lost)));
                        sim.clear_faults();
                        cursor.seek(b"a", SeqNo::MAX).await.unwrap();
                        assert_eq!(cursor.entry().unwrap().key, b"b");
                        break;
                    }
                    if cursor.entry().is_none() {
                        assert_eq!(count, rows.len(), "read {nth} forward {forward}");
                        break;
                    }
                    count += 1;
                }
                sim.clear_faults();
            }
        }
        assert!(failures > 10, "{failures}");
    });
}
