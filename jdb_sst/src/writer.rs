//! Writes a table to a file as its entries come.

use crate::error::{Error, Result};
use crate::layout::ID_LEN;
use crate::options::{TableInfo, WriterOptions};
use crate::table_builder::TableBuilder;
use jdb_base::{Kind, SeqNo};
use jdb_io::plant::{Plant, planted};
use jdb_io::task::yield_now;
use jdb_io::{Disk, File, Mode};
use std::path::Path;

/// Bytes written at once.
const CHUNK_LEN: usize = 256 << 10;

/// Writes one table: entries in ascending order, then [`SstWriter::finish`].
///
/// Memory: the open data block and index block, one separator per partition of the index, up to 256 KiB of finished blocks,
/// and 200 KiB for filters. Filters are built in slices of a few hundred microseconds; between them other tasks run. A
/// writer that is dropped before it is finished leaves a file without a footer, which does not open; the caller removes it.
///
/// After a failed write, or one whose future was dropped, every later call gives [`Error::Failed`].
#[derive(Debug)]
pub struct SstWriter {
    file: File,
    builder: TableBuilder,
    /// File offset up to which bytes were written.
    written: u64,
    /// The buffer that is not being filled.
    spare: Vec<u8>,
    failed: bool,
}

impl SstWriter {
    /// Creates the file, which must not exist yet, and draws its random id.
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its range, before anything is created; [`Error::Io`].
    pub async fn create(disk: &Disk, path: &Path, options: WriterOptions) -> Result<Self> {
        let id: [u8; ID_LEN] = disk.random()?.to_le_bytes();
        let builder = TableBuilder::new(id, options)?;
        let file = disk.open(path, Mode::CreateNew).await?;
        Ok(Self { file, builder, written: 0, spare: Vec::new(), failed: false })
    }

    /// Appends an entry, which must lie above all before it: key ascending, then sequence descending.
    ///
    /// Suspends only when 256 KiB are ready to be written, or after a slice of a filter's work, about once in 4 Ki keys.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] and [`Error::TooLarge`]: the entry is left out, the writer goes on. [`Error::Io`] and
    /// [`Error::Failed`]: the table is lost.
    pub async fn append(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        if self.failed {
            return Err(self.failure());
        }
        self.builder.append(key, seq, kind, value).map_err(|error| self.with_path(error))?;
        self.do_steps().await;
        if self.builder.ready_len() >= CHUNK_LEN {
            let spare = std::mem::take(&mut self.spare);
            let ready = self.builder.take(spare);
            self.write(ready).await?;
        }
        Ok(())
    }

    /// Number of entries so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.builder.count()
    }

    /// About the length of the file if it were finished now, without the upper index and the footer.
    #[inline]
    #[must_use]
    pub fn len_so_far(&self) -> u64 {
        self.builder.len_so_far()
    }

    /// Writes what is left and syncs the file. Its name is durable only once the caller has synced the directory.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Failed`]; the table must not be used then.
    pub async fn finish(mut self) -> Result<TableInfo> {
        if self.failed {
            return Err(self.failure());
        }
        self.builder.close_partition();
        self.do_steps().await;
        let builder =
            std::mem::replace(&mut self.builder, TableBuilder::new([0; ID_LEN], WriterOptions::default())?);
        let (rest, info) = builder.finish();
        self.write(rest).await?;
        if !planted(Plant::NoTableSync) {
            self.file.sync().await?;
        }
        Ok(info)
    }

    /// Does the work that waits, in slices. Dropped in the middle, it goes on with the next entry.
    async fn do_steps(&mut self) {
        while self.builder.step() {
            yield_now().await;
        }
    }

    /// Writes `data` behind what was written, in chunks, and keeps its buffer.
    async fn write(&mut self, mut data: Vec<u8>) -> Result<()> {
        // Whoever drops this future in the middle finds the writer failed.
        self.failed = true;
        let total = data.len();
        if total <= 2 * CHUNK_LEN {
            let (result, buffer) = self.file.write_at(self.written, data).await;
            result?;
            data = buffer;
        } else {
            // One entry of many megabytes: the disk gets it piece by piece.
            let mut offset = self.written;
            let mut piece = Vec::with_capacity(CHUNK_LEN);
            for chunk in data.chunks(CHUNK_LEN) {
                piece.clear();
                piece.extend_from_slice(chunk);
                let (result, buffer) = self.file.write_at(offset, piece).await;
                result?;
                offset += chunk.len() as u64;
                piece = buffer;
            }
            data = piece;
        }
        self.written += total as u64;
        self.spare = data;
        self.failed = false;
        Ok(())
    }

    fn failure(&self) -> Error {
        Error::Failed { path: self.file.path().to_owned() }
    }

    fn with_path(&self, error: Error) -> Error {
        match error {
            Error::OutOfOrder { index, seq, before, .. } => {
                Error::OutOfOrder { path: self.file.path().to_owned(), index, seq, before }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
