//! Many entries at once: neighbours in one read, a block verified once for all that is taken out of it.
//!
//! ```text
//! keys in order -> their data blocks, by the index alone -> in memory? taken out of
//!                                                          else: runs of neighbours, announced, then read in order
//! ```

use super::{SstReader, read};
use crate::block_cursor::BlockCursor;
use crate::error::{Damage, Result};
use crate::handle::Handle;
use crate::lookup::Entry;
use crate::walk::Want;
use bytes::Bytes;
use jdb_base::SeqNo;
use std::cmp::{Ordering, Reverse};
use std::ops::Range;

/// Longest run of several blocks, in bytes.
const RUN_LEN_MAX: u64 = 64 << 10;
/// Most bytes between two blocks of one run: padding, an index block.
const GAP_LEN_MAX: u64 = 8 << 10;

/// The entries of [`SstReader::get_many`].
#[derive(Debug)]
pub struct Many {
    /// One for each that was wanted, in that order; `None` where there is none. Entries of one run share its memory, 64 KiB at
    /// most or one block.
    pub entries: Vec<Option<Entry>>,
    /// Blocks that they were taken out of.
    pub blocks: usize,
    /// Reads of blocks that were not in memory.
    pub waited: usize,
}

/// Which blocks [`SstReader::get_many`] keeps in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// All: the keys are some of many, and may come again.
    All,
    /// The last one: the keys are a stretch of a walk, which probably goes on in it.
    Last,
}

/// A data block, and the part of what is wanted that is in it or nowhere.
struct Part {
    handle: Handle,
    members: Range<usize>,
}

/// Neighbouring blocks.
struct Run {
    parts: Range<usize>,
    offset: u64,
    end: u64,
}

impl SstReader {
    /// What [`SstReader::get`] says of each of these, which are in the order of entries: key ascending, sequence descending.
    /// Filters are not asked.
    ///
    /// Blocks that lie side by side are read together.
    ///
    /// Cost: one look-up in the index and one read, or a part of one, for each data block; a step for each entry.
    ///
    /// # Errors
    /// As [`SstReader::get`]: the first that is met, for all of them.
    pub async fn get_many(&self, wanted: &[(&[u8], SeqNo)], keep: Keep) -> Result<Many> {
        debug_assert!(wanted.is_sorted_by_key(|&(key, seq)| (key, Reverse(seq))));
        let parts = self.parts(wanted).await?;
        let mut many = Many { entries: vec![None; wanted.len()], blocks: parts.len(), waited: 0 };
        let mut runs: Vec<Run> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let want = Want { level: self.data_level(), handle: part.handle, filter_len: 0 };
            if let Some(block) = self.ready(want) {
                self.take(part, block, wanted, &mut many.entries)?;
                continue;
            }
            let offset = part.handle.offset;
            let end = offset + u64::from(part.handle.len);
            match runs.last_mut() {
                Some(run)
                    if run.parts.end == at
                        && offset.checked_sub(run.end).is_some_and(|gap| gap <= GAP_LEN_MAX)
                        && end - run.offset <= RUN_LEN_MAX =>
                {
                    (run.parts.end, run.end) = (at + 1, end);
                }
                _ => runs.push(Run { parts: at..at + 1, offset, end }),
            }
        }
        let mut waiting = Vec::new();
        for run in &runs {
            let len = (run.end - run.offset) as usize;
            match self.file.read_ready(run.offset, len) {
                Some(bytes) if bytes.len() == len => {
                    self.cut(run, &bytes, &parts, wanted, keep, &mut many)?
                }
                _ => waiting.push(run),
            }
        }
        if waiting.len() > 1 {
            for run in &waiting {
                self.file.will_need(run.offset, (run.end - run.offset) as usize);
            }
        }
        for run in waiting {
            many.waited += 1;
            let bytes = read(&self.file, run.offset, (run.end - run.offset) as usize).await?;
            self.cut(run, &bytes, &parts, wanted, keep, &mut many)?;
        }
        Ok(many)
    }

    /// The data blocks to look into.
    async fn parts(&self, wanted: &[(&[u8], SeqNo)]) -> Result<Vec<Part>> {
        let mut walk = self.walk();
        let mut parts: Vec<Part> = Vec::new();
        for (i, &(key, seq)) in wanted.iter().enumerate() {
            if let Some(part) = parts.last_mut()
                && walk.leads_to_same(key, seq)
            {
                part.members.end = i + 1;
                continue;
            }
            let mut want = walk.seek(key, seq);
            while let Some(next) = want.map_err(|damage| damage.of(self.path()))? {
                if next.level == self.data_level() {
                    parts.push(Part { handle: next.handle, members: i..i + 1 });
                    break;
                }
                want = walk.supply(next, self.load(next).await?);
            }
        }
        Ok(parts)
    }

    /// Cuts a run into its blocks.
    fn cut(
        &self,
        run: &Run,
        bytes: &Bytes,
        parts: &[Part],
        wanted: &[(&[u8], SeqNo)],
        keep: Keep,
        many: &mut Many,
    ) -> Result<()> {
        for (at, part) in parts.iter().enumerate().take(run.parts.end).skip(run.parts.start) {
            let from = (part.handle.offset - run.offset) as usize;
            let block = self.open_block(&bytes.slice(from..from + part.handle.len as usize), part.handle)?;
            if keep == Keep::All || at + 1 == parts.len() {
                // Alone, so that the cache counts what it holds.
                let alone = run.parts.len() == 1;
                self.keep(
                    part.handle.offset,
                    &if alone { block.clone() } else { Bytes::copy_from_slice(&block) },
                );
            }
            self.take(part, block, wanted, &mut many.entries)?;
        }
        Ok(())
    }

    /// Takes entries out of their block.
    fn take(
        &self,
        part: &Part,
        block: Bytes,
        wanted: &[(&[u8], SeqNo)],
        entries: &mut [Option<Entry>],
    ) -> Result<()> {
        let error = |damage: Damage| damage.after(part.handle.offset).of(self.path());
        let mut cursor = BlockCursor::new(block).map_err(error)?;
        let range = part.members.clone();
        let wanted = wanted.get(range.clone()).unwrap_or_default();
        for (&(key, seq), place) in wanted.iter().zip(entries.get_mut(range).unwrap_or_default()) {
            // Mostly it is the next one, which is quicker than a search.
            if cursor.order_to(key, seq) != Some(Ordering::Equal) {
                cursor.next().map_err(error)?;
                if cursor.order_to(key, seq) != Some(Ordering::Equal) {
                    cursor.seek(key, seq).map_err(error)?;
                }
            }
            *place = cursor
                .entry()
                .filter(|entry| entry.key == key)
                .zip(cursor.value())
                .map(|(entry, value)| Entry { seq: entry.seq, kind: entry.kind, value });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
