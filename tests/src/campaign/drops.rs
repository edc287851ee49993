//! Futures dropped at every poll: what was begun happens whole or not at all, and nobody else notices.

use super::{Settings, order};
use crate::report::Counts;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::violation::Check;
use std::path::Path;

/// One run of up to three lives in which a third of the futures are dropped.
pub fn run(seed: u64, settings: &Settings, _: &dyn Fn(&Counts) -> bool) -> (Counts, Check) {
    let mut rng = Rng::new(seed ^ 0xd407);
    let mut spec = Spec::new(seed, Path::new("/db"));
    spec.abandon_percent = rng.pick(&[10, 35, 70]);
    spec.read_percent = 25;
    order::run_lives(spec, settings.trace, &mut rng, 3)
}
