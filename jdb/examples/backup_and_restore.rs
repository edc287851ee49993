//! A backup while the database is in use, and a restore: opening the backup, or a copy of its directory.
//!
//! `cargo run -p jdb --example backup_and_restore`

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let (path, backup) = (scratch.path().join("data"), scratch.path().join("backup"));
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(&path).await?;
        let notes = db.ns(1u64);
        for number in 0..10_000u32 {
            notes.put(number.to_be_bytes(), format!("note {number}")).await?;
        }
        db.flush().await?;

        // Tables and full segments get a second name, they are not copied.
        let report = db.backup_to(&backup).await?;
        println!("{} files linked, {} copied ({} bytes)", report.linked, report.copied, report.copied_len);

        // An accident.
        notes.clear().await?;
        println!("after the accident: {:?}", notes.first().await?);
        db.close().await?;

        // The backup is a database. Check it, then use it.
        let restored = jdb::open(&backup).await?;
        let checked = restored.verify(|_| ()).await?;
        println!("{} entries checked, {} things wrong", checked.entries, checked.damage_count);
        println!("restored: {:?}", restored.ns(1u64).last().await?);
        restored.close().await?;
        Ok(())
    })
}
