//! Turns entries into the bytes of a table, piece by piece: no file, no runtime.
//!
//! Order in the file: data blocks; after the last data block of each index partition its filter and the partition; the upper
//! levels of the index, the top last; meta blocks and their list; the footer. Memory held: the open data block and index
//! block, the hashes of one partition and what its filter is made of (200 KiB), one separator a partition, and the bytes that
//! were not taken yet.
//!
//! Building a filter is put off: it is done by [`TableBuilder::step`] in slices, and whatever is left of it when an eighth of the
//! next data block is there. The bytes are the same either way.
//!
//! What is left of the page behind an index partition is filled by a data block that ends with the page, before its target.
//!
//! Format: docs/format/sst.md.

use crate::block_builder::BlockBuilder;
use crate::error::Result;
use crate::footer::{Features, Footer};
use crate::group::Groups;
use crate::handle::{Handle, Span};
use crate::index::{Fence, IndexBuilder, is_full, separate};
use crate::layout::{Codec, ID_LEN, TOP_LEN_PINNED, TRAILER_LEN};
use crate::meta::Meta;
use crate::options::{TableInfo, WriterOptions};
use crate::partition::{Keys, Pending};
use crate::properties::Properties;
use crate::trailer;
use jdb_base::checksum::Seed;
use jdb_base::pages::PAGE_LEN;
use jdb_base::{Kind, SeqNo};
use xxhash_rust::xxh3::xxh3_64;

/// A data block ends before its target, where that saves padding, when it has one of so many parts of it.
const SHORT_BLOCK: usize = 8;

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
    /// What is left of the page where the open data block will lie; known once it is of some length.
    room: Option<usize>,
    index: IndexBuilder,
    /// Hashes for the next filter; `None` when no filters are written.
    keys: Option<Keys>,
    /// The partition whose filter is being built.
    pending: Option<Pending>,
    /// Length of the last key's group prefix.
    group_len: Option<usize>,
    /// Counts groups, when keys have any.
    groups: Option<Groups>,
    properties: Properties,
    /// Meta blocks written so far.
    metas: Vec<Meta>,
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
    filter_len: u64,
    padding_len: u64,
}

impl TableBuilder {
    /// A table without entries. `id` must be random: checksums start from it.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) when an option is outside its range.
    pub fn new(id: [u8; ID_LEN], options: WriterOptions) -> Result<Self> {
        options.check()?;
        let groups = options.group_prefix_len.map(|_| Groups::default());
        let properties = Properties::new(&options);
        let keys = options.filter.then(|| Keys::new(xxh3_64(&id)));
        Ok(Self {
            options,
            id,
            seed: Seed::of(&id),
            out: Vec::new(),
            start: 0,
            block: BlockBuilder::new(),
            room: None,
            index: IndexBuilder::default(),
            keys,
            pending: None,
            group_len: None,
            groups,
            properties,
            metas: Vec::new(),
            fences: Vec::new(),
            separator: Vec::new(),
            handle: Vec::new(),
            first_key: Vec::new(),
            count: 0,
            seq_min: SeqNo::MAX,
            seq_max: SeqNo::ZERO,
            block_count: 0,
            index_len: 0,
            filter_len: 0,
            padding_len: 0,
        })
    }

    /// Appends an entry, which lies above all before it: key ascending, then sequence descending.
    ///
    /// Cost: one hash of the key; one copy of key and value into the open block, one more when the block is finished. Whoever
    /// must not hold the thread for some 300 us now and then calls [`TableBuilder::step`] between entries.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`](crate::Error::OutOfOrder) or [`Error::TooLarge`](crate::Error::TooLarge); the table is then as
    /// it was before.
    pub fn append(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        self.block.check(key, seq, value)?;
        let mut shared = self.block.shared(key);
        if !self.block.is_empty() {
            let len_with = self.block.len_with(shared, key, seq, value);
            if self.ends_before(key, len_with) {
                self.finish_block(Some(key));
                shared = 0;
            }
        }
        self.note(key, seq, kind, value);
        if self.count == 0 {
            self.first_key.extend_from_slice(key);
        }
        self.block.push(shared, key, seq, kind, value);
        self.count += 1;
        self.seq_min = self.seq_min.min(seq);
        self.seq_max = self.seq_max.max(seq);
        Ok(())
    }

    /// Does one slice, a few hundred microseconds, of the work that waits; `true` while more waits. Nothing waits for most
    /// entries.
    pub fn step(&mut self) -> bool {
        let Some(pending) = &mut self.pending else { return false };
        if pending.job.step() {
            return true;
        }
        self.write_partition();
        false
    }

    /// Ends the open data block and index partition, so that [`TableBuilder::step`] can do their work in slices before
    /// [`TableBuilder::finish`]. Meant for the end of a table, but entries may follow.
    pub fn close_partition(&mut self) {
        self.finish_block(None);
        self.finish_partition();
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
    #[inline]
    #[must_use]
    pub fn len_so_far(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, |pending| pending.index.len());
        self.offset() + (self.block.len() + self.index.len() + pending) as u64
    }

    /// Completes the table: gives the bytes that were not taken yet, footer included.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, TableInfo) {
        self.close_partition();
        while self.step() {}
        let (height, top) = self.finish_levels();
        let empty = self.count == 0;
        let (seq_min, seq_max) = if empty { Default::default() } else { (self.seq_min, self.seq_max) };
        self.write_groups_meta();
        self.write_properties(seq_min, seq_max);
        self.write_filters_meta();
        let meta = self.write_meta_list();
        let footer = Footer {
            height,
            features: Features::default(),
            id: self.id,
            count: self.count,
            seq_min,
            seq_max,
            top,
            block_len: self.options.block_len as u32,
            meta,
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
            filter_len: self.filter_len,
            padding_len: self.padding_len,
        };
        (self.out, info)
    }

    /// Whether the open data block ends before the next entry, which has this key and with which it would have this length.
    fn ends_before(&mut self, key: &[u8], len_with: usize) -> bool {
        let (len, target) = (self.block.len(), self.options.block_len);
        if self.keys.as_ref().is_some_and(Keys::is_block_full) || is_full(len, len_with, target) {
            return true;
        }
        // A shorter block costs more than the room that it saves.
        if len < target / SHORT_BLOCK {
            return false;
        }
        let is_partition_full = self.keys.as_ref().is_some_and(Keys::is_full);
        (is_partition_full && self.block.last().is_some_and(|(last, _)| last != key))
            || self.is_page_full(len_with)
    }

    /// Whether the page ends, within which something else begins, before a data block of this length does.
    fn is_page_full(&mut self, len_with: usize) -> bool {
        let (len, target) = (self.block.len(), self.options.block_len);
        // Long entries make blocks that are longer than a page and cross its border anyway; what lz4 makes of one is not known yet.
        if target > PAGE_LEN || self.options.codec != Codec::Plain || len_with - len > target / 16 {
            return false;
        }
        if self.room.is_none() {
            // What waits lies before this block.
            while self.step() {}
            self.room = Some(PAGE_LEN - (self.offset() % PAGE_LEN as u64) as usize);
        }
        self.room.is_some_and(|room| room < target && len <= room && len_with > room)
    }

    /// Takes note of the next entry, which the open block is about to get.
    fn note(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        let last = self.block.last().map(|(last, _)| last);
        let same_key = last == Some(key);
        let group_len = if same_key { self.group_len } else { self.group_prefix(key).map(<[u8]>::len) };
        let prefix = group_len.and_then(|len| key.get(..len));
        let same_group = same_key || prefix == self.group_len.and_then(|len| last?.get(..len));
        let new_group = prefix.filter(|_| !same_group);
        if let Some(keys) = &mut self.keys {
            if self.block.is_empty() && self.count > 0 {
                keys.begin_block(same_key);
            }
            if let Some(prefix) = new_group.filter(|_| self.options.filter_groups) {
                keys.add_group(prefix);
            }
            if !same_key {
                keys.add(key);
            }
        }
        if let Some(groups) = &mut self.groups {
            new_group.into_iter().for_each(|prefix| groups.begin(prefix));
            groups.add(self.block_count, key, seq, kind, value);
        }
        self.properties.add(same_key, key, kind, value);
        self.group_len = group_len;
        self.write_full_groups();
    }

    /// The prefix of a key that names its group.
    fn group_prefix<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        let len_of = self.options.group_prefix_len?;
        key.get(..len_of(key).min(key.len()))
    }

    /// Ends the open data block; `next` is the key of the entry after it.
    fn finish_block(&mut self, next: Option<&[u8]>) {
        // What waits lies before this block.
        while self.step() {}
        self.room = None;
        if self.keys.as_ref().is_some_and(Keys::is_over) {
            self.finish_partition();
            while self.step() {}
        }
        let Some(last) = self.block.last().filter(|_| !self.block.is_empty()) else { return };
        let between_keys = next.is_none_or(|next| next != last.0);
        let mut separator = std::mem::take(&mut self.separator);
        let seq = match next {
            Some(next) => separate(last, next, &mut separator),
            None => {
                separator.clear();
                separator.extend_from_slice(last.0);
                last.1
            }
        };
        let handle = self.write_block();
        self.block_count += 1;

        self.handle.clear();
        handle.encode(&mut self.handle);
        self.index.add(&separator, seq, &self.handle);
        if let Some(prefix) =
            next.filter(|_| self.options.filter_groups).and_then(|next| self.group_prefix(next))
            && let Some(keys) = self.keys.as_mut().filter(|_| separator.starts_with(prefix))
        {
            // A seek of the next group's prefix leads to this block, whose partition may end here.
            keys.add_group(prefix);
        }
        self.separator = separator;
        let index_len = self.options.index_len;
        let is_over = match &mut self.keys {
            None => self.index.is_full(index_len),
            Some(keys) => {
                let is_full = keys.end_block() || self.index.is_full(index_len);
                is_full && (between_keys || self.index.len() >= 2 * index_len)
            }
        };
        if is_over {
            self.finish_partition();
        }
    }

    /// Writes the open data block.
    fn write_block(&mut self) -> Handle {
        #[cfg(feature = "lz4")]
        if self.options.codec == Codec::Lz4 {
            return self.write_block_lz4();
        }
        self.pad(self.block.len());
        let start = self.out.len();
        self.block.finish(&mut self.out);
        self.seal(start, Codec::Plain)
    }

    /// Writes the open data block, compressed if that makes it shorter.
    #[cfg(feature = "lz4")]
    fn write_block_lz4(&mut self) -> Handle {
        let plain_len = self.block.len();
        let mut body = Vec::with_capacity(plain_len);
        self.block.finish(&mut body);
        let compressed = crate::lz4::compress(&body);
        let codec = if compressed.is_some() { Codec::Lz4 } else { Codec::Plain };
        self.pad(compressed.as_ref().map_or(plain_len, |compressed| compressed.len() + TRAILER_LEN));
        let start = self.out.len();
        self.out.extend_from_slice(&compressed.unwrap_or(body));
        self.seal(start, codec)
    }

    /// Ends the open index partition; [`TableBuilder::step`] writes it.
    fn finish_partition(&mut self) {
        if self.index.is_empty() {
            return;
        }
        while self.step() {}
        let index = std::mem::take(&mut self.index);
        let hashes = self.keys.as_mut().map(Keys::take).unwrap_or_default();
        self.pending = Some(Pending::new(index, hashes, self.options.filter_groups));
        if self.keys.is_none() {
            self.write_partition();
        }
    }

    /// Writes the partition whose filter is complete, and the filter directly before it.
    fn write_partition(&mut self) {
        let Some(Pending { mut index, mut job }) = self.pending.take() else { return };
        let filter = std::mem::take(&mut job.body);
        let fence = self.write_index(&mut index, &filter);
        self.fences.extend(fence);
        if let Some(keys) = &mut self.keys {
            keys.give_back(job.into_hashes());
        }
    }

    /// Writes an index block, and before it its filter, if there is one.
    fn write_index(&mut self, index: &mut IndexBuilder, filter: &[u8]) -> Option<Fence> {
        if index.is_empty() {
            return None;
        }
        // Both are read at once, so they are placed as one.
        let filter_len = if filter.is_empty() { 0 } else { filter.len() + TRAILER_LEN };
        self.pad(filter_len + index.len());
        let offset = self.offset();
        if !filter.is_empty() {
            let start = self.out.len();
            self.out.extend_from_slice(filter);
            self.seal(start, Codec::Plain);
            self.filter_len += filter_len as u64;
        }
        let start = self.out.len();
        let (key, seq) = index.finish(&mut self.out)?;
        let len = self.seal(start, Codec::Plain).len;
        self.index_len += u64::from(len);
        Some(Fence { key, seq, span: Span { offset, filter_len: filter_len as u32, len } })
    }

    /// Adds the trailer to the block that begins at `start` of `out`.
    fn seal(&mut self, start: usize, codec: Codec) -> Handle {
        let offset = self.start + start as u64;
        trailer::seal(&mut self.out, start, codec, self.seed, offset);
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

mod tail;

const _: () = assert!(TOP_LEN_PINNED > PAGE_LEN);

#[cfg(test)]
mod tests;
