use super::model::{World, record_len};
use super::*;
use crate::merge::EntryRef;
use crate::picker::Reason;
use crate::testing::{Row, TINY, on_sim, row, sort, table_of};
use crate::tree::Tree;
use jdb_io::plant::plant;
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat};

/// Seeds of a run without bugs, and seeds within which a planted bug must be found.
const SEEDS: u64 = 40;

fn run(seed: u64, steps: usize) -> Result<super::model::Counts, String> {
    on_sim(seed, move |sim, disk| async move {
        let mut world = World::new(Some(sim), disk, "/".into(), seed);
        world.run(steps).await.map_err(|why| format!("seed {seed}, {why}"))?;
        Ok(world.counts)
    })
}

#[test]
fn every_read_point_reads_the_same_after_any_compactions() {
    let mut total = super::model::Counts::default();
    for seed in 0..SEEDS {
        let counts = run(seed, 400).unwrap_or_else(|why| panic!("{why}"));
        total.flushes += counts.flushes;
        total.merges += counts.merges;
        total.moves += counts.moves;
        total.rewrites += counts.rewrites;
        total.failed += counts.failed;
        total.read_errors += counts.read_errors;
        total.drops_left += counts.drops_left;
        total.tombstones_dropped += counts.tombstones_dropped;
        total.left_out += counts.left_out;
        total.released += counts.released;
        total.deepest = total.deepest.max(counts.deepest);
    }
    let floors = [
        ("merges", total.merges, 5),
        ("moves", total.moves, 1),
        ("rewrites", total.rewrites, 1),
        ("failed", total.failed, 1),
        ("read errors", total.read_errors, 2),
        ("drops left", total.drops_left, 2),
        ("tombstones dropped", total.tombstones_dropped, 1),
        ("left out by flushes", total.left_out, 10),
        ("released", total.released, 1),
    ];
    for (what, count, a_seed) in floors {
        assert!(count >= a_seed * SEEDS / 4, "{what}: {total:?}");
    }
    assert!(total.deepest >= 3, "{total:?}");
}

/// A window was open while another one of its namespace was aborted; when it was aborted too, the row below both was gone:
/// what a window may uncover had been decided with the drops of its start instead of those of today.
#[test]
fn overlapping_imports_that_are_aborted_uncover_the_old_row() {
    run(1421, 400).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn every_planted_bug_is_found() {
    for bug in [
        Plant::TombstoneDroppedEarly,
        Plant::SnapshotIgnored,
        Plant::CutInsideKey,
        Plant::SwallowReadError,
        Plant::DropSeqAtEnd,
        Plant::ShadowBeforeDrops,
    ] {
        plant(&[bug]);
        let found = (0..SEEDS).find(|&seed| run(seed, 400).is_err());
        plant(&[]);
        assert!(found.is_some(), "{bug:?} was not found");
    }
}

#[test]
fn a_real_disk_gives_the_same() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let runtime = jdb_io::runtime(&jdb_io::RuntimeConfig::default()).unwrap();
        runtime.block_on(async {
            let disk = Disk::real();
            let mut world = World::new(None, disk.clone(), dir.path().to_owned(), seed);
            if let Err(why) = world.run(300).await {
                panic!("seed {seed}, {why}");
            }
            disk.drain().await;
        });
    }
}

/// Reads the newest sequence only; expires what ends in `x`, forgets what ends in `f`, replaces what ends in `r` and in `p`.
struct Judge;

fn encoded(segment: u32, len: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    ValuePtr { segment, offset: 1, len: u32::from(len) }.encode(&mut bytes);
    bytes
}

impl Keeper for Judge {
    fn now(&self) -> SeqNo {
        SeqNo::new(100)
    }

    fn judges(&self) -> bool {
        true
    }

    fn judge(&self, run: &[EntryRef<'_>], verdicts: &mut [Verdict]) {
        for (entry, verdict) in run.iter().zip(verdicts) {
            match entry.value.last() {
                Some(b'x') => *verdict = Verdict::Replace(Kind::Tombstone, Vec::new()),
                Some(b'f') => *verdict = Verdict::Drop,
                Some(b'r') => *verdict = Verdict::Replace(Kind::Inline, b"replaced".to_vec()),
                Some(b'p') => *verdict = Verdict::Replace(Kind::Pointer, encoded(9, 5)),
                _ => {}
            }
        }
    }
}

fn plan_of(tables: &[Rc<Table>], to: usize) -> Plan {
    Plan {
        reason: Reason::Count,
        from: 0,
        to,
        inputs: tables.iter().map(|table| table.meta().number).collect(),
        below: Vec::new(),
        first_key: Vec::new(),
        last_key: vec![0xff],
        is_trivial: false,
    }
}

fn options() -> CompactionOptions {
    CompactionOptions { writer: TINY, table_len: 300, record_len, tracked: Vec::new() }
}

async fn rows_of(table: &Table) -> Vec<Row> {
    let mut cursor = table.reader().await.unwrap().cursor();
    cursor.seek_first().await.unwrap();
    let mut rows = Vec::new();
    while let Some(e) = cursor.entry() {
        rows.push((e.key.to_vec(), e.seq.get(), e.kind, e.value.to_vec()));
        cursor.next().await.unwrap();
    }
    rows
}

fn inline(key: &str, seq: u64, value: &str) -> Row {
    (key.into(), seq, Kind::Inline, value.into())
}

#[test]
fn verdicts_come_before_shadowing() {
    let gone = |key: &str, seq| (key.as_bytes().to_vec(), seq, Kind::Tombstone, Vec::new());
    for (what, rows, with_below, want) in [
        ("kept", vec![inline("a", 2, "v"), inline("a", 1, "v")], false, vec![inline("a", 2, "v")]),
        (
            "dropped: an older one shows",
            vec![inline("a", 2, "f"), inline("a", 1, "v")],
            false,
            vec![inline("a", 1, "v")],
        ),
        ("expired: nothing shows", vec![inline("a", 2, "x"), inline("a", 1, "v")], false, vec![]),
        ("expired over a deeper table", vec![inline("a", 2, "x")], true, vec![gone("a", 2)]),
        ("replaced", vec![inline("a", 2, "r")], false, vec![inline("a", 2, "replaced")]),
        (
            "a tombstone over a deeper table",
            vec![gone("a", 2), inline("b", 3, "v")],
            true,
            vec![gone("a", 2), inline("b", 3, "v")],
        ),
        ("a tombstone beside a deeper table", vec![gone("z", 2)], true, vec![]),
        ("everything dropped", vec![inline("a", 2, "f"), inline("b", 1, "f")], true, vec![]),
    ] {
        let found = on_sim(1, move |_, disk| async move {
            let table = table_of(&disk, 1, &rows).await;
            let mut levels = vec![vec![table.clone()], vec![], vec![]];
            if with_below {
                levels[2].push(table_of(&disk, 2, &[row("a", 1), row("b", 1)]).await);
            }
            let tree = Tree::new(levels);
            let plan = plan_of(&[table], 1);
            let compaction =
                Compaction::new(&disk, &tree.version(), plan, Rc::new(Judge), options()).unwrap();
            let result = compaction.run(&mut || (9, "/9.sst".into())).await.unwrap();
            assert_eq!(result.log_needed, SeqNo::new(100));
            assert_eq!(result.progress.read_count as usize, rows.len());
            let added: Vec<_> = (result.added.iter())
                .map(|meta| {
                    Rc::new(Table::new(
                        &disk,
                        "/9.sst".into(),
                        meta.clone(),
                        None,
                        &crate::testing::handles(),
                    ))
                })
                .collect();
            tree.compacted(&result, added.clone());
            match added.first() {
                Some(table) => rows_of(table).await,
                None => Vec::new(),
            }
        });
        assert_eq!(found, want, "{what}");
    }
}

#[test]
fn what_is_left_out_or_replaced_is_taken_from_the_account_and_what_is_kept_is_not() {
    let pointer =
        |key: &str, seq, segment, len| (key.as_bytes().to_vec(), seq, Kind::Pointer, encoded(segment, len));
    let rows = vec![
        pointer("a", 12, 1, 7),
        pointer("b", 11, 1, 7),
        pointer("b", 10, 2, 8),
        pointer("c", 9, 3, b'f'),
        pointer("d", 8, 4, b'x'),
        pointer("e", 7, 5, b'r'),
        pointer("f", 6, 6, b'p'),
        pointer("g", 5, 1, 7),
        pointer("g", 4, 7, b'p'),
    ];
    let live = on_sim(1, move |_, disk| async move {
        let table = table_of(&disk, 1, &rows).await;
        let tree = Tree::new(vec![vec![table.clone()], vec![]]);
        let plan = plan_of(&[table], 1);
        let compaction = Compaction::new(&disk, &tree.version(), plan, Rc::new(Judge), options()).unwrap();
        let mut number = 8;
        let mut next = || {
            number += 1;
            (number, format!("/{number}.sst").into())
        };
        compaction.run(&mut next).await.unwrap().live
    });
    let change =
        |sign: i64, len: u8| LiveChange { len: sign * record_len(1, len.into()) as i64, count: sign };
    let want = [
        (2, change(-1, 8)),
        (3, change(-1, b'f')),
        (4, change(-1, b'x')),
        (5, change(-1, b'r')),
        (6, change(-1, b'p')),
        (7, change(-1, b'p')),
        (9, change(1, 5)),
    ];
    assert_eq!(live, BTreeMap::from(want));
}

#[test]
fn a_move_reads_and_writes_nothing() {
    on_sim(1, |sim, disk| async move {
        let tables = vec![table_of(&disk, 2, &[row("c", 2)]).await, table_of(&disk, 1, &[row("a", 1)]).await];
        let tree = Tree::new(vec![tables.clone()]);
        let plan = Plan { is_trivial: true, ..plan_of(&tables, 1) };
        let compaction = Compaction::new(&disk, &tree.version(), plan, Rc::new(Judge), options()).unwrap();
        let before = sim.boundaries();
        let result = compaction.run(&mut || unreachable!("no table is written")).await.unwrap();
        tree.compacted(&result, Vec::new());
        assert_eq!(sim.boundaries(), before);
        let numbers = |level: usize| -> Vec<u32> {
            tree.version().levels[level].iter().map(|table| table.meta().number).collect()
        };
        assert_eq!((numbers(0), numbers(1)), (vec![], vec![1, 2]));
        assert_eq!(tree.retired_count(), 0);
    });
}

#[test]
fn a_failed_compaction_leaves_no_file_and_the_tree_as_it_was() {
    let mut failures = 0;
    for kind in [OpKind::Open, OpKind::Read, OpKind::Create, OpKind::Write, OpKind::Sync] {
        for nth in 0..12 {
            failures += on_sim(nth, move |sim, disk| async move {
                let mut rows: Vec<Row> = (0..60).map(|n| row(&format!("{n:03}"), n + 1)).collect();
                sort(&mut rows);
                let table = table_of(&disk, 1, &rows).await;
                let tree = Tree::new(vec![vec![table.clone()]]);
                let plan = plan_of(&[table], 1);
                let compaction =
                    Compaction::new(&disk, &tree.version(), plan, Rc::new(Judge), options()).unwrap();
                sim.inject(Fault { at: At::NthOf(kind, nth), kind: FaultKind::Eio, repeat: Repeat::Once });
                let mut number = 1;
                let result = compaction
                    .run(&mut || {
                        number += 1;
                        (number, format!("/{number}.sst").into())
                    })
                    .await;
                sim.clear_faults();
                let files = disk.list(Path::new("/")).await.unwrap().len();
                match result {
                    Ok(result) => {
                        assert_eq!(files, 1 + result.added.len());
                        assert!(result.added.len() > 3);
                        assert_eq!(result.added.iter().map(|meta| meta.count).sum::<u64>(), 60);
                        0
                    }
                    Err(_) => {
                        assert_eq!(files, 1, "{kind:?} {nth}");
                        1
                    }
                }
            });
        }
    }
    assert!(failures > 20, "{failures}");
}

#[test]
fn after_an_error_it_can_only_be_discarded() {
    on_sim(1, |sim, disk| async move {
        let table = table_of(&disk, 1, &[row("a", 1)]).await;
        let tree = Tree::new(vec![vec![table.clone()]]);
        let plan = plan_of(&[table], 1);
        let stale = Plan { inputs: vec![7], ..plan.clone() };
        let stale = Compaction::new(&disk, &tree.version(), stale, Rc::new(Judge), options());
        assert!(matches!(stale, Err(Error::Unplanned { level: 0 })));
        let mut compaction =
            Compaction::new(&disk, &tree.version(), plan, Rc::new(Judge), options()).unwrap();
        let mut next_file = || (2, PathBuf::from("/2.sst"));
        sim.inject(Fault { at: At::Nth(1), kind: FaultKind::Eio, repeat: Repeat::Once });
        assert!(!matches!(compaction.step(&mut next_file).await, Ok(_) | Err(Error::Lost)));
        assert!(matches!(compaction.step(&mut next_file).await, Err(Error::Lost)));
        assert!(matches!(compaction.finish(), Err(Error::Lost)));
    });
}
