//! The workloads: their names, how much each does, and which database it needs.

use clap::ValueEnum;

/// What is done to a database and measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Workload {
    /// Puts of all rows in key order.
    FillSeq,
    /// Puts of all rows in random order.
    FillRandom,
    /// The same, 100 in a commit.
    FillBatch,
    /// Puts of a hundredth of the rows, each durable when it is answered.
    FillSync,
    /// Puts of a fifth of the rows, 100 in a commit, each durable when it is answered.
    FillSyncBatch,
    /// As many puts as there are rows, of random ones that are there.
    Overwrite,
    /// Five times as many.
    Overwrite5,
    /// The same, few rows often.
    Overwrite5Zipf,
    /// Deletes of half the rows in random order.
    DeleteRandom,
    /// Gets of random rows.
    ReadRandom,
    /// Gets of keys that no row has.
    ReadMissing,
    /// Gets of random rows that are not in memory, one after the other.
    ColdRead,
    /// The same, 32 at once.
    ColdRead32,
    /// Gets of random rows, 32 in a call.
    MultiGet32,
    /// All rows in key order.
    ScanFwd,
    /// All rows backward.
    ScanRev,
    /// All keys in order.
    KeysFwd,
    /// All keys backward.
    KeysRev,
    /// The 50 rows from a random key on.
    SeekNext50,
    /// The 50 rows before and at a random key, backward.
    SeekPrev50,
    /// All rows in key order, none of them in memory.
    ColdScan,
    /// Half reads, half updates; few rows often.
    #[value(name = "ycsb-a")]
    YcsbA,
    /// 95 % reads, 5 % updates; few rows often.
    #[value(name = "ycsb-b")]
    YcsbB,
    /// Reads; few rows often.
    #[value(name = "ycsb-c")]
    YcsbC,
    /// 95 % reads, of the newest rows mostly, 5 % inserts.
    #[value(name = "ycsb-d")]
    YcsbD,
    /// 95 % scans of 1 to 100 rows, 5 % inserts.
    #[value(name = "ycsb-e")]
    YcsbE,
    /// Half reads, half reads of a row that is then written; few rows often.
    #[value(name = "ycsb-f")]
    YcsbF,
}

use Workload::*;

/// The workloads of `--quick`.
pub(crate) const QUICK: [Workload; 14] = [
    FillSeq,
    FillRandom,
    FillBatch,
    FillSyncBatch,
    Overwrite,
    ReadRandom,
    ReadMissing,
    ColdRead32,
    MultiGet32,
    ScanFwd,
    ScanRev,
    KeysFwd,
    SeekNext50,
    YcsbA,
];

/// Reads under way or asked for at the same time, in the workloads that have 32 in their name.
pub(crate) const IN_FLIGHT: usize = 32;

/// On which database a workload runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// An empty one.
    Nothing,
    /// A filled one, which it leaves as it is.
    Rows,
    /// A filled one of its own, which it changes.
    Copy,
}

impl Workload {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn needs(self) -> Needs {
        match self {
            FillSeq | FillRandom | FillBatch | FillSync | FillSyncBatch => Needs::Nothing,
            Overwrite | Overwrite5 | Overwrite5Zipf | DeleteRandom | YcsbA | YcsbB | YcsbD | YcsbE
            | YcsbF => Needs::Copy,
            _ => Needs::Rows,
        }
    }

    /// Whether it changes the database.
    pub(crate) fn writes(self) -> bool {
        self.needs() != Needs::Rows
    }

    /// Whether commits are durable when they are answered.
    pub(crate) fn syncs(self) -> bool {
        matches!(self, FillSync | FillSyncBatch)
    }

    /// Whether the files are evicted from the page cache before.
    pub(crate) fn cold(self) -> bool {
        matches!(self, ColdRead | ColdRead32 | ColdScan)
    }

    /// Requests that wait for their answer at the same time.
    pub(crate) fn in_flight(self) -> usize {
        if matches!(self, ColdRead32 | MultiGet32) { IN_FLIGHT } else { 1 }
    }

    /// How many rows are put, deleted or asked for, or how many seeks or operations of YCSB are done, with `count` rows.
    /// Fewer than there are rows where each is slow, or where reads would warm up what is to be cold.
    pub(crate) fn ops(self, count: u64) -> u64 {
        let share = match self {
            Overwrite5 | Overwrite5Zipf => return count * 5,
            FillSync => 100,
            FillSyncBatch => 5,
            DeleteRandom | YcsbA | YcsbB | YcsbC | YcsbD | YcsbF => 2,
            ColdRead => 50,
            ColdRead32 | SeekNext50 | SeekPrev50 | YcsbE => 20,
            _ => 1,
        };
        (count / share).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        let names: Vec<String> = Workload::value_variants().iter().map(|workload| workload.name()).collect();
        assert_eq!(
            names.join(" "),
            "fillseq fillrandom fillbatch fillsync fillsyncbatch overwrite overwrite5 overwrite5zipf deleterandom readrandom readmissing coldread \
             coldread32 multiget32 scanfwd scanrev keysfwd keysrev seeknext50 seekprev50 coldscan ycsb-a ycsb-b ycsb-c \
             ycsb-d ycsb-e ycsb-f"
        );
        for name in &names {
            assert_eq!(Workload::from_str(name, false).map(Workload::name).as_ref(), Ok(name));
        }
        assert!(Workload::from_str("fill", false).is_err());
    }
}
