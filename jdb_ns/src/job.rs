//! Work of a shard that owns all that it needs, and the file numbers that it takes.

use crate::error::{Error, Result};
use crate::shard::Shard;
use futures::future::{Either, select};
use jdb_io::{Abort, Disk, Gauge};
use std::pin::pin;

impl Shard {
    /// The next file number; never given out twice, but for the last one, `u32::MAX`, which names no file.
    pub(crate) fn take_number(&self) -> u32 {
        next_number(&self.numbers)
    }

    /// What [`Shard::take_number`] would give.
    pub(crate) fn next_number(&self) -> u32 {
        number(self.numbers.get())
    }

    /// Has a job done, by the worker if there is one, and tells it to end when the tasks are to end.
    ///
    /// # Errors
    /// The job panicked on the worker: nothing is written any more.
    pub(crate) async fn job<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        job: impl FnOnce(Disk, Abort) -> F + Send + 'static,
    ) -> Result<T> {
        let abort = Abort::default();
        let of_job = abort.clone();
        let mut done = pin!(self.disk.job(&abort, move |disk| job(disk, of_job)));
        let done = loop {
            if self.is_over() {
                abort.set();
                break done.await;
            }
            if let Either::Left((done, _)) = select(done.as_mut(), pin!(self.stopped.wait())).await {
                break done;
            }
        };
        // It would panic again and again, each time with another file.
        done.map_err(Error::from).inspect_err(|error| self.poison(error))
    }
}

/// The next file number of this gauge; never given out twice, but for the last one.
pub(crate) fn next_number(numbers: &Gauge) -> u32 {
    number(numbers.take_next(u32::MAX as usize))
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
