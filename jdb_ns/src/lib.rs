//! Namespaces over shards: opens a database, spreads namespaces over its shards and runs each shard.
//!
//! | module | does |
//! |---|---|
//! | [`manager`] | opens, routes a namespace to its shard, closes |
//! | `shard` | one tree, one log, one MANIFEST: the state that the tasks share |
//! | `writer`, `syncer`, `flusher`, `compactor`, `collector` | the five tasks of a shard |
//! | `job` | work that a second thread can do: how it is waited for and told to end |
//! | `packing` | the work of a collection as a job, which a second thread can do |
//! | `pack`, `victims`, `survivors`, `records`, `merge` | where the values of collected segments are; which files are collected; which of their records are live, kept sorted in pieces; these and the rows of older packs in one order |
//! | `live_sets` | which records of the log are live, without asking the index |
//! | `turnover` | how long segments are, when the open one is closed early, how much of the log may be in no table |
//! | `settle` | waiting for what works in the background |
//! | `keeper`, `points`, `retire` | what a compaction may let go: read points, drops that nobody needs any more |
//! | [`backup`], [`verify`], [`salvage`] | a second database of the same files; everything checked; what is sound copied out |
//! | `queue` | the commits that wait, so that no namespace holds up the others |
//! | `pace`, `gate` | how fast background work goes, and how much of it at once |
//! | `recovery`, `create`, `rebuild` | opening a shard, making a database, a shard without its MANIFEST |
//! | [`read`] | point reads of one key or many, snapshots |
//! | [`scan`], `ahead` | walks in both directions; rows and values read ahead of them |
//! | [`listing`], [`usage`] | the namespaces there are; what one of them holds |
//! | [`condition`] | writes that happen only while a key is as it was read |
//! | `shards` | which shard a namespace or a name belongs to |
//! | [`handle`], `quota` | a namespace as its user holds it, and what goes through it; a limit to what it holds |
//! | [`catalog`], [`names`] | namespaces that have a name; the names there are |
//! | [`drops`] | what namespace drops hide |
//! | `budget`, `account` | how memory is divided; the memtables of all shards held to their share |
//! | `reserve` | room for deletes and a flush on a full disk |
//! | [`manifest`], [`superblock`], [`filename`] | formats |
//!
//! One `Manager` belongs to one thread. A shard owns every mutation: dropping a caller's future drops only its answer.

mod account;
mod ahead;
pub mod backup;
mod budget;
pub mod catalog;
mod collector;
pub mod commit;
mod compactor;
pub mod condition;
mod create;
pub mod drops;
pub mod dump;
pub mod error;
pub mod filename;
mod flusher;
mod gate;
pub mod handle;
mod inline;
mod job;
mod keeper;
pub mod listing;
mod live_sets;
pub mod manager;
pub mod manifest;
mod merge;
pub mod names;
mod pace;
mod pack;
mod packing;
mod points;
mod queue;
mod quota;
pub mod read;
mod rebuild;
mod records;
mod recovery;
mod reserve;
mod retire;
pub mod salvage;
pub mod scan;
mod settle;
mod shard;
mod shards;
pub mod stats;
pub mod superblock;
mod survivors;
mod syncer;
mod turnover;
pub mod usage;
pub mod verify;
mod victims;
mod writer;

pub use backup::BackupReport;
pub use catalog::NAME_LEN_MAX;
pub use commit::{Committed, Durability};
pub use condition::Expected;
pub use dump::{DUMP_LEN_MAX, FileKind};
pub use error::{Error, Result};
pub use handle::Handle;
pub use jdb_lsm::PickerOptions;
pub use jdb_val::{Op, RecordKind, Recovery};
pub use listing::Namespaces;
pub use manager::{CollectReport, Manager, Options};
pub use names::Names;
pub use read::Snapshot;
pub use salvage::SalvageReport;
pub use scan::{Row, Scan};
pub use stats::{ShardStats, Stats, StepStats};
pub use usage::NamespaceStats;
pub use verify::{Progress, VerifyReport};
pub use writer::{delete_op, drop_op, put_op};
