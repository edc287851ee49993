//! Reads of single entries whose keys come in order, as of one Version.
//!
//! A read on its own asks a filter and an index of each level. Keys that come in order mostly lie in the block that had the last
//! answer of their level, so that is looked into first.

use crate::error::Result;
use crate::level;
use crate::table::Table;
use crate::version::{Found, Version, found_in};
use jdb_base::SeqNo;
use jdb_sst::Near;
use std::rc::Rc;

/// A walk of reads over the tables of a Version. It keeps one data block for each table of level 0 and each deeper level.
#[derive(Debug)]
pub struct Sweep<'a> {
    version: &'a Version,
    /// As the tables of level 0.
    newest: Vec<Near>,
    /// As the deeper levels, whose tables do not overlap.
    deeper: Vec<Near>,
}

impl<'a> Sweep<'a> {
    /// Over these tables; nothing is read yet.
    #[must_use]
    pub fn new(version: &'a Version) -> Self {
        let (newest, deeper) =
            version.levels.split_first().map_or((0, 0), |(newest, deeper)| (newest.len(), deeper.len()));
        Self { version, newest: vec![Near::default(); newest], deeper: vec![Near::default(); deeper] }
    }

    /// The newest entry of `key` at or below `seq` in the tables. Any order of keys is right; ascending, newer versions first, is fast.
    ///
    /// Cost: in order, a look into one block for each level that may hold the key.
    ///
    /// # Errors
    /// A table that cannot be read: never a wrong answer instead.
    pub async fn get(&mut self, key: &[u8], seq: SeqNo) -> Result<Option<Found>> {
        let Some((newest, deeper)) = self.version.levels.split_first() else { return Ok(None) };
        for (table, near) in newest.iter().zip(&mut self.newest) {
            if table.covers(key)
                && let Some(found) = get_near(table, key, seq, near).await?
            {
                return Ok(Some(found));
            }
        }
        for (tables, near) in deeper.iter().zip(&mut self.deeper) {
            if let Some(table) = level::find(tables, key)
                && let Some(found) = get_near(table, key, seq, near).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

async fn get_near(table: &Rc<Table>, key: &[u8], seq: SeqNo, near: &mut Near) -> Result<Option<Found>> {
    if table.meta().seq_min > seq {
        return Ok(None);
    }
    let reader = match table.ready() {
        Some(reader) => reader,
        None => table.reader().await?,
    };
    match reader.get_near(key, seq, near).await? {
        Some(entry) => found_in(table, entry).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hidden::Hidden;
    use crate::testing::{Rng, Row, on_sim, row, sort, table_of};
    use jdb_base::key::entry_order;

    #[test]
    fn agrees_with_single_reads_in_order_and_in_any() {
        for seed in 0..20 {
            on_sim(seed, move |_, disk| async move {
                let mut rng = Rng(seed);
                let mut version = Version::default();
                let mut asked = Vec::new();
                let mut number = 0;
                // Level 0 is newer than what lies deeper, and its newest table than the others.
                for (level, count) in [(0, 3), (1, 3), (2, 5)] {
                    let mut tables = Vec::new();
                    let mut sorted: Vec<Row> = Vec::new();
                    for table in 0..count {
                        let newest = 300 - 100 * level + if level == 0 { 30 - 10 * table as u64 } else { 0 };
                        let mut rows = Vec::new();
                        for _ in 0..1 + rng.below(40) {
                            // Deeper tables do not overlap.
                            let key = if level == 0 { rng.below(100) } else { 20 * table + rng.below(15) };
                            rows.push(row(&format!("{key:03}"), newest + rng.below(5) as u64));
                        }
                        sort(&mut rows);
                        rows.dedup();
                        tables.push(table_of(&disk, number, &rows).await);
                        number += 1;
                        sorted.extend(rows);
                    }
                    asked.extend(sorted.iter().map(|row| (row.0.clone(), SeqNo::new(row.1))));
                    version.levels.push(tables);
                }
                asked.extend((0..110).map(|key| (format!("{key:03}").into_bytes(), SeqNo::MAX)));
                asked.extend((0..100).map(|key| (format!("{key:03}").into_bytes(), SeqNo::new(205))));
                asked.sort_by(|a, b| entry_order((&a.0, a.1), (&b.0, b.1)));
                let mut sweep = Sweep::new(&version);
                let mut found = 0;
                let any = (0..500).map(|_| rng.below(asked.len())).collect::<Vec<_>>();
                for at in (0..asked.len()).chain(any) {
                    let (key, seq) = &asked[at];
                    let got = sweep.get(key, *seq).await.unwrap();
                    assert_eq!(got, version.get(key, *seq, &Hidden::NONE).await.unwrap(), "{key:?} {seq:?}");
                    found += usize::from(got.is_some());
                }
                assert!(found > 300, "{found}");
            });
        }
    }

    #[test]
    fn without_tables_nothing_is_found() {
        on_sim(1, |_, _| async move {
            let version = Version::default();
            assert_eq!(Sweep::new(&version).get(b"a", SeqNo::MAX).await.unwrap(), None);
        });
    }
}
