//! Keys that come in order, one at a time: the block that had the last answer mostly has the next.

use super::SstReader;
use crate::block::Block;
use crate::error::{Damage, Result};
use crate::filter::filter_hash;
use crate::lookup::{Entry, Found};
use crate::walk::Want;
use bytes::Bytes;
use jdb_base::SeqNo;

/// The data block that answered last. Starts without one. Of one table, or of tables whose key ranges do not overlap.
#[derive(Clone, Default, Debug)]
pub struct Near {
    /// Verified, without trailer; empty for none.
    block: Bytes,
}

impl SstReader {
    /// What [`SstReader::get`] says, for keys that come in the order of entries or nearly so: first looks into the block that
    /// answered last, and asks neither index nor filter when the answer is there.
    ///
    /// Any order is right; one that jumps costs a look into a block more than `get`. `near` keeps one data block in memory, and stays as
    /// it is when the future is dropped.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn get_near(&self, key: &[u8], seq: SeqNo, near: &mut Near) -> Result<Option<Entry>> {
        // Whoever comes to a damaged block by index names its place.
        if let Ok(Some(found)) = near.look(key, seq) {
            return Ok(found);
        }
        let (lookup, mut want) = self.begin(key, seq)?;
        while let Some(next) = want {
            let Some(bytes) = self.load_if_asked(next, key).await? else { return Ok(None) };
            match lookup.look(next, &bytes).map_err(|damage| damage.of(self.path()))? {
                Found::Below(below) => want = Some(below),
                Found::Answer(entry) => {
                    if next.level == self.data_level() {
                        near.block = bytes;
                    }
                    return Ok(entry);
                }
            }
        }
        Ok(None)
    }

    /// A block, unless the filter before it says that the key is absent.
    async fn load_if_asked(&self, want: Want, key: &[u8]) -> Result<Option<Bytes>> {
        let (Some(salt), Some(filter)) = (self.salt, want.filter()) else {
            return self.load(want).await.map(Some);
        };
        let hash = filter_hash(key, salt);
        match self.ask_ready(filter, hash).transpose()? {
            Some(true) => self.load(want).await.map(Some),
            Some(false) => Ok(None),
            None => self.read_and_ask(want, filter, hash).await,
        }
    }
}

impl Near {
    /// What the block says of a key; `None` when the answer may be in another one.
    fn look(&self, key: &[u8], seq: SeqNo) -> Result<Option<Option<Entry>>, Damage> {
        if self.block.is_empty() {
            return Ok(None);
        }
        let block = Block::parse(&self.block)?;
        let index = block.find(key, seq)?;
        if index == block.count() {
            return Ok(None);
        }
        let entry = block.entry_of(index, key)?;
        // Of the first entry the block says only that it comes at or after the key: one before it may do so too.
        if index == 0 && entry.is_none_or(|entry| entry.seq != seq) {
            return Ok(None);
        }
        Ok(Some(entry.map(|entry| Entry::of(entry, &self.block))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::{on_disk, write};
    use crate::testing::{Rng, options, random_rows};
    use jdb_io::{BlockCache, Mode};
    use std::rc::Rc;

    #[test]
    fn agrees_with_get_in_any_order_and_asks_few_indexes_in_order() {
        on_disk(async |disk, path| {
            for (seed, with_cache) in [(1, false), (2, true), (3, true)] {
                let mut rng = Rng(seed);
                let rows = random_rows(&mut rng, 3000);
                let path = path.with_file_name(format!("{seed}.sst"));
                write(&disk, &path, &rows, options(200, 200, 400)).await;
                let cache = Rc::new(BlockCache::new(1 << 20));
                let cached = with_cache.then(|| (Rc::clone(&cache), cache.next_file_id()));
                let reader =
                    SstReader::open(disk.open(&path, Mode::Read).await.unwrap(), cached).await.unwrap();
                // Those that are there, their neighbours in time, and keys that nobody has.
                let mut asked = Vec::new();
                for row in &rows {
                    let seq = row.seq.get();
                    let seq = [seq, seq + 1, seq.saturating_sub(1)][rng.below(3)];
                    asked.push((row.key.clone(), SeqNo::new(seq)));
                    if rng.below(4) == 0 {
                        asked.push(([&row.key[..], b"\0"].concat(), SeqNo::MAX));
                    }
                }
                asked.sort_by(|a, b| jdb_base::key::entry_order((&a.0, a.1), (&b.0, b.1)));
                let mut near = Near::default();
                let lookups = || cache.hits() + cache.misses();
                let before = lookups();
                let mut in_order = Vec::new();
                for (key, seq) in &asked {
                    in_order.push(reader.get_near(key, *seq, &mut near).await.unwrap());
                }
                let looked_up = lookups() - before;
                for ((key, seq), found) in asked.iter().zip(in_order) {
                    assert_eq!(found, reader.get(key, *seq).await.unwrap(), "{key:x?} {seq:?}");
                }
                for _ in 0..3000 {
                    let (key, seq) = &asked[rng.below(asked.len())];
                    let found = reader.get_near(key, *seq, &mut near).await.unwrap();
                    assert_eq!(found, reader.get(key, *seq).await.unwrap(), "{key:x?} {seq:?}");
                }
                if with_cache {
                    assert!(looked_up < asked.len() as u64 * 3 / 2, "{looked_up} of {}", asked.len());
                }
            }
        });
    }

    #[test]
    fn a_damaged_block_is_an_error_and_not_the_last_answer() {
        on_disk(async |disk, path| {
            let rows = random_rows(&mut Rng(4), 500);
            let info = write(&disk, &path, &rows, options(200, 4000, 4000)).await;
            let reader = SstReader::open(disk.open(&path, Mode::Read).await.unwrap(), None).await.unwrap();
            let mut near = Near::default();
            reader.get_near(&rows[0].key, rows[0].seq, &mut near).await.unwrap().unwrap();
            let file = disk.open(&path, Mode::ReadWrite).await.unwrap();
            file.write_at(0, vec![0xa5; info.len as usize / 2]).await.0.unwrap();
            let first = reader.get_near(&rows[0].key, rows[0].seq, &mut near).await.unwrap();
            assert!(first.is_some(), "of a block that was verified before");
            let mut damaged = 0;
            for row in &rows {
                match reader.get_near(&row.key, row.seq, &mut near).await {
                    Ok(found) => assert!(found.is_some_and(|found| found.value == row.value)),
                    Err(error) => {
                        assert!(matches!(error, crate::Error::Corrupt { .. }), "{error}");
                        damaged += 1;
                    }
                }
            }
            assert!(damaged > 0 && damaged < rows.len(), "{damaged}");
        });
    }
}
