//! The database: opening, namespaces, what concerns all of it.

use crate::error::Result;
use crate::listing::Namespaces;
use crate::names::Names;
use crate::namespace::Namespace;
use crate::options::Options;
use crate::report::{SalvageReport, VerifyReport};
use crate::write::{Write, WriteMany};
use bytes::Bytes;
use jdb_base::NsId;
use jdb_io::Disk;
use jdb_ns::{BackupReport, CollectReport, Durability, FileKind, Handle, Manager, Progress, Stats, put_op};
use std::path::Path;
use std::rc::Rc;

/// Opens the database at a path or with [`Options`]; makes it when there is none.
///
/// Takes the lock, reads the superblock and each shard's MANIFEST, replays the log that is in no table yet. Writes
/// nothing to an existing database, so that it works with a full disk. Cost: the unflushed log, not the data.
///
/// Dropping the future leaves the directory as it was, or a database whose making the next call finishes.
///
/// # Errors
/// [`Locked`](crate::ErrorKind::Locked) while another process has it open,
/// [`NotADatabase`](crate::ErrorKind::NotADatabase) when the directory holds something else,
/// [`Unsupported`](crate::ErrorKind::Unsupported) when a later version wrote it,
/// [`Corrupt`](crate::ErrorKind::Corrupt) or [`NotFound`](crate::ErrorKind::NotFound) with the file for damage to what
/// was durable, and the disk's.
///
/// # Panics
/// Outside a compio runtime.
pub async fn open(options: impl Into<Options>) -> Result<Db> {
    let (disk, durability, options) = options.into().into_parts()?;
    let manager = Manager::open(disk, options).await?;
    Ok(Db { inner: Rc::new(Inner { manager, durability }) })
}

/// Describes a file of a database, a line a field, as the pages in `docs/format` do. The database need not be open, nor sound;
/// of one in use it shows some moment.
///
/// ```
/// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("db");
/// # jdb::open(&path).await?.close().await?;
/// let text = jdb::dump(path.join("SUPERBLOCK"), jdb::FileKind::Superblock).await?;
/// assert!(text.contains("8 shards"));
/// # jdb::Result::<()>::Ok(()) }).unwrap();
/// ```
///
/// Cost: the whole file in memory, at most [`DUMP_LEN_MAX`](crate::DUMP_LEN_MAX), and about ten times that in text.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) with the place, but for a segment, whose dump says it;
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a segment or MANIFEST outside its database;
/// [`NotFound`](crate::ErrorKind::NotFound), [`TooLarge`](crate::ErrorKind::TooLarge),
/// [`Unsupported`](crate::ErrorKind::Unsupported), [`Io`](crate::ErrorKind::Io).
pub async fn dump(path: impl AsRef<Path>, kind: FileKind) -> Result<String> {
    Ok(jdb_ns::dump::dump(&Disk::real(), path.as_ref(), kind).await?)
}

/// An open database. Clones are handles on the same one; it belongs to the thread that opened it.
///
/// [`Db::close`] makes everything durable. Dropping the last handle without it is safe, like the death of the process:
/// everything acknowledged is there at the next open. The lock is given back when the background tasks have ended, at
/// their next step.
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) inner: Rc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) manager: Manager,
    pub(crate) durability: Durability,
}

impl Db {
    /// The namespace with this id: a `u64`, a `u128`, a pair of `u64`s or 16 bytes. No file, no I/O, nothing to wait for;
    /// it begins to exist with its first put.
    ///
    /// An id that [`Db::named`] gave out may be read and dropped here; it is written to by its name.
    #[must_use]
    pub fn ns(&self, id: impl Into<NsId>) -> Namespace {
        Namespace::new(self.inner.clone(), Handle::new(id.into()))
    }

    /// The namespace with this name: 1 to 1024 bytes of any sort. It gets an id that no other ever has with its first put, in the
    /// same record; until then it is empty, and nothing is stored for it. Deletes alone do not make it.
    ///
    /// All handles of one name are the same namespace whatever happens to it: after [`Db::rename`] they go by the new name; after
    /// a drop the next put begins it anew, with another id.
    ///
    /// Cost: two look-ups, none while another handle of the name is held. A put compares one more key in memory. Dropping the
    /// future loses nothing.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let alice = db.named("user/alice").await?;
    /// alice.put("city", "Turin").await?;
    /// db.rename("user/alice", "user/alice.b").await?;
    /// assert_eq!(alice.name().as_deref(), Some(&b"user/alice.b"[..]));
    /// let mut names = db.names();
    /// let (name, id) = names.next().await?.unwrap();
    /// assert_eq!((&name[..], id), (&b"user/alice.b"[..], alice.id()));
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an empty name, [`TooLarge`](crate::ErrorKind::TooLarge) for one over
    /// 1024 bytes; [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io).
    pub async fn named(&self, name: impl AsRef<[u8]>) -> Result<Namespace> {
        let handle = self.inner.manager.named(name.as_ref()).await?;
        Ok(Namespace::new(self.inner.clone(), handle))
    }

    /// Gives a namespace another name: three small records, two of them synced, whatever it holds. It survives a power cut once this
    /// is answered; after one in the middle the namespace has one of the two names. Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when nothing is named `old`, [`Conflict`](crate::ErrorKind::Conflict) when something
    /// is named `new`; those of [`Db::named`] and of a put.
    pub async fn rename(&self, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.inner.manager.rename(old.as_ref(), new.as_ref()).await?)
    }

    /// The names of all namespaces that have one, in the order of their bytes, with their ids; also of those without a row.
    pub fn names(&self) -> Names {
        Names::new(self.inner.clone())
    }

    /// The name of an id, if it has one. Cost: a look-up.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Io`](crate::ErrorKind::Io).
    pub async fn name_of(&self, id: impl Into<NsId>) -> Result<Option<Bytes>> {
        Ok(self.inner.manager.name_of(id.into()).await?)
    }

    /// The namespaces that have rows, in order, page by page.
    pub fn namespaces(&self) -> Namespaces {
        Namespaces::new(self.inner.clone())
    }

    /// The values of many keys of any namespaces, in their order; `None` for a key that is absent.
    ///
    /// Up to 64 reads are under way at once, and values that lie side by side are read together. What comes from one shard is
    /// of one moment; across shards there is no such thing. Keys and values are in memory together: ask for pages of some
    /// thousand.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// db.put_many([(1u64, "name", "Alice"), (2, "name", "Bob")]).await?;
    /// let names = db.multi_get([(1u64, "name"), (2, "name"), (3, "name")]).await?;
    /// assert_eq!(names, [Some("Alice".into()), Some("Bob".into()), None]);
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Namespace::get`], of the first key that fails.
    pub async fn multi_get<N: Into<NsId>, K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = (N, K)>,
    ) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<(NsId, K)> = keys.into_iter().map(|(ns, key)| (ns.into(), key)).collect();
        let keys: Vec<(NsId, &[u8])> = keys.iter().map(|(ns, key)| (*ns, key.as_ref())).collect();
        Ok(self.inner.manager.multi_get(&keys).await?)
    }

    /// Puts rows of many namespaces: one commit in each shard that they touch, all of them at once. Awaited, it gives the
    /// commits.
    ///
    /// A shard's part happens whole or not at all; the parts are independent of each other. Of several rows with one key the
    /// last one wins. For rows of one namespace take a [`batch`](Namespace::batch).
    ///
    /// Limits: those of a [`Batch`](crate::Batch) in each shard. No quota holds it up, and ids that [`Db::named`] gave out are refused.
    ///
    /// # Errors
    /// Those of [`Namespace::put`], [`TooLarge`](crate::ErrorKind::TooLarge). After an error other shards' parts may have
    /// happened.
    pub fn put_many<N: Into<NsId>, K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        rows: impl IntoIterator<Item = (N, K, V)>,
    ) -> WriteMany {
        let op = |(ns, key, value): (N, K, V)| {
            let ns = ns.into();
            (ns, put_op(ns, key.as_ref(), Bytes::copy_from_slice(value.as_ref())))
        };
        WriteMany::new(self.inner.clone(), rows.into_iter().map(op).collect())
    }

    /// Drops everything that is in a namespace now, in one record, however much it is. Scans that are under way still see
    /// it; a namespace written again begins empty. A name goes with it; that of a renamed namespace may cost a sync, whatever durability
    /// was asked for.
    ///
    /// A shard holds up to 16,384 drops that its tables have not applied yet; the next one waits, before it belongs to the
    /// database, until compaction has applied some. A snapshot that is older than they are can make that wait long.
    ///
    /// # Errors
    /// Those of [`Namespace::put`].
    pub fn drop_ns(&self, id: impl Into<NsId>) -> Write {
        let ns = id.into();
        Write::new(self.inner.clone(), Handle::new(ns), ns, vec![jdb_ns::drop_op(ns)])
    }

    /// Waits until everything that is visible now survives a power cut.
    ///
    /// # Errors
    /// [`Stopped`](crate::ErrorKind::Stopped) when a sync failed.
    pub async fn sync(&self) -> Result<()> {
        Ok(self.inner.manager.sync().await?)
    }

    /// Brings everything that is visible now from the log into tables, so that the next open replays nothing of it.
    ///
    /// # Errors
    /// The disk's; the database tries again by itself unless it stopped writing.
    pub async fn flush(&self) -> Result<()> {
        Ok(self.inner.manager.flush().await?)
    }

    /// Flushes, and merges the tables of each shard into one level, whether that is due or not. Tables come to be merged by
    /// themselves; this is for who wants it now, before a backup or a long time of reading.
    ///
    /// Cost: reads and writes the whole index, in the background's short steps. Dropping the future leaves the work going on.
    ///
    /// # Errors
    /// The disk's; [`NoSpace`](crate::ErrorKind::NoSpace), [`Stopped`](crate::ErrorKind::Stopped). The database is as sound
    /// as before, and tries again by itself.
    pub async fn compact(&self) -> Result<()> {
        Ok(self.inner.manager.compact().await?)
    }

    /// Merges all tables, so that it is known which values are dead, then collects the garbage of the log: what is live in files
    /// that hold more than a fiftieth of garbage moves together, and these files are removed. Then values are gathered in few
    /// places, so that those of a namespace lie side by side. Garbage is collected by itself when it passes
    /// [`Options::max_garbage`]; this is for who wants the room now, or quicker scans.
    ///
    /// A file that a read under way or an idle scan still holds is removed later. Dropping the future leaves the work going on.
    ///
    /// Cost: that of [`Db::compact`]; reads the files that are collected, writes what is live in them. Gathering writes a live byte
    /// twice more at most, and nothing where no garbage was ever collected; it needs room for 256 MiB a shard, and does without
    /// where there is none.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let report = db.collect().await?;
    /// println!("{} bytes before, {} after", report.before_len, report.after_len);
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Db::compact`]; [`Corrupt`](crate::ErrorKind::Corrupt) when a live value cannot be read: its file stays, and what
    /// else is due goes on being collected.
    pub async fn collect(&self) -> Result<CollectReport> {
        Ok(self.inner.manager.collect().await?)
    }

    /// Waits until nothing is left to be flushed, merged or collected: what is due is done by itself, and this tells when. The active
    /// memtables stay as they are.
    ///
    /// # Errors
    /// Those of [`Db::compact`].
    pub async fn settle(&self) -> Result<()> {
        Ok(self.inner.manager.settle().await?)
    }

    /// Reads everything and checks it: every table and its filters, every segment, that each entry leads to its value, that
    /// MANIFESTs say what is there. What is found is in the report, and ends nothing; the database stays in use meanwhile.
    ///
    /// Cost: reads all files once, and values again where entries lead to them. `progress` hears of the bytes done, some times
    /// a megabyte. Dropping the future ends it.
    ///
    /// ```
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = jdb::open(dir.path().join("db")).await?;
    /// let report = db.verify(|progress| println!("{} of {}", progress.done, progress.total)).await?;
    /// for error in &report.damage {
    ///     println!("{error}");
    /// }
    /// assert_eq!(report.damage_count, 0);
    /// # db.close().await }).unwrap();
    /// ```
    ///
    /// # Errors
    /// None for damage; those of the disk where nothing can be said at all.
    pub async fn verify(&self, mut progress: impl FnMut(Progress)) -> Result<VerifyReport> {
        Ok(VerifyReport::new(self.inner.manager.verify(&mut progress).await?))
    }

    /// Copies every row that can be read into a new database at `to`, a path or [`Options`], whose directory must be empty or not
    /// exist. Of each key the newest version counts; when its value cannot be read the row is left out and reported.
    ///
    /// Open the damaged database for reading only and with [`Recovery::Salvage`](crate::Recovery::Salvage), then nothing that can
    /// still be read is refused. Where a block of a table is lost, rows that it held may be missing, and rows that it changed or
    /// deleted may be as they were before: the report says which file and where.
    ///
    /// Cost: reads the whole index, and every value once, and writes them. Dropping the future leaves an unfinished new database.
    ///
    /// ```
    /// # use jdb::{Options, Recovery};
    /// # jdb::runtime(&jdb::RuntimeConfig::default()).unwrap().block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, saved) = (dir.path().join("db"), dir.path().join("saved"));
    /// # jdb::open(&path).await?.close().await?;
    /// let damaged = Options { read_only: true, recovery: Recovery::Salvage, ..Options::at(&path) };
    /// let report = jdb::open(damaged).await?.salvage(&saved, |_| ()).await?;
    /// println!("{} rows saved, {} values lost", report.rows, report.lost_values);
    /// # Ok::<(), jdb::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of the new database; [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when its directory is not empty.
    pub async fn salvage(
        &self,
        to: impl Into<Options>,
        mut progress: impl FnMut(Progress),
    ) -> Result<SalvageReport> {
        let (disk, _, options) = to.into().into_parts()?;
        Ok(SalvageReport::new(self.inner.manager.salvage_to(disk, options, &mut progress).await?))
    }

    /// Makes a second database in `dir`, an empty or missing directory, that holds what this one holds now, and can be opened as it
    /// is: each shard as of the moment its turn comes, everything acknowledged before included. The database stays in use.
    ///
    /// On the same file system tables and full segments are not copied but get a second name (hard links), and the backup takes
    /// only the space of the log that is in no table yet; neither database ever changes what they share. Flushes and compactions
    /// of a shard wait while its files are linked. The backup has another history id.
    ///
    /// Dropping the future, an error or a crash leave a directory that is not a database (a file `INCOMPLETE` lies in it): remove it.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the directory is not empty, the disk's,
    /// [`Stopped`](crate::ErrorKind::Stopped).
    pub async fn backup_to(&self, dir: impl AsRef<Path>) -> Result<BackupReport> {
        Ok(self.inner.manager.backup_to(dir.as_ref()).await?)
    }

    /// Numbers about the database as of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.manager.stats()
    }

    /// Finishes every write that was handed over, makes all durable and ends the background tasks. Other handles then
    /// fail with [`Closed`](crate::ErrorKind::Closed) when they write.
    ///
    /// Dropping the future leaves the database open or closed; either is safe.
    ///
    /// # Errors
    /// What kept something from being durable; the database is closed all the same.
    pub async fn close(self) -> Result<()> {
        Ok(self.inner.manager.close().await?)
    }
}
