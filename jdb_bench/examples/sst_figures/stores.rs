//! The same entries in each store.

use jdb_base::{Kind, SeqNo};
use jdb_bench::Result;
use jdb_bench::index::{key, pointer, seq, sorted_keys};
use jdb_io::{BlockCache, Disk, Mode};
use jdb_lsm::{FlushOptions, Table, Tree, write_table};
use jdb_mem::Memtable;
use jdb_sst::{SstReader, SstWriter, WriterOptions};
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, SequenceNumberCounter};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of each block cache: more than all blocks.
const CACHE_LEN: u64 = 1 << 30;

/// A memtable of these entries, put in no order.
pub(crate) fn memtable(which: Range<u64>) -> Rc<Memtable> {
    let table = Rc::new(Memtable::new());
    fill(&table, which);
    table
}

fn fill(table: &Memtable, which: Range<u64>) {
    for i in which {
        table.insert(&key(i), SeqNo::new((1 << 24) + i), Kind::Pointer, &pointer(i));
    }
}

/// A table of entries `0..count`, cached.
pub(crate) async fn table(dir: &Path, count: u64) -> Result<Rc<SstReader>> {
    let (disk, path) = (Disk::real(), dir.join("one.sst"));
    let mut writer = SstWriter::create(&disk, &path, WriterOptions::default()).await?;
    for (i, key) in (0..).zip(sorted_keys(0..count)) {
        writer.append(&key, seq(i, count), Kind::Pointer, &pointer(i)).await?;
    }
    writer.finish().await?;
    let cache = Rc::new(BlockCache::new(CACHE_LEN));
    let id = cache.next_file_id();
    Ok(SstReader::open(disk.open(&path, Mode::Read).await?, Some((cache, id))).await?)
}

/// A tree of `tables` tables in level 0 and a memtable, each of `count` entries.
pub(crate) async fn tree(dir: &Path, tables: u64, count: u64) -> Result<Tree> {
    let disk = Disk::real();
    let cache = Rc::new(BlockCache::new(CACHE_LEN));
    let handles = Rc::default();
    let tree = Tree::new(Vec::new());
    for number in 0..tables {
        let memtable = tree.active();
        fill(&memtable, number * count..(number + 1) * count);
        tree.rotate();
        let path = dir.join(format!("{number}.sst"));
        let options = WriterOptions::default();
        let flushed =
            write_table(&disk, &path, number as u32, FlushOptions::newest(options, |_, _| 0), &memtable)
                .await?;
        let table =
            flushed.map(|flushed| Table::new(&disk, path, flushed.meta, Some(cache.clone()), &handles));
        tree.flushed(&memtable, table.map(Rc::new));
    }
    fill(&tree.active(), tables * count..(tables + 1) * count);
    Ok(tree)
}

/// The same in lsm-tree; with `in_memory` the last entries stay in its memtable, else there is none.
pub(crate) fn lsm_tree(dir: &Path, tables: u64, count: u64, in_memory: bool) -> Result<AnyTree> {
    let counter = SequenceNumberCounter::default;
    let config =
        Config::new(dir, counter(), counter()).use_cache(Arc::new(Cache::with_capacity_bytes(CACHE_LEN)));
    let tree = config.open()?;
    for number in 0..tables + u64::from(in_memory) {
        for i in number * count..(number + 1) * count {
            tree.insert(key(i), pointer(i), (1 << 24) + i);
        }
        if number < tables {
            tree.flush_active_memtable(0)?;
        }
    }
    Ok(tree)
}
