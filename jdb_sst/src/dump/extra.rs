//! Sections of filters and meta blocks.

use super::{Lines, Section, Shown, open, section};
use crate::block::Block;
use crate::error::Damage;
use crate::filter::{self, FilterBlock};
use crate::footer::Footer;
use crate::group::{self, GroupStats};
use crate::handle::{Handle, Span};
use crate::layout::{COUNT_LEN, FILTER_HEAD_LEN, FILTER_VERSION, GROUPS_VERSION};
use crate::meta::{Meta, MetaType};
use crate::properties::Properties;
use jdb_base::varint::put_u64;

/// The sections of a meta block and of what it leads to; none for a type of a later version.
pub(super) fn meta_sections(
    bytes: &[u8],
    footer: &Footer,
    meta: Meta,
    limit: u64,
) -> Result<Vec<Section>, Damage> {
    let handle = meta.handle;
    let section = match meta.number {
        number if number == MetaType::Properties as u16 => properties(bytes, footer, handle)?,
        number if number == MetaType::Filters as u16 => filters(bytes, footer, handle)?,
        number if number == MetaType::GroupDirectory as u16 => return groups(bytes, footer, handle, limit),
        _ => return Ok(Vec::new()),
    };
    Ok(vec![section])
}

fn properties(bytes: &[u8], footer: &Footer, handle: Handle) -> Result<Section, Damage> {
    let opened = open(bytes, footer, handle)?;
    let body = opened.body();
    let properties = Properties::decode(body).map_err(|damage| damage.after(handle.offset))?;
    let mut lines = Lines::new(&opened.shown);
    let mut pair = Vec::new();
    for (tag, (name, value)) in (1..).zip(properties.named()) {
        pair.clear();
        put_u64(&mut pair, tag);
        put_u64(&mut pair, value);
        lines.skip(pair.len(), format_args!("{tag}: {name} {value}"));
    }
    lines.trailer();
    Ok(section("meta properties", handle, lines))
}

fn filters(bytes: &[u8], footer: &Footer, handle: Handle) -> Result<Section, Damage> {
    let opened = open(bytes, footer, handle)?;
    let body = opened.body();
    let salt = filter::decode_meta(body).map_err(|damage| damage.after(handle.offset))?;
    let mut lines = Lines::new(&opened.shown);
    if salt.is_some() {
        lines.skip(1, format_args!("version {FILTER_VERSION}"));
        lines.skip(1, format_args!("flags {}", body.get(1).copied().unwrap_or_default()));
        lines.skip(6, format_args!("zero"));
        lines.skip(8, format_args!("salt"));
    }
    lines.trailer();
    Ok(section("meta filters", handle, lines))
}

/// The meta block of a group directory, then the blocks that it leads to.
fn groups(bytes: &[u8], footer: &Footer, handle: Handle, limit: u64) -> Result<Vec<Section>, Damage> {
    let opened = open(bytes, footer, handle)?;
    let body = opened.body();
    let at = |damage: Damage| damage.after(handle.offset);
    let read = group::decode(body).map_err(at)?;
    let mut lines = Lines::new(&opened.shown);
    let Some((height, block)) = read else {
        lines.trailer();
        return Ok(vec![section("meta groups", handle, lines)]);
    };
    lines.skip(1, format_args!("version {GROUPS_VERSION}"));
    lines.skip(1, format_args!("height {height}"));
    let mut below = Vec::new();
    if !block.is_empty() {
        let head_len = body.len() - block.len();
        group_block(&mut lines, block, head_len, height, limit, &mut below).map_err(at)?;
    }
    lines.trailer();
    let mut sections = vec![section("meta groups", handle, lines)];
    for height in (1..height).rev() {
        for handle in std::mem::take(&mut below) {
            let opened = open(bytes, footer, handle)?;
            let block = opened.body();
            let mut lines = Lines::new(&opened.shown);
            let read = group_block(&mut lines, block, 0, height, limit, &mut below);
            read.map_err(|damage: Damage| damage.after(handle.offset))?;
            lines.trailer();
            sections.push(section("groups", handle, lines));
        }
        below.sort_by_key(|handle: &Handle| handle.offset);
        below.dedup();
    }
    Ok(sections)
}

/// The lines of a block of the directory, which begins at `start` of its section.
fn group_block(
    lines: &mut Lines<'_>,
    body: &[u8],
    start: usize,
    height: u8,
    limit: u64,
    below: &mut Vec<Handle>,
) -> Result<(), Damage> {
    let block = Block::parse(body)?;
    lines.put(start + block.offset(0).unwrap_or_default(), format_args!("base {}", block.base().get()));
    let mut scratch = Vec::new();
    for index in 0..block.count() {
        let raw = block.raw(index)?;
        let Some(entry) = block.entry(index, &mut scratch)? else { break };
        lines.put(
            start + raw.value_at(),
            format_args!("entry {index}: prefix \"{}\", newest sequence {}", Shown(entry.key), entry.seq),
        );
        let value_at = raw.value_at() as u64;
        if height > 1 {
            let span = Span::decode(entry.value, limit).map_err(|damage| damage.after(value_at))?;
            let Handle { offset, len } = span.index();
            lines.put(start + raw.end, format_args!("block at {offset}, {len} bytes"));
            below.push(span.index());
        } else {
            let stats = GroupStats::decode(entry.value, entry.seq);
            let stats = stats.ok_or_else(|| Damage::corrupt("counts of a group", raw.value_at(), 4, 0))?;
            let GroupStats { rows, tombstones, key_len, value_len, .. } = stats;
            lines.put(
                start + raw.end,
                format_args!(
                    "{rows} rows, {tombstones} tombstones, keys of {key_len}, values of {value_len}"
                ),
            );
        }
    }
    lines.put(start + body.len() - COUNT_LEN, format_args!("offsets"));
    lines.put(start + body.len(), format_args!("count {}", block.count()));
    Ok(())
}

pub(super) fn filter_block(bytes: &[u8], footer: &Footer, handle: Handle) -> Result<Section, Damage> {
    let opened = open(bytes, footer, handle)?;
    let body = opened.body();
    let filter = FilterBlock::parse(body).map_err(|damage| damage.after(handle.offset))?;
    let mut lines = Lines::new(&opened.shown);
    if let Some(filter) = filter {
        let shape = filter.shape();
        let groups = if filter.has_groups() { "group prefixes too" } else { "none" };
        lines.skip(1, format_args!("version {FILTER_VERSION}"));
        lines.skip(1, format_args!("flags: {groups}"));
        lines.skip(1, format_args!("salt number 0"));
        lines.skip(1, format_args!("zero"));
        lines.skip(4, format_args!("count {}", filter.count()));
        lines.skip(8, format_args!("seed"));
        lines.skip(4, format_args!("segment length {}", shape.segment_len));
        lines.skip(4, format_args!("spread length {}", shape.spread_len));
        lines.skip(body.len() - FILTER_HEAD_LEN, format_args!("fingerprints"));
    }
    lines.trailer();
    Ok(section("filter", handle, lines))
}
