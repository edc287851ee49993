//! Open, put, get, scan, delete, close.
//!
//! `cargo run -p jdb --example first_steps [DIR]`

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let path = std::env::args().nth(1).map_or_else(|| scratch.path().join("data"), Into::into);
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(&path).await?;
        let alice = db.ns(42u64);

        alice.put("name", "Alice").await?;
        alice.put("mail", "alice@example.org").await?;
        // Survives a power cut when this returns; the two above do within half a second.
        alice.put("plan", "gold").durability(jdb::Durability::Sync).await?;

        println!("name: {:?}", alice.get("name").await?);
        println!("is there a phone? {}", alice.contains("phone").await?);

        let mut rows = alice.iter();
        while let Some(row) = rows.next().await? {
            println!("{} = {:?}", row.key().escape_ascii(), row.value().await?);
        }

        alice.delete("plan").await?;
        println!("after the delete: {:?}", alice.last().await?);
        db.close().await?;
        Ok(())
    })
}
