//! Goes through entries in their order and says of each who still reads it, as of one moment.

use crate::keeper::Keeper;
use crate::shadow::{Seen, Shadow};
use jdb_base::SeqNo;
use std::fmt;
use std::rc::Rc;

/// Asks the keeper once for each group, and offers every version of a key to the group's read points.
pub(crate) struct Visibility {
    keeper: Rc<dyn Keeper>,
    /// Drops above it are not applied; read points at or above it are as every later read.
    now: SeqNo,
    shadow: Option<Shadow>,
    /// The first key that needs another [`Shadow`].
    group_end: Option<Vec<u8>>,
}

impl Visibility {
    /// As of `now`; the keeper's answers are of that moment.
    pub(crate) fn new(keeper: Rc<dyn Keeper>, now: SeqNo) -> Self {
        Self { keeper, now, shadow: None, group_end: None }
    }

    /// The versions of another key begin, which is above the one before.
    pub(crate) fn begin_key(&mut self, key: &[u8]) {
        let in_group = self.group_end.as_deref().is_none_or(|end| key < end);
        match &mut self.shadow {
            Some(shadow) if in_group => shadow.begin_key(),
            _ => {
                let mut group = self.keeper.group(key);
                self.group_end = group.end.take();
                self.shadow = Some(Shadow::new(group, self.now));
            }
        }
    }

    /// Who sees the version of this sequence, the next older one of the key.
    #[inline]
    pub(crate) fn sees(&mut self, seq: SeqNo) -> Seen {
        self.shadow.as_mut().map_or(Seen::Always, |shadow| shadow.sees(seq))
    }

    /// As [`Shadow::drop_seq_max`].
    #[inline]
    pub(crate) fn drop_seq_max(&self, seq: SeqNo) -> SeqNo {
        self.shadow.as_ref().map_or(SeqNo::MAX, |shadow| shadow.drop_seq_max(seq))
    }
}

impl fmt::Debug for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visibility").field("now", &self.now).finish_non_exhaustive()
    }
}
