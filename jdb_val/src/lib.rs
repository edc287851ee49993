//! The value log.
pub mod error;
pub mod layout;
pub mod pos;
pub mod record;
pub mod segment;

pub use error::{Error, Fault, Result};
pub use pos::LogPos;
pub use record::{Op, Record, RecordKind};
pub use segment::SegmentHeader;
