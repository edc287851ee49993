//! An open file of the real disk.
//!
//! Writes are system calls on this thread: they copy into the page cache, which costs less than handing them to the
//! kernel and waiting. Reads are tried in the page cache first and go through compio when they would wait; syncs always
//! go through compio.

use crate::counters::Counters;
use crate::error::{Error, Result};
use crate::real::Maps;
use crate::real::flight::Flight;
use crate::real::handle::Handle;
use crate::real::mapping::Mapping;
use crate::real::window::Stores;
use crate::real::{buffer, sys};
use crate::task;
use bytes::Bytes;
use compio::driver::AsRawFd;
use compio::runtime::Runtime;
use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// At most this much is written before other tasks get a turn; about 100 us.
const WRITE_SLICE_LEN: usize = 256 << 10;

/// An open file; it closes when this and every operation on it is gone.
#[derive(Debug)]
pub(crate) struct RealFile {
    file: Rc<Handle>,
    path: PathBuf,
    /// Of files that may be mapped to be read, and to be written.
    mapping: Option<Mapping>,
    stores: OnceCell<Stores>,
    maps: Maps,
    /// Behind what is let go elsewhere, which the last one waits for.
    flight: Rc<Flight>,
}

impl RealFile {
    /// # Errors
    /// The runtime's, which has to know the files of a completion port.
    pub(crate) fn new(file: File, path: PathBuf, flight: Rc<Flight>, maps: Maps) -> io::Result<Self> {
        Runtime::with_current(|runtime| runtime.attach(file.as_raw_fd()))?;
        flight.count(Counters::file_opened);
        let (mapping, stores) = (maps.reads.then(Mapping::default), OnceCell::new());
        Ok(Self { file: Rc::new(Handle::new(file)), path, flight, mapping, stores, maps })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        match self.read(offset, len).await {
            Ok(data) => Ok(Bytes::from(data)),
            Err(error) => Err(self.error("read", error)),
        }
    }

    pub(crate) fn read_ready(&self, offset: u64, len: usize) -> Option<Bytes> {
        check_range(offset, len).ok()?;
        let mut data = Vec::new();
        data.try_reserve_exact(len).ok()?;
        if !self.read_cached(offset, &mut data, len) {
            return None;
        }
        self.flight.count(|c| {
            c.reads += 1;
            c.read_len += data.len() as u64;
        });
        Some(Bytes::from(data))
    }

    pub(crate) fn will_need(&self, offset: u64, len: usize) -> bool {
        if check_range(offset, len).is_err() || !sys::will_need(&self.file, offset, len) {
            return false;
        }
        self.flight.count(|c| c.hints += 1);
        true
    }

    pub(crate) fn expect_appends(&self) {
        if self.maps.writes {
            self.stores.get_or_init(Stores::default);
        }
    }

    pub(crate) fn expect_random(&self) -> bool {
        sys::expect_random(&self.file)
    }

    pub(crate) async fn write_at(&self, offset: u64, data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        let (result, data) = self.write(offset, data).await;
        (result.map_err(|error| self.error("write", error)), data)
    }

    pub(crate) async fn sync(&self) -> Result<()> {
        self.flight.count(|c| c.syncs += 1);
        let _syncing = self.stores.get().map(Syncing::new);
        let result = self.flight.run_sync(buffer::sync(self.file.clone())).await;
        result.map_err(|error| self.error("sync", error))
    }

    pub(crate) async fn len(&self) -> Result<u64> {
        // The inode of an open file is in memory: this does not wait.
        self.file.metadata().map(|meta| meta.len()).map_err(|error| self.error("len", error))
    }

    pub(crate) async fn link_count(&self) -> Result<Option<u64>> {
        let meta = self.file.metadata().map_err(|error| self.error("count the names of", error))?;
        Ok(sys::link_count(&meta))
    }

    pub(crate) async fn set_len(&self, len: u64) -> Result<()> {
        let cuts = self.file.metadata().map_or(true, |meta| len < meta.len());
        let _suspended = Suspended::new(self, cuts);
        let result = self.flight.run(buffer::set_len(self.file.clone(), len)).await;
        result.map_err(|error| self.error("set_len", error))
    }

    /// Reads what is in the page cache, see [`sys::read_ready`], and counts it if that was all.
    #[inline]
    fn read_cached(&self, offset: u64, data: &mut Vec<u8>, len: usize) -> bool {
        if let Some(mapping) = &self.mapping
            && mapping.read(&self.file, offset, data, len)
        {
            self.flight.count(|c| {
                c.reads_ready += 1;
                c.reads_mapped += 1;
            });
            return true;
        }
        let ready = sys::read_ready(&self.file, offset, data, len);
        if ready {
            self.flight.count(|c| c.reads_ready += 1);
            if let Some(mapping) = &self.mapping {
                mapping.note_ready(&self.file, offset, data.len());
            }
        }
        ready
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        check_range(offset, len)?;
        let mut data = Vec::new();
        if len == 0 {
            return Ok(data);
        }
        data.try_reserve_exact(len)?;
        self.flight.count(|c| c.reads += 1);
        if !self.read_cached(offset, &mut data, len) {
            data = self.flight.run(buffer::read(self.file.clone(), offset, data, len)).await?;
        }
        self.flight.count(|c| c.read_len += data.len() as u64);
        Ok(data)
    }

    async fn write(&self, offset: u64, data: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (mut data, mut done) = (data, 0);
        if let Err(error) = check_range(offset, data.len()) {
            return (Err(error), data);
        }
        if let Some(stores) = self.stores.get()
            && stores.write(&self.file, offset, &data)
        {
            self.flight.count(|c| {
                c.writes += 1;
                c.writes_mapped += 1;
                c.write_len += data.len() as u64;
            });
            return (Ok(()), data);
        }
        while done < data.len() {
            let len = (data.len() - done).min(WRITE_SLICE_LEN);
            let result;
            (result, data) = self.write_part(offset + done as u64, data, done, len).await;
            self.flight.count(|c| c.writes += 1);
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), data),
                Ok(count) => {
                    self.flight.count(|c| c.write_len += count as u64);
                    done += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), data),
            }
            if done < data.len() {
                task::yield_now().await;
            }
        }
        (Ok(()), data)
    }

    /// Writes `data[from..from + len]` at `offset`, or its beginning.
    #[cfg(unix)]
    async fn write_part(
        &self,
        offset: u64,
        data: Vec<u8>,
        from: usize,
        len: usize,
    ) -> (io::Result<usize>, Vec<u8>) {
        (sys::write(&self.file, offset, data.get(from..from + len).unwrap_or_default()), data)
    }

    /// A handle that belongs to a completion port is written through it. A dropped future leaves the part under way.
    #[cfg(windows)]
    async fn write_part(
        &self,
        offset: u64,
        data: Vec<u8>,
        from: usize,
        len: usize,
    ) -> (io::Result<usize>, Vec<u8>) {
        let file = self.file.clone();
        let part = async move { Ok(buffer::write(file, offset, data, from, len).await) };
        self.flight.run(part).await.unwrap_or_else(|error| (Err(error), Vec::new()))
    }

    fn error(&self, op: &'static str, error: io::Error) -> Error {
        Error::io(op, &self.path, error)
    }
}

/// While this is there the file is not mapped. Dropped early it may be too early: who gives up waiting for a file to be cut must
/// not read what is cut off.
struct Suspended<'a> {
    mapping: Option<&'a Mapping>,
    stores: Option<&'a Stores>,
}

impl<'a> Suspended<'a> {
    /// What is stored lies inside the file, which does not mind that it becomes longer.
    fn new(file: &'a RealFile, cuts: bool) -> Self {
        let (mapping, stores) = (file.mapping.as_ref(), file.stores.get().filter(|_| cuts));
        mapping.into_iter().for_each(Mapping::suspend);
        stores.into_iter().for_each(Stores::suspend);
        Self { mapping, stores }
    }
}

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        self.mapping.into_iter().for_each(Mapping::resume);
        self.stores.into_iter().for_each(Stores::resume);
    }
}

/// While this is there nothing is stored into the file.
struct Syncing<'a>(&'a Stores);

impl<'a> Syncing<'a> {
    fn new(stores: &'a Stores) -> Self {
        stores.syncing();
        Self(stores)
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        self.0.synced();
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        self.flight.count(Counters::file_closed);
    }
}

/// Refuses what no file can hold; to io_uring the largest offset would mean "where the file stands".
fn check_range(offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= i64::MAX as u64 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "offset is beyond every file's end")),
    }
}
