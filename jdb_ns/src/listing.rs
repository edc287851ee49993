//! The namespaces of a database, in order: found by skipping over the index, not by reading every row.
//!
//! In each shard a scan goes to the first row behind the last namespace that was found; that row's namespace is the next one,
//! unless a drop hides what it has. Cost: some steps for a namespace of few rows, one seek for another, one more for a namespace
//! with drops.

use crate::error::Result;
use crate::points::HeldPoint;
use crate::scan::Scan;
use crate::shard::Shard;
use jdb_base::{Class, NsId, key};
use jdb_lsm::Hidden;
use std::rc::Rc;
use std::time::Duration;

/// The classes whose namespaces are listed.
const LISTED: [Class; 2] = [Class::User, Class::Named];
/// After this time, and after this many namespaces, a walk goes on in the newest Version.
const PIN_TIME_MAX: Duration = Duration::from_secs(1);
const PIN_COUNT_MAX: u32 = 1024;
/// Rows of a namespace that are stepped over before its end is sought: together they cost less than a seek.
const STEP_COUNT_MAX: u32 = 16;

/// The namespaces that have rows, by class and id, each as of the moment it is found.
#[derive(Debug)]
pub struct Namespaces {
    shards: Vec<Walk>,
    class: usize,
}

/// Where the walk over a shard's namespaces is.
#[derive(Debug)]
struct Walk {
    shard: Rc<Shard>,
    /// The last one that was found, or where to begin behind.
    last: Option<NsId>,
    next: Next,
    scan: Option<(jdb_lsm::Scan, Duration, u32)>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Unknown,
    Is(NsId),
    None,
}

impl Namespaces {
    pub(crate) fn new(shards: &[Rc<Shard>], after: Option<NsId>) -> Self {
        let walk =
            |shard: &Rc<Shard>| Walk { shard: shard.clone(), last: after, next: Next::Unknown, scan: None };
        let class =
            after.map_or(0, |after| LISTED.iter().take_while(|&&class| class < after.class()).count());
        Self { shards: shards.iter().map(walk).collect(), class }
    }

    /// The next namespace that has a row now; `None` at the end.
    ///
    /// Dropping the future loses nothing: the next call gives the same one.
    ///
    /// # Errors
    /// What cannot be read.
    pub async fn next(&mut self) -> Result<Option<NsId>> {
        while let Some(&class) = LISTED.get(self.class) {
            let mut first: Option<(usize, NsId)> = None;
            for (i, walk) in self.shards.iter_mut().enumerate() {
                if let Some(ns) = walk.peek(class).await?
                    && first.is_none_or(|(_, first)| ns < first)
                {
                    first = Some((i, ns));
                }
            }
            if let Some((i, ns)) = first {
                if let Some(walk) = self.shards.get_mut(i) {
                    (walk.last, walk.next) = (Some(ns), Next::Unknown);
                }
                return Ok(Some(ns));
            }
            self.class += 1;
            for walk in &mut self.shards {
                (walk.next, walk.scan) = (Next::Unknown, None);
            }
        }
        Ok(None)
    }
}

impl Walk {
    /// The shard's next namespace of a class.
    async fn peek(&mut self, class: Class) -> Result<Option<NsId>> {
        loop {
            match self.next {
                Next::Is(ns) => return Ok(Some(ns)),
                Next::None => return Ok(None),
                Next::Unknown => {}
            }
            let Some(found) = self.find(class).await? else {
                self.next = Next::None;
                return Ok(None);
            };
            let seq = self.shard.visible.get();
            // A drop may also have been applied and forgotten since the scan's Version.
            let stale =
                self.scan.as_ref().is_none_or(|(scan, ..)| !self.shard.tree.is_newest(scan.version()));
            let doubt = stale || !self.shard.drops.borrow().hidden(found, seq).is_empty();
            if doubt && !Scan::new(HeldPoint::now(&self.shard, found), &[], None).next().await? {
                self.last = Some(found);
                continue;
            }
            self.next = Next::Is(found);
        }
    }

    /// The namespace of the first row behind the last one, whether a drop hides that row or not.
    async fn find(&mut self, class: Class) -> Result<Option<NsId>> {
        let last = self.last.filter(|last| last.class() == class);
        let lower = || match last {
            Some(last) => key::prefix_end(&key::engine_key(last, &[])).unwrap_or_default(),
            None => key::engine_key(NsId::new(class, 0), &[]),
        };
        let now = self.shard.disk.now();
        let old = |&(_, since, count): &(_, Duration, u32)| {
            count >= PIN_COUNT_MAX || now.saturating_sub(since) >= PIN_TIME_MAX
        };
        let (mut scan, since, count) = match self.scan.take().filter(|scan| !old(scan)) {
            Some(scan) => scan,
            None => {
                let upper = NsId::new(class, 0).class_end().unwrap_or_else(|| vec![0xff]);
                let (version, seq) = (self.shard.tree.version(), self.shard.visible.get());
                (jdb_lsm::Scan::new(version, seq, Hidden::default(), lower(), upper), now, 0)
            }
        };
        // A new scan sits before the first row behind the last namespace, another one on a row of that namespace.
        let mut ns = step(&mut scan).await?;
        for _ in 1..STEP_COUNT_MAX {
            if ns.is_none() || ns != last {
                break;
            }
            ns = step(&mut scan).await?;
        }
        if ns.is_some() && ns == last {
            scan.seek(&lower());
            ns = step(&mut scan).await?;
        }
        self.scan = Some((scan, since, count + 1));
        Ok(ns)
    }
}

/// The namespace of the scan's next row.
async fn step(scan: &mut jdb_lsm::Scan) -> Result<Option<NsId>> {
    let found = scan.next().await?;
    Ok(scan.row().filter(|_| found).and_then(|row| NsId::take(&mut &row.key[..])))
}
