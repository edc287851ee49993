//! What a power cut does to everything that was not synced.
//!
//! A cut first draws a style: all of it lost, all of it kept, whole files, an order (everything up to some moment), or a
//! mix in which each change has a fate of its own: lost, kept, or torn. Lengths are drawn apart from the data.
//!
//! Invariant: what a sync covered is never touched, except in a file that was being removed.

use super::content::{self, Change, Content, len_after, overlay};
use super::image::{Body, Image, Node};
use super::names::{self, Names};
use super::rng::Rng;
use std::ops::AddAssign;
use std::rc::Rc;

const SECTOR_LEN: u64 = 512;
const PAGE_LEN: u64 = 4096;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What really took effect at a power cut: a change that was lost, kept or torn and could have fared otherwise.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct DamageCounts { $($(#[$doc])* pub $name: u64),* }

        impl DamageCounts {
            /// Each count with its name.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            /// 1 where something was hit: summed over cuts, in how many of them each kind took effect.
            #[must_use]
            pub fn hit(&self) -> Self {
                Self { $($name: self.$name.min(1)),* }
            }
        }

        impl AddAssign for DamageCounts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Operations submitted but not carried out that happened at the end, whole or in part.
    in_flight_done,
    /// Such operations that did not happen.
    in_flight_lost,
    /// Unsynced writes of which nothing is left.
    writes_lost,
    /// Unsynced writes that are there whole.
    writes_kept,
    /// Writes of which a first part is left.
    torn_by_prefix,
    /// Writes of which some 512-byte sectors are left.
    torn_by_sector,
    /// Writes of which some 4 KiB pages are left.
    torn_by_page,
    /// Writes of which some bytes are left.
    torn_by_byte,
    /// Unsynced changes of a length by themselves (`set_len`, truncation) that were lost.
    set_lens_lost,
    /// Such changes that were kept.
    set_lens_kept,
    /// Files shorter than what is left of their data.
    lengths_lost,
    /// Files whose length was kept although data was lost: the hole reads as zeros.
    holes,
    /// New names (files and directories) that were lost.
    creates_lost,
    /// New names kept although their directory was not synced.
    creates_kept,
    /// Renames that did not happen.
    renames_lost,
    /// Renames kept although the directory was not synced.
    renames_kept,
    /// Removed names that are back.
    removes_lost,
    /// Removed names that are gone although the directory was not synced.
    removes_kept,
    /// Changes of names kept although an earlier one of the same directory was lost.
    names_reordered,
    /// Files whose removal was lost, but not the freeing of their blocks.
    removed_blocks_lost,
    /// Page caches that forgot what a failed sync had marked clean (at a death of the process).
    caches_evicted,
}

#[derive(Clone, Copy)]
enum Style {
    Lost,
    Kept,
    /// Each file and directory all or nothing.
    Whole,
    /// Everything up to this change, which may be torn.
    Order(u64),
    /// Each change by itself; the density of what is kept, of 8.
    Mixed(u64),
}

struct Cut<'a> {
    rng: &'a Rng,
    style: Style,
    counts: DamageCounts,
    /// Files whose removal was lost.
    back: Vec<Rc<Node>>,
}

/// Cuts the power: afterwards all that `image` holds is durable.
pub(super) fn cut(image: &Image, rng: &Rng, removed_lose_blocks: bool) -> DamageCounts {
    let style = match rng.below(24) {
        0 | 1 => Style::Lost,
        2 | 3 => Style::Kept,
        4 | 5 => Style::Whole,
        6..=9 => Style::Order(moment(image, rng)),
        _ => Style::Mixed(rng.within(1, 7)),
    };
    let mut cut = Cut { rng, style, counts: DamageCounts::default(), back: Vec::new() };
    image.used.set(0);
    cut.node(image, &image.root);
    if removed_lose_blocks {
        cut.lose_removed_blocks(image);
    }
    cut.counts
}

/// The token of one pending change, drawn; 0 before all.
fn moment(image: &Image, rng: &Rng) -> u64 {
    fn tokens(node: &Node, into: &mut Vec<u64>) {
        match &node.body {
            Body::File(content) => into.extend(content.borrow().pending.iter().map(|p| p.token)),
            Body::Dir(names) => {
                let names = names.borrow();
                into.extend(names.pending.iter().map(|p| p.token));
                names.current.values().for_each(|n| tokens(n, into));
            }
            Body::Symlink => {}
        }
    }
    let mut all = vec![0];
    tokens(&image.root, &mut all);
    all.get(rng.index(all.len())).copied().unwrap_or(0)
}

impl Cut<'_> {
    /// Cuts a file, or a directory and what is left below it.
    fn node(&mut self, image: &Image, node: &Node) {
        node.links.set(1);
        match &node.body {
            Body::File(content) => {
                let mut content = content.borrow_mut();
                self.file(&mut content);
                node.charged.set(0);
                image.charge(node, content.len());
            }
            Body::Dir(names) => {
                self.names(&mut names.borrow_mut());
                names.borrow().current.values().for_each(|n| self.node(image, n));
            }
            Body::Symlink => {}
        }
    }

    /// Whether a change is kept, by the style; `None` where it is to be drawn.
    fn whole(&self, token: u64, all: bool) -> Option<bool> {
        match self.style {
            Style::Lost => Some(false),
            Style::Kept => Some(true),
            Style::Whole => Some(all),
            Style::Order(last) => Some(token <= last),
            Style::Mixed(_) => None,
        }
    }

    fn kept_in_mix(&self) -> bool {
        let density = if let Style::Mixed(density) = self.style { density } else { 4 };
        self.rng.chance(density, 8)
    }

    fn file(&mut self, content: &mut Content) {
        content.sync_broken = false;
        content.cache_stale = false;
        if content.pending.is_empty() {
            content.current = Rc::clone(&content.durable);
            return;
        }
        let all = self.rng.chance(1, 2);
        let mut bytes = Vec::with_capacity(content.durable.len().max(content.current.len()));
        bytes.extend_from_slice(&content.durable);
        // Lengths that the file may have: the synced one, and each after the last synced change.
        let mut synced_len = bytes.len() as u64;
        let mut full_len = synced_len;
        let mut lens = vec![synced_len];
        for pending in std::mem::take(&mut content.pending) {
            full_len = len_after(full_len, &pending.change);
            if pending.synced {
                content::apply(&mut bytes, &pending.change);
                synced_len = len_after(synced_len, &pending.change);
                lens.clear();
                lens.push(synced_len);
            } else {
                let at_the_edge = matches!(self.style, Style::Order(last) if last == pending.token);
                let whole = self.whole(pending.token, all).filter(|_| !at_the_edge || self.rng.chance(1, 4));
                self.change(&mut bytes, &pending.change, whole);
            }
            lens.push(full_len);
        }
        let natural = bytes.len();
        if let Some(len) = self.length(&lens, natural) {
            bytes.resize(len, 0);
            self.counts.lengths_lost += u64::from(len < natural);
            self.counts.holes += u64::from(len > natural);
        }
        content.durable = Rc::new(bytes);
        content.current = Rc::clone(&content.durable);
    }

    fn change(&mut self, bytes: &mut Vec<u8>, change: &Change, whole: Option<bool>) {
        let Change::Write { offset, data } = change else {
            if whole.unwrap_or_else(|| self.kept_in_mix()) {
                content::apply(bytes, change);
                self.counts.set_lens_kept += 1;
            } else {
                self.counts.set_lens_lost += 1;
            }
            return;
        };
        let torn = whole.is_none() && data.len() > 1 && self.rng.chance(5, 8);
        if torn {
            self.tear(bytes, *offset, data);
        } else if whole.unwrap_or_else(|| self.kept_in_mix()) {
            content::apply(bytes, change);
            self.counts.writes_kept += 1;
        } else {
            self.counts.writes_lost += 1;
        }
    }

    /// Keeps some of a write and loses some.
    fn tear(&mut self, bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
        let last = offset + data.len() as u64 - 1;
        let crosses = |unit: u64| offset / unit != last / unit;
        // 0 is a prefix; a unit counts where the write reaches over a border of it. Few writes reach over a page's: those
        // are torn there more often than not.
        let units = [0, 1, SECTOR_LEN, SECTOR_LEN, PAGE_LEN, PAGE_LEN, PAGE_LEN, PAGE_LEN];
        let count = match (crosses(SECTOR_LEN), crosses(PAGE_LEN)) {
            (_, true) => units.len(),
            (true, false) => 4,
            (false, false) => 2,
        };
        let unit = units.get(self.rng.index(count)).copied().unwrap_or(0);
        let start = offset as usize;
        if unit == 0 {
            let kept = 1 + self.rng.index(data.len() - 1);
            overlay(bytes, start, data.get(..kept).unwrap_or_default());
            self.counts.torn_by_prefix += 1;
            return;
        }
        match unit {
            PAGE_LEN => self.counts.torn_by_page += 1,
            SECTOR_LEN => self.counts.torn_by_sector += 1,
            _ => self.counts.torn_by_byte += 1,
        }
        let first = offset / unit;
        let count = (last / unit - first + 1) as usize;
        let kept = self.subset(count);
        for index in (0..count).filter(|&i| kept.get(i).copied().unwrap_or(false)) {
            let from = ((first + index as u64) * unit).max(offset);
            let to = ((first + index as u64 + 1) * unit).min(last + 1);
            let part = data.get((from - offset) as usize..(to - offset) as usize);
            overlay(bytes, from as usize, part.unwrap_or_default());
        }
    }

    /// Which of `count` (at least 2) things are kept: at least one is, at least one is not.
    fn subset(&self, count: usize) -> Vec<bool> {
        let mut kept = vec![false; count];
        match self.rng.below(4) {
            // One run.
            0 => {
                let start = self.rng.index(count);
                let len = 1 + self.rng.index(count - start);
                kept.iter_mut().skip(start).take(len).for_each(|k| *k = true);
            }
            // All but one.
            1 => kept.fill(true),
            _ => {
                let density = self.rng.within(1, 7);
                for chunk in kept.chunks_mut(16) {
                    let mut bits = self.rng.next();
                    for keep in chunk {
                        *keep = bits & 7 < density;
                        bits >>= 4;
                    }
                }
            }
        }
        let odd = self.rng.index(count);
        if kept.iter().all(|k| *k) || kept.iter().all(|k| !*k) {
            kept.iter_mut().skip(odd).take(1).for_each(|k| *k = !*k);
        }
        kept
    }

    /// A length of its own, independent of the data.
    fn length(&self, lens: &[u64], natural: usize) -> Option<usize> {
        let of_16 = match self.style {
            Style::Kept => 2,
            Style::Lost | Style::Whole => 4,
            Style::Order(_) => 3,
            Style::Mixed(_) => 8,
        };
        if !self.rng.chance(of_16, 16) {
            return None;
        }
        let (low, high) = (lens.iter().min().copied()?, lens.iter().max().copied()?);
        let len = match self.rng.below(8) {
            0 | 1 => lens.first().copied()?,
            2..=4 => lens.last().copied()?,
            5 => lens.get(self.rng.index(lens.len())).copied()?,
            _ => self.rng.within(low, high),
        };
        (len as usize != natural).then_some(len as usize)
    }

    fn names(&mut self, names: &mut Names) {
        names.sync_broken = false;
        let mut left = std::mem::take(&mut names.durable);
        let all = self.rng.chance(1, 2);
        // Of a journal a prefix is left, of a plain directory any subset.
        let prefix = self.rng.chance(1, 2).then(|| self.rng.index(names.pending.len() + 1));
        let mut lost_before = false;
        for (index, pending) in std::mem::take(&mut names.pending).into_iter().enumerate() {
            let drawn = || prefix.map_or_else(|| self.rng.chance(1, 2), |count| index < count);
            let kept = self.whole(pending.token, all).unwrap_or_else(drawn);
            let keep = pending.synced || kept && !names::stands_on_lost(&left, &pending.change);
            let counts = &mut self.counts;
            let [kept, lost] = match &pending.change {
                names::Change::Link { .. } => [&mut counts.creates_kept, &mut counts.creates_lost],
                names::Change::Unlink { .. } => [&mut counts.removes_kept, &mut counts.removes_lost],
                names::Change::Rename { .. } => [&mut counts.renames_kept, &mut counts.renames_lost],
            };
            if keep {
                *kept += u64::from(!pending.synced);
                counts.names_reordered += u64::from(lost_before);
                names::apply(&mut left, &pending.change);
            } else {
                *lost += 1;
                lost_before = true;
                if let names::Change::Unlink { node, .. } = pending.change {
                    self.back.push(node);
                }
            }
        }
        names.current = left.clone();
        names.durable = left;
    }

    /// The blocks of some files whose removal was lost are free all the same.
    fn lose_removed_blocks(&mut self, image: &Image) {
        for node in std::mem::take(&mut self.back) {
            let Body::File(content) = &node.body else { continue };
            let mut content = content.borrow_mut();
            let len = content.current.len();
            let named = node.links.get() > 0;
            if !named || len == 0 || matches!(self.style, Style::Lost | Style::Kept) || !self.rng.chance(1, 4)
            {
                continue;
            }
            let mut bytes = content.current.get(..self.rng.index(len)).unwrap_or_default().to_vec();
            if self.rng.chance(1, 2) {
                bytes.resize(len, 0);
            }
            image.charge(&node, bytes.len() as u64);
            *content = Content::settled(bytes);
            self.counts.removed_blocks_lost += 1;
        }
    }
}
