//! Medians, and what a stretch of work has used.

use crate::Result;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The middle of the values (the upper one of two); 0 for none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

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

/// Has the kernel forget the files below a directory; the host of a virtual disk may still hold them.
///
/// # Errors
/// A file that cannot be opened or synced; everywhere but on Linux.
pub fn evict(dir: &Path) -> Result<()> {
    each_file(dir, &mut |path| {
        let file = fs::File::open(path)?;
        // Only pages that are on the disk can be forgotten.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        #[cfg(not(target_os = "linux"))]
        return Err("files can be evicted on Linux only".into());
        #[cfg(target_os = "linux")]
        Ok(())
    })
}

/// Calls `act` with every file below a directory.
///
/// # Errors
/// The directory's that cannot be read; those of `act`.
pub fn each_file(dir: &Path, act: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            each_file(&entry.path(), act)?;
        } else {
            act(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle() {
        for (values, want) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 5.0], 5.0), (vec![1.0, 2.0], 2.0)]
        {
            assert_eq!(median(values.clone()), want, "{values:?}");
        }
    }
}
