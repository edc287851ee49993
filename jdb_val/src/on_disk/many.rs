//! Many values at once.

use super::harness::*;
use crate::{Checkpoint, Error, LogConfig, Wanted};
use jdb_base::ValuePtr;
use jdb_io::Disk;

fn small() -> LogConfig {
    LogConfig { segment_len: 16 << 10, ..config() }
}

#[test]
fn many_values_are_those_of_single_reads_whatever_their_order_and_neighbours_share_a_read() {
    let sim = sim(3);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, small(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        let mut chance = Chance(5);
        let ops: Vec<_> = (0..300)
            .map(|i| put(7, &format!("key {i}"), vec![i as u8; chance.below(1500) as usize]))
            .collect();
        let batches: Vec<_> = ops.iter().map(|op| vec![op.clone()]).collect();
        let placed = append(&log, &mut next, &batches).await.unwrap();
        assert!(log.chain().len() > 5, "several segments");
        let all: Vec<_> = ops
            .iter()
            .zip(&placed)
            .map(|(op, at)| Wanted { ptr: at.ptr, key: &op.key, seq: at.seq })
            .collect();
        for depth in [0, 1, 3, 64] {
            for _ in 0..20 {
                let count = chance.below(80);
                let chosen: Vec<usize> = (0..count).map(|_| chance.below(300) as usize).collect();
                let wanted: Vec<_> = chosen.iter().map(|&i| all[i]).collect();
                let many = log.read_many(&wanted, depth).await;
                assert_eq!(many.values.len(), chosen.len());
                for (value, &i) in many.values.iter().zip(&chosen) {
                    assert_eq!(value.as_ref().unwrap(), &ops[i].value, "{i}");
                }
                assert!(many.reads <= chosen.len());
            }
        }
        let before = disk.counters().reads;
        let many = log.read_many(&all, 64).await;
        assert_eq!(many.reads as u64, disk.counters().reads - before);
        assert!(many.reads < 40, "{} reads of 300 neighbours", many.reads);
    });
}

#[test]
fn what_is_wrong_with_one_of_many_is_its_own_error() {
    let sim = sim(3);
    let disk = Disk::sim(&sim);
    let damaged = sim.clone();
    run(&sim, async move {
        let (log, _, _) = open(&disk, small(), &Checkpoint::default()).await.unwrap();
        let ops: Vec<_> = (0..8).map(|i| put(7, &format!("key {i}"), vec![i as u8; 100])).collect();
        let batches: Vec<_> = ops.iter().map(|op| vec![op.clone()]).collect();
        let placed = append(&log, &mut 1, &batches).await.unwrap();
        let mut wanted: Vec<_> = ops
            .iter()
            .zip(&placed)
            .map(|(op, at)| Wanted { ptr: at.ptr, key: &op.key, seq: at.seq })
            .collect();
        wanted[1].seq = wanted[1].seq.plus(1);
        wanted[2].key = &ops[3].key;
        wanted[3].ptr = ValuePtr { segment: 99, ..wanted[3].ptr };
        wanted[4].ptr = ValuePtr { offset: 1 << 20, ..wanted[4].ptr };
        wanted[5].ptr = ValuePtr { len: 99, ..wanted[5].ptr };
        assert!(damaged.flip_bit(&path(1), (wanted[6].ptr.byte_offset() + 60) * 8));
        let many = log.read_many(&wanted, 4).await;
        for (i, value) in many.values.into_iter().enumerate() {
            match (i, value) {
                (0 | 7, value) => assert_eq!(value.unwrap(), ops[i].value),
                (3, value) => assert!(matches!(value, Err(Error::Missing { .. })), "{value:?}"),
                (_, value) => assert!(matches!(value, Err(Error::Corrupt { .. })), "{i}: {value:?}"),
            }
        }
    });
}
