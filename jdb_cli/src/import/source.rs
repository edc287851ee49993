//! Where rows come from, whatever it is.

use super::json::Json;
use super::tree::Tree;
use super::tsv::Tsv;
use super::{Row, Shape};
use crate::error::Result;

/// What comes next.
pub(super) enum Next {
    /// A row.
    Row(Row),
    /// Something that is none, and why.
    Bad(String),
    /// Nothing more.
    End,
}

/// A file, or a directory tree.
pub(super) enum Source {
    Tsv(Tsv),
    Json(Json),
    Tree(Tree),
}

impl Source {
    /// The next row, or why what stands there is none.
    ///
    /// # Errors
    /// When nothing more can be read.
    pub(super) fn next(&mut self, shape: &Shape) -> Result<Next> {
        match self {
            Self::Tsv(tsv) => tsv.next(shape),
            Self::Json(json) => json.next(shape),
            Self::Tree(tree) => tree.next(shape),
        }
    }

    /// Where the last row stood: file and line, or a path.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Tsv(tsv) => tsv.lines.place(),
            Self::Json(json) => json.lines.place(),
            Self::Tree(tree) => tree.place(),
        }
    }

    /// Bytes in all, as they lie on disk; `None` where that is not known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Tsv(tsv) => tsv.lines.len(),
            Self::Json(json) => json.lines.len(),
            Self::Tree(_) => None,
        }
    }

    /// Bytes read of [`Source::len`].
    pub(super) fn done(&self) -> Option<u64> {
        match self {
            Self::Tsv(tsv) => Some(tsv.lines.done()),
            Self::Json(json) => Some(json.lines.done()),
            Self::Tree(_) => None,
        }
    }
}
