//! x
#![allow(missing_docs)]
mod block;
mod block_builder;
mod block_cursor;
mod cursor;
mod dump;
mod entry;
mod error;
mod footer;
mod handle;
mod index;
pub mod layout;
mod lookup;
mod meta;
mod options;
mod reader;
mod table_builder;
#[cfg(test)]
mod testing;
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
pub use footer::{Features, Footer};
pub use handle::{Handle, Span};
pub use layout::Codec;
pub use lookup::{Entry, Found, Lookup};
pub use meta::{CRITICAL, Meta, MetaType};
pub use options::{TableInfo, WriterOptions};
pub use reader::SstReader;
pub use table_builder::TableBuilder;
pub use walk::{Walk, Want};
pub use writer::SstWriter;
