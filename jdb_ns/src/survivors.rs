//! Which records of segments that are collected are live: the index is asked about each, in the order of their keys.
//!
//! A record is live when the durable tables of one pinned Version hold exactly its key, sequence and pointer. Entries only leave
//! the index, so that what is live later was live then.

use crate::error::Result;
use crate::packing::{Clock, Site};
use jdb_base::{SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::{Hidden, Payload};
use jdb_val::RecordKind;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Records that are asked about together, so that a block of the index is read once for many, and the bytes that they may take.
const ASKED_COUNT: usize = 64 << 10;
const ASKED_LEN: usize = 8 << 20;
/// What one takes besides its key, about.
const RECORD_LEN: usize = 100;

/// Records in the order of a table: where their values are, as the index says it.
pub(crate) type Records = BTreeMap<(Vec<u8>, Reverse<SeqNo>), ValuePtr>;

/// A search for live records, as of one Version.
pub(crate) struct Search<'a> {
    site: &'a Site,
    /// Not asked about yet, and the bytes that they take.
    asked: Records,
    asked_len: usize,
    survivors: Records,
}

impl<'a> Search<'a> {
    /// In the tables of `site`: what the records of segments that the MANIFEST names as sealed are wanted for is published there.
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, asked: Records::new(), asked_len: 0, survivors: Records::new() }
    }

    /// Looks through a segment. Ends early when the job is to end, as all of it.
    ///
    /// # Errors
    /// The segment is damaged, and left out from now on; the index or the disk cannot be read.
    pub(crate) async fn segment(&mut self, number: u32, clock: &mut Clock<'_>) -> Result<()> {
        let site = self.site;
        let left_out = |error: jdb_val::Error| site.leave_out_if_damaged(number, error.into());
        let mut walk = site.log.walk(number).await.map_err(left_out)?;
        while walk.next_batch().await.map_err(left_out)? {
            for record in walk.records().filter(|record| record.kind == RecordKind::Put) {
                let (offset, len) = (record.pos.offset, record.value.len() as u32);
                let ptr = ValuePtr { segment: number, offset, len };
                self.asked.insert((record.key.to_vec(), Reverse(record.seq)), ptr);
                self.asked_len += record.key.len() + RECORD_LEN;
                if clock.tick(record.key.len()).await {
                    return Ok(());
                }
            }
            if self.asked.len() >= ASKED_COUNT || self.asked_len >= ASKED_LEN {
                self.ask(clock).await?;
            }
            // There may be nothing but deletes.
            if clock.tick(0).await {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves those records to the survivors that the index leads to.
    async fn ask(&mut self, clock: &mut Clock<'_>) -> Result<()> {
        self.asked_len = 0;
        while let Some((record, ptr)) = self.asked.pop_first() {
            let (key, Reverse(seq)) = &record;
            if self.pointer(key, *seq).await? == Some(ptr) {
                self.survivors.insert(record, ptr);
            }
            if clock.tick(0).await {
                break;
            }
        }
        Ok(())
    }

    /// All live records that were found.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) async fn finish(&mut self, clock: &mut Clock<'_>) -> Result<Records> {
        self.ask(clock).await?;
        Ok(std::mem::take(&mut self.survivors))
    }

    pub(crate) fn site(&self) -> &'a Site {
        self.site
    }

    /// The pointer that the durable index holds for exactly this key and sequence.
    pub(crate) async fn pointer(&self, key: &[u8], seq: SeqNo) -> Result<Option<ValuePtr>> {
        let at = if planted(Plant::TrustNewest) { SeqNo::MAX } else { seq };
        let found = self.site.version.get_in_tables(key, at, &Hidden::NONE).await?;
        Ok(found.filter(|found| found.seq == seq).and_then(|found| match found.payload {
            Payload::Pointer(ptr) => Some(ptr),
            Payload::Inline(_) | Payload::Tombstone => None,
        }))
    }
}
