//! Immutable sorted tables (SST), usable alone.
//!
//! A table is a file of entries: key, sequence number, kind, value bytes; sorted by key, and versions of one key from the
//! newest to the oldest. It is written once, front to back, and read in both directions at the same cost. Without versions,
//! use sequence 0 and [`Kind::Inline`](jdb_base::Kind::Inline) for all entries. The crate knows no namespace and no value
//! log.
//!
//! ```
//! use jdb_base::{Kind, SeqNo};
//! use jdb_io::{Disk, Mode, RuntimeConfig};
//! use jdb_sst::{SstReader, SstWriter, WriterOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("fruit.sst");
//! jdb_io::runtime(&RuntimeConfig::default())?.block_on(async {
//!     let disk = Disk::real();
//!     let mut writer = SstWriter::create(&disk, &path, WriterOptions::default()).await?;
//!     writer.append(b"apple", SeqNo::ZERO, Kind::Inline, b"red").await?;
//!     writer.append(b"lemon", SeqNo::ZERO, Kind::Inline, b"yellow").await?;
//!     writer.finish().await?; // written and synced; the directory is the caller's
//!
//!     let reader = SstReader::open(disk.open(&path, Mode::Read).await?, None).await?;
//!     let apple = reader.get(b"apple", SeqNo::MAX).await?.unwrap();
//!     assert_eq!(&apple.value[..], b"red");
//!
//!     let mut cursor = reader.cursor();
//!     cursor.seek(b"kiwi", SeqNo::MAX).await?;
//!     assert_eq!(cursor.entry().unwrap().key, b"lemon");
//!     cursor.prev().await?;
//!     assert_eq!(cursor.entry().unwrap().key, b"apple");
//!     # disk.drain().await;
//!     Ok::<(), jdb_sst::Error>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Beyond entries
//! Filters turn absent keys away before a data block is read ([`SstReader::may_contain`] asks only them). A writer that knows how
//! long the prefix is that names a key's group keeps counts of each ([`SstReader::group`]). [`Properties`] say what is in a
//! table. With the feature `lz4` data blocks may be compressed. [`WriterOptions`] chooses.
//!
//! # Two layers
//! Bytes in, bytes out, no runtime: [`BlockBuilder`], [`Block`], [`BlockCursor`] for one block; [`FilterBuilder`] and
//! [`FilterBlock`] for a filter; [`TableBuilder`], [`Walk`], [`Lookup`], [`Footer`] and [`dump()`] for a table. A walk and a
//! look-up say which block they [want](Want) next and are handed its bytes. On top, over [`jdb_io`]: [`SstWriter`],
//! [`SstReader`], [`Cursor`].
//!
//! # Promises
//! - Every byte that is used was verified against a checksum that knows its file and its place. A bad byte is
//!   [`Error::Corrupt`] with path and offset, never a panic, a wrong answer or an end that comes too early.
//! - Memory follows checked lengths: nothing is allocated that the file could not hold.
//! - The format is in `docs/format/sst.md`, byte by byte, with a worked example.

mod block;
mod block_builder;
mod block_cursor;
mod cursor;
mod dump;
mod entry;
mod error;
mod filter;
mod filter_builder;
mod footer;
mod group;
mod handle;
mod index;
mod key_buffer;
pub mod layout;
mod lookup;
#[cfg(feature = "lz4")]
mod lz4;
mod meta;
mod options;
mod partition;
mod properties;
mod reader;
mod table_builder;
#[cfg(test)]
mod testing;
mod top;
mod trailer;
mod walk;
mod writer;

pub use block::Block;
pub use block_builder::BlockBuilder;
pub use block_cursor::BlockCursor;
pub use cursor::Cursor;
pub use dump::{Dump, Section, dump};
pub use entry::EntryRef;
pub use error::{Damage, Error, Result};
pub use filter::{FilterBlock, GROUPS_HASHED, filter_hash};
pub use filter_builder::FilterBuilder;
pub use footer::{Features, Footer};
pub use group::GroupStats;
pub use handle::{Handle, Span};
pub use layout::Codec;
pub use lookup::{Entry, Found, Lookup};
pub use meta::{CRITICAL, Meta, MetaType};
pub use options::{TableInfo, WriterOptions};
pub use properties::Properties;
pub use reader::{Begun, Keep, Many, Near, SstReader, Stopped};
pub use table_builder::TableBuilder;
pub use trailer::verify;
pub use walk::{Walk, Want};
pub use writer::SstWriter;

/// The README's program must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
