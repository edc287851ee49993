//! Everything a database shows.

use super::Ns;
use bytes::Bytes;
use jdb_base::hash::FixedHasher;
use std::hash::Hasher;

/// One row of one namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Row {
    /// Namespace.
    pub ns: Ns,
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
}

/// All rows of all namespaces, by namespace and key.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Contents {
    rows: Vec<Row>,
}

impl Contents {
    /// Adds a row behind all others.
    pub fn push(&mut self, ns: Ns, key: Bytes, value: Bytes) {
        self.rows.push(Row { ns, key, value });
    }

    /// Forgets all rows; keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The value of a key; rows must have been pushed in order.
    #[must_use]
    pub fn get(&self, ns: Ns, key: &[u8]) -> Option<&Bytes> {
        let found = self.rows.binary_search_by(|row| (row.ns, &row.key[..]).cmp(&(ns, key)));
        found.ok().map(|i| &self.rows[i].value)
    }
}

/// Hash of a row; states are compared by the xor over their rows.
#[must_use]
pub fn row_hash(ns: Ns, key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = FixedHasher::default();
    hasher.write(key);
    hasher.write_u64(u64::from(ns));
    hasher.write(value);
    hasher.finish()
}
