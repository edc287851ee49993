//! Sorts the lines of a text file into a table, then scans the table in both directions.
//!
//! `cargo run -p jdb_sst --example sort_file -- words.txt words.sst`
//!
//! Each different line becomes a key; its value says how often it occurred. The first and the last lines are printed. The
//! table must not exist yet.

use jdb_base::{Kind, SeqNo};
use jdb_io::{Disk, Mode, RuntimeConfig};
use jdb_sst::{SstReader, SstWriter, WriterOptions};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Bytes read at once.
const CHUNK_LEN: usize = 256 << 10;
/// Lines printed from either end.
const SHOWN: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(text), Some(table)) = (args.next(), args.next()) else {
        return Err("usage: sort_file TEXT TABLE".into());
    };
    jdb_io::runtime(&RuntimeConfig::default())?.block_on(async {
        let disk = Disk::real();
        let result = sort(&disk, &text, &table).await;
        // Nothing is in flight when the runtime goes.
        disk.drain().await;
        result
    })
}

async fn sort(disk: &Disk, text: &Path, table: &Path) -> Result<(), Box<dyn Error>> {
    let lines = count_lines(disk, text).await?;

    let mut writer = SstWriter::create(disk, table, WriterOptions::default()).await?;
    for (line, count) in &lines {
        // Without versions the sequence is 0.
        writer.append(line, SeqNo::ZERO, Kind::Inline, count.to_string().as_bytes()).await?;
    }
    let info = writer.finish().await?;
    // The file is synced; its name in the directory is the caller's to sync.
    let parent = table.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk.sync_dir(parent.unwrap_or(Path::new("."))).await?;
    println!("{} different lines in {} bytes, {} data blocks", info.count, info.len, info.block_count);

    let reader = SstReader::open(disk.open(table, Mode::Read).await?, None).await?;
    for back in [false, true] {
        println!("{}:", if back { "backward" } else { "forward" });
        let mut cursor = reader.cursor();
        if back {
            cursor.seek_last().await?
        } else {
            cursor.seek_first().await?
        }
        let mut count = 0;
        while let Some(entry) = cursor.entry() {
            if count < SHOWN {
                println!("  {} x {}", entry.value.escape_ascii(), entry.key.escape_ascii());
            }
            count += 1;
            if back { cursor.prev().await? } else { cursor.next().await? }
        }
        println!("  {count} in all");
    }
    Ok(())
}

/// Reads a file piece by piece and counts its different lines, sorted.
async fn count_lines(disk: &Disk, path: &Path) -> Result<BTreeMap<Vec<u8>, u64>, Box<dyn Error>> {
    let file = disk.open(path, Mode::Read).await?;
    let mut lines = BTreeMap::new();
    let (mut offset, mut open) = (0, Vec::new());
    loop {
        let chunk = file.read_at(offset, CHUNK_LEN).await?;
        if chunk.is_empty() {
            break;
        }
        offset += chunk.len() as u64;
        let mut parts = chunk.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            open.extend_from_slice(part);
            // The last part of a chunk goes on in the next one.
            if parts.peek().is_some() {
                *lines.entry(std::mem::take(&mut open)).or_insert(0) += 1;
            }
        }
    }
    if !open.is_empty() {
        *lines.entry(open).or_insert(0) += 1;
    }
    Ok(lines)
}
