//! Turns entries into the bytes of a table, piece by piece: no file, no runtime.
//!
//! Order in the file: data blocks; after the last data block of each index partition that partition; the upper levels of
//! the index, the top last; the footer. Memory held: the open data block and index block, one separator a partition, and
//! the bytes that were not taken yet.
//!
//! Format: docs/format/sst.md.

use crate::block_builder::BlockBuilder;
use crate::error::Result;
use crate::footer::{Features, Footer};
use crate::handle::{Handle, Span};
use crate::index::{Fence, IndexBuilder, is_full, separate};
use crate::layout::{ID_LEN, TOP_LEN_PINNED};
use crate::options::{TableInfo, WriterOptions};
use crate::trailer;
use jdb_base::checksum::Seed;
use jdb_base::pages::PAGE_LEN;
use jdb_base::{Kind, SeqNo};

/// Builds one table in memory; what is ready can be [taken](TableBuilder::take) away at any time.
///
/// ```
/// use jdb_base::{Kind, SeqNo};
/// use jdb_sst::{TableBuilder, WriterOptions};
///
/// let mut builder = TableBuilder::new([7; 16], WriterOptions::default())?;
/// builder.append(b"apple", SeqNo::ZERO, Kind::Inline, b"red")?;
/// let (bytes, info) = builder.finish();
/// assert_eq!(info.count, 1);
/// assert_eq!(bytes.len() as u64, info.len);
/// # Ok::<(), jdb_sst::Error>(())
/// ```
#[derive(Debug)]
pub struct TableBuilder {
    options: WriterOptions,
    id: [u8; ID_LEN],
    seed: Seed,
    /// Bytes that are ready; they begin at `start` of the file.
    out: Vec<u8>,
    start: u64,
    block: BlockBuilder,
    index: IndexBuilder,
    /// The separators of the partitions so far.
    fences: Vec<Fence>,
    separator: Vec<u8>,
    handle: Vec<u8>,
    first_key: Vec<u8>,
    count: u64,
    seq_min: SeqNo,
    seq_max: SeqNo,
    block_count: u64,
    index_len: u64,
    padding_len: u64,
}

impl TableBuilder {
    /// A table without entries. `id` must be random: checksums start from it.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) when an option is outside its range.
    pub fn new(id: [u8; ID_LEN], options: WriterOptions) -> Result<Self> {
        options.check()?;
        Ok(Self {
            options,
            id,
            seed: Seed::of(&id),
            out: Vec::new(),
            start: 0,
            block: BlockBuilder::new(),
            index: IndexBuilder::default(),
            fences: Vec::new(),
            separator: Vec::new(),
            handle: Vec::new(),
            first_key: Vec::new(),
            count: 0,
            seq_min: SeqNo::MAX,
            seq_max: SeqNo::ZERO,
            block_count: 0,
            index_len: 0,
            padding_len: 0,
        })
    }

    /// Appends an entry, which lies above all before it: key ascending, then sequence descending.
    ///
    /// Cost: one copy of key and value into the open block, one more when the block is finished.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`](crate::Error::OutOfOrder) or [`Error::TooLarge`](crate::Error::TooLarge); the table is then as
    /// it was before.
    pub fn append(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        self.block.check(key, seq, value)?;
        let mut shared = self.block.shared(key);
        if !self.block.is_empty() {
            let len_with = self.block.len_with(shared, key, seq, value);
            if is_full(self.block.len(), len_with, self.options.block_len) {
                self.finish_block(Some(key));
                shared = 0;
            }
        }
        if self.count == 0 {
            self.first_key.extend_from_slice(key);
        }
        self.block.push(shared, key, seq, kind, value);
        self.count += 1;
        self.seq_min = self.seq_min.min(seq);
        self.seq_max = self.seq_max.max(seq);
        Ok(())
    }

    /// Bytes that are ready to be taken.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.out.len()
    }

    /// Takes the bytes that are ready and leaves `empty`, a buffer to go on with. What is taken belongs at the file
    /// offset that is the sum of all lengths taken before.
    #[must_use]
    pub fn take(&mut self, mut empty: Vec<u8>) -> Vec<u8> {
        empty.clear();
        self.start += self.out.len() as u64;
        std::mem::replace(&mut self.out, empty)
    }

    /// Number of entries so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Length of the file if it ended with the entries so far, without index and footer; what the open block will take is
    /// an upper bound.
    #[must_use]
    pub fn len_so_far(&self) -> u64 {
        self.offset() + (self.block.len() + self.index.len()) as u64
    }

    /// Completes the table: gives the bytes that were not taken yet, footer included.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, TableInfo) {
        self.finish_block(None);
        self.finish_partition();
        let (height, top) = self.finish_levels();
        let empty = self.count == 0;
        let (seq_min, seq_max) = if empty { Default::default() } else { (self.seq_min, self.seq_max) };
        let footer = Footer {
            height,
            features: Features::default(),
            id: self.id,
            count: self.count,
            seq_min,
            seq_max,
            top,
            block_len: self.options.block_len as u32,
            meta: Handle::default(),
        };
        let offset = self.offset();
        footer.encode(&mut self.out, offset);
        let info = TableInfo {
            len: self.offset(),
            count: self.count,
            first_key: self.first_key,
            last_key: self.block.last().map(|(key, _)| key.to_vec()).unwrap_or_default(),
            seq_min,
            seq_max,
            id: self.id,
            block_count: self.block_count,
            index_len: self.index_len,
            padding_len: self.padding_len,
        };
        (self.out, info)
    }

    /// Ends the open data block; `next` is the key of the entry after it.
    fn finish_block(&mut self, next: Option<&[u8]>) {
        let Some(last) = self.block.last().filter(|_| !self.block.is_empty()) else { return };
        let mut separator = std::mem::take(&mut self.separator);
        let seq = match next {
            Some(next) => separate(last, next, &mut separator),
            None => {
                separator.clear();
                separator.extend_from_slice(last.0);
                last.1
            }
        };
        self.pad(self.block.len());
        let start = self.out.len();
        self.block.finish(&mut self.out);
        let handle = self.seal(start);
        self.block_count += 1;

        self.handle.clear();
        handle.encode(&mut self.handle);
        self.index.add(&separator, seq, &self.handle);
        self.separator = separator;
        if self.index.is_full(self.options.index_len) {
            self.finish_partition();
        }
    }

    /// Ends the open index partition.
    fn finish_partition(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        if let Some(fence) = self.write_index(&mut index) {
            self.fences.push(fence);
        }
        self.index = index;
    }

    /// Writes the levels above the partitions; gives the height of the whole index and its top.
    fn finish_levels(&mut self) -> (u8, Handle) {
        let mut fences = std::mem::take(&mut self.fences);
        let mut height = 2;
        if fences.is_empty() {
            return (0, Handle::default());
        }
        loop {
            let mut block = IndexBuilder::default();
            let top_len = self.options.top_len;
            // Two separators are always a top, however long: a level between would not make it shorter.
            if fences.len() <= 2 || fits(&fences, top_len) {
                for fence in &fences {
                    self.add_fence(&mut block, fence);
                }
                let top = self.write_index(&mut block).map(|fence| fence.span.index());
                return (height, top.unwrap_or_default());
            }
            let mut above = Vec::new();
            for fence in &fences {
                self.add_fence(&mut block, fence);
                if block.is_full(self.options.index_len) {
                    above.extend(self.write_index(&mut block));
                }
            }
            above.extend(self.write_index(&mut block));
            fences = above;
            height += 1;
        }
    }

    fn add_fence(&mut self, block: &mut IndexBuilder, fence: &Fence) {
        self.handle.clear();
        fence.span.encode(&mut self.handle);
        block.add(&fence.key, fence.seq, &self.handle);
    }

    fn write_index(&mut self, index: &mut IndexBuilder) -> Option<Fence> {
        if index.is_empty() {
            return None;
        }
        self.pad(index.len());
        let start = self.out.len();
        let (key, seq) = index.finish(&mut self.out)?;
        let handle = self.seal(start);
        self.index_len += u64::from(handle.len);
        Some(Fence { key, seq, span: Span { offset: handle.offset, filter_len: 0, len: handle.len } })
    }

    /// Adds the trailer to the block that begins at `start` of `out`.
    fn seal(&mut self, start: usize) -> Handle {
        let offset = self.start + start as u64;
        trailer::seal(&mut self.out, start, self.options.codec, self.seed, offset);
        Handle { offset, len: (self.out.len() - start) as u32 }
    }

    /// Pads so that a block of `len` bytes does not cross a page border that it could avoid.
    fn pad(&mut self, len: usize) {
        let padding = padding(self.offset(), len);
        self.out.resize(self.out.len() + padding, 0);
        self.padding_len += padding as u64;
    }

    fn offset(&self) -> u64 {
        self.start + self.out.len() as u64
    }
}

/// Whether a block of these separators stays within `len`.
fn fits(fences: &[Fence], len: usize) -> bool {
    let mut block = IndexBuilder::default();
    let mut handle = Vec::new();
    for fence in fences {
        handle.clear();
        fence.span.encode(&mut handle);
        block.add(&fence.key, fence.seq, &handle);
        if block.len() > len {
            return false;
        }
    }
    true
}

/// Bytes of zeros to put before a block of `len` bytes at `offset`.
///
/// A block of up to a page never straddles a border. A longer one starts a page only when that saves a page and costs at
/// most a sixteenth of its length.
fn padding(offset: u64, len: usize) -> usize {
    let within = (offset % PAGE_LEN as u64) as usize;
    let saves = (within + len).div_ceil(PAGE_LEN) > len.div_ceil(PAGE_LEN);
    let gap = PAGE_LEN - within;
    if saves && (len <= PAGE_LEN || gap <= len / 16) { gap } else { 0 }
}

const _: () = assert!(TOP_LEN_PINNED > PAGE_LEN);

#[cfg(test)]
mod tests;
