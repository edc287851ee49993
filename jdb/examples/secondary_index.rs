//! A secondary index: kept right by putting row and index entry into one batch, and by [`jdb::Namespace::put_if`] on the row.
//!
//! Layout: `user/ID` = mail address; `mail/ADDRESS/ID` = nothing.
//!
//! `cargo run -p jdb --example secondary_index`

use jdb::{Namespace, Result};
use std::error::Error;

/// Sets a user's mail address. Both rows change together, also in a crash: a batch is all or nothing.
async fn set_mail(users: &Namespace, id: u32, mail: &str) -> Result<()> {
    let row = format!("user/{id:06}");
    let old = users.get(&row).await?;
    let mut batch = users.batch();
    if let Some(old) = old {
        batch.delete([b"mail/", &old[..], format!("/{id:06}").as_bytes()].concat());
    }
    batch.put(row, mail);
    batch.put(format!("mail/{mail}/{id:06}"), "");
    batch.commit().await.map(drop)
}

/// Who has this address: a walk over the keys of the index.
async fn who_has(users: &Namespace, mail: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let prefix = format!("mail/{mail}/");
    let mut entries = users.prefix(&prefix).keys_only();
    while let Some(entry) = entries.next().await? {
        let id = entry.key().get(prefix.len()..).unwrap_or_default();
        found.push(String::from_utf8_lossy(id).into_owned());
    }
    Ok(found)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(scratch.path().join("data")).await?;
        let users = db.ns(1u64);
        set_mail(&users, 1, "info@example.org").await?;
        set_mail(&users, 2, "info@example.org").await?;
        set_mail(&users, 3, "carol@example.org").await?;
        println!("info@: {:?}", who_has(&users, "info@example.org").await?);

        set_mail(&users, 1, "alice@example.org").await?;
        println!("info@, later: {:?}", who_has(&users, "info@example.org").await?);
        println!("alice@: {:?}", who_has(&users, "alice@example.org").await?);
        db.close().await?;
        Ok(())
    })
}
