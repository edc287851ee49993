//! Ids of tables: what a table file must say about itself.
//!
//! The MANIFEST names tables by number. A table's id comes from the database's secret, the shard and that number, and every
//! checksum in the file starts from it, so that the file of another number, shard or database does not pass for it.

use xxhash_rust::xxh3::xxh3_128;

/// The ids of one shard's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableIds {
    secret: [u8; 16],
    shard: u16,
}

impl TableIds {
    pub(crate) const fn new(secret: [u8; 16], shard: u16) -> Self {
        Self { secret, shard }
    }

    /// The id of the table with this number. **Format**.
    pub(crate) fn of(self, number: u32) -> [u8; 16] {
        let mut identity = Vec::with_capacity(27);
        identity.extend_from_slice(b"table");
        identity.extend_from_slice(&self.secret);
        identity.extend_from_slice(&self.shard.to_le_bytes());
        identity.extend_from_slice(&number.to_le_bytes());
        xxh3_128(&identity).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_shard_and_number_each_make_another_id() {
        let id = TableIds::new([1; 16], 2).of(3);
        assert_eq!(id, TableIds::new([1; 16], 2).of(3));
        for other in [
            TableIds::new([0; 16], 2).of(3),
            TableIds::new([1; 16], 3).of(3),
            TableIds::new([1; 16], 2).of(2),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn ids_are_pinned() {
        let id = u128::from_le_bytes(TableIds::new(*b"0123456789abcdef", 7).of(42));
        assert_eq!(id, 0xe3f3_d07e_b400_9029_53f0_1eb9_a51d_f8c9, "ids are on disk");
    }
}
