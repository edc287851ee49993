//! The value log.
pub mod append;
pub mod dump;
pub mod error;
pub mod footer;
mod footer_file;
mod handles;
pub mod layout;
pub mod log;
#[cfg(test)]
mod on_disk;
pub mod pos;
mod proof;
mod reader;
pub mod record;
mod replay;
pub mod segment;
mod sync;

pub use append::{Appended, Placed};
pub use error::{Error, Fault, Result};
pub use footer::{FooterRecord, FooterSummary};
pub use footer_file::FooterReader;
pub use log::{ChainSegment, Checkpoint, LogConfig, LogStats, Recovered, Recovery, Sealed, ValueLog};
pub use pos::LogPos;
pub use record::{Op, Record, RecordKind};
pub use segment::SegmentHeader;
