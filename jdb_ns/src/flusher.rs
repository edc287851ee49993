//! The flusher of a shard: closed memtables become tables, in their order, and the replay position moves behind them.
//!
//! ```text
//! log synced through the memtable -> table synced -> directory synced -> one MANIFEST record -> published
//! ```
//!
//! The record holds the table **and** where replay starts from now on: recovery replays exactly what is in no table.

use crate::compactor::table_entry;
use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::keeper::Moment;
use crate::live_sets::LiveSets;
use crate::manifest::{DropEntry, Edit, FooterPlace, LiveDelta, Position, SegmentEntry, State};
use crate::shard::{ClosedMemtable, Shard};
use futures::future::{Either, select};
use jdb_io::plant::{Plant, planted};
use jdb_io::{Abort, task};
use jdb_lsm::{FlushOptions, Flushed, Table, write_runs};
use jdb_mem::Memtable;
use jdb_val::{ChainSegment, LogPos};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Time between two attempts after one failed.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until the shard stops or must not write any more.
pub(crate) async fn run(shard: Rc<Shard>) {
    let mut written = None;
    while !shard.stopping.get() && shard.poison.borrow().is_none() {
        let oldest = shard.closed.borrow().front().cloned();
        let Some(closed) = oldest else {
            if shard.turn_over_due.get() {
                shard.turn_over().await;
            } else {
                shard.wait_for_flush().await;
            }
            continue;
        };
        let result = shard.flush_one(&closed, &mut written).await;
        match result {
            Ok(()) => {
                written = None;
                shard.closed.borrow_mut().pop_front();
                let memtable = Rc::downgrade(&closed.memtable);
                free(closed.memtable).await;
                *shard.flush_error.borrow_mut() = None;
                shard.account.freed(memtable, closed.memory_len);
                shard.want_compaction();
                shard.reserve.restore().await;
            }
            Err(error) if error.is_no_space() && shard.make_room().await => {}
            Err(error) => {
                *shard.flush_error.borrow_mut() = Some(error);
                shard.account.tell_all();
                if shard.stopping.get() {
                    break;
                }
                let (due, timer) = (pin!(shard.flush_due.wait()), pin!(shard.disk.sleep(RETRY)));
                select(due, timer).await;
            }
        }
    }
    shard.account.tell_all();
}

/// Gives a memtable's memory back chunk by chunk, unless a reader still holds it.
async fn free(memtable: Rc<Memtable>) {
    let Some(mut memtable) = Rc::into_inner(memtable) else { return };
    while memtable.free_some() {
        task::yield_now().await;
    }
}

impl Shard {
    /// Waits until a memtable is closed, and closes the active one when it is old enough.
    async fn wait_for_flush(&self) {
        let Some(since) = self.active.get().since else { return self.flush_due.wait().await };
        let left = (since + self.settings.flush_interval).saturating_sub(self.disk.now());
        if left.is_zero() {
            return self.close_memtable();
        }
        let (due, timer) = (pin!(self.flush_due.wait()), pin!(self.disk.sleep(left)));
        if let Either::Right(_) = select(due, timer).await {
            self.close_memtable();
        }
    }

    /// One attempt. `written` is the table of an earlier attempt that could not be committed: it is durable, and an earlier
    /// MANIFEST record may name it, so that it is neither written again nor removed.
    async fn flush_one(
        self: &Rc<Self>,
        closed: &ClosedMemtable,
        written: &mut Option<Option<Flushed>>,
    ) -> Result<()> {
        if !planted(Plant::FlushBeforeLogSync) {
            self.wait_synced(closed.end).await?;
        }
        if written.is_none() {
            let result = self.write_table(closed).await;
            if let Err(error) = &result
                && error.is_failed_sync()
            {
                self.poison(error);
            }
            *written = Some(result?);
        }
        let written = written.clone().flatten();
        self.write_footers(closed.end).await;

        let stale = self.stale_state().await;
        let mut manifest = self.manifest.lock().await;
        let state = stale.as_ref().unwrap_or(&manifest.state);
        let (edit, gone) = self.flush_edit(state, closed, written.as_ref());
        let new_origins =
            written.as_ref().map(|flushed| LiveSets::new_origins(&flushed.pointed, &manifest.state));
        // After an error the record may be whole on disk all the same: its table stays.
        self.commit_edit(&mut manifest, &edit).await?;
        let table = written.map(|flushed| {
            self.live_sets.borrow_mut().flushed(
                flushed.pointed,
                &new_origins.unwrap_or_default(),
                closed.last_seq,
            );
            let path = FileName::Table(flushed.meta.number).path(&self.dir);
            Rc::new(Table::new(&self.disk, path, flushed.meta, Some(self.cache.clone()), &self.handles))
        });
        // Nothing is awaited between the commit and its publication.
        if let Some(sealed) = edit.segments_sealed.iter().map(|segment| segment.number).max() {
            self.sealed_below.set(sealed);
        }
        let table_len = table.as_ref().map_or(0, |table| table.meta().len);
        self.tree.flushed(&closed.memtable, table);
        self.flushed_seq.set(self.flushed_seq.get().max(closed.last_seq));
        self.drops.borrow_mut().remove(&gone);
        self.retire_due.set(usize::MAX);
        self.note_live(&manifest.state);
        self.count(|counts| {
            counts.flushes += 1;
            counts.flushed_len += table_len;
        });
        Ok(())
    }

    /// The table's file, durable with its name; `None` for a memtable without entries.
    async fn write_table(self: &Rc<Self>, closed: &ClosedMemtable) -> Result<Option<Flushed>> {
        let is_over = || self.stopping.get() || self.poison.borrow().is_some();
        let Some(_place) = self.account.flushes.pass(is_over).await else { return Err(Error::Closed) };
        let number = self.take_number();
        let path = FileName::Table(number).path(&self.dir);
        let mut last_seq = closed.last_seq;
        if planted(Plant::FlushDropsAhead) {
            // Time for drops to come that are newer than the memtable.
            self.disk.sleep(Duration::from_millis(5)).await;
            last_seq = self.visible.get();
        }
        let (writer, moment) = (self.writer_options(), Moment::of(self));
        let (feed, runs) = jdb_lsm::flush::runs();
        let to = path.clone();
        let write = self.job(move |disk, _| async move {
            let keeper = moment.keeper();
            let options = FlushOptions { writer, record_len: jdb_val::record_len, keeper, last_seq };
            write_runs(&disk, &to, number, options, runs).await
        });
        let (feed, write) = (pin!(feed.all(&closed.memtable)), pin!(write));
        // Whoever writes may have failed before it took everything.
        let written = match select(write, feed).await {
            Either::Left((written, _)) => written?,
            Either::Right(((), write)) => write.await?,
        };
        let mut flushed = match written {
            Ok(flushed) => flushed,
            Err(error) => {
                // No MANIFEST names it: it may go at once, and goes at the next open otherwise.
                drop(self.disk.remove(&path).await);
                return Err(error.into());
            }
        };
        if flushed.is_some() && !planted(Plant::NoTableDirSync) {
            self.names.sync(&self.disk, &self.dir).await?;
        }
        if let Some(flushed) = &mut flushed {
            flushed.meta.hidden_len = self.tree.version().hidden_len(&flushed.sample).await;
        }
        Ok(flushed)
    }

    /// Writes the footers of segments that will be sealed by the flush through `end`. A footer is an index of what the records say
    /// themselves: a failure leaves the segment without one, and a job that panicked has stopped the shard.
    async fn write_footers(&self, end: LogPos) {
        for segment in self.sealed_through(end) {
            let known = self.footers.borrow().contains_key(&segment.number);
            let committed = self.sealed_below.get() >= segment.number;
            if !known && !committed {
                let place = self.write_footer(segment.number).await.ok();
                self.footers.borrow_mut().insert(segment.number, place);
            }
        }
    }

    /// Reads the segment once: it is the worker's. Closing waits for it, for nobody makes the footer of a sealed segment later; it
    /// ends early when nobody waits any more.
    async fn write_footer(&self, number: u32) -> Result<FooterPlace> {
        let (log, abort) = (self.log.excerpt(&[number]), Abort::default());
        let of_job = abort.clone();
        let done = self.disk.job(&abort, move |disk| async move {
            let mut write = pin!(log.write_footer(&disk, number));
            // It gives up the thread after each piece, and is looked at again before the next.
            poll_fn(|cx| if of_job.is_set() { Poll::Ready(None) } else { write.as_mut().poll(cx).map(Some) })
                .await
        });
        // It would panic again and again.
        let place = done.await.map_err(Error::from).inspect_err(|error| self.poison(error))?;
        let (offset, len) = place.ok_or(Error::Closed)??;
        Ok(FooterPlace { offset, len })
    }

    /// Segments that end at or before `end` and have a successor: nothing is appended to them any more.
    fn sealed_through(&self, end: LogPos) -> Vec<ChainSegment> {
        let mut chain = self.log.chain();
        chain.pop();
        chain.retain(|segment| LogPos::new(segment.number, segment.end) <= end);
        chain
    }

    /// The one record that commits a flush, built under the MANIFEST's lock, and the drops that no table needs any more.
    fn flush_edit(
        &self,
        state: &State,
        closed: &ClosedMemtable,
        flushed: Option<&Flushed>,
    ) -> (Edit, Vec<DropEntry>) {
        let mut edit = Edit {
            replay_from: Some(position(closed.end)),
            last_seq: Some(closed.log_seq.max(state.last_seq)),
            unix_ms: Some(self.disk.unix_ms()),
            next_number: Some(self.next_number().max(state.next_number)),
            log_synced: Some(position(self.log.synced())),
            ..Edit::default()
        };
        if let Some(flushed) = flushed {
            edit.tables_added.push(table_entry(&flushed.meta, 0));
            edit.live_deltas = flushed
                .live
                .iter()
                .map(|(&origin, live)| LiveDelta {
                    origin,
                    delta: i64::try_from(live.len).unwrap_or(i64::MAX)
                        * if planted(Plant::CountLiveTwice) { 2 } else { 1 },
                })
                .collect();
            edit.live_deltas.sort_by_key(|delta| delta.origin);
        }
        let mut footers = self.footers.borrow_mut();
        for segment in self.sealed_through(closed.end) {
            // What was collected is sealed too, and stays in the chain while somebody may read it.
            if !state.segments.contains_key(&segment.number) && segment.number > self.sealed_below.get() {
                let footer = footers.remove(&segment.number).flatten();
                let end_len = LogPos::new(segment.number, segment.end).byte_offset();
                edit.segments_sealed.push(SegmentEntry {
                    number: segment.number,
                    end: segment.end,
                    pred: position(segment.pred),
                    pred_last_seq: segment.pred_last_seq,
                    seq_min: segment.seq_min,
                    seq_max: segment.seq_max,
                    len: footer.map_or(end_len, |f| (f.offset + u64::from(f.len)).max(end_len)),
                    footer,
                });
            }
        }
        drop(footers);
        let last_seq = closed.last_seq.max(state.last_seq);
        let gone = self.retire_drops(state, last_seq, &mut edit);
        (edit, gone)
    }
}

/// A place in the log as the MANIFEST writes it.
pub(crate) fn position(pos: LogPos) -> Position {
    Position { segment: pos.segment, offset: pos.offset }
}
