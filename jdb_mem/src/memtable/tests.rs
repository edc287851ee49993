use super::*;
use crate::arena::CHUNK_LEN;
use crate::arena::tests::LIVE_CHUNKS;
use jdb_base::NsId;
use jdb_base::key::{ENGINE_KEY_LEN_MAX, engine_key};
use std::cmp::Reverse;
use std::collections::BTreeMap;

pub(crate) type Id = (Vec<u8>, Reverse<SeqNo>);
/// What the table must hold, in entry order.
pub(crate) type Model = BTreeMap<Id, (Kind, Vec<u8>)>;
pub(crate) type Row<'a> = (&'a [u8], SeqNo, Kind, &'a [u8]);

pub(crate) const KINDS: [Kind; 3] = [Kind::Tombstone, Kind::Pointer, Kind::Inline];

pub(crate) fn seq(value: u64) -> SeqNo {
    SeqNo::new(value)
}

pub(crate) fn row<'a>((id, (kind, value)): (&'a Id, &'a (Kind, Vec<u8>))) -> Row<'a> {
    (&id.0, id.1.0, *kind, value)
}

pub(crate) fn seen(entry: Option<Entry<'_>>) -> Option<Row<'_>> {
    entry.map(|entry| (entry.key, entry.seq, entry.kind, entry.value))
}

fn table_of(rows: &[(&[u8], u64)]) -> Rc<Memtable> {
    let table = Rc::new(Memtable::new());
    for (key, at) in rows {
        table.insert(key, seq(*at), Kind::Inline, format!("{key:?}#{at}").as_bytes());
    }
    table
}

fn spot(cursor: &Cursor) -> Option<(&[u8], u64)> {
    cursor.entry().map(|entry| (entry.key, entry.seq.get()))
}

/// xorshift64*: the same seed gives the same operations.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    }

    pub(crate) fn bytes(&mut self, len_max: u64, alphabet: &[u8]) -> Vec<u8> {
        let len = self.below(len_max + 1);
        (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize]).collect()
    }
}

/// A way to make keys; each stresses another part of the comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// Few short keys of low and high bytes: padding, empty keys, versions.
    Tiny,
    /// One namespace, random keys.
    OneNamespace,
    /// Many namespaces of a few keys.
    ManyNamespaces,
    /// A prefix of 0..40 bytes out of few, then few bytes: long common prefixes of all lengths.
    LongPrefixes,
    /// Keys of ten, with dozens of versions each.
    Versions,
    /// Runs of zeros and 0xff of any length.
    Runs,
    Ascending,
    Descending,
}

pub(crate) const ALL_KEYS: [Keys; 8] = [
    Keys::Tiny,
    Keys::OneNamespace,
    Keys::ManyNamespaces,
    Keys::LongPrefixes,
    Keys::Versions,
    Keys::Runs,
    Keys::Ascending,
    Keys::Descending,
];

impl Keys {
    pub(crate) fn make(self, chance: &mut Chance, step: u64) -> Vec<u8> {
        match self {
            Self::Tiny => chance.bytes(3, &[0, 1, 0xff]),
            Self::OneNamespace => engine_key(NsId::from(77u64), &chance.bytes(20, b"abcdefghijklmnop")),
            Self::ManyNamespaces => {
                let id = u128::from(chance.below(300)).pow(1 + chance.below(4) as u32);
                engine_key(NsId::from(id), &chance.bytes(3, b"xyz"))
            }
            Self::LongPrefixes => {
                let mut key = vec![b'p'; chance.below(40) as usize];
                key.extend(chance.bytes(4, &[0, b'p', b'q']));
                key
            }
            Self::Versions => vec![b'v'; 1 + chance.below(10) as usize],
            Self::Runs => {
                let mut key = vec![0; chance.below(20) as usize];
                key.resize(key.len() + chance.below(20) as usize, 0xff);
                key.resize(key.len() + chance.below(3) as usize, 0);
                key
            }
            Self::Ascending => format!("key{step:09}").into_bytes(),
            Self::Descending => format!("key{:09}", 999_999_999 - step).into_bytes(),
        }
    }
}

pub(crate) fn insert(table: &Memtable, model: &mut Model, chance: &mut Chance, keys: Keys, step: u64) {
    let key = keys.make(chance, step);
    // Mostly rising, sometimes an old number: the table must not count on the order of arrival.
    let at = if chance.below(4) == 0 { chance.below(1 << 20) } else { (1 << 20) + step };
    let kind = KINDS[chance.below(3) as usize];
    let value = chance.bytes(30, b"value");
    if model.insert((key.clone(), Reverse(seq(at))), (kind, value.clone())).is_none() {
        table.insert(&key, seq(at), kind, &value);
    } else {
        // Taken: the model goes back to what the table has.
        let entry = table.get(&key, seq(at)).unwrap();
        model.insert((key, Reverse(seq(at))), (entry.kind, entry.value.to_vec()));
    }
}

pub(crate) fn check_whole(table: &Rc<Memtable>, model: &Model, context: &str) {
    assert_eq!(table.count(), model.len(), "{context}");
    assert_eq!(table.is_empty(), model.is_empty(), "{context}");
    let mut cursor = table.cursor();
    for want in model {
        cursor.next();
        assert_eq!(seen(cursor.entry()), Some(row(want)), "{context}, forward");
    }
    cursor.next();
    assert_eq!(cursor.entry(), None, "{context}, after the last");
    for want in model.iter().rev() {
        cursor.prev();
        assert_eq!(seen(cursor.entry()), Some(row(want)), "{context}, backward");
    }
    cursor.prev();
    assert_eq!(cursor.entry(), None, "{context}, before the first");
}

#[test]
fn random_inserts_agree_with_a_map_in_every_key_shape() {
    for keys in ALL_KEYS {
        for seed in 0..12 {
            let context = format!("{keys:?}, seed {seed}");
            let mut chance = Chance::new(seed);
            let (table, mut model) = (Rc::new(Memtable::new()), Model::new());
            for step in 0..1500 {
                insert(&table, &mut model, &mut chance, keys, step);
                if chance.below(3) == 0 {
                    let key = keys.make(&mut chance, step);
                    let at = chance.below((1 << 20) + step + 2);
                    let want = model.range((key.clone(), Reverse(seq(at)))..).next();
                    let want = want.filter(|(id, _)| id.0 == key).map(row);
                    assert_eq!(
                        seen(table.get(&key, seq(at))),
                        want,
                        "{context}, step {step}, {key:x?} #{at}"
                    );
                }
            }
            check_whole(&table, &model, &context);
        }
    }
}

/// Where the model's cursor stands: on an id, or at an end.
#[derive(Clone, Debug, PartialEq)]
enum At {
    Before,
    On(Id),
    After,
}

impl At {
    fn or_after(id: Option<&Id>) -> Self {
        id.cloned().map_or(Self::After, Self::On)
    }

    fn or_before(id: Option<&Id>) -> Self {
        id.cloned().map_or(Self::Before, Self::On)
    }
}

#[test]
fn cursors_agree_with_a_map_in_any_mix_of_steps_seeks_and_inserts() {
    for keys in ALL_KEYS {
        for seed in 100..112 {
            let mut chance = Chance::new(seed);
            let (table, mut model) = (Rc::new(Memtable::new()), Model::new());
            let mut cursors: Vec<(Cursor, At)> = (0..4).map(|_| (table.cursor(), At::Before)).collect();
            // Some runs insert much, some little, so that both changed and unchanged nodes are met.
            let insert_share = 1 + seed % 6;
            for step in 0..4000 {
                let context = format!("{keys:?}, seed {seed}, step {step}");
                if chance.below(8) < insert_share {
                    insert(&table, &mut model, &mut chance, keys, step);
                }
                let (cursor, at) = &mut cursors[chance.below(4) as usize];
                match chance.below(20) {
                    0..8 => {
                        cursor.next();
                        *at = match &at {
                            At::Before => At::or_after(model.keys().next()),
                            At::On(id) => At::or_after(model.range(id..).nth(1).map(|(id, _)| id)),
                            At::After => At::After,
                        };
                    }
                    8..16 => {
                        cursor.prev();
                        *at = match &at {
                            At::Before => At::Before,
                            At::On(id) => At::or_before(model.range(..id).next_back().map(|(id, _)| id)),
                            At::After => At::or_before(model.keys().next_back()),
                        };
                    }
                    16 | 17 => {
                        let id =
                            (keys.make(&mut chance, step / 2), Reverse(seq(chance.below((1 << 20) + step))));
                        cursor.seek(&id.0, id.1.0);
                        *at = At::or_after(model.range(id..).next().map(|(id, _)| id));
                    }
                    18 => {
                        cursor.seek_first();
                        *at = At::or_after(model.keys().next());
                    }
                    _ => {
                        cursor.seek_last();
                        *at = At::or_before(model.keys().next_back());
                    }
                }
                for (cursor, at) in &cursors {
                    let want = match at {
                        At::On(id) => model.get_key_value(id).map(row),
                        _ => None,
                    };
                    assert_eq!(seen(cursor.entry()), want, "{context}");
                }
            }
            check_whole(&table, &model, &format!("{keys:?}, seed {seed}"));
        }
    }
}

#[test]
fn get_sees_the_newest_version_that_is_not_above_its_sequence() {
    let table = table_of(&[(b"a", 5), (b"b", 7), (b"b", 3), (b"b", 5), (b"b\0", 4), (b"", 6)]);
    for (key, at, want) in [
        (&b"b"[..], 2, None),
        (b"b", 3, Some(3)),
        (b"b", 4, Some(3)),
        (b"b", 6, Some(5)),
        (b"b", 7, Some(7)),
        (b"b", u64::MAX, Some(7)),
        (b"b\0", 3, None),
        (b"b\0", 4, Some(4)),
        (b"b\0\0", 9, None),
        (b"", 5, None),
        (b"", 6, Some(6)),
        (b"a", 4, None),
        (b"c", u64::MAX, None),
    ] {
        assert_eq!(table.get(key, seq(at)).map(|entry| entry.seq.get()), want, "{key:x?} #{at}");
    }
}

#[test]
fn seek_lands_on_the_first_entry_not_below_its_target() {
    let table = table_of(&[(b"b", 9), (b"b", 5), (b"d", 7), (b"d\0", 7)]);
    let mut cursor = table.cursor();
    for (key, at, want) in [
        (&b""[..], u64::MAX, Some((&b"b"[..], 9))),
        (b"a", 0, Some((b"b", 9))),
        (b"b", u64::MAX, Some((b"b", 9))),
        (b"b", 9, Some((b"b", 9))),
        (b"b", 8, Some((b"b", 5))),
        (b"b", 5, Some((b"b", 5))),
        (b"b", 4, Some((b"d", 7))),
        (b"c", 3, Some((b"d", 7))),
        (b"d", 6, Some((b"d\0", 7))),
        (b"d\0", 7, Some((b"d\0", 7))),
        (b"d\0", 6, None),
        (b"\xff", u64::MAX, None),
    ] {
        cursor.seek(key, seq(at));
        assert_eq!(spot(&cursor), want, "{key:x?} #{at}");
    }
    cursor.prev();
    assert_eq!(spot(&cursor), Some((&b"d\0"[..], 7)), "prev after the last gives the last");
}

#[test]
fn an_empty_table_has_two_ends_and_nothing_between() {
    let table = Rc::new(Memtable::new());
    assert_eq!((table.count(), table.arena_len(), table.held_len()), (0, 0, 0));
    assert_eq!(table.get(b"", SeqNo::MAX), None);
    let mut cursor = table.cursor();
    let moves: [fn(&mut Cursor); 5] =
        [Cursor::next, Cursor::prev, Cursor::seek_first, Cursor::seek_last, |cursor| {
            cursor.seek(b"x", SeqNo::MAX)
        }];
    for first in moves {
        for second in moves {
            first(&mut cursor);
            second(&mut cursor);
            assert_eq!(cursor.entry(), None);
        }
    }
}

#[test]
fn ends_are_ends_also_of_entries_that_come_later() {
    let table = table_of(&[(b"m", 1)]);
    let (mut low, mut high) = (table.cursor(), table.cursor());
    high.seek(b"z", SeqNo::MAX);
    table.insert(b"a", seq(2), Kind::Inline, b"");
    table.insert(b"zz", seq(3), Kind::Inline, b"");
    high.next();
    assert_eq!(spot(&high), None, "after the last stays there");
    high.prev();
    assert_eq!(spot(&high), Some((&b"zz"[..], 3)));
    low.prev();
    assert_eq!(spot(&low), None, "before the first stays there");
    low.next();
    assert_eq!(spot(&low), Some((&b"a"[..], 2)));
}

#[test]
fn a_cursor_outlives_its_handle() {
    let table = table_of(&[(b"a", 1), (b"b", 2)]);
    let mut cursor = table.cursor();
    drop(table);
    cursor.next();
    cursor.next();
    assert_eq!(spot(&cursor), Some((&b"b"[..], 2)));
    assert!(format!("{cursor:?}").contains("On"), "{cursor:?}");
}

#[test]
fn lent_entries_stay_where_they_are_while_a_million_bytes_come_in() {
    let table = table_of(&[(b"k", 1)]);
    let entry = table.get(b"k", SeqNo::MAX).unwrap();
    let want = (entry.key.to_vec(), entry.value.to_vec());
    for at in 2..5000 {
        table.insert(&[b'k', at as u8], seq(at), Kind::Inline, &[7; 200]);
    }
    assert_eq!((entry.key, entry.value), (&want.0[..], &want.1[..]));
    assert_eq!(table.get(b"k", SeqNo::MAX).unwrap().value.as_ptr(), entry.value.as_ptr());
}

#[test]
fn the_longest_keys_and_long_values_are_entries_like_others() {
    let mut key = vec![b'k'; ENGINE_KEY_LEN_MAX];
    let value: Vec<u8> = (0..20u32 << 20).map(|at| at as u8).collect();
    let table = Rc::new(Memtable::new());
    let mut model = Model::new();
    for at in 1..60 {
        // The longest keys differ in their last byte alone, and the shorter ones are prefixes of them.
        *key.last_mut().unwrap() = at as u8;
        for (key, value) in [(&key[..], &b"short"[..]), (&key[..ENGINE_KEY_LEN_MAX - at], b""), (b"k", b"")] {
            table.insert(key, seq(at as u64), Kind::Inline, value);
            model.insert((key.to_vec(), Reverse(seq(at as u64))), (Kind::Inline, value.to_vec()));
        }
    }
    let held_len = table.held_len();
    table.insert(&key, seq(99), Kind::Inline, &value);
    model.insert((key.clone(), Reverse(seq(99))), (Kind::Inline, value.clone()));
    assert!(
        table.held_len() < held_len + value.len() + key.len() + CHUNK_LEN,
        "a big entry has a chunk of its own"
    );
    assert!(table.get(&key, seq(99)).unwrap().value == value);
    assert_eq!(table.get(&key, seq(98)).unwrap().value, b"short");
    check_whole(&table, &model, "long keys");
}

#[test]
fn ascending_and_descending_inserts_fill_their_runs() {
    let mut lens = vec![];
    for keys in [Keys::Ascending, Keys::Descending, Keys::OneNamespace] {
        let (table, mut chance) = (Memtable::new(), Chance::new(1));
        for step in 0..20_000 {
            let mut key = keys.make(&mut chance, step);
            key.resize(12, b'_');
            table.insert(&key, seq(step), Kind::Inline, b"");
        }
        lens.push(table.arena_len() / 20_000);
    }
    let [ascending, descending, random] = lens[..] else { panic!("{lens:?}") };
    assert!(ascending * 8 < random * 7, "{lens:?} bytes per entry");
    assert!(descending * 8 < random * 7, "{lens:?} bytes per entry");
}

#[test]
fn overwriting_a_key_behind_a_full_run_fills_runs_too() {
    // Each new version comes before the older ones, so always between the same full run and its next one.
    for before in 0..80u64 {
        let table = Memtable::new();
        for at in 0..before {
            table.insert(&at.to_be_bytes(), seq(at), Kind::Inline, b"");
        }
        let start = table.arena_len();
        for at in 0..2000 {
            table.insert(&[7; 8], seq(1000 + at), Kind::Inline, b"");
        }
        let each = (table.arena_len() - start) / 2000;
        assert!(each < 100, "{each} bytes per version behind {before} entries");
    }
}

#[test]
fn everything_is_freed_at_once_or_chunk_by_chunk() {
    assert_eq!(LIVE_CHUNKS.get(), 0);
    let fill = |table: &Memtable| {
        for at in 0..30_000u64 {
            table.insert(
                &at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
                seq(at),
                Kind::Pointer,
                &[1; 12],
            );
        }
        table.insert(b"big", seq(1), Kind::Inline, &vec![1; 3 << 20]);
    };
    let table = Rc::new(Memtable::new());
    fill(&table);
    assert!(LIVE_CHUNKS.get() > 8);
    let cursor = table.cursor();
    drop(table);
    assert!(LIVE_CHUNKS.get() > 8, "a cursor keeps the table");
    drop(cursor);
    assert_eq!(LIVE_CHUNKS.get(), 0);

    let mut table = Memtable::new();
    fill(&table);
    let chunk_count = LIVE_CHUNKS.get();
    let mut freed = 0;
    while table.free_some() {
        freed += 1;
        assert_eq!(LIVE_CHUNKS.get(), chunk_count - freed, "one at a time");
        assert_eq!(table.count(), 0);
        assert_eq!(table.get(b"big", SeqNo::MAX), None);
    }
    assert_eq!((freed, table.held_len(), table.arena_len()), (chunk_count, 0, 0));
    fill(&table);
    assert_eq!(table.count(), 30_001, "an emptied table can be filled again");
    assert!(table.free_some());
    table.insert(b"x", seq(1), Kind::Inline, b"y");
    assert_eq!(table.get(b"x", seq(1)).unwrap().value, b"y", "also before all was given back");
    drop(table);
    assert_eq!(LIVE_CHUNKS.get(), 0);
}
