//! One table that a compaction writes.

use crate::error::Result;
use crate::held::Held;
use crate::table::TableMeta;
use crate::weigh::Sample;
use jdb_base::{Kind, SeqNo};
use jdb_io::Disk;
use jdb_sst::{SstWriter, WriterOptions};
use std::path::Path;

#[derive(Debug)]
pub(super) struct Output {
    number: u32,
    writer: SstWriter,
    sample: Sample,
    tombstones: u64,
    /// Below every drop that a read point kept from being applied to an entry of this table.
    drop_seq_max: SeqNo,
    /// What stands in it for read points alone.
    pub(super) held: Held,
}

impl Output {
    pub(super) async fn create(
        disk: &Disk,
        number: u32,
        path: &Path,
        options: WriterOptions,
    ) -> Result<Self> {
        let writer = SstWriter::create(disk, path, options).await?;
        let (sample, held) = (Sample::default(), Held::default());
        Ok(Self { number, writer, sample, tombstones: 0, drop_seq_max: SeqNo::MAX, held })
    }

    pub(super) fn len_so_far(&self) -> u64 {
        self.writer.len_so_far()
    }

    pub(super) fn last_key(&self) -> &[u8] {
        self.sample.last()
    }

    /// Appends an entry that allows drop sequences up to `drop_seq_max`.
    pub(super) async fn append(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        kind: Kind,
        value: &[u8],
        drop_seq_max: SeqNo,
    ) -> Result<()> {
        self.writer.append(key, seq, kind, value).await?;
        self.sample.add(key);
        self.tombstones += u64::from(kind == Kind::Tombstone);
        self.drop_seq_max = self.drop_seq_max.min(drop_seq_max);
        Ok(())
    }

    /// Writes the rest and syncs the file; gives the sample of its keys as well. `start` is the newest sequence at the start of the compaction.
    pub(super) async fn finish(self, start: SeqNo) -> Result<(TableMeta, Sample)> {
        let meta = TableMeta {
            drop_seq: start.min(self.drop_seq_max),
            judged_seq: start,
            tombstones: self.tombstones,
            held: self.held,
            ..TableMeta::of(self.number, self.writer.finish().await?)
        };
        Ok((meta, self.sample))
    }
}
