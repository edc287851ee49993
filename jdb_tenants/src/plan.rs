//! How much is measured.

use crate::rows::Rows;
use std::path::PathBuf;

/// Arguments of a measurement.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Namespaces.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1 << 32))]
    pub namespaces: u64,
    /// Rows of each.
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rows: u64,
    /// Bytes of each value.
    #[arg(long, value_name = "V", default_value_t = 32, value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    pub value_len: u32,
    /// Memory of the database, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub memory: u32,
    /// Decides the order of the namespaces and what is in the values.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where to make the temporary directory [default: the system's place for such].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The one step that a child process does.
    #[arg(long, hide = true, requires = "path")]
    pub step: Option<Step>,
    /// The database of that step.
    #[arg(long, hide = true)]
    pub path: Option<PathBuf>,
}

/// Part of a measurement that has a process of its own.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Makes all namespaces.
    Load,
    /// Opens what was closed.
    Open,
    /// Reads and lists.
    Use,
    /// Puts rows until it is killed.
    Crash,
    /// Opens what was killed.
    Recover,
    /// Works in one namespace, among all others and alone.
    Active,
    /// Drops namespaces.
    Drop,
}

impl Step {
    /// As it is written on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Open => "open",
            Self::Use => "use",
            Self::Crash => "crash",
            Self::Recover => "recover",
            Self::Active => "active",
            Self::Drop => "drop",
        }
    }
}

/// Bytes of log that the killed process leaves, about.
const CRASH_LEN: u64 = 64 << 20;
/// Bytes of a record of the log besides its value, about.
const RECORD_LEN: u64 = 48;

impl Args {
    /// Memory of the database in bytes.
    pub(crate) fn memory_len(&self) -> usize {
        (self.memory as usize) << 20
    }

    pub(crate) fn all_rows(&self) -> Rows {
        Rows::new(self.namespaces, self.rows, self.value_len as usize, self.seed)
    }

    /// Rows that the killed process puts.
    pub(crate) fn crash_rows(&self) -> u64 {
        (CRASH_LEN / (u64::from(self.value_len) + RECORD_LEN)).min(self.namespaces * self.rows)
    }

    /// Rows of the namespace that is worked in.
    pub(crate) fn active_rows(&self) -> u64 {
        (self.namespaces * self.rows / 10).clamp(1, 20_000)
    }

    /// Rows of the big namespace that is dropped.
    pub(crate) fn big_rows(&self) -> u64 {
        (self.namespaces * self.rows / 10).clamp(1, 1_000_000)
    }

    /// So many of the namespaces, but no more than a fifth of them.
    pub(crate) fn some(&self, count: u64) -> u64 {
        count.min(self.namespaces / 5)
    }
}
