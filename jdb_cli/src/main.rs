//! The `jdb` program: one subcommand an act, `jdb help` lists them.
//!
//! Exit code 0 is success, 1 an error or a failed check, 2 damage found in a database.

mod demo;
mod error;

use clap::{Parser, Subcommand};
use error::{Error, Result};
use std::process::ExitCode;

/// An embedded key-value database: values in a log, keys in a tree, very many namespaces.
#[derive(Parser)]
#[command(name = "jdb", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Import real files through a process that is killed, check that nothing acknowledged was lost, print figures.
    Demo(demo::Args),
    /// The process that `demo` kills.
    #[command(hide = true)]
    DemoImport(demo::ChildArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::DemoImport(args) => demo::run_child(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_sources(&error));
            if error.is_corruption() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// An error and what lies under it, on one line.
fn with_sources(error: &Error) -> String {
    let mut line = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        line = format!("{line}: {source}");
        next = source.source();
    }
    line
}

/// Runs `task` on a runtime of its own.
fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).map_err(|source| Error::Runtime { source })?;
    runtime.block_on(task)
}
