//! `jdb bench`: figures of this machine, in a temporary directory.

use crate::Globals;
use crate::error::{Error, Result};
use crate::out::Out;
use crate::progress::Bar;
use jdb_tenants::{JdbStore, Program};
use std::path::PathBuf;

/// Arguments of `jdb bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Very many small namespaces: made, opened, found, listed, dropped.
    Tenants(TenantsArgs),
}

#[derive(clap::Args)]
struct TenantsArgs {
    #[command(flatten)]
    tenants: jdb_tenants::Args,
    /// With --json: write the figures to this file and print the table all the same.
    #[arg(value_name = "FILE", requires = "json")]
    file: Option<PathBuf>,
}

/// Measures, and prints or writes the figures.
///
/// # Errors
/// [`Error::Tenants`], and the file's.
pub(crate) fn run(globals: &Globals, args: &Args) -> Result<()> {
    let What::Tenants(TenantsArgs { tenants, file }) = &args.what;
    if let (Some(step), Some(path)) = (tenants.step, &tenants.path) {
        return Ok(jdb_tenants::run_step::<JdbStore>(tenants, step, path)?);
    }
    let program = Program { engine: "jdb".into(), args: vec!["bench".into(), "tenants".into()] };
    let bar = Bar::spinner("measuring");
    let record = jdb_tenants::measure(tenants, &program, |note| bar.say(note))?;
    drop(bar);
    let json = serde_json::json!(record);
    if let Some(file) = file {
        std::fs::write(file, format!("{json}\n")).map_err(Error::io("write", file))?;
    } else if globals.json {
        return crate::say_json(&json);
    }
    let mut out = Out::new();
    out.figures(&record.figures())?;
    out.finish()
}
