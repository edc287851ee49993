//! Medians, and what a stretch of work has used.

pub use jdb_tenants::median;
pub use jdb_tenants::system::{each_file, evict};

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time and CPU time of this process, and bytes written to a block device, since a moment.
#[derive(Clone, Debug)]
pub struct Usage {
    start: Instant,
    cpu: Duration,
    device: Option<(String, u64)>,
}

impl Usage {
    /// From now on; the device is the one that holds `dir`.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        let device = device_of(dir).and_then(|name| Some((name.clone(), sectors_written(&name)?)));
        Self { start: Instant::now(), cpu: cpu_time(), device }
    }

    /// Wall-clock time so far.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.start.elapsed()
    }

    /// CPU time of all threads of this process so far, in the kernel too; zero where the system does not tell.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        cpu_time().saturating_sub(self.cpu)
    }

    /// Bytes that reached the block device, from this process and all others; `None` where the system does not tell.
    #[must_use]
    pub fn device_len(&self) -> Option<u64> {
        let (name, before) = self.device.as_ref()?;
        Some((sectors_written(name)? - before) * 512)
    }
}

/// CPU time of this process, in user and kernel mode, of threads that have ended too.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    Duration::ZERO
}

/// `major:minor` of the device that holds `dir`.
#[cfg(target_os = "linux")]
fn device_of(dir: &Path) -> Option<String> {
    use std::os::linux::fs::MetadataExt;
    let dev = fs::metadata(dir).ok()?.st_dev();
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & 0xff_ff00);
    Some(format!("{major}:{minor}"))
}

#[cfg(not(target_os = "linux"))]
fn device_of(_dir: &Path) -> Option<String> {
    None
}

fn sectors_written(device: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/sys/dev/block/{device}/stat")).ok()?;
    text.split_whitespace().nth(6)?.parse().ok()
}

/// Makes the system write everything that waits in memory, so that a device's counter is complete.
pub fn sync_all() {
    // Without the program there is only a less complete figure.
    let _ = std::process::Command::new("sync").status();
}
