//! Point reads of a namespace: one key or many, as of now or as of a snapshot.
//!
//! A read takes sequence, Version and hidden ranges in one step and keeps them: whatever is flushed or merged meanwhile, it
//! answers as of that moment. What is in memory is answered without suspending.
//!
//! A snapshot and a scan hold their sequence as a read point: compactions keep the rows that it sees.
//!
//! Many keys are looked up in two rounds: where the values are, then the values (`pack`). In the first round
//! a look-up that waits for a block lets the others go on.

use crate::error::Result;
use crate::points::HeldPoint;
use crate::scan::Scan;
use crate::shard::{Shard, View};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use jdb_base::key::{self, Sought};
use jdb_base::{NsId, SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_io::task;
use jdb_lsm::{Found, Payload};
use jdb_val::Wanted;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Look-ups that wait for a block at once, and reads of values that are under way at once.
pub(crate) const DEPTH: usize = 64;

/// After this many look-ups others get the thread, however much is in memory.
const READY_COUNT_MAX: usize = 256;

/// A key that is wanted: its place in the answer, namespace and user's key.
pub(crate) struct Key<'a> {
    pub(crate) slot: usize,
    pub(crate) ns: NsId,
    pub(crate) key: &'a [u8],
}

/// A pointer that [`Shard::get_many`] follows in its second round.
struct Led {
    slot: usize,
    key: Sought,
    seq: SeqNo,
    ptr: ValuePtr,
}

impl Shard {
    /// The newest value of `key` in `ns`.
    pub(crate) async fn get(&self, ns: NsId, key: &[u8]) -> Result<Option<Bytes>> {
        let seq = self.visible.get();
        if planted(Plant::ReadInTwoSteps) {
            self.disk.sleep(Duration::from_millis(5)).await;
        }
        self.get_in(self.view_at(ns, seq), ns, key).await
    }

    pub(crate) async fn get_in(&self, view: View, ns: NsId, key: &[u8]) -> Result<Option<Bytes>> {
        if key.len() > key::KEY_LEN_MAX {
            return Ok(None);
        }
        let key = key::sought(ns, key);
        // The view is held until the value is read: what it leads to stays where it is.
        match find_in(&view, &key).await? {
            None => Ok(None),
            Some(found) => self.value_of(found, &key).await,
        }
    }

    /// The value of what was found under an engine key; `None` for a tombstone.
    pub(crate) async fn value_of(&self, found: Found, key: &[u8]) -> Result<Option<Bytes>> {
        match found.payload {
            Payload::Tombstone => Ok(None),
            Payload::Inline(value) => Ok(Some(value)),
            Payload::Pointer(ptr) => Ok(Some(self.packs.read(&self.log, ptr, key, found.seq).await?)),
        }
    }

    /// The length in bytes of the value of `key`, which is not read.
    pub(crate) async fn len_in(&self, view: View, ns: NsId, key: &[u8]) -> Result<Option<u64>> {
        if key.len() > key::KEY_LEN_MAX {
            return Ok(None);
        }
        let found = find_in(&view, &key::sought(ns, key)).await?;
        Ok(found.and_then(|found| match found.payload {
            Payload::Tombstone => None,
            Payload::Inline(value) => Some(value.len() as u64),
            Payload::Pointer(ptr) => Some(u64::from(ptr.len)),
        }))
    }

    /// The values of many keys as of one sequence, with their slots; those of absent keys are left out.
    pub(crate) async fn get_many(&self, keys: &[Key<'_>], seq: SeqNo) -> Result<Vec<(usize, Bytes)>> {
        let mut values = Vec::with_capacity(keys.len());
        let mut led = Vec::new();
        let mut first_error = Ok(());
        let views = self.views_at(keys, seq);
        let mut views_left = views.as_slice();
        let look = |i: usize| {
            let &Key { slot, ns, key } = keys.get(i)?;
            if let [_, rest @ ..] = views_left
                && rest.first().is_some_and(|(first, _)| *first == i)
            {
                views_left = rest;
            }
            let (_, view) = views_left.first()?;
            let key = key::sought(ns, key);
            Some(async move {
                let found = find_in(view, &key).await;
                (slot, key, found)
            })
        };
        at_once(look, |(slot, key, found)| match found {
            Ok(None) => {}
            Ok(Some(Found { seq, payload })) => match payload {
                Payload::Tombstone => {}
                Payload::Inline(value) => values.push((slot, value)),
                Payload::Pointer(ptr) => led.push(Led { slot, key, seq, ptr }),
            },
            Err(error) => {
                if first_error.is_ok() {
                    first_error = Err(error);
                }
            }
        })
        .await;
        first_error?;
        let wanted: Vec<Wanted<'_>> =
            led.iter().map(|led| Wanted { ptr: led.ptr, key: &led.key, seq: led.seq }).collect();
        let many = self.packs.read_many(&self.log, &wanted, DEPTH, false).await;
        // The values are where their Version says as long as it is held.
        drop(views);
        for (led, value) in led.iter().zip(many.values) {
            values.push((led.slot, value?));
        }
        Ok(values)
    }

    /// What a read of these keys sees, all taken in this one step: the place of the first key of each row of keys of one
    /// namespace, and its view. What is taken later may lack entries that this sequence sees.
    fn views_at(&self, keys: &[Key<'_>], seq: SeqNo) -> Vec<(usize, View)> {
        let mut views: Vec<(usize, View)> = Vec::new();
        let mut last = None;
        for (i, key) in keys.iter().enumerate() {
            if last.replace(key.ns) != Some(key.ns) {
                views.push((i, self.view_at(key.ns, seq)));
            }
        }
        views
    }
}

/// The newest entry of an engine key that a view sees.
pub(crate) async fn find_in(view: &View, key: &[u8]) -> Result<Option<Found>> {
    Ok(view.version.get(key, view.seq, &view.hidden).await?)
}

/// Runs the futures that `make` gives, until it gives none: each is polled as it comes, and what has to wait waits together
/// with at most [`DEPTH`] others. Those that are ready at once share one allocation.
async fn at_once<F: Future>(mut make: impl FnMut(usize) -> Option<F>, mut done: impl FnMut(F::Output)) {
    let mut waiting = FuturesUnordered::new();
    let mut place = None;
    let mut i = 0;
    while let Some(future) = make(i) {
        i += 1;
        if i % READY_COUNT_MAX == 0 {
            task::yield_now().await;
        }
        let mut boxed = match place.take() {
            None => Box::pin(future),
            Some(mut boxed) => {
                std::pin::Pin::set(&mut boxed, future);
                boxed
            }
        };
        match futures::poll!(boxed.as_mut()) {
            Poll::Ready(output) => {
                done(output);
                place = Some(boxed);
            }
            Poll::Pending => {
                waiting.push(boxed);
                if waiting.len() >= DEPTH
                    && let Some(output) = waiting.next().await
                {
                    done(output);
                }
            }
        }
    }
    while let Some(output) = waiting.next().await {
        done(output);
    }
}

/// A namespace as of one moment, for as long as it is held. It holds the rows that it sees, no files.
#[derive(Clone, Debug)]
pub struct Snapshot {
    point: HeldPoint,
}

impl Snapshot {
    pub(crate) fn new(shard: &Rc<Shard>, ns: NsId) -> Self {
        Self { point: HeldPoint::now(shard, ns) }
    }

    /// The sequence it reads at.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.point.seq()
    }

    fn view(&self) -> View {
        self.point.shard().view_at(self.point.ns(), self.point.seq())
    }

    /// The value of `key` as of this snapshot.
    ///
    /// # Errors
    /// What cannot be read or is damaged; never a wrong answer.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.point.shard().get_in(self.view(), self.point.ns(), key).await
    }

    /// The length in bytes of the value of `key` as of this snapshot; no value is read.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn value_len(&self, key: &[u8]) -> Result<Option<u64>> {
        self.point.shard().len_in(self.view(), self.point.ns(), key).await
    }

    /// The values of many keys as of this snapshot, in their order.
    ///
    /// # Errors
    /// As [`Snapshot::get`], of the first key that fails.
    pub async fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>> {
        let mut values = vec![None; keys.len()];
        let ns = self.point.ns();
        let keys: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(slot, key)| Key { slot, ns, key: key.as_ref() })
            .filter(|key| key.key.len() <= key::KEY_LEN_MAX)
            .collect();
        for (slot, value) in self.point.shard().get_many(&keys, self.point.seq()).await? {
            if let Some(place) = values.get_mut(slot) {
                *place = Some(value);
            }
        }
        Ok(values)
    }

    /// A walk over the rows with `lower <= key`, and `key < upper` when there is one, as of this snapshot.
    #[must_use]
    pub fn scan(&self, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(self.point.clone(), lower, upper)
    }
}
