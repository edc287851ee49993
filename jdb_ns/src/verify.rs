//! Everything read and checked: MANIFEST, tables with their filters, segments, and that each entry leads to its value.
//!
//! Per shard: the MANIFEST is read again and must say what the shard knows. Each table is walked from its first entry to its
//! last; order, bounds and counts must be what the MANIFEST says, its filters must not deny its keys, each pointer must lead to
//! its value. Each segment is read from header to end, each pack from its first value to its last. Live bytes are counted anew. What is found does not end the walk.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::live_sets::Known;
use crate::manager::Manager;
use crate::manifest::{ManifestFile, State};
use crate::pack::Pack;
use crate::read::DEPTH;
use crate::shard::Shard;
use jdb_base::key::entry_order;
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::Mode;
use jdb_io::task::yield_now;
use jdb_lsm::{Live, Table, Version};
use jdb_val::{LogPos, Wanted, record_len};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Errors that a report holds; the others are only counted.
const DAMAGE_MAX: usize = 1000;
/// Entries whose values are looked up together.
const PART_COUNT: usize = 256;
/// Of so many entries one is asked of the filter: each partition holds more.
const FILTER_EVERY: u64 = 64;

/// How far a long work has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// What is done: bytes of files, or entries.
    pub done: u64,
    /// All there is. It may change from call to call while the database is in use.
    pub total: u64,
}

/// What [`Manager::verify`] has looked at and found.
#[derive(Default, Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tables.
    pub tables: u64,
    /// Entries in them.
    pub entries: u64,
    /// Values that entries point to.
    pub values: u64,
    /// Segments of the value log.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Packs: files of values that collections moved.
    pub packs: u64,
    /// Segments whose footer, an index that can be made again from their records, is bad: one that was being written when the
    /// power failed. No damage.
    pub footers_bad: u64,
    /// Bytes of tables, segments and packs.
    pub len: u64,
    /// What is wrong, the first thousand findings.
    pub damage: Vec<Error>,
    /// How many findings there are in all.
    pub damage_count: u64,
}

impl VerifyReport {
    fn note(&mut self, error: Error) {
        self.damage_count += 1;
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(error);
        }
    }
}

/// Whom to tell of the bytes that are done.
struct Teller<'a> {
    now: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

impl Teller<'_> {
    fn add(&mut self, len: u64) {
        self.now.done = self.now.done.saturating_add(len).min(self.now.total);
        (self.tell)(self.now);
    }
}

/// What a shard consists of at one moment.
struct Pinned {
    state: State,
    version: Rc<Version>,
    known: Known,
    segments: Vec<(u32, u64)>,
    packs: Vec<Rc<Pack>>,
}

/// What tables point to, origin by origin.
struct Recount {
    known: Known,
    live: BTreeMap<u32, Live>,
}

impl Manager {
    /// Reads and checks everything, as of the moment each shard's turn comes; the database stays in use.
    ///
    /// # Errors
    /// None for damage, which is reported; the disk's where nothing can be said at all.
    pub async fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        // What a shard holds when its turn comes takes the place of what it holds now.
        let counted: Vec<u64> = self.shards().iter().map(|shard| shard.files_len()).collect();
        let mut teller = Teller { now: Progress { done: 0, total: counted.iter().sum() }, tell: progress };
        for ((index, shard), counted) in (0..).zip(self.shards()).zip(counted) {
            shard.verify(&self.superblock().secret, (index, counted), &mut report, &mut teller).await;
        }
        let total = teller.now.total;
        (teller.tell)(Progress { done: total, total });
        Ok(report)
    }
}

impl Shard {
    /// Bytes of tables, segments and packs, about.
    fn files_len(&self) -> u64 {
        let segments = self.log.chain();
        let segments = segments.iter().map(|s| LogPos::new(s.number, s.end).byte_offset());
        let tables = self.tree.version().tables().map(|table| table.meta().len).sum::<u64>();
        segments.sum::<u64>() + tables + self.packs.totals().1
    }

    async fn verify(
        &self,
        secret: &[u8; 16],
        (index, counted): (u32, u64),
        report: &mut VerifyReport,
        teller: &mut Teller<'_>,
    ) {
        let Pinned { state, version, known, segments, packs } = self.pin(secret, index, report).await;
        let tables_len: u64 = version.tables().map(|table| table.meta().len).sum();
        let packs_len: u64 = packs.iter().map(|pack| pack.len()).sum();
        let len = tables_len + packs_len + segments.iter().map(|(_, len)| len).sum::<u64>();
        teller.now.total = (teller.now.total - counted).saturating_add(len);
        let mut recount = Recount { known, live: BTreeMap::new() };
        for table in version.tables() {
            report.tables += 1;
            report.len += table.meta().len;
            if let Err(error) = self.verify_table(table, &mut recount, report).await {
                report.note(error);
            }
            teller.add(table.meta().len);
        }
        self.verify_live(&state, recount, report);
        for pack in packs {
            report.packs += 1;
            report.len += pack.len();
            if let Err(error) = verify_pack(&pack, report).await {
                report.note(error);
            }
            teller.add(pack.len());
        }
        for (number, len) in segments {
            report.segments += 1;
            report.len += len;
            match self.log.check_segment(number, &mut |len| teller.add(len)).await {
                Ok(records) => report.records += records,
                Err(error) => report.note(error.into()),
            }
            let footer = state.segments.get(&number).and_then(|segment| segment.footer);
            if let Some(place) = footer {
                let checked = match self.log.read_footer(number, (place.offset, place.len)).await {
                    Ok(footer) => footer.check().await,
                    Err(error) => Err(error),
                };
                match checked {
                    Ok(()) => {}
                    Err(jdb_val::Error::Corrupt { .. }) => report.footers_bad += 1,
                    Err(error) => report.note(error.into()),
                }
            }
        }
    }

    /// The state, its Version and its segments in one step; the MANIFEST's file must say the same.
    async fn pin(&self, secret: &[u8; 16], index: u32, report: &mut VerifyReport) -> Pinned {
        let manifest = self.manifest.lock().await;
        let (state, version) = (manifest.state.clone(), self.tree.version());
        let segments = self.log.chain();
        // Not what was collected and is only waited for.
        let counts = |number| state.segments.contains_key(&number) || number >= state.replay_from.segment;
        let segments = segments.iter().filter(|segment| counts(segment.number));
        let segments = segments.map(|s| (s.number, LogPos::new(s.number, s.end).byte_offset())).collect();
        let packs = state.packs.keys().filter_map(|&number| self.packs.get(number)).collect();
        let known = self.live_sets.borrow().all();
        let pinned = Pinned { state, version, known, segments, packs };
        match ManifestFile::load(&self.disk, &self.dir, secret, index, Mode::Read).await {
            Ok(loaded) if loaded.state == pinned.state => {}
            Ok(loaded) => {
                let path = FileName::Manifest.path(&self.dir);
                let what = "state (its next file number) that the file adds up to";
                let (expected, found) = (pinned.state.next_number.into(), loaded.state.next_number.into());
                report.note(Error::Corrupt { path, what, offset: 0, expected, found });
            }
            Err(error) => report.note(error),
        }
        pinned
    }

    /// What the MANIFEST counts and what collections go by must be what the tables point to.
    fn verify_live(&self, state: &State, recount: Recount, report: &mut VerifyReport) {
        let Recount { known, mut live } = recount;
        for (origin, set) in known.iter() {
            let (expected, found) = (set.count(), live.get(&origin).map_or(0, |live| live.count));
            if expected != found {
                let path = FileName::Segment(origin).path(&self.dir);
                let what = "number of records that are known to be live";
                report.note(Error::Corrupt { path, what, offset: 0, expected, found });
            }
        }
        for (&segment, &expected) in &state.live {
            let found = live.remove(&segment).unwrap_or_default();
            if expected != found.len {
                report.note(self.live_differs(segment, expected, found.len));
            }
        }
        for (segment, found) in live {
            report.note(self.live_differs(segment, 0, found.len));
        }
    }

    fn live_differs(&self, segment: u32, expected: u64, found: u64) -> Error {
        let path = FileName::Segment(segment).path(&self.dir);
        Error::Corrupt { path, what: "live bytes that the MANIFEST counts", offset: 0, expected, found }
    }

    async fn verify_table(
        &self,
        table: &Table,
        recount: &mut Recount,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let meta = table.meta();
        let differs = |what, expected: u64, found: u64| {
            let path = table.path().to_owned();
            Error::Corrupt { path, what, offset: 0, expected, found }
        };
        let reader = table.reader_uncached().await?;
        let mut cursor = reader.cursor();
        let (mut count, mut tombstones, mut lost) = (0u64, 0u64, false);
        let mut last: Option<(Vec<u8>, SeqNo)> = None;
        let mut led: Vec<(Vec<u8>, SeqNo, ValuePtr)> = Vec::new();
        let mut step = cursor.seek_first().await;
        loop {
            if let Err(error) = step {
                report.note(error.into());
                lost = true;
                step = cursor.skip_block().await;
                continue;
            }
            let Some(entry) = cursor.entry() else { break };
            count += 1;
            tombstones += u64::from(entry.kind == Kind::Tombstone);
            let rises = last
                .as_ref()
                .is_none_or(|(key, seq)| entry_order((key, *seq), (entry.key, entry.seq)) == Ordering::Less);
            if !rises {
                report.note(differs("order of entries (number of the entry)", count - 1, count));
            }
            if entry.seq < meta.seq_min || entry.seq > meta.seq_max {
                report.note(differs("sequence of an entry", meta.seq_max.get(), entry.seq.get()));
            }
            if count == 1 && entry.key != meta.first_key && !lost {
                report.note(differs("first key (number of the entry)", 0, 1));
            }
            if entry.kind == Kind::Pointer {
                match ValuePtr::decode(entry.value) {
                    Some(ptr) => {
                        let live = recount.live.entry(ptr.segment).or_default();
                        live.len += record_len(entry.key.len(), ptr.len as usize);
                        live.count += 1;
                        if recount.known.origin(ptr.segment).is_some_and(|set| !set.contains(entry.seq)) {
                            report.note(differs("record that is known to be dead", 0, entry.seq.get()));
                        }
                        led.push((entry.key.to_vec(), entry.seq, ptr));
                    }
                    None => report.note(differs("value pointer of an entry", 0, entry.seq.get())),
                }
            }
            let (key, seq) = last.get_or_insert_default();
            key.clear();
            key.extend_from_slice(entry.key);
            *seq = entry.seq;
            if count % FILTER_EVERY == 1 {
                match reader.may_contain(key).await {
                    Ok(true) => {}
                    Ok(false) => {
                        report.note(differs("filter that denies a key (number of the entry)", 1, count))
                    }
                    Err(error) => report.note(error.into()),
                }
            }
            if led.len() >= PART_COUNT {
                self.verify_values(&mut led, report).await;
                yield_now().await;
            }
            step = cursor.next().await;
        }
        self.verify_values(&mut led, report).await;
        report.entries += count;
        if !lost {
            if count != meta.count {
                report.note(differs("number of entries", meta.count, count));
            }
            if tombstones != meta.tombstones {
                report.note(differs("number of tombstones", meta.tombstones, tombstones));
            }
            if last.is_some_and(|(key, _)| key != meta.last_key) {
                report.note(differs("last key (number of the entry)", meta.count, count));
            }
        }
        Ok(())
    }

    async fn verify_values(&self, led: &mut Vec<(Vec<u8>, SeqNo, ValuePtr)>, report: &mut VerifyReport) {
        let wanted: Vec<Wanted<'_>> =
            led.iter().map(|(key, seq, ptr)| Wanted { ptr: *ptr, key, seq: *seq }).collect();
        for value in self.packs.read_many(&self.log, &wanted, DEPTH, true).await.values {
            report.values += 1;
            if let Err(error) = value {
                report.note(error);
            }
        }
        led.clear();
    }
}

/// Reads a pack from its first value to its last.
async fn verify_pack(pack: &Pack, report: &mut VerifyReport) -> Result<()> {
    let reader = pack.reader_uncached().await?;
    let mut cursor = reader.cursor();
    let mut step = cursor.seek_first().await;
    let mut count = 0u64;
    loop {
        match step {
            Ok(()) if cursor.entry().is_none() => return Ok(()),
            Ok(()) => {
                count += 1;
                if count.is_multiple_of(PART_COUNT as u64) {
                    yield_now().await;
                }
                step = cursor.next().await;
            }
            Err(error) => {
                report.note(error.into());
                step = cursor.skip_block().await;
            }
        }
    }
}
