//! The `jdb` program: one subcommand an act, `jdb help` lists them; docs/program.md describes them.
//!
//! Results go to standard output, bars and errors to standard error. Exit code 0 is success, also when whoever read has
//! enough; 1 an error; 2 damage found in a database; 64 a command line that makes no sense; 130 Ctrl-C.

mod bench;
mod care;
mod demo;
mod encoding;
mod error;
mod import;
mod inspect;
mod interrupt;
mod names;
mod out;
mod progress;
mod rows;

use clap::{Parser, Subcommand};
use encoding::Encoding;
use error::{Error, Result};
use jdb::{Db, Namespace, NsId, Options};
use std::path::PathBuf;
use std::process::ExitCode;

/// An embedded key-value database: values in a log, keys in a tree, very many namespaces.
#[derive(Parser)]
#[command(name = "jdb", version, arg_required_else_help = true, term_width = 100)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every act understands.
#[derive(clap::Args)]
struct Globals {
    /// Directory of the database.
    #[arg(long, global = true, value_name = "DIR")]
    db: Option<PathBuf>,
    /// The namespace: a number of up to 128 bits, 0x.., SITE/USER or a UUID.
    #[arg(long, global = true, value_name = "ID", value_parser = encoding::ns_id)]
    ns: Option<NsId>,
    /// The namespace of a text: its 128-bit hash, as `import --ns-column` makes it.
    #[arg(long, global = true, value_name = "TEXT", conflicts_with = "ns")]
    ns_of: Option<String>,
    /// The namespace that has this name; `put` and `import` make it.
    #[arg(long, global = true, value_name = "NAME", conflicts_with_all = ["ns", "ns_of"])]
    name: Option<String>,
    /// Print JSON: an object, or one a line.
    #[arg(long, global = true)]
    json: bool,
    /// How keys are written, in and out [default: utf8].
    #[arg(long, global = true, value_enum, value_name = "HOW")]
    keys: Option<Encoding>,
    /// How values are written, in and out [default: utf8; `get` gives the bytes as they are].
    #[arg(long, global = true, value_enum, value_name = "HOW")]
    values: Option<Encoding>,
}

#[derive(Subcommand)]
enum Command {
    /// Put the rows of a file or directory.
    Import(import::Args),
    /// Print the value of a key.
    Get(rows::GetArgs),
    /// Set a key to a value.
    Put(rows::PutArgs),
    /// Delete keys.
    Delete(rows::DeleteArgs),
    /// Print the rows of a range, forward or backward.
    Scan(rows::ScanArgs),
    /// List the namespaces.
    Ls(inspect::LsArgs),
    /// List the names of namespaces.
    Names(names::NamesArgs),
    /// Give a namespace another name.
    Rename(names::RenameArgs),
    /// Print the largest or the newest namespaces.
    Top(inspect::TopArgs),
    /// Print what the database knows of itself, or of a namespace.
    Stat,
    /// Delete a namespace with all its rows.
    Drop(care::DropArgs),
    /// Flush, and write tables anew without what nobody sees.
    Compact,
    /// Compact, then give back the room of overwritten and deleted values.
    Collect,
    /// Read and check everything.
    Verify,
    /// Copy what is sound out of a damaged database.
    Salvage(care::ToArgs),
    /// Make a second database as of now, by hard links.
    Backup(care::ToArgs),
    /// Describe a file of a database, a line a field.
    Dump(inspect::DumpArgs),
    /// Import real files through a process that is killed, check that nothing acknowledged was lost, print figures.
    Demo(demo::Args),
    /// Measure this machine.
    Bench(bench::Args),
    /// The process that `demo` kills.
    #[command(hide = true)]
    DemoImport(demo::ChildArgs),
}

/// A namespace as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Which {
    Id(NsId),
    Name(Vec<u8>),
}

impl Which {
    async fn in_db(&self, db: &Db) -> Result<Namespace> {
        Ok(match self {
            Self::Id(id) => db.ns(*id),
            Self::Name(name) => db.named(name).await?,
        })
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => Encoding::Utf8.show(name).fmt(f),
        }
    }
}

impl Globals {
    /// The namespace that was given.
    fn ns(&self) -> Result<Which> {
        self.ns_if_given().ok_or_else(|| {
            Error::Usage("say which namespace: --ns ID, --ns-of TEXT or --name NAME".to_owned())
        })
    }

    fn ns_if_given(&self) -> Option<Which> {
        let hash = || self.ns_of.as_ref().map(|text| Which::Id(encoding::ns_of(text.as_bytes())));
        let name = || self.name.as_ref().map(|name| Which::Name(name.clone().into_bytes()));
        self.ns.map(Which::Id).or_else(hash).or_else(name)
    }

    fn keys(&self) -> Encoding {
        self.keys.unwrap_or_default()
    }

    /// A key that was typed.
    fn key(&self, text: &str) -> Result<Vec<u8>> {
        let key = self.keys().read(text.as_bytes());
        Ok(key.map_err(|why| Error::Usage(format!("the key {text:?} is {why}")))?.into_owned())
    }

    /// Opens the database that was named, which must exist unless `change` says otherwise.
    async fn open(&self, change: impl FnOnce(&mut Options)) -> Result<Db> {
        let Some(path) = &self.db else {
            return Err(Error::Usage("say which database: --db DIR".to_owned()));
        };
        let mut options = Options { create: false, ..Options::at(path) };
        change(&mut options);
        Ok(jdb::open(options).await?)
    }

    async fn open_to_read(&self) -> Result<Db> {
        self.open(|options| options.read_only = true).await
    }

    async fn open_to_write(&self) -> Result<Db> {
        self.open(|_| ()).await
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let globals = &cli.globals;
    let done = match &cli.command {
        Command::Import(args) => import::run(globals, args),
        Command::Get(args) => rows::get(globals, args),
        Command::Put(args) => rows::put(globals, args),
        Command::Delete(args) => rows::delete(globals, args),
        Command::Scan(args) => rows::scan(globals, args),
        Command::Ls(args) => inspect::ls(globals, args),
        Command::Names(args) => names::names(globals, args),
        Command::Rename(args) => names::rename(globals, args),
        Command::Top(args) => inspect::top(globals, args),
        Command::Stat => inspect::stat(globals),
        Command::Drop(args) => care::drop_ns(globals, args),
        Command::Compact => care::compact(globals),
        Command::Collect => care::collect(globals),
        Command::Verify => care::verify(globals),
        Command::Salvage(args) => care::salvage(globals, args),
        Command::Backup(args) => care::backup(globals, args),
        Command::Dump(args) => inspect::dump(args),
        Command::Demo(args) => demo::run(args),
        Command::Bench(args) => bench::run(globals, args),
        Command::DemoImport(args) => demo::run_child(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::Pipe) {
                out::warn(format_args!("{}: {}", out::alarm("error"), error.line()));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help and version where they were asked for; else what is wrong with the command line, on one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let closed = out::say(error.to_string().trim_end()).is_err();
        return if closed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        out::warn(text.trim_end());
        return ExitCode::from(error::USAGE);
    }
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    out::warn(format_args!("{}: {line}; `jdb help` says what there is", out::alarm("error")));
    ExitCode::from(error::USAGE)
}

/// Prints a JSON object on a line.
fn say_json(object: &serde_json::Value) -> Result<()> {
    out::say(object)
}

/// Runs `task` on a runtime of its own.
fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).map_err(|source| Error::Runtime { source })?;
    runtime.block_on(task)
}
