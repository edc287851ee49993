//! Which records of segments that are collected are live: what is known of a segment says it, or the index is asked about each of its
//! records, in the order of their keys.
//!
//! One of many records that are known to be dead is asked about too. Should the index hold it, it is one survivor more than the MANIFEST
//! counts, and its segment stays.
//!
//! A record is live when the durable tables of one pinned Version hold exactly its key, sequence and pointer. Entries only leave
//! the index, so that what is live later was live then.

use crate::error::Result;
use crate::packing::{Clock, Site};
use crate::records::{Record, Records};
use jdb_base::{SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::{Payload, Sweep};
use jdb_val::RecordKind;

/// Bytes of records that are asked about together, so that a block of the index is read once for many.
const ASKED_LEN: usize = 8 << 20;
/// One of so many records that are known to be dead is asked about all the same: what should not happen is to be seen.
pub(crate) const DOUBTED_EVERY: u32 = 64;

/// A search for live records, as of one Version.
pub(crate) struct Search<'a> {
    site: &'a Site,
    /// Not asked about yet.
    asked: Records,
    survivors: Records,
    /// Records that were known to be dead.
    dead: u32,
}

/// The durable index, asked for one record after the other.
pub(crate) struct Index<'a>(Sweep<'a>);

impl<'a> Search<'a> {
    /// In the tables of `site`: what the records of segments that the MANIFEST names as sealed are wanted for is published there.
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, asked: Records::default(), survivors: Records::default(), dead: 0 }
    }

    /// Looks through a segment. Ends early when the job is to end, as all of it.
    ///
    /// # Errors
    /// The segment is damaged, and left out from now on; the index or the disk cannot be read.
    pub(crate) async fn segment(&mut self, number: u32, clock: &mut Clock<'_>) -> Result<()> {
        let site = self.site;
        let left_out = |error: jdb_val::Error| site.leave_out_if_damaged(number, error.into());
        let known = site.known.origin(number);
        let mut walk = site.log.walk(number).await.map_err(left_out)?;
        while walk.next_batch().await.map_err(left_out)? {
            for record in walk.records().filter(|record| record.kind == RecordKind::Put) {
                let (offset, len) = (record.pos.offset, record.value.len() as u32);
                let ptr = ValuePtr { segment: number, offset, len };
                let found = Record { key: record.key, seq: record.seq, ptr };
                match known {
                    Some(live) if live.contains(record.seq) => self.survivors.push(found),
                    Some(_) => {
                        self.dead = self.dead.wrapping_add(1);
                        if self.dead.is_multiple_of(DOUBTED_EVERY) {
                            self.asked.push(found);
                        }
                    }
                    None => self.asked.push(found),
                }
                if clock.tick(record.key.len()).await {
                    return Ok(());
                }
            }
            if self.asked.len() >= ASKED_LEN {
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
        // What was known until here is a run of its own.
        self.survivors.sort();
        self.asked.sort();
        let mut index = Index::new(self.site);
        for record in self.asked.in_order() {
            if index.pointer(record.key, record.seq).await? == Some(record.ptr) {
                self.survivors.append(record);
            }
            if clock.tick(0).await {
                break;
            }
        }
        self.survivors.end_run();
        self.asked.clear();
        Ok(())
    }

    /// All live records that were found.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) async fn finish(mut self, clock: &mut Clock<'_>) -> Result<Records> {
        self.ask(clock).await?;
        Ok(self.survivors)
    }
}

impl<'a> Index<'a> {
    /// Of `site`. Whoever asks in the order of the keys is answered fast.
    pub(crate) fn new(site: &'a Site) -> Self {
        Self(Sweep::new(&site.version))
    }

    /// The pointer that it holds for exactly this key and sequence.
    pub(crate) async fn pointer(&mut self, key: &[u8], seq: SeqNo) -> Result<Option<ValuePtr>> {
        let at = if planted(Plant::TrustNewest) { SeqNo::MAX } else { seq };
        let found = self.0.get(key, at).await?;
        Ok(found.filter(|found| found.seq == seq).and_then(|found| match found.payload {
            Payload::Pointer(ptr) => Some(ptr),
            Payload::Inline(_) | Payload::Tombstone => None,
        }))
    }
}
