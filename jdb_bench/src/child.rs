//! A child process that says one line and waits to be killed, with whatever it has not made durable.

use crate::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `program` with this one's arguments and `what path` until it has said its line, kills it, and gives the line.
///
/// # Errors
/// The system's; a child that ended without a word.
pub fn run_and_kill(program: &Path, what: &str, path: &Path) -> Result<String> {
    let mut child = Command::new(program)
        .args(std::env::args().skip(1))
        .arg(what)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    child.kill()?;
    child.wait()?;
    if line.is_empty() { Err(format!("{what} failed").into()) } else { Ok(line) }
}

/// In the child: says its line and waits. It ends with its parent at the latest, and closes nothing.
///
/// # Errors
/// The system's.
pub fn say_and_wait(line: &str) -> Result<()> {
    println!("{line}");
    std::io::stdout().flush()?;
    // Nothing ever comes but the end.
    let _ = std::io::stdin().read(&mut [0])?;
    std::process::exit(0)
}
