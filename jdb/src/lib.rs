//! **jdb**: an embedded key-value database for programs with very many small databases in them.
//!
//! One user, one namespace: a namespace costs no file, no memory and no catalog entry while nobody touches it, and ten
//! million of them live in a handful of files. Keys live in an LSM tree, values in a value log that is also the
//! write-ahead log, so that a value is written once. A database runs on one thread of [compio] (io_uring, IOCP or poll); merging and
//! collecting, which share nothing with it but files, go to a second one ([`Options::worker`]).
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("data");
//! jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
//!     let db = jdb::open(&path).await?; // creates, locks, recovers
//!     let alice = db.ns(42u64); // a namespace: no file, no I/O, no await
//!     alice.put("name", "Alice").await?;
//!     assert_eq!(alice.get("name").await?.as_deref(), Some(&b"Alice"[..]));
//!
//!     let mut scan = alice.prefix("na").rev();
//!     while let Some(item) = scan.next().await? {
//!         println!("{:?} = {:?}", item.key(), item.value().await?);
//!     }
//!     db.close().await
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! | acknowledged with | the process dies | the power goes |
//! |---|---|---|
//! | [`Durability::Os`] (default) | kept | kept once synced: within [`Options::sync_interval`] (500 ms) |
//! | [`Durability::Sync`] | kept | kept |
//!
//! After a crash each shard holds a prefix of its commit order that contains all of this. A batch is there whole or not at
//! all. Order and atomicity hold inside a namespace; across namespaces there is none.
//!
//! # Futures
//!
//! All futures are `!Send`: one database belongs to one thread. A mutation belongs to the database from the first poll of
//! its future on; dropping the future later drops only the answer. Reads may be dropped at any time.
//!
//! # Where to look
//!
//! [`open`], [`Options`] · [`Db`] · [`Namespace`] · [`Batch`] · [`Scan`] · [`Snapshot`] · [`Error`], [`ErrorKind`]

mod batch;
mod db;
mod error;
mod listing;
mod names;
mod namespace;
mod options;
mod report;
mod scan;
mod snapshot;
mod write;

pub use batch::Batch;
pub use bytes::Bytes;
pub use compio;
pub use db::{Db, dump, open};
pub use error::{Error, ErrorKind, Result};
pub use futures::Stream;
pub use jdb_base::key::{KEY_LEN_MAX, VALUE_LEN_MAX};
pub use jdb_base::{Class, NsId, SeqNo};
pub use jdb_io::{Counters, Driver, RuntimeConfig, runtime};
pub use jdb_ns::{
    BackupReport, CollectReport, DUMP_LEN_MAX, Durability, Expected, FileKind, NAME_LEN_MAX, NamespaceStats,
    Progress, Recovery, ShardStats, Stats, StepStats,
};
pub use listing::Namespaces;
pub use names::Names;
pub use namespace::Namespace;
pub use options::{Options, Tuning};
pub use report::{SalvageReport, VerifyReport};
pub use scan::{Item, Scan, ScanStream};
pub use snapshot::Snapshot;
pub use write::{Commit, Write, WriteMany};
