//! Puts batches of files into a database, several in flight.

use super::corpus::{Corpus, Source};
use crate::error::Result;
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use jdb::Db;

/// Commits that wait for their answer at the same time.
const IN_FLIGHT: usize = 8;

/// What was put.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Put {
    /// Rows.
    pub(crate) count: u64,
    /// Bytes of their keys and values.
    pub(crate) len: u64,
}

/// Imports these batches of the corpus; tells `acknowledged` the number of each when its commit was answered.
///
/// # Errors
/// The database's, the system's for a file that cannot be read, and what `acknowledged` says.
pub(crate) async fn import(
    db: &Db,
    corpus: &Corpus,
    batches: impl IntoIterator<Item = usize>,
    mut acknowledged: impl FnMut(usize) -> Result<()>,
) -> Result<Put> {
    let mut sum = Put::default();
    let mut waiting = batches.into_iter();
    let mut in_flight = FuturesUnordered::new();
    loop {
        in_flight.extend(waiting.by_ref().take(IN_FLIGHT - in_flight.len()).map(|number| async move {
            let put = put_batch(db, corpus.batch(number)).await?;
            Ok::<_, crate::error::Error>((number, put))
        }));
        let Some((number, put)) = in_flight.try_next().await? else { return Ok(sum) };
        acknowledged(number)?;
        sum.count += put.count;
        sum.len += put.len;
    }
}

/// Files of one namespace as one atomic batch.
async fn put_batch(db: &Db, files: &[Source]) -> Result<Put> {
    let mut put = Put::default();
    let Some(first) = files.first() else { return Ok(put) };
    let ns = db.ns(first.ns());
    let mut batch = ns.batch();
    for file in files {
        let content = file.read()?;
        put.count += 1;
        put.len += (file.key.len() + content.len()) as u64;
        batch.put_bytes(&file.key, content.into());
    }
    batch.commit().await?;
    Ok(put)
}
