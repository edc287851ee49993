//! MANIFEST: the log of changes to a shard's set of files, and the only commit point.
mod edit;
mod state;

pub use edit::{
    DropEntry, Edit, FooterEntry, FooterPlace, Gap, LiveDelta, PackEntry, Position, SegmentEntry, TableEntry,
    TableMove, WindowEntry,
};
pub use state::State;
