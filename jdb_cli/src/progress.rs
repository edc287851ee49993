//! Bars for long work, on standard error; none when that is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;

/// A bar that counts bytes, or a spinner where nobody knows how many there will be. It is gone when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar of `len` bytes.
    pub(crate) fn bytes(what: &'static str, len: Option<u64>) -> Self {
        // No colours; a bar that fits into 40 columns.
        let template = match len {
            Some(_) => "{msg} [{wide_bar}] {percent}% {bytes}",
            None => "{spinner} {msg} {bytes}",
        };
        Self::styled(what, len, template)
    }

    /// A spinner for work that tells nothing.
    pub(crate) fn spinner(what: &'static str) -> Self {
        Self::styled(what, None, "{spinner} {msg} {elapsed}")
    }

    /// A spinner that counts.
    pub(crate) fn counter(what: &'static str) -> Self {
        Self::styled(what, None, "{spinner} {msg} {pos}")
    }

    fn styled(what: &'static str, len: Option<u64>, template: &str) -> Self {
        // Hidden by itself when standard error is no terminal.
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template(template);
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("#-"));
        }
        bar.set_message(Cow::Borrowed(what));
        bar.tick();
        Self(bar)
    }

    /// So many are done, of so many.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    /// Prints a line above the bar.
    pub(crate) fn above(&self, line: &str) {
        self.0.suspend(|| crate::out::warn(line));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
