//! Compares the database with the files it was filled from.

use super::corpus::{Corpus, Source};
use crate::error::{Error, Result};
use jdb::Db;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_128;

/// What a reopened database held of a killed import.
#[derive(Default, Debug)]
pub(crate) struct Survivors {
    /// Files whose commit was acknowledged; all were there.
    pub(crate) acknowledged_count: usize,
    /// Files that were there although the parent had not heard of their commit.
    pub(crate) unheard_count: usize,
    /// Batches that were not there, to be imported.
    pub(crate) missing: Vec<usize>,
}

/// Looks up every file: those of acknowledged batches must be there; of every other batch all or none; and what is there
/// must be the file, byte by byte.
///
/// # Errors
/// [`Error::Check`] for the first difference.
pub(crate) async fn survivors(db: &Db, corpus: &Corpus, acknowledged: &[usize]) -> Result<Survivors> {
    let acknowledged: BTreeSet<usize> = acknowledged.iter().copied().collect();
    let mut sum = Survivors::default();
    for number in 0..corpus.batch_count() {
        let files = corpus.batch(number);
        let mut there = 0;
        for file in files {
            there += usize::from(holds(db, file).await?);
        }
        match (there, acknowledged.contains(&number)) {
            (n, true) if n == files.len() => sum.acknowledged_count += n,
            (n, true) => {
                return fail(files, &format!("{n} of {} files of an acknowledged batch", files.len()));
            }
            (0, false) => sum.missing.push(number),
            (n, false) if n == files.len() => sum.unheard_count += n,
            (n, false) => return fail(files, &format!("{n} of {} files of one batch", files.len())),
        }
    }
    Ok(sum)
}

/// Looks up every file; all must be there and right.
///
/// # Errors
/// [`Error::Check`] for the first difference.
pub(crate) async fn all_there(db: &Db, corpus: &Corpus) -> Result<()> {
    for file in corpus.files() {
        if !holds(db, file).await? {
            return Err(Error::Check(format!("{}: {:?} is missing", file.folder, file.key)));
        }
    }
    Ok(())
}

/// What the walks over all namespaces saw.
#[derive(Default, Debug)]
pub(crate) struct Walked {
    /// Namespaces.
    pub(crate) ns_count: u64,
    /// Rows, counted once.
    pub(crate) count: u64,
    /// Bytes of keys and values, counted once.
    pub(crate) len: u64,
}

/// Walks every namespace forward, comparing each row with its file, then backward, comparing each row with the walk
/// forward. No row may be missing, out of order or too many.
///
/// # Errors
/// [`Error::Check`] for the first difference.
pub(crate) async fn walk(db: &Db, corpus: &Corpus) -> Result<Walked> {
    let mut sum = Walked::default();
    for files in corpus.folders() {
        let Some(first) = files.first() else { continue };
        let ns = db.ns(first.ns());
        let mut forward = vec![];
        let mut scan = ns.iter();
        let mut expected = files.iter();
        while let Some(item) = scan.next().await? {
            let value = item.value().await?;
            let Some(file) = expected.next().filter(|file| file.key.as_bytes() == item.key()) else {
                return fail(files, &format!("a walk forward met {:?}", lossy(item.key())));
            };
            if value != file.read()? {
                return fail(files, &format!("{:?} differs from its file in a walk forward", file.key));
            }
            sum.count += 1;
            sum.len += (item.key().len() + value.len()) as u64;
            forward.push((file.key.as_bytes(), xxh3_128(&value)));
        }
        if let Some(file) = expected.next() {
            return fail(files, &format!("a walk forward ended before {:?}", file.key));
        }
        let mut scan = ns.iter().rev();
        while let Some(item) = scan.next().await? {
            let value = item.value().await?;
            if forward.pop() != Some((item.key(), xxh3_128(&value))) {
                return fail(files, &format!("{:?} differs between the two walks", lossy(item.key())));
            }
        }
        if let Some((key, _)) = forward.pop() {
            return fail(files, &format!("a walk backward ended before {:?}", lossy(key)));
        }
        sum.ns_count += 1;
    }
    Ok(sum)
}

/// Whether the file is in the database.
///
/// # Errors
/// [`Error::Check`] when it is, with another content.
async fn holds(db: &Db, file: &Source) -> Result<bool> {
    let Some(value) = db.ns(file.ns()).get(&file.key).await? else { return Ok(false) };
    if value == file.read()? {
        return Ok(true);
    }
    Err(Error::Check(format!("{}: {:?} differs from its file", file.folder, file.key)))
}

fn fail<T>(files: &[Source], what: &str) -> Result<T> {
    let folder = files.first().map_or("", |file| &file.folder);
    Err(Error::Check(format!("{folder}: {what}")))
}

fn lossy(key: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(key)
}
