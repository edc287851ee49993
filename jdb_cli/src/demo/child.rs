//! The process that is killed, and the parent's hold on it.
//!
//! The child writes a line to its standard output for every batch that was acknowledged: `batch bytes_written syncs`; the
//! latter two are what the database has written to its files so far and how often it has synced a shard's log. A line is
//! written only after the answer, so what the parent reads was acknowledged; the last answers before the kill may go
//! unheard.

use super::corpus::Corpus;
use super::import::import;
use super::process::IoCounts;
use crate::error::{Error, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments of the hidden subcommand.
#[derive(clap::Args)]
pub(crate) struct ChildArgs {
    /// The list of files.
    #[arg(long)]
    list: PathBuf,
    /// The database.
    #[arg(long)]
    db: PathBuf,
}

/// The child: imports everything, then waits to be killed.
pub(crate) fn run_child(args: &ChildArgs) -> Result<()> {
    let corpus = Corpus::load(&args.list)?;
    crate::block_on(async {
        let db = jdb::open(&args.db).await?;
        let mut out = std::io::stdout().lock();
        import(&db, &corpus, 0..corpus.batch_count(), |batch| {
            let stats = db.stats();
            let syncs: u64 = stats.shards.iter().map(|shard| shard.syncs).sum();
            let line = format!("{batch} {} {syncs}\n", stats.io.write_len);
            out.write_all(line.as_bytes()).map_err(Error::io("write to", Path::new("the parent process")))
        })
        .await?;
        // Standard input ends when the parent does; normally the kill comes first.
        let _ = std::io::stdin().lock().read(&mut [0]);
        Ok(())
    })
}

/// What the parent learned from a child that it killed.
#[derive(Default, Debug)]
pub(crate) struct Killed {
    /// Numbers of the batches that were acknowledged.
    pub(crate) acknowledged: Vec<usize>,
    /// From start to kill.
    pub(crate) time: Duration,
    /// Bytes that the database had written at the last acknowledgement.
    pub(crate) write_len: u64,
    /// How often it had synced the log of a shard by then.
    pub(crate) syncs: u64,
    /// The system's counts of the process, where it has any.
    pub(crate) io: Option<IoCounts>,
}

/// Lets a child import into `db` and kills it (SIGKILL) when batches with half of the bytes were acknowledged.
///
/// # Errors
/// [`Error::Child`] when it ends by itself, the system's otherwise.
pub(crate) fn import_and_kill(corpus: &Corpus, list: &Path, db: &Path) -> Result<Killed> {
    let program = std::env::current_exe().map_err(Error::io("find", Path::new("this program")))?;
    let start = Instant::now();
    let mut child = Guard(
        Command::new(&program)
            .arg("demo-import")
            .arg("--list")
            .arg(list)
            .arg("--db")
            .arg(db)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io("start", &program))?,
    );
    let stdout = child.0.stdout.take().ok_or_else(|| Error::Child("has no output".into()))?;
    let mut lines = Lines { reader: BufReader::new(stdout), program: program.clone() };
    let mut killed = Killed::default();
    let mut len = 0;
    while len < corpus.len() / 2 || killed.acknowledged.is_empty() {
        let Some(batch) = lines.next(&mut killed)? else {
            let status = child.0.wait().map_err(Error::io("wait for", &program))?;
            return Err(Error::Child(format!("ended before it was killed, {status}")));
        };
        len += super::corpus::total_len(corpus.batch(batch));
    }
    child.0.kill().map_err(Error::io("kill", &program))?;
    killed.time = start.elapsed();
    // Answers that were on their way count as heard.
    while lines.next(&mut killed)?.is_some() {}
    // Dead, but its counts stay until it is waited for.
    killed.io = IoCounts::of(child.0.id());
    child.0.wait().map_err(Error::io("wait for", &program))?;
    Ok(killed)
}

/// The lines of the child's output.
struct Lines {
    reader: BufReader<ChildStdout>,
    program: PathBuf,
}

impl Lines {
    /// Takes note of the next whole line and gives its batch. `None` at the end; a line that the kill cut off is no
    /// answer.
    fn next(&mut self, into: &mut Killed) -> Result<Option<usize>> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map_err(Error::io("read the output of", &self.program))?;
        let Some(whole) = line.strip_suffix('\n') else { return Ok(None) };
        let (batch, write_len, syncs) =
            parse(whole).ok_or_else(|| Error::Child(format!("said {whole:?}")))?;
        into.acknowledged.push(batch);
        (into.write_len, into.syncs) = (write_len, syncs);
        Ok(Some(batch))
    }
}

fn parse(line: &str) -> Option<(usize, u64, u64)> {
    let mut words = line.split(' ');
    let parsed = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(parsed)
}

/// Kills the child if the parent gives up before it has.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail when it is already gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_is_three_numbers() {
        assert_eq!(parse("1 2 3"), Some((1, 2, 3)));
        for bad in ["", "1", "1 2", "1 2 x", "1 2 3 4", " 1 2 3"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
