//! Recovery: where the log ends, and whether that end is a torn tail or damage.
//!
//! From the replay position on segments form a chain by their headers. A segment is followed by the largest-numbered one
//! that names it as predecessor **and** names an end that was reached; that end is its true end. The log ends at the
//! first place without a whole, rising batch. That is a torn tail unless something proves that the place was synced
//! ([`crate::proof`]); then it is damage.
//!
//! Invariants
//! - Nothing is written here; what is found is made durable by [`crate::tail`].
//! - A batch is applied only when no successor can cut it off.
//!
//! Format: docs/format/value_log.md.

use crate::error::{Error, Result};
use crate::layout::{FIRST_RECORD, SEGMENT_HEADER_LEN};
use crate::log::{Checkpoint, LogConfig, Recovery};
use crate::pos::{Claim, Links, LogPos, resolve};
use crate::proof;
use crate::reader::BatchScan;
use crate::record::Record;
use crate::segment::{SegmentHeader, parse_any_name, parse_segment_name, segment_path, segment_seed};
use crate::stretch::Stretches;
use jdb_base::SeqNo;
use jdb_base::pages::UNIT_LEN;
use jdb_io::plant::{Plant, planted};
use jdb_io::{Disk, EntryKind, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Called with every record of every whole batch.
pub(crate) type Apply<'a> = dyn FnMut(&Record<'_>) + 'a;

/// A segment of the recovered chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) end: u32,
    pub(crate) pred: LogPos,
    pub(crate) pred_last_seq: SeqNo,
    pub(crate) seq_max: SeqNo,
}

/// What recovery found.
pub(crate) struct Found {
    pub(crate) chain: Vec<Link>,
    /// What verified, by segment.
    pub(crate) stretches: BTreeMap<u32, Rc<Stretches>>,
    pub(crate) end: LogPos,
    /// Everything before this place is durable: the highest one that the checkpoint or a record of the chain proves.
    pub(crate) proven: LogPos,
    pub(crate) last_seq: SeqNo,
    pub(crate) records: u64,
    pub(crate) replayed_len: u64,
    pub(crate) torn: bool,
    pub(crate) max_number: u32,
    pub(crate) dead: Vec<u32>,
    pub(crate) damage: Option<Error>,
}

/// What is in the directory.
pub(crate) struct Files {
    /// Lengths of the segment files, in bytes.
    pub(crate) segments: BTreeMap<u32, u64>,
    /// Largest number of any of our files.
    pub(crate) max_number: u32,
}

/// The largest-numbered segment that names an end as its predecessor's.
type Successors = BTreeMap<LogPos, u32>;

/// A successor that a header offers, and the log's last sequence at the end it names, once that was reached.
struct Candidate {
    number: u32,
    reached: Option<SeqNo>,
}

/// Finds the end of the log and applies what lies before it.
pub(crate) async fn recover(
    disk: &Disk,
    config: &LogConfig,
    checkpoint: &Checkpoint,
    apply: &mut Apply<'_>,
) -> Result<Found> {
    let files = list(disk, config).await?;
    let headers = read_headers(disk, config, &files, checkpoint.replay_from.segment).await?;
    // Ascending numbers: of those that name the same end, the last one stays.
    let successors = headers.iter().map(|(&number, header)| (header.pred, number)).collect();
    let links = headers.iter().map(|(&number, header)| (number, header.pred)).collect();
    let mut walk = Walk {
        disk,
        config,
        checkpoint,
        files: &files,
        headers: &headers,
        successors,
        links,
        damage: None,
        proven: checkpoint.replay_from,
        claim_base: None,
        stretches: BTreeMap::new(),
        records: 0,
        len: 0,
    };
    walk.check_sealed()?;
    let (chain, end, last_seq) = walk.chain(apply).await?;
    walk.check_end(&chain, end).await?;
    let Walk { damage, proven, stretches, records, len, .. } = walk;
    let alive: BTreeSet<u32> = chain.iter().map(|link| link.number).collect();
    let dead: Vec<u32> = files
        .segments
        .range(checkpoint.replay_from.segment..)
        .map(|(&number, _)| number)
        .filter(|number| !alive.contains(number))
        .filter(|number| !checkpoint.sealed.contains_key(number))
        .collect();
    let sealed = checkpoint.sealed.contains_key(&end.segment);
    let behind = files.segments.get(&end.segment).is_some_and(|&len| len > end.byte_offset()) && !sealed;
    let torn = behind || dead.iter().any(|&number| number > end.segment);
    let max_number = files.max_number;
    Ok(Found {
        chain,
        stretches,
        end,
        proven,
        last_seq,
        records,
        replayed_len: len,
        torn,
        max_number,
        dead,
        damage,
    })
}

async fn list(disk: &Disk, config: &LogConfig) -> Result<Files> {
    let mut files = Files { segments: BTreeMap::new(), max_number: 0 };
    for entry in disk.list(&config.dir).await? {
        // Whatever it is that has a name of ours: a new file must not meet it.
        files.max_number = files.max_number.max(parse_any_name(&entry.name).unwrap_or(0));
        if entry.kind != EntryKind::File {
            continue;
        }
        if let Some(number) = parse_segment_name(&entry.name) {
            files.segments.insert(number, entry.len);
        }
    }
    Ok(files)
}

/// The headers that verify, from segment `first` on.
async fn read_headers(
    disk: &Disk,
    config: &LogConfig,
    files: &Files,
    first: u32,
) -> Result<BTreeMap<u32, SegmentHeader>> {
    let mut headers = BTreeMap::new();
    for (&number, _) in files.segments.range(first..) {
        let path = segment_path(&config.dir, number);
        let bytes = disk.open(&path, Mode::Read).await?.read_at(0, SEGMENT_HEADER_LEN).await?;
        let seed = segment_seed(&config.secret, config.shard, number);
        match SegmentHeader::decode(&bytes, seed, config.shard, number) {
            Ok(header) => {
                headers.insert(number, header);
            }
            Err(fault) => {
                let error = fault.in_file(&path);
                if !error.is_damage() {
                    return Err(error);
                }
            }
        }
    }
    Ok(headers)
}

struct Walk<'a> {
    disk: &'a Disk,
    config: &'a LogConfig,
    checkpoint: &'a Checkpoint,
    files: &'a Files,
    headers: &'a BTreeMap<u32, SegmentHeader>,
    successors: Successors,
    links: Links,
    damage: Option<Error>,
    proven: LogPos,
    /// Segment, and distance back less the record's offset, of the claim that was looked at last.
    claim_base: Option<(u32, i64)>,
    stretches: BTreeMap<u32, Rc<Stretches>>,
    records: u64,
    len: u64,
}

impl Walk<'_> {
    /// An error, or with [`Recovery::TruncateAtDamage`] a note of it.
    fn damaged(&mut self, error: Error) -> Result<()> {
        if self.config.recovery == Recovery::Strict {
            return Err(error);
        }
        self.damage.get_or_insert(error);
        Ok(())
    }

    fn corrupt(&self, number: u32, what: &'static str, offset: u64, expected: u64, found: u64) -> Error {
        Error::Corrupt { path: segment_path(&self.config.dir, number), what, offset, expected, found }
    }

    /// What the MANIFEST names was synced: it must be there, as long as it was.
    fn check_sealed(&mut self) -> Result<()> {
        let from = self.checkpoint.replay_from;
        let sealed = self.checkpoint.sealed.iter().map(|(&number, sealed)| LogPos::new(number, sealed.end));
        for pos in sealed.chain((from.segment != 0).then_some(from)) {
            match self.files.segments.get(&pos.segment) {
                None => {
                    let path = segment_path(&self.config.dir, pos.segment);
                    self.damaged(Error::Missing { path, what: "segment that the checkpoint names" })?;
                }
                Some(&len) if len < pos.byte_offset() => {
                    let what = "length of a segment that the checkpoint names";
                    self.damaged(self.corrupt(pos.segment, what, len, pos.byte_offset(), len))?;
                }
                Some(_) => {}
            }
        }
        if from.segment != 0
            && self.files.segments.contains_key(&from.segment)
            && self.header(from.segment).is_none()
        {
            let what = "header of the segment that replay starts in";
            self.damaged(self.corrupt(from.segment, what, 0, from.byte_offset(), 0))?;
        }
        Ok(())
    }

    fn header(&self, number: u32) -> Option<&SegmentHeader> {
        self.headers.get(&number)
    }

    /// Goes from the replay position to the end of the log.
    async fn chain(&mut self, apply: &mut Apply<'_>) -> Result<(Vec<Link>, LogPos, SeqNo)> {
        let mut chain = Vec::new();
        let mut from = self.checkpoint.replay_from;
        let mut last = self.checkpoint.last_seq;
        loop {
            let (end, next) = self.segment(from, &mut last, apply).await?;
            if let Some(header) = self.header(from.segment) {
                let (pred, pred_last_seq) = (header.pred, header.pred_last_seq);
                chain.push(Link {
                    number: from.segment,
                    end: end.offset,
                    pred,
                    pred_last_seq,
                    seq_max: last,
                });
            }
            let Some(next) = next else { return Ok((chain, end, last)) };
            if let Some(header) = self.header(next) {
                last = last.max(header.pred_last_seq);
            }
            from = LogPos::new(next, FIRST_RECORD);
        }
    }

    /// Applies one segment from `from` to its true end; gives that end and the segment that follows.
    async fn segment(
        &mut self,
        from: LogPos,
        last: &mut SeqNo,
        apply: &mut Apply<'_>,
    ) -> Result<(LogPos, Option<u32>)> {
        let sealed = self.checkpoint.sealed.get(&from.segment).map(|sealed| sealed.end);
        let lowest = if planted(Plant::AnySuccessor) { 0 } else { from.offset };
        let named = LogPos::new(from.segment, lowest)..=LogPos::new(from.segment, u32::MAX);
        // By the end that they name, so that a batch costs one look whatever their number.
        let mut candidates: BTreeMap<u32, Candidate> = self
            .successors
            .range(named)
            .filter(|(pred, _)| sealed.is_none_or(|end| end == pred.offset))
            .map(|(pred, &number)| (pred.offset, Candidate { number, reached: None }))
            .collect();
        let reach = |candidates: &mut BTreeMap<u32, Candidate>, end: u32, last: SeqNo| {
            if let Some(candidate) = candidates.get_mut(&end) {
                candidate.reached = Some(last);
            }
        };
        reach(&mut candidates, from.offset, *last);
        // No successor cuts off what lies before the smallest end named.
        let sure = candidates.keys().next().copied().unwrap_or(u32::MAX);
        let sure = if planted(Plant::IgnoreTrueEnd) { u32::MAX } else { sure };
        let start = *last;
        let mut natural = from;
        let mut natural_last = *last;
        let mut applied = (from.offset, *last);
        if let Some(scan) = self.scan(from, sealed, start).await? {
            let mut scan = scan.remembering();
            while scan.next().await? {
                natural.offset = scan.end_units();
                natural_last = scan.last_seq();
                reach(&mut candidates, natural.offset, natural_last);
                if natural.offset <= sure {
                    self.apply(&scan, applied.0, apply);
                    applied = (natural.offset, natural_last);
                }
            }
            self.stretches.insert(from.segment, Rc::new(scan.into_stretches()));
        }
        if let Some(end) = sealed.filter(|&end| end != natural.offset) {
            let what = "end of a segment that the checkpoint names as sealed";
            let (expected, found) = (LogPos::new(0, end).byte_offset(), natural.byte_offset());
            self.damaged(self.corrupt(from.segment, what, found, expected, found))?;
        }
        candidates.retain(|_, next| next.reached.is_some() || planted(Plant::AnySuccessor));
        let next = candidates.into_iter().max_by_key(|(_, next)| next.number);
        let mut end = natural;
        *last = natural_last;
        if let Some((pred_end, next)) = next.as_ref().filter(|_| !planted(Plant::IgnoreTrueEnd)) {
            end.offset = natural.offset.min(*pred_end);
            *last = next.reached.unwrap_or(natural_last);
        }
        if end.offset > applied.0 {
            let from = LogPos::new(from.segment, applied.0);
            if let Some(mut scan) = self.scan(from, Some(end.offset), applied.1).await? {
                let mut before = applied.0;
                while scan.next().await? {
                    self.apply(&scan, before, apply);
                    before = scan.end_units();
                }
            }
        }
        Ok((end, next.map(|(_, next)| next.number)))
    }

    /// Reads the segment of `from` up to `end`, or the file's end; `None` when it is not there.
    async fn scan(&self, from: LogPos, end: Option<u32>, last: SeqNo) -> Result<Option<BatchScan>> {
        let (Some(_), Some(&len)) = (self.header(from.segment), self.files.segments.get(&from.segment))
        else {
            return Ok(None);
        };
        let len = end.map_or(len, |end| len.min(u64::from(end) * UNIT_LEN));
        let file = self.disk.open(&segment_path(&self.config.dir, from.segment), Mode::Read).await?;
        let seed = segment_seed(&self.config.secret, self.config.shard, from.segment);
        Ok(Some(BatchScan::new(file, seed, from.segment, from.byte_offset(), len, last)))
    }

    fn apply(&mut self, scan: &BatchScan, before: u32, apply: &mut Apply<'_>) {
        for record in scan.records() {
            self.records += 1;
            apply(&record);
        }
        self.hear_claim(scan);
        self.len += scan.end() - u64::from(before) * UNIT_LEN;
    }

    /// Notes the place that the batch's records, which all claim the same one, say to be synced.
    fn hear_claim(&mut self, scan: &BatchScan) {
        let Some((at, back)) = scan.claim() else { return };
        let at = LogPos::new(scan.segment(), (at / UNIT_LEN) as u32);
        let base = Some((at.segment, i64::from(back) - i64::from(at.offset)));
        if std::mem::replace(&mut self.claim_base, base) != base
            && let Claim::Place(synced) = resolve(&self.links, at, back)
        {
            self.proven = self.proven.max(synced);
        }
    }

    /// Damage when the checkpoint or a later record proves that more than this was synced.
    async fn check_end(&mut self, chain: &[Link], end: LogPos) -> Result<()> {
        if let Some((&number, sealed)) = self.checkpoint.sealed.last_key_value()
            && LogPos::new(number, sealed.end) > end
        {
            let what = "chain to a segment that the checkpoint names as sealed";
            self.damaged(self.corrupt(number, what, 0, u64::from(number), u64::from(end.segment)))?;
        }
        if planted(Plant::NoCorruptionProof) || self.damage.is_some() {
            return Ok(());
        }
        let mut links: Links =
            self.checkpoint.sealed.iter().map(|(&number, sealed)| (number, sealed.pred)).collect();
        links.extend(self.headers.iter().map(|(&number, header)| (number, header.pred)));
        let ends: BTreeMap<u32, u32> = chain.iter().map(|link| (link.number, link.end)).collect();
        if proof::is_beyond(&ends, end, self.checkpoint.synced) {
            let error = self.blame(end, self.checkpoint.synced);
            return self.damaged(error);
        }
        let Some(proof) = proof::seek(self.disk, self.config, self.files, &links, &ends, end).await? else {
            return Ok(());
        };
        let error = self.blame(end, proof.synced);
        self.damaged(error)
    }

    /// The nearest file to blame when the log ends at `end` although it was synced to `synced`.
    fn blame(&self, end: LogPos, synced: LogPos) -> Error {
        let mut number = synced.segment;
        while number > end.segment {
            match self.header(number) {
                None if self.files.segments.contains_key(&number) => {
                    return self.corrupt(
                        number,
                        "header of a segment that was synced",
                        0,
                        synced.byte_offset(),
                        0,
                    );
                }
                None => {
                    let path = segment_path(&self.config.dir, number);
                    return Error::Missing { path, what: "segment that was synced" };
                }
                Some(header) => number = header.pred.segment,
            }
        }
        let what = "whole record in a place that was synced";
        if end.segment == 0 {
            return self.corrupt(synced.segment, what, 0, synced.byte_offset(), 0);
        }
        self.corrupt(end.segment, what, end.byte_offset(), synced.byte_offset(), end.byte_offset())
    }
}
