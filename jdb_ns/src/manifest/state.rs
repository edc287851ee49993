//! What a MANIFEST adds up to: the files of a shard and where recovery starts.

use super::edit::{
    DropEntry, Edit, Gap, LiveDelta, PackEntry, Position, SegmentEntry, TableEntry, WindowEntry,
};
use super::times::{TimeMark, Times};
use crate::error::Fault;
use jdb_base::SeqNo;
use jdb_base::pages::UNIT_LEN;
use std::collections::{BTreeMap, BTreeSet};

/// The sum of all edits.
///
/// Invariants
/// - A number names one file: a table, a segment or a pack; `next_number` lies above all of them.
/// - An origin has at most one pack, and `homes` says which.
/// - `live` holds no zeros and nothing above `i64::MAX`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// Tables by number.
    pub tables: BTreeMap<u32, TableEntry>,
    /// Sealed segments by number.
    pub segments: BTreeMap<u32, SegmentEntry>,
    /// Packs by number.
    pub packs: BTreeMap<u32, PackEntry>,
    /// The pack of every origin that has one.
    pub homes: BTreeMap<u32, u32>,
    /// Live record bytes by origin, in whatever file they are now.
    pub live: BTreeMap<u32, u64>,
    /// Replay starts here.
    pub replay_from: Position,
    /// Highest sequence below the replay position.
    pub last_seq: SeqNo,
    /// Wall-clock time of the last edit that noted one, in milliseconds since 1970.
    pub unix_ms: u64,
    /// When the sequences below the replay position were written.
    pub times: Times,
    /// Above every file number ever added; 1 or more once anything was written.
    pub next_number: u32,
    /// The next id that the name catalog gives out.
    pub next_name: u64,
    /// Drops by their `at`.
    pub drops: BTreeMap<SeqNo, DropEntry>,
    /// Open import windows.
    pub windows: BTreeSet<WindowEntry>,
    /// Gaps by their `from`.
    pub gaps: BTreeMap<SeqNo, Gap>,
    /// The sequence at which the last recorded life started.
    pub life_start: SeqNo,
    /// The log was durable through here when the last edit that noted it was written.
    pub log_synced: Position,
}

impl State {
    /// Whether `edit` can be applied: nothing unknown removed, nothing added twice, nothing that only rises falling.
    ///
    /// Cost: the length of the edit, not of the state.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with the rule; its offset is 0, the start of the edit.
    pub fn check(&self, edit: &Edit) -> Result<(), Fault> {
        if edit.snapshot { Self::default().check_parts(edit) } else { self.check_parts(edit) }
    }

    /// Applies `edit`, whole or not at all.
    ///
    /// # Errors
    /// Those of [`State::check`]; the state is then as it was.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), Fault> {
        self.check(edit)?;
        if edit.snapshot {
            *self = Self::default();
        }
        self.apply_files(edit);
        for (origin, live) in self.live_after(edit) {
            match u64::try_from(live) {
                Ok(live @ 1..) => self.live.insert(origin, live),
                _ => self.live.remove(&origin),
            };
        }
        set(&mut self.replay_from, edit.replay_from);
        set(&mut self.last_seq, edit.last_seq);
        set(&mut self.unix_ms, edit.unix_ms);
        edit.times.iter().for_each(|&mark| self.times.push(mark));
        if let (false, Some(seq), Some(unix_ms)) = (edit.snapshot, edit.last_seq, edit.unix_ms) {
            self.times.push(TimeMark { seq, unix_ms });
        }
        set(&mut self.next_name, edit.next_name);
        set(&mut self.life_start, edit.life_start);
        set(&mut self.log_synced, edit.log_synced);
        let added = added_numbers(edit).map(|number| number.saturating_add(1));
        self.next_number = added.chain(edit.next_number).fold(self.next_number, u32::max);
        for at in &edit.drops_removed {
            self.drops.remove(at);
        }
        self.drops.extend(edit.drops_added.iter().map(|drop| (drop.at, *drop)));
        for window in &edit.windows_closed {
            self.windows.remove(window);
        }
        self.windows.extend(edit.windows_opened.iter().copied());
        for from in &edit.gaps_removed {
            self.gaps.remove(from);
        }
        self.gaps.extend(edit.gaps_added.iter().map(|gap| (gap.from, *gap)));
        Ok(())
    }

    /// The whole state as one edit: applied to anything, it gives this state.
    #[must_use]
    pub fn to_edit(&self) -> Edit {
        Edit {
            snapshot: true,
            tables_added: self.tables.values().cloned().collect(),
            segments_sealed: self.segments.values().cloned().collect(),
            packs_added: self.packs.values().cloned().collect(),
            live_deltas: self
                .live
                .iter()
                .map(|(&origin, &live)| LiveDelta { origin, delta: live.cast_signed() })
                .collect(),
            replay_from: Some(self.replay_from),
            last_seq: Some(self.last_seq),
            unix_ms: Some(self.unix_ms),
            times: self.times.iter().collect(),
            next_number: Some(self.next_number),
            next_name: Some(self.next_name),
            drops_added: self.drops.values().copied().collect(),
            windows_opened: self.windows.iter().copied().collect(),
            gaps_added: self.gaps.values().copied().collect(),
            life_start: Some(self.life_start),
            log_synced: (self.log_synced != Position::default()).then_some(self.log_synced),
            ..Edit::default()
        }
    }

    /// Live record bytes of an origin.
    #[must_use]
    pub fn live_len(&self, origin: u32) -> u64 {
        self.live.get(&origin).copied().unwrap_or(0)
    }

    /// Whether a table, a sealed segment or a pack has this number.
    #[must_use]
    pub fn names(&self, number: u32) -> bool {
        self.tables.contains_key(&number)
            || self.segments.contains_key(&number)
            || self.packs.contains_key(&number)
    }
}

/// The parts of `check` and `apply`.
impl State {
    fn check_parts(&self, edit: &Edit) -> Result<(), Fault> {
        self.check_tables(edit)?;
        self.check_log(edit)?;
        self.check_live(edit)?;
        self.check_rising(edit)?;
        self.check_hidden(edit)
    }

    fn check_tables(&self, edit: &Edit) -> Result<(), Fault> {
        let removed = known("table removed", &edit.tables_removed, |n| self.tables.contains_key(n))?;
        let moved: Vec<u32> = edit.tables_moved.iter().map(|t| t.number).collect();
        known("table moved", &moved, |n| self.tables.contains_key(n) && !removed.contains(n))?;
        for table in &edit.tables_added {
            rule("table key range", table.first_key <= table.last_key, table.number)?;
            rule("table sequence range", table.seq_min <= table.seq_max, table.number)?;
        }
        Ok(())
    }

    fn check_log(&self, edit: &Edit) -> Result<(), Fault> {
        let removed = known("segment removed", &edit.segments_removed, |n| self.segments.contains_key(n))?;
        let packs_removed = known("pack removed", &edit.packs_removed, |n| self.packs.contains_key(n))?;
        for segment in &edit.segments_sealed {
            // One without records has a last sequence right below its first.
            rule("segment sequence range", segment.seq_min <= segment.seq_max.plus(1), segment.number)?;
            rule("segment predecessor", segment.pred.segment < segment.number, segment.number)?;
            let end = u64::from(segment.end) * UNIT_LEN;
            rule("segment length", end <= segment.len, segment.number)?;
            if let Some(footer) = segment.footer {
                let fits = footer_fits(end, footer.offset, footer.len, segment.len);
                rule("segment footer", fits, segment.number)?;
            }
        }
        let sealed = edit.segments_sealed.iter().map(|s| (s.number, s)).collect::<BTreeMap<_, _>>();
        let footers: Vec<u32> = edit.footers.iter().map(|f| f.number).collect();
        known("footer of segment", &footers, |n| {
            (self.segments.contains_key(n) && !removed.contains(n)) || sealed.contains_key(n)
        })?;
        for footer in &edit.footers {
            let segment = sealed.get(&footer.number).copied().or_else(|| self.segments.get(&footer.number));
            let end = segment.map_or(0, |s| u64::from(s.end) * UNIT_LEN);
            let fits = footer_fits(end, footer.footer.offset, footer.footer.len, footer.len);
            rule("segment footer", fits, footer.number)?;
        }
        let mut taken = BTreeSet::new();
        for number in added_numbers(edit) {
            let new = number > 0 && !self.names(number) && taken.insert(number);
            rule("file number in use", new, number)?;
        }
        let mut housed = BTreeSet::new();
        for pack in &edit.packs_added {
            rule("pack origins ascend", pack.origins.is_sorted_by(|a, b| a < b), pack.number)?;
            for &origin in &pack.origins {
                let free = self.homes.get(&origin).is_none_or(|home| packs_removed.contains(home));
                rule("origin with two packs", free && housed.insert(origin), origin)?;
            }
        }
        Ok(())
    }

    fn check_live(&self, edit: &Edit) -> Result<(), Fault> {
        for (origin, live) in self.live_after(edit) {
            rule("live bytes out of range", (0..=i128::from(i64::MAX)).contains(&live), origin)?;
        }
        Ok(())
    }

    fn check_rising(&self, edit: &Edit) -> Result<(), Fault> {
        rising("replay segment", self.replay_from.segment, edit.replay_from.map(|p| p.segment))?;
        if edit.replay_from.is_some_and(|p| p.segment == self.replay_from.segment) {
            rising("replay offset", self.replay_from.offset, edit.replay_from.map(|p| p.offset))?;
        }
        rising("last sequence", self.last_seq.get(), edit.last_seq.map(SeqNo::get))?;
        rising("life start", self.life_start.get(), edit.life_start.map(SeqNo::get))?;
        rising("next file number", self.next_number, edit.next_number)?;
        rising("next name number", self.next_name, edit.next_name)
    }

    fn check_hidden(&self, edit: &Edit) -> Result<(), Fault> {
        let seqs = |seqs: &[SeqNo]| seqs.iter().map(|s| s.get()).collect::<Vec<_>>();
        let gone = known("drop removed", &seqs(&edit.drops_removed), |&at| {
            self.drops.contains_key(&SeqNo::new(at))
        })?;
        let mut taken = BTreeSet::new();
        for drop in &edit.drops_added {
            rule("drop interval", drop.from <= drop.to && drop.to <= drop.at, drop.at.get())?;
            let free = !self.drops.contains_key(&drop.at) || gone.contains(&drop.at.get());
            rule("drop known twice", free && taken.insert(drop.at), drop.at.get())?;
        }
        let mut closed = BTreeSet::new();
        for window in &edit.windows_closed {
            let known = self.windows.contains(window) && closed.insert(*window);
            rule("window closed", known, window.s0.get())?;
        }
        let mut opened = BTreeSet::new();
        for window in &edit.windows_opened {
            let free = !self.windows.contains(window) || closed.contains(window);
            rule("window open twice", free && opened.insert(*window), window.s0.get())?;
        }
        let gone = known("gap removed", &seqs(&edit.gaps_removed), |&from| {
            self.gaps.contains_key(&SeqNo::new(from))
        })?;
        let mut taken = BTreeSet::new();
        for gap in &edit.gaps_added {
            rule("gap interval", gap.from <= gap.to, gap.from.get())?;
            let free = !self.gaps.contains_key(&gap.from) || gone.contains(&gap.from.get());
            rule("gap known twice", free && taken.insert(gap.from), gap.from.get())?;
        }
        Ok(())
    }

    fn apply_files(&mut self, edit: &Edit) {
        for number in &edit.tables_removed {
            self.tables.remove(number);
        }
        for moved in &edit.tables_moved {
            if let Some(table) = self.tables.get_mut(&moved.number) {
                table.level = moved.level;
            }
        }
        self.tables.extend(edit.tables_added.iter().map(|table| (table.number, table.clone())));
        for number in &edit.segments_removed {
            self.segments.remove(number);
        }
        self.segments.extend(edit.segments_sealed.iter().map(|segment| (segment.number, segment.clone())));
        for footer in &edit.footers {
            if let Some(segment) = self.segments.get_mut(&footer.number) {
                segment.footer = Some(footer.footer);
                segment.len = footer.len;
            }
        }
        for number in &edit.packs_removed {
            for origin in self.packs.remove(number).into_iter().flat_map(|pack| pack.origins) {
                self.homes.remove(&origin);
            }
        }
        for pack in &edit.packs_added {
            self.homes.extend(pack.origins.iter().map(|&origin| (origin, pack.number)));
            self.packs.insert(pack.number, pack.clone());
        }
    }

    /// The live bytes that `edit` leaves in the origins it names.
    fn live_after(&self, edit: &Edit) -> BTreeMap<u32, i128> {
        let mut after = BTreeMap::new();
        for &LiveDelta { origin, delta } in &edit.live_deltas {
            *after.entry(origin).or_insert_with(|| i128::from(self.live_len(origin))) += i128::from(delta);
        }
        after
    }
}

fn set<T>(to: &mut T, from: Option<T>) {
    if let Some(from) = from {
        *to = from;
    }
}

/// Numbers of all files that an edit adds.
fn added_numbers(edit: &Edit) -> impl Iterator<Item = u32> + '_ {
    let tables = edit.tables_added.iter().map(|table| table.number);
    let segments = edit.segments_sealed.iter().map(|segment| segment.number);
    tables.chain(segments).chain(edit.packs_added.iter().map(|pack| pack.number))
}

fn footer_fits(end: u64, offset: u64, len: u32, file_len: u64) -> bool {
    end <= offset && offset.checked_add(u64::from(len)).is_some_and(|footer_end| footer_end <= file_len)
}

/// `numbers` as a set, when each is known and none stands twice.
fn known<T: Ord + Copy + Into<u64>>(
    what: &'static str,
    numbers: &[T],
    is_known: impl Fn(&T) -> bool,
) -> Result<BTreeSet<T>, Fault> {
    let mut set = BTreeSet::new();
    for &number in numbers {
        rule(what, is_known(&number) && set.insert(number), number)?;
    }
    Ok(set)
}

/// A fault that names `number` unless the rule holds.
fn rule(what: &'static str, holds: bool, number: impl Into<u64>) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Corrupt { what, offset: 0, expected: 0, found: number.into() }) }
}

fn rising<T: Ord + Copy + Into<u64>>(what: &'static str, from: T, to: Option<T>) -> Result<(), Fault> {
    match to {
        Some(to) if to < from => {
            Err(Fault::Corrupt { what, offset: 0, expected: from.into(), found: to.into() })
        }
        _ => Ok(()),
    }
}
