//! How many value bytes a new table probably hides in older ones.
//!
//! Deleting or overwriting big values makes garbage in the value log that shows only once the index has forgotten the old
//! pointers. So a table is weighed when it is written: a few of its keys, evenly spread, are looked up in what is older,
//! and the values found there are multiplied by how many keys one of them stands for. The answer only orders work; it
//! promises nothing.

use crate::hidden::Hidden;
use crate::level;
use crate::table::Table;
use crate::version::{Payload, Version, get_in_table};
use jdb_base::SeqNo;
use jdb_io::task;
use jdb_sst::Begun;
use std::rc::Rc;

/// Keys of a sample.
const COUNT_MAX: usize = 64;
/// Keys looked up between two steps aside.
const SLICE_COUNT: usize = 8;

/// Evenly spread keys of a table that is being written, however many it gets: at most 64.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    keys: Vec<Vec<u8>>,
    /// Distinct keys so far.
    count: u64,
    /// Each key of the sample stands for so many.
    stride: u64,
    last: Vec<u8>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { keys: Vec::new(), count: 0, stride: 1, last: Vec::new() }
    }
}

impl Sample {
    /// Offers a key; the same one again counts once. Keys come in their order.
    #[inline]
    pub fn add(&mut self, key: &[u8]) {
        if self.count > 0 && self.last == key {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        if self.count.is_multiple_of(self.stride) {
            self.take(key);
        }
        self.count += 1;
    }

    /// The key that was offered last; empty at first.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    fn take(&mut self, key: &[u8]) {
        if self.keys.len() == COUNT_MAX {
            let mut index = 0;
            self.keys.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
        if self.count.is_multiple_of(self.stride) {
            self.keys.push(key.to_vec());
        }
    }
}

/// Where older versions of a new table's keys may lie, from new to old.
pub(crate) struct Older<'a> {
    /// Level-0 tables.
    pub(crate) newest: &'a [Rc<Table>],
    /// Tables of deeper levels.
    pub(crate) levels: Vec<&'a [Rc<Table>]>,
}

impl Older<'_> {
    /// An estimate of the value bytes that a table with this sample hides here. Tables that cannot be read count nothing.
    pub(crate) async fn hidden_len(&self, sample: &Sample) -> u64 {
        let mut found_len = 0u64;
        for (index, key) in sample.keys.iter().enumerate() {
            if index % SLICE_COUNT == SLICE_COUNT - 1 {
                task::yield_now().await;
            }
            found_len = found_len.saturating_add(self.value_len(key).await);
        }
        let looked_up = sample.keys.len().max(1) as u128;
        u64::try_from(u128::from(found_len) * u128::from(sample.count) / looked_up).unwrap_or(u64::MAX)
    }

    /// Length of the newest value of `key` in the log; 0 when there is none.
    async fn value_len(&self, key: &[u8]) -> u64 {
        let newest = self.newest.iter().filter(|table| table.covers(key));
        let deeper = self.levels.iter().filter_map(|tables| level::find(tables, key));
        for table in newest.chain(deeper) {
            match get_in_table(table, key, SeqNo::MAX, &Hidden::NONE, Begun::default()).await {
                Ok(None) => {}
                Ok(Some(found)) => {
                    return if let Payload::Pointer(ptr) = found.payload { u64::from(ptr.len) } else { 0 };
                }
                Err(_) => return 0,
            }
        }
        0
    }
}

impl Version {
    /// An estimate of the value bytes that a flushed table with this sample hides in the tables of this Version: what goes
    /// into [`TableMeta::hidden_len`](crate::TableMeta).
    ///
    /// Cost: up to 64 look-ups in tables, with steps aside between them.
    pub async fn hidden_len(&self, sample: &Sample) -> u64 {
        let Some((newest, levels)) = self.levels.split_first() else { return 0 };
        let levels = levels.iter().map(Vec::as_slice).collect();
        Older { newest, levels }.hidden_len(sample).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, on_sim, table_of};
    use crate::tree::Tree;
    use jdb_base::{Kind, ValuePtr};

    #[test]
    fn a_sample_is_spread_evenly_over_distinct_keys() {
        for (count, want_stride) in [(0u64, 1), (64, 1), (65, 2), (128, 2), (129, 4), (10_000, 256)] {
            let mut sample = Sample::default();
            for key in 0..count {
                for _ in 0..1 + key % 3 {
                    sample.add(&key.to_be_bytes());
                }
            }
            let want: Vec<Vec<u8>> =
                (0..count).step_by(want_stride as usize).map(|key| key.to_be_bytes().to_vec()).collect();
            assert_eq!((sample.count, sample.stride), (count, want_stride), "{count}");
            assert_eq!(sample.keys, want, "{count}");
        }
    }

    fn pointer(key: u32, seq: u64, len: u32) -> Row {
        let mut value = Vec::new();
        ValuePtr { segment: 1, offset: 8, len }.encode(&mut value);
        (key.to_be_bytes().to_vec(), seq, Kind::Pointer, value)
    }

    #[test]
    fn the_newest_older_value_of_each_key_counts() {
        on_sim(1, |_, disk| async move {
            // Level 1 holds keys 0..600 with 1000 bytes each; level 0 has deleted keys 100..200 and rewritten 200..300.
            let below: Vec<Row> = (0..600).map(|key| pointer(key, 1, 1000)).collect();
            let mut above: Vec<Row> = Vec::new();
            above.extend(
                (100..200u32).map(|key| (key.to_be_bytes().to_vec(), 2, Kind::Tombstone, Vec::new())),
            );
            above.extend((200..300).map(|key| pointer(key, 2, 10)));
            let (above, below) = (table_of(&disk, 2, &above).await, table_of(&disk, 1, &below).await);
            let tree = Tree::new(vec![vec![above], vec![below]]);
            for (keys, want) in [
                (0..100u32, 100_000),
                (0..40, 40_000),
                (100..200, 0),
                (200..300, 1000),
                (590..700, 10_000),
                (700..800, 0),
                (0..0, 0),
            ] {
                let mut sample = Sample::default();
                keys.clone().for_each(|key| sample.add(&key.to_be_bytes()));
                let found = tree.version().hidden_len(&sample).await;
                assert!(found.abs_diff(want) <= want / 10, "{keys:?}: {found}, not {want}");
            }
        });
    }
}
