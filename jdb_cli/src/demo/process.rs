//! What the system knows about a process. Linux only; `None` elsewhere.

use std::fs;

/// Bytes that a process has caused to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IoCounts {
    /// Bytes of pages made dirty for a block device (less those thrown away before they were written), whole folios at a
    /// time: more than reaches the device. 0 on a file system in memory.
    pub(crate) dirtied_len: u64,
}

impl IoCounts {
    /// Of a process that was not waited for yet.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
    }

    /// Of this process.
    pub(crate) fn here() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn parse(text: &str) -> Option<Self> {
        let written = field(text, "write_bytes")?;
        let cancelled = field(text, "cancelled_write_bytes")?;
        Some(Self { dirtied_len: written.saturating_sub(cancelled) })
    }
}

/// Resident memory of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now, in bytes.
    pub(crate) now: u64,
    /// At its highest, in bytes.
    pub(crate) peak: u64,
}

impl Memory {
    /// Of this process.
    pub(crate) fn here() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self { now: field(text, "VmRSS")? << 10, peak: field(text, "VmHWM")? << 10 })
    }
}

/// The number behind `name:` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_systems_text() {
        let io = "rchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(IoCounts::parse(io).map(|io| io.dirtied_len), Some(4096));
        let status = "VmHWM:\t   20 kB\nVmRSS:\t   10 kB\n";
        assert_eq!(Memory::parse(status).map(|m| (m.now, m.peak)), Some((10240, 20480)));
        assert!(IoCounts::parse("write_bytes: x\n").is_none());
        assert!(Memory::parse("").is_none());
    }
}
