//! Proof of damage: a verified record behind the end of the log that was written when more had been synced.
//!
//! A valid record behind a hole proves nothing by itself, since unsynced pages land in any order. But each record says
//! how far the log **was synced** when it was written. When that place lies beyond the end that was found, something
//! that was durable is gone.

use crate::error::Result;
use crate::layout::SEGMENT_HEADER_LEN;
use crate::log::LogConfig;
use crate::pos::{Claim, Links, LogPos, resolve};
use crate::reader::find_records;
use crate::replay::Files;
use crate::segment::{segment_path, segment_seed};
use jdb_base::pages::UNIT_LEN;
use jdb_io::plant::{Plant, planted};
use jdb_io::{Disk, Mode};
use std::collections::BTreeMap;

/// A record that proves damage.
pub(crate) struct Proof {
    /// Everything before this place was synced.
    pub(crate) synced: LogPos,
}

/// Looks for a proof that the log was synced beyond `end`, behind it and in all later segments.
///
/// `ends` holds the true ends of the chain that led to `end`. Cost: nothing when there are no bytes behind the end, else
/// about 90 ms for 64 MiB of garbage and 30 ms for zeros.
pub(crate) async fn seek(
    disk: &Disk,
    config: &LogConfig,
    files: &Files,
    links: &Links,
    ends: &BTreeMap<u32, u32>,
    end: LogPos,
) -> Result<Option<Proof>> {
    for (&number, &len) in files.segments.range(end.segment..) {
        let from = if number == end.segment { end.byte_offset() } else { SEGMENT_HEADER_LEN as u64 };
        if from >= len {
            continue;
        }
        let file = disk.open(&segment_path(&config.dir, number), Mode::Read).await?;
        let seed = segment_seed(&config.secret, config.shard, number);
        let mut proof = None;
        let mut judge = |at: u64, head: &crate::record::Head| {
            let Ok(offset) = u32::try_from(at / UNIT_LEN) else { return true };
            let record = LogPos::new(number, offset);
            if planted(Plant::AnyRecordProves) {
                proof = Some(Proof { synced: record });
            } else if let Claim::Place(synced) = resolve(links, record, head.synced_back())
                && is_beyond(ends, end, synced)
            {
                proof = Some(Proof { synced });
            }
            proof.is_some()
        };
        find_records(&file, seed, from, len, &mut judge).await?;
        if proof.is_some() {
            return Ok(proof);
        }
    }
    Ok(None)
}

/// Whether `synced` is not part of the chain that ends at `end`.
pub(crate) fn is_beyond(ends: &BTreeMap<u32, u32>, end: LogPos, synced: LogPos) -> bool {
    synced > end || ends.get(&synced.segment).is_some_and(|&end| synced.offset > end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_chain_lacks_is_beyond() {
        let ends = [(3, 100), (5, 40)].into();
        let end = LogPos::new(5, 40);
        for (synced, want) in [
            (LogPos::new(3, 100), false),
            (LogPos::new(3, 101), true),
            (LogPos::new(4, 9), false),
            (LogPos::new(5, 40), false),
            (LogPos::new(5, 41), true),
            (LogPos::new(6, 8), true),
        ] {
            assert_eq!(is_beyond(&ends, end, synced), want, "{synced}");
        }
    }
}
