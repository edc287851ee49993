//! Words that all crates of jdb share.
//!
//! | module | word |
//! |---|---|
//! | [`ns_id`] | [`NsId`], [`Class`]: whose rows, and which sort of rows |
//! | [`seq_no`] | [`SeqNo`]: larger is newer |
//! | [`kind`] | [`Kind`]: what an index entry holds |
//! | [`value_ptr`] | [`ValuePtr`]: segment, offset, length |
//! | [`key`] | engine keys and entry order |
//! | [`pages`] | 4 KiB pages and 8-byte units |
//! | [`varint`] | checked little-endian and LEB128 reading |
//! | [`checksum`] | CRC-32 that starts from where the bytes belong |
//! | [`hash`] | hash maps without a random seed |
//!
//! No file, clock or runtime here: bytes in, bytes out.

pub mod checksum;
pub mod hash;
pub mod key;
pub mod kind;
pub mod ns_id;
pub mod pages;
pub mod seq_no;
pub mod value_ptr;
pub mod varint;

pub use hash::{Map, Set};
pub use kind::Kind;
pub use ns_id::{Class, NsId};
pub use seq_no::SeqNo;
pub use value_ptr::ValuePtr;
