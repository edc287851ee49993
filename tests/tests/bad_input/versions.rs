//! Files of a later version, and features that this version does not know: their checksums are right, so nothing is damaged.

use crate::support::{Fixture, assert_error, assert_refused, assert_works_on, look, on_real, options};
use jdb::{ErrorKind, Options};
use jdb_base::checksum::{Seed, crc32};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a kind of file keeps its version and its feature words, and how long these are.
struct Kind {
    name: &'static str,
    file: PathBuf,
    /// Where the header or footer begins.
    start: usize,
    /// Offsets of the compatible, read-only and incompatible features.
    features: [usize; 3],
    /// What the checksum covers, from `start` on; it follows.
    summed: usize,
    /// What the checksum starts from.
    sum_start: u32,
}

fn kinds(fixture: &Fixture) -> Vec<Kind> {
    let secret = fixture.secret();
    let manifest = [b"jdb manifest".as_slice(), &secret, &0u32.to_le_bytes()].concat();
    let segment = fixture.files(".log").pop().unwrap();
    let number: u32 = segment.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let table = fixture.files(".sst").pop().unwrap();
    let bytes = fs::read(&table).unwrap();
    let footer = bytes.len() - jdb_sst::layout::FOOTER_LEN;
    let id = &bytes[footer + 32..footer + 48];
    let features = [8, 16, 24];
    vec![
        Kind {
            name: "superblock",
            file: fixture.path.join("SUPERBLOCK"),
            start: 0,
            features,
            summed: jdb_ns::superblock::LEN - 4,
            sum_start: 0,
        },
        Kind {
            name: "manifest",
            file: fixture.shard().join("MANIFEST"),
            start: 0,
            features,
            summed: 60,
            sum_start: Seed::of(&manifest).at(0),
        },
        Kind {
            name: "segment",
            file: segment,
            start: 0,
            features: [8, 12, 16],
            summed: 60,
            sum_start: jdb_val::segment::segment_seed(&secret, 0, number).at(0),
        },
        Kind {
            name: "table",
            file: table,
            start: footer,
            features,
            summed: 124,
            sum_start: Seed::of(id).at(footer as u64),
        },
    ]
}

impl Kind {
    /// The file with one byte changed and a checksum that fits.
    fn patch(&self, offset: usize, byte: u8) {
        let mut bytes = fs::read(&self.file).unwrap();
        let (from, to) = (self.start, self.start + self.summed);
        let sum = |bytes: &[u8]| crc32(self.sum_start, &[&bytes[from..to]]).to_le_bytes();
        assert_eq!(bytes[to..to + 4], sum(&bytes), "{}: not the checksum that this test thinks", self.name);
        bytes[from + offset] = byte;
        let sum = sum(&bytes);
        bytes[to..to + 4].copy_from_slice(&sum);
        fs::write(&self.file, bytes).unwrap();
    }
}

/// Opening, or the first read of a table, says that a later version is needed.
fn assert_unsupported(fixture: &Fixture, file: &Path, case: &str) {
    for read_only in [true, false] {
        let options = Options { read_only, ..options(&fixture.path) };
        match on_real(look(options, case)) {
            Err(error) => assert_error(&error, ErrorKind::Unsupported, Some(file), case),
            Ok(seen) => {
                assert_eq!(case.split(' ').next(), Some("table"), "{case}: opened");
                let mut refused = 0;
                for error in
                    seen.gets.iter().filter_map(|got| got.as_ref().err()).chain(seen.scan.as_ref().err())
                {
                    assert_error(error, ErrorKind::Unsupported, Some(file), case);
                    refused += 1;
                }
                assert!(refused > 1 && seen.scan.is_err(), "{case}: nothing was refused");
                assert!(seen.gets.iter().flatten().all(Option::is_some), "{case}: a row is gone");
            }
        }
    }
}

#[test]
fn file_of_a_newer_version_is_unsupported() {
    for index in 0..4 {
        let fixture = Fixture::new();
        let kind = &kinds(&fixture)[index];
        let whole = fs::read(&kind.file).unwrap();
        kind.patch(4, 2);
        assert_unsupported(&fixture, &kind.file, &format!("{} of version 2", kind.name));
        fs::write(&kind.file, whole).unwrap();
        assert_works_on(&fixture.path, kind.name);
    }
}

#[test]
fn unknown_incompatible_feature_is_unsupported() {
    for index in 0..4 {
        let fixture = Fixture::new();
        let kind = &kinds(&fixture)[index];
        kind.patch(kind.features[2] + 2, 0x40);
        assert_unsupported(&fixture, &kind.file, &format!("{} with an unknown feature", kind.name));
    }
}

#[test]
fn unknown_compatible_feature_is_ignored() {
    for index in 0..4 {
        let fixture = Fixture::new();
        let kind = &kinds(&fixture)[index];
        kind.patch(kind.features[0] + 2, 0x40);
        assert_works_on(&fixture.path, &format!("{} with a compatible feature", kind.name));
    }
}

#[test]
fn unknown_read_only_feature_allows_reading_and_forbids_writing() {
    for (index, name) in [(0, "superblock"), (1, "manifest")] {
        let fixture = Fixture::new();
        let kind = &kinds(&fixture)[index];
        kind.patch(kind.features[1], 1);
        let before = fs::read(&kind.file).unwrap();
        assert_refused(options(&fixture.path), ErrorKind::Unsupported, Some(&kind.file), name);
        assert_eq!(fs::read(&kind.file).unwrap(), before);
        let read_only = Options { read_only: true, ..options(&fixture.path) };
        on_real(look(read_only, name)).unwrap().assert_whole(name);
    }
}
