//! One flipped bit, in each kind of file, at many places: an error that names file and offset, or all rows.

use crate::support::{Fixture, ROWS, Seen, assert_corrupt, assert_error, look, on_real, options};
use jdb::{ErrorKind, Options};
use std::fs;
use std::path::Path;

/// Distance from one flipped bit to the next: prime to 8, so that every bit of a byte has its turn.
const STRIDE: usize = 97;

/// Looks at the database with each of many bits of `file` flipped, one at a time.
fn flip_each(fixture: &Fixture, file: &Path, first: usize, judge: impl Fn(usize, jdb::Result<Seen>, &str)) {
    let whole = fs::read(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    on_real(async {
        for bit in (first..whole.len() * 8).step_by(STRIDE) {
            let case = format!("{name}, bit {bit}");
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(file, bytes).unwrap();
            // An opening for writing may replace files; one for reading sees the same.
            let options = Options { read_only: true, ..options(&fixture.path) };
            judge(bit / 8, look(options, &case).await, &case);
        }
        fs::write(file, &whole).unwrap();
        look(options(&fixture.path), name).await.unwrap().assert_whole(name);
    });
}

#[test]
fn flipped_bit_in_the_superblock_is_an_error() {
    let fixture = Fixture::new();
    let file = fixture.path.join("SUPERBLOCK");
    for first in [3, 35, 40] {
        flip_each(&fixture, &file, first, |byte, seen, case| {
            let error = seen.err().unwrap_or_else(|| panic!("{case}: opened"));
            match byte {
                0..4 => assert_error(&error, ErrorKind::NotADatabase, Some(&file), case),
                4..6 if error.kind() == ErrorKind::Unsupported => {
                    assert_error(&error, ErrorKind::Unsupported, Some(&file), case);
                }
                _ => assert_corrupt(&error, &file, case),
            }
        });
    }
}

#[test]
fn flipped_bit_in_the_manifest_is_an_error_and_in_its_last_record_at_most_an_older_state() {
    let fixture = Fixture::new();
    let file = fixture.shard().join("MANIFEST");
    let last = last_record(&fs::read(&file).unwrap());
    for first in [0, 35, 61] {
        flip_each(&fixture, &file, first, |byte, seen, case| match seen {
            // The log still holds what the lost record says about tables.
            Ok(seen) => {
                assert!(byte >= last, "{case}: opened, the last record is at {last}");
                seen.assert_whole(case);
            }
            Err(error) if (4..6).contains(&byte) && error.kind() == ErrorKind::Unsupported => {
                assert_error(&error, ErrorKind::Unsupported, Some(&file), case);
            }
            Err(error) => {
                assert!(byte < last, "{case}: a torn tail is no damage: {error}");
                assert_corrupt(&error, &file, case);
            }
        });
    }
}

/// Where the last record of a MANIFEST begins, and that there are several.
fn last_record(bytes: &[u8]) -> usize {
    let (mut at, mut starts) = (64, Vec::new());
    while at < bytes.len() {
        starts.push(at);
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        at += (12 + len).next_multiple_of(8);
    }
    assert!(starts.len() > 1 && at == bytes.len(), "{starts:?} to {at} of {}", bytes.len());
    starts.pop().unwrap()
}

#[test]
fn flipped_bit_in_a_sealed_segment_is_an_error_for_the_value_it_lies_in() {
    let fixture = Fixture::new();
    let files = fixture.files(".log");
    let file = &files[1];
    let refused = std::cell::Cell::new(0);
    flip_each(&fixture, file, 0, |_, seen, case| {
        let seen = seen.unwrap_or_else(|error| panic!("{case}: one value, not the database: {error}"));
        let count = seen.assert_refused_or_right(file, case);
        assert!(count <= 1, "{case}: {count} values refused");
        refused.set(refused.get() + count);
    });
    assert!(refused.get() > 100, "{refused:?}");
}

#[test]
fn flipped_bit_in_the_synced_log_is_an_error_and_nothing_is_lost_silently() {
    let fixture = Fixture::new();
    let files = fixture.files(".log");
    for file in &files[files.len() - 2..] {
        let refused = std::cell::Cell::new(0);
        flip_each(&fixture, file, 5, |_, seen, case| match seen {
            // Behind the rows: a mark, or room.
            Ok(seen) => seen.assert_whole(case),
            Err(error) => {
                assert_corrupt(&error, file, case);
                refused.set(refused.get() + 1);
            }
        });
        assert!(refused.get() > 50, "{refused:?} in {}", file.display());
    }
}

#[test]
fn flipped_bit_in_a_table_is_an_error_for_what_lies_in_its_block() {
    let fixture = Fixture::new();
    let file = &fixture.files(".sst")[0];
    let sections = jdb_sst::dump(&fs::read(file).unwrap()).unwrap().sections;
    let section = |byte: usize| {
        let inside = |s: &&jdb_sst::Section| s.offset <= byte as u64 && (byte as u64) < s.offset + s.len;
        sections.iter().find(inside).map(|section| section.name)
    };
    for first in [0, 33] {
        flip_each(&fixture, file, first, |byte, seen, case| {
            let seen = seen.unwrap_or_else(|error| panic!("{case}: one table, not the database: {error}"));
            match section(byte) {
                // Asked by gets alone.
                Some("filter") => {
                    let count = seen.assert_gets_refused_or_right(file, case);
                    assert!(count > 0, "{case}: a bad filter is not noticed");
                    assert_eq!(seen.scan.as_ref().ok(), Some(&(ROWS as usize)), "{case}");
                }
                // Read by no get and no scan; the space between blocks by nobody.
                Some("meta properties" | "meta groups" | "groups" | "unknown") => seen.assert_whole(case),
                name => {
                    let count = seen.assert_refused_or_right(file, case);
                    assert!(seen.scan.is_err(), "{case}: not noticed by a scan, in {name:?}");
                    assert!(name != Some("footer") || count >= 40, "{case}: read through a bad footer");
                }
            }
        });
    }
}
