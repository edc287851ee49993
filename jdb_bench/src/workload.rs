//! Filling, reading and walking a database.

use crate::Result;
use crate::keys::Rows;
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use jdb::{Db, Durability};
use std::ops::Range;

/// How rows are put.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rows in one commit.
    pub batch_count: u64,
    /// Commits that wait for their answer at the same time.
    pub in_flight: usize,
    /// What each commit's answer promises.
    pub durability: Durability,
}

/// Puts these of the rows.
///
/// # Errors
/// The database's.
pub async fn fill(db: &Db, rows: Rows, which: Range<u64>, load: Load) -> Result<()> {
    let step = load.batch_count.max(1);
    let mut starts = which.clone().step_by(step as usize);
    let mut in_flight = FuturesUnordered::new();
    loop {
        let room = load.in_flight.max(1).saturating_sub(in_flight.len());
        let end = which.end;
        in_flight.extend(
            starts.by_ref().take(room).map(|from| put(db, rows, from..end.min(from + step), load.durability)),
        );
        if in_flight.try_next().await?.is_none() {
            return Ok(());
        }
    }
}

/// Consecutive rows, one batch a namespace.
async fn put(db: &Db, rows: Rows, which: Range<u64>, durability: Durability) -> Result<()> {
    let mut from = which.start;
    while from < which.end {
        let ns = rows.ns(from);
        let space = db.ns(ns);
        if which.end - from == 1 {
            space.put_bytes(rows.key(from), rows.value(from).into()).durability(durability).await?;
            return Ok(());
        }
        let mut batch = space.batch();
        batch.durability(durability);
        while from < which.end && rows.ns(from) == ns {
            batch.put_bytes(rows.key(from), rows.value(from).into());
            from += 1;
        }
        batch.commit().await?;
    }
    Ok(())
}

/// Looks up `count` rows in random order and compares the length of each value.
///
/// # Errors
/// The database's, and a row that is missing or of another length.
pub async fn read_random(db: &Db, rows: Rows, count: u64) -> Result<()> {
    for n in 0..count {
        let i = rows.pick(n);
        let value = db.ns(rows.ns(i)).get(rows.key(i)).await?;
        if value.map(|value| value.len()) != Some(rows.value_len) {
            return Err(format!("row {i} is not what was put").into());
        }
    }
    Ok(())
}

/// Walks all namespaces of the rows, values too when `values`, and gives the number of rows.
///
/// # Errors
/// The database's.
pub async fn walk(db: &Db, rows: Rows, backward: bool, values: bool) -> Result<u64> {
    let mut count = 0;
    for ns in 0..rows.ns_count {
        let space = db.ns(ns);
        let mut scan = if backward { space.iter().rev() } else { space.iter() };
        while let Some(item) = scan.next().await? {
            if values {
                item.value().await?;
            }
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_is_read_and_walked() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let rows = Rows { count: 500, ns_count: 3, value_len: 300 };
        crate::block_on(async {
            let db = jdb::open(dir.path().join("db")).await?;
            let load = Load { batch_count: 7, in_flight: 4, durability: Durability::Os };
            fill(&db, rows, 0..300, load).await?;
            fill(&db, rows, 300..500, Load { batch_count: 1, ..load }).await?;
            read_random(&db, rows, 1000).await?;
            for backward in [false, true] {
                assert_eq!(walk(&db, rows, backward, true).await?, 500);
            }
            assert!(read_random(&db, Rows { value_len: 9, ..rows }, 1).await.is_err());
            Ok(db.close().await?)
        })
    }
}
