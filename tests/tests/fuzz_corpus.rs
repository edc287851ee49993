//! The fuzz targets over their corpus, and over seeded mutations of it: what fuzzing has found stays found.
#![expect(clippy::indexing_slicing, reason = "a test harness")]

use std::fs;
use std::path::PathBuf;
use tests::fuzz::TARGETS;
use tests::rng::Rng;

/// Mutations of each file.
const MUTATIONS: u64 = 200;

#[test]
fn every_target_takes_its_corpus_and_mutations_of_it() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let mut files: Vec<PathBuf> =
            fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name}: no corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            target(&bytes);
            for seed in 0..MUTATIONS {
                let mut rng = Rng::new(seed);
                let mut bytes = bytes.clone();
                for _ in 0..1 + rng.below(4) {
                    mutate(&mut rng, &mut bytes);
                }
                target(&bytes);
            }
        }
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.index(bytes.len().max(1));
    match rng.below(5) {
        0 => bytes.truncate(at),
        1 => bytes.push(rng.next() as u8),
        2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.index(5)],
        _ if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
        _ => {}
    }
}
