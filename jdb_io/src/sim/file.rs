//! An open file of the simulated disk.

use super::action::{Action, Outcome};
use super::disk::wrong;
use super::image::Node;
use super::machine::Machine;
use crate::counters::Counters;
use crate::error::{Error, Result};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) struct SimFile {
    machine: Rc<Machine>,
    node: Rc<Node>,
    path: PathBuf,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(machine: Rc<Machine>, node: Rc<Node>, path: &Path, writable: bool) -> Self {
        machine.image.opened(&node);
        machine.count(Counters::file_opened);
        Self { machine, node, path: path.to_owned(), writable }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn may_write(&self, op: &'static str) -> Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(Error::io(op, &self.path, ErrorKind::PermissionDenied.into()))
        }
    }

    async fn run(&self, op: &'static str, action: Action) -> Result<Outcome> {
        self.machine.run(action, &self.path).await.result.map_err(|e| Error::io(op, &self.path, e))
    }

    async fn read_part(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.machine.count(|c| c.reads += 1);
        let outcome = self.run("read", Action::Read(Rc::clone(&self.node), offset, len)).await?;
        let Outcome::Bytes(bytes) = outcome else { return Err(wrong("read", &self.path)) };
        self.machine.count(|c| c.read_len += bytes.len() as u64);
        Ok(bytes)
    }

    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let first = self.read_part(offset, len).await?;
        if first.len() == len || first.is_empty() {
            return Ok(first);
        }
        // Short: the end of the file, or a short read that goes on.
        let mut bytes = BytesMut::from(first);
        while bytes.len() < len {
            let part = self.read_part(offset + bytes.len() as u64, len - bytes.len()).await?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }

    pub(crate) async fn write_at(&self, offset: u64, data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        if let Err(e) = self.may_write("write") {
            return (Err(e), data);
        }
        let mut data = data;
        let mut from = 0;
        while from < data.len() {
            self.machine.count(|c| c.writes += 1);
            let action = Action::Write(Rc::clone(&self.node), offset, data, from);
            let done = self.machine.run(action, &self.path).await;
            data = done.buffer;
            match done.result {
                Ok(Outcome::Count(count)) => {
                    self.machine.count(|c| c.write_len += count);
                    from += count as usize;
                }
                Ok(_) => return (Err(wrong("write", &self.path)), data),
                Err(e) => return (Err(Error::io("write", &self.path, e)), data),
            }
        }
        (Ok(()), data)
    }

    pub(crate) async fn sync(&self) -> Result<()> {
        self.machine.count(|c| c.syncs += 1);
        let covers = self.machine.stamp();
        self.run("sync", Action::Sync(Rc::clone(&self.node), covers)).await.map(drop)
    }

    pub(crate) async fn len(&self) -> Result<u64> {
        match self.run("length of", Action::Len(Rc::clone(&self.node))).await? {
            Outcome::Count(len) => Ok(len),
            _ => Err(wrong("length of", &self.path)),
        }
    }

    pub(crate) async fn link_count(&self) -> Result<Option<u64>> {
        Ok(Some(self.node.links.get().into()))
    }

    pub(crate) async fn set_len(&self, len: u64) -> Result<()> {
        self.may_write("set length of")?;
        self.run("set length of", Action::SetLen(Rc::clone(&self.node), len)).await.map(drop)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.machine.image.closed(&self.node);
        self.machine.count(Counters::file_closed);
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}
