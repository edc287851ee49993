//! How fast background work goes beside the foreground, and when the foreground waits for it.
//!
//! One thread does both. After each step a compaction steps aside until the others have had their share of the time; when
//! nobody else has anything to do it goes on at once. The more tables of level 0 wait, the larger its share; beyond that
//! writers are slowed down, a millisecond at a time, and at last wait. So they are for a collection while the log holds much more garbage
//! than it may. All of it is awaited, and counted in the stats.

use crate::victims::Balance;
use jdb_io::{Disk, task};
use std::time::Duration;

/// The compaction's share of the thread while little waits.
const SHARE_MIN: f64 = 0.3;
/// And when writers are about to be slowed down.
const SHARE_MAX: f64 = 0.9;
/// A round of other tasks that took less did nothing.
const IDLE: Duration = Duration::from_micros(3);
/// Rounds in which nobody did anything before a compaction goes on.
const IDLE_ROUNDS: u32 = 2;
/// Longest time that a compaction steps aside after a step.
const ASIDE_MAX: Duration = Duration::from_millis(5);

/// From which number of level-0 tables on something is done, in multiples of those that make a compaction due.
const FULL_SHARE_AT: usize = 3;
const SLOW_AT: usize = 3;
const STOP_AT: usize = 6;

/// Bytes written between two pauses when writers begin to be slowed down; half as much with each further step.
const SLOW_LEN: u64 = 1 << 20;
/// The pause.
pub(crate) const SLOW_PAUSE: Duration = Duration::from_millis(1);

/// What writers have to do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Pressure {
    /// Nothing.
    #[default]
    None,
    /// Pause after each so many bytes.
    Slow(u64),
    /// Wait for a compaction.
    Stop,
}

/// The pressure of `count` tables in level 0 when `trigger` of them make a compaction due.
pub(crate) fn pressure(count: usize, trigger: usize) -> Pressure {
    let trigger = trigger.max(1);
    match count {
        _ if count >= trigger * STOP_AT => Pressure::Stop,
        _ if count > trigger * SLOW_AT => {
            let step = (count - trigger * SLOW_AT) * 4 / (trigger * (STOP_AT - SLOW_AT));
            Pressure::Slow(SLOW_LEN >> step.min(4))
        }
        _ => Pressure::None,
    }
}

/// Whether a writer that has written `len` bytes since its last pause pauses again.
pub(crate) fn pause_is_due(len: u64, pressures: [Pressure; 2]) -> bool {
    pressures.iter().any(|pressure| matches!(pressure, Pressure::Slow(after) if len >= *after))
}

/// A compaction's share of the thread, 0..1, with `count` tables in level 0.
pub(crate) fn share(count: usize, trigger: usize) -> f64 {
    let full = (trigger.max(1) * (FULL_SHARE_AT - 1)) as f64;
    let over = count.saturating_sub(trigger) as f64 / full;
    SHARE_MIN + (SHARE_MAX - SHARE_MIN) * over.min(1.0)
}

/// From which multiple of the files' length that garbage would allow on writers are slowed down, and on which they wait.
const GARBAGE_SLOW_AT: f64 = 0.9;
const GARBAGE_STOP_AT: f64 = 1.2;
/// Files that come to less need no pressure.
const GARBAGE_LEN_MIN: u64 = 32 << 20;

/// The pressure of files that hold more garbage than `max_garbage` of their bytes, while a collection is due.
pub(crate) fn garbage_pressure(balance: Balance, max_garbage: f64) -> Pressure {
    let allowed = balance.live_len as f64 / (1.0 - max_garbage).max(0.05) + GARBAGE_LEN_MIN as f64;
    let over = balance.len as f64 / allowed;
    if over >= GARBAGE_STOP_AT {
        return Pressure::Stop;
    }
    if over < GARBAGE_SLOW_AT {
        return Pressure::None;
    }
    let step = (over - GARBAGE_SLOW_AT) / (GARBAGE_STOP_AT - GARBAGE_SLOW_AT) * 8.0;
    Pressure::Slow(SLOW_LEN >> (step as u32).min(8))
}

/// A collection's share of the thread under this pressure.
pub(crate) fn collection_share(pressure: Pressure) -> f64 {
    match pressure {
        Pressure::None => SHARE_MIN,
        Pressure::Slow(_) => (SHARE_MIN + SHARE_MAX) / 2.0,
        Pressure::Stop => SHARE_MAX,
    }
}

/// Steps aside after a step of background work that took `took`, so that it gets no more than `share` of the thread.
pub(crate) async fn step_aside(disk: &Disk, took: Duration, share: f64) {
    let mut owed = took.mul_f64((1.0 - share) / share).min(ASIDE_MAX);
    let mut idle = 0;
    loop {
        let start = disk.now();
        task::yield_now().await;
        let others = disk.now().saturating_sub(start);
        idle = if others < IDLE { idle + 1 } else { 0 };
        owed = owed.saturating_sub(others);
        if owed.is_zero() || idle >= IDLE_ROUNDS {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_with_the_tables_that_wait() {
        for (count, want) in [
            (0, Pressure::None),
            (12, Pressure::None),
            (13, Pressure::Slow(1 << 20)),
            (16, Pressure::Slow(1 << 19)),
            (23, Pressure::Slow(1 << 17)),
            (24, Pressure::Stop),
            (100, Pressure::Stop),
        ] {
            assert_eq!(pressure(count, 4), want, "{count} tables");
        }
        let mib = 1u64 << 20;
        for (len, live_len, want) in [
            (1300, 1000, Pressure::None),
            (1314, 1000, Pressure::None),
            (1320, 1000, Pressure::Slow(1 << 20)),
            (1740, 1000, Pressure::Slow(1 << 13)),
            (1760, 1000, Pressure::Stop),
            (35, 0, Pressure::Slow(1 << 15)),
            (28, 0, Pressure::None),
        ] {
            let balance = Balance { len: len * mib, live_len: live_len * mib, garbage: 0 };
            assert_eq!(garbage_pressure(balance, 0.3), want, "{len} MiB for {live_len}");
        }
        assert!(share(4, 4) < 0.31 && share(8, 4) > 0.5 && share(12, 4) > 0.89 && share(99, 4) < 0.91);
    }
}
