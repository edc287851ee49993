//! What a read does not see although it is older than the read: ranges of sequences that a drop took away.

use jdb_base::SeqNo;

/// Sequences above `from` up to and including `to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeqRange {
    /// The newest sequence below the range.
    pub from: SeqNo,
    /// The newest sequence in the range.
    pub to: SeqNo,
}

/// The hidden ranges of one read in one namespace; empty for nearly every read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Hidden(Vec<SeqRange>);

impl Hidden {
    /// Nothing is hidden.
    pub const NONE: Self = Self(Vec::new());

    /// These ranges are hidden.
    #[must_use]
    pub fn new(ranges: Vec<SeqRange>) -> Self {
        Self(ranges)
    }

    /// Nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next older sequence that may be seen, when an entry of this sequence is hidden.
    #[inline]
    #[must_use]
    pub fn skip(&self, seq: SeqNo) -> Option<SeqNo> {
        self.0.iter().filter(|range| range.from < seq && seq <= range.to).map(|range| range.from).min()
    }

    /// Whether an entry of this sequence is hidden.
    #[inline]
    #[must_use]
    pub fn hides(&self, seq: SeqNo) -> bool {
        self.0.iter().any(|range| range.from < seq && seq <= range.to)
    }

    /// Whether every entry at or below this sequence is hidden.
    pub(crate) fn hides_through(&self, seq: SeqNo) -> bool {
        self.0.iter().any(|range| range.from == SeqNo::ZERO && seq <= range.to)
    }

    /// Whether any entry at or above this sequence may be hidden.
    pub(crate) fn reaches(&self, seq: SeqNo) -> bool {
        self.0.iter().any(|range| seq <= range.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_hides_above_from_up_to_to() {
        let s = SeqNo::new;
        let hidden = Hidden::new(vec![SeqRange { from: s(3), to: s(5) }, SeqRange { from: s(8), to: s(8) }]);
        for (seq, want) in [(3, false), (4, true), (5, true), (6, false), (8, false), (9, false)] {
            assert_eq!(hidden.hides(s(seq)), want, "{seq}");
        }
        assert!(!Hidden::NONE.hides(s(1)));
    }
}
