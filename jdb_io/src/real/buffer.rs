//! Operations that the kernel (or a pool thread) carries out on a descriptor and memory of ours.
//!
//! compio 0.19 frees the memory of operations in flight when its runtime is dropped, without waiting for the kernel,
//! which then writes into whatever was allocated there next. So memory and descriptor belong to the task that waits for
//! the operation, not to the operation: compio is given a bare view of them, and if the task is dropped without having
//! seen the operation's end, [`Held`] forgets them. They stay allocated and open until the process ends.
#![expect(unsafe_code, reason = "views of memory and descriptors that outlive every operation on them")]

use crate::real::handle::Handle;
use compio::BufResult;
use compio::buf::{IoBuf, IoBufMut, SetLen};
use compio::driver::op::{ReadAt, Sync};
use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::rc::Rc;

/// Longer reads are made of several: every system takes this much at once, some not twice as much.
const OPERATION_LEN_MAX: usize = 1 << 30;

/// Reads into `data`'s spare room until it holds `len` bytes or the file ends; `data` starts at `offset` in the file.
///
/// Run it as a task that is never dropped before its end, else `data` is leaked.
pub(crate) async fn read(file: Rc<Handle>, offset: u64, data: Vec<u8>, len: usize) -> io::Result<Vec<u8>> {
    let mut data = data;
    data.try_reserve_exact(len.saturating_sub(data.len()))?;
    while data.len() < len {
        let at = offset + data.len() as u64;
        let room = (len - data.len()).min(OPERATION_LEN_MAX);
        let mut held = Held::new((data, file.clone()));
        let view = View { start: held.get().0.spare_capacity_mut().as_mut_ptr(), len: room };
        let operation = ReadAt::new(Descriptor::of(&file), at, view);
        let BufResult(result, _) = compio::runtime::submit(operation).await;
        (data, _) = held.over();
        match result {
            Ok(0) => break,
            Ok(count) => {
                assert!(count <= room, "the kernel read more than it was asked for");
                // SAFETY: the kernel has written `count` bytes behind the first `data.len()`, inside the capacity.
                unsafe { data.set_len(data.len() + count) };
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(data)
}

/// Makes the file's bytes, and what is needed to read them back, durable.
pub(crate) async fn sync(file: Rc<Handle>) -> io::Result<()> {
    let held = Held::new(file.clone());
    let BufResult(result, _) = compio::runtime::submit(Sync::new(Descriptor::of(&file), true)).await;
    held.over();
    result.map(drop)
}

/// Cuts or lengthens the file.
#[cfg(unix)]
pub(crate) async fn set_len(file: Rc<Handle>, len: u64) -> io::Result<()> {
    let held = Held::new(file.clone());
    let operation = compio::driver::op::TruncateFile::new(Descriptor::of(&file), len);
    let BufResult(result, _) = compio::runtime::submit(operation).await;
    held.over();
    result.map(drop)
}

/// Cuts or lengthens the file.
#[cfg(windows)]
pub(crate) async fn set_len(file: Rc<Handle>, len: u64) -> io::Result<()> {
    // A few calls on an open handle; nothing waits for the device.
    file.set_len(len)
}

/// Writes `data[from..from + len]` at `offset`, or its beginning, and gives the buffer back.
#[cfg(windows)]
pub(crate) async fn write(
    file: Rc<Handle>,
    offset: u64,
    data: Vec<u8>,
    from: usize,
    len: usize,
) -> (io::Result<usize>, Vec<u8>) {
    let mut held = Held::new((data, file.clone()));
    let part = held.get().0.get_mut(from..from + len).unwrap_or_default();
    let view = View { start: part.as_mut_ptr().cast(), len: part.len() };
    let operation = compio::driver::op::WriteAt::new(Descriptor::of(&file), offset, Full(view));
    let BufResult(result, _) = compio::runtime::submit(operation).await;
    (result, held.over().0)
}

/// How often this thread leaked something because its operation's end was never seen.
#[cfg(test)]
pub(crate) fn leaked() -> usize {
    LEAKED.get()
}

thread_local!(static LEAKED: Cell<usize> = const { Cell::new(0) });

/// Something that an operation in flight uses. Dropped before the operation is over, it is forgotten, not freed.
struct Held<T>(Option<T>);

impl<T> Held<T> {
    fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value, for making a view of it before the operation begins.
    fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("filled until over")
    }

    /// Gives it back: the operation is over.
    fn over(mut self) -> T {
        self.0.take().expect("filled until over")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            std::mem::forget(value);
            LEAKED.set(LEAKED.get() + 1);
        }
    }
}

/// Memory that a [`Held`] keeps, as compio is given it. Dropping it does nothing, on any thread.
struct View {
    start: *mut MaybeUninit<u8>,
    len: usize,
}

impl IoBuf for View {
    fn as_init(&self) -> &[u8] {
        &[]
    }
}

impl SetLen for View {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for View {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: `start` is the spare room, at least `len` bytes, of a vector that a `Held` keeps: it is neither freed
        // nor moved nor looked at until the operation is over, and never freed when that is not seen.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// A view of bytes that are to be written.
#[cfg(windows)]
struct Full(View);

#[cfg(windows)]
impl IoBuf for Full {
    fn as_init(&self) -> &[u8] {
        // SAFETY: as in `View`; and the bytes were filled before the view was made.
        unsafe { std::slice::from_raw_parts(self.0.start.cast(), self.0.len) }
    }
}

use descriptor::Descriptor;

#[cfg(unix)]
mod descriptor {
    use std::fs::File;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    /// A file's descriptor, kept open by a `Held`. Dropping it does nothing, on any thread.
    pub(super) struct Descriptor(RawFd);

    impl Descriptor {
        pub(super) fn of(file: &File) -> Self {
            Self(file.as_raw_fd())
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: a `Held` keeps the file open until the operation is over, and for ever when that is not seen.
            unsafe { BorrowedFd::borrow_raw(self.0) }
        }
    }
}

#[cfg(windows)]
mod descriptor {
    use compio::driver::{AsFd, BorrowedFd};
    use std::fs::File;
    use std::os::windows::io::{AsRawHandle, BorrowedHandle, RawHandle};

    /// A file's handle, kept open by a `Held`. Dropping it does nothing, on any thread.
    pub(super) struct Descriptor(RawHandle);

    impl Descriptor {
        pub(super) fn of(file: &File) -> Self {
            Self(file.as_raw_handle())
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: a `Held` keeps the file open until the operation is over, and for ever when that is not seen.
            BorrowedFd::File(unsafe { BorrowedHandle::borrow_raw(self.0) })
        }
    }
}
