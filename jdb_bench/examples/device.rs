//! What the device gives: random reads of 4 KiB past the page cache, so many at once. No database reads cold rows faster than that.
//!
//! `cargo run --release -p jdb_bench --example device -- [directory] [MiB] [rounds]`
//!
//! Each row is the median over the rounds, which go through all depths in turn: reads a second, and what each takes until it is
//! answered. Beside `coldread32` of `peers`, run right before or after, they say whether an engine or the device is slow.

use jdb_bench::{Result, median};
use jdb_tenants::mix;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DEPTHS: [usize; 5] = [1, 8, 32, 64, 128];
const READ_LEN: usize = 4 << 10;
const ROUND: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let len = args.next().map_or(Ok(512), |mib| mib.parse::<usize>())?.max(1) << 20;
    let round_count = args.next().map_or(Ok(5), |count| count.parse::<usize>())?;
    let dir = tempfile::tempdir_in(dir)?;
    let path = dir.path().join("file");
    write(&path, len)?;
    let mut figures: [Vec<f64>; DEPTHS.len()] = Default::default();
    for _ in 0..round_count {
        for (depth, figures) in DEPTHS.iter().zip(&mut figures) {
            figures.push(reads_a_second(&path, len, *depth)?);
        }
    }
    println!("{:>8} | {:>12} {:>9}", "at once", "k reads/s", "us each");
    for (depth, figures) in DEPTHS.iter().zip(figures) {
        let rate = median(figures);
        println!("{depth:>8} | {:>12.1} {:>9.0}", rate / 1e3, 1e6 * *depth as f64 / rate);
    }
    Ok(())
}

/// A file of bytes that no device stores as a hole.
fn write(path: &Path, len: usize) -> Result<()> {
    let mut file = File::create(path)?;
    let mut numbers = (0..).map(mix);
    let mut part = vec![0; 1 << 20];
    for _ in 0..len >> 20 {
        for (word, number) in part.chunks_exact_mut(8).zip(&mut numbers) {
            word.copy_from_slice(&number.to_le_bytes());
        }
        file.write_all(&part)?;
    }
    Ok(file.sync_all()?)
}

fn reads_a_second(path: &Path, len: usize, depth: usize) -> Result<f64> {
    let begin = Instant::now();
    let count = std::thread::scope(|scope| {
        let reader = |seed: usize| scope.spawn(move || read(path, len, seed, begin + ROUND));
        let readers: Vec<_> = (0..depth).map(reader).collect();
        readers.into_iter().try_fold(0, |count, reader| {
            let read = reader.join().map_err(|_| std::io::Error::other("a reader panicked"))??;
            std::io::Result::Ok(count + read)
        })
    })?;
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

/// Reads blocks until `end`; gives their number.
#[cfg(target_os = "linux")]
fn read(path: &Path, len: usize, seed: usize, end: Instant) -> std::io::Result<u64> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    let flags = rustix::fs::OFlags::DIRECT.bits() as i32;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut room = vec![0; 2 * READ_LEN];
    let aligned = room.as_ptr().align_offset(READ_LEN);
    let block = room.get_mut(aligned..aligned + READ_LEN).unwrap_or_default();
    let mut count = 0;
    while Instant::now() < end {
        let at = mix((seed as u64) << 32 | count) % (len / READ_LEN) as u64;
        file.read_exact_at(block, at * READ_LEN as u64)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(not(target_os = "linux"))]
fn read(_: &Path, _: usize, _: usize, _: Instant) -> std::io::Result<u64> {
    Err(std::io::ErrorKind::Unsupported.into())
}
