//! What the tests of this crate share: chance from a seed, a simulated disk, tables from rows.

use crate::table::{Table, TableMeta};
use jdb_base::key::entry_order;
use jdb_base::{Kind, SeqNo};
use jdb_io::sim::{SimConfig, SimDisk};
use jdb_io::{Disk, Handles};
use jdb_sst::{SstWriter, WriterOptions};
use std::path::PathBuf;
use std::rc::Rc;

/// Numbers from a seed.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Runs `test` on a simulated disk of this seed.
pub(crate) fn on_sim<T: 'static, F>(seed: u64, test: impl FnOnce(SimDisk, Disk) -> F) -> T
where
    F: Future<Output = T> + 'static,
{
    let sim = SimDisk::new(SimConfig { seed, ..SimConfig::default() });
    let disk = Disk::sim(&sim);
    sim.executor().block_on(test(sim.clone(), disk)).expect("the test waits for nothing that never comes")
}

/// Blocks that hold a few entries each.
pub(crate) const TINY: WriterOptions = WriterOptions {
    block_len: 64,
    index_len: 64,
    top_len: 256,
    codec: jdb_sst::Codec::Plain,
    filter: true,
    properties: false,
    group_prefix_len: None,
    filter_groups: false,
};

/// Tables that tests keep open.
pub(crate) const HANDLES_MAX: usize = 2;

thread_local!(static HANDLES: Rc<Handles> = Rc::new(Handles::new(HANDLES_MAX, usize::MAX)));

/// Room for two open tables: those of a test are let go and opened again all the time.
pub(crate) fn handles() -> Rc<Handles> {
    HANDLES.with(Rc::clone)
}

/// An entry: key, sequence, kind, value.
pub(crate) type Row = (Vec<u8>, u64, Kind, Vec<u8>);

/// A row with an inline value.
pub(crate) fn row(key: &str, seq: u64) -> Row {
    (key.into(), seq, Kind::Inline, format!("{key}@{seq}").into())
}

/// Sorts rows as a table holds them.
pub(crate) fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| entry_order((&a.0, SeqNo::new(a.1)), (&b.0, SeqNo::new(b.1))));
}

/// A table of these rows, which are sorted, in the file `/{number}.sst`.
pub(crate) async fn table_of(disk: &Disk, number: u32, rows: &[Row]) -> Rc<Table> {
    written(disk, number, rows, TINY).await
}

/// As [`table_of`], with properties and a directory of the groups of keys that share their first two bytes.
pub(crate) async fn grouped_table_of(disk: &Disk, number: u32, rows: &[Row]) -> Rc<Table> {
    let group_prefix_len = Some((|_| 2) as fn(&[u8]) -> usize);
    written(disk, number, rows, WriterOptions { properties: true, group_prefix_len, ..TINY }).await
}

async fn written(disk: &Disk, number: u32, rows: &[Row], options: WriterOptions) -> Rc<Table> {
    let path = PathBuf::from(format!("/{number}.sst"));
    let mut writer = SstWriter::create(disk, &path, options).await.expect("a new file");
    for (key, seq, kind, value) in rows {
        writer.append(key, SeqNo::new(*seq), *kind, value).await.expect("sorted rows");
    }
    let meta = TableMeta {
        drop_seq: SeqNo::ZERO,
        judged_seq: SeqNo::ZERO,
        tombstones: rows.iter().filter(|row| row.2 == Kind::Tombstone).count() as u64,
        ..TableMeta::of(number, writer.finish().await.expect("room"))
    };
    Rc::new(Table::new(disk, path, meta, None, &handles()))
}
