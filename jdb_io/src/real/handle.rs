//! The descriptor of an open file, closed where closing may take long; what else takes long to let go.

use crate::real::elsewhere::Elsewhere;
use std::fs::File;
use std::ops::Deref;

/// An open file. Closing the last descriptor of a file without a name frees its blocks, which takes 18 ms for 64 MiB
/// (ext4): that is left to a thread which is started for the first such file. Others are closed in place.
#[derive(Debug)]
pub(crate) struct Handle(Option<File>);

impl Handle {
    pub(crate) fn new(file: File) -> Self {
        Self(Some(file))
    }
}

impl Deref for Handle {
    type Target = File;

    fn deref(&self) -> &File {
        self.0.as_ref().expect("open until dropped")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match self.0.take() {
            Some(file) if has_no_name(&file) => drop_elsewhere(file),
            file => drop(file),
        }
    }
}

#[cfg(unix)]
fn has_no_name(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|meta| meta.nlink() == 0)
}

/// Elsewhere an open file keeps its name, or its blocks are freed by the system later.
#[cfg(not(unix))]
fn has_no_name(_: &File) -> bool {
    false
}

#[cfg(test)]
thread_local!(pub(crate) static DROPPED_ELSEWHERE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

static CLOSER: Elsewhere = Elsewhere::new("jdb-close");

/// Waits until everything is gone that was let go on that thread before. Blocks.
pub(super) fn wait_dropped() {
    CLOSER.wait();
}

/// Starts that thread, unless there is one: with the priority of who asks, which it keeps.
pub(super) fn start_closer() {
    let _ = CLOSER.is_there();
}

/// Lets something go on a thread of its own, which is started for the first such thing.
pub(super) fn drop_elsewhere(thing: impl Send + 'static) {
    #[cfg(test)]
    DROPPED_ELSEWHERE.set(DROPPED_ELSEWHERE.get() + 1);
    CLOSER.run(move || drop(thing));
}
