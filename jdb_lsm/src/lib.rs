//! The tree: memtables and levels of tables, read as one sorted map of versions.
//!
//! It knows engine keys, sequences and kinds; it knows no namespace and no value log. What a namespace drop hides comes
//! in as a list of sequence ranges ([`Hidden`]), what a pointer leads to is the caller's business.
//!
//! | module | does |
//! |---|---|
//! | [`tree`] | the newest [`Version`], replaced whole on every change |
//! | [`version`] | what one read sees: memtables, then tables from new to old |
//! | [`table`] | a table of the tree: what the MANIFEST says, its reader opened at first use |
//! | [`level`] | the sorted tables of one deeper level as one cursor |
//! | [`merge`] | many sorted sources as one, in either direction |
//! | [`sweep`] | reads of single entries whose keys come in order |
//! | [`scan`] | the visible rows of a range, one per key, in either direction |
//! | [`count`] | rows and bytes of a group of keys, from the tables' group directories |
//! | [`flush`] | a memtable becomes a table |
//! | [`picker`] | which tables are to be merged next |
//! | [`keeper`] | what a flush or a compaction may let go |
//! | [`held`] | what a table holds for read points alone |
//! | [`seq_set`] | which records of a segment tables point to |
//! | [`weigh`] | how many value bytes a new table probably hides |
//! | [`compaction`] | tables become fewer and lie deeper |

mod buffer;
pub mod compaction;
pub mod count;
pub mod error;
pub mod flush;
pub mod held;
pub mod hidden;
pub mod keeper;
pub mod level;
pub mod merge;
pub mod picker;
pub mod scan;
pub mod seq_set;
mod shadow;
pub mod sweep;
pub mod table;
mod table_file;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod version;
mod visibility;
pub mod weigh;

pub use compaction::{Compacted, Compaction, CompactionOptions, LiveChange, Progress};
pub use count::GroupCount;
pub use error::{Error, Result};
pub use flush::{FlushOptions, Flushed, Live, write_runs, write_table};
pub use held::Held;
pub use hidden::{Hidden, SeqRange};
pub use keeper::{DropRange, Group, Keeper, Newest, ReadPoint, Verdict};
pub use picker::{Candidate, PickerOptions, Plan, Reason, pick, pick_all, waiting};
pub use scan::{Row, Scan};
pub use seq_set::SeqSet;
pub use sweep::Sweep;
pub use table::{Table, TableMeta, TableSet};
pub use table_file::TableFile;
pub use tree::Tree;
pub use version::{Found, Payload, Version};
pub use weigh::Sample;
