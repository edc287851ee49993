use super::*;
use crate::options::WriterOptions;
use crate::reader::tests::{on_disk, write};
use crate::testing::{Rng, Row, options, random_rows};
use jdb_io::{BlockCache, Disk, Mode};
use std::path::Path;
use std::rc::Rc;

async fn open(disk: &Disk, path: &Path, cache: Option<&Rc<BlockCache>>) -> Rc<SstReader> {
    let file = disk.open(path, Mode::Read).await.unwrap();
    let cache = cache.map(|cache| (Rc::clone(cache), cache.next_file_id()));
    SstReader::open(file, cache).await.unwrap()
}

fn sorted(mut wanted: Vec<(Vec<u8>, SeqNo)>) -> Vec<(Vec<u8>, SeqNo)> {
    wanted.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    wanted
}

fn lent(wanted: &[(Vec<u8>, SeqNo)]) -> Vec<(&[u8], SeqNo)> {
    wanted.iter().map(|(key, seq)| (key.as_slice(), *seq)).collect()
}

#[test]
fn many_agree_with_one_by_one() {
    on_disk(async |disk, path| {
        for seed in 0..12 {
            let mut rng = Rng(seed);
            let rows = random_rows(&mut rng, 600);
            let shape = [(100, 60, 100), (300, 100, 65_536), (4096, 4096, 65_536)][seed as usize % 3];
            let filter = seed % 2 == 0;
            let path = path.with_extension(seed.to_string());
            write(&disk, &path, &rows, WriterOptions { filter, ..options(shape.0, shape.1, shape.2) }).await;
            let cache = Rc::new(BlockCache::new(1 << 20));
            for (keep, cache) in [(Keep::Last, None), (Keep::Last, Some(&cache)), (Keep::All, Some(&cache))] {
                let reader = open(&disk, &path, cache).await;
                for count in [0, 1, 2, 10, 100, 700] {
                    let wanted = (0..count).map(|_| {
                        let row = &rows[rng.below(rows.len())];
                        let mut key = row.key.clone();
                        match rng.below(8) {
                            0 => key.push([0, 0xff][rng.below(2)]),
                            1 => key.truncate(rng.below(key.len() + 1)),
                            2 => key.splice(0..0, [0xff]).for_each(drop),
                            _ => {}
                        }
                        let seq = (row.seq.get() + rng.below(3) as u64).saturating_sub(1);
                        (key, SeqNo::new(seq))
                    });
                    let wanted = sorted(wanted.collect());
                    let many = reader.get_many(&lent(&wanted), keep).await.unwrap();
                    assert_eq!(many.entries.len(), wanted.len());
                    assert!(many.blocks <= count);
                    for ((key, seq), got) in wanted.iter().zip(many.entries) {
                        let want = reader.get(key, *seq).await.unwrap();
                        assert_eq!(got, want, "seed {seed}, {keep:?}, {count}: {key:x?} {seq}");
                    }
                }
            }
        }
    });
}

#[test]
fn neighbours_come_in_one_read_and_the_walk_goes_on_in_the_last_block() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> = (0..1000u32).map(|i| Row::new(&i.to_be_bytes(), 3, &[i as u8; 1000])).collect();
        write(&disk, &path, &rows, WriterOptions { block_len: 8 << 10, ..WriterOptions::default() }).await;
        let cache = Rc::new(BlockCache::new(1 << 20));
        let reader = open(&disk, &path, Some(&cache)).await;
        let wanted: Vec<_> = rows.iter().map(|row| (row.key.as_slice(), row.seq)).collect();
        assert!(reader.get(&rows[0].key, rows[0].seq).await.unwrap().is_some(), "the index is in memory");
        let (before, held) = (disk.counters().reads, cache.count());
        // Eight rows a block: rows 2 to 52 lie in seven, the first of which is in memory.
        let many = reader.get_many(&wanted[2..53], Keep::Last).await.unwrap();
        assert!(
            many.entries.iter().zip(&rows[2..]).all(|(got, row)| got.as_ref().unwrap().value == row.value)
        );
        assert_eq!((many.blocks, disk.counters().reads - before, cache.count() - held), (7, 1, 1));
        let many = reader.get_many(&wanted[53..54], Keep::Last).await.unwrap();
        assert_eq!((many.blocks, disk.counters().reads - before, cache.count() - held), (1, 1, 1));
        let many_apart: Vec<_> = wanted.iter().copied().skip(90).step_by(90).collect();
        let many = reader.get_many(&many_apart, Keep::All).await.unwrap();
        assert_eq!((many.blocks, disk.counters().reads - before, cache.count() - held), (11, 12, 12));
        assert_eq!(many.entries.len(), 11);
    });
}

#[test]
fn a_damaged_block_is_an_error_that_names_it() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> = (0..100u32).map(|i| Row::new(&i.to_be_bytes(), 3, &[i as u8; 1000])).collect();
        write(&disk, &path, &rows, WriterOptions::default()).await;
        let file = disk.open(&path, Mode::ReadWrite).await.unwrap();
        let at = 50_000;
        let byte = file.read_at(at, 1).await.unwrap();
        file.write_at(at, vec![byte[0] ^ 1]).await.0.unwrap();
        let wanted: Vec<_> = rows.iter().map(|row| (row.key.as_slice(), row.seq)).collect();
        let reader = open(&disk, &path, None).await;
        let got = reader.get_many(&wanted, Keep::Last).await;
        assert!(
            matches!(got, Err(crate::Error::Corrupt { offset, .. }) if offset <= at && at < offset + 8192),
            "{got:?}"
        );
        assert!(reader.get_many(&wanted[..20], Keep::Last).await.is_ok());
    });
}
