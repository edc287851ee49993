//! The numbers behind names: given out once, whatever a crash takes away.

use crate::error::Result;
use crate::manifest::Edit;
use crate::shard::Shard;
use crate::shards::Shards;
use jdb_base::{Class, NsId};
use jdb_io::plant::{Plant, planted};
use std::cell::Cell;

/// Numbers that the MANIFEST sets aside at once, for each shard there is: about one in as many belongs to it.
const SET_ASIDE: u64 = 512;

/// The numbers that a shard may give to names.
#[derive(Default, Debug)]
pub(crate) struct NameNumbers {
    /// The next one, and the first that the MANIFEST does not set aside.
    range: Cell<(u64, u64)>,
}

impl NameNumbers {
    /// As the MANIFEST leaves them: of what a life before has set aside nothing is used.
    pub(crate) fn from(next_name: u64) -> Self {
        let next = next_name.max(1);
        Self { range: Cell::new((next, next)) }
    }
}

impl Shard {
    /// Sets `count` numbers aside, unless somebody else has since the last one was `end`.
    async fn set_names_aside(&self, end: u64, count: u64) -> Result<()> {
        self.check_writable()?;
        let mut manifest = self.manifest.lock().await;
        if self.name_numbers.range.get().1 != end {
            return Ok(());
        }
        let end = end.max(manifest.state.next_name);
        let wanted = end.saturating_add(count);
        if !planted(Plant::ReuseName) {
            let edit = Edit { next_name: Some(wanted), ..Edit::default() };
            self.commit_edit(&mut manifest, &edit).await?;
        }
        self.name_numbers.range.set((end, wanted));
        Ok(())
    }
}

/// A number that nobody has had, of this shard. The MANIFEST sets many aside before the first of them is given out.
pub(super) async fn next_id(shards: &Shards, name: &[u8]) -> Result<NsId> {
    let (shard, index) = (shards.of_name(name), shards.index_of_name(name));
    loop {
        let (next, end) = shard.name_numbers.range.get();
        if let Some(number) =
            (next..end).find(|&number| shards.index_of(NsId::new(Class::Named, number.into())) == index)
        {
            shard.name_numbers.range.set((number + 1, end));
            return Ok(NsId::new(Class::Named, number.into()));
        }
        shard.set_names_aside(end, SET_ASIDE * shards.len() as u64).await?;
    }
}
