use super::*;
use crate::reader::SstReader;
use crate::testing::{Rng, Row, options, random_rows};
use jdb_io::plant::plant;
use jdb_io::sim::{At, Fault, FaultKind, Latency, OpKind, Repeat, SimConfig, SimDisk, SyncFailure};
use std::future::poll_fn;
use std::task::Poll;

const PATH: &str = "/t.sst";

fn sim(seed: u64) -> SimDisk {
    SimDisk::new(SimConfig { seed, short_permille: 50, ..SimConfig::default() })
}

/// Rows of more than two chunks, so that the writer writes before it finishes.
fn rows(seed: u64) -> Vec<Row> {
    let mut rows = random_rows(&mut Rng(seed), 300);
    rows.push(Row::new(&[0xff; 9], 1, &vec![seed as u8; 600 << 10]));
    rows.push(Row::new(&[0xff; 10], 1, &vec![1; 300 << 10]));
    rows.push(Row::new(&[0xff; 11], 1, b"last"));
    rows
}

async fn write(disk: &Disk, rows: &[Row]) -> Result<TableInfo> {
    let mut writer = SstWriter::create(disk, Path::new(PATH), options(500, 200, 400)).await?;
    for row in rows {
        writer.append(&row.key, row.seq, row.kind, &row.value).await?;
    }
    writer.finish().await
}

/// Reads all rows, forward and backward.
async fn read(disk: &Disk) -> Result<Vec<Row>> {
    let reader = SstReader::open(disk.open(Path::new(PATH), Mode::Read).await?, None).await?;
    let mut all = Vec::new();
    for back in [false, true] {
        let mut rows = Vec::new();
        let mut cursor = reader.cursor();
        if back {
            cursor.seek_last().await?
        } else {
            cursor.seek_first().await?
        }
        while let Some(entry) = cursor.entry() {
            let (key, value) = (entry.key.to_vec(), entry.value.to_vec());
            rows.push(Row { key, seq: entry.seq, kind: entry.kind, value });
            if back { cursor.prev().await? } else { cursor.next().await? }
        }
        all.push(rows);
    }
    let mut back = all.pop().unwrap();
    back.reverse();
    assert!(all[0] == back, "forward and backward differ");
    Ok(back)
}

fn read_on(sim: &SimDisk) -> Result<Vec<Row>> {
    let disk = Disk::sim(sim);
    sim.executor().block_on(async move { read(&disk).await }).unwrap()
}

/// Writes the table, syncs the directory too, and gives the disks after power cuts.
fn power_cuts_after_writing(seed: u64, rows: &[Row]) -> Vec<SimDisk> {
    let sim = sim(seed);
    let (disk, written) = (Disk::sim(&sim), rows.to_vec());
    let info = sim.executor().block_on(async move {
        let info = write(&disk, &written).await?;
        disk.sync_dir(Path::new("/")).await?;
        Ok::<_, Error>(info)
    });
    assert_eq!(info.unwrap().unwrap().count, rows.len() as u64);
    (0..24).map(|cut| sim.power_cut(cut, SimConfig::default())).collect()
}

#[test]
fn finished_table_survives_power_cuts() {
    for seed in 0..4 {
        let rows = rows(seed);
        for (cut, sim) in power_cuts_after_writing(seed, &rows).iter().enumerate() {
            assert!(read_on(sim).unwrap() == rows, "seed {seed} cut {cut}");
        }
    }
}

#[test]
fn without_its_sync_a_table_is_lost_but_never_wrong() {
    let rows = rows(7);
    plant(&[Plant::NoTableSync]);
    let cuts = power_cuts_after_writing(7, &rows);
    plant(&[]);
    let lost = cuts.iter().filter(|sim| match read_on(sim) {
        Ok(read) => {
            assert!(read == rows);
            false
        }
        Err(error) => {
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
            true
        }
    });
    assert!(lost.count() > 6);
}

#[test]
fn table_cut_at_any_moment_is_whole_or_an_error() {
    let rows = rows(9);
    let sim = SimDisk::new(SimConfig { seed: 9, latency: Latency::up_to(50), ..SimConfig::default() });
    let (disk, written) = (Disk::sim(&sim), rows.clone());
    sim.executor().spawn(async move {
        write(&disk, &written).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
    let (mut changes, mut whole, mut broken) = (u64::MAX, 0, 0);
    while sim.executor().task_count() > 0 {
        sim.executor().step();
        if sim.changes() == changes {
            continue;
        }
        changes = sim.changes();
        for cut in 0..12 {
            match read_on(&sim.power_cut(changes * 12 + cut, SimConfig::default())) {
                Ok(read) => {
                    assert!(read == rows, "change {changes} cut {cut}");
                    whole += 1;
                }
                Err(Error::Corrupt { .. }) => broken += 1,
                Err(Error::Io(error)) => assert!(error.is_not_found(), "{error}"),
                Err(error) => panic!("change {changes} cut {cut}: {error}"),
            }
        }
    }
    assert!(whole > 10 && broken > 10, "{whole} whole, {broken} broken");
}

#[test]
fn failed_write_or_sync_fails_the_table() {
    let failures = [
        (At::NthOf(OpKind::Write, 0), FaultKind::Eio),
        (At::NthOf(OpKind::Write, 1), FaultKind::Enospc),
        (At::NthOf(OpKind::Write, 2), FaultKind::Eio),
        (At::NthOf(OpKind::Sync, 0), FaultKind::FailedSync(SyncFailure::DroppedClean)),
        (At::NthOf(OpKind::Create, 0), FaultKind::Eio),
    ];
    for (at, kind) in failures {
        let sim = SimDisk::new(SimConfig::default());
        sim.inject(Fault { at, kind, repeat: Repeat::Once });
        let disk = Disk::sim(&sim);
        let got = sim.executor().block_on(async move { write(&disk, &rows(3)).await }).unwrap();
        assert!(matches!(got, Err(Error::Io(_))), "{at:?}: {got:?}");
        assert_eq!(sim.faults_hit(), 1, "{at:?}");
    }
}

#[test]
fn writer_is_of_no_use_after_a_failed_write() {
    let sim = SimDisk::new(SimConfig::default());
    sim.inject(Fault { at: At::NthOf(OpKind::Write, 0), kind: FaultKind::Eio, repeat: Repeat::Once });
    let disk = Disk::sim(&sim);
    sim.executor().block_on(async move {
        let mut writer = SstWriter::create(&disk, Path::new(PATH), options(500, 200, 400)).await.unwrap();
        let mut failures = 0;
        for row in rows(3) {
            match writer.append(&row.key, row.seq, row.kind, &row.value).await {
                Ok(()) => assert_eq!(failures, 0, "an entry was taken after a failure"),
                Err(Error::Io(_)) if failures == 0 => failures += 1,
                Err(Error::Failed { .. }) if failures > 0 => failures += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(failures > 1);
        assert!(matches!(writer.finish().await, Err(Error::Failed { .. })));
    });
}

#[test]
fn writer_is_of_no_use_after_a_dropped_write() {
    let sim = SimDisk::new(SimConfig::default());
    let disk = Disk::sim(&sim);
    sim.executor().block_on(async move {
        let mut writer = SstWriter::create(&disk, Path::new(PATH), options(500, 200, 400)).await.unwrap();
        writer.append(b"a", SeqNo::ZERO, Kind::Inline, &vec![1; 300 << 10]).await.unwrap();
        {
            let mut append = std::pin::pin!(writer.append(b"b", SeqNo::ZERO, Kind::Inline, b""));
            let first = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await;
            assert!(first.is_pending());
        }
        let got = writer.append(b"c", SeqNo::ZERO, Kind::Inline, b"").await;
        assert!(matches!(got, Err(Error::Failed { .. })), "{got:?}");
    });
}

#[test]
fn failed_read_is_an_error_and_never_a_shorter_scan() {
    let rows = random_rows(&mut Rng(5), 400);
    let sim = SimDisk::new(SimConfig::default());
    let (disk, written) = (Disk::sim(&sim), rows.clone());
    sim.executor().block_on(async move { write(&disk, &written).await.unwrap() });
    let mut failed = 0;
    for nth in 0.. {
        sim.inject(Fault { at: At::NthOf(OpKind::Read, nth), kind: FaultKind::Eio, repeat: Repeat::Once });
        let before = sim.faults_hit();
        let got = read_on(&sim);
        if sim.faults_hit() == before {
            assert!(got.unwrap() == rows);
            break;
        }
        assert!(matches!(got, Err(Error::Io(_))), "read {nth}");
        failed += 1;
    }
    assert!(failed > 50, "only {failed} reads");
}

#[test]
fn dropped_step_leaves_the_cursor_lost() {
    let rows = random_rows(&mut Rng(5), 400);
    let sim = SimDisk::new(SimConfig::default());
    let disk = Disk::sim(&sim);
    sim.executor().block_on(async move {
        write(&disk, &rows).await.unwrap();
        let file = disk.open(Path::new(PATH), Mode::Read).await.unwrap();
        let mut cursor = SstReader::open(file, None).await.unwrap().cursor();
        cursor.seek_first().await.unwrap();
        while cursor.next_in_block().unwrap() {}
        {
            let mut next = std::pin::pin!(cursor.next());
            assert!(poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await.is_pending());
        }
        assert_eq!(cursor.entry(), None);
        assert!(matches!(cursor.next().await, Err(Error::Lost { .. })));
        cursor.seek_last().await.unwrap();
        assert!(rows[rows.len() - 1].is(cursor.entry().unwrap()));
    });
}
