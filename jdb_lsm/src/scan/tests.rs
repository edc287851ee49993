use super::*;
use crate::testing::{Rng, Row as Entry, on_sim, row, sort, table_of};
use crate::tree::Tree;
use jdb_io::Disk;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat};
use jdb_mem::Memtable;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Sequence that the scans read at, of 100 that are there at first.
const SEQ: u64 = 80;

/// Versions of 30 keys in a memtable, two tables of level 0 and a level of many, and the rows that a read at [`SEQ`] sees.
async fn tree_of(disk: &Disk, rng: &mut Rng) -> (Tree, BTreeMap<Vec<u8>, u64>) {
    let mut parts: Vec<Vec<Entry>> = vec![Vec::new(); 4];
    let mut rows = BTreeMap::new();
    for seq in 0..100u64 {
        let mut entry = row(&format!("{:02}", rng.below(30)), seq);
        if rng.once_in(4) {
            (entry.2, entry.3) = (Kind::Tombstone, Vec::new());
        }
        if seq <= SEQ {
            rows.insert(entry.0.clone(), (entry.2 != Kind::Tombstone).then_some(seq));
        }
        if let Some(part) = parts.get_mut(seq as usize / 25) {
            part.push(entry);
        }
    }
    let mut newest = parts.pop().unwrap_or_default();
    parts.iter_mut().for_each(|part| sort(part));
    let mut levels = vec![Vec::new(), Vec::new()];
    for (number, keys) in parts[0].chunk_by(|a, b| a.0[0] == b.0[0]).enumerate() {
        levels[1].push(table_of(disk, number as u32, keys).await);
    }
    for number in [2, 1] {
        levels[0].push(table_of(disk, 10 + number as u32, &parts[number]).await);
    }
    let tree = Tree::new(levels);
    newest.drain(..).for_each(|entry| put(&tree.active(), &entry));
    (tree, rows.into_iter().filter_map(|(key, seq)| Some((key, seq?))).collect())
}

fn put(memtable: &Memtable, (key, seq, kind, value): &Entry) {
    memtable.insert(key, SeqNo::new(*seq), *kind, value);
}

fn scan_of(tree: &Tree) -> Scan {
    Scan::new(tree.version(), SeqNo::new(SEQ), Hidden::NONE, b"03".to_vec(), b"26".to_vec())
}

/// Compares the row under the scan with the one wanted.
fn check(scan: &Scan, want: Option<&(Vec<u8>, u64)>, about: &str) {
    let found = scan.row().map(|row| (row.key.to_vec(), row.seq.get()));
    assert_eq!(found.as_ref(), want, "{about}");
    if let Some(row) = scan.row() {
        let value = format!("{}@{}", String::from_utf8_lossy(row.key), row.seq.get());
        assert_eq!(row.payload().expect("inline"), Payload::Inline(value.into()), "{about}");
    }
}

/// Walks at random, with seeks and turns, while keys that the scan does not see come in.
#[test]
fn any_mix_of_steps_agrees_with_a_map_while_keys_come_in() {
    for seed in 0..150 {
        on_sim(seed, move |_, disk| async move {
            let mut rng = Rng(seed);
            let (tree, rows) = tree_of(&disk, &mut rng).await;
            // Bounds between the keys, and none.
            let (lower, upper) =
                if seed % 3 == 0 { (vec![], vec![0xff]) } else { (b"03".to_vec(), b"26".to_vec()) };
            let rows = rows.range(lower.clone()..upper.clone());
            let rows: Vec<(Vec<u8>, u64)> = rows.map(|(key, seq)| (key.clone(), *seq)).collect();
            let mut scan = Scan::new(tree.version(), SeqNo::new(SEQ), Hidden::NONE, lower, upper);
            // Rows that lie before the place, and whether it is on the next one.
            let (mut before, mut on) = (0, false);
            for step in 0..400u64 {
                if rng.once_in(3) {
                    let key = format!("{:02}{}", rng.below(30), ["", "+"][rng.below(2)]);
                    put(&tree.active(), &row(&key, 1000 + step));
                }
                let about = format!("seed {seed} step {step}");
                if rng.once_in(10) {
                    let row = scan.row().map(|row| (row.key.to_vec(), row.seq.get()));
                    scan.repin(tree.version());
                    check(&scan, row.as_ref(), &about);
                }
                match rng.below(20) {
                    0 => {
                        let key = format!("{:02}", rng.below(30)).into_bytes();
                        scan.seek(&key);
                        (before, on) = (rows.partition_point(|row| row.0 < key), false);
                    }
                    1 => {
                        scan.seek_start();
                        (before, on) = (0, false);
                    }
                    2 => {
                        scan.seek_end();
                        (before, on) = (rows.len(), false);
                    }
                    3..=11 => {
                        before += usize::from(on);
                        on = before < rows.len();
                        // Where it would have to wait, the scan is none the worse for having been asked.
                        let ready = if rng.once_in(2) { scan.next_ready().unwrap() } else { None };
                        let found = if let Some(found) = ready { found } else { scan.next().await.unwrap() };
                        assert_eq!(found, on, "{about}");
                    }
                    _ => {
                        on = before > 0;
                        before = before.saturating_sub(1);
                        let ready = if rng.once_in(2) { scan.prev_ready().unwrap() } else { None };
                        let found = if let Some(found) = ready { found } else { scan.prev().await.unwrap() };
                        assert_eq!(found, on, "{about}");
                    }
                }
                check(&scan, rows.get(before).filter(|_| on), &about);
            }
        });
    }
}

/// Rows `a` and `c` are seen; behind the scan's back keys come between them, where the merge has already passed.
#[test]
fn a_turned_scan_does_not_give_its_row_again_when_keys_came_meanwhile() {
    on_sim(1, |_, disk| async move {
        let table = table_of(&disk, 1, &[row("a", 1), row("c", 2), row("e", 3)]).await;
        let tree = Tree::new(vec![vec![table]]);
        put(&tree.active(), &row("b", 4));
        put(&tree.active(), &row("d", 5));
        let mut scan = Scan::new(tree.version(), SeqNo::new(9), Hidden::NONE, Vec::new(), vec![0xff]);
        let key = |scan: &Scan| scan.row().map(|row| String::from_utf8_lossy(row.key).into_owned());
        for target in ["a", "b", "c", "d"] {
            scan.seek(target.as_bytes());
            assert!(scan.next().await.unwrap() && scan.next().await.unwrap(), "two rows from {target}");
            let right = key(&scan);
            assert!(scan.prev().await.unwrap());
            assert_eq!(key(&scan).as_deref(), Some(target));
            // On `target`, gone backward: the merge sits before it. These lie behind where it sits.
            for (seq, version) in
                [(20, format!("{target}!")), (21, target.to_owned()), (22, format!("{target}~"))]
            {
                let seq = seq + u64::from(target.as_bytes()[0]) * 10;
                put(&tree.active(), &row(&version, seq));
                let below = [target.as_bytes()[0] - 1, b'~'];
                put(&tree.active(), &row(&String::from_utf8_lossy(&below), seq + 5000));
            }
            assert!(scan.next().await.unwrap(), "turned forward on {target}");
            assert_eq!(key(&scan), right, "turned forward on {target}");
            for (seq, version) in [(7000, "!"), (7001, ""), (7002, "~")] {
                let seq = seq + u64::from(target.as_bytes()[0]) * 10;
                put(&tree.active(), &row(&format!("{target}{version}{version}"), seq));
                put(
                    &tree.active(),
                    &row(&format!("{}{version}", right.as_deref().unwrap_or("")), seq + 5000),
                );
            }
            assert!(scan.prev().await.unwrap(), "turned backward behind {target}");
            assert_eq!(key(&scan).as_deref(), Some(target), "turned backward behind {target}");
        }
    });
}

/// Every read of a walk fails once, or is given up once; what was not given is given by the steps after it.
#[test]
fn a_walk_goes_on_after_a_failed_or_abandoned_step() {
    for seed in 0..40 {
        for (forward, abandon) in [(true, false), (false, false), (true, true), (false, true)] {
            on_sim(seed, move |sim, disk| async move {
                let mut rng = Rng(seed);
                let (tree, rows) = tree_of(&disk, &mut rng).await;
                let mut want: Vec<(Vec<u8>, u64)> = rows
                    .range(b"03".to_vec()..b"26".to_vec())
                    .map(|(key, seq)| (key.clone(), *seq))
                    .collect();
                let mut scan = scan_of(&tree);
                if !forward {
                    scan.seek_end();
                    want.reverse();
                }
                let (mut found, mut failures) = (Vec::new(), 0);
                loop {
                    if rng.once_in(2) {
                        if abandon {
                            let mut context = Context::from_waker(Waker::noop());
                            let polled = if forward {
                                pin!(scan.next()).poll(&mut context)
                            } else {
                                pin!(scan.prev()).poll(&mut context)
                            };
                            match polled {
                                Poll::Pending => failures += 1,
                                Poll::Ready(Ok(true)) => found.push(given(&scan)),
                                Poll::Ready(_) => break,
                            }
                            continue;
                        }
                        let at = At::NthOf(OpKind::Read, 0);
                        sim.inject(Fault { at, kind: FaultKind::Eio, repeat: Repeat::Once });
                    }
                    let more = if forward { scan.next().await } else { scan.prev().await };
                    sim.clear_faults();
                    match more {
                        Ok(true) => found.push(given(&scan)),
                        Ok(false) => break,
                        Err(_) => {
                            failures += 1;
                            assert!(scan.row().is_none(), "seed {seed}");
                        }
                    }
                }
                assert_eq!(found, want, "seed {seed} forward {forward} abandon {abandon}");
                assert!(failures > 0, "seed {seed} forward {forward} abandon {abandon}");
            });
        }
    }
}

fn given(scan: &Scan) -> (Vec<u8>, u64) {
    scan.row().map(|row| (row.key.to_vec(), row.seq.get())).unwrap_or_default()
}
