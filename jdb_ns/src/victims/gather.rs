//! Which files are gathered into fewer packs when somebody asked for a collection and no garbage is left: then the values of a
//! namespace lie in a few places.
//!
//! First what is still in segments goes into packs, when most is in packs already. Then packs are merged, the shortest first, up to
//! 256 MiB. So a call moves a byte twice at most, and from call to call a pack is only merged again when that makes it
//! half as long again.

use super::{File, Files, LEN_MAX, Victims};

/// Bytes of packs that are merged into one, at most.
const MERGED_LEN_MAX: u64 = LEN_MAX;
/// Packs that are merged into one, at most.
const MERGED_COUNT_MAX: usize = 32;

impl Files {
    /// Segments below a number whose values go into a pack; `None` when there are none, or when more is live in segments than in
    /// packs.
    pub(crate) fn to_pack(&self, below: u32) -> Option<Victims> {
        let live_len = |is_pack| -> u64 {
            self.files.iter().filter(|file| file.is_pack == is_pack).map(|file| file.live_len).sum()
        };
        if live_len(false) > live_len(true) {
            return None;
        }
        let mut chosen: Vec<&File> = Vec::new();
        let (mut len, mut sum) = (0, 0);
        for file in self.files.iter().filter(|file| !file.is_pack && file.number < below) {
            (len, sum) = (len + file.len, sum + file.live_len);
            if !chosen.is_empty() && (sum > self.live_len_max(false) || len > LEN_MAX) {
                break;
            }
            chosen.push(file);
        }
        (!chosen.is_empty()).then(|| Victims::of(&chosen))
    }

    /// Packs below a number that become one; `None` when that would move too much for what it gives.
    pub(crate) fn to_merge(&self, below: u32) -> Option<Victims> {
        let fit = |file: &&File| file.is_pack && file.number < below && file.live_len > 0;
        let mut packs: Vec<&File> = self.files.iter().filter(fit).collect();
        packs.sort_by_key(|file| (file.len, file.number));
        packs.truncate(MERGED_COUNT_MAX);
        while let Some(longest) = packs.last() {
            let len: u64 = packs.iter().map(|file| file.len).sum();
            if len <= MERGED_LEN_MAX && len - longest.len >= longest.len / 2 {
                break;
            }
            packs.pop();
        }
        (packs.len() > 1).then(|| Victims::of(&packs))
    }
}
