//! Block cache: decoded-free block bytes, shared by all shards of a database.

/// Placeholder
#[derive(Debug)]
pub struct BlockCache;
