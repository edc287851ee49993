//! The advisory lock that keeps a second process, or a second handle of this one, out of a database.

use crate::error::{Error, Result};
use crate::real::flight::Flight;
use crate::real::sys;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::rc::Rc;

/// A held lock. Dropped, it is released when nothing of its disk is in flight any more; when the runtime goes away
/// before that, it is held until the process ends, unless only syncs are in flight.
#[derive(Debug)]
pub(crate) struct RealLock {
    file: Option<File>,
    flight: Rc<Flight>,
}

impl RealLock {
    /// Takes the lock of a file that is made when missing, or fails at once.
    pub(crate) async fn take(flight: &Rc<Flight>, path: &Path) -> Result<Self> {
        let owned = path.to_owned();
        let taken = flight.blocking(move || {
            let file = sys::open_lock(&owned)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        });
        match taken.await.map_err(|error| Error::io("lock", path, error))? {
            Some(file) => Ok(Self { file: Some(file), flight: flight.clone() }),
            None => Err(Error::Locked { path: path.to_owned() }),
        }
    }
}

impl Drop for RealLock {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.flight.let_go(file);
        }
    }
}
