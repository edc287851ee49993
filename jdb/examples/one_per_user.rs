//! One database per user: a hundred thousand namespaces in one directory, listed, read together and dropped.
//!
//! `cargo run --release -p jdb --example one_per_user [USERS]`

use std::error::Error;

const PAGE: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let users: u64 = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let scratch = tempfile::tempdir()?;
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(scratch.path().join("data")).await?;

        // Nothing is made beforehand: the first put of a namespace is its beginning. Rows of many namespaces go in together.
        for first in (0..users).step_by(PAGE) {
            let page = first..users.min(first + PAGE as u64);
            db.put_many(page.map(|user| (user, "name", format!("user {user}")))).await?;
        }
        let files = db.stats();
        println!("{users} users; {} bytes of log, {} of tables", files.log_len(), files.table_len());

        // Each is a key space of its own.
        let one = db.ns(users / 2);
        one.put("cart/1", "apples").await?;
        one.put("cart/2", "pears").await?;
        println!("user {}: {:?}", users / 2, one.last().await?);

        // Many at once, whatever their shards.
        let names = db.multi_get((0..5).map(|user| (user * users / 5, "name"))).await?;
        println!("some names: {names:?}");

        // Gone in one record, however much it is.
        db.drop_ns(users / 2).await?;
        assert!(one.get("cart/1").await?.is_none());

        // Page by page, in order.
        let (mut count, mut last) = (0, None);
        loop {
            let page = db.namespaces().limit(PAGE);
            let mut page = if let Some(last) = last { page.after(last) } else { page };
            let before = count;
            while let Some(ns) = page.next().await? {
                (count, last) = (count + 1, Some(ns));
            }
            if count == before {
                break;
            }
        }
        assert_eq!(count, users - 1);
        println!("{count} users are left, the last one is {last:?}");
        db.close().await?;
        Ok(())
    })
}
