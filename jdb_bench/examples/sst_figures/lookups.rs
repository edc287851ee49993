//! Look-ups of single keys, in no order.

use crate::contest::{Work, take_turns};
use crate::report::{Report, ns};
use crate::stores;
use jdb_base::SeqNo;
use jdb_bench::index::key;
use jdb_bench::keys::mix;
use jdb_bench::{Result, block_on};
use jdb_sst::SstReader;
use lsm_tree::AbstractTree;

/// Look-ups a round.
const COUNT: u64 = 50_000;

pub(crate) fn measure(report: &mut Report, count: u64, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let reader = block_on(stores::table(dir.path(), count))?;
    let other = stores::lsm_tree(&dir.path().join("lsm"), 1, count, false)?;
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default())?;
    let present: Vec<_> = (0..COUNT).map(|i| key(mix(i) % count)).collect();
    let absent: Vec<_> = (0..COUNT).map(|i| key(count + i)).collect();
    let asked = |keys: &[[u8; 24]], found: u64, want: u64| {
        if found == want { Ok(keys.len() as u64) } else { Err(format!("{found} of {want} found").into()) }
    };
    let works: Vec<Work<'_>> = vec![
        Box::new(|| asked(&present, runtime.block_on(get(&reader, &present))?, COUNT)),
        Box::new(|| asked(&absent, runtime.block_on(get(&reader, &absent))?, 0)),
        Box::new(|| asked(&present, get_other(&other, &present)?, COUNT)),
        Box::new(|| asked(&absent, get_other(&other, &absent)?, 0)),
    ];
    let times = take_turns(rounds, works)?;
    let time = |index| ns(times.median(index));
    report.compare("table, a present key", "<= 600 ns", time(0), time(2), String::new());
    report.compare("table, an absent key", "<= 120 ns", time(1), time(3), String::new());
    Ok(())
}

async fn get(reader: &SstReader, keys: &[[u8; 24]]) -> Result<u64> {
    let mut found = 0;
    for key in keys {
        found += u64::from(reader.get(key, SeqNo::MAX).await?.is_some());
    }
    Ok(found)
}

fn get_other(tree: &lsm_tree::AnyTree, keys: &[[u8; 24]]) -> Result<u64> {
    let mut found = 0;
    for key in keys {
        found += u64::from(tree.get(key, lsm_tree::SeqNo::MAX >> 1)?.is_some());
    }
    Ok(found)
}
