//! `get`, `put`, `delete`, `scan`: one namespace, a row at a time.

use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::out::{Out, say};
use crate::{Globals, Which, say_json};
use jdb::{Commit, Db, Durability, Scan};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Arguments of `jdb get`.
#[derive(clap::Args)]
pub(crate) struct GetArgs {
    /// The key, as --keys says.
    key: String,
}

/// Arguments of `jdb put`.
#[derive(clap::Args)]
pub(crate) struct PutArgs {
    /// The key, as --keys says.
    key: String,
    /// The value, as --values says; `-`, or nothing: all of standard input, byte by byte.
    #[arg(conflicts_with = "file")]
    value: Option<String>,
    /// The value is what this file holds.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait until it would survive a power cut.
    #[arg(long)]
    sync: bool,
}

/// Arguments of `jdb delete`.
#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    /// The keys, as --keys says. One that is not there is none: no error.
    #[arg(required = true)]
    key: Vec<String>,
    /// Wait until it would survive a power cut.
    #[arg(long)]
    sync: bool,
}

/// Arguments of `jdb scan`.
#[derive(clap::Args)]
pub(crate) struct ScanArgs {
    /// Only keys that begin so.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    /// Only keys from this one on.
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys below this one.
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// From the largest key to the smallest.
    #[arg(long)]
    rev: bool,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// No values: nothing of the log is read.
    #[arg(long)]
    keys_only: bool,
    /// Only how many rows there are.
    #[arg(long)]
    count: bool,
    /// Every namespace, one after the other, instead of --ns.
    #[arg(long)]
    all: bool,
}

/// Runs `jdb get`: the value's bytes and nothing else.
///
/// # Errors
/// [`Error::NoKey`]; those of the database.
pub(crate) fn get(globals: &Globals, args: &GetArgs) -> Result<()> {
    let (ns, key) = (globals.ns()?, globals.key(&args.key)?);
    let found = crate::block_on(async {
        let db = globals.open_to_read().await?;
        let found = ns.in_db(&db).await?.get(&key).await?;
        db.close().await?;
        Ok(found)
    })?;
    let Some(value) = found else {
        return Err(Error::NoKey { key: globals.keys().show(&key), ns: ns.to_string() });
    };
    if globals.json {
        return say_json(&row_json(globals, &ns, &key, Some(&value)));
    }
    let mut out = Out::new();
    match globals.values {
        Some(encoding) => out.line(encoding.show(&value))?,
        None => out.raw(&value)?,
    }
    out.finish()
}

/// Runs `jdb put`.
///
/// # Errors
/// Those of the file, or standard input, and of the database.
pub(crate) fn put(globals: &Globals, args: &PutArgs) -> Result<()> {
    let (ns, key) = (globals.ns()?, globals.key(&args.key)?);
    let value = match (&args.file, args.value.as_deref()) {
        (Some(path), _) => {
            let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
            read_value(file, path)?
        }
        (None, None | Some("-")) => read_value(std::io::stdin().lock(), Path::new("standard input"))?,
        (None, Some(text)) => {
            let value = globals.values.unwrap_or_default().read(text.as_bytes());
            value.map_err(|why| Error::Usage(format!("the value is {why}")))?.into_owned()
        }
    };
    crate::block_on(async {
        let db = globals.open(|options| options.create = true).await?;
        let commit =
            ns.in_db(&db).await?.put_bytes(&key, value.into()).durability(durability(args.sync)).await?;
        done(globals, db, &commit).await
    })
}

/// Runs `jdb delete`: all keys in one commit.
///
/// # Errors
/// Those of the database.
pub(crate) fn delete(globals: &Globals, args: &DeleteArgs) -> Result<()> {
    let ns = globals.ns()?;
    let keys: Vec<_> = args.key.iter().map(|key| globals.key(key)).collect::<Result<_>>()?;
    crate::block_on(async {
        let db = globals.open_to_write().await?;
        let mut batch = ns.in_db(&db).await?.batch();
        batch.durability(durability(args.sync));
        for key in &keys {
            batch.delete(key);
        }
        let commit = batch.commit().await?;
        done(globals, db, &commit).await
    })
}

/// Runs `jdb scan`.
///
/// # Errors
/// Those of the database: never fewer rows instead.
pub(crate) fn scan(globals: &Globals, args: &ScanArgs) -> Result<()> {
    let ns = match (args.all, globals.ns_if_given()) {
        (true, Some(_)) => return Err(Error::Usage("--all and one namespace exclude each other".to_owned())),
        (true, None) => None,
        (false, _) => Some(globals.ns()?),
    };
    let key = |text: &Option<String>| text.as_ref().map(|text| globals.key(text)).transpose();
    let (prefix, from, to) = (key(&args.prefix)?, key(&args.from)?, key(&args.to)?);
    crate::block_on(async {
        let db = globals.open_to_read().await?;
        let mut left = args.limit.unwrap_or(usize::MAX);
        let mut out = Out::new();
        let mut count = 0;
        let mut all = db.namespaces();
        while left > 0 {
            let which = match &ns {
                Some(ns) => ns.clone(),
                None => match all.next().await? {
                    Some(id) => db.name_of(id).await?.map_or(Which::Id(id), |name| Which::Name(name.into())),
                    None => break,
                },
            };
            let space = which.in_db(&db).await?;
            let mut scan = match &prefix {
                Some(prefix) => space.prefix(prefix),
                None => space.range::<&[u8]>((
                    from.as_deref().map_or(Bound::Unbounded, Bound::Included),
                    to.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
                )),
            };
            scan = if args.rev { scan.rev() } else { scan };
            scan = if args.keys_only || args.count { scan.keys_only() } else { scan };
            let rows = print(globals, args, &which, scan.limit(left), &mut out).await?;
            count += rows;
            left -= rows;
            if !args.all {
                break;
            }
        }
        if args.count {
            out.line(if globals.json { json!({ "count": count }).to_string() } else { count.to_string() })?;
        }
        out.finish()?;
        Ok(db.close().await?)
    })
}

/// Prints the rows of a scan, or counts them only; returns how many there were.
async fn print(
    globals: &Globals,
    args: &ScanArgs,
    ns: &Which,
    mut scan: Scan,
    out: &mut Out,
) -> Result<usize> {
    let (keys, values) = (globals.keys(), globals.values.unwrap_or_default());
    let mut count = 0;
    while let Some(item) = scan.next().await? {
        count += 1;
        if args.count {
            continue;
        }
        let value = if args.keys_only { None } else { Some(item.value().await?) };
        if globals.json {
            out.line(row_json(globals, ns, item.key(), value.as_deref()))?;
            continue;
        }
        let space = if args.all { Cow::Owned(format!("{ns}\t")) } else { Cow::Borrowed("") };
        let value = value.map_or_else(String::new, |value| format!("\t{}", values.show(&value)));
        out.cut_line(&format!("{space}{}{value}", keys.show(item.key())))?;
    }
    Ok(count)
}

/// A row in the shape that `import` reads.
fn row_json(globals: &Globals, ns: &Which, key: &[u8], value: Option<&[u8]>) -> Value {
    let mut row = Map::new();
    match ns {
        Which::Id(id) => drop(row.insert("ns".to_owned(), id.to_string().into())),
        Which::Name(name) => Encoding::Utf8.put("ns_name", name, &mut row),
    }
    globals.keys().put("key", key, &mut row);
    if let Some(value) = value {
        globals.values.unwrap_or_default().put("value", value, &mut row);
    }
    Value::Object(row)
}

/// Closes after a write, and tells its sequence where that is wanted.
async fn done(globals: &Globals, db: Db, commit: &Commit) -> Result<()> {
    let seq = commit.seq().get();
    db.close().await?;
    if globals.json { say(json!({ "seq": seq })) } else { Ok(()) }
}

const fn durability(sync: bool) -> Durability {
    if sync { Durability::Sync } else { Durability::Os }
}

/// Everything that is there to read; one byte more than a value may have is enough to see that it is too long.
fn read_value(from: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    from.take(jdb::VALUE_LEN_MAX as u64 + 1).read_to_end(&mut value).map_err(Error::io("read", path))?;
    Ok(value)
}
