//! An open file.

use crate::error::Result;
use crate::real::RealFile;
#[cfg(feature = "sim")]
use crate::sim::SimFile;
use bytes::Bytes;
use std::path::Path;
use std::rc::Rc;

/// An open file; clones share it, and it closes with the last of them.
#[derive(Clone, Debug)]
pub struct File(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Real(Rc<RealFile>),
    #[cfg(feature = "sim")]
    Sim(Rc<SimFile>),
}

macro_rules! on {
    ($self:expr, $f:ident => $call:expr) => {
        match &$self.0 {
            Inner::Real($f) => $call,
            #[cfg(feature = "sim")]
            Inner::Sim($f) => $call,
        }
    };
}

impl File {
    pub(crate) fn real(file: RealFile) -> Self {
        Self(Inner::Real(Rc::new(file)))
    }

    #[cfg(feature = "sim")]
    pub(crate) fn sim(file: SimFile) -> Self {
        Self(Inner::Sim(Rc::new(file)))
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        on!(self, f => f.path())
    }

    /// Reads `len` bytes at `offset`; fewer only where the file ends.
    ///
    /// Answers without suspending when the bytes are in the page cache. `len` is allocated before the read: check it
    /// against the file's length first when it comes from disk.
    ///
    /// # Errors
    /// The system's.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        on!(self, f => f.read_at(offset, len).await)
    }

    /// [`File::read_at`] when that needs no waiting: `None` when the bytes are not in the page cache, or where that cannot
    /// be known.
    #[must_use]
    pub fn read_ready(&self, offset: u64, len: usize) -> Option<Bytes> {
        match &self.0 {
            Inner::Real(file) => file.read_ready(offset, len),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => None,
        }
    }

    /// Tells the system that these bytes will be read: it begins to bring them into the page cache and this returns at once.
    /// `false` where it cannot be told; then only many reads at once keep the device busy.
    pub fn will_need(&self, offset: u64, len: usize) -> bool {
        match &self.0 {
            Inner::Real(file) => file.will_need(offset, len),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => false,
        }
    }

    /// Tells the system to read what it is asked for and no more: who reads this file says what comes next
    /// ([`File::will_need`]). `false` where it cannot be told.
    pub fn expect_random(&self) -> bool {
        match &self.0 {
            Inner::Real(file) => file.expect_random(),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => false,
        }
    }

    /// Says that this file is written from its beginning to its end, and that what lies behind the end of the last write means
    /// nothing: zeros may be written there at any time, as far as the file reaches. Where the disk allows it
    /// ([`Disk::map_writes`](crate::Disk::map_writes)), small writes in a row then take no system call.
    pub fn expect_appends(&self) {
        match &self.0 {
            Inner::Real(file) => file.expect_appends(),
            #[cfg(feature = "sim")]
            Inner::Sim(_) => {}
        }
    }

    /// Writes all of `data` at `offset`, going on after short writes, and gives the buffer back.
    ///
    /// Returns when the bytes are in the page cache: they survive the process, not a power cut. After an error any part
    /// of `data` may have been written.
    pub async fn write_at(&self, offset: u64, data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        on!(self, f => f.write_at(offset, data).await)
    }

    /// Makes everything durable that was written, and completed, before this call. The name of a new file is durable
    /// only after [`Disk::sync_dir`](crate::Disk::sync_dir).
    ///
    /// # Errors
    /// The system's. After one nothing is known about the bytes; a second sync proves nothing.
    pub async fn sync(&self) -> Result<()> {
        on!(self, f => f.sync().await)
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// The system's.
    pub async fn len(&self) -> Result<u64> {
        on!(self, f => f.len().await)
    }

    /// How many names the file has; `None` where that cannot be known.
    ///
    /// # Errors
    /// The system's.
    pub async fn link_count(&self) -> Result<Option<u64>> {
        on!(self, f => f.link_count().await)
    }

    /// Cuts or lengthens (with zeros) the file.
    ///
    /// # Errors
    /// The system's.
    pub async fn set_len(&self, len: u64) -> Result<()> {
        on!(self, f => f.set_len(len).await)
    }
}
