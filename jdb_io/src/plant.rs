//! Planted bugs: runtime switches that leave one rule of the engine out, so that the campaigns can show that they would
//! notice. They exist in `sim` builds only; elsewhere [`planted`] is the constant `false`.

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One rule of the engine that can be left out.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Plant { $($(#[$doc])* $name),* }

        impl Plant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, as the campaign runner takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

plants! {
    /// The log's data sync is left out (acknowledged as synced without it).
    NoLogSync,
    /// A table's data sync is left out.
    NoTableSync,
    /// The MANIFEST's data sync is left out.
    NoManifestSync,
    /// The directory sync after a new segment is left out.
    NoSegmentDirSync,
    /// The directory sync after a new table is left out.
    NoTableDirSync,
    /// The directory sync after the MANIFEST's rename is left out.
    NoManifestDirSync,
    /// The MANIFEST and its directory are not synced at open, before files are removed.
    NoOpenSync,
    /// The recovered tail is not synced before it is served.
    NoTailSync,
    /// The superblock's sync or its directory's sync is left out when a database is made.
    NoSuperblockSync,
    /// Only the newest of the segments that a sync covers is synced.
    SyncLastSegmentOnly,
    /// A table is published before the log is synced through the memtable's last record.
    FlushBeforeLogSync,
    /// Replay starts at the newest written position, not at the first record that was not yet inserted.
    ReplayFromWritten,
    /// A batch whose last record is missing is applied.
    HalfBatch,
    /// A life's start sequence is not made durable before its first answer.
    NoLifeStart,
    /// Sequences go on right after the last one found.
    SeqPlusOne,
    /// Records are appended to the last segment of another life.
    AppendToOldSegment,
    /// The true end that a successor's header names is ignored.
    IgnoreTrueEnd,
    /// A successor is taken although the end it names was not reached.
    AnySuccessor,
    /// Segments that the MANIFEST does not name are removed at open even at or above the replay position.
    RemoveUnknownSegments,
    /// The next file number comes from the MANIFEST alone.
    ReuseFileNumber,
    /// The drop map is written as of now instead of as of the replay position.
    DropMapOfNow,
    /// A sync's reach is taken when it completes instead of when it is submitted.
    SyncReachAtCompletion,
    /// A MANIFEST edit is built before the lock is taken.
    StaleEdit,
    /// `synced_back` is counted from the replay position although the recovered tail was not synced.
    SyncedBackFromReplay,
    /// More operations may be unsynced than a life's start jumps over.
    UnboundedUnsynced,
    /// Sequence and Version of a read are taken in two steps.
    ReadInTwoSteps,
    /// A MANIFEST from another life is appended to.
    AppendToOldManifest,
    /// Every bad record is called a torn tail.
    NoCorruptionProof,
    /// Any valid record behind a hole is called corruption.
    AnyRecordProves,
    /// Sequences that do not rise do not end the log.
    NoRise,
    /// A failed sync is retried and believed.
    RetryFailedSync,
    /// After a failed write the log goes on in the same segment, behind the hole.
    AppendAfterFailedWrite,
    /// A record's key is not compared when a value is read by pointer.
    NoKeyCheck,
    /// A drop is forgotten when replay starts behind its log record.
    ForgetDropBelowReplay,
    /// A compaction drops tombstones although older entries of their keys lie below.
    TombstoneDroppedEarly,
    /// A compaction keeps what the newest read sees and nothing for older read points.
    SnapshotIgnored,
    /// A compaction ends a table between two versions of one key.
    CutInsideKey,
    /// A source of a merge that cannot be read is taken for one that is at its end.
    SwallowReadError,
    /// The drop sequence of a compaction's tables is taken when it ends instead of when it starts.
    DropSeqAtEnd,
    /// A compaction decides which version shows before it removes what drops hide.
    ShadowBeforeDrops,
    /// The MANIFEST names a compaction's result before the log is synced through the compaction's start.
    CompactBeforeLogSync,
    /// A flush applies drops whose records lie behind its memtable, where the log need not be synced.
    FlushDropsAhead,
    /// Drops of a namespace are merged although a snapshot lies between them.
    MergeDropsOverSnapshot,
    /// The files of merged tables are removed before the MANIFEST record that lets them go.
    RemoveBeforeManifest,
    /// A snapshot is no read point.
    ForgetReadPoint,
    /// The files of collected segments are removed before the MANIFEST record that lets them go.
    RemoveCollectedEarly,
    /// A collection takes a record for live when it is the newest of its key, not when the index holds exactly it.
    TrustNewest,
    /// The segment in which replay starts may be collected.
    VictimAtReplay,
    /// The homes of collected segments are forgotten when the database is opened.
    ForgetHomes,
    /// A flush counts the live bytes of its table twice.
    CountLiveTwice,
    /// What a flush's table points to is not added to what is known to be live.
    ForgetPointed,
    /// What a compaction leaves out stays known to be live.
    KeepLeftOut,
    /// Collected files are removed although a read that began before may still want them.
    RemovePinned,
    /// A segment is written over a file that has another name too.
    RecycleLinked,
    /// The name of a segment that is written over an old file is taken to be durable at once.
    RecycledNameUnsynced,
    /// The replay position moves behind a mark although something before it is in no table.
    TurnOverUnflushed,
    /// Ids of names are given out without being set aside in the MANIFEST.
    ReuseName,
    /// The new entry of a rename is not synced before the hidden row that makes it count.
    RenameUnsynced,
    /// A write into a namespace with a name does not carry the condition that the name stands.
    NoNameGuard,
    /// A name whose id lies in another shard is given on before what freed it is durable.
    NameFreedEarly,
    /// The entry of a dropped namespace in another shard is removed before the drop is durable.
    EntryRemovedEarly,
    /// Commits are written as they come, whosever they are.
    UnfairQueue,
    /// A filter is built before keys that came twice are made one.
    FilterBeforeDedup,
}

#[cfg(feature = "sim")]
mod switch {
    use super::Plant;
    use std::cell::Cell;

    thread_local!(static ON: Cell<u128> = const { Cell::new(0) });

    /// Whether this bug is planted on this thread.
    #[inline]
    #[must_use]
    pub fn planted(plant: Plant) -> bool {
        ON.get() >> (plant as u8) & 1 == 1
    }

    /// Plants exactly these bugs on this thread.
    pub fn plant(plants: &[Plant]) {
        ON.set(plants.iter().fold(0, |bits, &p| bits | 1 << (p as u8)));
    }
}

#[cfg(not(feature = "sim"))]
mod switch {
    /// Nothing is planted outside `sim` builds.
    #[inline]
    #[must_use]
    pub const fn planted(_: super::Plant) -> bool {
        false
    }
}

#[cfg(feature = "sim")]
pub use switch::plant;
pub use switch::planted;
