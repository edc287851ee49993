//! `jdb import`: rows of a file, of standard input or of a directory tree go in, in bounded batches.
//!
//! What is malformed is an error that names its line. Rows before it are in the database then, and the error says how many;
//! with `--keep-going` it is passed over.

mod input;
mod json;
mod source;
mod tree;
mod tsv;

use crate::encoding::{Encoding, ns_of};
use crate::error::{Error, Result};
use crate::out::{say, warn};
use crate::progress::Bar;
use crate::{Globals, Which, interrupt, say_json};
use jdb::{Db, Durability};
use source::{Next, Source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of keys and values that are committed together at most; one longer row makes a longer batch.
const BATCH_LEN: usize = 4 << 20;
/// Rows passed over that are told one by one.
const TOLD_MAX: u64 = 20;

/// Arguments of `jdb import`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to import; `-` is standard input. Names that end in .gz are unpacked.
    file: PathBuf,
    /// What is in it [default: a directory is a tree; .json, .jsonl and .ndjson are JSON lines; all else is TSV].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// TSV: the first line names the columns and is no row.
    #[arg(long)]
    header: bool,
    /// TSV: the namespace is the 128-bit hash of this column, counted from 1, as --ns-of makes it of a text.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ns_column: Option<u32>,
    /// JSON: the key is this field and the value is the whole line.
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// JSON: the namespace is the 128-bit hash of this field's text.
    #[arg(long, value_name = "NAME")]
    ns_field: Option<String>,
    /// Rows that are committed together.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: u32,
    /// Wait until each batch would survive a power cut.
    #[arg(long)]
    sync: bool,
    /// Pass over what is malformed, tell it, and end with exit code 1.
    #[arg(long)]
    keep_going: bool,
}

/// What is in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// Column 1 is the key, the rest of the line the value.
    Tsv,
    /// One object a line: "key" and "value", and "ns" where --ns says none; as `scan --json` prints them.
    Json,
    /// Each file of a directory is a row: its path with / is the key, its content the value.
    Tree,
}

/// Where rows go that do not say it, and how their text is read.
struct Shape {
    ns: Option<Which>,
    keys: Encoding,
    values: Encoding,
}

/// A row on its way.
struct Row {
    ns: Which,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Runs the import.
///
/// # Errors
/// [`Error::Row`] for what is malformed, [`Error::Rows`] when some was passed over, [`Error::Interrupted`]; those of the file
/// and of the database. Acknowledged rows are in the database in every case.
pub(crate) fn run(globals: &Globals, args: &Args) -> Result<()> {
    let format = args.format.unwrap_or_else(|| format_of(&args.file));
    check_flags(args, format)?;
    let shape = Shape {
        ns: globals.ns_if_given(),
        keys: globals.keys.unwrap_or_default(),
        values: globals.values.unwrap_or_default(),
    };
    if shape.ns.is_none() && args.ns_column.is_none() && args.ns_field.is_none() && format != Format::Json {
        return Err(Error::Usage("say where the rows go: --ns, --ns-of, --name or --ns-column".to_owned()));
    }
    // What cannot be read makes no database.
    let source = match format {
        Format::Tsv => Source::Tsv(tsv::Tsv::open(&args.file, args.header, args.ns_column)?),
        Format::Json => {
            Source::Json(json::Json::open(&args.file, args.key_field.clone(), args.ns_field.clone())?)
        }
        Format::Tree => Source::Tree(tree::Tree::open(&args.file)?),
    };
    interrupt::listen();
    crate::block_on(async {
        let db = globals.open(|options| options.create = true).await?;
        let mut import = Import::new(args, &db, &source);
        let done = import.run(source, &shape).await;
        let (rows, len) = (import.rows, import.len);
        drop(import);
        // What was acknowledged is there also when the import ended early.
        let closed = db.close().await;
        done?;
        closed?;
        if globals.json {
            return say_json(&serde_json::json!({ "rows": rows, "len": len }));
        }
        say(format_args!("{rows} rows, {len} bytes of keys and values"))
    })
}

/// What a name promises.
fn format_of(path: &Path) -> Format {
    let name = path.to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match () {
        () if path.is_dir() => Format::Tree,
        () if [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end)) => Format::Json,
        () => Format::Tsv,
    }
}

/// A flag that another format would heed is a mistake, not something to pass over.
fn check_flags(args: &Args, format: Format) -> Result<()> {
    let flags = [
        ("--header", args.header, Format::Tsv),
        ("--ns-column", args.ns_column.is_some(), Format::Tsv),
        ("--key-field", args.key_field.is_some(), Format::Json),
        ("--ns-field", args.ns_field.is_some(), Format::Json),
    ];
    for (flag, given, wants) in flags {
        if given && wants != format {
            let name = format!("{format:?}").to_lowercase();
            return Err(Error::Usage(format!(
                "{flag} says nothing about {name}; --format tells what the file is"
            )));
        }
    }
    Ok(())
}

/// An import under way.
struct Import<'a> {
    args: &'a Args,
    db: &'a Db,
    bar: Bar,
    pending: Vec<Row>,
    pending_len: usize,
    /// Acknowledged.
    rows: u64,
    len: u64,
    /// Passed over.
    bad: u64,
}

impl<'a> Import<'a> {
    fn new(args: &'a Args, db: &'a Db, source: &Source) -> Self {
        let bar = Bar::bytes("import", source.len());
        Self { args, db, bar, pending: Vec::new(), pending_len: 0, rows: 0, len: 0, bad: 0 }
    }

    async fn run(&mut self, mut source: Source, shape: &Shape) -> Result<()> {
        loop {
            if interrupt::asked() {
                self.commit(&source).await?;
                return Err(Error::Interrupted { imported: self.rows });
            }
            match source.next(shape) {
                Ok(Next::Row(row)) => {
                    if let Err(why) = check_len(&row) {
                        self.bad_row(&source, why).await?;
                        continue;
                    }
                    self.pending_len += row.key.len() + row.value.len();
                    self.pending.push(row);
                    if self.pending.len() >= self.args.batch as usize || self.pending_len >= BATCH_LEN {
                        self.commit(&source).await?;
                    }
                }
                Ok(Next::Bad(why)) => self.bad_row(&source, why).await?,
                Ok(Next::End) => break,
                Err(error) => {
                    self.commit(&source).await?;
                    return Err(error);
                }
            }
        }
        self.commit(&source).await?;
        if self.bad > 0 {
            return Err(Error::Rows { bad: self.bad, all: self.rows + self.bad });
        }
        Ok(())
    }

    /// Passes over a row, or ends the import because of it.
    async fn bad_row(&mut self, source: &Source, why: String) -> Result<()> {
        if !self.args.keep_going {
            self.commit(source).await?;
            return Err(Error::Row { place: source.place(), why, imported: self.rows });
        }
        self.bad += 1;
        match self.bad {
            ..=TOLD_MAX => self.bar.above(&format!("passed over: {}: {why}", source.place())),
            n if n == TOLD_MAX + 1 => self.bar.above("passed over: more, which are only counted"),
            _ => {}
        }
        Ok(())
    }

    async fn commit(&mut self, source: &Source) -> Result<()> {
        let rows = std::mem::take(&mut self.pending);
        let (count, len) = (rows.len() as u64, std::mem::take(&mut self.pending_len) as u64);
        let durability = if self.args.sync { Durability::Sync } else { Durability::Os };
        if let Err(error) = self.put(rows, durability).await {
            warn(format_args!("{} rows are imported; of the {count} that follow some may be", self.rows));
            return Err(error.into());
        }
        self.rows += count;
        self.len += len;
        interrupt::imported(self.rows);
        self.bar.set(source.done().unwrap_or(self.len), source.len());
        Ok(())
    }

    /// Rows of ids in one commit a shard, those of a name in one commit.
    async fn put(&self, rows: Vec<Row>, durability: Durability) -> jdb::Result<()> {
        let mut named: BTreeMap<Vec<u8>, Vec<Row>> = BTreeMap::new();
        let mut by_id = Vec::new();
        for row in rows {
            match &row.ns {
                Which::Id(id) => by_id.push((*id, row.key, row.value)),
                Which::Name(name) => named.entry(name.clone()).or_default().push(row),
            }
        }
        self.db.put_many(by_id).durability(durability).await?;
        for (name, rows) in named {
            let mut batch = self.db.named(name).await?.batch();
            batch.durability(durability);
            for row in rows {
                batch.put_bytes(row.key, row.value.into());
            }
            batch.commit().await?;
        }
        Ok(())
    }
}

/// Limits, before a row takes others with it.
fn check_len(row: &Row) -> Result<(), String> {
    let over = |what: &str, len: usize, max: usize| format!("{what} of {len} bytes: at most {max}");
    match () {
        () if row.key.len() > jdb::KEY_LEN_MAX => Err(over("a key", row.key.len(), jdb::KEY_LEN_MAX)),
        () if row.value.len() > jdb::VALUE_LEN_MAX => {
            Err(over("a value", row.value.len(), jdb::VALUE_LEN_MAX))
        }
        () => Ok(()),
    }
}
