//! What a namespace holds: rows, bytes, and when it changed last. Nothing is kept for it: tables count their groups
//! (`jdb_lsm::count`), the MANIFEST knows when which sequences were flushed.

use crate::error::Result;
use crate::manager::Manager;
use crate::shard::Shard;
use jdb_base::{NsId, SeqNo, key};

/// What a namespace holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct NamespaceStats {
    /// Rows.
    pub rows: u64,
    /// Bytes of their keys.
    pub key_len: u64,
    /// Bytes of their values.
    pub value_len: u64,
    /// The three numbers above are true. Otherwise none of them is too low, but each may be too high: what was overwritten or deleted
    /// and not merged yet counts too.
    pub is_exact: bool,
    /// When it was changed last, or a little later, in milliseconds since 1970: the end of the flush that the change was in, and
    /// less exactly what is long ago. For a change that was not flushed yet it is now. `None`: never, as far as is known.
    pub changed_ms: Option<u64>,
}

impl NamespaceStats {
    /// Bytes of keys and values.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.key_len + self.value_len
    }

    /// There is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl Manager {
    /// What `ns` holds now.
    ///
    /// # Errors
    /// What cannot be read or is damaged; never a wrong answer.
    pub async fn ns_stats(&self, ns: NsId) -> Result<NamespaceStats> {
        self.shard(ns).ns_stats(ns).await
    }
}

impl Shard {
    pub(crate) async fn ns_stats(&self, ns: NsId) -> Result<NamespaceStats> {
        let view = self.view_at(ns, self.visible.get());
        let flushed = self.flushed_seq.get();
        let prefix = key::engine_key(ns, &[]);
        let count = view.version.count_group(&prefix, view.seq, &view.hidden).await?;
        let changed_ms = match count.newest {
            SeqNo::ZERO => None,
            seq if seq > flushed => Some(self.disk.unix_ms()),
            seq => self.manifest.lock().await.state.times.of(seq),
        };
        Ok(NamespaceStats {
            rows: count.rows,
            key_len: count.key_len,
            value_len: count.value_len,
            is_exact: count.is_exact,
            changed_ms,
        })
    }
}
