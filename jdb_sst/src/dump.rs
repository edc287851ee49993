//! Prints the structure of a table: every byte with its field. The worked examples of the format page are its output.
//!
//! Format: docs/format/sst.md.

use crate::block::Block;
use crate::error::Damage;
use crate::footer::Footer;
use crate::handle::Handle;
use crate::layout::{COUNT_LEN, FOOTER_LEN, TRAILER_LEN};
use crate::meta::{Meta, read_list};
use crate::trailer;
use crate::walk::{Want, child_want};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

mod extra;

use extra::{filter_block, meta_sections};

/// A part of a table: a block, padding or the footer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// `data`, `index`, `top`, `filter`, `groups`, `meta ..`, `unknown` (padding, or what only a later version knows) or `footer`.
    pub name: &'static str,
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// One line a field: `start..end  hex  field value`; offsets count from the start of the section.
    pub lines: String,
}

/// The parts of a table in the order of the file. `Display` prints all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dump {
    /// The parts.
    pub sections: Vec<Section>,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "{} at {}, {} bytes", section.name, section.offset, section.len)?;
            writeln!(f, "{}", section.lines)?;
        }
        Ok(())
    }
}

/// Takes the bytes of a whole table apart. Every block is verified.
///
/// ```
/// # use jdb_base::{Kind, SeqNo};
/// let mut builder = jdb_sst::TableBuilder::new([7; 16], Default::default())?;
/// builder.append(b"apple", SeqNo::new(3), Kind::Inline, b"red")?;
/// let (bytes, _) = builder.finish();
/// let dump = jdb_sst::dump(&bytes).unwrap().to_string();
/// assert!(dump.contains("key \"apple\""));
/// # Ok::<(), jdb_sst::Error>(())
/// ```
///
/// # Errors
/// [`Damage`] with its offset in the file.
pub fn dump(bytes: &[u8]) -> Result<Dump, Damage> {
    let short = || Damage::corrupt("file length", 0, FOOTER_LEN as u64, bytes.len() as u64);
    let (blocks, tail) = bytes.split_last_chunk::<FOOTER_LEN>().ok_or_else(short)?;
    let limit = blocks.len() as u64;
    let footer = Footer::decode(tail, limit).map_err(|damage| damage.after(limit))?;
    let mut found: BTreeMap<u64, Section> = BTreeMap::new();
    let mut put = |section: Section| found.insert(section.offset, section).is_none();

    let top = Want { level: 0, handle: footer.top, filter_len: 0 };
    let mut wanted: Vec<Want> = (footer.height > 0).then_some(top).into_iter().collect();
    for level in 0..=footer.height {
        let mut below = Vec::new();
        for want in wanted {
            if let Some(filter) = want.filter() {
                put(filter_block(bytes, &footer, filter)?);
            }
            let handle = want.handle;
            let context = Context { level, height: footer.height, limit };
            let opened = open(bytes, &footer, handle)?;
            let at = |damage: Damage| damage.after(handle.offset);
            let lines = context.block(&opened, &mut below).map_err(at)?;
            put(Section { name: context.name(), offset: handle.offset, len: u64::from(handle.len), lines });
        }
        // A block that two handles of a forged index lead to is printed once.
        below.sort_by_key(|want: &Want| want.handle.offset);
        below.dedup_by_key(|want| want.handle.offset);
        wanted = below;
    }
    if footer.meta.len > 0 {
        let (section, list) = meta_list(bytes, &footer, limit)?;
        put(section);
        for meta in list {
            for section in meta_sections(bytes, &footer, meta, limit)? {
                put(section);
            }
        }
    }
    let mut sections = Vec::new();
    let mut end = 0;
    for section in found.into_values() {
        sections.extend(gap(bytes, end, section.offset));
        end = section.offset.saturating_add(section.len);
        sections.push(section);
    }
    sections.extend(gap(bytes, end, limit));
    let lines = footer_lines(tail, &footer);
    sections.push(Section { name: "footer", offset: limit, len: FOOTER_LEN as u64, lines });
    Ok(Dump { sections })
}

/// Where in the table a block stands.
#[derive(Clone, Copy)]
struct Context {
    level: u8,
    height: u8,
    limit: u64,
}

impl Context {
    fn name(self) -> &'static str {
        match self.level {
            level if level == self.height => "data",
            0 => "top",
            _ => "index",
        }
    }

    /// The lines of a block; adds the blocks it leads to.
    fn block(self, opened: &Opened, below: &mut Vec<Want>) -> Result<String, Damage> {
        let (body, body_len) = (opened.body(), opened.len);
        let block = Block::parse(body)?;
        let shape = block.shape();
        let mut lines = Lines::new(&opened.shown);
        let base = shape.base;
        lines.put(block.offset(0).unwrap_or_default(), format_args!("base {base}"));
        let mut scratch = Vec::new();
        for index in 0..block.count() {
            let raw = block.raw(index)?;
            let Some(entry) = block.entry(index, &mut scratch)? else { break };
            let (shared, len, seq, kind) = (raw.shared, raw.suffix.len(), entry.seq, entry.kind);
            lines.put(
                raw.suffix_at(),
                format_args!("entry {index}: shares {shared}, suffix of {len}, sequence {seq}, {kind:?}"),
            );
            lines.put(raw.value_at(), format_args!("key \"{}\"", Shown(entry.key)));
            if self.level == self.height {
                lines.put(raw.end, format_args!("value \"{}\"", Shown(entry.value)));
                continue;
            }
            let to_data = self.level + 1 == self.height;
            let level = usize::from(self.level) + 1;
            let want = child_want(entry.kind, entry.value, level, to_data, self.limit);
            let want = want.map_err(|damage| damage.after(raw.value_at() as u64))?;
            let Handle { offset, len } = want.handle;
            match want.filter() {
                Some(filter) => lines.put(
                    raw.end,
                    format_args!("filter of {} at {}, index block of {len}", filter.len, filter.offset),
                ),
                None if to_data => lines.put(raw.end, format_args!("data block at {offset}, {len} bytes")),
                None => lines.put(raw.end, format_args!("index block at {offset}, no filter, {len} bytes")),
            }
            below.push(want);
        }
        let mut offsets = String::new();
        for index in 0..block.count() {
            let _ = write!(offsets, " {}", block.offset(index).unwrap_or_default());
        }
        lines.put(body_len - COUNT_LEN, format_args!("offsets{offsets}"));
        let width = if shape.wide { ", offsets of 4 bytes" } else { "" };
        lines.put(body_len, format_args!("count {}{width}", block.count()));
        lines.trailer();
        Ok(lines.out)
    }
}

fn meta_list(bytes: &[u8], footer: &Footer, limit: u64) -> Result<(Section, Vec<Meta>), Damage> {
    let handle = footer.meta;
    let opened = open(bytes, footer, handle)?;
    let list = read_list(opened.body(), limit).map_err(|damage| damage.after(handle.offset))?;
    let mut lines = Lines::new(&opened.shown);
    for meta in &list {
        let (flags, Handle { offset, len }) = (meta.flags, meta.handle);
        let number = meta.number;
        lines.skip(16, format_args!("meta block {number}, flags {flags}, at {offset}, {len} bytes"));
    }
    lines.trailer();
    Ok((section("meta list", handle, lines), list))
}

fn section(name: &'static str, handle: Handle, lines: Lines<'_>) -> Section {
    Section { name, offset: handle.offset, len: u64::from(handle.len), lines: lines.out }
}

fn footer_lines(bytes: &[u8], footer: &Footer) -> String {
    let mut lines = Lines::new(bytes);
    lines.skip(4, format_args!("magic \"jdbs\""));
    lines.skip(2, format_args!("version {}", crate::layout::VERSION));
    lines.skip(1, format_args!("height {}", footer.height));
    lines.skip(1, format_args!("zero"));
    lines.skip(8, format_args!("compatible features {:#x}", footer.features.compatible));
    lines.skip(8, format_args!("read-only features {:#x}", footer.features.read_only));
    lines.skip(8, format_args!("incompatible features {:#x}", footer.features.incompatible));
    lines.skip(16, format_args!("random id"));
    lines.skip(8, format_args!("count {}", footer.count));
    lines.skip(8, format_args!("smallest sequence {}", footer.seq_min));
    lines.skip(8, format_args!("largest sequence {}", footer.seq_max));
    lines.skip(8, format_args!("top index at {}", footer.top.offset));
    lines.skip(4, format_args!("top index of {} bytes", footer.top.len));
    lines.skip(4, format_args!("block target {}", footer.block_len));
    lines.skip(8, format_args!("meta list at {}", footer.meta.offset));
    lines.skip(4, format_args!("meta list of {} bytes", footer.meta.len));
    lines.skip(24, format_args!("zero"));
    lines.skip(4, format_args!("crc32 of footer"));
    lines.out
}

fn gap(bytes: &[u8], start: u64, end: u64) -> Option<Section> {
    let len = end.checked_sub(start).filter(|&len| len > 0)?;
    let part = bytes.get(start as usize..end as usize)?;
    let mut lines = Lines::new(part);
    let what = if part.iter().all(|&byte| byte == 0) { "padding" } else { "unknown" };
    lines.skip(part.len(), format_args!("{what}"));
    Some(Section { name: "unknown", offset: start, len, lines: lines.out })
}

/// A block with its trailer. Its handle was checked against the file's length.
fn stored(bytes: &[u8], handle: Handle) -> Result<&[u8], Damage> {
    let start = handle.offset as usize;
    let part = bytes.get(start..).and_then(|rest| rest.get(..handle.len as usize));
    part.ok_or_else(|| Damage::corrupt("block", start, bytes.len() as u64, u64::from(handle.len)))
}

/// A block, verified and decoded, with its trailer behind it.
fn open(bytes: &[u8], footer: &Footer, handle: Handle) -> Result<Opened, Damage> {
    let stored = Bytes::copy_from_slice(stored(bytes, handle)?);
    let checked = trailer::verify(&stored, footer.seed(), handle.offset);
    let body = checked.map_err(|damage| damage.after(handle.offset))?;
    let trailer = stored.get(stored.len() - TRAILER_LEN..).unwrap_or_default();
    Ok(Opened { shown: [&body, trailer].concat(), len: body.len() })
}

/// What a section shows of a block.
struct Opened {
    shown: Vec<u8>,
    len: usize,
}

impl Opened {
    fn body(&self) -> &[u8] {
        self.shown.get(..self.len).unwrap_or_default()
    }
}

/// Writes lines, each about the bytes from the end of the one before.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
}

/// Most bytes that a line shows.
const SHOWN_MAX: usize = 24;

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, out: String::new() }
    }

    /// A line about the bytes up to `end`; none when there are none.
    fn put(&mut self, end: usize, what: fmt::Arguments<'_>) {
        let part = self.bytes.get(self.at..end).unwrap_or_default();
        if part.is_empty() {
            return;
        }
        let mut hex = String::new();
        for byte in part.iter().take(SHOWN_MAX) {
            let _ = write!(hex, "{byte:02x}");
        }
        if part.len() > SHOWN_MAX {
            hex.push_str("..");
        }
        let _ = writeln!(self.out, "{:03}..{end:03}  {hex:<16}  {what}", self.at);
        self.at = end;
    }

    /// A line about the next `len` bytes.
    fn skip(&mut self, len: usize, what: fmt::Arguments<'_>) {
        self.put(self.at + len, what);
    }

    fn trailer(&mut self) {
        let codec_at = self.bytes.len() - TRAILER_LEN;
        self.put(codec_at, format_args!("rest"));
        self.skip(1, format_args!("codec {}", self.bytes.get(codec_at).copied().unwrap_or_default()));
        self.skip(4, format_args!("crc32 of block and codec"));
    }
}

/// Bytes as text.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN_MAX).unwrap_or(self.0);
        let more = if shown.len() < self.0.len() { ".." } else { "" };
        write!(f, "{}{more}", shown.escape_ascii())
    }
}

#[cfg(test)]
mod tests;
