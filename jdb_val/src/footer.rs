//! Footer: where the records of each namespace lie in a sealed segment, so that one is found in two reads.
//!
//! `data page*  top page*`, 4 KiB each, behind the segment's true end.
//!
//! Data pages hold entries sorted by namespace: the encoded namespace, then the offsets and kinds of its records. The
//! top pages hold a summary and, for each data page, the namespace it begins with (its *fence*). A namespace with many
//! records goes on in an entry of its own at the beginning of the next page.
//!
//! Invariants
//! - Every page has a checksum that starts from (secret, shard, segment, offset), checked before anything else is read.
//! - A footer is a copy of what the records say: a missing or bad one is made again.
//!
//! Format: docs/format/value_log.md.

use crate::error::Fault;
use crate::layout::{
    FOOTER_ALIGN, FOOTER_MAGIC, FOOTER_PAGE_HEADER_LEN, FOOTER_SUMMARY_LEN, FOOTER_VERSION, RawFooterSummary,
    RawPageHeader,
};
use crate::record::RecordKind;
use jdb_base::SeqNo;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::ns_id::ENCODED_LEN_MAX;
use jdb_base::pages::{PAGE_LEN, UNIT_LEN, align_up};
use jdb_base::varint;
use zerocopy::FromBytes;

/// Longest run of top pages that a reader takes: 16 MiB.
pub const FOOTER_TOP_LEN_MAX: u32 = 16 << 20;
pub(crate) const KIND_BITS: u32 = 3;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

const _: () =
    assert!((RecordKind::Window as u64) < KIND_MASK, "kinds of records with a namespace fit 3 bits");
const _: () = assert!(PAGE_LEN <= u16::MAX as usize);

/// What a page is. **Format**: the numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageKind {
    /// Entries.
    Data = 1,
    /// Summary and fences.
    Top = 2,
}

/// A record of a namespace, as a footer knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FooterRecord {
    /// Offset in 8-byte units.
    pub offset: u32,
    /// Its kind; `None` for one of a later version: read the record.
    pub kind: Option<RecordKind>,
}

/// What a footer says about its segment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FooterSummary {
    /// Data pages, directly before the top pages.
    pub data_pages: u32,
    /// Top pages.
    pub top_pages: u32,
    /// Namespaces.
    pub namespaces: u32,
    /// Records with a namespace.
    pub records: u32,
    /// Drops among them.
    pub drops: u32,
    /// Smallest sequence in the segment, pads and marks too; [`SeqNo::MAX`] without records.
    pub seq_min: SeqNo,
    /// Largest sequence in the segment; [`SeqNo::ZERO`] without records.
    pub seq_max: SeqNo,
    /// True end of the segment in 8-byte units.
    pub end: u32,
}

/// The namespace at the front of an engine key, whatever its class; `None` when the key is too short.
#[must_use]
pub fn namespace_of(key: &[u8]) -> Option<&[u8]> {
    let len = 1 + usize::from(key.first()? & 0x1f);
    key.get(..len).filter(|ns| ns.len() <= ENCODED_LEN_MAX)
}

/// Offset of a footer's first page behind a segment that ends at `end`, in 8-byte units.
pub(crate) fn first_page(end: u32) -> u64 {
    let end = u64::from(end) * UNIT_LEN;
    align_up(end, FOOTER_ALIGN).unwrap_or(end)
}

impl FooterSummary {
    pub(crate) fn encode(&self) -> RawFooterSummary {
        RawFooterSummary {
            magic: FOOTER_MAGIC,
            version: FOOTER_VERSION.into(),
            zero_6: [0; 2],
            features_incompatible: 0.into(),
            data_pages: self.data_pages.into(),
            top_pages: self.top_pages.into(),
            namespaces: self.namespaces.into(),
            records: self.records.into(),
            drops: self.drops.into(),
            seq_min: self.seq_min.get().into(),
            seq_max: self.seq_max.get().into(),
            end: self.end.into(),
            zero_52: [0; 4],
        }
    }
}

/// The used part of the page in `bytes` that lies at `offset`.
///
/// # Errors
/// [`Fault::Corrupt`] when it is cut, does not verify or is of another kind.
pub fn open_page(bytes: &[u8], seed: Seed, offset: u64, kind: PageKind) -> Result<&[u8], Fault> {
    let corrupt = |what, expected: u64, found: u64| Fault::Corrupt { what, offset, expected, found };
    let page = bytes.get(..PAGE_LEN).ok_or(corrupt(
        "length of a footer page",
        PAGE_LEN as u64,
        bytes.len() as u64,
    ))?;
    let (raw, _) = RawPageHeader::read_from_prefix(page)
        .map_err(|_| corrupt("length of a footer page", PAGE_LEN as u64, page.len() as u64))?;
    let sum = crc32(seed.at(offset), &[page.get(4..).unwrap_or_default()]);
    if sum != raw.crc.get() {
        return Err(corrupt("checksum of a footer page", u64::from(raw.crc.get()), u64::from(sum)));
    }
    if raw.kind != kind as u8 {
        return Err(corrupt("kind of a footer page", kind as u64, u64::from(raw.kind)));
    }
    let used = usize::from(raw.used.get());
    page.get(FOOTER_PAGE_HEADER_LEN..used).ok_or(corrupt(
        "used bytes of a footer page",
        PAGE_LEN as u64,
        used as u64,
    ))
}

/// The top of a footer: its summary and fences, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FooterTop {
    summary: FooterSummary,
    fences: Vec<Vec<u8>>,
    data_offset: u64,
}

impl FooterTop {
    /// Reads the top pages, which lie at `offset`.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when anything is not as it was built, [`Fault::Unsupported`] for a later version.
    pub fn parse(bytes: &[u8], seed: Seed, offset: u64) -> Result<Self, Fault> {
        let corrupt = |what, expected: u64, found: u64| Fault::Corrupt { what, offset, expected, found };
        let first = open_page(bytes, seed, offset, PageKind::Top)?;
        let (raw, mut rest) = RawFooterSummary::read_from_prefix(first).map_err(|_| {
            corrupt("length of a footer summary", FOOTER_SUMMARY_LEN as u64, first.len() as u64)
        })?;
        if raw.magic != FOOTER_MAGIC {
            let (magic, found) = (u32::from_le_bytes(FOOTER_MAGIC), u32::from_le_bytes(raw.magic));
            return Err(corrupt("magic of a footer", u64::from(magic), u64::from(found)));
        }
        for (what, at, found, known) in [
            ("footer version", 12, u32::from(raw.version.get()), u32::from(FOOTER_VERSION)),
            ("footer features", 16, raw.features_incompatible.get(), 0),
        ] {
            if found != known {
                return Err(Fault::Unsupported { what, offset: offset + at, found: u64::from(found) });
            }
        }
        let summary = FooterSummary {
            data_pages: raw.data_pages.get(),
            top_pages: raw.top_pages.get(),
            namespaces: raw.namespaces.get(),
            records: raw.records.get(),
            drops: raw.drops.get(),
            seq_min: SeqNo::new(raw.seq_min.get()),
            seq_max: SeqNo::new(raw.seq_max.get()),
            end: raw.end.get(),
        };
        let top_len = u64::from(summary.top_pages) * PAGE_LEN as u64;
        if top_len != bytes.len() as u64 {
            return Err(corrupt("top pages of a footer", bytes.len() as u64, top_len));
        }
        let data_offset = first_page(summary.end);
        if data_offset + u64::from(summary.data_pages) * PAGE_LEN as u64 != offset {
            return Err(corrupt("place of a footer", data_offset, offset));
        }
        let mut fences: Vec<Vec<u8>> = Vec::new();
        for page in 0..summary.top_pages {
            let at = page as usize * PAGE_LEN;
            if page > 0 {
                rest =
                    open_page(bytes.get(at..).unwrap_or_default(), seed, offset + at as u64, PageKind::Top)?;
            }
            while let Some((&len, tail)) = rest.split_first() {
                let (fence, tail) = tail.split_at_checked(usize::from(len)).ok_or(corrupt(
                    "fence of a footer",
                    u64::from(len),
                    tail.len() as u64,
                ))?;
                if fences.last().is_some_and(|before| before.as_slice() > fence) {
                    return Err(corrupt("order of a footer's fences", 0, fences.len() as u64));
                }
                fences.push(fence.to_vec());
                rest = tail;
            }
        }
        if fences.len() as u64 != u64::from(summary.data_pages) {
            return Err(corrupt("fences of a footer", u64::from(summary.data_pages), fences.len() as u64));
        }
        Ok(Self { summary, fences, data_offset })
    }

    /// What the footer says about its segment.
    #[must_use]
    pub fn summary(&self) -> FooterSummary {
        self.summary
    }

    /// Offsets of all data pages.
    pub(crate) fn data_pages(&self) -> impl Iterator<Item = u64> {
        let first = self.data_offset;
        (0..u64::from(self.summary.data_pages)).map(move |page| first + page * PAGE_LEN as u64)
    }

    /// Offset and length of the data pages that may hold `ns` (encoded); `None` when none does.
    #[must_use]
    pub fn pages_of(&self, ns: &[u8]) -> Option<(u64, usize)> {
        let behind = self.fences.partition_point(|fence| fence.as_slice() <= ns);
        let below = self.fences.partition_point(|fence| fence.as_slice() < ns);
        // The page before the first fence that is not smaller may hold the beginning.
        let first = below.saturating_sub(1);
        let count = behind.checked_sub(first).filter(|&count| count > 0)?;
        Some((self.data_offset + (first * PAGE_LEN) as u64, count * PAGE_LEN))
    }
}

/// The records of `ns` (encoded) in data pages that lie at `offset`, in the order of their offsets.
///
/// # Errors
/// [`Fault::Corrupt`] when a page does not verify or an entry is not as it was built.
pub fn find_in_pages(bytes: &[u8], seed: Seed, offset: u64, ns: &[u8]) -> Result<Vec<FooterRecord>, Fault> {
    let mut found = Vec::new();
    for (i, page) in bytes.chunks(PAGE_LEN).enumerate() {
        let at = offset + (i * PAGE_LEN) as u64;
        let mut rest = open_page(page, seed, at, PageKind::Data)?;
        while !rest.is_empty() {
            take_entry(&mut rest, ns, &mut found).ok_or(Fault::Corrupt {
                what: "entry of a footer page",
                offset: at,
                expected: 0,
                found: rest.len() as u64,
            })?;
        }
    }
    Ok(found)
}

/// Takes one entry; its records go to `found` when it is that of `ns`.
fn take_entry(bytes: &mut &[u8], ns: &[u8], found: &mut Vec<FooterRecord>) -> Option<()> {
    let [len] = varint::take_array(bytes)?;
    let wanted = varint::take_bytes(bytes, usize::from(len))? == ns;
    let mut before = 0u32;
    for _ in 0..varint::take_u32(bytes)? {
        let item = varint::take_u64(bytes)?;
        let offset = before.checked_add(u32::try_from(item >> KIND_BITS).ok()?)?;
        if wanted {
            found.push(FooterRecord { offset, kind: RecordKind::from_u8((item & KIND_MASK) as u8) });
        }
        before = offset;
    }
    Some(())
}

#[cfg(test)]
mod tests;
