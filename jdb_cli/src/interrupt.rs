//! Ctrl-C in the middle of an import.
//!
//! The first one ends the import behind its next commit: what was acknowledged is there, and is said. While the program
//! waits for standard input, where nothing would ever look, and at the second one, it ends at once; a database survives that,
//! as it survives a kill.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Exit code of an interrupted program, as shells have it: 128 and the signal's number.
pub(crate) const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static WAITING: AtomicBool = AtomicBool::new(false);
static ROWS: AtomicU64 = AtomicU64::new(0);

/// From now on Ctrl-C asks instead of ending the program. Best effort: without it the program ends where it is.
pub(crate) fn listen() {
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, SeqCst) || WAITING.load(SeqCst) {
            crate::out::warn(format_args!("interrupted: {} rows are imported", ROWS.load(SeqCst)));
            std::process::exit(EXIT_CODE.into());
        }
    });
}

/// Whether somebody asked to end.
pub(crate) fn asked() -> bool {
    ASKED.load(SeqCst)
}

/// Rows that are acknowledged, for the last word.
pub(crate) fn imported(rows: u64) {
    ROWS.store(rows, SeqCst);
}

/// Does something that may wait for a person for ever.
pub(crate) fn waiting<T>(act: impl FnOnce() -> T) -> T {
    WAITING.store(true, SeqCst);
    let done = act();
    WAITING.store(false, SeqCst);
    done
}
