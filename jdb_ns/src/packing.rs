//! The work of a collection, as a job: finds what is live in the victims and writes it to a pack.
//!
//! It asks the tables of the Version that whoever gave the job pins, reads segments and packs that nobody changes, and writes one file
//! that no MANIFEST names yet. What it comes upon that is damaged it reports, with the file's number.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::live_sets::Known;
use crate::manifest::PackEntry;
use crate::merge::{Merge, Row, Value};
use crate::pace;
use crate::pack::Pack;
use crate::read::DEPTH;
use crate::survivors::Search;
use jdb_base::Kind;
use jdb_io::{Abort, BlockCache, Disk, Gauge, Handles, task};
use jdb_lsm::{TableSet, Version};
use jdb_sst::{Codec, SstWriter, TableInfo, WriterOptions};
use jdb_val::{Excerpt, ValueLog};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Target length of a pack's blocks in bytes: a value and some neighbours.
const BLOCK_LEN: usize = 16 << 10;
/// Values and their bytes that are read together.
const PART_COUNT: usize = 64;
const PART_LEN: u64 = 1 << 20;
/// Pieces of work between two looks at the clock, and their bytes.
const LOOK_COUNT: u32 = 4;
const LOOK_LEN: usize = 16 << 10;
/// Time at a stretch.
const STEP: Duration = Duration::from_micros(50);
/// Tables and segments that it keeps open, and the bytes that they may weigh.
const HANDLE_COUNT: usize = 32;
const HANDLES_LEN: usize = 2 << 20;
/// Bytes of index blocks that it keeps: it asks in the order of the keys.
const CACHE_LEN: u64 = 2 << 20;

/// A collection with all that it needs.
pub(crate) struct PackJob {
    pub(crate) dir: PathBuf,
    /// Of the pack.
    pub(crate) number: u32,
    pub(crate) options: WriterOptions,
    /// The victims: segments, what the log knows of them, and packs with what the MANIFEST says.
    pub(crate) segments: Vec<u32>,
    pub(crate) log: Excerpt,
    pub(crate) packs: Vec<(u32, Option<PackEntry>)>,
    /// The durable index.
    pub(crate) tables: TableSet,
    /// What is known of the victims' origins without it.
    pub(crate) known: Known,
    /// A thousandth of the share of the thread that it gets where there is no worker.
    pub(crate) share: Gauge,
}

/// What became of it.
pub(crate) struct PackReport {
    /// `None`: it was to end before.
    pub(crate) packed: Result<Option<Packed>>,
    /// Files that cannot be read as they were written, and why.
    pub(crate) damage: Vec<(u32, Error)>,
}

/// What was live.
pub(crate) struct Packed {
    /// `None`: nothing.
    pub(crate) pack: Option<PackEntry>,
    /// Bytes of it by origin.
    pub(crate) live: BTreeMap<u32, u64>,
}

/// Where a job works.
pub(crate) struct Site {
    pub(crate) disk: Disk,
    pub(crate) dir: PathBuf,
    pub(crate) log: ValueLog,
    /// Tables alone.
    pub(crate) version: Version,
    /// What they say of the victims' origins, as far as it is known.
    pub(crate) known: Known,
    abort: Abort,
    share: Gauge,
    damage: RefCell<Vec<(u32, Error)>>,
}

impl Site {
    /// As an error goes on its way: takes note of the file that it is about.
    pub(crate) fn leave_out_if_damaged(&self, number: u32, why: Error) -> Error {
        self.damage.borrow_mut().push((number, why.again()));
        why
    }
}

/// How a pack was written.
enum Written {
    Pack(TableInfo),
    /// Nothing was live.
    Nothing,
    /// It was to end before.
    Stopped,
}

impl PackJob {
    /// Does it. After an error, and when it was to end before, its file is removed.
    pub(crate) async fn run(self, disk: Disk, abort: Abort) -> PackReport {
        let handles = Rc::new(Handles::new(HANDLE_COUNT, HANDLES_LEN));
        let cache = Rc::new(BlockCache::new(CACHE_LEN));
        let site = Site {
            dir: self.dir,
            log: self.log.on(&disk, &handles),
            version: self.tables.on(&disk, Some(&cache), &handles),
            known: self.known,
            disk,
            abort,
            share: self.share,
            damage: RefCell::default(),
        };
        let packs = self.packs.into_iter().map(|(number, entry)| {
            (number, entry.map(|entry| Rc::new(Pack::new(&site.disk, &site.dir, entry, None, &handles))))
        });
        let packs = packs.collect();
        let packed = site.pack(&self.segments, packs, self.number, self.options).await;
        PackReport { packed, damage: site.damage.into_inner() }
    }
}

impl Site {
    async fn pack(
        &self,
        segments: &[u32],
        packs: Vec<(u32, Option<Rc<Pack>>)>,
        number: u32,
        options: WriterOptions,
    ) -> Result<Option<Packed>> {
        let mut search = Search::new(self);
        let mut clock = Clock::new(self);
        for &number in segments {
            search.segment(number, &mut clock).await?;
        }
        let records = search.finish(&mut clock).await?;
        let mut merge = Merge::new(self, &records, packs).await?;
        let path = FileName::Pack(number).path(&self.dir);
        let written = self.write_pack(&path, options, &mut merge, &mut clock).await;
        let live = merge.into_live();
        if let Ok(Written::Pack(info)) = written {
            let origins = live.keys().copied().collect();
            let pack =
                PackEntry { number, len: info.len, id: info.id, origins, live_len: live.values().sum() };
            return Ok(Some(Packed { pack: Some(pack), live }));
        }
        // No MANIFEST names it: it may go at once, and goes at the next open otherwise.
        drop(self.disk.remove(&path).await);
        match written? {
            Written::Nothing => Ok(Some(Packed { pack: None, live })),
            Written::Pack(_) | Written::Stopped => Ok(None),
        }
    }

    /// Writes what is live.
    async fn write_pack(
        &self,
        path: &Path,
        options: WriterOptions,
        merge: &mut Merge<'_>,
        clock: &mut Clock<'_>,
    ) -> Result<Written> {
        let mut writer = None;
        let mut part: Vec<Row> = Vec::new();
        loop {
            let mut part_len = 0;
            while part.len() < PART_COUNT
                && part_len < PART_LEN
                && let Some(row) = merge.next(clock).await?
            {
                part_len += row.value.len();
                part.push(row);
            }
            if self.abort.is_set() {
                return Ok(Written::Stopped);
            }
            if part.is_empty() {
                break;
            }
            self.read_part(&mut part).await?;
            for row in part.drain(..) {
                let Value::Read(value) = row.value else { continue };
                if writer.is_none() {
                    writer = Some(SstWriter::create(&self.disk, path, options.clone()).await?);
                }
                if let Some(writer) = &mut writer {
                    writer.append(&row.key, row.seq, Kind::Inline, &value).await?;
                }
                if clock.tick(value.len()).await {
                    return Ok(Written::Stopped);
                }
            }
        }
        match writer {
            Some(writer) => Ok(Written::Pack(writer.finish().await?)),
            None => Ok(Written::Nothing),
        }
    }

    /// Reads the values that are in segments.
    async fn read_part(&self, part: &mut [Row]) -> Result<()> {
        let wanted: Vec<_> = part.iter().filter_map(Row::wanted).collect();
        let values = self.log.read_many(&wanted, DEPTH).await.values;
        let unread = part.iter_mut().filter(|row| matches!(row.value, Value::At(_)));
        for (row, value) in unread.zip(values) {
            let left_out = |error: jdb_val::Error| self.leave_out_if_damaged(row.origin, error.into());
            row.value = Value::Read(value.map_err(left_out)?);
        }
        Ok(())
    }
}

/// How packs are written. Who looks for a value knows that it is there: no filter. `compress` is only ever set where the codec
/// is built in.
pub(crate) fn pack_options(block_len: Option<usize>, compress: bool) -> WriterOptions {
    let codec = match compress {
        #[cfg(feature = "lz4")]
        true => Codec::Lz4,
        _ => Codec::Plain,
    };
    WriterOptions {
        block_len: block_len.unwrap_or(BLOCK_LEN),
        codec,
        filter: false,
        ..WriterOptions::default()
    }
}

/// Gives the thread to others in time.
pub(crate) struct Clock<'a> {
    site: &'a Site,
    since: Duration,
    count: u32,
    len: usize,
}

impl<'a> Clock<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, since: site.disk.now(), count: 0, len: 0 }
    }

    /// After each piece of work on `len` bytes; `true` when the job is to end.
    pub(crate) async fn tick(&mut self, len: usize) -> bool {
        self.count += 1;
        self.len += len;
        if self.count < LOOK_COUNT && self.len < LOOK_LEN {
            return false;
        }
        (self.count, self.len) = (0, 0);
        let disk = &self.site.disk;
        let took = disk.now().saturating_sub(self.since);
        if took < STEP {
            return false;
        }
        if disk.is_worker() {
            task::yield_now().await;
        } else {
            pace::step_aside(disk, took, self.site.share.get().max(1) as f64 / 1000.0).await;
        }
        self.since = disk.now();
        self.site.abort.is_set()
    }
}
