//! The value log: write-ahead log and first home of the values, at once.
//!
//! A shard's log is a row of **segments**. Batches of operations are appended as checksummed records; a put's value is
//! written once, here, and read back by [`ValuePtr`](jdb_base::ValuePtr). After a crash the records behind the last
//! checkpoint are replayed.
//!
//! ```
//! use jdb_base::{NsId, SeqNo, key::engine_key};
//! use jdb_io::{Disk, sim::{SimConfig, SimDisk}};
//! use jdb_val::{Checkpoint, LogConfig, Op, RecordKind, ValueLog};
//!
//! let sim = SimDisk::new(SimConfig::default());
//! let disk = Disk::sim(&sim);
//! sim.executor().block_on(async move {
//!     disk.create_dir_all("/shard".as_ref()).await?;
//!     let config = LogConfig { dir: "/shard".into(), ..LogConfig::default() };
//!     let (log, recovered) = ValueLog::open(&disk, config, &Checkpoint::default(), &mut |_| {}).await?;
//!     log.start_life(recovered.last_seq.plus(1));
//!
//!     let key = engine_key(NsId::from(7u64), b"lemon");
//!     let batch = [Op { kind: RecordKind::Put, key: key.clone(), value: "yellow".into() }];
//!     let appended = log.append(&[&batch], &mut || 1).await?;   // survives the process
//!     log.sync().await?;                                        // survives a power cut
//!     let place = appended.placed[0];
//!     assert_eq!(log.read(place.ptr, &key, place.seq).await?, "yellow");
//!     Ok::<(), jdb_val::Error>(())
//! }).expect("not idle")?;
//! # Ok::<(), jdb_val::Error>(())
//! ```
//!
//! | file | its idea |
//! |---|---|
//! | [`layout`] | the numbers of the format |
//! | [`record`], [`segment`], [`footer`], [`footer_builder`] | codecs: bytes in, bytes out |
//! | [`pos`] | places in the log; how a record says what was synced |
//! | `reader` | records of a segment in order, batch by batch |
//! | `replay`, `proof` | where the log ends; whether that is a torn tail or damage |
//! | `tail`, `stretch` | what was recovered is made durable; what replay verified, remembered by hashes |
//! | [`log`], [`append`], `sync`, `handles` | the open log: state, writing, durability, values by pointer |
//! | `recycle` | a new segment over the file of one that was collected |
//! | `many`, `check` | many values at once; a whole segment verified |
//! | `footer_file`, [`dump`] | footers in their files; a segment in words |
//!
//! What is absent on purpose: no index (the tree's), no collection (the shard's), no namespaces beyond the first bytes of
//! a key, no repair in place: nothing in the log is ever changed or cut, a later header leaves out what shall not exist.
//!
//! The caller makes four promises: a segment's number is larger than every number in the directory and the MANIFEST; a
//! life's first sequence is durable before [`ValueLog::start_life`]; a checkpoint lies at or before [`ValueLog::synced`]; a file
//! that is given to [`ValueLog::recycle`] is wanted by nobody, after a crash neither.

pub mod append;
mod check;
pub mod dump;
pub mod error;
mod excerpt;
pub mod footer;
pub mod footer_builder;
mod footer_file;
mod handles;
pub mod layout;
pub mod log;
mod many;
#[cfg(test)]
mod on_disk;
pub mod pos;
mod proof;
mod reader;
pub mod record;
mod recycle;
mod replay;
pub mod segment;
mod stretch;
mod sync;
mod tail;

pub use append::{Appended, Placed};
pub use error::{Error, Fault, Result};
pub use excerpt::Excerpt;
pub use footer::{FooterRecord, FooterSummary};
pub use footer_file::FooterReader;
pub use handles::Wanted;
pub use log::{ChainSegment, Checkpoint, LogConfig, LogStats, Recovered, Recovery, Sealed, ValueLog};
pub use many::Many;
pub use pos::LogPos;
pub use record::{Op, Record, RecordKind, record_len};
pub use segment::SegmentHeader;
