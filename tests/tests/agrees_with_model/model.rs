//! What a database should hold, as maps, and what a scan should show.

use std::collections::BTreeMap;

/// A value and the sequence of the change that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) value: Vec<u8>,
    pub(crate) seq: u64,
}

/// The rows of a namespace.
pub(crate) type Rows = BTreeMap<Vec<u8>, Version>;

/// A scan over the rows of its moment.
///
/// It sits on a row, or in a gap: gap `n` lies before row `n` of its direction.
pub(crate) struct ModelScan {
    rows: Vec<(Vec<u8>, Version)>,
    reversed: bool,
    at: At,
    /// Rows from `first` on that `next` may go through.
    limit: usize,
    first: usize,
}

#[derive(Clone, Copy)]
enum At {
    Row(usize),
    Gap(usize),
}

impl ModelScan {
    pub(crate) fn new(rows: impl Iterator<Item = (Vec<u8>, Version)>) -> Self {
        Self { rows: rows.collect(), reversed: false, at: At::Gap(0), limit: usize::MAX, first: 0 }
    }

    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn rev(&mut self) {
        self.rows.reverse();
        self.reversed = !self.reversed;
        (self.at, self.first) = (At::Gap(0), 0);
    }

    pub(crate) fn next(&mut self) -> Option<&(Vec<u8>, Version)> {
        let next = match self.at {
            At::Row(row) => row + 1,
            At::Gap(gap) => gap,
        };
        let end = self.rows.len().min(self.first.saturating_add(self.limit));
        self.at = if next < end { At::Row(next) } else { At::Gap(end.max(next.min(self.rows.len()))) };
        self.item()
    }

    pub(crate) fn prev(&mut self) -> Option<&(Vec<u8>, Version)> {
        let (At::Row(above) | At::Gap(above)) = self.at;
        self.at = above.checked_sub(1).map_or(At::Gap(0), At::Row);
        self.item()
    }

    pub(crate) fn seek(&mut self, key: &[u8]) {
        let before = |row: &(Vec<u8>, Version)| {
            if self.reversed { row.0.as_slice() > key } else { row.0.as_slice() < key }
        };
        self.first = self.rows.partition_point(before);
        self.at = At::Gap(self.first);
    }

    pub(crate) fn item(&self) -> Option<&(Vec<u8>, Version)> {
        match self.at {
            At::Row(row) => Some(&self.rows[row]),
            At::Gap(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_scan_mixes_directions_and_seeks() {
        let rows = ["b", "d"].map(|key| (key.as_bytes().to_vec(), Version { value: Vec::new(), seq: 0 }));
        let mut scan = ModelScan::new(rows.into_iter());
        let key = |row: Option<&(Vec<u8>, Version)>| row.map(|row| row.0[0] as char);
        assert_eq!(key(scan.prev()), None);
        assert_eq!(key(scan.next()), Some('b'));
        assert_eq!(key(scan.next()), Some('d'));
        assert_eq!(key(scan.next()), None);
        assert_eq!(key(scan.prev()), Some('d'));
        scan.seek(b"c");
        assert_eq!(key(scan.prev()), Some('b'));
        scan.rev();
        scan.seek(b"c");
        assert_eq!(key(scan.next()), Some('b'));
        scan.seek(b"d");
        assert_eq!(key(scan.prev()), None);
        assert_eq!(key(scan.next()), Some('d'));
    }
}
