use super::*;

#[test]
fn a_state_is_rebuilt_from_its_own_edit() {
    for seed in 0..200 {
        let mut r = Rng(seed);
        let mut state = State::default();
        for step in 0..60 {
            let edit = fitting_edit(&mut r, &state);
            state.apply(&edit).unwrap_or_else(|fault| panic!("seed {seed} step {step}: {fault}: {edit:?}"));
            let whole = state.to_edit();
            let mut again = State::default();
            again.apply(&Edit::decode(&whole.encode()).unwrap()).unwrap();
            assert_eq!(again, state, "seed {seed} step {step}");
            let mut over_another = State { next_name: 1 << 60, ..State::default() };
            over_another.apply(&whole).unwrap();
            assert_eq!(over_another, state, "seed {seed} step {step}");
        }
    }
}

#[test]
fn edits_that_do_not_fit_change_nothing() {
    let state = small_state();
    let ns = NsId::from(7u64);
    let seq = SeqNo::new;
    let table = |number| TableEntry { number, ..TableEntry::default() };
    let segment = |number| SegmentEntry { number, ..SegmentEntry::default() };
    let pack = |number, origins: &[u32]| PackEntry {
        number,
        len: 1,
        id: [0; 16],
        origins: origins.to_vec(),
        live_len: 0,
    };
    let at = |segment, offset| Some(Position { segment, offset });
    let drop = |from, to, at| DropEntry { ns, from: seq(from), to: seq(to), at: seq(at) };
    let place = |offset, len| FooterPlace { offset, len };
    let none = Edit::default();
    #[rustfmt::skip]
    let cases = [
        ("unknown table removed", Edit { tables_removed: vec![5], ..none.clone() }),
        ("table removed twice", Edit { tables_removed: vec![1, 1], ..none.clone() }),
        ("segment's number removed as a table", Edit { tables_removed: vec![2], ..none.clone() }),
        ("unknown table moved", Edit { tables_moved: vec![TableMove { number: 5, level: 1 }], ..none.clone() }),
        ("removed table moved", Edit { tables_removed: vec![1], tables_moved: vec![TableMove { number: 1, level: 1 }], ..none.clone() }),
        ("existing table added", Edit { tables_added: vec![table(1)], ..none.clone() }),
        ("segment's number added as a table", Edit { tables_added: vec![table(2)], ..none.clone() }),
        ("number reused in one edit", Edit { tables_removed: vec![1], tables_added: vec![table(1)], ..none.clone() }),
        ("number added twice", Edit { tables_added: vec![table(11)], packs_added: vec![pack(11, &[])], ..none.clone() }),
        ("number 0 added", Edit { tables_added: vec![table(0)], ..none.clone() }),
        ("keys the wrong way round", Edit { tables_added: vec![TableEntry { first_key: Bytes::from_static(b"b"), last_key: Bytes::from_static(b"a"), ..table(11) }], ..none.clone() }),
        ("sequences the wrong way round", Edit { tables_added: vec![TableEntry { seq_min: seq(2), seq_max: seq(1), ..table(11) }], ..none.clone() }),
        ("unknown segment removed", Edit { segments_removed: vec![1], ..none.clone() }),
        ("segment sealed twice", Edit { segments_sealed: vec![segment(2)], ..none.clone() }),
        ("segment after itself", Edit { segments_sealed: vec![SegmentEntry { pred: Position { segment: 11, offset: 1 }, ..segment(11) }], ..none.clone() }),
        ("segment longer than its file", Edit { segments_sealed: vec![SegmentEntry { end: 2, len: 15, ..segment(11) }], ..none.clone() }),
        ("footer outside the file", Edit { segments_sealed: vec![SegmentEntry { len: 100, footer: Some(place(90, 11)), ..segment(11) }], ..none.clone() }),
        ("footer that overflows", Edit { footers: vec![FooterEntry { number: 2, len: 9000, footer: place(u64::MAX, 1) }], ..none.clone() }),
        ("footer over records", Edit { footers: vec![FooterEntry { number: 2, len: 9000, footer: place(3999, 1) }], ..none.clone() }),
        ("footer of an unknown segment", Edit { footers: vec![FooterEntry { number: 1, len: 9, footer: place(0, 1) }], ..none.clone() }),
        ("unknown pack removed", Edit { packs_removed: vec![2], ..none.clone() }),
        ("origin in two packs", Edit { packs_added: vec![pack(11, &[9])], ..none.clone() }),
        ("origin in two new packs", Edit { packs_added: vec![pack(11, &[4]), pack(12, &[4])], ..none.clone() }),
        ("origins that do not ascend", Edit { packs_added: vec![pack(11, &[5, 4])], ..none.clone() }),
        ("live bytes below nothing", Edit { live_deltas: vec![LiveDelta { origin: 2, delta: -1001 }], ..none.clone() }),
        ("live bytes of nothing", Edit { live_deltas: vec![LiveDelta { origin: 5, delta: -1 }], ..none.clone() }),
        ("live bytes above all", Edit { live_deltas: vec![LiveDelta { origin: 2, delta: i64::MAX }], ..none.clone() }),
        ("replay back a segment", Edit { replay_from: at(1, 1000), ..none.clone() }),
        ("replay back in a segment", Edit { replay_from: at(2, 399), ..none.clone() }),
        ("last sequence down", Edit { last_seq: Some(seq(49)), ..none.clone() }),
        ("life start down", Edit { life_start: Some(seq(6)), ..none.clone() }),
        ("next number down", Edit { next_number: Some(9), ..none.clone() }),
        ("next name down", Edit { next_name: Some(3), ..none.clone() }),
        ("drop's interval the wrong way round", Edit { drops_added: vec![drop(6, 5, 60)], ..none.clone() }),
        ("drop before its interval's end", Edit { drops_added: vec![drop(0, 61, 60)], ..none.clone() }),
        ("drop added twice", Edit { drops_added: vec![drop(0, 1, 31)], ..none.clone() }),
        ("unknown drop removed", Edit { drops_removed: vec![seq(30)], ..none.clone() }),
        ("window opened twice", Edit { windows_opened: vec![WindowEntry { ns, s0: seq(45) }], ..none.clone() }),
        ("unknown window closed", Edit { windows_closed: vec![WindowEntry { ns, s0: seq(46) }], ..none.clone() }),
        ("gap added twice", Edit { gaps_added: vec![Gap { from: seq(5), to: seq(5) }], ..none.clone() }),
        ("gap the wrong way round", Edit { gaps_added: vec![Gap { from: seq(9), to: seq(8) }], ..none.clone() }),
        ("unknown gap removed", Edit { gaps_removed: vec![seq(6)], ..none.clone() }),
    ];
    for (name, edit) in cases {
        // Something sound beside it must not be applied either.
        let edit = Edit { unix_ms: Some(1), ..edit };
        let mut after = state.clone();
        assert!(matches!(after.apply(&edit), Err(Fault::Corrupt { .. })), "{name}");
        assert_eq!(after, state, "{name}");
    }
}

#[test]
fn drops_windows_and_gaps_may_be_replaced() {
    let mut state = small_state();
    let ns = NsId::from(7u64);
    let wider = DropEntry { ns, from: SeqNo::ZERO, to: SeqNo::new(31), at: SeqNo::new(31) };
    let window = WindowEntry { ns, s0: SeqNo::new(45) };
    let gap = Gap { from: SeqNo::new(5), to: SeqNo::new(9) };
    let edit = Edit {
        drops_removed: vec![wider.at],
        drops_added: vec![wider],
        windows_closed: vec![window],
        windows_opened: vec![window],
        gaps_removed: vec![gap.from],
        gaps_added: vec![gap],
        ..Edit::default()
    };
    state.apply(&edit).unwrap();
    assert_eq!((state.drops[&wider.at], state.gaps[&gap.from]), (wider, gap));
    assert!(state.windows.contains(&window));
}

#[test]
fn a_pack_hands_its_origins_on() {
    let mut state = small_state();
    let pack = PackEntry { number: 20, len: 5, id: [0; 16], origins: vec![2, 8, 9], live_len: 9 };
    let edit = Edit {
        packs_removed: vec![3],
        packs_added: vec![pack],
        segments_removed: vec![2],
        ..Edit::default()
    };
    state.apply(&edit).unwrap();
    assert_eq!(state.homes.into_iter().collect::<Vec<_>>(), [(2, 20), (8, 20), (9, 20)]);
    assert_eq!((state.live[&2], state.next_number), (1000, 21));
}
