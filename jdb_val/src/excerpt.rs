//! Segments that nothing is appended to any more, to be read on another thread.

use crate::log::{LogConfig, Recovery, Sealed, ValueLog};
use jdb_io::{Disk, Handles};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// What a thread has to know to read some segments of a log. It owns all of it.
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
        let Self { dir, secret, shard, sealed } = self;
        let (handles, recovery) = (handles.clone(), Recovery::Strict);
        let config =
            LogConfig { dir, secret, shard, handles, recovery, read_only: true, ..LogConfig::default() };
        ValueLog::of_sealed(disk, config, &sealed)
    }
}
