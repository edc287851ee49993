//! Files of a directory tree: the path below the top, with `/`, is the key; the content is the value.
//!
//! Links are not followed, and what is neither file nor directory is no row.

use super::source::Next;
use super::{Row, Shape};
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A walk through a tree, in the order of names.
pub(super) struct Tree {
    top: PathBuf,
    /// Directories that are open: what is left of each, backward.
    open: Vec<(PathBuf, Vec<OsString>)>,
    at: PathBuf,
}

impl Tree {
    pub(super) fn open(top: &Path) -> Result<Self> {
        let names = names(top).map_err(Error::io("list", top))?;
        Ok(Self { top: top.to_owned(), open: vec![(top.to_owned(), names)], at: top.to_owned() })
    }

    pub(super) fn place(&self) -> String {
        self.at.display().to_string()
    }

    pub(super) fn next(&mut self, shape: &Shape) -> Result<Next> {
        while let Some((dir, left)) = self.open.last_mut() {
            let Some(name) = left.pop() else {
                self.open.pop();
                continue;
            };
            self.at = dir.join(name);
            match self.look(shape) {
                Ok(Some(row)) => return Ok(Next::Row(row)),
                Ok(None) => {}
                Err(why) => return Ok(Next::Bad(why)),
            }
        }
        Ok(Next::End)
    }

    /// The file as a row; `None` for a directory, which is next.
    fn look(&mut self, shape: &Shape) -> Result<Option<Row>, String> {
        let text = |error: std::io::Error| error.to_string();
        let meta = fs::symlink_metadata(&self.at).map_err(text)?;
        if meta.is_dir() {
            let names = names(&self.at).map_err(text)?;
            self.open.push((self.at.clone(), names));
        }
        if !meta.is_file() {
            return Ok(None);
        }
        if meta.len() > jdb::VALUE_LEN_MAX as u64 {
            return Err(format!(
                "a file of {} bytes: a value has at most {}",
                meta.len(),
                jdb::VALUE_LEN_MAX
            ));
        }
        let below = self.at.strip_prefix(&self.top).map_err(|error| error.to_string())?;
        let parts: Vec<_> = below.iter().map(|part| part.as_encoded_bytes()).collect();
        let value = fs::read(&self.at).map_err(text)?;
        Ok(Some(Row { ns: shape.ns.clone().ok_or("no namespace is given")?, key: parts.join(&b'/'), value }))
    }
}

/// The names in a directory, backward, so that the first is popped first.
fn names(dir: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names: Vec<_> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}
