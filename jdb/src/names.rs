//! The names of a database, page by page.

use crate::db::Inner;
use crate::error::Result;
use bytes::Bytes;
use jdb_base::NsId;
use std::fmt;
use std::rc::Rc;

/// Names of namespaces and their ids, in the order of the names; from [`Db::names`](crate::Db::names).
#[must_use]
pub struct Names {
    inner: Rc<Inner>,
    after: Option<Bytes>,
    prefix: Bytes,
    left: usize,
    walk: Option<jdb_ns::Names>,
}

impl Names {
    pub(crate) fn new(inner: Rc<Inner>) -> Self {
        Self { inner, after: None, prefix: Bytes::new(), left: usize::MAX, walk: None }
    }

    /// Begins behind this name, whether it exists or not: the last one of the page before.
    pub fn after(self, name: impl AsRef<[u8]>) -> Self {
        Self { after: Some(Bytes::copy_from_slice(name.as_ref())), walk: None, ..self }
    }

    /// Gives only names that begin so.
    pub fn prefix(self, prefix: impl AsRef<[u8]>) -> Self {
        Self { prefix: Bytes::copy_from_slice(prefix.as_ref()), walk: None, ..self }
    }

    /// Gives at most so many.
    pub fn limit(self, count: usize) -> Self {
        Self { left: count, ..self }
    }

    /// The next one; `None` at the end of the page.
    ///
    /// The names are those of the moment of the first call; one that is gone meanwhile is left out. Cost: a step in the catalog and
    /// a look-up. Dropping the future loses nothing: the next call gives the same one.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io): never a shorter list instead.
    pub async fn next(&mut self) -> Result<Option<(Bytes, NsId)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let walk =
            self.walk.get_or_insert_with(|| self.inner.manager.names(&self.prefix, self.after.as_deref()));
        let found = walk.next().await?;
        self.left = if found.is_some() { self.left.saturating_sub(1) } else { 0 };
        Ok(found)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("after", &self.after)
            .field("prefix", &self.prefix)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
