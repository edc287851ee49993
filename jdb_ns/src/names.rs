//! The names of a database, in order: the catalog's entries of all shards, merged, without those that resolve to nothing.

use crate::catalog::{CATALOG, Catalog, entry_id};
use crate::error::Result;
use crate::points::HeldPoint;
use crate::scan::Scan;
use crate::shard::Shard;
use bytes::Bytes;
use jdb_base::{NsId, key};
use std::rc::Rc;

/// The names that there are and the ids behind them, as of the moment the walk began; each is checked when it is given.
#[derive(Debug)]
pub struct Names {
    catalog: Rc<Catalog>,
    shards: Vec<Entries>,
}

/// Where the walk over a shard's entries is.
#[derive(Debug)]
struct Entries {
    shard: Rc<Shard>,
    scan: Scan,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// Behind where the scan sits.
    Unknown,
    /// The scan sits on it.
    Here,
    Is(Bytes, NsId),
    None,
}

impl Names {
    pub(crate) fn new(
        shards: &[Rc<Shard>],
        catalog: &Rc<Catalog>,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> Self {
        let behind = after.map(|after| [after, &[0]].concat()).unwrap_or_default();
        let lower = behind.max(prefix.to_vec());
        let upper = key::prefix_end(prefix);
        let entries = |shard: &Rc<Shard>| Entries {
            shard: shard.clone(),
            scan: Scan::new(HeldPoint::now(shard, CATALOG), &lower, upper.as_deref()),
            next: Next::Unknown,
        };
        Self { catalog: catalog.clone(), shards: shards.iter().map(entries).collect() }
    }

    /// The next name and its id; `None` at the end.
    ///
    /// Dropping the future loses nothing: the next call gives the same one.
    ///
    /// # Errors
    /// What cannot be read.
    pub async fn next(&mut self) -> Result<Option<(Bytes, NsId)>> {
        loop {
            let mut first: Option<(usize, &Bytes, NsId)> = None;
            for (i, entries) in self.shards.iter_mut().enumerate() {
                if let Some((name, ns)) = entries.peek().await?
                    && first.is_none_or(|(_, first, _)| name < first)
                {
                    first = Some((i, name, ns));
                }
            }
            let Some((i, name, ns)) = first else { return Ok(None) };
            let name = name.clone();
            let stands = self.catalog.name_of(ns).await?.1.as_ref() == Some(&name);
            if let Some(entries) = self.shards.get_mut(i) {
                entries.next = Next::Unknown;
            }
            if stands {
                return Ok(Some((name, ns)));
            }
        }
    }
}

impl Entries {
    /// The shard's next entry.
    async fn peek(&mut self) -> Result<Option<(&Bytes, NsId)>> {
        if matches!(self.next, Next::Unknown) {
            self.next = if self.scan.next().await? { Next::Here } else { Next::None };
        }
        if matches!(self.next, Next::Here)
            && let Some(row) = self.scan.row()
        {
            let (name, value) = (Bytes::copy_from_slice(row.key()), row.value().await?);
            self.next = Next::Is(name, entry_id(&self.shard, &value)?);
        }
        Ok(match &self.next {
            Next::Is(name, ns) => Some((name, *ns)),
            Next::Unknown | Next::Here | Next::None => None,
        })
    }
}
