//! Walks over everything, in both directions.

use crate::contest::{Work, take_turns};
use crate::report::{Report, ns, ratio};
use crate::stores;
use jdb_base::SeqNo;
use jdb_bench::index::{key, pointer};
use jdb_bench::{Result, block_on};
use jdb_lsm::{Hidden, Scan, Tree};
use jdb_mem::Memtable;
use jdb_sst::SstReader;
use lsm_tree::{AbstractTree, Guard, InternalValue, ValueType};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;

/// Tables below the memtable of the merge.
const TABLES: u64 = 4;

type Map = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

pub(crate) fn measure(report: &mut Report, count: u64, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    memtables(report, count, rounds)?;
    tables(report, dir.path(), count, rounds)?;
    merges(report, dir.path(), count, rounds)
}

fn memtables(report: &mut Report, count: u64, rounds: usize) -> Result<()> {
    let table = stores::memtable(0..count);
    let (other, mut map) = (lsm_tree::Memtable::new(0), Map::new());
    for i in 0..count {
        let value = pointer(i);
        other.insert(InternalValue::from_components(key(i), value.clone(), i, ValueType::Value));
        map.insert(key(i).to_vec(), (i, value));
    }
    let times = take_turns(
        rounds,
        vec![
            Box::new(|| Ok(walk_memtable(&table, false))),
            Box::new(|| Ok(walk_memtable(&table, true))),
            Box::new(|| Ok(other.iter().map(|item| consume(&item.key.user_key, &item.value)).sum())),
            Box::new(|| Ok(other.iter().rev().map(|item| consume(&item.key.user_key, &item.value)).sum())),
            Box::new(|| Ok(map.iter().map(|(key, (_, value))| consume(key, value)).sum())),
            Box::new(|| Ok(map.iter().rev().map(|(key, (_, value))| consume(key, value)).sum())),
        ],
    )?;
    let time = |index| ns(times.median(index));
    report.compare("memtable, forward", "", time(0), time(2), time(4));
    report.compare("memtable, backward", "", time(1), time(3), time(5));
    let reached = ratio(times.ratio(1, 0));
    let others = (ratio(times.ratio(3, 2)), ratio(times.ratio(5, 4)));
    report.compare("memtable, backward / forward", "<= 1.10", reached, others.0, others.1);
    Ok(())
}

fn tables(report: &mut Report, dir: &Path, count: u64, rounds: usize) -> Result<()> {
    let reader = block_on(stores::table(dir, count))?;
    let other = stores::lsm_tree(&dir.join("lsm one"), 1, count, false)?;
    let version = other.current_version();
    let other = version.iter_tables().next().ok_or("lsm-tree has a table")?;
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default())?;
    let works: Vec<Work<'_>> = vec![
        Box::new(|| runtime.block_on(walk_table(&reader, false))),
        Box::new(|| runtime.block_on(walk_table(&reader, true))),
        Box::new(|| {
            other
                .iter()
                .map(|item| item.map(|item| consume(&item.key.user_key, &item.value)).map_err(Into::into))
                .sum()
        }),
        Box::new(|| {
            let items = other.iter().rev();
            items
                .map(|item| item.map(|item| consume(&item.key.user_key, &item.value)).map_err(Into::into))
                .sum()
        }),
    ];
    let times = take_turns(rounds, works)?;
    let time = |index| ns(times.median(index));
    report.compare("table, forward, an entry", "<= 60 ns", time(0), time(2), String::new());
    report.compare("table, backward, an entry", "<= 60 ns", time(1), time(3), String::new());
    let (reached, other) = (ratio(times.ratio(1, 0)), ratio(times.ratio(3, 2)));
    report.compare("table, backward / forward", "<= 1.10", reached, other, String::new());
    Ok(())
}

fn merges(report: &mut Report, dir: &Path, count: u64, rounds: usize) -> Result<()> {
    let tree = block_on(stores::tree(dir, TABLES, count))?;
    let other = stores::lsm_tree(&dir.join("lsm many"), TABLES, count, true)?;
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default())?;
    let want = count * (TABLES + 1);
    let checked =
        |found: u64| if found == want { Ok(found) } else { Err(format!("{found} of {want} rows").into()) };
    let works: Vec<Work<'_>> = vec![
        Box::new(|| checked(runtime.block_on(scan(&tree, false))?)),
        Box::new(|| checked(runtime.block_on(scan(&tree, true))?)),
        Box::new(|| {
            let items = other.iter(lsm_tree::SeqNo::MAX >> 1, None).map(|item| item.into_inner());
            checked(
                items
                    .map(|item| item.map(|(key, value)| consume(&key, &value)))
                    .sum::<lsm_tree::Result<_>>()?,
            )
        }),
        Box::new(|| {
            let items = other.iter(lsm_tree::SeqNo::MAX >> 1, None).rev().map(|item| item.into_inner());
            checked(
                items
                    .map(|item| item.map(|(key, value)| consume(&key, &value)))
                    .sum::<lsm_tree::Result<_>>()?,
            )
        }),
    ];
    let times = take_turns(rounds, works)?;
    let time = |index| ns(times.median(index));
    report.compare(
        "merge of 4 tables and a memtable, forward, an entry",
        "<= 150 ns",
        time(0),
        time(2),
        String::new(),
    );
    report.compare("the same, backward", "<= 150 ns", time(1), time(3), String::new());
    let (reached, other) = (ratio(times.ratio(1, 0)), ratio(times.ratio(3, 2)));
    report.compare("merge, backward / forward", "<= 1.10", reached, other, String::new());
    Ok(())
}

/// What every walk does with an entry: a byte of each part is looked at.
#[inline]
fn consume(key: &[u8], value: &[u8]) -> u64 {
    black_box((key.last().copied(), value.last().copied()));
    1
}

fn walk_memtable(table: &Rc<Memtable>, back: bool) -> u64 {
    let mut cursor = table.cursor();
    if back {
        cursor.seek_last()
    } else {
        cursor.seek_first()
    }
    let mut count = 0;
    while let Some(entry) = cursor.entry() {
        count += consume(entry.key, entry.value);
        if back { cursor.prev() } else { cursor.next() }
    }
    count
}

async fn walk_table(reader: &Rc<SstReader>, back: bool) -> Result<u64> {
    let mut cursor = reader.cursor();
    if back {
        cursor.seek_last().await?
    } else {
        cursor.seek_first().await?
    }
    let mut count = 0;
    while let Some(entry) = cursor.entry() {
        count += consume(entry.key, entry.value);
        if back { cursor.prev().await? } else { cursor.next().await? }
    }
    Ok(count)
}

async fn scan(tree: &Tree, back: bool) -> Result<u64> {
    let mut scan = Scan::new(tree.version(), SeqNo::MAX, Hidden::NONE, Vec::new(), vec![0xff]);
    if back {
        scan.seek_end();
    }
    let mut count = 0;
    while if back { scan.prev().await? } else { scan.next().await? } {
        if let Some(row) = scan.row() {
            count += consume(row.key, &[]);
        }
    }
    Ok(count)
}
