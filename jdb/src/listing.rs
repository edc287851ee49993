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

#[cfg(test)]
mod tests {
    use crate::{NsId, Options};

    #[test]
    fn namespaces_of_few_and_of_many_rows_are_listed_once_and_dropped_ones_not() {
        let dir = tempfile::tempdir().unwrap();
        let task = async {
            let db = crate::open(Options { shards: 2, ..Options::at(dir.path().join("db")) }).await?;
            // Around the number of rows from which on a walk seeks; every third one is dropped, flushed or not.
            let row_counts = [1u64, 2, 15, 16, 17, 18, 40];
            for ns in 0..100u64 {
                let count = row_counts.into_iter().cycle().nth(ns as usize).unwrap_or(1);
                db.put_many((0..count).map(|row| (ns, row.to_be_bytes(), "value"))).await?;
                if ns % 3 == 0 {
                    db.drop_ns(ns).await?;
                }
                if ns % 40 == 39 {
                    db.flush().await?;
                }
            }
            let want: Vec<NsId> = (0..100u64).filter(|ns| ns % 3 > 0).map(NsId::from).collect();
            for page_len in [1, 3, 100] {
                let (mut found, mut after) = (Vec::new(), 0u64.into());
                loop {
                    let mut page = db.namespaces().after(after).limit(page_len);
                    let before = found.len();
                    while let Some(ns) = page.next().await? {
                        found.push(ns);
                        after = ns;
                    }
                    if found.len() == before {
                        break;
                    }
                }
                assert_eq!(found, want, "pages of {page_len}");
            }
            db.close().await
        };
        crate::runtime(&crate::RuntimeConfig::default()).unwrap().block_on(task).unwrap();
    }
}
