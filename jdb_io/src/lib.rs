//! The only door to the disk.
//!
//! Everything above this crate reaches files, the clock, chance and tasks through [`Disk`] and [`File`]. Both are enums
//! of the real thing (compio: io_uring, IOCP or poll) and, with feature `sim`, of a simulated disk that loses what was
//! not synced. No type parameter runs through the engine.
//!
//! Rules that hold for every operation here
//! - One thread: nothing is `Send`, nothing locks. A [`job`] can be done by a second one, which shares nothing with the first.
//! - A dropped future may or may not have its effect; its buffer stays valid until the operation is over.
//! - An error names the operation and the path.

pub mod cache;
pub mod counters;
pub mod disk;
pub mod error;
pub mod file;
pub mod handles;
pub mod job;
pub mod names;
pub mod observe;
pub mod plant;
mod real;
pub mod runtime;
#[cfg(feature = "sim")]
pub mod sim;
pub mod steps;
pub mod task;

pub use cache::BlockCache;
pub use counters::Counters;
pub use disk::{Disk, Driver, Entry, EntryKind, Lock, Mode};
pub use error::{Error, Result};
pub use file::File;
pub use handles::{Handles, Held};
pub use job::{Abort, Gauge};
pub use names::Names;
pub use runtime::{Config as RuntimeConfig, runtime};
pub use steps::Steps;
