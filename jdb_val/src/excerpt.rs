//! Segments that nothing is appended to any more, for another thread.

use crate::error::Result;
use crate::log::{LogConfig, Recovery, Sealed, ValueLog};
use jdb_io::{Disk, Handles};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// What a thread has to know of some segments of a log to work on them. It owns all of it.
#[derive(Debug)]
pub struct Excerpt {
    dir: PathBuf,
    secret: [u8; 16],
    shard: u32,
    sealed: BTreeMap<u32, Sealed>,
}

impl ValueLog {
    /// These segments of the log, as far as it knows them. Nothing may be appended to them any more.
    #[must_use]
    pub fn excerpt(&self, numbers: &[u32]) -> Excerpt {
        let state = self.state.borrow();
        let sealed = numbers.iter().filter_map(|number| {
            let segment = state.segments.get(number)?;
            let sealed = Sealed {
                end: segment.end,
                seq_min: segment.seq_min,
                seq_max: segment.seq_max,
                pred: segment.pred,
                pred_last_seq: segment.pred_last_seq,
                footer: None,
            };
            Some((*number, sealed))
        });
        let LogConfig { dir, secret, shard, .. } = &self.config;
        Excerpt { dir: dir.clone(), secret: *secret, shard: *shard, sealed: sealed.collect() }
    }
}

impl Excerpt {
    /// A log of these segments alone, for reading. Nothing is opened yet.
    #[must_use]
    pub fn on(self, disk: &Disk, handles: &Rc<Handles>) -> ValueLog {
        self.log(disk, handles, true)
    }

    /// Makes the footer of segment `number`: [`ValueLog::write_footer`], where `disk` works.
    ///
    /// # Errors
    /// As there.
    pub async fn write_footer(self, disk: &Disk, number: u32) -> Result<(u64, u32)> {
        let handles = Rc::new(Handles::new(1, 0));
        self.log(disk, &handles, false).write_footer(number).await
    }

    fn log(self, disk: &Disk, handles: &Rc<Handles>, read_only: bool) -> ValueLog {
        let Self { dir, secret, shard, sealed } = self;
        let (handles, recovery) = (handles.clone(), Recovery::Strict);
        let config = LogConfig { dir, secret, shard, handles, recovery, read_only, ..LogConfig::default() };
        ValueLog::of_sealed(disk, config, &sealed)
    }
}
