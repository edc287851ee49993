//! All that a database shows of names, read in several ways that must agree.

use super::NamedWorld;
use super::model::State;
use crate::broken;
use crate::life::unexpected;
use crate::oracle::show;
use crate::violation::Check;
use bytes::Bytes;
use jdb::Db;
use jdb_base::{Class, NsId};
use std::collections::{BTreeMap, BTreeSet};

/// What a database shows.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// The listing of names.
    pub names: Vec<(Bytes, NsId)>,
    /// Every namespace that was ever told of or is listed now, without those of which nothing is there.
    pub states: BTreeMap<NsId, State>,
}

/// Reads everything.
///
/// # Errors
/// A name that leads to two namespaces or to another one than it is listed with; a namespace with rows that no name leads to;
/// scans, gets and counts that disagree; an error of the engine.
pub async fn look(db: &Db, named: &NamedWorld) -> Check<Found> {
    let mut found = Found { names: list(db).await?, ..Found::default() };
    let listed: BTreeMap<NsId, &Bytes> = found.names.iter().map(|(name, id)| (*id, name)).collect();
    if listed.len() != found.names.len() {
        broken!("two names lead to one namespace: {:?}", found.names);
    }
    let mut ids: BTreeSet<NsId> = named.model.borrow().told().collect();
    ids.extend(listed.keys());
    let mut walk = db.namespaces();
    let mut with_rows = BTreeSet::new();
    while let Some(id) = walk.next().await.map_err(|e| unexpected("namespaces", &e))? {
        with_rows.insert(id);
    }
    ids.extend(&with_rows);
    for id in ids {
        let state = look_at(db, id).await?;
        if listed.get(&id) != state.name.as_ref().as_ref() {
            let by_list = listed.get(&id).map_or("nothing".into(), |name| show(name));
            broken!("the listing names {id:?} {by_list}, and it is {state}");
        }
        if id.class() == Class::Named && state.name.is_none() && !state.rows.is_empty() {
            broken!("{id:?} has rows and no name: {state}");
        }
        if with_rows.contains(&id) == state.rows.is_empty() {
            broken!("{id:?} is listed with rows: {}; it is {state}", with_rows.contains(&id));
        }
        if state != State::default() {
            found.states.insert(id, state);
        }
    }
    for name in named.plan.names() {
        let id = found.names.iter().find(|(listed, _)| listed == name).map(|(_, id)| *id);
        let ns = db.named(name).await.map_err(|e| unexpected("named", &e))?;
        if ns.id() != id.unwrap_or(NsId::new(Class::Named, 0)) {
            broken!("name {} leads to {:?}, the listing says {id:?}", show(name), ns.id());
        }
    }
    Ok(found)
}

/// The names that there are.
///
/// # Errors
/// Names that do not ascend; an error of the engine.
pub async fn list(db: &Db) -> Check<Vec<(Bytes, NsId)>> {
    let mut walk = db.names();
    let mut names: Vec<(Bytes, NsId)> = Vec::new();
    while let Some((name, id)) = walk.next().await.map_err(|e| unexpected("names", &e))? {
        if names.last().is_some_and(|(last, _)| *last >= name) {
            broken!("the listing goes from {:?} to {:?}", names.last(), name);
        }
        names.push((name, id));
    }
    Ok(names)
}

/// One namespace, by its id.
async fn look_at(db: &Db, id: NsId) -> Check<State> {
    let name = db.name_of(id).await.map_err(|e| unexpected("name_of", &e))?;
    let ns = db.ns(id);
    let mut rows = BTreeMap::new();
    let mut scan = ns.iter();
    while let Some(item) = scan.next().await.map_err(|e| unexpected("scan", &e))? {
        let key = Bytes::copy_from_slice(item.key());
        let value = item.value().await.map_err(|e| unexpected("value", &e))?;
        rows.insert(key, value);
    }
    for (key, value) in &rows {
        let got = ns.get(key).await.map_err(|e| unexpected("get", &e))?;
        if got.as_ref() != Some(value) {
            broken!("{id:?}: a scan and a get of {} disagree", show(key));
        }
    }
    let stats = ns.stats().await.map_err(|e| unexpected("stats", &e))?;
    if stats.is_exact && stats.rows != rows.len() as u64 {
        broken!("{id:?}: {} rows are counted, there are {}", stats.rows, rows.len());
    }
    Ok(State { name, rows })
}
