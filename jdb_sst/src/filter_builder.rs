//! Builds filter blocks, in steps that are short enough for a thread that has other work.
//!
//! Building never makes a table wrong: a filter that cannot be built, or that misses one of its own keys, is left out.
//!
//! Format: docs/format/sst.md.

use crate::filter::{FilterBlock, Shape, encode, filter_hash};
use crate::layout::{FILTER_KEYS_MAX, FILTER_KEYS_MIN};
use jdb_io::plant::{Plant, planted};
use jdb_xorf::Bf8;

/// Collects keys and builds a filter block from them. The table builder uses it by itself; alone it serves tests,
/// benchmarks and other containers.
///
/// ```
/// use jdb_sst::{FilterBlock, FilterBuilder, filter_hash};
///
/// let mut builder = FilterBuilder::new(7);
/// (0..1000u32).for_each(|i| builder.add(&i.to_be_bytes()));
/// let mut bytes = Vec::new();
/// assert!(builder.finish(&mut bytes));
/// let filter = FilterBlock::parse(&bytes).unwrap().unwrap();
/// assert!(filter.may_contain(filter_hash(&8u32.to_be_bytes(), 7)));
/// ```
#[derive(Debug)]
pub struct FilterBuilder {
    salt: u64,
    hashes: Vec<u64>,
}

impl FilterBuilder {
    /// No keys yet.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        Self { salt, hashes: Vec::new() }
    }

    /// Adds a key; the same one twice does no harm.
    pub fn add(&mut self, key: &[u8]) {
        self.hashes.push(filter_hash(key, self.salt));
    }

    /// Appends the filter block, without trailer, to `out`, and forgets the keys. `false`, and nothing is appended: fewer than
    /// 64 distinct keys, more than 8192, or no filter found for them.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let mut job = FilterJob::new(std::mem::take(&mut self.hashes), 0);
        while job.step() {}
        out.extend_from_slice(&job.body);
        !job.body.is_empty()
    }
}

/// A filter block in the making.
#[derive(Debug)]
pub(crate) struct FilterJob {
    hashes: Vec<u64>,
    flags: u8,
    stage: Stage,
    /// The block without trailer, once the job is done; empty for no filter.
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Sort,
    Build,
    Check,
    Done,
}

impl FilterJob {
    pub(crate) fn new(hashes: Vec<u64>, flags: u8) -> Self {
        Self { hashes, flags, stage: Stage::Sort, body: Vec::new() }
    }

    /// Does one step, for 4 Ki hashes at most some 200 us; `true` while more are to be done.
    pub(crate) fn step(&mut self) -> bool {
        self.stage = match self.stage {
            Stage::Sort => {
                self.hashes.sort_unstable();
                if !planted(Plant::FilterBeforeDedup) {
                    self.hashes.dedup();
                }
                let fits = (FILTER_KEYS_MIN..=FILTER_KEYS_MAX).contains(&self.hashes.len());
                if fits { Stage::Build } else { Stage::Done }
            }
            Stage::Build => match Bf8::try_from_slice(&self.hashes) {
                Ok(built) => {
                    let desc = built.desc;
                    let shape =
                        Shape { seed: desc.seed, segment_len: desc.seg_len, spread_len: desc.seg_count_len };
                    encode(&mut self.body, self.flags, self.hashes.len() as u32, shape, &built.fingerprints);
                    Stage::Check
                }
                Err(_) => Stage::Done,
            },
            Stage::Check | Stage::Done => {
                let filter = FilterBlock::parse(&self.body).ok().flatten();
                let whole = filter.is_some_and(|f| self.hashes.iter().all(|&hash| f.may_contain(hash)));
                if !whole {
                    self.body.clear();
                }
                Stage::Done
            }
        };
        self.stage != Stage::Done
    }

    /// The buffers, to be used again.
    pub(crate) fn into_hashes(self) -> Vec<u64> {
        self.hashes
    }
}
