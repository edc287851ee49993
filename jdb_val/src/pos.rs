//! Places in the log, and how a record says how far the log was synced when it was written.
//!
//! All segments of a chain form one line: segment `n` begins where its predecessor truly ended, its header counted in.
//! `synced_back` is the distance on that line, in 8-byte units, from a record back to the synced position. A record can
//! therefore claim a place in an earlier segment without naming it; headers lead there.

use crate::layout::SYNCED_UNKNOWN;
use jdb_base::pages::UNIT_LEN;
use std::collections::BTreeMap;
use std::fmt;

/// A place in the log: segment number, and offset in 8-byte units.
///
/// Later places are larger. Segment 0 is no segment: [`LogPos::START`] is the start of an empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPos {
    /// Number of the segment; 0 for none.
    pub segment: u32,
    /// Offset in the segment's file in units of 8 bytes.
    pub offset: u32,
}

impl LogPos {
    /// Before every segment.
    pub const START: Self = Self { segment: 0, offset: 0 };

    /// The place at `offset` (8-byte units) of `segment`.
    #[must_use]
    pub const fn new(segment: u32, offset: u32) -> Self {
        Self { segment, offset }
    }

    /// The offset in bytes.
    #[must_use]
    pub const fn byte_offset(self) -> u64 {
        self.offset as u64 * UNIT_LEN
    }
}

impl fmt::Display for LogPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

impl fmt::Debug for LogPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Predecessors by segment number: where each segment's header says that the one before it truly ended.
pub(crate) type Links = BTreeMap<u32, LogPos>;

/// What a record's `synced_back` leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// It claims nothing, or the start of the log.
    Nothing,
    /// Everything before this place was synced.
    Place(LogPos),
    /// The way there leads through a segment whose header is missing.
    Unplaced,
}

/// Distance from the beginning of `segment` back to `synced`; `None` when the links do not lead there.
///
/// Negative when `synced` lies in `segment` itself: add it to a record's offset to get its `synced_back`.
pub(crate) fn base_distance(links: &Links, segment: u32, synced: LogPos) -> Option<i64> {
    if synced.segment == segment {
        return Some(-i64::from(synced.offset));
    }
    let mut distance = 0i64;
    let mut at = segment;
    loop {
        let pred = *links.get(&at)?;
        if pred.segment >= at {
            return None;
        }
        distance += i64::from(pred.offset);
        if pred.segment == synced.segment {
            return Some(distance - i64::from(synced.offset));
        }
        at = pred.segment;
    }
}

/// The `synced_back` of a record at `offset`, `base` being the distance from [`base_distance`].
pub(crate) fn synced_back(base: Option<i64>, offset: u32) -> u32 {
    base.and_then(|base| u32::try_from(base + i64::from(offset)).ok()).unwrap_or(SYNCED_UNKNOWN)
}

/// The place that a record at `at` claims to be synced.
///
/// A claim of exactly the beginning of a segment is one of the end of its predecessor: the header need not be there.
pub(crate) fn resolve(links: &Links, at: LogPos, synced_back: u32) -> Claim {
    if synced_back == SYNCED_UNKNOWN {
        return Claim::Nothing;
    }
    let mut at = at;
    let mut left = synced_back;
    loop {
        if left < at.offset {
            return Claim::Place(LogPos::new(at.segment, at.offset - left));
        }
        left -= at.offset;
        match links.get(&at.segment) {
            Some(pred) if pred.segment == 0 => return Claim::Nothing,
            Some(pred) if pred.segment < at.segment => at = *pred,
            _ => return Claim::Unplaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        [(3, LogPos::START), (5, LogPos::new(3, 100)), (6, LogPos::new(5, 8)), (9, LogPos::new(6, 50))].into()
    }

    #[test]
    fn claim_leads_back_to_the_synced_place() {
        for (record, synced) in [
            (LogPos::new(3, 8), LogPos::new(3, 8)),
            (LogPos::new(3, 90), LogPos::new(3, 20)),
            (LogPos::new(5, 8), LogPos::new(3, 100)),
            (LogPos::new(5, 8), LogPos::new(3, 8)),
            (LogPos::new(9, 30), LogPos::new(9, 30)),
            (LogPos::new(9, 30), LogPos::new(9, 9)),
            (LogPos::new(9, 30), LogPos::new(6, 50)),
            (LogPos::new(9, 30), LogPos::new(5, 8)),
            (LogPos::new(9, 30), LogPos::new(3, 99)),
        ] {
            let back = synced_back(base_distance(&links(), record.segment, synced), record.offset);
            assert_eq!(resolve(&links(), record, back), Claim::Place(synced), "{record} {synced}");
        }
    }

    #[test]
    fn claim_of_an_empty_log_is_nothing() {
        let back = synced_back(base_distance(&links(), 6, LogPos::START), 20);
        assert_eq!(back, 128);
        assert_eq!(resolve(&links(), LogPos::new(6, 20), back), Claim::Nothing);
        assert_eq!(resolve(&links(), LogPos::new(6, 20), SYNCED_UNKNOWN), Claim::Nothing);
    }

    #[test]
    fn claim_through_a_lost_header_has_no_place() {
        let mut links = links();
        links.remove(&6);
        assert_eq!(resolve(&links, LogPos::new(9, 30), 29), Claim::Place(LogPos::new(9, 1)));
        assert_eq!(resolve(&links, LogPos::new(9, 30), 30), Claim::Place(LogPos::new(6, 50)));
        assert_eq!(resolve(&links, LogPos::new(9, 30), 80), Claim::Unplaced);
        assert_eq!(base_distance(&links, 9, LogPos::new(5, 1)), None);
        assert_eq!(synced_back(None, 7), SYNCED_UNKNOWN);
        assert_eq!(synced_back(Some(i64::from(u32::MAX)), 7), SYNCED_UNKNOWN);
    }
}
