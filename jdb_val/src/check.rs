//! A whole segment read and checked, record by record.

use crate::error::{Error, Result};
use crate::layout::SEGMENT_HEADER_LEN;
use crate::log::ValueLog;
use crate::pos::LogPos;
use crate::reader::BatchScan;
use crate::record::Record;
use crate::segment::{SegmentHeader, segment_seed};
use jdb_base::SeqNo;
use std::path::PathBuf;

/// Bytes of a segment between two calls of who waits.
const SLICE_LEN: u64 = 256 << 10;

impl ValueLog {
    /// Reads a segment from its header to its end, as of this call, and verifies each record and that they follow each other
    /// without a gap. `progress` hears of the bytes of each part. Returns the number of records.
    ///
    /// Cost: reads the segment once, in parts of 256 KiB.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at the first place that does not hold, [`Error::Missing`] when the segment is not part of the log or
    /// its file is gone, [`Error::Unsupported`]; the disk's.
    pub async fn check_segment(&self, number: u32, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let mut walk = self.walk(number).await?;
        let (mut records, mut told) = (0, 0);
        while walk.next_batch().await? {
            records += walk.records().count() as u64;
            if walk.scan.end() >= told + SLICE_LEN {
                progress(walk.scan.end() - told);
                told = walk.scan.end();
                jdb_io::task::yield_now().await;
            }
        }
        progress(walk.end - told);
        Ok(records)
    }

    /// A walk over the records of a segment, from its header to its end as of this call.
    ///
    /// # Errors
    /// As [`ValueLog::check_segment`].
    pub async fn walk(&self, number: u32) -> Result<SegmentWalk> {
        let end = LogPos::new(number, self.end_of(number)?).byte_offset();
        let path = self.path(number);
        let seed = segment_seed(&self.config.secret, self.config.shard, number);
        let file = match self.file_of(number).await {
            Err(Error::Io(error)) if error.is_not_found() => {
                return Err(Error::Missing { path, what: "segment of the log" });
            }
            file => file?,
        };
        let header = file.read_at(0, SEGMENT_HEADER_LEN).await?;
        SegmentHeader::decode(&header, seed, self.config.shard, number)
            .map_err(|fault| fault.in_file(&path))?;
        let scan = BatchScan::new(file, seed, number, SEGMENT_HEADER_LEN as u64, end, SeqNo::ZERO);
        Ok(SegmentWalk { scan, end, path })
    }
}

/// A walk over the records of a segment, batch by batch; see [`ValueLog::walk`].
pub struct SegmentWalk {
    scan: BatchScan,
    end: u64,
    path: PathBuf,
}

impl SegmentWalk {
    /// Goes to the next batch; `false` at the segment's end. Reads 256 KiB at a time, or one batch when it is longer.
    ///
    /// # Errors
    /// As [`ValueLog::check_segment`].
    pub async fn next_batch(&mut self) -> Result<bool> {
        if self.scan.next().await? {
            return Ok(true);
        }
        let found = self.scan.end();
        if found == self.end {
            return Ok(false);
        }
        let what = "whole record in a segment";
        Err(Error::Corrupt { path: self.path.clone(), what, offset: found, expected: self.end, found })
    }

    /// The records of the batch, each verified.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.scan.records()
    }
}
