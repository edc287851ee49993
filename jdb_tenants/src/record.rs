//! The figures of a measurement.

use serde::{Deserialize, Serialize};

/// What one store came to: the object that `--json` writes. `None` where the system or the store does not tell.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Record {
    /// Name of the store.
    pub engine: String,
    /// Namespaces that were made.
    pub namespaces: u64,
    /// Rows of each.
    pub rows: u64,
    /// Namespaces made a second, in random order, 100 rows a commit, 16 commits in flight; until the last one is answered.
    pub load_per_s: f64,
    /// Anonymous memory in bytes of the process that makes them, at its peak, until it has settled.
    pub rss_load_bytes: Option<u64>,
    /// Anonymous memory in bytes of a process that has opened the store and let it settle; median of three.
    pub rss_open_bytes: Option<u64>,
    /// Milliseconds to open it after a clean close, its files evicted from the page cache; median of three.
    pub open_clean_ms: f64,
    /// Milliseconds to open it after `kill -9` of a process that put rows and flushed nothing; its files are in the page cache.
    pub open_crash_ms: f64,
    /// Bytes of log that this opening replayed.
    pub replay_bytes: Option<u64>,
    /// Files in its directory, settled and closed.
    pub files: u64,
    /// Directories, its own included.
    pub dirs: u64,
    /// Descriptors of the process that had most, standard streams and the runtime's included.
    pub fds: Option<u64>,
    /// Bytes that its files take on the disk, settled and closed.
    pub disk_bytes: u64,
    /// Microseconds of reading one row of a namespace that nobody has read since the store was opened, everything evicted from the
    /// page cache; median of up to 400, after as many others that opened tables and segments.
    pub first_touch_p50_us: f64,
    /// Reads of files that one of these took, on average.
    pub first_touch_reads: Option<f64>,
    /// Microseconds of reading one row of one of up to 10,000 namespaces that are read over and over; median.
    pub get_p50_us: f64,
    /// The same of a key that the namespace lacks.
    pub absent_p50_us: f64,
    /// Puts and gets a second in one more namespace of up to 20,000 rows, half of them each, 100 puts a commit; median of nine rounds.
    pub active_per_s: f64,
    /// The same in a namespace that is alone in its database, in turns.
    pub active_alone_per_s: f64,
    /// Microseconds of dropping a namespace, its commit included; median of up to 200.
    pub drop_small_us: f64,
    /// Microseconds of dropping one with a tenth of all rows, at most 1,000,000.
    pub drop_big_us: f64,
    /// Milliseconds of listing a page of 1000 namespaces at a random place, for the second time; median of 31.
    pub list_page_ms: f64,
    /// Namespaces a second of listing all of them, its files in the page cache.
    pub walk_per_s: f64,
}

impl Record {
    /// Names and figures as a person reads them.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let mib =
            |len: Option<u64>| len.map_or("-".into(), |len| format!("{:.1} MiB", len as f64 / 1048576.0));
        let or_dash = |count: Option<u64>| count.map_or("-".into(), |count| count.to_string());
        let per_s = |rate: f64| format!("{:.1} k/s", rate / 1e3);
        vec![
            ("made", per_s(self.load_per_s)),
            ("memory: making / open", format!("{} / {}", mib(self.rss_load_bytes), mib(self.rss_open_bytes))),
            ("open after a close, cold", format!("{:.1} ms", self.open_clean_ms)),
            ("open after kill -9", format!("{:.1} ms", self.open_crash_ms)),
            ("log replayed then", self.replayed()),
            (
                "files / directories / descriptors",
                format!("{} / {} / {}", self.files, self.dirs, or_dash(self.fds)),
            ),
            ("disk", mib(Some(self.disk_bytes))),
            ("disk, a namespace", format!("{:.1} bytes", self.disk_bytes as f64 / self.namespaces as f64)),
            ("first touch, cold", format!("{:.1} us", self.first_touch_p50_us)),
            (
                "reads of a first touch",
                self.first_touch_reads.map_or("-".into(), |reads| format!("{reads:.2}")),
            ),
            ("get / absent, warm", format!("{:.2} / {:.2} us", self.get_p50_us, self.absent_p50_us)),
            (
                "one active namespace: here / alone",
                format!("{} / {}", per_s(self.active_per_s), per_s(self.active_alone_per_s)),
            ),
            ("drop: small / big", format!("{:.1} / {:.1} us", self.drop_small_us, self.drop_big_us)),
            ("a page of 1000", format!("{:.2} ms", self.list_page_ms)),
            ("walk over all", per_s(self.walk_per_s)),
        ]
    }

    fn replayed(&self) -> String {
        let Some(len) = self.replay_bytes else { return "-".into() };
        let mb = len as f64 / 1e6;
        format!("{mb:.1} MB, {:.0} MB/s", mb / (self.open_crash_ms / 1e3))
    }
}
