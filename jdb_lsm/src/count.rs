//! How many rows a group of keys has and how long they are, without walking over them: from the tables' group directories.
//!
//! Each source counts what it holds; rows that another source overwrites or deletes are counted twice or too many. So the sum is
//! an upper bound, unless one source holds all of them. Few entries are walked over instead, and counted exactly.

use crate::error::Result;
use crate::hidden::Hidden;
use crate::level;
use crate::scan::Scan;
use crate::table::Table;
use crate::version::Version;
use jdb_base::{Kind, SeqNo, key};
use jdb_io::task;
use jdb_mem::Memtable;
use jdb_sst::GroupStats;
use std::rc::Rc;

/// Up to so many entries are walked over.
const WALKED_MAX: u64 = 1024;
/// Entries of a memtable between two steps.
const STEP_COUNT: u64 = 1024;

/// What a group of keys holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GroupCount {
    /// Rows that are visible.
    pub rows: u64,
    /// Bytes of their keys, without the group's prefix.
    pub key_len: u64,
    /// Bytes of their values.
    pub value_len: u64,
    /// Sequence of the newest entry, a tombstone too; 0 without entries.
    pub newest: SeqNo,
    /// The numbers are true; otherwise none of them is too low, but each may be too high.
    pub is_exact: bool,
}

/// The sum over sources.
#[derive(Default)]
struct Sum {
    count: GroupCount,
    entries: u64,
    /// Memtables, tables of level 0 and deeper levels that hold any.
    sources: u32,
    /// Tables that hold any.
    tables: Vec<Rc<Table>>,
    /// Some are hidden from the read, or overwritten or deleted within their source.
    doubt: bool,
}

impl Version {
    /// Counts the rows at or below `seq` whose keys begin with `prefix`, which was the group prefix when the tables were written.
    ///
    /// Cost: one look-up in each level and in each table of level 0 that covers the group, and a walk over what memtables hold of
    /// it; a group of up to 1024 entries is walked over. The caller keeps this Version pinned.
    ///
    /// # Errors
    /// A table that cannot be read: never a wrong answer instead.
    pub async fn count_group(
        self: &Rc<Self>,
        prefix: &[u8],
        seq: SeqNo,
        hidden: &Hidden,
    ) -> Result<GroupCount> {
        let mut sum = Sum::default();
        for memtable in &self.memtables {
            sum.memtable(memtable, prefix, seq, hidden).await;
        }
        let upper = key::prefix_end(prefix);
        if let Some((newest, deeper)) = self.levels.split_first() {
            for table in newest.iter().filter(|table| table.overlaps(prefix, upper.as_deref())) {
                sum.tables(std::slice::from_ref(table), prefix, hidden).await?;
            }
            for tables in deeper {
                sum.tables(level::overlapping(tables, prefix, upper.as_deref()), prefix, hidden).await?;
            }
        }
        if sum.is_exact().await? {
            return Ok(GroupCount { is_exact: true, ..sum.count });
        }
        if sum.entries > WALKED_MAX {
            return Ok(sum.count);
        }
        self.walk_group(prefix, seq, hidden, sum.count.newest).await
    }

    /// Counts the rows of a group by walking over them.
    ///
    /// # Errors
    /// As [`Version::count_group`].
    async fn walk_group(
        self: &Rc<Self>,
        prefix: &[u8],
        seq: SeqNo,
        hidden: &Hidden,
        newest: SeqNo,
    ) -> Result<GroupCount> {
        let mut count = GroupCount { newest, is_exact: true, ..GroupCount::default() };
        let upper = key::prefix_end(prefix).unwrap_or_default();
        let mut scan = Scan::new(self.clone(), seq, hidden.clone(), prefix.to_vec(), upper);
        while scan.next().await? {
            let Some(row) = scan.row() else { break };
            count.rows += 1;
            count.key_len += (row.key.len() - prefix.len()) as u64;
            count.value_len += row.value_len()?;
        }
        Ok(count)
    }
}

impl Sum {
    /// Counts what a memtable holds: the newest visible version of each key.
    async fn memtable(&mut self, memtable: &Rc<Memtable>, prefix: &[u8], seq: SeqNo, hidden: &Hidden) {
        let mut cursor = memtable.cursor();
        cursor.seek(prefix, SeqNo::MAX);
        let (mut last, mut entries, mut group) = (None::<Vec<u8>>, 0, GroupStats::default());
        let mut steps: u64 = 0;
        while let Some(entry) = cursor.entry().filter(|entry| entry.key.starts_with(prefix)) {
            let is_older = last.as_deref() == Some(entry.key);
            if !is_older && entry.seq <= seq && !hidden.hides(entry.seq) {
                let last = last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(entry.key);
                entries += 1;
                self.count.newest = self.count.newest.max(entry.seq);
                // A tombstone may delete a row of another source; of this one it has.
                if entry.kind != Kind::Tombstone {
                    group.add(entry.key, entry.seq, entry.kind, entry.value);
                }
            }
            cursor.next();
            steps += 1;
            if steps.is_multiple_of(STEP_COUNT) {
                task::yield_now().await;
            }
        }
        self.add(&group, prefix);
        self.entries += entries;
        self.sources += u32::from(entries > 0);
    }

    /// Adds what a source has counted.
    fn add(&mut self, group: &GroupStats, prefix: &[u8]) {
        self.count.rows += group.rows;
        self.count.value_len += group.value_len;
        // With the keys of tombstones, and with prefixes.
        let prefix_len = (group.rows + group.tombstones).saturating_mul(prefix.len() as u64);
        self.count.key_len += group.key_len.saturating_sub(prefix_len);
    }

    /// Counts what tables that do not overlap hold.
    async fn tables(&mut self, tables: &[Rc<Table>], prefix: &[u8], hidden: &Hidden) -> Result<()> {
        let mut entries = 0;
        for table in tables {
            let Some(group) = table.reader().await?.group(prefix).await? else { continue };
            if hidden.hides_through(group.seq_max) {
                continue;
            }
            entries += group.rows + group.tombstones;
            self.count.newest = self.count.newest.max(group.seq_max);
            self.add(&group, prefix);
            self.doubt |= group.tombstones > 0 || hidden.reaches(table.meta().seq_min);
            self.tables.push(table.clone());
        }
        self.entries += entries;
        self.sources += u32::from(entries > 0);
        Ok(())
    }

    /// Whether one source holds everything, and each key once.
    async fn is_exact(&self) -> Result<bool> {
        if self.sources > 1 || self.doubt {
            return Ok(false);
        }
        for table in &self.tables {
            let properties = table.reader().await?.properties().await?;
            if properties.is_none_or(|properties| properties.key_count != table.meta().count) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hidden::SeqRange;
    use crate::testing::{Rng, Row, grouped_table_of, on_sim, sort};
    use std::collections::BTreeMap;

    /// The group's keys begin with these bytes.
    fn group_key(group: usize, key: usize) -> Vec<u8> {
        format!("{group:02}{key:04}").into_bytes()
    }

    fn entry(rng: &mut Rng, keys: usize, seq: u64) -> Row {
        let key = group_key(rng.below(3), rng.below(keys));
        match rng.below(5) {
            0 => (key, seq, Kind::Tombstone, Vec::new()),
            _ => (key, seq, Kind::Inline, vec![7; rng.below(9)]),
        }
    }

    /// The rows that a read sees, by replaying what was written.
    fn visible(rows: &[Row], prefix: &[u8], seq: u64, hidden: &Hidden) -> (u64, u64, u64) {
        let mut map = BTreeMap::new();
        for (key, at, kind, value) in rows {
            if key.starts_with(prefix) && *at <= seq && !hidden.hides(SeqNo::new(*at)) {
                if *kind == Kind::Tombstone {
                    map.remove(key)
                } else {
                    map.insert(key, value.len())
                };
            }
        }
        let len = |f: fn((&&Vec<u8>, &usize)) -> usize| map.iter().map(f).sum::<usize>() as u64;
        (map.len() as u64, len(|(key, _)| key.len() - 2), len(|(_, value)| *value))
    }

    #[test]
    fn a_count_is_true_or_says_that_it_is_too_high() {
        let mut exact = 0;
        for seed in 0..60 {
            exact += on_sim(seed, move |_, disk| async move {
                let mut rng = Rng(seed);
                // Some groups are too large to be walked over.
                let keys = if rng.once_in(2) { 20 } else { 3000 };
                let (mut all, mut seq) = (Vec::new(), 0);
                let mut levels = vec![Vec::new(), Vec::new()];
                let sources = 1 + rng.below(4);
                let mut memtables = Vec::new();
                for source in 0..sources {
                    let mut rows = BTreeMap::new();
                    for _ in 0..keys * 2 {
                        seq += 1;
                        let row = entry(&mut rng, keys, seq);
                        all.push(row.clone());
                        rows.insert(row.0.clone(), row);
                    }
                    let mut rows: Vec<Row> = rows.into_values().collect();
                    sort(&mut rows);
                    if source + 1 == sources && sources > 1 {
                        let memtable = Rc::new(Memtable::new());
                        rows.iter().for_each(|(k, s, kind, v)| memtable.insert(k, SeqNo::new(*s), *kind, v));
                        memtables.push(memtable);
                    } else {
                        if source == 0 {
                            // As after a compaction.
                            rows.retain(|row| row.2 != Kind::Tombstone);
                        }
                        let table = grouped_table_of(&disk, source as u32, &rows).await;
                        levels[usize::from(source == 0)].insert(0, table);
                    }
                }
                let to = SeqNo::new(rng.below(seq as usize) as u64);
                let hidden = match rng.below(3) {
                    0 => Hidden::new(vec![SeqRange { from: SeqNo::ZERO, to }]),
                    _ => Hidden::NONE,
                };
                let version = Rc::new(Version { memtables, levels, ..Version::default() });
                let mut exact = 0;
                for group in 0..4 {
                    let prefix = format!("{group:02}").into_bytes();
                    let count = version.count_group(&prefix, SeqNo::new(seq), &hidden).await.unwrap();
                    let (rows, key_len, value_len) = visible(&all, &prefix, seq, &hidden);
                    let found = (count.rows, count.key_len, count.value_len);
                    if count.is_exact {
                        assert_eq!(found, (rows, key_len, value_len), "seed {seed} group {group}");
                        exact += 1;
                    } else {
                        assert!(keys > 20, "seed {seed} group {group}: few entries are counted exactly");
                        let enough = found.0 >= rows && found.1 >= key_len && found.2 >= value_len;
                        assert!(
                            enough,
                            "seed {seed} group {group}: {count:?} for {rows} {key_len} {value_len}"
                        );
                    }
                }
                exact
            });
        }
        assert!(exact > 130, "{exact} of 240 are exact");
    }
}
