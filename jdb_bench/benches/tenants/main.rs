//! Very many namespaces, jdb and a keyspace of fjall that all of them share:
//! `cargo bench -p jdb_bench --bench tenants -- --namespaces 1000000`; without arguments a small quick run.
//!
//! What is measured stands in the crate `jdb_tenants`, how fjall keeps namespaces in `fjall.rs`. fjall gets a cache as large as jdb's,
//! a quarter of the memory, and a memtable of a quarter while another one is flushed. It has threads of its own, jdb has one.

mod fjall;

use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use fjall::FjallStore;
use jdb_bench::Result;
use jdb_tenants::{Args, JdbStore, Program, Record, run_step};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures very many namespaces.
#[derive(Parser, Debug)]
struct Cli {
    #[command(flatten)]
    args: Args,
    /// Engines, with commas; default: all.
    #[arg(long, value_enum, value_delimiter = ',')]
    engine: Vec<Engine>,
    /// File for the figures: an object of JSON a line, one an engine.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo says when this is to be a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Engine {
    /// This database.
    Jdb,
    /// An LSM tree in Rust, namespaces as prefixes of keys.
    Fjall,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Jdb => "jdb",
            Self::Fjall => "fjall",
        }
    }
}

fn main() -> ExitCode {
    // `cargo test --benches` runs this too, without an argument.
    if std::env::args().len() == 1 {
        return ExitCode::SUCCESS;
    }
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let engines = if cli.engine.is_empty() { Engine::value_variants() } else { &cli.engine };
    if let (Some(step), Some(path)) = (cli.args.step, &cli.args.path) {
        return match engines {
            [Engine::Jdb] => Ok(run_step::<JdbStore>(&cli.args, step, path)?),
            [Engine::Fjall] => Ok(run_step::<FjallStore>(&cli.args, step, path)?),
            _ => Err("a step is done with one engine".into()),
        };
    }
    let mut records = Vec::new();
    for engine in engines {
        let name = engine.name();
        let program = Program { engine: name.into(), args: vec!["--engine".into(), name.into()] };
        records.push(jdb_tenants::measure(&cli.args, &program, |note| eprintln!("{name}: {note}"))?);
    }
    if let Some(path) = &cli.json {
        let lines: Vec<String> = records.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        std::fs::write(path, lines.join("\n") + "\n")?;
    }
    let Args { namespaces, rows, value_len, memory, .. } = cli.args;
    println!("{namespaces} namespaces, {rows} rows of 8 + {value_len} bytes each, {memory} MiB of memory");
    println!("{}", table(&records));
    Ok(())
}

/// A column for each engine.
fn table(records: &[Record]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_row(std::iter::once("").chain(records.iter().map(|record| record.engine.as_str())));
    let columns: Vec<_> = records.iter().map(Record::figures).collect();
    for (row, (name, _)) in columns.first().into_iter().flatten().enumerate() {
        let figures = columns.iter().filter_map(|column| column.get(row)).map(|(_, figure)| figure.as_str());
        table.add_row(std::iter::once(*name).chain(figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
