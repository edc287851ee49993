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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::import::import;

    /// Imports three files of two folders, lets `spoil` change the database, then runs all checks.
    fn checked(spoil: impl AsyncFnOnce(&Db, &[Source])) -> Result<u64> {
        let dir = tempfile::tempdir().unwrap();
        let mut files = vec![];
        for (folder, key, content) in [("a", "1", "one"), ("a", "2", &"two".repeat(500)), ("b", "1", "")] {
            let path = dir.path().join(format!("{folder}{key}"));
            std::fs::write(&path, content).unwrap();
            files.push(Source { folder: folder.into(), key: key.into(), path, len: content.len() as u64 });
        }
        let corpus = Corpus::of(files.clone());
        crate::block_on(async {
            let db = jdb::open(dir.path().join("db")).await?;
            import(&db, &corpus, 0..corpus.batch_count(), |_| Ok(())).await?;
            spoil(&db, &files).await;
            let survivors = survivors(&db, &corpus, &[0]).await?;
            assert_eq!(survivors.acknowledged_count, 2);
            all_there(&db, &corpus).await?;
            let walked = walk(&db, &corpus).await?;
            db.close().await?;
            Ok(walked.count)
        })
    }

    #[test]
    fn what_was_imported_passes() {
        assert_eq!(checked(async |_, _| ()).unwrap(), 3);
    }

    #[test]
    fn a_lost_a_changed_and_a_stray_row_are_noticed() {
        let errors = [
            checked(async |db, files| drop(db.ns(files[0].ns()).delete("1").await.unwrap())),
            checked(async |db, files| drop(db.ns(files[0].ns()).put("2", "else").await.unwrap())),
            checked(async |db, files| drop(db.ns(files[2].ns()).delete("1").await.unwrap())),
            checked(async |db, files| drop(db.ns(files[2].ns()).put("2", "").await.unwrap())),
            checked(async |db, files| drop(db.drop_ns(files[2].ns()).await.unwrap())),
        ];
        for (row, error) in errors.into_iter().enumerate() {
            assert!(matches!(error, Err(Error::Check(_))), "row {row}: {error:?}");
        }
    }
}
