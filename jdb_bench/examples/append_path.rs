//! Appending to a file so that the bytes are in the page cache when the call returns: `pwrite` on this thread against
//! compio's `write_at`, with whatever driver `JDB_DRIVER` chooses.
//!
//! `cargo run --release -p jdb_bench --example append_path -- [MiB a round] [rounds]`
//!
//! Records of three lengths, one and 16 to a write, one write after the other. Printed are medians over the rounds, in
//! microseconds a record: wall-clock time and CPU time of all threads of the process (kernel workers of io_uring too).

use compio::io::AsyncWriteAt;
use jdb_bench::{Result, Usage, block_on, median};
use std::fs::File;
use std::path::Path;

const RECORD_LENS: [usize; 3] = [160, 1100, 16_500];
const GROUPS: [usize; 2] = [1, 16];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let round_len = args.next().transpose()?.unwrap_or(32) << 20;
    let round_count = args.next().transpose()?.unwrap_or(7);
    let dir = tempfile::tempdir()?;
    println!("{:>8} {:>6} | {:>9} {:>9} | {:>9} {:>9}", "", "", "pwrite", "", "write_at", "");
    println!("{:>8} {:>6} | {:>9} {:>9} | {:>9} {:>9}", "record", "group", "us", "CPU us", "us", "CPU us");
    for record_len in RECORD_LENS {
        for group in GROUPS {
            let write_len = record_len * group;
            // Small writes are slow through compio: fewer of them do.
            let write_count = (round_len / write_len).clamp(1, 20_000);
            let mut figures: [Vec<f64>; 4] = Default::default();
            for round in 0..round_count {
                for turn in 0..2 {
                    let path = dir.path().join("file");
                    let compio = (round + turn) % 2 == 1;
                    let usage = if compio {
                        through_compio(&path, write_len, write_count)?
                    } else {
                        pwrite(&path, write_len, write_count)?
                    };
                    let records = (write_count * group) as f64;
                    let [us, cpu, compio_us, compio_cpu] = &mut figures;
                    let (us, cpu) = if compio { (compio_us, compio_cpu) } else { (us, cpu) };
                    us.push(usage.0 * 1e6 / records);
                    cpu.push(usage.1 * 1e6 / records);
                    std::fs::remove_file(&path)?;
                }
            }
            let [us, cpu, compio_us, compio_cpu] = figures.map(median);
            println!(
                "{record_len:>8} {group:>6} | {us:>9.2} {cpu:>9.2} | {compio_us:>9.2} {compio_cpu:>9.2}"
            );
        }
    }
    Ok(())
}

/// Seconds, and seconds of CPU time.
fn used(usage: &Usage) -> (f64, f64) {
    (usage.time().as_secs_f64(), usage.cpu().as_secs_f64())
}

#[cfg(unix)]
fn pwrite(path: &Path, len: usize, count: usize) -> Result<(f64, f64)> {
    use std::os::unix::fs::FileExt;
    let file = File::create(path)?;
    let data = vec![7; len];
    let usage = Usage::start(path);
    for i in 0..count {
        file.write_all_at(&data, (i * len) as u64)?;
    }
    Ok(used(&usage))
}

#[cfg(not(unix))]
fn pwrite(path: &Path, len: usize, count: usize) -> Result<(f64, f64)> {
    use std::io::Write;
    let mut file = File::create(path)?;
    let data = vec![7; len];
    let usage = Usage::start(path);
    for _ in 0..count {
        file.write_all(&data)?;
    }
    Ok(used(&usage))
}

fn through_compio(path: &Path, len: usize, count: usize) -> Result<(f64, f64)> {
    block_on(async {
        let mut file = compio::fs::File::create(path).await?;
        let mut data = vec![7; len];
        let usage = Usage::start(path);
        for i in 0..count {
            let compio::BufResult(written, buffer) = file.write_at(data, (i * len) as u64).await;
            if written? != len {
                return Err("a short write".into());
            }
            data = buffer;
        }
        Ok(used(&usage))
    })
}
