//! The memtable: the newest entries of a shard, sorted, in memory. No I/O, no runtime, one thread.
//!
//! | module | idea |
//! |---|---|
//! | `arena` | memory that is only added to and is given back chunk by chunk |
//! | `skiplist` | sorted runs of entries under lanes of runs; comparisons on 8-byte words |
//! | `memtable` | [`Memtable`]: insert, point read, size |
//! | `cursor` | [`Cursor`]: both directions, valid while entries are added |
//! | `gather` | [`Gather`]: many entries inserted by sorted runs |
//!
//! An entry is (key, sequence, kind, value); entries sort by key ascending, then sequence **descending**
//! ([`jdb_base::key::entry_order`]), so the newest version of a key comes first.
//!
//! ```
//! use jdb_base::{Kind, SeqNo};
//! use jdb_mem::Memtable;
//! use std::rc::Rc;
//!
//! let table = Rc::new(Memtable::new());
//! table.insert(b"lemon", SeqNo::new(1), Kind::Inline, b"sour");
//! table.insert(b"lemon", SeqNo::new(3), Kind::Tombstone, b"");
//! table.insert(b"apple", SeqNo::new(2), Kind::Inline, b"sweet");
//!
//! assert_eq!(table.get(b"lemon", SeqNo::new(2)).unwrap().value, b"sour");
//! assert_eq!(table.get(b"lemon", SeqNo::MAX).unwrap().kind, Kind::Tombstone);
//!
//! let mut cursor = table.cursor();
//! cursor.seek_last();
//! assert_eq!(cursor.entry().unwrap().seq, SeqNo::new(1));
//! cursor.prev();
//! cursor.prev();
//! assert_eq!(cursor.entry().unwrap().key, b"apple");
//! ```

mod arena;
mod cursor;
mod gather;
mod memtable;
mod skiplist;

pub use cursor::Cursor;
pub use gather::Gather;
pub use memtable::{Entry, Memtable};
