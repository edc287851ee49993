//! Claims about the simulated disk.

mod executor;
mod faulty;
mod power;
mod process;
mod speed;

use super::*;
use crate::{Disk, File, Mode, Result};
use std::path::Path;

fn config(seed: u64) -> SimConfig {
    SimConfig { seed, ..SimConfig::default() }
}

/// Runs `program` on `sim` to its end.
fn on<T: 'static, F: Future<Output = T> + 'static>(sim: &SimDisk, program: impl FnOnce(Disk) -> F) -> T {
    sim.executor().block_on(program(Disk::sim(sim))).expect("the program ends")
}

async fn create(disk: &Disk, path: &str) -> File {
    disk.open(Path::new(path), Mode::CreateNew).await.unwrap()
}

async fn write(file: &File, offset: u64, data: &[u8]) {
    file.write_at(offset, data.to_vec()).await.0.unwrap();
}

/// A file with a durable name and durable contents.
async fn durable(disk: &Disk, path: &str, data: &[u8]) -> File {
    let file = create(disk, path).await;
    write(&file, 0, data).await;
    file.sync().await.unwrap();
    disk.sync_dir(Path::new(path).parent().unwrap()).await.unwrap();
    file
}

fn read(sim: &SimDisk, path: &str) -> Option<Vec<u8>> {
    sim.read_raw(Path::new(path))
}

/// The images of `cuts` power cuts.
fn cuts(sim: &SimDisk, cuts: u64) -> impl Iterator<Item = (u64, SimDisk)> {
    (0..cuts).map(|seed| (seed, sim.power_cut(seed, config(seed))))
}

/// A workload with all sorts of changes: segments appended and synced now and then, tables, renames, removals.
async fn workload(disk: Disk, rounds: u64) -> Result<()> {
    let dir = Path::new("/db");
    disk.create_dir_all(dir).await?;
    disk.sync_dir(Path::new("/")).await?;
    let mut log = create(&disk, "/db/00.log").await;
    let mut at = 0;
    for round in 0..rounds {
        let record = vec![round as u8 + 1; 100 + (round as usize * 37) % 900];
        log.write_at(at, record.clone()).await.0?;
        at += record.len() as u64;
        if round % 16 == 5 {
            log.sync().await?;
        }
        if round % 8 == 7 {
            disk.sync_dir(dir).await?;
            log = create(&disk, &format!("/db/{round:02}.log")).await;
            at = 0;
            let table = create(&disk, &format!("/db/{round:02}.sst")).await;
            table.write_at(0, vec![0xaa; 6000]).await.0?;
            table.sync().await?;
            let next = disk.open(&dir.join("MANIFEST.tmp"), Mode::Truncate).await?;
            next.write_at(0, vec![round as u8 + 1; 300]).await.0?;
            next.sync().await?;
            disk.rename(&dir.join("MANIFEST.tmp"), &dir.join("MANIFEST")).await?;
            if round > 8 {
                disk.remove(&dir.join(format!("{:02}.sst", round - 8))).await?;
            }
        }
    }
    Ok(())
}
