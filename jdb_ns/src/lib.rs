//! Namespaces over shards: opens a database, spreads namespaces over its shards and runs each shard.
//!
//! | module | does |
//! |---|---|
//! | [`manager`] | opens, routes a namespace to its shard, closes |
//! | `shard` | one tree, one log, one MANIFEST: the state that the tasks share |
//! | `writer`, `syncer`, `flusher` | the three tasks of a shard |
//! | `recovery`, `create` | opening a shard, making a database |
//! | [`read`] | point reads and scans |
//! | [`drops`] | what namespace drops hide |
//! | `budget`, `account` | how memory is divided; the memtables of all shards held to their share |
//! | `reserve` | room for deletes and a flush on a full disk |
//! | [`manifest`], [`superblock`], [`filename`] | formats |
//!
//! One `Manager` belongs to one thread. A shard owns every mutation: dropping a caller's future drops only its answer.

mod account;
mod budget;
pub mod commit;
mod create;
pub mod drops;
pub mod error;
pub mod filename;
mod flusher;
pub mod manager;
pub mod manifest;
pub mod read;
mod recovery;
mod reserve;
mod shard;
pub mod stats;
pub mod superblock;
mod syncer;
mod writer;

pub use commit::{Committed, Durability};
pub use error::{Error, Result};
pub use jdb_val::{Op, RecordKind, Recovery};
pub use manager::{Manager, Options};
pub use read::{Row, Scan};
pub use stats::{ShardStats, Stats};
pub use writer::drop_op;
