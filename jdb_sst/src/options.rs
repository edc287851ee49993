//! How a table is written, and what was written.

use crate::error::{Error, Result};
use crate::layout::{BLOCK_LEN_MAX, Codec, ID_LEN, TOP_LEN_PINNED};
use jdb_base::SeqNo;

/// How a table is written. None of it is needed for reading.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Target length of a data block in bytes, 1..=65,536; default 4096. A block ends with the entry that reaches it.
    pub block_len: usize,
    /// Target length of an index partition in bytes, 1..=65,536; default 4096.
    pub index_len: usize,
    /// Length in bytes from which on the top index gets a level below it, 1..=65,536; default 65,536.
    pub top_len: usize,
    /// How blocks are compressed.
    pub codec: Codec,
    /// Whether filters are written, which say of nearly every absent key that it is absent; default on. They take about 10.5
    /// bits a key.
    pub filter: bool,
    /// Whether a meta block of [`Properties`](crate::Properties) is written, about 60 bytes; default on.
    pub properties: bool,
    /// Length of the prefix of a key that names its *group*; default none. With it a group directory is written, see
    /// [`SstReader::group`](crate::SstReader::group). Groups must ascend with their keys: no group's prefix may be a prefix of
    /// another's, else there is no directory. A length over the key's is cut to it.
    pub group_prefix_len: Option<fn(&[u8]) -> usize>,
    /// Whether the filters know group prefixes too, for [`SstReader::may_contain_group`](crate::SstReader::may_contain_group);
    /// default off. Costs as much as one more key for each group.
    pub filter_groups: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            block_len: 4096,
            index_len: 4096,
            top_len: TOP_LEN_PINNED,
            codec: Codec::Plain,
            filter: true,
            properties: true,
            group_prefix_len: None,
            filter_groups: false,
        }
    }
}

impl WriterOptions {
    pub(crate) fn check(&self) -> Result<()> {
        for (what, len, max) in [
            ("block_len", self.block_len, BLOCK_LEN_MAX),
            ("index_len", self.index_len, BLOCK_LEN_MAX),
            ("top_len", self.top_len, TOP_LEN_PINNED),
        ] {
            if len == 0 || len > max {
                return Err(Error::Option { what, found: len as u64, min: 1, max: max as u64 });
            }
        }
        Ok(())
    }
}

/// What a finished table holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TableInfo {
    /// Length of the file in bytes.
    pub len: u64,
    /// Number of entries.
    pub count: u64,
    /// Key of the first entry; empty in a table without entries.
    pub first_key: Vec<u8>,
    /// Key of the last entry; empty in a table without entries.
    pub last_key: Vec<u8>,
    /// Smallest sequence number; 0 in a table without entries.
    pub seq_min: SeqNo,
    /// Largest sequence number; 0 in a table without entries.
    pub seq_max: SeqNo,
    /// The file's random id.
    pub id: [u8; ID_LEN],
    /// Number of data blocks.
    pub block_count: u64,
    /// Bytes of index blocks, all levels, trailers included.
    pub index_len: u64,
    /// Bytes of filter blocks, trailers included.
    pub filter_len: u64,
    /// Bytes of padding between blocks.
    pub padding_len: u64,
}
