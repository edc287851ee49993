use super::*;
use crate::reader::SstReader;
use crate::testing::{Rng, Row, options};
use crate::{SstWriter, WriterOptions};
use jdb_io::sim::{SimConfig, SimDisk};
use jdb_io::{Disk, Mode};
use std::collections::BTreeMap;
use std::path::Path;

/// Groups are named by four bytes.
fn four(_: &[u8]) -> usize {
    4
}

/// Rows of groups of very different sizes.
fn rows(rng: &mut Rng, groups: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for group in 0..groups {
        let count = [1, 2, 5, 30, 200][rng.below(5)];
        for i in 0..count {
            let key = format!("{group:04}-{i:04}");
            for seq in (0..1 + rng.below(2) as u64).rev() {
                let mut row = Row::new(key.as_bytes(), 1000 * group as u64 + seq, &vec![1; rng.below(40)]);
                row.kind = [Kind::Tombstone, Kind::Inline, Kind::Pointer][rng.below(3)];
                match row.kind {
                    Kind::Tombstone => row.value.clear(),
                    Kind::Pointer => {
                        row.value.clear();
                        ValuePtr { segment: 1, offset: 2, len: 5000 }.encode(&mut row.value);
                    }
                    Kind::Inline => {}
                }
                rows.push(row);
            }
        }
    }
    rows
}

/// Counts of each group, from the rows.
fn counted(rows: &[Row]) -> BTreeMap<Vec<u8>, GroupStats> {
    let mut groups = BTreeMap::<Vec<u8>, GroupStats>::new();
    for row in rows {
        let stats = groups.entry(row.key[..4].to_vec()).or_default();
        stats.rows += u64::from(row.kind != Kind::Tombstone);
        stats.tombstones += u64::from(row.kind == Kind::Tombstone);
        stats.key_len += row.key.len() as u64;
        stats.value_len += if row.kind == Kind::Pointer { 5000 } else { row.value.len() as u64 };
        stats.seq_max = stats.seq_max.max(row.seq);
    }
    groups
}

fn on_sim(
    options: WriterOptions,
    rows: Vec<Row>,
    test: impl AsyncFnOnce(Disk, std::rc::Rc<SstReader>) + 'static,
) {
    let sim = SimDisk::new(SimConfig::default());
    let disk = Disk::sim(&sim);
    sim.executor()
        .block_on(async move {
            let path = Path::new("/t.sst");
            let mut writer = SstWriter::create(&disk, path, options).await.unwrap();
            for row in &rows {
                writer.append(&row.key, row.seq, row.kind, &row.value).await.unwrap();
            }
            writer.finish().await.unwrap();
            let reader = SstReader::open(disk.open(path, Mode::Read).await.unwrap(), None).await.unwrap();
            test(disk, reader).await;
        })
        .unwrap();
}

#[test]
fn every_group_is_counted_right_and_large_ones_without_reading_their_blocks() {
    for (seed, groups, shape) in [
        (1, 40, (4096, 4096, 65_536)),
        (2, 300, (500, 300, 200)),
        (3, 300, (200, 4096, 65_536)),
        (4, 1, (1, 1, 1)),
    ] {
        let rows = rows(&mut Rng(seed), groups);
        let want = counted(&rows);
        let options = WriterOptions { group_prefix_len: Some(four), ..options(shape.0, shape.1, shape.2) };
        on_sim(options, rows, async move |disk, reader| {
            let (mut listed, mut most) = (0, 0);
            for (prefix, stats) in &want {
                assert_eq!(reader.group(prefix).await.unwrap(), Some(*stats), "seed {seed}: {prefix:x?}");
                let before = disk.counters().reads;
                if let Some(found) = reader.listed_group(prefix).await.unwrap() {
                    assert_eq!(found, *stats);
                    listed += 1;
                    most = most.max(disk.counters().reads - before);
                }
            }
            for prefix in [&b""[..], b"9999", b"0000x"] {
                assert_eq!(reader.listed_group(prefix).await.unwrap(), None);
            }
            assert_eq!(reader.group(b"9999").await.unwrap(), None);
            let directory = reader.meta().iter().any(|meta| meta.number == 2);
            assert!(directory && (listed > 0 || want.len() == 1), "seed {seed}: {listed} listed");
            assert!(shape.2 < 65_536 || most <= 2, "seed {seed}: {most} reads");
        });
    }
}

#[test]
fn only_groups_of_more_than_one_block_are_listed() {
    let rows: Vec<Row> = (0..30)
        .flat_map(|g| (0..3).map(move |i| Row::new(format!("{g:04}-{i}").as_bytes(), 7, &[1; 10])))
        .collect();
    let options = WriterOptions { group_prefix_len: Some(four), ..options(65_536, 4096, 65_536) };
    on_sim(options, rows, async |_, reader| {
        assert_eq!(reader.listed_group(b"0003").await.unwrap(), None, "one block holds all");
        assert_eq!(reader.group(b"0003").await.unwrap().unwrap().rows, 3);
    });
}

#[test]
fn prefixes_out_of_order_give_no_directory_instead_of_a_wrong_one() {
    let rows: Vec<Row> = (0..2000u32).map(|i| Row::new(format!("{i:08}").as_bytes(), 1, b"v")).collect();
    // Every third key is a group of its own, in the middle of another.
    let by_key = |key: &[u8]| if key.last() == Some(&b'5') { 8 } else { 3 };
    let options = WriterOptions { group_prefix_len: Some(by_key), ..options(200, 4096, 65_536) };
    on_sim(options, rows, async |_, reader| {
        assert!(reader.meta().iter().all(|meta| meta.number != 2));
        assert_eq!(reader.group(b"00000").await.unwrap().unwrap().rows, 1000);
    });
}

#[test]
fn filters_know_the_groups_when_they_are_told_to() {
    for (seed, filter_groups) in [(1, true), (2, true), (3, false)] {
        let mut rows = rows(&mut Rng(seed), 400);
        rows.retain(|row| row.key[3] % 2 == 0);
        let want = counted(&rows);
        let options =
            WriterOptions { group_prefix_len: Some(four), filter_groups, ..options(300, 1000, 65_536) };
        on_sim(options, rows, async move |_, reader| {
            let mut wrong = 0;
            for group in 0..400 {
                let prefix = format!("{group:04}");
                let found = reader.may_contain_group(prefix.as_bytes()).await.unwrap();
                let there = want.contains_key(prefix.as_bytes());
                assert!(found || !there, "seed {seed}: group {prefix} was turned away");
                wrong += usize::from(found && !there);
            }
            assert_eq!(wrong < 20, filter_groups, "seed {seed}: {wrong} of 200 passed");
        });
    }
}

#[test]
fn filters_know_groups_that_begin_with_a_partition() {
    // Groups of one row, so that every partition ends between two groups, and separators are often prefixes.
    for step in [1, 2, 3] {
        let rows: Vec<Row> =
            (0..3000u64).map(|i| Row::new(format!("{:04}-{i}", i * step).as_bytes(), 1, &[1; 30])).collect();
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.key[4] == b'-').collect();
        let prefixes: Vec<Vec<u8>> = rows.iter().map(|row| row.key[..4].to_vec()).collect();
        let options =
            WriterOptions { group_prefix_len: Some(four), filter_groups: true, ..options(200, 300, 65_536) };
        on_sim(options, rows, async move |_, reader| {
            for prefix in &prefixes {
                assert!(reader.may_contain_group(prefix).await.unwrap(), "step {step}: {prefix:x?}");
            }
        });
    }
}

#[test]
fn damaged_directories_are_errors_or_answers() {
    let mut leaf = IndexBuilder::default();
    for i in 0..40u64 {
        let mut value = Vec::new();
        GroupStats { rows: i, ..GroupStats::default() }.encode(&mut value);
        leaf.add(format!("{i:04}").as_bytes(), SeqNo::new(i), &value);
    }
    let mut block = Vec::new();
    leaf.finish(&mut block).unwrap();
    let good = encode(1, &block);
    let ask = |bytes: &[u8]| {
        let Some((height, block)) = decode(bytes)? else { return Ok(Answer::Small) };
        look(block, height, b"0007", 10_000)
    };
    assert!(matches!(ask(&good), Ok(Answer::Stats(GroupStats { rows: 7, .. }))));
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = ask(&bytes);
    }
    for len in 0..good.len() {
        let _ = ask(&good[..len]);
    }
    for (bytes, good) in
        [(&[1, 0][..], false), (&[1, 33], false), (&[1], false), (&[], false), (&[2], true), (&[1, 1], true)]
    {
        assert_eq!(ask(bytes).is_ok(), good, "{bytes:?}");
    }
}
