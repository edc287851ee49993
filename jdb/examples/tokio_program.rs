//! A tokio program with a jdb in it: the database has a thread of its own, the program's tasks talk to it through a channel.
//!
//! A database belongs to one thread and its futures are not `Send`; requests and answers are. Each request becomes a task on
//! the database's thread, so that those that wait for the disk do so together.
//!
//! `cargo run -p jdb --example tokio_program`

use jdb::{Bytes, Db};
use std::error::Error;
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot};

/// What the program asks for.
enum Request {
    Put { user: u64, key: String, value: Bytes, done: oneshot::Sender<jdb::Result<()>> },
    Get { user: u64, key: String, found: oneshot::Sender<jdb::Result<Option<Bytes>>> },
}

/// A handle that any task may clone and use.
#[derive(Clone)]
struct Store(mpsc::Sender<Request>);

impl Store {
    /// Opens the database on a thread of its own, which ends when the last handle is gone.
    #[expect(clippy::disallowed_methods, reason = "a program may have threads; the engine has none")]
    fn open(path: PathBuf) -> (Self, std::thread::JoinHandle<jdb::Result<()>>) {
        let (requests, inbox) = mpsc::channel(256);
        let thread = std::thread::spawn(move || {
            let runtime = jdb::runtime(&jdb::RuntimeConfig::default()).expect("a runtime");
            runtime.block_on(serve(path, inbox))
        });
        (Self(requests), thread)
    }

    async fn put(&self, user: u64, key: &str, value: impl Into<Bytes>) -> Result<(), Box<dyn Error>> {
        let (done, answer) = oneshot::channel();
        self.0.send(Request::Put { user, key: key.into(), value: value.into(), done }).await?;
        Ok(answer.await??)
    }

    async fn get(&self, user: u64, key: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
        let (found, answer) = oneshot::channel();
        self.0.send(Request::Get { user, key: key.into(), found }).await?;
        Ok(answer.await??)
    }
}

/// The database's side.
async fn serve(path: PathBuf, mut inbox: mpsc::Receiver<Request>) -> jdb::Result<()> {
    let db = jdb::open(path).await?;
    while let Some(request) = inbox.recv().await {
        jdb::compio::runtime::spawn(answer(db.clone(), request)).detach();
    }
    // Everything that was handed over is finished and made durable.
    db.close().await
}

async fn answer(db: Db, request: Request) {
    // Who does not wait any more misses the answer, not the write.
    match request {
        Request::Put { user, key, value, done } => {
            let put = db.ns(user).put_bytes(key, value).await;
            drop(done.send(put.map(drop)));
        }
        Request::Get { user, key, found } => drop(found.send(db.ns(user).get(key).await)),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let (store, thread) = Store::open(scratch.path().join("data"));
    let tasks: Vec<_> = (0..100u64)
        .map(|user| {
            let store = store.clone();
            tokio::spawn(async move {
                store.put(user, "name", format!("user {user}")).await.map_err(|error| error.to_string())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    println!("user 42: {:?}", store.get(42, "name").await?);
    drop(store);
    thread.join().expect("the database's thread")?;
    Ok(())
}
