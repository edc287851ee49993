use super::*;
use jdb_base::varint;

fn position(r: &mut Rng) -> Position {
    Position { segment: r.wide32(), offset: r.wide32() }
}

fn footer(r: &mut Rng) -> FooterPlace {
    FooterPlace { offset: r.wide(), len: r.wide32() }
}

/// Any edit that can be written, whether it makes sense or not.
fn any_edit(r: &mut Rng) -> Edit {
    Edit {
        snapshot: r.below(4) == 0,
        tables_added: r.list(|r| TableEntry {
            number: r.wide32(),
            level: r.below(256) as u8,
            len: r.wide(),
            count: r.wide(),
            first_key: r.bytes(),
            last_key: r.bytes(),
            seq_min: r.seq(),
            seq_max: r.seq(),
            drop_seq: r.seq(),
            id: [r.below(256) as u8; 16],
            tombstones: r.maybe(Rng::wide).unwrap_or(0),
            hidden_len: r.maybe(Rng::wide).unwrap_or(0),
            held_len: r.maybe(Rng::wide).unwrap_or(0),
        }),
        tables_removed: r.list(Rng::wide32),
        tables_moved: r.list(|r| TableMove { number: r.wide32(), level: r.below(7) as u8 }),
        segments_sealed: r.list(|r| SegmentEntry {
            number: r.wide32(),
            end: r.wide32(),
            pred: position(r),
            pred_last_seq: r.seq(),
            seq_min: r.seq(),
            seq_max: r.seq(),
            len: r.wide(),
            footer: r.maybe(footer),
        }),
        footers: r.list(|r| FooterEntry { number: r.wide32(), len: r.wide(), footer: footer(r) }),
        segments_removed: r.list(Rng::wide32),
        packs_added: r.list(|r| {
            let mut origins = r.list(Rng::wide32);
            origins.sort_unstable();
            origins.dedup();
            PackEntry {
                number: r.wide32(),
                len: r.wide(),
                id: [r.below(256) as u8; 16],
                origins,
                live_len: r.wide(),
            }
        }),
        packs_removed: r.list(Rng::wide32),
        live_deltas: r.list(|r| LiveDelta { origin: r.wide32(), delta: r.wide().cast_signed() }),
        replay_from: r.maybe(position),
        last_seq: r.maybe(Rng::seq),
        unix_ms: r.maybe(Rng::wide),
        times: r.list(|r| TimeMark { seq: r.seq(), unix_ms: r.wide() }),
        next_number: r.maybe(Rng::wide32),
        next_name: r.maybe(Rng::wide),
        drops_added: r.list(|r| DropEntry { ns: r.ns(), from: r.seq(), to: r.seq(), at: r.seq() }),
        drops_removed: r.list(Rng::seq),
        windows_opened: r.list(|r| WindowEntry { ns: r.ns(), s0: r.seq() }),
        windows_closed: r.list(|r| WindowEntry { ns: r.ns(), s0: r.seq() }),
        gaps_added: r.list(|r| Gap { from: r.seq(), to: r.seq() }),
        gaps_removed: r.list(Rng::seq),
        life_start: r.maybe(Rng::seq),
        log_synced: r.maybe(|r| Position { segment: r.below(9) as u32, offset: r.below(1 << 20) as u32 }),
    }
}

#[test]
fn edits_come_back() {
    for seed in 0..3000 {
        let edit = any_edit(&mut Rng(seed));
        let body = edit.encode();
        assert_eq!(Edit::decode(&body), Ok(edit), "seed {seed}");
    }
}

#[test]
fn a_cut_edit_is_an_error_or_a_shorter_edit() {
    for seed in 0..100 {
        let body = any_edit(&mut Rng(seed)).encode();
        for cut in 0..body.len() {
            if let Ok(edit) = Edit::decode(&body[..cut]) {
                assert!(edit.encode().len() <= cut, "seed {seed} cut {cut}");
            }
        }
    }
}

#[test]
fn any_bytes_decode_without_panic() {
    for seed in 0..20_000 {
        let mut r = Rng(seed);
        let mut body = any_edit(&mut r).encode();
        for _ in 0..=r.below(3) {
            let at = r.below(body.len() as u64) as usize;
            if let Some(byte) = body.get_mut(at) {
                *byte = r.below(256) as u8;
            }
        }
        if let Ok(edit) = Edit::decode(&body) {
            let _ = State::default().apply(&edit);
        }
    }
}

#[test]
fn fields_of_later_versions_are_left_out_or_refused() {
    let edit = Edit { next_name: Some(9), ..Edit::default() };
    let field = |number: u64, critical: u64, payload: &[u8]| {
        let mut out = Vec::new();
        varint::put_u64(&mut out, number << 1 | critical);
        varint::put_u64(&mut out, payload.len() as u64);
        [out, payload.to_vec()].concat()
    };
    let body = |added: Vec<u8>| [edit.encode(), added].concat();
    assert_eq!(Edit::decode(&body(field(99, 0, b"news"))), Ok(edit.clone()));
    let refused = Err(Fault::Unsupported { what: "field", found: 99 });
    assert_eq!(Edit::decode(&body(field(99, 1, b"news"))), refused);
    // Inside an element too: a drop that knows more.
    let drop = DropEntry { ns: NsId::from(7u64), from: SeqNo::ZERO, to: SeqNo::new(5), at: SeqNo::new(6) };
    let with_drop = Edit { drops_added: vec![drop], ..Edit::default() };
    for (critical, want) in [(0, Ok(with_drop)), (1, refused)] {
        let payload = [&[1, 7, 0, 5, 6][..], &field(99, critical, b"")].concat();
        assert_eq!(Edit::decode(&field(16, 1, &payload)), want);
    }
}

#[test]
fn a_number_that_stands_twice_is_refused() {
    for edit in [
        Edit { snapshot: true, ..Edit::default() },
        Edit { last_seq: Some(SeqNo::new(5)), ..Edit::default() },
        Edit { replay_from: Some(Position::default()), ..Edit::default() },
    ] {
        let twice = edit.encode().repeat(2);
        assert!(matches!(Edit::decode(&twice), Err(Fault::Corrupt { .. })), "{edit:?}");
    }
}
