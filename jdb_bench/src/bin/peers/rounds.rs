//! Rounds: every workload on every engine in turn, each in a child process, on databases filled in the same round.

use crate::child::Job;
use crate::engine::EngineName;
use crate::measure::copy;
use crate::record::Record;
use crate::workload::{Needs, Workload};
use jdb_bench::Result;
use jdb_bench::report::evict;
use jdb_bench::report::sync_all;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) engines: Vec<EngineName>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) count: u64,
    pub(crate) value_len: usize,
    pub(crate) rounds: usize,
    /// Where the databases are made, in a temporary directory.
    pub(crate) dir: PathBuf,
}

impl Plan {
    /// Runs all of it, and hands out each record as it comes.
    pub(crate) fn run(&self, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
        // The databases that others read are filled first, whether that is asked for or not.
        let needs_rows = self.workloads.iter().any(|workload| workload.needs() != Needs::Nothing);
        let mut workloads = self.workloads.clone();
        workloads.retain(|workload| !needs_rows || *workload != Workload::FillRandom);
        if needs_rows {
            workloads.insert(0, Workload::FillRandom);
        }
        for round in 0..self.rounds {
            let home = tempfile::tempdir_in(&self.dir)?;
            // Another engine is the first one in each round.
            let mut engines = self.engines.clone();
            engines.rotate_left(round % self.engines.len().max(1));
            for workload in &workloads {
                for engine in &engines {
                    let job = Job {
                        engine: *engine,
                        workload: *workload,
                        count: self.count,
                        value_len: self.value_len,
                        round,
                    };
                    let record = run_in(home.path(), job, needs_rows)?;
                    if self.workloads.contains(workload) {
                        each(record)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Prepares the database that a job needs, has a child do it, and removes what nobody needs any more.
fn run_in(home: &Path, job: Job, keep_filled: bool) -> Result<Record> {
    let filled = home.join(job.engine.name());
    let own = home.join("own");
    let keep = job.workload == Workload::FillRandom && keep_filled;
    let dir = if keep || job.workload.needs() == Needs::Rows { &filled } else { &own };
    match job.workload.needs() {
        Needs::Nothing => fs::create_dir(dir)?,
        Needs::Rows => {}
        Needs::Copy => copy(&filled, dir)?,
    }
    // What others wrote is not counted as this job's.
    sync_all();
    if job.workload.cold() {
        evict(dir)?;
    }
    let record = spawn(job, dir);
    if *dir == own {
        fs::remove_dir_all(dir)?;
    }
    record
}

/// Starts this program as the child.
fn spawn(job: Job, dir: &Path) -> Result<Record> {
    let (engine, workload) = (job.engine.name(), job.workload.name());
    let output = Command::new(std::env::current_exe()?)
        .args(["--engine", &engine, "--workload", &workload])
        .args(["--n", &job.count.to_string(), "--value-len", &job.value_len.to_string()])
        .args(["--round", &job.round.to_string()])
        .arg("--child")
        .arg(dir)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{engine}, {workload}: the child ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
