//! Tables as packs are: how long their blocks should be, and what lz4 would save, on the summaries of packages.
//!
//! `cargo run --release -p jdb_bench --features lz4 --example pack_blocks -- packages.tsv`, where each line is name, version,
//! downloads and summary with tabs between.
//!
//! Everything is read from the page cache, without a block cache: what a get costs when its block has to be read and verified.

use clap::Parser;
use jdb_base::{Kind, SeqNo};
use jdb_bench::keys::mix;
use jdb_bench::report::Usage;
use jdb_bench::{Result, block_on, median};
use jdb_io::{Disk, Mode};
use jdb_sst::{Codec, Keep, SstReader, SstWriter, WriterOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Parser)]
struct Args {
    /// The list.
    list: PathBuf,
    /// Gets in a round.
    #[arg(long, default_value_t = 50_000)]
    gets: u64,
    /// Rounds, of which the medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn main() -> Result<()> {
    let args = Args::parse();
    let list = std::fs::read_to_string(&args.list)?;
    let row = |line: &str| {
        let mut fields = line.split('\t');
        Some((fields.next()?.as_bytes().to_vec(), fields.nth(2)?.as_bytes().to_vec()))
    };
    let all: Rows = list.lines().skip(1).filter_map(row).collect();
    let long: Rows =
        all.iter().filter(|row| row.1.len() > 128).map(|(k, v)| (k.clone(), v.clone())).collect();
    let dir = tempfile::tempdir()?;
    let codecs = [
        Codec::Plain,
        #[cfg(feature = "lz4")]
        Codec::Lz4,
    ];
    for (name, rows) in [("all summaries", &all), ("those longer than 128 bytes", &long)] {
        let len: usize = rows.values().map(Vec::len).sum();
        println!("{name}: {} values, {:.1} MiB", rows.len(), len as f64 / 1048576.0);
        for codec in codecs {
            for block_len in [4 << 10, 16 << 10, 32 << 10] {
                let path = dir.path().join(format!("{name}{codec:?}{block_len}"));
                block_on(table(&path, rows, codec, block_len, &args))?;
            }
        }
    }
    Ok(())
}

async fn table(path: &Path, rows: &Rows, codec: Codec, block_len: usize, args: &Args) -> Result<()> {
    let disk = Disk::real();
    let options = WriterOptions { block_len, codec, filter: false, ..WriterOptions::default() };
    let usage = Usage::start(path.parent().unwrap_or(path));
    let mut writer = SstWriter::create(&disk, path, options).await?;
    for (key, value) in rows {
        writer.append(key, SeqNo::ZERO, Kind::Inline, value).await?;
    }
    let info = writer.finish().await?;
    let write_us = usage.cpu().as_secs_f64() * 1e6 / rows.len() as f64;
    let reader = SstReader::open(disk.open(path, Mode::Read).await?, None).await?;
    let keys: Vec<&Vec<u8>> = rows.keys().collect();
    let wanted: Vec<_> = keys.iter().map(|key| (key.as_slice(), SeqNo::ZERO)).collect();
    let (mut gets, mut walks) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let usage = Usage::start(path);
        for n in 0..args.gets {
            let key = keys.get((mix(n + round * args.gets) % keys.len() as u64) as usize).ok_or("no rows")?;
            reader.get(key, SeqNo::ZERO).await?.ok_or("a row is not there")?;
        }
        gets.push(usage.cpu().as_secs_f64() * 1e6 / args.gets as f64);
        let usage = Usage::start(path);
        for part in wanted.chunks(256) {
            let many = reader.get_many(part, Keep::Last).await?;
            if many.entries.iter().any(Option::is_none) {
                return Err("a row is not there".into());
            }
        }
        walks.push(usage.cpu().as_secs_f64() * 1e6 / keys.len() as f64);
    }
    println!(
        "  {codec:?} in blocks of {:>2} KiB: {:>6.2} MiB, written {write_us:.2}, a get {:.2}, a row of a walk {:.3} us of CPU",
        block_len >> 10,
        info.len as f64 / 1048576.0,
        median(gets),
        median(walks)
    );
    Ok(())
}
