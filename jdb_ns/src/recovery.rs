//! Opening a shard: what the MANIFEST says, then the log from its replay position on.
//!
//! ```text
//! MANIFEST read -> MANIFEST and directory synced -> log replayed into a memtable -> recovered tail synced
//!               -> files that nothing names removed -> served
//! ```
//!
//! Cost follows the unflushed log: no table and no footer is opened. Every open is treated as unclean, and opening writes
//! nothing, so that it needs no space and can be cut at any point, again and again.

use crate::account::{self, Account};
use crate::catalog::NameNumbers;
use crate::collector::Collection;
use crate::drops::DropMap;
use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::gate::Gate;
use crate::inline::{Allowance, Inline};
use crate::live_sets::{LiveSets, Room};
use crate::manifest::{ManifestFile, Position, SegmentEntry, State, TableEntry};
use crate::pack::Packs;
use crate::rebuild::rebuild;
use crate::reserve::Reserve;
use crate::shard::{ActiveMemtable, Life, Manifest, Settings, Shard};
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_io::task::Event;
use jdb_io::{BlockCache, Disk, EntryKind, Gauge, Handles, Mode};
use jdb_lsm::{Held, Table, TableMeta, Tree};
use jdb_val::{Checkpoint, LogConfig, LogPos, Record, RecordKind, Recovery, Sealed, ValueLog};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// File numbers end here; a larger one in a directory is a stray file's.
const NUMBER_MAX: u32 = u32::MAX - (1 << 20);

/// Where a shard lies and what it shares with the others.
pub(crate) struct Place {
    pub(crate) index: u16,
    pub(crate) dir: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) secret: [u8; 16],
    pub(crate) segment_len: u64,
    pub(crate) recovery: Recovery,
    pub(crate) account: Rc<Account>,
    pub(crate) reserve: Rc<Reserve>,
    pub(crate) cache: Rc<BlockCache>,
    pub(crate) handles: Rc<Handles>,
    pub(crate) log_buffer: Rc<RefCell<Vec<u8>>>,
    pub(crate) live_room: Rc<Room>,
    pub(crate) gate: Rc<Gate>,
    pub(crate) allowance: Rc<Allowance>,
}

/// Opens a shard and brings back everything that its log holds.
///
/// # Errors
/// Damage to what was durable, named by file and offset; the disk's errors.
pub(crate) async fn open_shard(place: Place, settings: Settings) -> Result<Rc<Shard>> {
    let Place {
        index,
        dir,
        disk,
        secret,
        segment_len,
        recovery,
        account,
        reserve,
        cache,
        handles,
        log_buffer,
        live_room,
        gate,
        allowance,
    } = place;
    let mode = if settings.read_only { Mode::Read } else { Mode::ReadWrite };
    let mut damage = Vec::new();
    // Where the replay position was lost, replay begins before what the tables hold already.
    let mut replay_above = SeqNo::ZERO;
    let mut manifest = match ManifestFile::load(&disk, &dir, &secret, u32::from(index), mode).await {
        Ok(loaded) => Manifest { file: Some(loaded.file), state: loaded.state },
        Err(error) if recovery == Recovery::Salvage => {
            damage.push(error);
            let (state, covered) = rebuild(&disk, &dir, &secret, u32::from(index), &mut damage).await?;
            replay_above = covered;
            Manifest { file: None, state }
        }
        Err(error) => return Err(error),
    };
    if !settings.read_only
        && let Some(file) = &mut manifest.file
    {
        file.sync_at_open().await?;
    }
    let names = manifest.file.as_ref().map(|file| file.names().clone()).unwrap_or_default();
    let state = manifest.state.clone();
    if recovery != Recovery::Salvage {
        check_tables(&disk, &dir, &state).await?;
    }

    let config = LogConfig {
        dir: dir.clone(),
        names: names.clone(),
        secret,
        shard: u32::from(index),
        segment_len,
        lengthen: true,
        recovery,
        read_only: settings.read_only,
        handles: handles.clone(),
        buffer: log_buffer,
    };
    let tree = Tree::new(levels(&disk, &dir, &state, &cache, &handles)?);
    let packs = if planted(Plant::ForgetHomes) {
        Packs::new(&disk, &dir, &State::default(), &cache, &handles)
    } else {
        Packs::new(&disk, &dir, &state, &cache, &handles)
    };
    let mut drops = DropMap::default();
    for drop in state.drops.values() {
        drops.add(*drop);
    }
    let drops = RefCell::new(drops);
    let memtable = tree.active();
    let mut gather = memtable.gather();
    let mut pointer = Vec::with_capacity(ValuePtr::ENCODED_LEN_MAX);
    let mut replay = |record: &Record<'_>| match record.kind {
        _ if record.seq <= replay_above => {}
        RecordKind::Put if record.value.len() <= settings.inline_max => {
            gather.insert(record.key, record.seq, Kind::Inline, record.value);
        }
        RecordKind::Put => {
            pointer.clear();
            let (segment, offset) = (record.pos.segment, record.pos.offset);
            ValuePtr { segment, offset, len: record.value.len() as u32 }.encode(&mut pointer);
            gather.insert(record.key, record.seq, Kind::Pointer, &pointer);
        }
        RecordKind::Delete => gather.insert(record.key, record.seq, Kind::Tombstone, &[]),
        RecordKind::Drop => {
            if let Some(drop) = crate::writer::decode_drop(record.key, record.value, record.seq) {
                drops.borrow_mut().add(drop);
            }
        }
        _ => {}
    };
    let (log, recovered) = ValueLog::open(&disk, config, &checkpoint(&state), &mut replay).await?;
    drop(gather);

    let next_number = if planted(Plant::ReuseFileNumber) {
        state.next_number.max(recovered.end.segment.saturating_add(1))
    } else {
        state.next_number.max(recovered.max_number.saturating_add(1))
    };
    damage.extend(recovered.damage.map(Error::from));
    if next_number > NUMBER_MAX {
        let (len, max) = (u64::from(next_number), u64::from(NUMBER_MAX));
        return Err(Error::TooLarge { what: "largest number of a file in the shard", len, max });
    }
    if !settings.read_only {
        remove_unknown(&disk, &dir, &state).await?;
    }
    let dirty_since = (log.synced() < log.written()).then(|| disk.now());
    let found = recovered.last_seq.max(state.last_seq).max(replay_above);
    let numbers = Gauge::default();
    numbers.set(next_number.max(1) as usize);
    let shard = Rc::new(Shard {
        dir,
        names,
        disk,
        live_sets: RefCell::new(LiveSets::new(found, live_room)),
        settings,
        account: account.clone(),
        reserve,
        cache,
        handles,
        log,
        tree,
        drops,
        drops_unflushed: Cell::new(0),
        retire_from: Cell::new(SeqNo::ZERO),
        retire_due: Cell::new(usize::MAX),
        held_points: Cell::new(None),
        drops_pressed: Cell::new(false),
        points: RefCell::default(),
        manifest: futures::lock::Mutex::new(manifest),
        numbers,
        backlog: Gauge::default(),
        name_numbers: NameNumbers::from(state.next_name),
        visible: Cell::new(found),
        inserted: Cell::new(recovered.end),
        flushed_seq: Cell::new(state.last_seq),
        life: Cell::new(Life::Unstarted { found }),
        queue: RefCell::default(),
        queued: Event::new(),
        writer: Inline::new(&allowance),
        writer_idle: Cell::new(false),
        group_count: Cell::new(0),
        unsynced: RefCell::default(),
        dirty_since: Cell::new(dirty_since),
        sync_wanted: Cell::new(false),
        segment_begun: Cell::new(Duration::ZERO),
        sync_error: RefCell::new(None),
        mark_due: Cell::new(false),
        sync_commits: Cell::new(false),
        sync_due: Event::new(),
        synced: Event::new(),
        active: Cell::new(ActiveMemtable::default()),
        unflushed_len: Cell::new(u64::MAX),
        closed: RefCell::default(),
        flush_due: Event::new(),
        turn_over_due: Cell::new(false),
        turned_over_at: Cell::default(),
        flushed: Event::new(),
        flush_error: RefCell::new(None),
        gate,
        compaction_due: Event::new(),
        compacted: Event::new(),
        compaction_idle: Cell::new(false),
        compaction_error: RefCell::new(None),
        compact_level: Cell::new(None),
        compact_seq: Cell::new(SeqNo::ZERO),
        live_len: Cell::new(0),
        live_mean: Cell::new(0),
        slowed_len: Cell::new(0),
        packs,
        collection: Collection::default(),
        collection_due: Event::new(),
        collected: Event::new(),
        sealed_below: Cell::new(state.segments.last_key_value().map_or(0, |(&number, _)| number)),
        footers: RefCell::default(),
        damage: RefCell::new(damage),
        poison: RefCell::new(None),
        closing: Cell::new(false),
        stopping: Cell::new(false),
        stopped: Event::new(),
        writer_over: Cell::new(false),
        tasks: Cell::new(0),
        task_over: Event::new(),
        counts: Cell::default(),
    });
    account.add_shard(Rc::downgrade(&shard));
    if recovered.replayed_len > 0 {
        // Before garbage counts: opening is no reason for a flush.
        shard.grew(account::memory_len(&memtable), recovered.replayed_len);
    }
    shard.note_live(&state);
    Ok(shard)
}

/// What the log must know of the MANIFEST.
fn checkpoint(state: &State) -> Checkpoint {
    Checkpoint {
        replay_from: log_pos(state.replay_from),
        last_seq: state.last_seq,
        sealed: state.segments.iter().map(|(&number, segment)| (number, sealed(segment))).collect(),
        next_number: state.next_number,
        synced: log_pos(state.log_synced),
    }
}

fn sealed(segment: &SegmentEntry) -> Sealed {
    Sealed {
        end: segment.end,
        pred: log_pos(segment.pred),
        pred_last_seq: segment.pred_last_seq,
        seq_min: segment.seq_min,
        seq_max: segment.seq_max,
        footer: segment.footer.map(|footer| (footer.offset, footer.len)),
    }
}

fn log_pos(position: Position) -> LogPos {
    LogPos::new(position.segment, position.offset)
}

/// Every table and pack that the MANIFEST names must be there in its full length; their contents are checked when they are read.
async fn check_tables(disk: &Disk, dir: &Path, state: &State) -> Result<()> {
    let entries = disk.list(dir).await?;
    let tables = state.tables.values();
    let tables = tables.map(|table| (FileName::Table(table.number), table.len, ["table", "table length"]));
    let packs = state.packs.values();
    let packs = packs.map(|pack| (FileName::Pack(pack.number), pack.len, ["pack", "pack length"]));
    for (name, len, [what, what_len]) in tables.chain(packs) {
        let name = name.to_string();
        let path = dir.join(&name);
        let found = entries
            .binary_search_by(|entry| entry.name.as_str().cmp(&name))
            .ok()
            .and_then(|i| entries.get(i));
        match found {
            Some(entry) if entry.kind == EntryKind::File && entry.len == len => {}
            Some(entry) if entry.kind == EntryKind::File => {
                let (expected, found) = (len, entry.len);
                let offset = expected.min(found);
                return Err(Error::Corrupt { path, what: what_len, offset, expected, found });
            }
            _ => return Err(Error::Missing { path, what }),
        }
    }
    Ok(())
}

/// The tables of the MANIFEST by level: level 0 from new to old, deeper ones by key.
///
/// # Errors
/// Tables of a deeper level that overlap: no MANIFEST of ours says so.
fn levels(
    disk: &Disk,
    dir: &Path,
    state: &State,
    cache: &Rc<BlockCache>,
    handles: &Rc<Handles>,
) -> Result<Vec<Vec<Rc<Table>>>> {
    let depth = state.tables.values().map(|table| usize::from(table.level) + 1).max().unwrap_or(0);
    let mut levels = vec![Vec::new(); depth];
    for table in state.tables.values() {
        let path = FileName::Table(table.number).path(dir);
        if let Some(level) = levels.get_mut(usize::from(table.level)) {
            level.push(Rc::new(Table::new(disk, path, table_meta(table), Some(cache.clone()), handles)));
        }
    }
    for (depth, level) in levels.iter_mut().enumerate() {
        if depth == 0 {
            level.sort_by_key(|table| std::cmp::Reverse(table.meta().seq_max));
        } else {
            level.sort_by(|a, b| a.meta().first_key.cmp(&b.meta().first_key));
            for pair in level.windows(2) {
                if let [a, b] = pair
                    && a.meta().last_key >= b.meta().first_key
                {
                    let (path, what) =
                        (b.path().to_owned(), "table below one of its level with the same keys");
                    let (expected, found) = (u64::from(a.meta().number), u64::from(b.meta().number));
                    return Err(Error::Corrupt { path, what, offset: 0, expected, found });
                }
            }
        }
    }
    Ok(levels)
}

fn table_meta(table: &TableEntry) -> TableMeta {
    TableMeta {
        number: table.number,
        len: table.len,
        count: table.count,
        first_key: table.first_key.to_vec(),
        last_key: table.last_key.to_vec(),
        seq_min: table.seq_min,
        seq_max: table.seq_max,
        drop_seq: table.drop_seq,
        judged_seq: table.drop_seq,
        id: table.id,
        tombstones: table.tombstones,
        hidden_len: table.hidden_len,
        held: Held::released(table.held_len),
    }
}

/// Removes what a crash left behind: tables and packs that the MANIFEST does not name, segments below the replay position
/// that it does not name, a MANIFEST that was never renamed. Everything else stays, also files that are not ours.
async fn remove_unknown(disk: &Disk, dir: &Path, state: &State) -> Result<()> {
    for entry in disk.list(dir).await? {
        let Some(name) = FileName::parse(&entry.name).filter(|_| entry.kind == EntryKind::File) else {
            continue;
        };
        let unknown = match name {
            FileName::Table(number) => !state.tables.contains_key(&number),
            FileName::Pack(number) => !state.packs.contains_key(&number),
            FileName::Segment(number) => {
                let below = number < state.replay_from.segment
                    || (planted(Plant::RemoveUnknownSegments) && number > state.replay_from.segment);
                below && !state.segments.contains_key(&number)
            }
            FileName::ManifestTmp => true,
            FileName::Manifest => false,
        };
        if unknown {
            disk.remove(&name.path(dir)).await?;
        }
    }
    Ok(())
}
