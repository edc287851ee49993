//! Packs: where the values of collected segments are, and how a value is found by its pointer.
//!
//! A pointer never changes: it names the segment that the value was written to, its *origin*. When that segment is collected,
//! what is live of it goes to a pack, and the origin has a new home. A pack is a table of `jdb_sst` that holds the values
//! themselves, found by engine key and sequence; the values of a namespace are neighbours in it. Packs are collected in turn.
//!
//! Invariants
//! - A read that was under way when a home moved may want what is dead since: it finds it where it was, for what was collected
//!   stays until no Version from before is held ([`jdb_lsm::Tree::begin_epoch`]). So homes are asked from new to old, the
//!   segment itself last.
//! - Whoever follows a pointer holds the Version that it comes from, or a read point.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::manifest::{PackEntry, State};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::{BlockCache, Disk, Handles};
use jdb_lsm::TableFile;
use jdb_sst::{Entry, Footer, Keep, SstReader};
use jdb_val::{ValueLog, Wanted};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;

/// Values that are taken out of a pack together; more of them at once.
const GROUP_COUNT: usize = 256;

/// A pack: what the MANIFEST says, and its file.
#[derive(Debug)]
pub(crate) struct Pack {
    entry: PackEntry,
    file: TableFile,
}

impl Pack {
    pub(crate) fn new(
        disk: &Disk,
        dir: &Path,
        entry: PackEntry,
        cache: Option<&Rc<BlockCache>>,
        handles: &Rc<Handles>,
    ) -> Self {
        let path = FileName::Pack(entry.number).path(dir);
        Self { entry, file: TableFile::new(disk, path, cache.cloned(), handles).random() }
    }

    /// What the MANIFEST says about it.
    pub(crate) fn entry(&self) -> &PackEntry {
        &self.entry
    }

    /// Length of its file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.entry.len
    }

    /// Whether values of this segment were moved here.
    pub(crate) fn is_home_of(&self, origin: u32) -> bool {
        self.entry.origins.binary_search(&origin).is_ok()
    }

    fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    /// Its reader, opened when it is not.
    async fn reader(&self) -> Result<Rc<SstReader>> {
        let opened = self.file.reader(|footer| self.check_identity(footer)).await;
        opened.map_err(|error| self.missing(error))
    }

    /// A reader of its own for a walk over all of it.
    pub(crate) async fn reader_uncached(&self) -> Result<Rc<SstReader>> {
        let opened = self.file.reader_uncached(|footer| self.check_identity(footer)).await;
        opened.map_err(|error| self.missing(error))
    }

    fn check_identity(&self, footer: &Footer) -> Result<()> {
        if footer.id == self.entry.id {
            return Ok(());
        }
        let half = |id: &[u8; 16]| u128::from_le_bytes(*id) as u64;
        let (expected, found) = (half(&self.entry.id), half(&footer.id));
        Err(Error::Corrupt { path: self.path(), what: "id of a pack", offset: 0, expected, found })
    }

    /// A file that is gone, as what it was.
    fn missing(&self, error: Error) -> Error {
        match error {
            Error::Io(error) if error.is_not_found() => Error::Missing { path: self.path(), what: "pack" },
            error => error,
        }
    }

    /// The value of exactly this entry; `None` when the pack does not hold it.
    async fn get(&self, key: &[u8], seq: SeqNo, len: u32) -> Result<Option<Bytes>> {
        match self.reader().await?.get(key, seq).await? {
            Some(entry) if entry.seq == seq => self.value(entry.kind, entry.value, len).map(Some),
            _ => Ok(None),
        }
    }

    /// A value as long as the pointer says, and nothing else.
    pub(crate) fn value(&self, kind: Kind, value: Bytes, len: u32) -> Result<Bytes> {
        if kind == Kind::Inline && value.len() == len as usize {
            return Ok(value);
        }
        let (expected, found) = (u64::from(len), value.len() as u64);
        let path = self.path();
        Err(Error::Corrupt { path, what: "length of a value in a pack", offset: 0, expected, found })
    }

    /// The values of some keys, in the order of entries; `None` where the pack does not hold one.
    async fn many(&self, wanted: &[Wanted<'_>], keep: Keep) -> Result<Taken> {
        let keys: Vec<_> = wanted.iter().map(|one| (one.key, one.seq)).collect();
        let many = self.reader().await?.get_many(&keys, keep).await?;
        let value = |(entry, one): (Option<Entry>, &Wanted<'_>)| {
            let entry = entry.filter(|entry| entry.seq == one.seq)?;
            Some(self.value(entry.kind, entry.value, one.ptr.len))
        };
        let values = many.entries.into_iter().zip(wanted).map(value).collect();
        Ok(Taken { values, blocks: many.blocks, waited: many.waited })
    }
}

/// What a pack says of some keys.
#[derive(Default)]
struct Taken {
    values: Vec<Option<Result<Bytes>>>,
    /// Blocks that they were taken out of.
    blocks: usize,
    /// Reads of blocks that were not in memory.
    waited: usize,
}

/// The packs of a shard, those included that were collected and that somebody may still read.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    /// The homes of an origin that was collected, from new to old.
    homes: RefCell<BTreeMap<u32, Vec<Rc<Pack>>>>,
    /// Those that nobody knows the origins of: the MANIFEST was lost.
    strays: RefCell<Vec<Rc<Pack>>>,
    by_number: RefCell<BTreeMap<u32, Rc<Pack>>>,
    /// Nothing was ever collected.
    none: Cell<bool>,
}

/// The values that were wanted, and how they were read.
#[derive(Debug)]
pub(crate) struct ManyValues {
    /// In the order in which they were wanted.
    pub(crate) values: Vec<Result<Bytes>>,
    /// Reads made of segments, and blocks of packs.
    pub(crate) reads: usize,
    /// Of these, those that were not in memory.
    pub(crate) waited: usize,
}

impl Packs {
    /// The packs that a MANIFEST names.
    pub(crate) fn new(
        disk: &Disk,
        dir: &Path,
        state: &State,
        cache: &Rc<BlockCache>,
        handles: &Rc<Handles>,
    ) -> Self {
        let packs = Self { none: Cell::new(true), ..Self::default() };
        for entry in state.packs.values() {
            packs.add(Pack::new(disk, dir, entry.clone(), Some(cache), handles));
        }
        packs
    }

    /// Makes a pack the home of its origins.
    pub(crate) fn add(&self, pack: Pack) {
        self.none.set(false);
        let pack = Rc::new(pack);
        let mut homes = self.homes.borrow_mut();
        for &origin in &pack.entry.origins {
            homes.entry(origin).or_default().insert(0, Rc::clone(&pack));
        }
        if pack.entry.origins.is_empty() {
            self.strays.borrow_mut().push(Rc::clone(&pack));
        }
        self.by_number.borrow_mut().insert(pack.entry.number, pack);
    }

    /// Forgets a pack that nobody reads any more.
    pub(crate) fn forget(&self, number: u32) {
        let Some(pack) = self.by_number.borrow_mut().remove(&number) else { return };
        let mut homes = self.homes.borrow_mut();
        for origin in &pack.entry.origins {
            if let Some(packs) = homes.get_mut(origin) {
                packs.retain(|other| other.entry.number != number);
                if packs.is_empty() {
                    homes.remove(origin);
                }
            }
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<Rc<Pack>> {
        self.by_number.borrow().get(&number).cloned()
    }

    /// How many there are, and their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let packs = self.by_number.borrow();
        (packs.len(), packs.values().map(|pack| pack.entry.len).sum())
    }

    /// The value that a pointer leads to.
    #[inline]
    pub(crate) async fn read(&self, log: &ValueLog, ptr: ValuePtr, key: &[u8], seq: SeqNo) -> Result<Bytes> {
        if self.none.get() {
            return Ok(log.read(ptr, key, seq).await?);
        }
        self.read_packed(log, Wanted { ptr, key, seq }).await
    }

    async fn read_packed(&self, log: &ValueLog, wanted: Wanted<'_>) -> Result<Bytes> {
        let Wanted { ptr, key, seq } = wanted;
        let mut newest = None;
        let mut at = 0;
        // A pack that is added meanwhile moves the others back: one is asked twice then, none is left out.
        while let Some(pack) = self.home(ptr.segment, at) {
            if let Some(value) = pack.get(key, seq, ptr.len).await? {
                return Ok(value);
            }
            newest.get_or_insert(pack);
            at += 1;
        }
        match log.read(ptr, key, seq).await {
            Err(jdb_val::Error::Missing { path, what }) => {
                let strays = self.strays.borrow().clone();
                for pack in strays {
                    if let Ok(Some(value)) = pack.get(key, seq, ptr.len).await {
                        return Ok(value);
                    }
                }
                Err(match newest {
                    Some(pack) => {
                        let (path, what) = (pack.path(), "value that its origin's pack holds (its sequence)");
                        Error::Corrupt { path, what, offset: 0, expected: seq.get(), found: 0 }
                    }
                    None => Error::Missing { path, what },
                })
            }
            value => Ok(value?),
        }
    }

    fn home(&self, origin: u32, at: usize) -> Option<Rc<Pack>> {
        self.homes.borrow().get(&origin)?.get(at).cloned()
    }

    /// Whether values of this segment were moved.
    pub(crate) fn is_moved(&self, origin: u32) -> bool {
        !self.none.get() && self.homes.borrow().contains_key(&origin)
    }

    /// The values of many pointers, with at most about `depth` reads under way at once. `rows`: they are a stretch of a walk.
    pub(crate) async fn read_many(
        &self,
        log: &ValueLog,
        wanted: &[Wanted<'_>],
        depth: usize,
        rows: bool,
    ) -> ManyValues {
        if self.none.get() {
            let many = log.read_many(wanted, depth).await;
            let values = many.values.into_iter().map(|value| value.map_err(Error::from)).collect();
            return ManyValues { values, reads: many.reads, waited: many.waited };
        }
        let (groups, plain) = self.groups(wanted);
        let keep = if rows { Keep::Last } else { Keep::All };
        let mut values: Vec<Option<Result<Bytes>>> = wanted.iter().map(|_| None).collect();
        let from_packs = take_groups(&groups, wanted, depth, keep);
        let from_log = async {
            let plain = pick(wanted, &plain);
            if plain.is_empty() { None } else { Some(log.read_many(&plain, depth).await) }
        };
        let (taken, many) = futures::join!(from_packs, from_log);
        let (mut reads, mut waited) = (0, 0);
        let mut put = |i: usize, value| {
            if let Some(place) = values.get_mut(i) {
                *place = Some(value);
            }
        };
        if let Some(many) = many {
            (reads, waited) = (many.reads, many.waited);
            for (&i, value) in plain.iter().zip(many.values) {
                // A segment may be gone whose values are in a pack of which nobody knows the origins.
                if !matches!(value, Err(jdb_val::Error::Missing { .. })) {
                    put(i, value.map_err(Error::from));
                }
            }
        }
        for (places, taken) in taken {
            reads += taken.blocks;
            waited += taken.waited;
            for (&i, value) in places.iter().zip(taken.values) {
                if let Some(value) = value {
                    put(i, value);
                }
            }
        }
        let mut all = Vec::with_capacity(wanted.len());
        for (value, one) in values.into_iter().zip(wanted) {
            all.push(match value {
                Some(value) => value,
                // What its pack does not hold, or cannot give, is asked for again: it may be in an older home.
                None => self.read_packed(log, *one).await,
            });
        }
        ManyValues { values: all, reads, waited }
    }

    /// The places of what is in packs, by pack and in the order of entries, some in a group; and those of all others.
    fn groups(&self, wanted: &[Wanted<'_>]) -> (Vec<Group>, Vec<usize>) {
        let (mut groups, mut plain): (Vec<Group>, _) = (Vec::new(), Vec::new());
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        let order = |i: usize| wanted.get(i).map(|one| (one.key, Reverse(one.seq)));
        let mut sorted: Vec<usize> = (0..wanted.len()).collect();
        if order(0) > order(wanted.len().saturating_sub(1)) {
            sorted.reverse();
        }
        if !sorted.is_sorted_by_key(|&i| order(i)) {
            sorted.sort_by_key(|&i| order(i));
        }
        for i in sorted {
            let Some(one) = wanted.get(i) else { continue };
            let Some(pack) = self.home(one.ptr.segment, 0) else {
                plain.push(i);
                continue;
            };
            let number = pack.entry.number;
            let group = open.get(&number).and_then(|&at| groups.get_mut(at));
            match group.filter(|group| group.places.len() < GROUP_COUNT) {
                Some(group) => group.places.push(i),
                None => {
                    open.insert(number, groups.len());
                    groups.push(Group { pack, places: vec![i] });
                }
            }
        }
        (groups, plain)
    }
}

/// Values of one pack that are read together.
struct Group {
    pack: Rc<Pack>,
    /// Their places among what is wanted.
    places: Vec<usize>,
}

fn pick<'a>(wanted: &[Wanted<'a>], places: &[usize]) -> Vec<Wanted<'a>> {
    places.iter().filter_map(|&i| wanted.get(i)).copied().collect()
}

/// What the packs hold of these groups. Those that wait, wait together; one that fails gives nothing.
async fn take_groups<'a>(
    groups: &'a [Group],
    wanted: &[Wanted<'_>],
    depth: usize,
    keep: Keep,
) -> Vec<(&'a [usize], Taken)> {
    let mut taken = Vec::with_capacity(groups.len());
    let mut waiting = FuturesUnordered::new();
    for Group { pack, places } in groups {
        let mut read = Box::pin(async move {
            let taken = pack.many(&pick(wanted, places), keep).await;
            (places.as_slice(), taken.unwrap_or_default())
        });
        match futures::poll!(read.as_mut()) {
            Poll::Ready(group) => taken.push(group),
            Poll::Pending => {
                waiting.push(read);
                if waiting.len() >= depth {
                    taken.extend(waiting.next().await);
                }
            }
        }
    }
    while let Some(group) = waiting.next().await {
        taken.push(group);
    }
    taken
}

#[cfg(test)]
mod tests {
    use jdb_base::{Kind, NsId, SeqNo, key};

    #[test]
    fn the_page_shows_a_real_pack() {
        let options = crate::packing::pack_options(None, false);
        let mut builder = jdb_sst::TableBuilder::new(*b"id of the pack..", options).unwrap();
        for (ns, key, seq, value) in [(7u64, "a", 12, "first"), (7, "a", 9, "older"), (300, "b", 5, "")] {
            let key = key::engine_key(NsId::from(ns), key.as_bytes());
            builder.append(&key, SeqNo::new(seq), Kind::Inline, value.as_bytes()).unwrap();
        }
        let dump = jdb_sst::dump(&builder.finish().0).unwrap().to_string();
        let dump = dump.trim_end().to_owned() + "\n";
        let page = include_str!("../../docs/format/pack.md");
        let golden = page.split("```golden pack_v1\n").nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
    }
}
