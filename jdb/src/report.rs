//! What long checks and copies have found.

use crate::error::Error;

/// What [`Db::verify`](crate::Db::verify) has looked at and found.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tables.
    pub tables: u64,
    /// Entries in them.
    pub entries: u64,
    /// Values that entries point to.
    pub values: u64,
    /// Segments of the value log.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Packs: files of values that collections moved.
    pub packs: u64,
    /// Segments whose footer, an index that can be made again from their records, is bad: one that was being written when the
    /// power failed. No damage.
    pub footers_bad: u64,
    /// Bytes of tables, segments and packs.
    pub len: u64,
    /// What is wrong, each with its file and place; the first thousand findings.
    pub damage: Vec<Error>,
    /// How many findings there are in all.
    pub damage_count: u64,
}

impl VerifyReport {
    pub(crate) fn new(report: jdb_ns::VerifyReport) -> Self {
        let jdb_ns::VerifyReport {
            tables,
            entries,
            values,
            segments,
            records,
            packs,
            footers_bad,
            len,
            damage,
            damage_count,
            ..
        } = report;
        let damage = damage.into_iter().map(Error::from).collect();
        Self { tables, entries, values, segments, records, packs, footers_bad, len, damage, damage_count }
    }
}

/// What [`Db::salvage`](crate::Db::salvage) has saved, and what it has not.
#[derive(Debug)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Rows in the new database.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub len: u64,
    /// Rows that were left out because their values could not be read.
    pub lost_values: u64,
    /// What is wrong, each with its file and place; the first thousand findings.
    pub damage: Vec<Error>,
    /// How many findings there are in all.
    pub damage_count: u64,
}

impl SalvageReport {
    pub(crate) fn new(report: jdb_ns::SalvageReport) -> Self {
        let jdb_ns::SalvageReport { rows, len, lost_values, damage, damage_count, .. } = report;
        let damage = damage.into_iter().map(Error::from).collect();
        Self { rows, len, lost_values, damage, damage_count }
    }
}
