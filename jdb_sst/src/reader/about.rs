//! What a table says about itself: its groups and its properties.

use super::{SstReader, find};
use crate::error::{Damage, Result};
use crate::filter::{FilterBlock, filter_hash};
use crate::group::{self, Answer, GroupStats};
use crate::handle::Handle;
use crate::lookup::Found;
use crate::meta::MetaType;
use crate::properties::Properties;
use crate::walk::Want;
use jdb_base::SeqNo;
use std::rc::Rc;

impl SstReader {
    /// Whether the table may hold a key of the group with this prefix; `false` is certain. Always `true` within the table's key
    /// range when it was written without [`filter_groups`](crate::WriterOptions::filter_groups).
    ///
    /// Cost: as [`SstReader::may_contain`].
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn may_contain_group(&self, prefix: &[u8]) -> Result<bool> {
        let (lookup, mut want) = self.begin(prefix, SeqNo::MAX)?;
        while let Some(next) = want.filter(|next| next.level + 1 < usize::from(self.footer.height)) {
            let bytes = self.load(next).await?;
            match lookup.look(next, &bytes).map_err(|damage| damage.of(self.path()))? {
                Found::Below(below) => want = Some(below),
                Found::Answer(_) => want = None,
            }
        }
        let (Some(salt), Some(handle)) = (self.salt, want.and_then(Want::filter)) else {
            return Ok(want.is_some());
        };
        let bytes = self.load(Want { level: 1, handle, filter_len: 0 }).await?;
        let filter = FilterBlock::parse(&bytes);
        let filter = filter.map_err(|damage| damage.after(handle.offset).of(self.path()))?;
        Ok(filter.is_none_or(|filter| !filter.has_groups() || filter.may_contain(filter_hash(prefix, salt))))
    }

    /// What the table holds of the group with this prefix; `None` for nothing.
    ///
    /// Cost: one block of the group directory, two in a table of many large groups. A group that is not in it lies in one data
    /// block and is counted there: three blocks more at most. In a table without a directory the whole group is read.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn group(self: &Rc<Self>, prefix: &[u8]) -> Result<Option<GroupStats>> {
        if let Some(stats) = self.listed_group(prefix).await? {
            return Ok(Some(stats));
        }
        let mut stats = GroupStats::default();
        let mut cursor = self.cursor();
        cursor.seek(prefix, SeqNo::MAX).await?;
        while let Some(entry) = cursor.entry().filter(|entry| entry.key.starts_with(prefix)) {
            stats.add(entry.key, entry.seq, entry.kind, entry.value);
            cursor.next().await?;
        }
        Ok((stats != GroupStats::default()).then_some(stats))
    }

    /// What the group directory says of a group; `None` when it is not in there.
    pub(crate) async fn listed_group(&self, prefix: &[u8]) -> Result<Option<GroupStats>> {
        let Some(mut handle) = find(&self.meta, MetaType::GroupDirectory) else { return Ok(None) };
        let bytes = self.load(Want { level: 1, handle, filter_len: 0 }).await?;
        let error = |handle: Handle, damage: Damage| damage.after(handle.offset).of(self.path());
        let read = group::decode(&bytes).map_err(|damage| error(handle, damage))?;
        let Some((mut height, block)) = read else { return Ok(None) };
        let mut block = bytes.slice_ref(block);
        loop {
            let answer = group::look(&block, height, prefix, self.limit);
            match answer.map_err(|damage| error(handle, damage))? {
                Answer::Small => return Ok(None),
                Answer::Stats(stats) => return Ok(Some(stats)),
                Answer::Below(span) => handle = span.index(),
            }
            block = self.load(Want { level: 1, handle, filter_len: 0 }).await?;
            height -= 1;
        }
    }

    /// Counts and creation parameters; `None` when the table was written without.
    ///
    /// Cost: one read.
    ///
    /// # Errors
    /// As [`SstReader::get`].
    pub async fn properties(&self) -> Result<Option<Properties>> {
        let Some(handle) = find(&self.meta, MetaType::Properties) else { return Ok(None) };
        let bytes = self.load(Want { level: 1, handle, filter_len: 0 }).await?;
        let properties = Properties::decode(&bytes);
        properties.map(Some).map_err(|damage| damage.after(handle.offset).of(self.path()))
    }
}
