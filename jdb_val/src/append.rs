//! Appending: batches become records in one buffer and one write; full segments are followed by new ones.
//!
//! Invariants
//! - While a write is under way no segment is active: when it fails, or its future is dropped, the next append begins a
//!   new segment whose header names the end before it, and nothing of it is ever part of the log.
//! - Once a header that names a segment's end may be on disk, nothing is appended to that segment.
//! - A sequence is given out once, also when its write fails.

use crate::error::{Error, Result};
use crate::layout::{FIRST_RECORD, SEGMENT_COUNT_MAX, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX};
use crate::log::{Segment, ValueLog};
use crate::pos::{LogPos, base_distance, synced_back};
use crate::reader::STEP_LEN;
use crate::record::{Fields, Op, RecordKind, encode, encode_header, record_len};
use crate::recycle::fill_block;
use crate::segment::{SegmentHeader, segment_seed};
use jdb_base::checksum::{Seed, crc32};
use jdb_base::key::{BATCH_COUNT_MAX, VALUE_LEN_MAX};
use jdb_base::pages::UNIT_LEN;
use jdb_base::{SeqNo, ValuePtr};
use jdb_io::observe;
use jdb_io::plant::{Plant, planted};
use jdb_io::task::{Turn, yield_now};
use jdb_io::{File, Held, Mode};

/// Longest batch in bytes as records: 3 GiB, 2 GiB of keys and values and what 1 Mi records take besides.
pub const BATCH_RECORDS_LEN_MAX: u64 = 3 << 30;
/// Capacity of the group buffer that is kept for the next append.
const BUFFER_KEPT: usize = 2 << 20;
/// How far the length of a segment's file goes beyond its records, in bytes: as far as they reach, within these.
const AHEAD_LEN_MIN: u64 = 64 << 10;
const AHEAD_LEN_MAX: u64 = 1 << 20;

/// The segment that records are appended to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    pub(crate) number: u32,
    pub(crate) offset: u32,
    pub(crate) records: u32,
    /// Length in bytes that its file has been given ahead of the records; 0 for none.
    pub(crate) file_len: u64,
    /// Up to here the file holds bytes of a segment that was collected; 0 for a file of its own.
    pub(crate) recycled_len: u64,
}

/// Where an operation went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Its sequence.
    pub seq: SeqNo,
    /// Its record; the length is that of its value.
    pub ptr: ValuePtr,
}

/// What one [`ValueLog::append`] did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Batches taken, from the front; call again with the rest.
    pub batches: usize,
    /// End of the log now.
    pub end: LogPos,
    /// One for each operation of these batches.
    pub placed: Vec<Placed>,
}

/// A write from its plan to its end, whatever that is: dropped before [`UnderWay::done`], it leaves the log as if it had
/// never begun.
pub(crate) struct UnderWay<'a> {
    log: &'a ValueLog,
    number: u32,
    is_new: bool,
    done: bool,
}

impl<'a> UnderWay<'a> {
    pub(crate) fn begin(log: &'a ValueLog, number: u32, is_new: bool) -> Self {
        log.state.borrow_mut().writing_to = (!is_new).then_some(number);
        Self { log, number, is_new, done: false }
    }

    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.log.state.borrow_mut();
        state.writing_to = None;
        if !self.done && self.is_new {
            state.given_up.push(self.number);
        }
    }
}

/// Everything that the next write needs, before it is made.
struct Plan<'a> {
    under_way: UnderWay<'a>,
    active: Active,
    file: File,
    header: Option<SegmentHeader>,
    base: Option<i64>,
    batches: usize,
    len: u64,
}

impl ValueLog {
    /// Appends whole batches, each all or nothing, as many as fit into the segment and at least one, in **one** write.
    ///
    /// A new segment is begun first when needed; `next_number` gives its number, which must be above every number given
    /// before. On success the records are in the page cache. Empty batches take no place.
    ///
    /// After an error none of these batches is in the log now; the next append begins a new segment that leaves them
    /// out. Only when power or process fail before that one is written may some of them, from the front, be found again.
    /// What a failed write left behind is removed again, as far as the disk lets: a new segment's file, and what lies behind
    /// the end of an old one. A dropped future is a failed write; the file it may leave behind is removed by the next append.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a key, value or batch over its limit, nothing is written then; the disk's;
    /// [`Error::NoNumber`] when `next_number` does not rise or gives [`u32::MAX`], so that there are none left, or
    /// [`Error::TooLarge`] when there are not enough sequences left, nothing is written then; [`Error::ReadOnly`];
    /// [`Error::Poisoned`].
    ///
    /// # Panics
    /// Before [`ValueLog::start_life`].
    pub async fn append(&self, batches: &[&[Op]], next_number: &mut dyn FnMut() -> u32) -> Result<Appended> {
        for batch in batches {
            check_limits(batch)?;
        }
        let _turn = self.begin_turn().await?;
        let Some(first) = batches.iter().position(|batch| !batch.is_empty()) else {
            return Ok(Appended { batches: batches.len(), end: self.written(), placed: Vec::new() });
        };
        self.check_seqs(batches.iter().map(|batch| batch.len() as u64).sum())?;
        let plan = self.plan(batches, first, next_number).await?;
        self.write(plan, batches).await
    }

    /// Appends a mark: a record that only says how far the log is synced. For after the last sync of a burst, so that
    /// later damage there is told from a torn tail. Returns whether one was written.
    ///
    /// Nothing is written when not everything is synced, when a mark is the last record already, or when it would need a
    /// new segment.
    ///
    /// # Errors
    /// Those of [`ValueLog::append`].
    pub async fn mark(&self) -> Result<bool> {
        let _turn = self.begin_turn().await?;
        let mark = [mark_op()];
        let ready = {
            let state = self.state.borrow();
            let all_synced = state.written == state.synced && state.last_given() <= state.seq_floor;
            all_synced
                && state.next_seq.is_some()
                && !state.marked
                && !self.needs_segment(state.active, &mark)
        };
        if !ready {
            return Ok(false);
        }
        self.check_seqs(1)?;
        let plan = self.plan(&[&mark], 0, &mut || 0).await?;
        self.write(plan, &[&mark]).await?;
        Ok(true)
    }

    /// Closes the open segment and begins the next one with a mark. Replay can start behind it, and then nothing wants the closed segment for its place in the log any more.
    ///
    /// Dropped or failed, it leaves the old segment closed, as a failed append does.
    ///
    /// # Errors
    /// Those of [`ValueLog::append`].
    ///
    /// # Panics
    /// Before [`ValueLog::start_life`].
    pub async fn turn_over(&self, next_number: &mut dyn FnMut() -> u32) -> Result<Appended> {
        let _turn = self.begin_turn().await?;
        self.check_seqs(1)?;
        let active = self.state.borrow_mut().active.take();
        self.cut_to_end(active).await;
        let mark = [mark_op()];
        let plan = self.plan(&[&mark], 0, next_number).await?;
        self.write(plan, &[&mark]).await
    }

    async fn begin_turn(&self) -> Result<Turn<'_>> {
        let turn = self.writing.take().await;
        // A seal during a write that failed or was given up has been obeyed: no segment is open.
        self.state.borrow_mut().seal_behind = false;
        self.check_alive()?;
        Ok(turn)
    }

    /// Closes the open segment: the next append begins a new one.
    ///
    /// A write that is under way still goes to its segment, which is then closed behind it.
    pub fn seal(&self) {
        let mut state = self.state.borrow_mut();
        state.active = None;
        state.seal_behind = self.writing.is_busy();
    }

    /// Closes the open segment when no write is under way, and gives the end of the log: what is appended later goes to other
    /// files. Dropping the future leaves the segment closed or open, nothing in between.
    pub async fn seal_now(&self) -> LogPos {
        let _turn = self.writing.take().await;
        let active = self.state.borrow_mut().active.take();
        self.cut_to_end(active).await;
        let mut state = self.state.borrow_mut();
        state.active = None;
        state.seal_behind = false;
        state.written
    }

    fn needs_segment(&self, active: Option<Active>, batch: &[Op]) -> bool {
        active.is_none_or(|active| active.records > 0 && !self.fits(active, batch_len(batch), batch.len()))
    }

    fn fits(&self, active: Active, len: u64, count: usize) -> bool {
        let end = LogPos::new(0, active.offset).byte_offset() + len;
        let records = count as u64 + u64::from(active.records);
        end <= self.segment_len().min(SEGMENT_LEN_MAX) && records <= u64::from(SEGMENT_COUNT_MAX)
    }

    /// Chooses the batches and their segment, which is created when it is new. `first` is the first that is not empty.
    async fn plan(
        &self,
        batches: &[&[Op]],
        first: usize,
        next_number: &mut dyn FnMut() -> u32,
    ) -> Result<Plan<'_>> {
        self.remove_given_up().await;
        // Taken out: whatever happens from here to the end of the write, nothing more goes to this place.
        let before = self.state.borrow_mut().active.take();
        let first_batch = batches.get(first).copied().unwrap_or_default();
        let (under_way, active, header, file) =
            match before.filter(|_| !self.needs_segment(before, first_batch)) {
                Some(active) => {
                    let under_way = UnderWay::begin(self, active.number, false);
                    let file = self.state.borrow().segments.get(&active.number).and_then(|s| s.file.clone());
                    (under_way, active, None, file)
                }
                None => {
                    let number = next_number();
                    let header = self.next_header(number).inspect_err(|_| {
                        // Nothing names this segment's end: what fits may still go there.
                        self.state.borrow_mut().active = before;
                    })?;
                    let (under_way, file, recycled_len) = match self.reuse(number).await {
                        Some(reused) => reused,
                        None => {
                            let opened = self.disk.open(&self.path(number), Mode::CreateNew).await;
                            let file =
                                opened.inspect_err(|_| self.state.borrow_mut().stats.writes_failed += 1)?;
                            if self.config.lengthen {
                                file.expect_appends();
                            }
                            (UnderWay::begin(self, number, true), file, 0)
                        }
                    };
                    let (offset, file_len) = (FIRST_RECORD, recycled_len);
                    let active = Active { number, offset, records: 0, file_len, recycled_len };
                    (under_way, active, Some(header), Some(file))
                }
            };
        if header.is_some() {
            self.cut_to_end(before).await;
        }
        let file = match file {
            Some(file) => file,
            None => self.disk.open(&self.path(active.number), Mode::ReadWrite).await?,
        };
        let mut plan = Plan { under_way, active, file, header, base: None, batches: 0, len: 0 };
        let mut filled = active;
        for (i, batch) in batches.iter().enumerate() {
            let len = batch_len(batch);
            if i > first && !batch.is_empty() && !self.fits(filled, len, batch.len()) {
                break;
            }
            filled.offset += (len / UNIT_LEN) as u32;
            filled.records += batch.len() as u32;
            (plan.batches, plan.len) = (i + 1, plan.len + len);
        }
        let state = self.state.borrow();
        plan.base = match &plan.header {
            None => base_distance(&state.links, active.number, state.claimed),
            Some(header) => {
                let mut links = state.links.clone();
                links.insert(header.number, header.pred);
                base_distance(&links, active.number, state.claimed)
            }
        };
        Ok(plan)
    }

    /// In tests: who wants to know the order of commits hears of it before it is written.
    fn tell_observer<'a>(&self, batches: impl Iterator<Item = &'a &'a [Op]>, placed: &[Placed]) {
        if !observe::is_observed() {
            return;
        }
        let mut placed = placed;
        for batch in batches {
            let Some((these, rest)) = placed.split_at_checked(batch.len()) else { break };
            placed = rest;
            let Some(first) = these.first() else { continue };
            let ops: Vec<_> = batch.iter().map(|op| (op.kind as u8, &op.key[..], &op.value[..])).collect();
            observe::observed(&observe::Observed {
                shard: self.config.shard,
                first_seq: first.seq.get(),
                ops: &ops,
            });
        }
    }

    /// The header of a new segment, whose number is used up from here on.
    fn next_header(&self, number: u32) -> Result<SegmentHeader> {
        let mut state = self.state.borrow_mut();
        let newest = state.segments.keys().next_back().copied().unwrap_or(0);
        let newest = newest.max(state.written.segment).max(state.last_number);
        if number <= newest || number == u32::MAX {
            return Err(Error::NoNumber { path: self.config.dir.clone(), number, newest });
        }
        state.last_number = number;
        let (pred, pred_last_seq) = (state.written, state.last_seq);
        Ok(SegmentHeader { shard: self.config.shard, number, pred, pred_last_seq, features_compatible: 0 })
    }

    /// Writes what was planned and makes it part of the log.
    async fn write(&self, plan: Plan<'_>, batches: &[&[Op]]) -> Result<Appended> {
        let Plan { under_way, mut active, file, header, base, batches: taken, len } = plan;
        let seed = segment_seed(&self.config.secret, self.config.shard, active.number);
        let mut buffer = self.config.buffer.take();
        buffer.clear();
        buffer.reserve(usize::try_from(len).unwrap_or(usize::MAX) + SEGMENT_HEADER_LEN);
        let mut file_offset = LogPos::new(0, active.offset).byte_offset();
        if let Some(header) = &header {
            buffer.extend_from_slice(&header.encode(seed));
            file_offset = 0;
        }
        let ops = batches.iter().take(taken).copied();
        let placed = self.encode_batches(&mut buffer, seed, active.number, file_offset, base, ops).await;
        let filled_len = buffer.len() as u64;
        self.tell_observer(batches.iter().take(taken), &placed);
        active.file_len = self.lengthen(&file, active.file_len, file_offset + filled_len).await;
        fill_block(&mut buffer, file_offset, active.recycled_len);
        let (result, buffer) = file.write_at(file_offset, buffer).await;
        // Another shard may have put one back meanwhile.
        let kept = self.config.buffer.borrow().capacity();
        if (kept..=BUFFER_KEPT).contains(&buffer.capacity()) {
            self.config.buffer.replace(buffer);
        }
        let end = LogPos::new(active.number, ((file_offset + filled_len) / UNIT_LEN) as u32);
        if let Err(error) = result {
            self.state.borrow_mut().stats.writes_failed += 1;
            if planted(Plant::AppendAfterFailedWrite) && header.is_none() {
                self.state.borrow_mut().active = Some(Active { offset: end.offset, ..active });
            } else if header.is_none() {
                // Best effort: what was written of it is not part of the log, its room may be needed.
                drop(file.set_len(LogPos::new(0, active.offset).byte_offset()).await);
            }
            drop((under_way, file));
            self.remove_given_up().await;
            return Err(error.into());
        }
        under_way.done();
        let mut state = self.state.borrow_mut();
        let count = placed.len() as u32;
        let (first, last) =
            (placed.first().map(|p| p.seq), placed.last().map(|p| p.seq).unwrap_or(state.last_seq));
        if let Some(header) = header {
            state.links.insert(header.number, header.pred);
            state.stats.segments_begun += 1;
            let seq_min = first.unwrap_or(last);
            let segment = Segment {
                seed,
                end: end.offset,
                pred: header.pred,
                pred_last_seq: header.pred_last_seq,
                seq_min,
                seq_max: last,
                file: Some(file),
                read_from: Held::new(&self.config.handles),
                named: active.recycled_len > 0 && planted(Plant::RecycledNameUnsynced),
            };
            state.segments.insert(header.number, segment);
        } else if let Some(segment) = state.segments.get_mut(&active.number) {
            (segment.end, segment.seq_max) = (end.offset, last);
            segment.file.get_or_insert(file);
        }
        let filled = Active { offset: end.offset, records: active.records + count, ..active };
        state.active = (!std::mem::take(&mut state.seal_behind)).then_some(filled);
        state.written = end;
        state.last_seq = last;
        state.marked =
            batches.first().is_some_and(|batch| matches!(batch, [Op { kind: RecordKind::Mark, .. }]));
        state.stats.writes += 1;
        state.stats.records += u64::from(count);
        state.stats.appended_len += filled_len;
        Ok(Appended { batches: taken, end, placed })
    }

    /// Gives a segment's file a length beyond `end`, so that the syncs of the next writes find it as it is and the file system
    /// has nothing to note but the data; returns the length. Best effort: the write itself makes the file longer, too.
    async fn lengthen(&self, file: &File, file_len: u64, end: u64) -> u64 {
        let max = self.segment_len().min(SEGMENT_LEN_MAX);
        let ahead = end.clamp(AHEAD_LEN_MIN.min(max / 8), AHEAD_LEN_MAX);
        let wanted = (end + ahead).min(max);
        if !self.config.lengthen || end <= file_len || wanted <= end {
            return file_len;
        }
        match file.set_len(wanted).await {
            Ok(()) => wanted,
            // Not again in this segment.
            Err(_) => u64::MAX,
        }
    }

    /// Takes back what [`ValueLog::lengthen`] has given a segment that nothing is appended to any more. Best effort: what lies
    /// behind a segment's end does not exist.
    async fn cut_to_end(&self, active: Option<Active>) {
        let Some(Active { number, offset, file_len, .. }) = active.filter(|active| active.file_len > 0)
        else {
            return;
        };
        let end = LogPos::new(number, offset).byte_offset();
        let file = self.state.borrow().segments.get(&number).and_then(|segment| segment.file.clone());
        if let Some(file) = file.filter(|_| file_len > end) {
            drop(file.set_len(end).await);
        }
    }

    /// Removes the files of new segments that did not become part of the log. Best effort: no header ever names them.
    async fn remove_given_up(&self) {
        loop {
            let Some(number) = self.state.borrow_mut().given_up.pop() else { return };
            drop(self.disk.remove(&self.path(number)).await);
        }
    }

    /// Turns batches into records behind what `buffer` holds; it will be written at byte `file_offset`.
    async fn encode_batches<'a>(
        &self,
        buffer: &mut Vec<u8>,
        seed: Seed,
        segment: u32,
        file_offset: u64,
        base: Option<i64>,
        batches: impl Iterator<Item = &'a [Op]> + Clone,
    ) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(batches.clone().map(<[Op]>::len).sum());
        for batch in batches {
            for (left, op) in (0..batch.len() as u32).rev().zip(batch) {
                let at = file_offset + buffer.len() as u64;
                let offset = (at / UNIT_LEN) as u32;
                let seq = self.take_seq();
                let fields =
                    Fields { kind: op.kind, ops_left: left, seq, synced_back: synced_back(base, offset) };
                if op.value.len() <= STEP_LEN {
                    encode(buffer, seed, at, fields, &op.key, &op.value);
                } else {
                    encode_in_steps(buffer, seed, at, fields, op).await;
                }
                placed.push(Placed { seq, ptr: ValuePtr { segment, offset, len: op.value.len() as u32 } });
            }
        }
        placed
    }

    /// Whether this many sequences are left: [`SeqNo::MAX`] is never given out.
    fn check_seqs(&self, count: u64) -> Result<()> {
        let next = self.state.borrow().next_seq.expect("start_life comes before the first append").get();
        let (len, max) = (next.saturating_add(count), SeqNo::MAX.get());
        if len >= max { Err(Error::TooLarge { what: "sequence", len, max }) } else { Ok(()) }
    }

    fn take_seq(&self) -> SeqNo {
        let mut state = self.state.borrow_mut();
        let seq = state.next_seq.expect("start_life comes before the first append");
        state.next_seq = Some(seq.plus(1));
        seq
    }
}

fn mark_op() -> Op {
    Op { kind: RecordKind::Mark, key: Vec::new(), value: bytes::Bytes::new() }
}

/// Bytes that a batch takes in the log.
fn batch_len(batch: &[Op]) -> u64 {
    batch.iter().map(|op| record_len(op.key.len(), op.value.len())).sum()
}

fn check_limits(batch: &[Op]) -> Result<()> {
    let check =
        |what, len: u64, max: u64| if len > max { Err(Error::TooLarge { what, len, max }) } else { Ok(()) };
    check("batch operations", batch.len() as u64, BATCH_COUNT_MAX as u64)?;
    for op in batch {
        check("key length", op.key.len() as u64, u64::from(u16::MAX))?;
        check("value length", op.value.len() as u64, VALUE_LEN_MAX as u64)?;
    }
    check("batch length", batch_len(batch), BATCH_RECORDS_LEN_MAX)
}

/// [`encode`] for a long value: other tasks get a turn after each step.
async fn encode_in_steps(buffer: &mut Vec<u8>, seed: Seed, at: u64, fields: Fields, op: &Op) {
    let begin = buffer.len();
    // The checksum of header and key, from which that of the value goes on.
    let mut header = encode_header(seed, at, fields, &op.key, op.value.len());
    let [a, b, c, d, ..] = header;
    let mut sum = u32::from_le_bytes([a, b, c, d]);
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(&op.key);
    for step in op.value.chunks(STEP_LEN) {
        sum = crc32(sum, &[step]);
        buffer.extend_from_slice(step);
        yield_now().await;
    }
    buffer.resize(begin + record_len(op.key.len(), op.value.len()) as usize, 0);
    let (crc, _) = header.split_at_mut(4);
    crc.copy_from_slice(&sum.to_le_bytes());
    if let Some(place) = buffer.get_mut(begin..begin + header.len()) {
        place.copy_from_slice(&header);
    }
}
