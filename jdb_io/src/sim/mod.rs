//! The simulated disk. (skeleton)
use crate::{Counters, Driver, Entry, File, Lock, Mode, Result};
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct SimDisk;
#[derive(Debug, Clone)]
pub(crate) struct SimFile;

#[expect(unused_variables, reason = "skeleton")]
impl SimDisk {
    pub(crate) fn new() -> Self {
        Self
    }
    pub(crate) async fn open(&self, path: &Path, mode: Mode) -> Result<File> {
        unimplemented!()
    }
    pub(crate) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        unimplemented!()
    }
    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn sync_dir(&self, dir: &Path) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn lock(&self, path: &Path) -> Result<Lock> {
        unimplemented!()
    }
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        unimplemented!()
    }
    pub(crate) async fn sleep(&self, time: Duration) {
        unimplemented!()
    }
    pub(crate) fn now(&self) -> Duration {
        unimplemented!()
    }
    pub(crate) fn unix_ms(&self) -> u64 {
        unimplemented!()
    }
    pub(crate) fn random(&self) -> Result<u128> {
        unimplemented!()
    }
    pub(crate) fn counters(&self) -> Counters {
        unimplemented!()
    }
    pub(crate) fn driver(&self) -> Driver {
        unimplemented!()
    }
    pub(crate) fn in_flight(&self) -> usize {
        unimplemented!()
    }
    pub(crate) async fn drain(&self) {
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "skeleton")]
impl SimFile {
    pub(crate) fn path(&self) -> &Path {
        unimplemented!()
    }
    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        unimplemented!()
    }
    pub(crate) async fn write_at(&self, offset: u64, data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        unimplemented!()
    }
    pub(crate) async fn sync(&self) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn len(&self) -> Result<u64> {
        unimplemented!()
    }
    pub(crate) async fn set_len(&self, len: u64) -> Result<()> {
        unimplemented!()
    }
}
