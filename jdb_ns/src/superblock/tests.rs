use super::*;

fn sample() -> Superblock {
    Superblock {
        features: Features::default(),
        shard_count: 8,
        hash_seed: 0x0123_4567_89ab_cdef,
        secret: *b"secret secret !!",
        history: *b"public history !",
        created_unix_ms: 1_700_000_000_000,
    }
}

/// `bytes` with the checksum that they should have.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32(CHECKSUM_START, &[&bytes[..CHECKSUM_OFFSET]]);
    bytes[CHECKSUM_OFFSET..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn superblock_comes_back() {
    let features = Features { compatible: 1, read_only: 2, incompatible: 0 };
    for superblock in [sample(), Superblock { features, shard_count: 256, ..sample() }] {
        let bytes = superblock.encode();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Superblock::decode(&bytes), Ok(superblock));
        assert_eq!(superblock.features.forbid_writing(), superblock.features.read_only != 0);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_an_error() {
    let bytes = sample().encode();
    for at in 0..LEN {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let want = match at {
                0..4 => matches!(Superblock::decode(&bad), Err(Fault::NotADatabase)),
                4..6 => Superblock::decode(&bad).is_err(),
                _ => matches!(Superblock::decode(&bad), Err(Fault::Corrupt { .. })),
            };
            assert!(want, "byte {at} bit {bit}: {:?}", Superblock::decode(&bad));
        }
        assert!(Superblock::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Superblock::decode(&[bytes, vec![0]].concat()).is_err(), "a byte too many");
}

#[test]
fn what_this_version_does_not_know_is_named() {
    for (at, byte, want) in [
        (4, 2, Fault::Unsupported { what: "superblock version", found: 2 }),
        (5, 1, Fault::Unsupported { what: "superblock version", found: 0x101 }),
        (4, 0, Fault::Corrupt { what: "superblock version", offset: 4, expected: 1, found: 0 }),
        (24, 5, Fault::Unsupported { what: "incompatible feature", found: 5 }),
        (6, 0, Fault::Corrupt { what: "number of shards", offset: 6, expected: 1, found: 0 }),
        (6, 7, Fault::Corrupt { what: "number of shards", offset: 6, expected: 8, found: 7 }),
        (7, 2, Fault::Corrupt { what: "number of shards", offset: 6, expected: 256, found: 520 }),
    ] {
        let mut bytes = sample().encode();
        bytes[at] = byte;
        assert_eq!(Superblock::decode(&summed(bytes)), Err(want), "byte {at} = {byte}");
    }
}

#[test]
fn the_page_shows_a_real_file() {
    let dump = dump(&sample().encode()).unwrap();
    let page = include_str!("../../../docs/format/superblock.md");
    let golden = page.split("```golden superblock_v1\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
}

mod disk {
    use super::*;
    use jdb_io::plant::plant;
    use jdb_io::sim::{SimConfig, SimDisk, Step};

    fn dir() -> &'static Path {
        Path::new("/")
    }

    fn on<T: 'static>(sim: &SimDisk, future: impl Future<Output = T> + 'static) -> T {
        sim.executor().block_on(future).expect("the future never ends")
    }

    fn read(sim: &SimDisk) -> Result<Option<Superblock>> {
        let disk = Disk::sim(sim);
        on(sim, async move { Superblock::read(&disk, dir()).await })
    }

    #[test]
    fn new_ids_are_drawn_and_come_back() {
        let sim = SimDisk::new(SimConfig::default());
        let disk = Disk::sim(&sim);
        assert_eq!(read(&sim).unwrap(), None);
        let superblock = on(&sim, async move {
            let superblock = Superblock::new(&disk, 8).unwrap();
            superblock.write(&disk, dir()).await.unwrap();
            for count in [0, 3, 512] {
                assert!(
                    matches!(Superblock::new(&disk, count), Err(Error::InvalidArgument { .. })),
                    "{count}"
                );
            }
            superblock
        });
        assert_ne!(superblock.secret, superblock.history);
        assert_eq!(read(&sim).unwrap(), Some(superblock));
        assert_eq!(read(&sim.power_cut(1, SimConfig::default())).unwrap(), Some(superblock));
    }

    #[test]
    fn a_file_that_is_no_superblock_is_named() {
        for (bytes, is_ours) in
            [(b"".to_vec(), false), (b"hello".to_vec(), false), (b"jdb0\x01\x00".to_vec(), true)]
        {
            let sim = SimDisk::new(SimConfig::default());
            let disk = Disk::sim(&sim);
            let path = dir().join(SUPERBLOCK);
            on(&sim, async move {
                let file = disk.open(&path, Mode::CreateNew).await.unwrap();
                file.write_at(0, bytes).await.0.unwrap();
            });
            let path = dir().join(SUPERBLOCK);
            match read(&sim).unwrap_err() {
                Error::NotADatabase { path: found } => assert!(!is_ours && found == path),
                Error::Corrupt { path: found, .. } => assert!(is_ours && found == path),
                error => panic!("{error:?}"),
            }
        }
    }

    /// Cuts the power at every change while a superblock is written; what is found is whole or nothing.
    fn cuts(seed: u64) -> Result<u64> {
        let config = SimConfig { seed, ..SimConfig::default() };
        let sim = SimDisk::new(config);
        let disk = Disk::sim(&sim);
        let done = std::rc::Rc::new(std::cell::Cell::new(false));
        let set = std::rc::Rc::clone(&done);
        sim.executor().spawn(async move {
            sample().write(&disk, dir()).await.unwrap();
            set.set(true);
        });
        let mut cuts = 0;
        while sim.executor().step() == Step::Progress {
            for n in 0..4 {
                cuts += 1;
                let found = read(&sim.power_cut(seed * 1000 + cuts + n, config))?;
                if found.is_none() && done.get() {
                    return Err(Error::Missing { path: dir().into(), what: "superblock" });
                }
                assert!(found.is_none_or(|found| found == sample()));
            }
        }
        Ok(cuts)
    }

    #[test]
    fn a_superblock_is_whole_or_not_there() {
        let cuts: u64 = (0..50).map(|seed| cuts(seed).unwrap()).sum();
        assert!(cuts > 1000, "only {cuts} cuts");
        plant(&[Plant::NoSuperblockSync]);
        let found = (0..50).any(|seed| super::disk::cuts(seed).is_err());
        plant(&[]);
        assert!(found, "a superblock that is not synced is not noticed");
    }
}
