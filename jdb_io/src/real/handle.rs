//! The descriptor of an open file, closed where closing may take long.

use std::fs::File;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

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
            Some(file) if has_no_name(&file) => close_elsewhere(file),
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
thread_local!(pub(crate) static CLOSED_ELSEWHERE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

fn close_elsewhere(file: File) {
    #[cfg(test)]
    CLOSED_ELSEWHERE.set(CLOSED_ELSEWHERE.get() + 1);
    static CLOSER: OnceLock<Option<Sender<File>>> = OnceLock::new();
    let closer = CLOSER.get_or_init(|| {
        let (sender, files) = channel();
        let thread = std::thread::Builder::new().name("jdb-close".to_owned());
        thread.spawn(move || files.into_iter().for_each(drop)).is_ok().then_some(sender)
    });
    match closer {
        // A file that cannot be sent comes back in the error and is closed here.
        Some(closer) => drop(closer.send(file)),
        None => drop(file),
    }
}
