//! A walk over rows, in both directions, in any mix.

use crate::error::Result;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo};
use std::fmt;

/// A walk over the rows of a range, as of the moment it was made.
///
/// It sits on a row, before the first one (where it starts), or after the last. [`Scan::next`] and [`Scan::prev`] mix
/// freely; backward costs what forward costs. Values are lazy: a walk over keys never touches the value log.
///
/// Dropping the future of a step leaves the scan where the step had come to; it may be stepped again. A scan keeps the rows
/// of its moment from being forgotten, and for about a second the tables they lie in.
pub struct Scan {
    inner: jdb_ns::Scan,
    ns: NsId,
    reversed: bool,
}

impl Scan {
    pub(crate) fn new(inner: jdb_ns::Scan, ns: NsId) -> Self {
        Self { inner, ns, reversed: false }
    }

    /// Turns the walk round: `next` goes to smaller keys, `prev` to larger ones. The scan sits before the first row of its
    /// new direction.
    #[must_use]
    pub fn rev(mut self) -> Self {
        self.reversed = !self.reversed;
        if self.reversed {
            self.inner.seek_end();
        } else {
            self.inner.seek_start();
        }
        self
    }

    /// Goes to the next row and lends it; `None` when there is none: the scan then sits after the last row, and
    /// [`Scan::prev`] gives the last one.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io): never a shorter walk instead.
    pub async fn next(&mut self) -> Result<Option<Item<'_>>> {
        if self.reversed {
            self.inner.prev().await?
        } else {
            self.inner.next().await?
        };
        Ok(self.item())
    }

    /// Goes to the row before and lends it; `None` when there is none: the scan then sits before the first row, and
    /// [`Scan::next`] gives the first one.
    ///
    /// # Errors
    /// Those of [`Scan::next`].
    pub async fn prev(&mut self) -> Result<Option<Item<'_>>> {
        if self.reversed {
            self.inner.next().await?
        } else {
            self.inner.prev().await?
        };
        Ok(self.item())
    }

    /// Sits just before `key` in the scan's direction: `next` then gives the first row at or after it (reversed: at or
    /// below it), `prev` the one before. Inside the range of the scan; a key outside it means the range's end.
    ///
    /// # Errors
    /// None today: the read happens at the next step.
    pub async fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        if self.reversed {
            let after = [key, &[0]].concat();
            self.inner.seek(self.ns, &after);
        } else {
            self.inner.seek(self.ns, key);
        }
        Ok(())
    }

    /// The row that the scan sits on.
    #[must_use]
    pub fn item(&self) -> Option<Item<'_>> {
        self.inner.row().map(Item)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("ns", &self.ns).field("reversed", &self.reversed).finish_non_exhaustive()
    }
}

/// A row, lent by the [`Scan`] that sits on it.
#[derive(Debug)]
pub struct Item<'a>(jdb_ns::Row<'a>);

impl Item<'_> {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.0.key()
    }

    /// Its value: at hand when it is small, else one read of the log.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io).
    pub async fn value(&self) -> Result<Bytes> {
        Ok(self.0.value().await?)
    }

    /// Sequence of the change that wrote it.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.0.seq()
    }
}
