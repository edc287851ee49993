//! A power cut on a real file system: an ext4 in a file, mounted by loop device, and shut down without writing anything
//! back. Root only.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `EXT4_IOC_SHUTDOWN`.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Nothing is written back, the journal neither.
const NO_LOG_FLUSH: u32 = 2;

/// A mounted ext4; unmounted and gone when dropped.
#[derive(Debug)]
pub struct Ext4 {
    dir: tempfile::TempDir,
    mount_point: PathBuf,
}

impl Ext4 {
    /// Makes and mounts one of 64 MiB.
    ///
    /// # Errors
    /// The reason why that is not possible here.
    pub fn new() -> Result<Self, String> {
        Self::with_len(64 << 20, &[])
    }

    /// Makes and mounts one of `len` bytes, with further arguments for `mkfs.ext4`.
    ///
    /// # Errors
    /// The reason why that is not possible here.
    pub fn with_len(len: u64, arguments: &[&str]) -> Result<Self, String> {
        if !is_root() {
            return Err("mounting needs root".into());
        }
        let dir = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
        let image = dir.path().join("image");
        File::create(&image).and_then(|file| file.set_len(len)).map_err(|e| format!("no image file: {e}"))?;
        let mut make = Command::new("mkfs.ext4");
        run(make.args(["-q", "-F"]).args(arguments).arg(&image))?;
        let mount_point = dir.path().join("mount");
        std::fs::create_dir(&mount_point).map_err(|e| format!("no mount point: {e}"))?;
        let ext4 = Self { dir, mount_point };
        ext4.mount()?;
        Ok(ext4)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Cuts the power: from now on nothing reaches the image, and every operation fails.
    ///
    /// # Errors
    /// The system's.
    #[expect(unsafe_code, reason = "an ioctl that no library offers")]
    pub fn shut_down(&self) -> Result<(), String> {
        let dir = File::open(&self.mount_point).map_err(|e| format!("open the mount point: {e}"))?;
        let flags = NO_LOG_FLUSH;
        // SAFETY: the descriptor is open, and this ioctl reads one u32 through the pointer, which lives until it returns.
        let result = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const flags) };
        if result == 0 { Ok(()) } else { Err(format!("shutdown: {}", std::io::Error::last_os_error())) }
    }

    /// Unmounts (the last process in it may still be dying) and mounts what the image holds.
    ///
    /// # Errors
    /// The system's.
    pub fn remount(&self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&self) -> Result<(), String> {
        let image = self.dir.path().join("image");
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&self.mount_point))
    }

    fn unmount(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..200 {
            match run(Command::new("umount").arg(&self.mount_point)) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(last)
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

/// How many bytes wait in a pipe.
///
/// # Errors
/// The system's.
#[expect(unsafe_code, reason = "an ioctl that no library offers")]
pub fn waiting_len(pipe: &impl AsRawFd) -> std::io::Result<usize> {
    let mut len: libc::c_int = 0;
    // SAFETY: the descriptor is open, and this ioctl writes one int through the pointer, which lives until it returns.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut len) };
    if result == 0 { Ok(usize::try_from(len).unwrap_or(0)) } else { Err(std::io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "no safe way to ask for the user id")]
fn is_root() -> bool {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", OsStr::new("C")).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}", said.trim()))
}
