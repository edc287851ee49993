use super::*;
use crate::Held;
use crate::testing::Rng;
use jdb_base::SeqNo;

/// A table: number, keys as `first..=last` letters, length, hidden bytes, tombstones, waiting drops.
type T = (u32, &'static str, u64, u64, u64, u64);

const OPTIONS: PickerOptions = PickerOptions {
    newest_count: 3,
    base_len: 100,
    ratio: 10,
    run_len: 100,
    hidden_part: 10,
    hidden_len_min: 10,
};

fn metas(levels: &[&[T]]) -> Vec<Vec<(TableMeta, u64)>> {
    let meta = |&(number, keys, len, hidden_len, tombstones, waiting): &T| {
        let (first_key, last_key) = (keys.as_bytes()[..1].to_vec(), keys.as_bytes()[1..].to_vec());
        let [count, seq] = [1, u64::from(number)];
        let meta = TableMeta {
            number,
            len,
            count,
            first_key,
            last_key,
            seq_min: SeqNo::new(seq),
            seq_max: SeqNo::new(seq),
            drop_seq: SeqNo::ZERO,
            judged_seq: SeqNo::ZERO,
            id: [0; 16],
            tombstones,
            hidden_len,
            held: Held::default(),
        };
        (meta, waiting)
    };
    levels.iter().map(|tables| tables.iter().map(meta).collect()).collect()
}

fn candidates(metas: &[Vec<(TableMeta, u64)>]) -> Vec<Vec<Candidate<'_>>> {
    let mut levels = Vec::new();
    for tables in metas {
        levels.push(
            tables
                .iter()
                .map(|(meta, waiting)| Candidate {
                    meta,
                    waiting: *waiting,
                    released: meta.held.released_len(|_, _| false),
                })
                .collect(),
        );
    }
    levels
}

#[test]
fn the_most_urgent_work_is_planned() {
    // What, levels, live bytes; reason, from, to, inputs, below, trivial.
    type Want = Option<(Reason, usize, usize, Vec<u32>, Vec<u32>, bool)>;
    let rows: Vec<(&str, Vec<&[T]>, u64, Want)> = vec![
        ("an empty tree", vec![], 0, None),
        ("too few tables", vec![&[(2, "az", 9, 0, 0, 0), (1, "az", 9, 0, 0, 0)]], 0, None),
        (
            "level 0 is full",
            vec![&[(3, "am", 9, 0, 0, 0), (2, "bz", 9, 0, 0, 0), (1, "az", 9, 0, 0, 0)]],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![], false)),
        ),
        (
            "a run ends when it is long enough, at its newest end",
            vec![&[(3, "am", 60, 0, 0, 0), (2, "bz", 60, 0, 0, 0), (1, "az", 30, 0, 0, 0)]],
            0,
            Some((Reason::Count, 0, 1, vec![2, 1], vec![], false)),
        ),
        (
            "one table longer than a run is a run",
            vec![&[(3, "am", 9, 0, 0, 0), (2, "bz", 9, 0, 0, 0), (1, "az", 500, 0, 0, 0)]],
            0,
            Some((Reason::Count, 0, 1, vec![1], vec![], true)),
        ),
        (
            "disjoint tables over nothing go down as they are",
            vec![
                &[(3, "ef", 9, 0, 0, 0), (2, "cd", 9, 0, 0, 0), (1, "ab", 9, 0, 0, 0)],
                &[(9, "gh", 9, 0, 0, 0)],
            ],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![], true)),
        ),
        (
            "tables that share one key are merged",
            vec![&[(3, "ef", 9, 0, 0, 0), (2, "bd", 9, 0, 0, 0), (1, "ab", 9, 0, 0, 0)]],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![], false)),
        ),
        (
            "everything below the hull is merged with",
            vec![
                &[(3, "bc", 9, 0, 0, 0), (2, "bc", 9, 0, 0, 0), (1, "pq", 9, 0, 0, 0)],
                &[
                    (7, "aa", 9, 0, 0, 0),
                    (8, "ab", 9, 0, 0, 0),
                    (9, "gh", 9, 0, 0, 0),
                    (10, "qz", 9, 0, 0, 0),
                ],
            ],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![8, 9, 10], false)),
        ),
        (
            "tombstones over nothing at all are rewritten, not moved",
            vec![&[(3, "ef", 9, 0, 0, 0), (2, "cd", 9, 0, 1, 0), (1, "ab", 9, 0, 0, 0)]],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![], false)),
        ),
        (
            "tombstones over a deeper level are moved",
            vec![
                &[(3, "ef", 9, 0, 0, 0), (2, "cd", 9, 0, 1, 0), (1, "ab", 9, 0, 0, 0)],
                &[],
                &[(9, "az", 9, 0, 0, 0)],
            ],
            0,
            Some((Reason::Count, 0, 1, vec![3, 2, 1], vec![], true)),
        ),
        (
            "a level that holds too much gives the table with the least below it",
            vec![
                &[],
                &[(1, "af", 60, 0, 0, 0), (2, "gp", 60, 0, 0, 0), (3, "qz", 60, 0, 0, 0)],
                &[(4, "ac", 60, 0, 0, 0), (5, "gh", 20, 0, 0, 0), (6, "qr", 60, 0, 0, 0)],
            ],
            0,
            Some((Reason::Len, 1, 2, vec![2], vec![5], false)),
        ),
        (
            "hidden values count for a table",
            vec![
                &[],
                &[(1, "af", 60, 0, 0, 0), (2, "gp", 60, 0, 0, 0), (3, "qz", 60, 90, 0, 0)],
                &[(4, "ac", 60, 0, 0, 0), (5, "gh", 20, 0, 0, 0), (6, "qr", 60, 0, 0, 0)],
            ],
            9000,
            Some((Reason::Len, 1, 2, vec![3], vec![6], false)),
        ),
        (
            "too much is hidden: a run of level 0 through the oldest that hides",
            vec![
                &[(3, "af", 9, 50, 0, 0), (2, "ap", 9, 60, 0, 0), (1, "az", 300, 0, 0, 0)],
                &[(9, "az", 9, 0, 0, 0)],
            ],
            1000,
            Some((Reason::Hidden, 0, 1, vec![2, 1], vec![9], false)),
        ),
        (
            "what is hidden is within a tenth of what lives",
            vec![&[(2, "af", 9, 50, 0, 0), (1, "ap", 9, 50, 0, 0)], &[(9, "az", 9, 0, 0, 0)]],
            1000,
            None,
        ),
        (
            "over nothing nothing is hidden",
            vec![&[], &[(1, "ap", 9, 500, 0, 0)], &[(9, "qz", 9, 0, 0, 0)]],
            1000,
            None,
        ),
        (
            "a table that waits for drops is rewritten in its level",
            vec![&[], &[(1, "af", 9, 0, 0, 1), (2, "gp", 9, 0, 0, 3)], &[(4, "az", 9, 0, 0, 0)]],
            0,
            Some((Reason::Drops, 1, 1, vec![2], vec![], false)),
        ),
        (
            "in level 0 it goes down with everything older",
            vec![&[(2, "gp", 9, 0, 0, 3), (1, "az", 300, 0, 0, 0)]],
            0,
            Some((Reason::Drops, 0, 1, vec![2, 1], vec![], false)),
        ),
        (
            "drops come after everything else",
            vec![&[], &[(1, "af", 99, 0, 0, 0), (2, "gp", 9, 0, 0, 3)], &[(4, "zz", 9, 0, 0, 0)]],
            0,
            Some((Reason::Len, 1, 2, vec![1], vec![], true)),
        ),
    ];
    for (what, levels, live_len, want) in rows {
        let metas = metas(&levels);
        let plan = pick(&candidates(&metas), live_len, &[], &OPTIONS);
        let found = plan.map(|p| (p.reason, p.from, p.to, p.inputs, p.below, p.is_trivial));
        assert_eq!(found, want, "{what}");
    }
}

#[test]
fn work_that_overlaps_running_work_waits_and_other_work_goes_on() {
    let levels: [&[T]; 3] = [
        &[(3, "ac", 9, 0, 0, 0), (2, "ac", 9, 0, 0, 0), (1, "ac", 9, 0, 0, 0)],
        &[(4, "ad", 80, 0, 0, 0), (5, "gp", 80, 0, 0, 0)],
        &[(6, "af", 9, 0, 0, 0)],
    ];
    let metas = metas(&levels);
    let levels = candidates(&metas);
    let mut running: Vec<Plan> = Vec::new();
    for want in [Some((1, vec![5])), Some((0, vec![3, 2, 1])), None] {
        let plan = pick(&levels, 0, &running, &OPTIONS);
        assert_eq!(plan.as_ref().map(|plan| (plan.from, plan.inputs.clone())), want, "{running:?}");
        running.extend(plan);
    }
}

#[test]
fn plans_of_any_tree_keep_the_rules() {
    let mut planned = 0;
    for seed in 0..3000 {
        let mut rng = Rng(seed);
        let mut number = 0;
        let mut levels: Vec<Vec<(TableMeta, u64)>> = Vec::new();
        for level in 0..1 + rng.below(4) {
            let mut tables = Vec::new();
            let mut key = 0u8;
            while key < 180 && tables.len() < 6 {
                let first = key.saturating_add(rng.below(60) as u8);
                let last = first.saturating_add(rng.below(40) as u8);
                key = if level == 0 { 0 } else { last.saturating_add(1) };
                number += 1;
                let maybe =
                    |rng: &mut Rng, max: usize| if rng.once_in(3) { rng.below(max) as u64 } else { 0 };
                let (len, hidden) = (rng.below(90) as u64, maybe(&mut rng, 200));
                let (tombstones, waiting) = (maybe(&mut rng, 9), maybe(&mut rng, 3));
                let row: T = (number, "aa", len, hidden, tombstones, waiting);
                let (mut meta, waiting) = metas(&[&[row]]).remove(0).remove(0);
                (meta.first_key, meta.last_key) = (vec![first], vec![last]);
                tables.push((meta, waiting));
            }
            levels.push(tables);
        }
        let levels = candidates(&levels);
        let mut running: Vec<Plan> = Vec::new();
        while let Some(plan) = pick(&levels, 500, &running, &OPTIONS) {
            check_rules(&levels, &plan, seed);
            assert!(!running.iter().any(|other| other.overlaps(&plan)), "seed {seed}: {plan:?} {running:?}");
            running.push(plan);
            planned += 1;
        }
    }
    assert!(planned > 3000, "{planned}");
}

fn check_rules(levels: &[Vec<Candidate<'_>>], plan: &Plan, seed: u64) {
    let context = format!("seed {seed}: {plan:?}");
    let empty = Vec::new();
    let within = |level: usize, numbers: &[u32]| -> Vec<TableMeta> {
        let tables = levels.get(level).unwrap_or(&empty).iter();
        tables.filter(|t| numbers.contains(&t.meta.number)).map(|t| t.meta.clone()).collect()
    };
    let inputs = within(plan.from, &plan.inputs);
    let below = within(plan.to, &plan.below);
    assert!(!inputs.is_empty() && inputs.len() == plan.inputs.len(), "{context}");
    assert_eq!(below.len(), plan.below.len(), "{context}");
    for meta in inputs.iter().chain(&below) {
        assert!(plan.first_key <= meta.first_key && meta.last_key <= plan.last_key, "{context}");
    }
    if plan.from == 0 {
        let oldest = levels[0].iter().rev().take(inputs.len()).map(|t| t.meta.number);
        assert!(oldest.eq(plan.inputs.iter().rev().copied()), "{context}");
    }
    if plan.to == plan.from {
        assert!(plan.from > 0 && plan.inputs.len() == 1 && below.is_empty() && !plan.is_trivial, "{context}");
        return;
    }
    assert_eq!(plan.to, plan.from + 1, "{context}");
    // Whatever of the output level touches the inputs belongs to the plan.
    for table in levels.get(plan.to).unwrap_or(&empty) {
        let touches =
            |m: &TableMeta| m.first_key <= table.meta.last_key && table.meta.first_key <= m.last_key;
        assert!(!inputs.iter().any(touches) || plan.below.contains(&table.meta.number), "{context}");
    }
    if plan.is_trivial {
        assert!(below.is_empty(), "{context}");
        for (at, a) in inputs.iter().enumerate() {
            for b in &inputs[at + 1..] {
                assert!(a.last_key < b.first_key || b.last_key < a.first_key, "{context}");
            }
        }
    }
}

#[test]
fn a_table_waits_for_drops_that_writing_it_would_apply() {
    // Drop sequence and judged sequence of the table; drops by sequence with whether they are held; how many wait.
    for (drop_seq, judged_seq, drops, want) in [
        (5, 5, &[][..], 0),
        (5, 5, &[(5, false)], 0),
        (5, 5, &[(6, false), (9, false)], 2),
        (5, 5, &[(6, true)], 0),
        // Another drop is held: this one was not applied yet.
        (5, 5, &[(6, true), (9, false)], 1),
        // It was applied, the held one holds the table's drop sequence down.
        (5, 20, &[(6, true), (9, false)], 0),
        (5, 20, &[(6, true), (9, false), (21, false)], 1),
        // The held one is let go.
        (5, 20, &[(6, false), (9, false)], 2),
        (5, 20, &[(6, false), (9, true)], 1),
    ] {
        let mut meta = metas(&[&[(1, "az", 9, 0, 0, 0)]]).remove(0).remove(0).0;
        (meta.drop_seq, meta.judged_seq) = (SeqNo::new(drop_seq), SeqNo::new(judged_seq));
        let ranges = drops.iter().map(|&(at, held): &(u64, bool)| {
            let at = SeqNo::new(at);
            (DropRange { from: SeqNo::ZERO, to: at, at }, held)
        });
        assert_eq!(waiting(&meta, ranges), want, "{drop_seq} {judged_seq} {drops:?}");
    }
}

#[test]
fn tables_that_hold_much_for_points_of_before_are_written_anew() {
    let mut metas = metas(&[
        &[(9, "az", 9, 0, 0, 0), (8, "az", 9, 0, 0, 0)],
        &[(3, "ad", 9, 0, 0, 0), (2, "eh", 9, 0, 0, 0)],
        &[(1, "az", 99, 0, 0, 0)],
    ]);
    let mut plan = |numbers: &[(u32, u64)], live_len| {
        for (meta, _) in metas.iter_mut().flatten() {
            let len = numbers.iter().find(|(number, _)| *number == meta.number).map_or(0, |&(_, len)| len);
            meta.held = Held::released(len);
        }
        let plan = pick(&candidates(&metas), live_len, &[], &OPTIONS)?;
        Some((plan.reason, plan.from, plan.to, plan.inputs, plan.below, plan.is_trivial))
    };
    let rewrite = |level, number| Some((Reason::Released, level, level, vec![number], vec![], false));
    assert_eq!(plan(&[(1, 10)], 0), None, "at the bound");
    assert_eq!(plan(&[(1, 100)], 1000), None, "a tenth of what is live");
    assert_eq!(plan(&[(1, 101)], 1000), rewrite(2, 1));
    assert_eq!(plan(&[(3, 60), (2, 61)], 1000), rewrite(1, 2), "the one that gives most first");
    // Level 0 is merged, from the oldest table on, through the one that holds it.
    let merged = |inputs| Some((Reason::Released, 0, 1, inputs, vec![3, 2], false));
    assert_eq!(plan(&[(8, 200)], 1000), merged(vec![9, 8]));
    assert_eq!(plan(&[(9, 200)], 1000), merged(vec![9, 8]));
}
