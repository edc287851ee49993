//! Figures of speed; run by hand in a release build: `cargo test --release -p jdb_io --features sim speed -- --ignored --nocapture`.

use super::*;

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "measures real time")]
fn timed(name: &str, count: u64, run: impl FnOnce()) {
    let start = std::time::Instant::now();
    run();
    let nanos = start.elapsed().as_nanos() as f64 / count as f64;
    println!("{name}: {nanos:.0} ns each, {:.0} a second", 1e9 / nanos);
}

#[test]
#[ignore = "prints figures, claims nothing"]
fn speed_of_images_and_events() {
    let sim = SimDisk::new(config(1));
    on(&sim, |disk| async move {
        for file in 0..20 {
            let name = format!("/{file}");
            let file = durable(&disk, &name, &[1; 10_000]).await;
            for part in 0..4 {
                write(&file, 10_000 + part * 100, &[2; 100]).await;
            }
        }
    });
    println!("{:?}, {} bytes", sim.total_unsynced(), sim.used());
    timed("power_cut, all 20 files dirty", 10_000, || cuts(&sim, 10_000).for_each(drop));
    timed("kill, all 20 files dirty", 10_000, || {
        (0..10_000).for_each(|seed| drop(sim.kill(seed, config(1))))
    });
    on(&sim, |disk| async move {
        for file in 1..20 {
            let name = format!("/{file}");
            disk.open(Path::new(&name), Mode::Read).await.unwrap().sync().await.unwrap();
        }
    });
    timed("power_cut, 1 of 20 files dirty", 10_000, || cuts(&sim, 10_000).for_each(drop));
    let before = sim.boundaries();
    let sync_every = 64;
    let rounds = 200_000;
    timed("write of 100 bytes (3 events)", rounds, || {
        on(&sim, |disk| async move {
            let file = create(&disk, "/log").await;
            let mut data = vec![3; 100];
            for round in 0..rounds {
                let (result, back) = file.write_at(round % 4096 * 100, data).await;
                result.unwrap();
                data = back;
                if round % sync_every == 0 {
                    file.sync().await.unwrap();
                }
            }
        });
    });
    println!("{} events", sim.boundaries() - before);
    timed("read of 100 bytes (3 events)", rounds, || {
        on(&sim, |disk| async move {
            let file = disk.open(Path::new("/log"), Mode::Read).await.unwrap();
            for round in 0..rounds {
                file.read_at(round % 4096 * 100, 100).await.unwrap();
            }
        });
    });
}
