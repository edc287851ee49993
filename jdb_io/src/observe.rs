//! The engine's own account of its commit order, for `sim` builds: tests that must know the order of commits whose
//! answers nobody waited for. Elsewhere [`observed`] is nothing.

/// One commit, just before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The shard.
    pub shard: u32,
    /// Sequence of its first change; the others follow without a gap.
    pub first_seq: u64,
    /// Its changes: kind of the record, engine key, value.
    pub ops: &'a [(u8, &'a [u8], &'a [u8])],
}

#[cfg(feature = "sim")]
mod hook {
    use super::Observed;
    use std::cell::RefCell;
    use std::rc::Rc;

    type Observer = Rc<dyn Fn(&Observed<'_>)>;

    thread_local!(static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) });

    /// From now on `observer` hears of every commit of this thread, whatever database it belongs to.
    pub fn observe(observer: Observer) {
        OBSERVER.set(Some(observer));
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_observed() -> bool {
        OBSERVER.with_borrow(Option::is_some)
    }

    /// Tells the observer of this thread, if any.
    pub fn observed(commit: &Observed<'_>) {
        let observer = OBSERVER.with_borrow(Clone::clone);
        if let Some(observer) = observer {
            observer(commit);
        }
    }
}

#[cfg(not(feature = "sim"))]
mod hook {
    /// Nobody listens outside `sim` builds.
    #[must_use]
    pub const fn is_observed() -> bool {
        false
    }

    /// Nothing.
    pub const fn observed(_: &super::Observed<'_>) {}
}

#[cfg(feature = "sim")]
pub use hook::observe;
pub use hook::{is_observed, observed};
