//! The namespaces of a database, page by page.

use crate::db::Inner;
use crate::error::Result;
use jdb_base::NsId;
use std::fmt;
use std::rc::Rc;

/// The namespaces that have rows, by class and id; from [`Db::namespaces`](crate::Db::namespaces).
///
/// ```
/// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = jdb::open(dir.path().join("db")).await?;
/// for user in [3u64, 1, 2] {
///     db.ns(user).put("name", "..").await?;
/// }
/// db.drop_ns(2u64).await?;
/// let mut page = db.namespaces().after(1u64).limit(10);
/// let mut found = Vec::new();
/// while let Some(ns) = page.next().await? {
///     found.push(ns);
/// }
/// assert_eq!(found, [jdb::NsId::from(3u64)]);
/// # db.close().await }).unwrap();
/// ```
#[must_use]
pub struct Namespaces {
    inner: Rc<Inner>,
    after: Option<NsId>,
    left: usize,
    walk: Option<jdb_ns::Namespaces>,
}

impl Namespaces {
    pub(crate) fn new(inner: Rc<Inner>) -> Self {
        Self { inner, after: None, left: usize::MAX, walk: None }
    }

    /// Begins behind this one, whether it exists or not: the last one of the page before.
    pub fn after(self, id: impl Into<NsId>) -> Self {
        Self { after: Some(id.into()), walk: None, ..self }
    }

    /// Gives at most so many.
    pub fn limit(self, count: usize) -> Self {
        Self { left: count, ..self }
    }

    /// The next one; `None` at the end of the page.
    ///
    /// Each is there, or not, as of at most a second before this call. Cost: about one seek in the index, whatever the
    /// namespaces hold. Dropping the future loses nothing: the next call gives the same one.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io): never a shorter list instead.
    pub async fn next(&mut self) -> Result<Option<NsId>> {
        if self.left == 0 {
            return Ok(None);
        }
        let walk = self.walk.get_or_insert_with(|| self.inner.manager.namespaces(self.after));
        let found = walk.next().await?;
        self.left = if found.is_some() { self.left.saturating_sub(1) } else { 0 };
        Ok(found)
    }
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespaces")
            .field("after", &self.after)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
