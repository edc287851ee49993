//! Footers in their files: made from a sealed segment's records, read in two reads.

use crate::error::{Error, Result};
use crate::footer::{FOOTER_TOP_LEN_MAX, FooterRecord, FooterSummary, FooterTop, find_in_pages};
use crate::footer_builder::FooterBuilder;
use crate::layout::SEGMENT_HEADER_LEN;
use crate::log::ValueLog;
use crate::pos::LogPos;
use crate::reader::BatchScan;
use crate::segment::segment_seed;
use jdb_base::checksum::Seed;
use jdb_base::pages::PAGE_LEN;
use jdb_base::{NsId, SeqNo};
use jdb_io::task::yield_now;
use jdb_io::{File, Mode};

/// Bytes of a segment read between two steps aside for other tasks; about 150 us of work.
const SLICE_LEN: u64 = 256 << 10;

/// A footer whose top is in memory.
#[derive(Debug)]
pub struct FooterReader {
    file: File,
    seed: Seed,
    top: FooterTop,
}

impl FooterReader {
    /// What the footer says about its segment.
    #[must_use]
    pub fn summary(&self) -> FooterSummary {
        self.top.summary()
    }

    /// Reads and checks every data page.
    ///
    /// # Errors
    /// As [`FooterReader::find`].
    pub async fn check(&self) -> Result<()> {
        for offset in self.top.data_pages() {
            let page = self.file.read_at(offset, PAGE_LEN).await?;
            let found = find_in_pages(&page, self.seed, offset, &[]);
            found.map_err(|fault| fault.in_file(self.file.path()))?;
        }
        Ok(())
    }

    /// The records of `ns`, drops too, in the order of the log. Cost: one read.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the pages are damaged: make the footer again. The disk's.
    pub async fn find(&self, ns: NsId) -> Result<Vec<FooterRecord>> {
        let mut encoded = Vec::new();
        ns.encode(&mut encoded);
        let Some((offset, len)) = self.top.pages_of(&encoded) else { return Ok(Vec::new()) };
        let bytes = self.file.read_at(offset, len).await?;
        find_in_pages(&bytes, self.seed, offset, &encoded).map_err(|fault| fault.in_file(self.file.path()))
    }
}

impl ValueLog {
    /// Makes the footer of a segment that nothing is appended to any more, from its records, and writes it behind the
    /// segment's true end. Returns the place that [`ValueLog::read_footer`] wants. Not synced.
    ///
    /// Cost: reads the segment once; memory by its records, about 8 bytes each and 100 a namespace.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the segment's records do not reach its end; [`Error::Missing`] when it is not part of the
    /// log; the disk's.
    ///
    /// # Panics
    /// When the segment is still open.
    pub async fn write_footer(&self, number: u32) -> Result<(u64, u32)> {
        self.check_alive()?;
        let end = self.end_of(number)?;
        let open = {
            let state = self.state.borrow();
            state.active.map(|active| active.number).or(state.writing_to) == Some(number)
        };
        assert!(!open, "segment {number} is still open");
        let path = self.path(number);
        let seed = segment_seed(&self.config.secret, self.config.shard, number);
        let file = self.file_of(number).await?;
        let end_len = LogPos::new(number, end).byte_offset();
        let mut scan = BatchScan::new(file, seed, number, SEGMENT_HEADER_LEN as u64, end_len, SeqNo::ZERO);
        let mut builder = FooterBuilder::new(end);
        let mut slice_end = SLICE_LEN;
        while scan.next().await? {
            for record in scan.records() {
                builder.add(&record).map_err(|fault| fault.in_file(&path))?;
            }
            if scan.end() >= slice_end {
                slice_end = scan.end() + SLICE_LEN;
                yield_now().await;
            }
        }
        if scan.end() != end_len {
            let (what, offset) = ("whole record in a sealed segment", scan.end());
            return Err(Error::Corrupt { path, what, offset, expected: end_len, found: offset });
        }
        let footer = builder.finish(seed);
        let file = self.disk.open(&path, Mode::ReadWrite).await?;
        let (result, _) = file.write_at(footer.offset, footer.bytes).await;
        result?;
        Ok(footer.place)
    }

    /// Reads the top of a footer that lies at `place`. Cost: one read.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is damaged or was made for another end of the segment: make it again.
    /// [`Error::Unsupported`] for a later version; [`Error::Missing`] when the segment is not part of the log; the disk's.
    pub async fn read_footer(&self, number: u32, place: (u64, u32)) -> Result<FooterReader> {
        let end = self.end_of(number)?;
        let path = self.path(number);
        let (offset, len) = place;
        let corrupt = |what, expected: u64, found: u64| Error::Corrupt {
            path: path.clone(),
            what,
            offset,
            expected,
            found,
        };
        if len > FOOTER_TOP_LEN_MAX {
            return Err(corrupt("length of a footer's top", u64::from(FOOTER_TOP_LEN_MAX), u64::from(len)));
        }
        let seed = segment_seed(&self.config.secret, self.config.shard, number);
        let file = self.file_of(number).await?;
        let bytes = file.read_at(offset, len as usize).await?;
        if bytes.len() as u64 != u64::from(len) {
            return Err(corrupt("length of a footer's top", u64::from(len), bytes.len() as u64));
        }
        let top = FooterTop::parse(&bytes, seed, offset).map_err(|fault| fault.in_file(&path))?;
        if top.summary().end != end {
            return Err(corrupt("end of a footer's segment", u64::from(end), u64::from(top.summary().end)));
        }
        Ok(FooterReader { file, seed, top })
    }
}
