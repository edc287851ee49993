use super::*;
use crate::handle::Handle;
use crate::layout::{Codec, MAGIC};
use crate::meta::CRITICAL;
use crate::options::WriterOptions;
use crate::testing::{Rng, Row, build, lower_bound, options, random_rows};
use crate::writer::SstWriter;
use crate::{Features, Meta};
use jdb_base::Kind;
use jdb_io::{Disk, Mode, RuntimeConfig};
use std::path::PathBuf;

/// Runs `test` on the real disk in an empty directory.
pub(super) fn on_disk(test: impl AsyncFn(Disk, PathBuf)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = jdb_io::runtime(&RuntimeConfig::default()).unwrap();
    runtime.block_on(async {
        let disk = Disk::real();
        test(disk.clone(), dir.path().join("t.sst")).await;
        disk.drain().await;
    });
}

pub(super) async fn write(
    disk: &Disk,
    path: &Path,
    rows: &[Row],
    options: WriterOptions,
) -> crate::TableInfo {
    let mut writer = SstWriter::create(disk, path, options).await.unwrap();
    for row in rows {
        writer.append(&row.key, row.seq, row.kind, &row.value).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn put(disk: &Disk, path: &Path, bytes: &[u8]) -> File {
    let file = disk.open(path, Mode::Truncate).await.unwrap();
    file.write_at(0, bytes.to_vec()).await.0.unwrap();
    file
}

async fn read_open(disk: &Disk, path: &Path) -> Result<Rc<SstReader>> {
    SstReader::open(disk.open(path, Mode::Read).await?, None).await
}

#[test]
fn written_table_reads_back_with_and_without_cache() {
    on_disk(async |disk, path| {
        let rows = random_rows(&mut Rng(1), 3000);
        let info = write(&disk, &path, &rows, WriterOptions::default()).await;
        let cache = Rc::new(BlockCache::new(1 << 20));
        for cached in [false, true] {
            let file = disk.open(&path, Mode::Read).await.unwrap();
            let cache = cached.then(|| (Rc::clone(&cache), cache.next_file_id()));
            let reader = SstReader::open(file, cache).await.unwrap();
            assert_eq!((reader.len(), reader.footer().id), (info.len, info.id));
            assert!(reader.pinned_len() > 0, "the top index lies in what opening reads");
            for row in rows.iter().step_by(7) {
                let got = reader.get(&row.key, row.seq).await.unwrap().unwrap();
                assert_eq!((got.seq, got.kind, &got.value[..]), (row.seq, row.kind, &row.value[..]));
            }
            let mut cursor = reader.cursor();
            cursor.next().await.unwrap();
            for row in &rows {
                assert!(row.is(cursor.entry().unwrap()));
                assert_eq!(cursor.value().unwrap(), row.value);
                cursor.next().await.unwrap();
            }
            assert_eq!(cursor.entry(), None);
            for row in rows.iter().rev() {
                cursor.prev().await.unwrap();
                assert!(row.is(cursor.entry().unwrap()));
            }
            cursor.prev().await.unwrap();
            assert_eq!(cursor.entry(), None);
        }
        assert!(cache.hits() > 0 && !cache.is_empty());
    });
}

#[test]
fn cached_blocks_are_read_once() {
    on_disk(async |disk, path| {
        let rows = random_rows(&mut Rng(2), 3000);
        let info = write(&disk, &path, &rows, WriterOptions::default()).await;
        let cache = Rc::new(BlockCache::new(64 << 20));
        let file = disk.open(&path, Mode::Read).await.unwrap();
        let before = disk.counters().reads;
        let reader = SstReader::open(file, Some((cache, 0))).await.unwrap();
        assert_eq!(disk.counters().reads - before, 1, "opening is one read");
        for _ in 0..3 {
            let mut cursor = reader.cursor();
            cursor.seek_first().await.unwrap();
            while cursor.entry().is_some() {
                cursor.next().await.unwrap();
            }
        }
        let index_blocks = info.index_len / 4000 + 2;
        assert!(disk.counters().reads - before <= 1 + info.block_count + index_blocks);
    });
}

#[test]
fn what_is_in_memory_is_found_without_reading_and_as_by_reading() {
    on_disk(async |disk, path| {
        let rows = random_rows(&mut Rng(5), 3000);
        write(&disk, &path, &rows, WriterOptions::default()).await;
        let cache = Rc::new(BlockCache::new(8 << 20));
        let open =
            async |cache| SstReader::open(disk.open(&path, Mode::Read).await.unwrap(), cache).await.unwrap();
        let (reader, uncached) = (open(Some((cache.clone(), cache.next_file_id()))).await, open(None).await);
        let (mut rng, mut pending, mut absent, mut ruled_out) = (Rng(6), 0, 0, 0);
        for _ in 0..5000 {
            let row = &rows[rng.below(rows.len())];
            let mut key = row.key.clone();
            if rng.below(3) == 0 {
                key.push(0);
            }
            let seq = SeqNo::new(row.seq.get().saturating_sub(rng.below(3) as u64));
            let before = disk.counters().reads;
            let ready = reader.get_ready(&key, seq).unwrap();
            assert!(uncached.get_ready(&key, seq).unwrap().is_continue());
            let begun = reader.begin_get(&key, seq);
            let surely = begun.is_none();
            let went_on = begun.map(|begun| reader.get_begun(&key, seq, begun).unwrap());
            let begun = uncached.begin_get(&key, seq).expect("its filter is not in memory");
            assert!(uncached.get_begun(&key, seq, begun).unwrap().is_continue());
            assert_eq!(disk.counters().reads, before);
            let got = reader.get(&key, seq).await.unwrap();
            absent += u32::from(got.is_none());
            ruled_out += u32::from(surely);
            match ready {
                ControlFlow::Break(ready) => assert_eq!(ready, got),
                ControlFlow::Continue(stopped) => {
                    assert_eq!(reader.get_from(&key, seq, stopped).await.unwrap(), got);
                    pending += 1;
                }
            }
            match went_on {
                None => assert_eq!(got, None),
                Some(ControlFlow::Break(found)) => assert_eq!(found, got),
                Some(ControlFlow::Continue(stopped)) => {
                    assert_eq!(reader.get_from(&key, seq, stopped).await.unwrap(), got);
                }
            }
            let again = reader.get_ready(&key, seq).unwrap();
            assert_eq!(again.break_value(), Some(got), "it was read");
        }
        assert!((1..1000).contains(&pending) && (500..4500).contains(&absent), "{pending}, {absent}");
        assert!(ruled_out > 500, "{ruled_out} of {absent}");
    });
}

#[test]
fn absent_keys_cost_the_filter_and_no_data_block() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> = (0..10_000u32).map(|i| Row::new(&(2 * i).to_be_bytes(), 3, &[1; 12])).collect();
        put(&disk, &path, &build(&rows, WriterOptions::default()).0).await;
        let cache = Rc::new(BlockCache::new(8 << 20));
        for cached in [false, true] {
            let file = disk.open(&path, Mode::Read).await.unwrap();
            let cache = cached.then(|| (Rc::clone(&cache), cache.next_file_id()));
            let reader = SstReader::open(file, cache).await.unwrap();
            assert!(reader.may_contain(&0u32.to_be_bytes()).await.unwrap());
            let before = disk.counters().reads;
            let (mut passed, count) = (0, 1000u32);
            for i in 0..count {
                let key = (1 + 2 * i * 7).to_be_bytes();
                assert!(reader.get(&key, SeqNo::MAX).await.unwrap().is_none());
                passed += u64::from(reader.may_contain(&key).await.unwrap());
            }
            assert!(passed < 15, "{passed} of {count} passed the filter");
            let reads = disk.counters().reads - before;
            // Without a cache: filter and index in one read for each question. With it: each once.
            let most = if cached { 10 + passed } else { 2 * u64::from(count) + passed };
            assert!(reads <= most, "{reads} reads, {passed} passed");
            let before = disk.counters().reads;
            let got = reader.get(&rows[5_000].key, SeqNo::MAX).await.unwrap().unwrap();
            assert_eq!(got.value, rows[5_000].value);
            let reads = disk.counters().reads - before;
            assert_eq!(reads, if cached { 1 } else { 2 }, "filter and partition come with one read");
            assert!(!reader.may_contain(b"\xff").await.unwrap(), "beyond the last key");
        }
    });
}

#[test]
fn filters_that_are_not_understood_say_maybe_and_damaged_ones_are_errors() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> = (0..1000u32).map(|i| Row::new(&i.to_be_bytes(), 3, &[1; 12])).collect();
        let (good, _) = build(&rows, WriterOptions::default());
        let sections = crate::dump(&good).unwrap().sections;
        let place = |name| {
            let section = sections.iter().find(|section| section.name == name).unwrap();
            (section.offset as usize, section.len as usize)
        };
        let seed =
            Footer::decode(good.last_chunk().unwrap(), (good.len() - FOOTER_LEN) as u64).unwrap().seed();
        for (name, at, sealed) in
            [("filter", 0, true), ("filter", 1, true), ("meta filters", 0, true), ("filter", 50, false)]
        {
            let (start, len) = place(name);
            let mut bytes = good.clone();
            bytes[start + at] = 0x82;
            if sealed {
                let mut block = bytes[start..start + len - crate::layout::TRAILER_LEN].to_vec();
                trailer::seal(&mut block, 0, Codec::Plain, seed, start as u64);
                bytes[start..start + len].copy_from_slice(&block);
            }
            put(&disk, &path, &bytes).await;
            let reader = read_open(&disk, &path).await.unwrap();
            for key in [500u32, 5000] {
                let got = reader.get(&key.to_be_bytes(), SeqNo::MAX).await;
                let maybe = reader.may_contain(&key.to_be_bytes()).await;
                match sealed {
                    true => {
                        assert_eq!(got.unwrap().is_some(), key < 1000, "{name}");
                        assert!(key > 1000 || maybe.unwrap());
                    }
                    false if key < 1000 => {
                        assert!(matches!(got, Err(Error::Corrupt { what: "block checksum", .. })), "{got:?}");
                        assert!(maybe.is_err());
                    }
                    false => assert!(got.unwrap().is_none(), "the top index knows"),
                }
            }
        }
    });
}

#[test]
fn cursor_agrees_with_model_on_disk() {
    on_disk(async |disk, path| {
        let rows = random_rows(&mut Rng(3), 2000);
        write(&disk, &path, &rows, options(700, 300, 400)).await;
        let reader = read_open(&disk, &path).await.unwrap();
        let mut cursor = reader.cursor();
        let mut rng = Rng(4);
        let mut at = 0;
        for step in 0..2000 {
            match rng.below(5) {
                0 => {
                    let row = &rows[rng.below(rows.len())];
                    at = lower_bound(&rows, &row.key, row.seq) + 1;
                    cursor.seek(&row.key, row.seq).await.unwrap();
                }
                1 | 2 => {
                    at = (at + 1).min(rows.len() + 1);
                    cursor.next().await.unwrap();
                }
                _ => {
                    at = at.saturating_sub(1);
                    cursor.prev().await.unwrap();
                }
            }
            let want = at.checked_sub(1).and_then(|at| rows.get(at));
            assert_eq!(want.is_some(), cursor.entry().is_some(), "step {step}");
            assert!(want.is_none_or(|row| row.is(cursor.entry().unwrap())), "step {step}");
        }
    });
}

#[test]
fn large_values_are_written_in_pieces_and_come_back() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> =
            (0..5u8).map(|i| Row::new(&[i], 1, &vec![i; (1 << 20) + usize::from(i)])).collect();
        let info = write(&disk, &path, &rows, WriterOptions::default()).await;
        assert!(disk.counters().writes >= info.len / (512 << 10));
        let reader = read_open(&disk, &path).await.unwrap();
        for row in &rows {
            let got = reader.get(&row.key, SeqNo::MAX).await.unwrap().unwrap();
            assert!(got.value == row.value);
        }
    });
}

#[test]
fn refused_entries_leave_the_writer_usable() {
    on_disk(async |disk, path| {
        let mut writer = SstWriter::create(&disk, &path, WriterOptions::default()).await.unwrap();
        writer.append(b"b", SeqNo::new(1), Kind::Inline, b"").await.unwrap();
        match writer.append(b"a", SeqNo::new(1), Kind::Inline, b"").await {
            Err(Error::OutOfOrder { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
        let long = vec![b'z'; 65_518];
        let got = writer.append(&long, SeqNo::new(1), Kind::Inline, b"").await;
        assert!(matches!(got, Err(Error::TooLarge { .. })), "{got:?}");
        assert_eq!(writer.finish().await.unwrap().count, 1);
        let again = SstWriter::create(&disk, &path, WriterOptions::default()).await;
        assert!(matches!(again, Err(Error::Io(_))), "a table is never written over");
    });
}

#[test]
fn damage_names_path_part_and_offset() {
    on_disk(async |disk, path| {
        let rows: Vec<Row> = (0..2000u32).map(|i| Row::new(&i.to_be_bytes(), 1, &[1; 50])).collect();
        let (good, info) = build(&rows, WriterOptions::default());
        let end = good.len();
        for (what, at) in [
            ("block checksum", 100),
            ("block checksum", 4096 + 5),
            ("magic", end - FOOTER_LEN),
            ("footer checksum", end - 90),
            ("footer checksum", end - 1),
        ] {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            put(&disk, &path, &bytes).await;
            let error = match read_open(&disk, &path).await {
                Err(error) => error,
                Ok(reader) => {
                    let mut cursor = reader.cursor();
                    let error = loop {
                        match cursor.next().await {
                            Ok(()) => assert!(cursor.entry().is_some(), "{what}: ended without an error"),
                            Err(error) => break error,
                        }
                    };
                    assert_eq!(cursor.entry(), None);
                    for _ in 0..2 {
                        assert!(matches!(cursor.next().await, Err(Error::Lost { .. })));
                        assert!(matches!(cursor.prev().await, Err(Error::Lost { .. })));
                    }
                    cursor.seek_last().await.unwrap();
                    assert!(rows[rows.len() - 1].is(cursor.entry().unwrap()));
                    error
                }
            };
            match error {
                Error::Corrupt { path: named, what: found, offset, .. } => {
                    assert_eq!((named, found), (path.clone(), what), "byte {at}");
                    assert!(offset <= at as u64 || what == "footer checksum", "byte {at}: {offset}");
                    assert!(at as u64 - offset.min(at as u64) < 4200, "byte {at}: {offset}");
                }
                other => panic!("byte {at}: {other}"),
            }
        }
        assert!(info.block_count > 10);
    });
}

#[test]
fn cut_files_do_not_open() {
    on_disk(async |disk, path| {
        let (good, _) = build(&random_rows(&mut Rng(6), 100), WriterOptions::default());
        for len in (0..200).chain(good.len() - 200..good.len()) {
            put(&disk, &path, &good[..len]).await;
            let got = read_open(&disk, &path).await;
            assert!(matches!(got, Err(Error::Corrupt { .. })), "cut to {len}: {got:?}");
        }
    });
}

/// A table whose footer, and list of meta blocks, are made anew.
fn forged(metas: &[Meta], change: impl FnOnce(&mut Footer)) -> Vec<u8> {
    let (mut bytes, _) =
        build(&[Row::new(b"k", 1, b"v")], WriterOptions { properties: false, ..WriterOptions::default() });
    let limit = bytes.len() - FOOTER_LEN;
    let mut footer = Footer::decode(bytes.last_chunk().unwrap(), limit as u64).unwrap();
    bytes.truncate(limit);
    if !metas.is_empty() {
        metas.iter().for_each(|meta| meta.encode(&mut bytes));
        trailer::seal(&mut bytes, limit, Codec::Plain, footer.seed(), limit as u64);
        footer.meta = Handle { offset: limit as u64, len: (bytes.len() - limit) as u32 };
    }
    change(&mut footer);
    let offset = bytes.len() as u64;
    footer.encode(&mut bytes, offset);
    bytes
}

#[test]
fn unknown_features_and_meta_blocks_are_ignored_or_unsupported_as_they_say() {
    on_disk(async |disk, path| {
        let handle = Handle { offset: 0, len: 6 };
        let meta = |number, flags| Meta { number, flags, handle };
        let features = |compatible, read_only, incompatible| Features { compatible, read_only, incompatible };
        for (what, metas, word) in [
            ("", vec![], features(0, 0, 0)),
            ("", vec![], features(u64::MAX, u64::MAX, 0)),
            ("features", vec![], features(0, 0, 1)),
            ("", vec![meta(1, 0), meta(999, 0)], features(0, 0, 0)),
            // So many that the list does not fit what opening reads at once.
            ("", vec![meta(2, 0); 100], features(0, 0, 0)),
            ("critical meta block", vec![meta(2, 0), meta(77, CRITICAL)], features(0, 0, 0)),
            ("meta block flags", vec![meta(2, 4)], features(0, 0, 0)),
        ] {
            put(&disk, &path, &forged(&metas, |footer| footer.features = word)).await;
            match read_open(&disk, &path).await {
                Ok(reader) => {
                    assert_eq!(what, "", "{metas:?}");
                    assert_eq!((reader.meta(), reader.footer().features), (&metas[..], word));
                    assert!(reader.get(b"k", SeqNo::MAX).await.unwrap().is_some());
                }
                Err(Error::Unsupported { what: found, .. }) => assert_eq!(found, what, "{metas:?}"),
                Err(other) => panic!("{what}: {other}"),
            }
        }
    });
}

#[test]
fn forged_handles_are_refused_before_anything_is_allocated() {
    on_disk(async |disk, path| {
        for top in [
            Handle { offset: 0, len: u32::MAX },
            Handle { offset: u64::MAX - 3, len: 100 },
            Handle { offset: 1 << 40, len: 100 },
            Handle { offset: 0, len: 5 },
        ] {
            put(&disk, &path, &forged(&[], |footer| footer.top = top)).await;
            let got = read_open(&disk, &path).await;
            assert!(matches!(got, Err(Error::Corrupt { what: "top index", .. })), "{top:?}: {got:?}");
        }
        // A data block where the top index should be: its checksum holds, its values are no handles.
        let data = Handle { offset: 0, len: 0 };
        let bytes = forged(&[], |footer| {
            let len = footer.top.offset.min(100) as u32;
            footer.top = Handle { len, ..data };
        });
        put(&disk, &path, &bytes).await;
        let reader = read_open(&disk, &path).await.unwrap();
        assert!(matches!(reader.get(b"k", SeqNo::MAX).await, Err(Error::Corrupt { .. })));
    });
}

#[test]
fn file_of_another_kind_is_named_corrupt() {
    on_disk(async |disk, path| {
        for bytes in [vec![], MAGIC.to_vec(), vec![0; 4096], vec![0xff; 128]] {
            put(&disk, &path, &bytes).await;
            let got = read_open(&disk, &path).await;
            assert!(matches!(got, Err(Error::Corrupt { .. })), "{} bytes: {got:?}", bytes.len());
        }
    });
}

#[test]
fn around_a_damaged_block_everything_else_is_still_read() {
    on_disk(async |disk, path| {
        let rows = random_rows(&mut Rng(5), 2000);
        let options = WriterOptions { block_len: 200, index_len: 300, ..WriterOptions::default() };
        write(&disk, &path, &rows, options).await;
        let file = disk.open(&path, Mode::Read).await.unwrap();
        let whole = file.read_at(0, file.len().await.unwrap() as usize).await.unwrap();
        let (mut few, mut many) = (0, 0);
        let end = whole.len() - FOOTER_LEN - 300;
        for at in (0..end).step_by(end / 150) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 4;
            put(&disk, &path, &bytes).await;
            let Ok(reader) = read_open(&disk, &path).await else { continue };
            let (mut cursor, mut found, mut errors) = (reader.cursor(), Vec::new(), 0);
            let mut step = cursor.seek_first().await;
            loop {
                if let Err(error) = step {
                    assert!(matches!(error, Error::Corrupt { .. }), "{at}: {error}");
                    errors += 1;
                    assert!(errors < 3, "{at}: {error}");
                    step = cursor.skip_block().await;
                    continue;
                }
                let Some(entry) = cursor.entry() else { break };
                let place = lower_bound(&rows, entry.key, entry.seq);
                assert!(rows[place].is(entry), "{at}");
                found.push(place);
                step = cursor.next().await;
            }
            // One gap, as long as what the damaged block led to.
            let gaps = found.windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
                + usize::from(found.first() != Some(&0))
                + usize::from(found.last() != Some(&(rows.len() - 1)));
            assert!(gaps <= 2 && (gaps <= 1 || found.is_empty()), "{at}: {gaps} gaps");
            assert!((gaps > 0) == (errors > 0), "{at}: {gaps} gaps, {errors} errors");
            let lost = rows.len() - found.len();
            few += usize::from((1..40).contains(&lost));
            many += usize::from((40..rows.len()).contains(&lost));
        }
        assert!(few > 50 && many > 5, "{few} data blocks, {many} index blocks");
    });
}
