//! Measuring: how long requests take, what this process has used, what lies on the disk.

use hdrhistogram::Histogram;
use jdb_bench::Result;
use jdb_bench::report::each_file;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Times of requests, to three digits, in memory that does not grow with their number.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Result<Self> {
        // Nanoseconds, up to an hour.
        Ok(Self(Histogram::new_with_bounds(1, 3600 * 1_000_000_000, 3)?))
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(time.as_nanos() as u64);
    }

    pub(crate) fn merge(&mut self, others: &Self) -> Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// Microseconds within which this share of the requests was answered, of 1.
    pub(crate) fn within_us(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }
}

/// Times of requests that follow each other: each lasts until the next begins. One look at the clock a request.
#[derive(Debug)]
pub(crate) struct Laps {
    last: Instant,
    pub(crate) times: Times,
}

impl Laps {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { times: Times::new()?, last: Instant::now() })
    }

    /// A request has ended.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.times.add(now - self.last);
        self.last = now;
    }
}

/// Bytes that this process has had the kernel write, as the kernel counts them; `None` where it does not tell.
pub(crate) fn written_len() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/self/io").ok()?, "write_bytes:")
}

/// The most memory that this process ever had, pages of mapped files included; `None` where the system does not tell.
pub(crate) fn peak_rss_len() -> Option<u64> {
    Some(number_after(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")? << 10)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that the files below a directory take on the disk.
pub(crate) fn disk_len(dir: &Path) -> Result<u64> {
    let mut len = 0;
    each_file::<jdb_tenants::Error>(dir, &mut |path| {
        len += jdb_tenants::system::disk_len(path)?;
        Ok(())
    })?;
    Ok(len)
}

/// Copies a directory with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    each_file(from, &mut |path| {
        let target = to.join(path.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(path, target)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_times_are_found() -> Result<()> {
        let mut times = Times::new()?;
        for micros in 1..=1000 {
            times.add(Duration::from_micros(micros));
        }
        for (share, want) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let got = times.within_us(share);
            assert!((got / want - 1.0f64).abs() < 0.002, "{got} us for {share}");
        }
        Ok(())
    }

    #[test]
    fn numbers_of_the_kernel_are_read() {
        let text = "rchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n";
        assert_eq!(number_after(text, "write_bytes:"), Some(4096));
        assert_eq!(number_after(text, "VmHWM:"), None);
        assert_eq!(number_after("VmHWM:\t  120 kB\n", "VmHWM:"), Some(120));
    }
}
