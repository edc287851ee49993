//! What every engine must be able to do, and the engines there are.
//!
//! The methods are asynchronous because jdb is; the peers answer before they return. Values are lent to a closure, so that
//! an engine which hands out its own memory need not copy.

pub(crate) mod fjall;
pub(crate) mod jdb;
pub(crate) mod lmdb;
pub(crate) mod redb;
#[cfg(feature = "rocksdb")]
pub(crate) mod rocks;

use crate::measure::Times;
use crate::rows::Key;
use crate::workload::IN_FLIGHT;
use ::jdb_bench::Result;
use clap::ValueEnum;
use std::path::Path;
use std::time::Instant;

/// Memory for blocks that are read, of every engine that has such a thing; LMDB leaves that to the page cache.
pub(crate) const CACHE_LEN: usize = 64 << 20;

/// The engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum EngineName {
    /// This database.
    Jdb,
    /// An LSM tree in Rust, values separated.
    Fjall,
    /// A copy-on-write B-tree in Rust.
    Redb,
    /// A copy-on-write B-tree in mapped memory, in C.
    Lmdb,
    /// An LSM tree in C++.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// The same, values separated.
    #[cfg(feature = "rocksdb")]
    RocksdbBlob,
}

impl EngineName {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The version that was built in: what the lock file says.
    pub(crate) fn version(self) -> String {
        let package = match self {
            Self::Lmdb => "heed",
            #[cfg(feature = "rocksdb")]
            Self::RocksdbBlob => "rocksdb",
            Self::Jdb | Self::Fjall | Self::Redb => &self.name(),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "rocksdb",
        };
        let lock = include_str!("../../../../Cargo.lock");
        let entry = lock.split_once(&format!("\nname = \"{package}\"\nversion = \"")).map(|(_, entry)| entry);
        entry.and_then(|entry| entry.split('"').next()).unwrap_or("unknown").to_owned()
    }
}

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// A commit survives a power cut when it is answered; else, where the engine can, the death of the process.
    pub(crate) sync: bool,
    /// Single rows will be read that are not in memory: reading what lies beside them would be in vain.
    pub(crate) scattered: bool,
}

/// Sets a key to a value, or deletes it.
pub(crate) type Change<'a> = (Key, Option<&'a [u8]>);

/// A walk over rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Where it begins, inclusive; `None`: at the first row, backward at the last.
    pub(crate) from: Option<Key>,
    pub(crate) backward: bool,
    /// Whether values are read too; else they are shown empty.
    pub(crate) values: bool,
    /// Most rows.
    pub(crate) limit: usize,
}

/// A database under test.
pub(crate) trait Engine: Sized {
    /// Opens the database in a directory that exists; makes it when there is none.
    async fn open(dir: &Path, setup: Setup) -> Result<Self>;

    /// What an answered commit survives.
    fn durability(setup: Setup) -> &'static str {
        if setup.sync { "sync" } else { "os" }
    }

    /// Commits these changes together.
    async fn commit(&self, changes: &[Change<'_>]) -> Result<()>;

    /// Looks a key up and shows what is there.
    async fn get(&self, key: &Key, show: impl FnOnce(Option<&[u8]>)) -> Result<()>;

    /// Looks keys up together, when the engine has a call for that, and shows what is there with the key's place.
    async fn get_many(&self, keys: &[Key], mut show: impl FnMut(usize, Option<&[u8]>)) -> Result<()> {
        for (at, key) in keys.iter().enumerate() {
            self.get(key, |value| show(at, value)).await?;
        }
        Ok(())
    }

    /// Looks keys up, [`IN_FLIGHT`] at the same time, and shows what is there with the key's place. Gives the times of each.
    async fn get_at_once(&self, keys: &[Key], show: &(impl Fn(usize, Option<&[u8]>) + Sync))
    -> Result<Times>;

    /// Walks over rows and shows each: key and value.
    async fn walk(&self, walk: Walk, show: impl FnMut(&[u8], &[u8])) -> Result<()>;

    /// Waits until everything is on the disk and nothing is left to do in the background.
    async fn settle(&self) -> Result<()>;

    /// Closes it in good order.
    async fn close(self) -> Result<()>;
}

/// [`Engine::get_at_once`] with a thread for each request under way. `reader` makes what a thread looks keys up with.
pub(crate) fn on_threads<R>(
    keys: &[Key],
    show: &(impl Fn(usize, Option<&[u8]>) + Sync),
    reader: impl Fn() -> Result<R> + Sync,
) -> Result<Times>
where
    R: FnMut(&Key, &mut dyn FnMut(Option<&[u8]>)) -> Result<()>,
{
    let part_len = keys.len().div_ceil(IN_FLIGHT).max(1);
    let part = |from: usize, keys: &[Key]| {
        let (mut times, mut read) = (Times::new()?, reader()?);
        for (at, key) in keys.iter().enumerate() {
            let start = Instant::now();
            read(key, &mut |value| show(from + at, value))?;
            times.add(start.elapsed());
        }
        Ok(times)
    };
    // Errors of engines may stay on their thread; their words may not.
    let part = |from: usize, keys: &[Key]| {
        part(from, keys).map_err(|error: Box<dyn std::error::Error>| error.to_string())
    };
    let parts: Vec<Result<Times, String>> = std::thread::scope(|scope| {
        let starts = (0..).step_by(part_len).zip(keys.chunks(part_len));
        let threads: Vec<_> = starts.map(|(from, keys)| scope.spawn(move || part(from, keys))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|part| part.unwrap_or_else(|_| Err("a reading thread panicked".to_owned()))).collect()
    });
    let mut all = Times::new()?;
    for part in parts {
        all.merge(&part?)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_a_name_and_a_version() {
        for engine in EngineName::value_variants() {
            assert_eq!(EngineName::from_str(&engine.name(), false), Ok(*engine));
            assert!(
                engine.version().starts_with(|first: char| first.is_ascii_digit()),
                "{}",
                engine.version()
            );
        }
        assert!(EngineName::from_str("sled", false).is_err());
    }
}
