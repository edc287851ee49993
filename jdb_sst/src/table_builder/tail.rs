//! What comes after the entries: the upper levels of the index, the group directory, meta blocks and their list.

use super::TableBuilder;
use crate::filter;
use crate::group;
use crate::handle::Handle;
use crate::index::{Fence, IndexBuilder};
use crate::layout::{Codec, TRAILER_LEN};
use crate::meta::{Meta, MetaType};
use crate::properties::Properties;
use jdb_base::SeqNo;

impl TableBuilder {
    /// Writes the levels above the partitions; gives the height of the whole index and its top.
    pub(super) fn finish_levels(&mut self) -> (u8, Handle) {
        let fences = std::mem::take(&mut self.fences);
        if fences.is_empty() {
            return (0, Handle::default());
        }
        let (levels, fences) = self.write_levels(fences);
        let mut block = self.index_of(&fences);
        let top = self.write_index(&mut block, &[]).map(|fence| fence.span.index());
        (2 + levels, top.unwrap_or_default())
    }

    /// Writes levels of index blocks above those that `fences` lead to, until what leads to the uppermost fits one block; gives
    /// the number of levels and that.
    fn write_levels(&mut self, mut fences: Vec<Fence>) -> (u8, Vec<Fence>) {
        let mut levels = 0;
        // Two separators are always a top, however long: a level between would not make it shorter.
        while fences.len() > 2 && !fits(&fences, self.options.top_len) {
            let mut block = IndexBuilder::default();
            let mut above = Vec::new();
            for fence in &fences {
                self.add_fence(&mut block, fence);
                if block.is_full(self.options.index_len) {
                    above.extend(self.write_index(&mut block, &[]));
                }
            }
            above.extend(self.write_index(&mut block, &[]));
            fences = above;
            levels += 1;
        }
        (levels, fences)
    }

    fn index_of(&mut self, fences: &[Fence]) -> IndexBuilder {
        let mut block = IndexBuilder::default();
        fences.iter().for_each(|fence| self.add_fence(&mut block, fence));
        block
    }

    fn add_fence(&mut self, block: &mut IndexBuilder, fence: &Fence) {
        self.handle.clear();
        fence.span.encode(&mut self.handle);
        block.add(&fence.key, fence.seq, &self.handle);
    }

    /// Writes a block of the group directory when it is full.
    pub(super) fn write_full_groups(&mut self) {
        if self.groups.as_ref().is_some_and(|groups| groups.leaf.is_full(self.options.index_len)) {
            self.write_groups();
        }
    }

    fn write_groups(&mut self) {
        if let Some(mut groups) = self.groups.take() {
            let index_len = self.index_len;
            let fence = self.write_index(&mut groups.leaf, &[]);
            groups.fences.extend(fence);
            self.index_len = index_len;
            self.groups = Some(groups);
        }
    }

    /// Writes the rest of the group directory, the meta block last.
    pub(super) fn write_groups_meta(&mut self) {
        if let Some(groups) = &mut self.groups {
            groups.end();
        }
        if self.groups.as_ref().is_some_and(|groups| !groups.fences.is_empty()) {
            self.write_groups();
        }
        let Some(mut groups) = self.groups.take().filter(|groups| groups.is_some() && self.count > 0) else {
            return;
        };
        let (mut height, mut block) = (1, Vec::new());
        if !groups.fences.is_empty() {
            let index_len = self.index_len;
            let (levels, fences) = self.write_levels(groups.fences);
            self.index_len = index_len;
            height = 2 + levels;
            groups.leaf = self.index_of(&fences);
        }
        // Without groups the block is empty.
        let _ = groups.leaf.finish(&mut block);
        self.write_meta(MetaType::GroupDirectory, &group::encode(height, &block));
    }

    pub(super) fn write_properties(&mut self, seq_min: SeqNo, seq_max: SeqNo) {
        if self.count > 0 && self.options.properties {
            let (block_count, index_len, filter_len) = (self.block_count, self.index_len, self.filter_len);
            let properties =
                Properties { seq_min, seq_max, block_count, index_len, filter_len, ..self.properties };
            let mut body = Vec::new();
            properties.encode(&mut body);
            self.write_meta(MetaType::Properties, &body);
        }
    }

    /// Writes the meta block about filters, if there are any.
    pub(super) fn write_filters_meta(&mut self) {
        if let Some(keys) = self.keys.as_ref().filter(|_| self.filter_len > 0) {
            let flags = if self.options.filter_groups { filter::GROUPS_HASHED } else { 0 };
            let body = filter::encode_meta(flags, keys.salt());
            self.write_meta(MetaType::Filters, &body);
        }
    }

    fn write_meta(&mut self, number: MetaType, body: &[u8]) {
        let handle = self.write_plain(body);
        self.metas.push(Meta { number: number as u16, flags: 0, handle });
    }

    /// Writes the list of meta blocks; gives its place, the default when there are none.
    pub(super) fn write_meta_list(&mut self) -> Handle {
        let mut list = Vec::new();
        self.metas.iter().for_each(|meta| meta.encode(&mut list));
        if list.is_empty() { Handle::default() } else { self.write_plain(&list) }
    }

    fn write_plain(&mut self, body: &[u8]) -> Handle {
        self.pad(body.len() + TRAILER_LEN);
        let start = self.out.len();
        self.out.extend_from_slice(body);
        self.seal(start, Codec::Plain)
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
