//! MANIFEST: the log of changes to a shard's set of files, and the only commit point.
//!
//! | module | word |
//! |---|---|
//! | `edit` | [`Edit`]: one change, applied whole or not at all |
//! | `state` | [`State`]: what the edits add up to |
//! | `times` | when which sequences were written |
//! | `codec`, `field` | an edit as tagged fields |
//! | `layout` | the file's header and the frame of a record |
//! | `reader` | from the header to the true end; torn tail or damage |
//! | `file` | [`ManifestFile`]: create, load, commit, roll over |
//! | `dump` | a file as lines of text |
//!
//! Invariants
//! - A record is synced before the next is written, so only the last one can be torn.
//! - The first record of a file is the whole state; a file replaces the one before it at once, by a rename.
//!
//! Format: docs/format/manifest.md.

mod codec;
mod dump;
mod edit;
mod field;
mod file;
mod layout;
mod reader;
mod state;
mod times;

pub use dump::dump;
pub use edit::{
    DropEntry, Edit, FooterEntry, FooterPlace, Gap, LiveDelta, PackEntry, Position, SegmentEntry, TableEntry,
    TableMove, WindowEntry,
};
pub use file::{Loaded, ManifestFile, ROLL_LEN_MIN};
pub use state::State;
pub use times::{TimeMark, Times};

#[cfg(test)]
mod tests;
