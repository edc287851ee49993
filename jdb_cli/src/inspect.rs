//! `ls`, `top`, `stat`, `dump`: what is in a database. Nothing is changed.

use crate::error::{Error, Result};
use crate::out::{Out, say};
use crate::progress::Bar;
use crate::{Globals, encoding, say_json};
use jdb::{Db, FileKind, NamespaceStats, NsId, ShardStats, Stats};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments of `jdb ls`.
#[derive(clap::Args)]
pub(crate) struct LsArgs {
    /// Begin behind this namespace: the last one of the page before.
    #[arg(long, value_name = "ID", value_parser = encoding::ns_id)]
    after: Option<NsId>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Count the rows of each, too.
    #[arg(long)]
    rows: bool,
}

/// Arguments of `jdb top`.
#[derive(clap::Args)]
pub(crate) struct TopArgs {
    /// What makes a namespace come first.
    #[arg(long, value_enum, default_value = "size")]
    by: By,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// What `jdb top` sorts by.
#[derive(Clone, Copy, clap::ValueEnum)]
enum By {
    /// Bytes of keys and values.
    Size,
    /// Rows.
    Rows,
    /// The last change.
    Changed,
}

/// Arguments of `jdb dump`.
#[derive(clap::Args)]
pub(crate) struct DumpArgs {
    /// Which sort of file.
    #[arg(value_enum)]
    kind: Kind,
    /// The file. A segment or MANIFEST must lie in its database: its checksums begin with what the SUPERBLOCK holds.
    file: PathBuf,
}

/// A sort of file.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A table: `NNNNNNNN.sst`.
    Sst,
    /// A segment of the value log: `NNNNNNNN.log`.
    Segment,
    /// The log of changes to a shard's files.
    Manifest,
    /// What says what a database is.
    Superblock,
}

/// Runs `jdb ls`: the namespaces that have rows, by id.
///
/// # Errors
/// Those of the database.
pub(crate) fn ls(globals: &Globals, args: &LsArgs) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_read().await?;
        let mut page = db.namespaces().limit(args.limit.unwrap_or(usize::MAX));
        if let Some(after) = args.after {
            page = page.after(after);
        }
        let mut out = Out::new();
        while let Some(ns) = page.next().await? {
            let rows = if args.rows { Some(exact(&db, ns).await?.rows) } else { None };
            match (globals.json, rows) {
                (true, None) => out.line(json!({ "ns": ns.to_string() }))?,
                (true, Some(rows)) => out.line(json!({ "ns": ns.to_string(), "rows": rows }))?,
                (false, None) => out.line(ns)?,
                (false, Some(rows)) => out.line(format_args!("{ns}\t{rows}"))?,
            }
        }
        out.finish()?;
        Ok(db.close().await?)
    })
}

/// Runs `jdb stat`: of a namespace its rows, counted; else what the database knows of itself.
///
/// # Errors
/// Those of the database.
pub(crate) fn stat(globals: &Globals) -> Result<()> {
    let ns = globals.ns_if_given()?;
    crate::block_on(async {
        let db = globals.open_to_read().await?;
        match ns {
            Some(ns) => {
                let stats = exact(&db, ns).await?;
                if globals.json {
                    say_json(&ns_json(ns, &stats))?;
                } else {
                    let figures = [
                        ("namespace", ns.to_string()),
                        ("rows", stats.rows.to_string()),
                        ("bytes of keys", stats.key_len.to_string()),
                        ("bytes of values", stats.value_len.to_string()),
                        ("changed", changed(&stats)),
                    ];
                    print(&figures)?;
                }
            }
            None => database(globals, &db.stats())?,
        }
        Ok(db.close().await?)
    })
}

/// Runs `jdb top`: the namespaces with most bytes or rows, or those that changed last, in one pass over all of them.
///
/// # Errors
/// Those of the database.
pub(crate) fn top(globals: &Globals, args: &TopArgs) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_read().await?;
        let mut page = db.namespaces();
        let mut most: BinaryHeap<Reverse<(u64, NsId)>> = BinaryHeap::new();
        let mut seen = 0;
        let bar = Bar::counter("namespaces");
        while let Some(ns) = page.next().await? {
            let stats = db.ns(ns).stats().await?;
            let weight = match args.by {
                By::Size => stats.len(),
                By::Rows => stats.rows,
                By::Changed => stats.changed.map_or(0, unix_ms),
            };
            most.push(Reverse((weight, ns)));
            if most.len() > args.limit {
                most.pop();
            }
            seen += 1;
            bar.set(seen, None);
        }
        drop(bar);
        let mut out = Out::new();
        let mut lines = Vec::new();
        for Reverse((_, ns)) in most.into_sorted_vec() {
            // Only these few are worth a walk.
            let stats = exact(&db, ns).await?;
            if globals.json {
                out.line(ns_json(ns, &stats))?;
            } else {
                lines.push([
                    ns.to_string(),
                    stats.rows.to_string(),
                    stats.len().to_string(),
                    changed(&stats),
                ]);
            }
        }
        if !globals.json {
            out.table(&["namespace", "rows", "bytes", "changed"], &lines)?;
        }
        out.finish()?;
        Ok(db.close().await?)
    })
}

/// Runs `jdb dump`.
///
/// # Errors
/// Those of [`jdb::dump`].
pub(crate) fn dump(args: &DumpArgs) -> Result<()> {
    let kind = match args.kind {
        Kind::Sst => FileKind::Table,
        Kind::Segment => FileKind::Segment,
        Kind::Manifest => FileKind::Manifest,
        Kind::Superblock => FileKind::Superblock,
    };
    let text = crate::block_on(async { jdb::dump(&args.file, kind).await.map_err(Error::from) })?;
    say(text.trim_end())
}

/// What a namespace holds, exactly: when the tables do not know it, by a walk over its keys.
async fn exact(db: &Db, ns: NsId) -> Result<NamespaceStats> {
    let mut stats = db.ns(ns).stats().await?;
    if stats.is_exact {
        return Ok(stats);
    }
    (stats.rows, stats.key_len, stats.value_len, stats.is_exact) = (0, 0, 0, true);
    let mut scan = db.ns(ns).iter().keys_only();
    while let Some(item) = scan.next().await? {
        stats.rows += 1;
        stats.key_len += item.key().len() as u64;
        stats.value_len += item.value_len()?;
    }
    Ok(stats)
}

fn ns_json(ns: NsId, stats: &NamespaceStats) -> serde_json::Value {
    json!({
        "ns": ns.to_string(), "rows": stats.rows, "key_len": stats.key_len, "value_len": stats.value_len,
        "exact": stats.is_exact, "changed_ms": stats.changed.map(unix_ms),
    })
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// When a namespace changed last, to the second.
fn changed(stats: &NamespaceStats) -> String {
    stats.changed.map_or_else(|| "-".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn database(globals: &Globals, stats: &Stats) -> Result<()> {
    let of = |figure: fn(&ShardStats) -> u64| stats.shards.iter().map(figure).sum::<u64>();
    let (tables, segments) =
        (of(|shard| shard.tables.iter().sum::<usize>() as u64), of(|shard| shard.segments));
    let packs = of(|shard| shard.packs as u64);
    let (unflushed, drops) = (of(|shard| shard.unflushed_len), of(|shard| shard.drops as u64));
    let levels = levels(stats);
    if globals.json {
        let levels: Vec<_> =
            levels.iter().map(|(tables, len)| json!({ "tables": tables, "len": len })).collect();
        let shards = stats.shards.iter().map(|shard| {
            json!({
                "last_seq": shard.last_seq.get(), "tables": shard.tables, "level_len": shard.level_len,
                "table_len": shard.table_len, "segments": shard.segments, "log_len": shard.log_len,
                "live_len": shard.live_len, "unflushed_len": shard.unflushed_len, "drops": shard.drops,
                "packs": shard.packs, "pack_len": shard.pack_len, "stopped": shard.stopped,
            })
        });
        return say_json(&json!({
            "tables": tables, "table_len": stats.table_len(), "segments": segments, "packs": packs,
            "log_len": stats.log_len(),
            "live_len": stats.live_len(), "unflushed_len": unflushed, "drops": drops, "levels": levels,
            "memtable_len": stats.memtable_len, "driver": format!("{:?}", stats.driver),
            "shards": shards.collect::<Vec<_>>(),
        }));
    }
    let mut figures = vec![
        ("shards", stats.shards.len().to_string()),
        ("tables", tables.to_string()),
        ("bytes of tables", stats.table_len().to_string()),
        ("segments of the log", segments.to_string()),
        ("packs of collected values", packs.to_string()),
        ("bytes of the log and its packs", stats.log_len().to_string()),
        ("of them values that are visible, at most", stats.live_len().to_string()),
        ("log that is in no table yet", unflushed.to_string()),
        ("drops that wait for compaction", drops.to_string()),
        ("I/O driver", format!("{:?}", stats.driver)),
    ];
    let names: Vec<String> = (0..levels.len()).map(|level| format!("level {level}")).collect();
    figures.extend(
        names
            .iter()
            .zip(&levels)
            .map(|(name, (tables, len))| (name.as_str(), format!("{tables} tables, {len} bytes"))),
    );
    print(&figures)
}

/// Tables and bytes of each level, over all shards.
fn levels(stats: &Stats) -> Vec<(usize, u64)> {
    let mut levels: Vec<(usize, u64)> = Vec::new();
    for shard in &stats.shards {
        for (level, (tables, len)) in shard.tables.iter().zip(&shard.level_len).enumerate() {
            if levels.len() <= level {
                levels.resize(level + 1, (0, 0));
            }
            if let Some(sum) = levels.get_mut(level) {
                *sum = (sum.0 + tables, sum.1 + len);
            }
        }
    }
    levels
}

fn print(figures: &[(&str, String)]) -> Result<()> {
    let mut out = Out::new();
    out.figures(figures)?;
    out.finish()
}
