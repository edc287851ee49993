//! Which drops go into the MANIFEST with an edit, and which no table needs any more.
//!
//! A drop's record is replayed from the log until replay starts behind it; from then on the MANIFEST holds the drop, as of
//! the replay position, until every table that covers its namespace has applied it.

use crate::drops::key_ranges;
use crate::error::Result;
use crate::manifest::{DropEntry, Edit, State, TableEntry};
use crate::shard::Shard;
use jdb_base::SeqNo;
use jdb_io::plant::{Plant, planted};

/// Drops of the MANIFEST looked at with one edit: the others come with later ones.
const LOOK_COUNT_MAX: usize = 2048;

/// Tables after an edit, the ones that lack most drops first.
struct Tables<'a>(Vec<&'a TableEntry>);

impl<'a> Tables<'a> {
    fn after(state: &'a State, edit: &'a Edit) -> Self {
        let stays = |table: &&TableEntry| !edit.tables_removed.contains(&table.number);
        let mut tables: Vec<_> = state.tables.values().filter(stays).chain(&edit.tables_added).collect();
        tables.sort_by_key(|table| table.drop_seq);
        Self(tables)
    }

    /// Whether some table may hold entries that `drop` hides and has not applied it.
    fn need(&self, drop: &DropEntry) -> bool {
        let ranges = key_ranges(drop.ns);
        self.0.iter().take_while(|table| table.drop_seq < drop.at).any(|table| {
            ranges.iter().any(|(lower, upper)| {
                lower.as_slice() <= &table.last_key[..]
                    && upper.as_deref().is_none_or(|upper| &table.first_key[..] < upper)
            })
        })
    }
}

impl Shard {
    /// Completes an edit that makes `last_seq` the newest sequence below the replay position, or leaves it what it was:
    /// drops that fall below it and are needed are added, those that nobody needs any more are removed. Returns what leaves
    /// the drop map when the edit is durable.
    ///
    /// Memtables need no look: those that stay hold only what is newer than every drop considered here.
    pub(crate) fn retire_drops(&self, state: &State, last_seq: SeqNo, edit: &mut Edit) -> Vec<DropEntry> {
        let drops = self.drops.borrow();
        if drops.count() == 0 && state.drops.is_empty() {
            return Vec::new();
        }
        // Of whole drops of one namespace below the replay position a newer one covers an older one.
        let mut gone = drops.covered(last_seq, &self.points.borrow());
        let mut covered: Vec<SeqNo> = gone.iter().map(|drop| drop.at).collect();
        covered.sort_unstable();
        let tables = Tables::after(state, edit);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        removed.extend(covered.iter().filter(|at| state.drops.contains_key(at)));
        // Where the last edit stopped looking, and round.
        let (from, mut until) = (self.retire_from.get(), None);
        let known = state.drops.range(from..).chain(state.drops.range(..from)).map(|(_, drop)| drop);
        for (looked, drop) in known.filter(|drop| covered.binary_search(&drop.at).is_err()).enumerate() {
            if looked == LOOK_COUNT_MAX {
                until = Some(drop.at);
                break;
            }
            if !tables.need(drop) {
                removed.push(drop.at);
                gone.push(*drop);
            }
        }
        self.retire_from.set(until.unwrap_or_default());
        // Those at or below the position before are in the MANIFEST, or were needed by nobody.
        let through = if planted(Plant::DropMapOfNow) { SeqNo::MAX } else { last_seq };
        for drop in drops.between(state.last_seq, through) {
            if state.drops.contains_key(&drop.at) || covered.binary_search(&drop.at).is_ok() {
                continue;
            }
            if !tables.need(drop) {
                gone.push(*drop);
            } else if !planted(Plant::ForgetDropBelowReplay) {
                added.push(*drop);
            }
        }
        edit.drops_added.extend(added);
        edit.drops_removed.extend(removed);
        gone
    }

    /// When there is nothing else to do: lets drops go that no table needs, some at a time, by a MANIFEST record of their own.
    ///
    /// # Errors
    /// Why the record could not be written.
    pub(crate) async fn retire_waiting_drops(&self) -> Result<()> {
        let mut manifest = self.manifest.lock().await;
        let unlooked = self.retire_due.get().min(manifest.state.drops.len());
        if unlooked > 0 {
            let mut edit = Edit::default();
            let gone = self.retire_drops(&manifest.state, manifest.state.last_seq, &mut edit);
            if !edit.drops_removed.is_empty() {
                self.commit_edit(&mut manifest, &edit).await?;
                self.drops.borrow_mut().remove(&gone);
            }
        }
        self.retire_due.set(unlooked.saturating_sub(LOOK_COUNT_MAX));
        Ok(())
    }
}
