//! Starts the program again for each step and puts the figures together.

use crate::error::{Error, Result};
use crate::median;
use crate::plan::{Args, Step};
use crate::record::Record;
use crate::steps::{Active, Dropped, Loaded, Opened, Used};
use crate::system;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How often a store is opened.
const OPENINGS: usize = 3;

/// How this program is started so that it does a step.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name of the store.
    pub engine: String,
    /// What stands in front of the arguments of the measurement.
    pub args: Vec<OsString>,
}

/// Measures a store in a temporary directory. `note` hears what is done and figures that are not in the record.
///
/// # Errors
/// The store's, those of a directory or process, and whatever the store does not hold.
pub fn measure(args: &Args, program: &Program, mut note: impl FnMut(&str)) -> Result<Record> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent).map_err(Error::io("make", &parent))?;
    let dir = tempfile::Builder::new().prefix("jdb-tenants-").tempdir_in(&parent);
    let dir = dir.map_err(Error::io("make a temporary directory in", &parent))?;
    let path = dir.path().join("db");
    let step = |step| Running::start(args, program, step, &path);

    note("making namespaces");
    let loaded: Loaded = step(Step::Load)?.figures()?;
    let files = system::count(&path)?;
    note(&format!("made in {:.1} s, settled after {:.1} s more; opening", loaded.load_s, loaded.settle_s));
    let mut clean = Vec::new();
    for _ in 0..OPENINGS {
        system::evict(&path)?;
        clean.push(step(Step::Open)?.figures::<Opened>()?);
    }
    note("reading and listing");
    system::evict(&path)?;
    let used: Used = step(Step::Use)?.figures()?;
    note(&format!(
        "the first touches, which opened files: {:.0} us, {} reads; killing",
        used.opening_touch.p50_us,
        used.opening_touch.reads.map_or("-".into(), |reads| format!("{reads:.2}")),
    ));
    let crashing = step(Step::Crash)?;
    crashing.kill()?;
    let crash: Opened = step(Step::Recover)?.figures()?;
    note("working in one namespace");
    let active: Active = step(Step::Active)?.figures()?;
    note("dropping");
    let dropped: Dropped = step(Step::Drop)?.figures()?;
    note(&format!("a put between drops: {:.1} us", dropped.put_us));

    let rss_open = median(clean.iter().filter_map(|open| open.rss_bytes).map(|len| len as f64).collect());
    Ok(Record {
        engine: program.engine.clone(),
        namespaces: args.namespaces,
        rows: args.rows,
        load_per_s: args.namespaces as f64 / loaded.load_s,
        rss_load_bytes: loaded.rss_bytes,
        rss_open_bytes: Some(rss_open as u64).filter(|&len| len > 0),
        open_clean_ms: median(clean.iter().map(|open| open.open_ms).collect()),
        open_crash_ms: crash.open_ms,
        replay_bytes: crash.replay_bytes,
        files: files.files,
        dirs: files.dirs,
        fds: loaded.fds.max(used.fds).max(dropped.fds),
        disk_bytes: files.disk_len,
        first_touch_p50_us: used.touch.p50_us,
        first_touch_reads: used.touch.reads,
        get_p50_us: used.get_p50_us,
        absent_p50_us: used.absent_p50_us,
        active_per_s: active.per_s,
        active_alone_per_s: active.alone_per_s,
        drop_small_us: dropped.small_us,
        drop_big_us: dropped.big_us,
        list_page_ms: used.list_page_ms,
        walk_per_s: used.walk_per_s,
    })
}

/// A process that does a step; killed when it is dropped.
struct Running {
    child: Child,
    step: Step,
}

impl Running {
    fn start(args: &Args, program: &Program, step: Step, path: &Path) -> Result<Self> {
        let exe = std::env::current_exe().map_err(Error::io("find", Path::new("this program")))?;
        let child = Command::new(&exe)
            .args(&program.args)
            .args(["--namespaces", &args.namespaces.to_string(), "--rows", &args.rows.to_string()])
            .args(["--value-len", &args.value_len.to_string(), "--memory", &args.memory.to_string()])
            .args(["--seed", &args.seed.to_string(), "--step", step.name(), "--path"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io("start", &exe))?;
        Ok(Self { child, step })
    }

    /// The line that it tells.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let out = self.child.stdout.take().ok_or_else(|| self.error("has no output"))?;
        BufReader::new(out).read_line(&mut line).map_err(Error::io("read from", Path::new("a process")))?;
        if line.ends_with('\n') {
            return Ok(line);
        }
        let status = self.child.wait().map_err(Error::io("wait for", Path::new("a process")))?;
        Err(self.error(format!("ended without its figures, {status}")))
    }

    /// Its figures, when it has ended well.
    fn figures<T: DeserializeOwned>(mut self) -> Result<T> {
        let line = self.line()?;
        let status = self.child.wait().map_err(Error::io("wait for", Path::new("a process")))?;
        if !status.success() {
            return Err(self.error(format!("ended badly, {status}")));
        }
        serde_json::from_str(&line).map_err(|error| self.error(format!("said {line:?}: {error}")))
    }

    /// Waits for its word and kills it.
    fn kill(mut self) -> Result<()> {
        self.line()?;
        self.child.kill().map_err(Error::io("kill", Path::new("a process")))?;
        self.child.wait().map_err(Error::io("wait for", Path::new("a process")))?;
        Ok(())
    }

    fn error(&self, what: impl Into<String>) -> Error {
        Error::Child { step: self.step.name(), what: what.into() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
