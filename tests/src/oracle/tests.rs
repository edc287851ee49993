use super::search::After;
use super::*;
/// Namespace, key, value.
type Row = (Ns, &'static str, &'static str);

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(ns: Ns, key: &str, value: &str) -> Op {
    Op::Put { ns, key: bytes(key), value: bytes(value) }
}

fn delete(ns: Ns, key: &str) -> Op {
    Op::Delete { ns, key: bytes(key) }
}

fn contents(rows: &[Row]) -> Contents {
    let mut contents = Contents::default();
    for (ns, key, value) in rows {
        contents.push(*ns, bytes(key), bytes(value));
    }
    contents
}

/// Five commits: 1 durable, 2 acknowledged, 3 the rest.
fn five() -> Oracle {
    let mut oracle = Oracle::new(3, 1);
    let commits: [&[Op]; 5] = [
        &[put(0, "a", "1")],
        &[put(0, "a", "2"), put(0, "b", "2")],
        &[delete(0, "a")],
        &[Op::Drop { ns: 0 }],
        &[put(1, "a", "5")],
    ];
    let mut seq = 10;
    for ops in commits {
        oracle.submitted(0, seq, ops.to_vec()).unwrap();
        seq += ops.len() as u64;
    }
    oracle.acknowledged(commits[0], 10, true, 0).unwrap();
    oracle.acknowledged(commits[1], 12, false, 10).unwrap();
    oracle
}

#[test]
fn a_prefix_between_promised_and_submitted_is_right_and_anything_else_is_not() {
    let oracle = five();
    let cases: &[(&[Row], After, Option<usize>)] = &[
        (&[], After::PowerCut, Some(4)),
        (&[(0, "a", "1")], After::PowerCut, Some(1)),
        (&[(0, "a", "1")], After::Kill, None),
        (&[(0, "a", "2"), (0, "b", "2")], After::Kill, Some(2)),
        (&[(0, "a", "2")], After::PowerCut, None),
        (&[(0, "b", "2")], After::Kill, Some(3)),
        (&[(1, "a", "5")], After::Kill, Some(5)),
        (&[(0, "b", "2"), (1, "a", "5")], After::PowerCut, None),
        (&[(0, "a", "1"), (2, "a", "1")], After::PowerCut, None),
    ];
    for (rows, after, want) in cases {
        let got = oracle.check(&contents(rows), *after).ok().map(|marks| marks.0[0]);
        assert_eq!(got, *want, "{rows:?} {after:?}");
    }
}

#[test]
fn a_failed_commit_happened_whole_or_not_at_all() {
    let mut oracle = Oracle::new(1, 1);
    let first = [put(0, "a", "1")];
    let lost = [put(0, "a", "2"), put(0, "b", "2")];
    let last = [put(0, "c", "3")];
    oracle.submitted(0, 1, first.to_vec()).unwrap();
    oracle.submitted(0, 2, lost.to_vec()).unwrap();
    oracle.submitted(0, 4, last.to_vec()).unwrap();
    oracle.acknowledged(&first, 1, true, 0).unwrap();
    oracle.failed(&lost);
    oracle.acknowledged(&last, 4, false, 1).unwrap();
    let cases: &[(&[Row], bool)] = &[
        (&[(0, "a", "1"), (0, "c", "3")], true),
        (&[(0, "a", "2"), (0, "b", "2"), (0, "c", "3")], true),
        (&[(0, "a", "2"), (0, "c", "3")], false),
        (&[(0, "a", "1")], false),
    ];
    for (rows, want) in cases {
        assert_eq!(oracle.check(&contents(rows), After::Kill).is_ok(), *want, "{rows:?}");
    }
}

#[test]
fn a_failed_commit_that_was_left_out_stays_out() {
    let mut oracle = Oracle::new(1, 1);
    let commits: [&[Op]; 4] =
        [&[put(0, "a", "1")], &[put(0, "b", "2")], &[delete(0, "z")], &[put(0, "c", "4")]];
    for (i, ops) in commits.into_iter().enumerate() {
        oracle.submitted(0, 1 + i as u64, ops.to_vec()).unwrap();
    }
    oracle.acknowledged(commits[0], 1, false, 0).unwrap();
    oracle.failed(commits[1]);
    oracle.failed(commits[2]);
    oracle.acknowledged(commits[3], 4, false, 0).unwrap();
    let without = contents(&[(0, "a", "1"), (0, "c", "4")]);
    let with = contents(&[(0, "a", "1"), (0, "b", "2"), (0, "c", "4")]);
    assert!(oracle.check(&with, After::Kill).is_ok(), "nothing is known yet");
    oracle.resolve(&without);
    assert!(oracle.check(&without, After::Kill).is_ok());
    assert!(oracle.check(&with, After::Kill).is_err(), "it came back");
    assert_eq!(oracle.shards[0].commits[2].fate, Fate::Failed, "deleting nothing leaves no trace");
}

#[test]
fn sequences_rise_over_lives_and_are_answered_once() {
    let mut oracle = five();
    let message = |check: Check| check.unwrap_err().0;
    assert!(message(oracle.submitted(0, 15, vec![delete(0, "a")])).contains("given out"));
    assert!(message(oracle.acknowledged(&[delete(0, "a")], 99, false, 0)).contains("never submitted"));
    assert!(message(oracle.acknowledged(&[put(0, "a", "1")], 10, false, 0)).contains("twice"));
    assert!(message(oracle.acknowledged(&[delete(0, "b")], 13, false, 0)).contains("was answered to"));
    assert!(message(oracle.acknowledged(&[delete(0, "a")], 13, false, 13)).contains("came after"));
    let mut next = five().settle(contents(&[(0, "a", "1")]));
    assert!(message(next.submitted(0, 12, vec![delete(0, "a")])).contains("given out"), "12 was answered");
    next.submitted(0, 13, vec![delete(0, "a")]).unwrap();
}

#[test]
fn reads_are_as_of_one_visible_moment() {
    let oracle = five();
    let value = |text: &str| Some(bytes(text));
    for (range, got, want) in [
        (1..=1, value("1"), true),
        (1..=2, value("2"), true),
        (2..=5, value("1"), false),
        (2..=5, None, true),
        (1..=2, None, false),
    ] {
        assert_eq!(oracle.check_get(0, b"a", &range, got.as_ref()).is_ok(), want, "{range:?} {got:?}");
    }
    let rows = |rows: &[(&str, &str)]| rows.iter().map(|(k, v)| (bytes(k), bytes(v))).collect::<Vec<_>>();
    for (range, got, want) in [
        (1..=2, rows(&[("a", "1")]), true),
        (1..=2, rows(&[("a", "1"), ("b", "2")]), false),
        (2..=3, rows(&[("b", "2")]), true),
        (3..=5, rows(&[]), true),
        (1..=3, rows(&[]), false),
    ] {
        assert_eq!(oracle.check_scan(0, &range, &got).is_ok(), want, "{range:?} {got:?}");
    }
}

#[test]
fn settled_contents_are_the_only_state_of_the_next_life() {
    let next = five().settle(contents(&[(0, "b", "2")]));
    assert!(next.check(&contents(&[(0, "b", "2")]), After::PowerCut).is_ok());
    assert!(next.check(&contents(&[]), After::PowerCut).is_err());
    assert!(next.check(&contents(&[(0, "a", "1")]), After::PowerCut).is_err());
}
