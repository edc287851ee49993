//! Tab-separated lines: column 1 is the key, all behind its tab is the value.

use super::input::{Line, Lines};
use super::source::Next;
use super::{Row, Shape, ns_of};
use crate::Which;
use crate::error::Result;
use std::path::Path;

/// A file of tab-separated lines.
pub(super) struct Tsv {
    pub(super) lines: Lines,
    /// From 1.
    ns_column: Option<u32>,
}

impl Tsv {
    pub(super) fn open(path: &Path, header: bool, ns_column: Option<u32>) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        if header {
            lines.next()?;
        }
        Ok(Self { lines, ns_column })
    }

    pub(super) fn next(&mut self, shape: &Shape) -> Result<Next> {
        let line = match self.lines.next()? {
            Line::Whole(line) => line,
            Line::TooLong => return Ok(Next::Bad("the line is longer than any row".to_owned())),
            Line::End => return Ok(Next::End),
        };
        Ok(row(line, self.ns_column, shape).map_or_else(Next::Bad, Next::Row))
    }
}

fn row(line: &[u8], ns_column: Option<u32>, shape: &Shape) -> Result<Row, String> {
    let Some(at) = line.iter().position(|&byte| byte == b'\t') else {
        return Err("no tab: a key and a value are wanted".to_owned());
    };
    let (key, value) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
    let ns = match ns_column {
        Some(column) => {
            let found = line.split(|&byte| byte == b'\t').nth(column as usize - 1);
            Which::Id(ns_of(found.ok_or_else(|| format!("no column {column}: it says the namespace"))?))
        }
        None => shape.ns.clone().ok_or("no namespace is given")?,
    };
    let key = shape.keys.read(key).map_err(|why| format!("the key is {why}"))?.into_owned();
    let value = shape.values.read(value).map_err(|why| format!("the value is {why}"))?.into_owned();
    Ok(Row { ns, key, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use jdb::NsId;

    #[test]
    fn the_key_ends_at_the_first_tab() {
        let shape =
            Shape { ns: Some(Which::Id(NsId::from(7u64))), keys: Encoding::Utf8, values: Encoding::Utf8 };
        for (line, want) in [
            ("a\tb", Some(("a", "b"))),
            ("a\tb\tc", Some(("a", "b\tc"))),
            ("a\t", Some(("a", ""))),
            ("\tb", Some(("", "b"))),
            ("a", None),
            ("", None),
        ] {
            let row = row(line.as_bytes(), None, &shape).ok();
            let want = want.map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
            assert_eq!(row.map(|row| (row.key, row.value)), want, "{line:?}");
        }
        let by_column = |column| row(b"a\tb\tc", Some(column), &shape).map(|row| row.ns);
        assert_eq!(by_column(2), Ok(Which::Id(ns_of(b"b"))));
        assert!(by_column(4).unwrap_err().starts_with("no column 4"));
    }
}
