//! `drop`, `compact`, `collect`, `verify`, `salvage`, `backup`: what concerns a database as a whole.

use crate::error::{Error, Result};
use crate::out::{Out, good, say};
use crate::progress::Bar;
use crate::{Globals, say_json};
use jdb::{Options, Recovery};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `jdb drop`.
#[derive(clap::Args)]
pub(crate) struct DropArgs {
    /// Yes, delete it.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `jdb salvage` and `jdb backup`.
#[derive(clap::Args)]
pub(crate) struct ToArgs {
    /// Directory of the new database: empty or missing.
    to: PathBuf,
}

/// Runs `jdb drop`: all rows of a namespace, in one record.
///
/// # Errors
/// [`Error::Usage`] without `--yes`; those of the database.
pub(crate) fn drop_ns(globals: &Globals, args: &DropArgs) -> Result<()> {
    let ns = globals.ns()?;
    if !args.yes {
        return Err(Error::Usage(format!("this deletes all rows of namespace {ns}: --yes if you mean it")));
    }
    crate::block_on(async {
        let db = globals.open_to_write().await?;
        let id = ns.in_db(&db).await?.id();
        let seq = db.drop_ns(id).await?.seq().get();
        db.close().await?;
        if globals.json { say(json!({ "seq": seq })) } else { Ok(()) }
    })
}

/// Runs `jdb compact`: flushes, then writes every table anew that holds anything nobody sees.
///
/// # Errors
/// Those of the database.
pub(crate) fn compact(globals: &Globals) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_write().await?;
        let bar = Bar::spinner("compact");
        let (before, written) = (db.stats().table_len(), db.stats().io.write_len);
        db.flush().await?;
        db.compact().await?;
        drop(bar);
        let (after, written) = (db.stats().table_len(), db.stats().io.write_len - written);
        db.close().await?;
        if globals.json {
            return say_json(
                &json!({ "table_len_before": before, "table_len": after, "written_len": written }),
            );
        }
        say(format_args!("tables: {before} bytes before, {after} now; {written} bytes written"))
    })
}

/// Runs `jdb collect`: compacts, then gives back the room of values that nobody sees.
///
/// # Errors
/// Those of the database.
pub(crate) fn collect(globals: &Globals) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_write().await?;
        let bar = Bar::spinner("collect");
        let report = db.collect().await?;
        drop(bar);
        db.close().await?;
        if globals.json {
            return say_json(&json!({
                "log_len_before": report.before_len, "log_len": report.after_len, "moved_len": report.moved_len,
                "freed_len": report.freed_len,
            }));
        }
        say(format_args!(
            "log: {} bytes before, {} now; {} bytes written",
            report.before_len, report.after_len, report.moved_len,
        ))
    })
}

/// Runs `jdb verify`: reads and checks every byte.
///
/// # Errors
/// [`Error::Damage`] when something is wrong; those of the database where nothing can be said.
pub(crate) fn verify(globals: &Globals) -> Result<()> {
    let report = crate::block_on(async {
        let db = globals.open_to_read().await?;
        let bar = Bar::bytes("verify", Some(0));
        let report = db.verify(|progress| bar.set(progress.done, Some(progress.total))).await?;
        drop(bar);
        db.close().await?;
        Ok(report)
    })?;
    let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    let mut out = Out::new();
    if globals.json {
        out.line(json!({
            "tables": report.tables, "entries": report.entries, "values": report.values, "segments": report.segments,
            "records": report.records, "len": report.len, "damage": damage, "damage_count": report.damage_count,
            "packs": report.packs, "footers_bad": report.footers_bad,
        }))?;
    } else {
        for line in &damage {
            out.line(format_args!("damaged: {line}"))?;
        }
        out.line(format_args!(
            "{} tables with {} entries, {} values, {} segments with {} records, {} packs: {} bytes read",
            report.tables,
            report.entries,
            report.values,
            report.segments,
            report.records,
            report.packs,
            report.len,
        ))?;
        if report.damage_count == 0 {
            out.line(good("all is sound"))?;
        }
    }
    out.finish()?;
    if report.damage_count > 0 { Err(Error::Damage { count: report.damage_count }) } else { Ok(()) }
}

/// Runs `jdb salvage`: copies what is sound into a new database.
///
/// # Errors
/// [`Error::Damage`] when anything was damaged: the new database then holds less than the old one did. Those of the new
/// database.
pub(crate) fn salvage(globals: &Globals, args: &ToArgs) -> Result<()> {
    let report = crate::block_on(async {
        let open = |options: &mut Options| {
            options.read_only = true;
            options.recovery = Recovery::Salvage;
        };
        let db = globals.open(open).await?;
        let bar = Bar::bytes("salvage", None);
        let report = db.salvage(&args.to, |progress| bar.set(progress.done, Some(progress.total))).await?;
        drop(bar);
        db.close().await?;
        Ok(report)
    })?;
    let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    let mut out = Out::new();
    if globals.json {
        out.line(json!({
            "rows": report.rows, "len": report.len, "lost_values": report.lost_values, "damage": damage,
            "damage_count": report.damage_count,
        }))?;
    } else {
        for line in &damage {
            out.line(format_args!("damaged: {line}"))?;
        }
        out.line(format_args!(
            "{} rows, {} bytes, are in {}; {} rows have lost their values and are left out",
            report.rows,
            report.len,
            args.to.display(),
            report.lost_values,
        ))?;
    }
    out.finish()?;
    let count = report.damage_count.max(report.lost_values);
    if count > 0 { Err(Error::Salvaged { count }) } else { Ok(()) }
}

/// Runs `jdb backup`: a second database, by hard links where the file system has them.
///
/// # Errors
/// Those of the database and of the new one's directory.
pub(crate) fn backup(globals: &Globals, args: &ToArgs) -> Result<()> {
    let report = crate::block_on(async {
        let db = globals.open_to_write().await?;
        let bar = Bar::spinner("backup");
        let report = db.backup_to(&args.to).await?;
        drop(bar);
        db.close().await?;
        Ok(report)
    })?;
    if globals.json {
        return say_json(&json!({
            "linked": report.linked, "copied": report.copied, "copied_len": report.copied_len, "len": report.len,
        }));
    }
    say(format_args!(
        "{} files linked, {} copied ({} bytes); {} bytes in {}",
        report.linked,
        report.copied,
        report.copied_len,
        report.len,
        args.to.display(),
    ))
}
