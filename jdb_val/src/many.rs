//! Many values at once: neighbours in one read, and the device busy with what is not in memory before anybody waits.
//!
//! ```text
//! wanted -> sorted by place -> runs of neighbours -> in memory? cut into values
//!                                                    else: hinted ahead, then awaited in order
//!                                                    (no hints here: that many reads at once)
//! ```
//!
//! Why hints: measured here, 256 ranges announced with `WILLNEED` and then read in order came to twice the values a second of 32
//! reads in flight, at two thirds of the processor time.

use crate::error::Result;
use crate::handles::Wanted;
use crate::log::ValueLog;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use jdb_io::File;
use std::collections::VecDeque;
use std::ops::Range;

/// Most bytes that lie between two records of one read.
const GAP_LEN_MAX: u64 = 4 << 10;
/// Longest run of several records, in bytes.
const RUN_LEN_MAX: u64 = 64 << 10;

/// The values of [`ValueLog::read_many`].
#[derive(Debug)]
pub struct Many {
    /// One for each that was wanted, in that order.
    pub values: Vec<Result<Bytes>>,
    /// Reads made: fewer than values when neighbours were wanted.
    pub reads: usize,
    /// Of these, reads of bytes that were not in memory.
    pub waited: usize,
}

/// Neighbours: a part of the sorted order, and the bytes that they span.
#[derive(Clone, Debug)]
struct Run {
    members: Range<usize>,
    segment: u32,
    offset: u64,
    end: u64,
}

impl Run {
    fn len(&self) -> usize {
        usize::try_from(self.end - self.offset).unwrap_or(usize::MAX)
    }
}

impl ValueLog {
    /// The values of many puts, each verified as [`ValueLog::read`] does it and with an error of its own.
    ///
    /// At most `depth` reads are under way at once; what is in memory is read without suspending. Records whose gap is at most
    /// 4 KiB are read together, up to 64 KiB: such values share one buffer, which lives as long as any of them.
    pub async fn read_many(&self, wanted: &[Wanted<'_>], depth: usize) -> Many {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        let place = |&i: &usize| wanted.get(i).map(|w| (w.ptr.segment, w.ptr.offset));
        if !order.is_sorted_by_key(place) {
            order.sort_unstable_by_key(place);
        }
        let mut values: Vec<Option<Result<Bytes>>> = wanted.iter().map(|_| None).collect();
        let runs = self.runs(wanted, &order, &mut values);
        let (mut waited, depth) = (0, depth.max(1));
        let mut hinted: VecDeque<(&Run, File)> = VecDeque::new();
        let mut in_flight = FuturesUnordered::new();
        for run in &runs {
            // A file that cannot be opened, bytes that cannot be read: each value asks again, and has its own error.
            let Ok(file) = self.file_of(run.segment).await else { continue };
            if let Some(bytes) = file.read_ready(run.offset, run.len()) {
                self.cut(wanted, &order, run, &bytes, &mut values).await;
                continue;
            }
            waited += 1;
            if file.will_need(run.offset, run.len()) {
                hinted.push_back((run, file));
                if hinted.len() >= depth
                    && let Some((run, file)) = hinted.pop_front()
                    && let Ok(bytes) = file.read_at(run.offset, run.len()).await
                {
                    self.cut(wanted, &order, run, &bytes, &mut values).await;
                }
            } else {
                in_flight.push(async move { (run, file.read_at(run.offset, run.len()).await) });
                if in_flight.len() >= depth
                    && let Some((run, Ok(bytes))) = in_flight.next().await
                {
                    self.cut(wanted, &order, run, &bytes, &mut values).await;
                }
            }
        }
        for (run, file) in hinted {
            if let Ok(bytes) = file.read_at(run.offset, run.len()).await {
                self.cut(wanted, &order, run, &bytes, &mut values).await;
            }
        }
        while let Some((run, bytes)) = in_flight.next().await {
            if let Ok(bytes) = bytes {
                self.cut(wanted, &order, run, &bytes, &mut values).await;
            }
        }
        drop(in_flight);
        let reads = runs.len();
        let mut all = Vec::with_capacity(wanted.len());
        for (value, wanted) in values.into_iter().zip(wanted) {
            all.push(match value {
                Some(value) => value,
                None => self.read(wanted.ptr, wanted.key, wanted.seq).await,
            });
        }
        Many { values: all, reads, waited }
    }

    /// Groups what is wanted, which is visited in `order`, into runs; what cannot lie where it should gets its error.
    fn runs(&self, wanted: &[Wanted<'_>], order: &[usize], values: &mut [Option<Result<Bytes>>]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, &i) in order.iter().enumerate() {
            let (Some(one), Some(value)) = (wanted.get(i), values.get_mut(i)) else { continue };
            if let Err(error) = self.check_place(one) {
                *value = Some(Err(error));
                continue;
            }
            if let Some(run) = runs.last_mut()
                && run.segment == one.ptr.segment
                && run.members.end == at
                && one.offset() <= run.end.saturating_add(GAP_LEN_MAX)
                && one.end() - run.offset <= RUN_LEN_MAX
            {
                run.members.end = at + 1;
                run.end = run.end.max(one.end());
            } else {
                let (segment, offset, end) = (one.ptr.segment, one.offset(), one.end());
                runs.push(Run { members: at..at + 1, segment, offset, end });
            }
        }
        runs
    }

    /// Cuts the values of a run out of its bytes.
    async fn cut(
        &self,
        wanted: &[Wanted<'_>],
        order: &[usize],
        run: &Run,
        bytes: &Bytes,
        values: &mut [Option<Result<Bytes>>],
    ) {
        for &i in order.get(run.members.clone()).unwrap_or_default() {
            let (Some(one), Some(value)) = (wanted.get(i), values.get_mut(i)) else { continue };
            let from = usize::try_from(one.offset() - run.offset).unwrap_or(usize::MAX).min(bytes.len());
            let to = usize::try_from(one.end() - run.offset).unwrap_or(usize::MAX).min(bytes.len());
            *value = Some(self.value_in(one, bytes.slice(from..to)).await);
        }
    }
}
