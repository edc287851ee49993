//! Builds a footer from a segment's records.
//!
//! Invariant: an entry never crosses a page; a namespace that does not fit goes on in an entry of its own.

use crate::error::Fault;
use crate::footer::{FooterRecord, FooterSummary, KIND_BITS, PageKind, first_page, namespace_of};
use crate::layout::{FOOTER_PAGE_HEADER_LEN, FOOTER_SUMMARY_LEN, RawPageHeader};
use crate::record::{Record, RecordKind};
use jdb_base::SeqNo;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::ns_id::ENCODED_LEN_MAX;
use jdb_base::pages::PAGE_LEN;
use jdb_base::varint;
use std::collections::BTreeMap;
use zerocopy::{FromZeros, IntoBytes};

/// Room that an entry with one record may need: namespace, count, offset and kind.
const ENTRY_LEN_MIN: usize = 1 + ENCODED_LEN_MAX + 2 + 5;

/// Collects a segment's records and builds its footer.
#[derive(Debug)]
pub struct FooterBuilder {
    by_namespace: BTreeMap<Vec<u8>, Vec<FooterRecord>>,
    summary: FooterSummary,
}

/// A footer ready to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltFooter {
    /// Offset of the first data page in the segment's file.
    pub offset: u64,
    /// All pages.
    pub bytes: Vec<u8>,
    /// Offset and length of the top pages: what the MANIFEST keeps.
    pub place: (u64, u32),
}

impl FooterBuilder {
    /// For a segment that truly ends at `end`, in 8-byte units.
    #[must_use]
    pub fn new(end: u32) -> Self {
        let summary = FooterSummary { end, seq_min: SeqNo::MAX, ..FooterSummary::default() };
        Self { by_namespace: BTreeMap::new(), summary }
    }

    /// Adds a record; records come in the order of their offsets.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when its key does not begin with a namespace although its kind needs one.
    pub fn add(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        self.summary.seq_min = self.summary.seq_min.min(record.seq);
        self.summary.seq_max = self.summary.seq_max.max(record.seq);
        if !record.kind.has_namespace() {
            return Ok(());
        }
        let Some(ns) = namespace_of(record.key) else {
            let (offset, found) = (record.pos.byte_offset(), record.key.len() as u64);
            return Err(Fault::Corrupt { what: "namespace of a record", offset, expected: 1, found });
        };
        let entry = FooterRecord { offset: record.pos.offset, kind: Some(record.kind) };
        match self.by_namespace.get_mut(ns) {
            Some(records) => records.push(entry),
            None => {
                self.by_namespace.insert(ns.to_vec(), vec![entry]);
            }
        }
        self.summary.records += 1;
        self.summary.drops += u32::from(record.kind == RecordKind::Drop);
        Ok(())
    }

    /// The footer's pages.
    #[must_use]
    pub fn finish(mut self, seed: Seed) -> BuiltFooter {
        let offset = first_page(self.summary.end);
        let mut pages = Pages::new(offset, seed);
        let mut fences: Vec<Vec<u8>> = Vec::new();
        for (ns, records) in &self.by_namespace {
            let mut rest = records.as_slice();
            while !rest.is_empty() {
                if pages.room() < ENTRY_LEN_MIN {
                    pages.close(PageKind::Data);
                }
                if pages.is_fresh() {
                    fences.push(ns.clone());
                }
                rest = put_entry(&mut pages, ns, rest);
            }
        }
        if !pages.is_fresh() {
            pages.close(PageKind::Data);
        }
        self.summary.namespaces = self.by_namespace.len() as u32;
        self.summary.data_pages = fences.len() as u32;
        let top_at = pages.bytes.len();
        self.summary.top_pages = top_pages(&fences);
        pages.page.extend_from_slice(self.summary.encode().as_bytes());
        for fence in &fences {
            if pages.room() < 1 + fence.len() {
                pages.close(PageKind::Top);
            }
            pages.page.push(fence.len() as u8);
            pages.page.extend_from_slice(fence);
        }
        pages.close(PageKind::Top);
        let place = (offset + top_at as u64, (pages.bytes.len() - top_at) as u32);
        BuiltFooter { offset, bytes: pages.bytes, place }
    }
}

/// Writes as many of `records` as fit into the page, gives the rest.
fn put_entry<'a>(pages: &mut Pages, ns: &[u8], records: &'a [FooterRecord]) -> &'a [FooterRecord] {
    let room = pages.room() - (1 + ns.len() + 2);
    let mut items = Vec::new();
    let (mut before, mut count) = (0, 0);
    for record in records {
        let kind = record.kind.map_or(0, |kind| u64::from(kind.to_u8()));
        let item = u64::from(record.offset - before) << KIND_BITS | kind;
        if items.len() + varint::len_u64(item) > room {
            break;
        }
        varint::put_u64(&mut items, item);
        (before, count) = (record.offset, count + 1);
    }
    pages.page.push(ns.len() as u8);
    pages.page.extend_from_slice(ns);
    varint::put_u64(&mut pages.page, count as u64);
    pages.page.extend_from_slice(&items);
    records.get(count..).unwrap_or_default()
}

/// How many top pages these fences take.
fn top_pages(fences: &[Vec<u8>]) -> u32 {
    let (mut pages, mut used) = (1, FOOTER_PAGE_HEADER_LEN + FOOTER_SUMMARY_LEN);
    for fence in fences {
        if used + 1 + fence.len() > PAGE_LEN {
            (pages, used) = (pages + 1, FOOTER_PAGE_HEADER_LEN);
        }
        used += 1 + fence.len();
    }
    pages
}

/// Pages being filled.
struct Pages {
    bytes: Vec<u8>,
    page: Vec<u8>,
    offset: u64,
    seed: Seed,
}

impl Pages {
    fn new(offset: u64, seed: Seed) -> Self {
        let mut pages = Self { bytes: Vec::new(), page: Vec::with_capacity(PAGE_LEN), offset, seed };
        pages.page.resize(FOOTER_PAGE_HEADER_LEN, 0);
        pages
    }

    fn room(&self) -> usize {
        PAGE_LEN - self.page.len()
    }

    fn is_fresh(&self) -> bool {
        self.page.len() == FOOTER_PAGE_HEADER_LEN
    }

    fn close(&mut self, kind: PageKind) {
        let mut raw = RawPageHeader::new_zeroed();
        raw.kind = kind as u8;
        raw.used = (self.page.len() as u16).into();
        self.page.resize(PAGE_LEN, 0);
        let body = self.page.get(FOOTER_PAGE_HEADER_LEN..).unwrap_or_default();
        let start = self.seed.at(self.offset + self.bytes.len() as u64);
        raw.crc = crc32(start, &[raw.as_bytes().get(4..).unwrap_or_default(), body]).into();
        self.bytes.extend_from_slice(raw.as_bytes());
        self.bytes.extend_from_slice(body);
        self.page.clear();
        self.page.resize(FOOTER_PAGE_HEADER_LEN, 0);
    }
}
