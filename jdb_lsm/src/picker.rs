//! Which tables are to be merged next: a pure function over what the MANIFEST says about them.
//!
//! | what | score; work is due from 1 on |
//! |---|---|
//! | level 0 | tables / trigger |
//! | a deeper level | its bytes / what it may hold |
//! | hidden values | bytes of values that upper tables probably hide, and of those that tables hold for read points which are gone / a tenth of the live bytes |
//! | drops | a table that waits for one, when nothing else is due |
//!
//! A plan takes from level 0 a run of its oldest tables; from a deeper level one table, the one that frees most for what
//! has to be read and written. Tables that overlap nothing below go down as they are. A plan's keys never overlap those
//! of a plan that is being executed.

use crate::keeper::DropRange;
use crate::table::TableMeta;
use std::cmp::Ordering;

/// When work is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PickerOptions {
    /// Tables in level 0 from which on they are merged; default 4.
    pub newest_count: usize,
    /// Bytes of tables that level 1 may hold; default 64 MiB.
    pub base_len: u64,
    /// How many times more the next level may hold; default 10.
    pub ratio: u64,
    /// Bytes of level-0 tables after which a run ends; default 160 MiB.
    pub run_len: u64,
    /// Parts of the live bytes that upper tables may hide; default 10.
    pub hidden_part: u64,
    /// Hidden bytes that are never worth a compaction; default 1 MiB.
    pub hidden_len_min: u64,
}

impl Default for PickerOptions {
    fn default() -> Self {
        Self {
            newest_count: 4,
            base_len: 64 << 20,
            ratio: 10,
            run_len: 160 << 20,
            hidden_part: 10,
            hidden_len_min: 1 << 20,
        }
    }
}

/// A table to choose.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What the MANIFEST says about it.
    pub meta: &'a TableMeta,
    /// Drops that it would apply if it were written now, as [`waiting`] counts them.
    pub waiting: u64,
    /// Bytes of values that it holds for read points which are gone, see [`Held`](crate::Held).
    pub released: u64,
}

/// How many drops a table would apply if it were written now. `drops` are those whose namespace lies in its key range, each
/// with whether a read point of that namespace [holds](crate::ReadPoint::holds) it.
///
/// A drop that is held is not counted: writing the table anew would not help, again and again. Nor is one that was applied
/// already while the table's drop sequence is held down by another drop, until that one is held no longer.
#[must_use]
pub fn waiting(meta: &TableMeta, drops: impl Iterator<Item = (DropRange, bool)> + Clone) -> u64 {
    let held_down = drops.clone().any(|(drop, held)| held && drop.at == meta.drop_seq.plus(1));
    let waits = |(drop, held): &(DropRange, bool)| {
        !held && meta.drop_seq < drop.at && (meta.judged_seq < drop.at || !held_down)
    };
    drops.filter(waits).count() as u64
}

/// Why a plan was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Level 0 has too many tables.
    Count,
    /// A level holds too much.
    Len,
    /// Upper tables hide too many values.
    Hidden,
    /// Tables hold too many values for read points that are gone.
    Released,
    /// Drops wait.
    Drops,
    /// Somebody asked for it.
    Asked,
}

/// What is to be merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Why.
    pub reason: Reason,
    /// The level of the inputs.
    pub from: usize,
    /// The level of the outputs: the next one, or the same when one table is rewritten.
    pub to: usize,
    /// Numbers of the inputs: of level 0 the oldest tables without a gap.
    pub inputs: Vec<u32>,
    /// Numbers of all tables of level `to` that overlap them; empty when a table is rewritten.
    pub below: Vec<u32>,
    /// Smallest key of all of them.
    pub first_key: Vec<u8>,
    /// Largest key of all of them.
    pub last_key: Vec<u8>,
    /// The inputs go to level `to` as they are.
    pub is_trivial: bool,
}

impl Plan {
    /// Whether any key lies in the key ranges of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first_key <= other.last_key && other.first_key <= self.last_key
    }
}

/// The most urgent plan; `None`: nothing is due, or what is due overlaps what is being done.
///
/// `levels` are those of a [`Version`](crate::Version): level 0 from new to old, deeper ones by key. `live_len` is the
/// shard's bytes of live values. `running` are the plans that are being executed on the same tree.
///
/// Deterministic. Cost: a look at every table.
#[must_use]
pub fn pick(
    levels: &[Vec<Candidate<'_>>],
    live_len: u64,
    running: &[Plan],
    options: &PickerOptions,
) -> Option<Plan> {
    let mut due = dues(levels, live_len, running, options);
    due.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    due.iter().find_map(|due| {
        due.plans(levels, options).into_iter().find(|plan| !running.iter().any(|other| plan.overlaps(other)))
    })
}

/// The next plan on the way to one single level, whether anything is due or not. `level` is where the way has come to, 0 at
/// first; given back is where it goes on, `None` at its end. Tables flushed meanwhile are left alone.
///
/// Cost: as [`pick`].
#[must_use]
pub fn pick_all(levels: &[Vec<Candidate<'_>>], level: usize) -> (Option<usize>, Option<Plan>) {
    let last = levels.iter().rposition(|tables| !tables.is_empty()).unwrap_or(0);
    for level in level..=last {
        let Some((first, rest)) = levels.get(level).and_then(|tables| tables.split_first()) else { continue };
        if level == 0 {
            let tables: Vec<_> = std::iter::once(first).chain(rest).copied().collect();
            // Not moved either: versions of a key lie beside each other in one table.
            let plan = Plan { is_trivial: false, ..merge_down(Reason::Asked, 0, levels, &tables) };
            return (Some(1), Some(plan));
        }
        if level < last {
            return (Some(level), Some(merge_down(Reason::Asked, level, levels, &[*first])));
        }
        let waits = std::iter::once(first).chain(rest).find(|table| table.waiting > 0 || table.released > 0);
        return match waits {
            Some(table) => (Some(level), Some(rewrite(Reason::Asked, level, table))),
            None => (None, None),
        };
    }
    (None, None)
}

/// Something that is due.
struct Due {
    score: f64,
    reason: Reason,
    level: usize,
}

/// All that is due; what only drops wait for comes last.
fn dues(levels: &[Vec<Candidate<'_>>], live_len: u64, running: &[Plan], options: &PickerOptions) -> Vec<Due> {
    // What is leaving a level counts no more for it.
    let leaves = |table: &&Candidate<'_>| running.iter().any(|plan| plan.inputs.contains(&table.meta.number));
    let staying = |tables: &[Candidate<'_>]| -> Vec<u64> {
        tables.iter().filter(|table| !leaves(table)).map(|table| table.meta.len).collect()
    };
    let mut due = Vec::new();
    let mut add = |score: f64, reason, level| {
        if score >= 1.0 {
            due.push(Due { score, reason, level });
        }
    };
    let mut level_len = options.base_len;
    for (level, tables) in levels.iter().enumerate() {
        if level == 0 {
            add(staying(tables).len() as f64 / options.newest_count.max(1) as f64, Reason::Count, level);
            continue;
        }
        let len: u64 = staying(tables).iter().sum();
        if level + 1 < LEVEL_COUNT_MAX {
            add(len as f64 / level_len.max(1) as f64, Reason::Len, level);
        }
        level_len = level_len.saturating_mul(options.ratio.max(1));
    }
    let hidden: Vec<u64> = levels
        .iter()
        .enumerate()
        .map(|(level, tables)| tables.iter().map(|table| hidden_len(levels, level, table)).sum())
        .collect();
    let released: Vec<u64> =
        levels.iter().map(|tables| tables.iter().filter(|t| !leaves(t)).map(|t| t.released).sum()).collect();
    let total: u64 = hidden.iter().chain(&released).sum();
    let allowed = (live_len / options.hidden_part.max(1)).max(options.hidden_len_min);
    for (lens, reason) in [(hidden, Reason::Hidden), (released, Reason::Released)] {
        for (level, &len) in lens.iter().enumerate() {
            // Of all that is garbage, levels that have most of it come first.
            if len > 0 && total > allowed {
                let share = len as f64 / total as f64;
                add(1.0 + (total as f64 / allowed as f64 - 1.0) * share, reason, level);
            }
        }
    }
    let waiting = |tables: &Vec<Candidate<'_>>| tables.iter().map(|table| table.waiting).sum::<u64>();
    let most = levels.iter().map(waiting).max().unwrap_or(0).max(1) as f64;
    for (level, tables) in levels.iter().enumerate() {
        if waiting(tables) > 0 {
            // Below every other score.
            due.push(Due { score: 0.5 * waiting(tables) as f64 / most, reason: Reason::Drops, level });
        }
    }
    due
}

impl Due {
    /// Plans for it, the best one first.
    fn plans(&self, levels: &[Vec<Candidate<'_>>], options: &PickerOptions) -> Vec<Plan> {
        let Some(tables) = levels.get(self.level) else { return Vec::new() };
        if self.level == 0 {
            // At least up to the oldest table for which something is due.
            let least = match self.reason {
                Reason::Count | Reason::Len | Reason::Asked => 1,
                Reason::Hidden => oldest_run(tables, |table| hidden_len(levels, 0, table) > 0),
                Reason::Released => oldest_run(tables, |table| table.released > 0),
                Reason::Drops => oldest_run(tables, |table| table.waiting > 0),
            };
            return run_of_newest(self.reason, levels, tables, least, options).into_iter().collect();
        }
        let mut chosen: Vec<&Candidate<'_>> = match self.reason {
            Reason::Drops => tables.iter().filter(|table| table.waiting > 0).collect(),
            Reason::Released => tables.iter().filter(|table| table.released > 0).collect(),
            Reason::Hidden => {
                tables.iter().filter(|table| hidden_len(levels, self.level, table) > 0).collect()
            }
            Reason::Count | Reason::Len | Reason::Asked => tables.iter().collect(),
        };
        let below = levels.get(self.level + 1).map(Vec::as_slice).unwrap_or_default();
        let value = |table: &Candidate<'_>| match self.reason {
            Reason::Drops => table.waiting as f64,
            Reason::Released => table.released as f64 / table.meta.len.max(1) as f64,
            _ => {
                let beneath = overlapping(below, &table.meta.first_key, &table.meta.last_key);
                let cost: u64 = beneath.iter().map(|table| table.meta.len).sum();
                let gain = table.meta.len + hidden_len(levels, self.level, table);
                gain as f64 / (table.meta.len + cost).max(1) as f64
            }
        };
        chosen.sort_by(|a, b| {
            let order = value(b).partial_cmp(&value(a)).unwrap_or(Ordering::Equal);
            order.then_with(|| a.meta.number.cmp(&b.meta.number))
        });
        let plan = |table: &Candidate<'_>| {
            if matches!(self.reason, Reason::Drops | Reason::Released) {
                rewrite(self.reason, self.level, table)
            } else {
                merge_down(self.reason, self.level, levels, &[*table])
            }
        };
        chosen.into_iter().map(plan).collect()
    }
}

/// Value bytes that a table hides: none when nothing lies below it any more.
fn hidden_len(levels: &[Vec<Candidate<'_>>], level: usize, table: &Candidate<'_>) -> u64 {
    let (first, last) = (&table.meta.first_key, &table.meta.last_key);
    let hides = table.meta.hidden_len > 0
        && levels.iter().skip(level + 1).any(|tables| !overlapping(tables, first, last).is_empty());
    if hides { table.meta.hidden_len } else { 0 }
}

/// How many of the oldest tables make a run through the oldest one that is `wanted`.
fn oldest_run(tables: &[Candidate<'_>], wanted: impl Fn(&Candidate<'_>) -> bool) -> usize {
    tables.iter().rposition(wanted).map_or(tables.len(), |at| tables.len() - at)
}

/// The oldest tables of level 0: at least `least` of them, and as many more as a run may hold.
fn run_of_newest(
    reason: Reason,
    levels: &[Vec<Candidate<'_>>],
    tables: &[Candidate<'_>],
    least: usize,
    options: &PickerOptions,
) -> Option<Plan> {
    let mut len = 0u64;
    let mut count = 0;
    for table in tables.iter().rev() {
        len = len.saturating_add(table.meta.len);
        let is_long = len > options.run_len || count >= RUN_COUNT_MAX;
        if count >= least.max(1) && is_long {
            break;
        }
        count += 1;
    }
    let run = tables.get(tables.len() - count..).filter(|run| !run.is_empty())?;
    Some(merge_down(reason, 0, levels, run))
}

/// `inputs` of `level` with everything they overlap in the next one.
fn merge_down(reason: Reason, level: usize, levels: &[Vec<Candidate<'_>>], inputs: &[Candidate<'_>]) -> Plan {
    let empty = &[][..];
    let first_key = inputs.iter().map(|t| &t.meta.first_key).min().cloned().unwrap_or_default();
    let last_key = inputs.iter().map(|t| &t.meta.last_key).max().cloned().unwrap_or_default();
    let to = level + 1;
    let below = overlapping(levels.get(to).map_or(empty, Vec::as_slice), &first_key, &last_key);
    let is_bottom =
        levels.iter().skip(to + 1).all(|tables| overlapping(tables, &first_key, &last_key).is_empty());
    // A tombstone that has nothing below it any more would stay for ever in a table that is only moved.
    let is_trivial = below.is_empty()
        && are_disjoint(inputs)
        && inputs.iter().all(|table| {
            table.waiting == 0 && table.released == 0 && !(is_bottom && table.meta.tombstones > 0)
        });
    let all = || inputs.iter().chain(below);
    Plan {
        reason,
        from: level,
        to,
        inputs: inputs.iter().map(|table| table.meta.number).collect(),
        below: below.iter().map(|table| table.meta.number).collect(),
        first_key: all().map(|t| &t.meta.first_key).min().cloned().unwrap_or_default(),
        last_key: all().map(|t| &t.meta.last_key).max().cloned().unwrap_or_default(),
        is_trivial,
    }
}

/// One table written anew in its level.
fn rewrite(reason: Reason, level: usize, table: &Candidate<'_>) -> Plan {
    Plan {
        reason,
        from: level,
        to: level,
        inputs: vec![table.meta.number],
        below: Vec::new(),
        first_key: table.meta.first_key.clone(),
        last_key: table.meta.last_key.clone(),
        is_trivial: false,
    }
}

/// The tables of a sorted level that hold any key of `first..=last`.
fn overlapping<'a, 'b>(tables: &'a [Candidate<'b>], first: &[u8], last: &[u8]) -> &'a [Candidate<'b>] {
    let start = tables.partition_point(|table| table.meta.last_key.as_slice() < first);
    let end = tables.partition_point(|table| table.meta.first_key.as_slice() <= last);
    tables.get(start..end).unwrap_or_default()
}

fn are_disjoint(tables: &[Candidate<'_>]) -> bool {
    let mut ranges: Vec<_> = tables.iter().map(|t| (&t.meta.first_key, &t.meta.last_key)).collect();
    ranges.sort();
    ranges.is_sorted_by(|a, b| a.1 < b.0)
}

/// Levels at most, level 0 included: the last one takes whatever comes.
const LEVEL_COUNT_MAX: usize = 7;
/// Tables of a run, unless more are needed: each is open, with a block in memory, while it is merged.
const RUN_COUNT_MAX: usize = 32;

#[cfg(test)]
mod tests;
