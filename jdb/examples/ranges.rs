//! Ranges and prefixes, forward and backward, turning round in the middle, seeking, with limits and without values.
//!
//! `cargo run -p jdb --example ranges`

use futures::TryStreamExt;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(async {
        let db = jdb::open(scratch.path().join("data")).await?;
        let blog = db.ns(1u64);
        for (month, day) in (1..=3).flat_map(|month| (1..=28).map(move |day| (month, day))) {
            blog.put(format!("post/2024-{month:02}-{day:02}"), format!("what happened on {day}.{month}."))
                .await?;
        }
        blog.put("title", "A year").await?;

        // The newest three, without their texts.
        let mut newest = blog.prefix("post/").rev().keys_only().limit(3);
        while let Some(post) = newest.next().await? {
            println!("newest: {}", String::from_utf8_lossy(post.key()));
        }

        // A month, as a range of keys.
        let february: Vec<_> = blog.range("post/2024-02".."post/2024-03").into_stream().try_collect().await?;
        println!("{} posts in February", february.len());

        // A reader who pages back and forth.
        let mut reader = blog.prefix("post/");
        reader.seek("post/2024-02-10").await?;
        for step in ["next", "next", "prev", "prev", "prev"] {
            let post = if step == "next" { reader.next().await? } else { reader.prev().await? };
            if let Some(post) = post {
                println!("{step}: {} {:?}", String::from_utf8_lossy(post.key()), post.value().await?);
            }
        }
        db.close().await?;
        Ok(())
    })
}
