//! Reads everything a database shows, twice: by scans in both directions and by keys.

use crate::broken;
use crate::oracle::{Contents, Ns, show, show_value};
use crate::spec::Spec;
use crate::violation::Check;
use crate::world::show_error;
use bytes::Bytes;
use jdb::Db;

/// How reading ended.
#[derive(Debug)]
pub enum Read {
    /// Everything was read.
    All(Contents),
    /// The engine said that it cannot.
    Refused(jdb::Error),
}

/// All rows of all namespaces of `spec`, those never written too.
///
/// # Errors
/// Forward scan, backward scan and gets that disagree; a scan that does not ascend or does not end.
pub async fn read_all(db: &Db, spec: &Spec) -> Check<Read> {
    let mut contents = Contents::default();
    let mut rows = Vec::new();
    for (ns, id) in spec.ns.iter().enumerate() {
        let ns = ns as Ns;
        let space = db.ns(*id);
        let mut scan = space.iter();
        rows.clear();
        loop {
            match step(scan.next().await).await {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => break,
                Err(error) => return Ok(Read::Refused(error)),
            }
            if rows.len() > spec.keys.len() {
                broken!("namespace {ns}: a scan shows more than the {} keys there are", spec.keys.len());
            }
        }
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            broken!("namespace {ns}: a scan goes from {} to {}", show(&pair[0].0), show(&pair[1].0));
        }
        // Backward on the same cursor in even namespaces, on one that never went forward in odd ones.
        let mut back = if ns.is_multiple_of(2) { scan } else { space.iter().rev() };
        let mut left = rows.len();
        loop {
            let item = if ns.is_multiple_of(2) { back.prev().await } else { back.next().await };
            match step(item).await {
                Ok(Some(row)) if left > 0 && rows[left - 1] == row => left -= 1,
                Ok(None) if left == 0 => break,
                Ok(row) => {
                    let want = left.checked_sub(1).map(|i| &rows[i]);
                    broken!(
                        "namespace {ns}: a backward scan shows {}, forward {}",
                        pair(row.as_ref()),
                        pair(want)
                    )
                }
                Err(error) => return Ok(Read::Refused(error)),
            }
        }
        let mut forward = rows.iter().peekable();
        for key in &spec.keys {
            let want = forward.next_if(|row| row.0 == *key).map(|row| &row.1);
            match space.get(key).await {
                Ok(got) if got.as_ref() == want => {}
                Ok(got) => broken!(
                    "namespace {ns}, key {}: get gives {}, a scan {}",
                    show(key),
                    show_value(got.as_ref()),
                    show_value(want)
                ),
                Err(error) => return Ok(Read::Refused(error)),
            }
        }
        if let Some(row) = forward.next() {
            broken!("namespace {ns}: a scan shows key {}, which was never written", show(&row.0));
        }
        for (key, value) in rows.drain(..) {
            contents.push(ns, key, value);
        }
    }
    Ok(Read::All(contents))
}

/// The same, of a database that must be readable.
///
/// # Errors
/// Also an error of the engine.
pub async fn read_sound(db: &Db, spec: &Spec) -> Check<Contents> {
    match read_all(db, spec).await? {
        Read::All(contents) => Ok(contents),
        Read::Refused(error) => broken!("P4: a read failed without a fault: {}", show_error(&error)),
    }
}

type Pair = (Bytes, Bytes);

async fn step(item: jdb::Result<Option<jdb::Item<'_>>>) -> jdb::Result<Option<Pair>> {
    match item? {
        Some(item) => Ok(Some((Bytes::copy_from_slice(item.key()), item.value().await?))),
        None => Ok(None),
    }
}

fn pair(row: Option<&Pair>) -> String {
    row.map_or("the end".into(), |(key, value)| format!("{}={}", show(key), show_value(Some(value))))
}
