//! What this thread is just trying, for the message of a panic.

use std::cell::RefCell;

thread_local!(static PLACE: RefCell<String> = const { RefCell::new(String::new()) });

/// Says what comes next.
pub fn set(place: impl FnOnce() -> String) {
    PLACE.with_borrow_mut(|text| *text = place());
}

/// Nothing in particular comes next.
pub fn clear() {
    PLACE.with_borrow_mut(String::clear);
}

/// What was said last.
#[must_use]
pub fn take() -> String {
    PLACE.take()
}
