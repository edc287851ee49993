//! Namespaces over shards: one log, one tree and one MANIFEST each.

pub mod error;
pub mod filename;
pub mod manifest;
pub mod superblock;

pub use error::{Error, Result};
