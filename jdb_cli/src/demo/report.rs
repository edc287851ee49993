//! The table at the end.

use crate::error::Result;
use crate::out::say;
use comfy_table::{CellAlignment, Table, presets};
use std::time::Duration;

/// Figures of one run, in the order they are printed.
pub(crate) struct Report {
    table: Table,
}

impl Report {
    /// No figures yet.
    pub(crate) fn new() -> Self {
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
        Self { table }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, name: &str, figure: impl Into<String>) {
        self.table.add_row([name.to_owned(), figure.into()]);
    }

    /// Prints it.
    pub(crate) fn print(mut self) -> Result<()> {
        if let Some(column) = self.table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        say(self.table)
    }
}

/// A count with a comma between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as MB (10^6).
pub(crate) fn mb(len: u64) -> String {
    format!("{:.1} MB", len as f64 / 1e6)
}

/// A time in the unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.2} s"),
        s => format!("{:.2} ms", s * 1e3),
    }
}

/// Bytes over time as MB/s.
pub(crate) fn rate(len: u64, time: Duration) -> String {
    format!("{:.0} MB/s", len as f64 / 1e6 / time.as_secs_f64().max(1e-9))
}

/// One amount per another; a dash when there is nothing to divide by.
pub(crate) fn ratio(a: u64, b: u64) -> String {
    if b == 0 { "-".into() } else { format!("{:.3}", a as f64 / b as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (n, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), want);
        }
        assert_eq!(mb(1_250_000), "1.2 MB");
        assert_eq!(time(Duration::from_micros(1500)), "1.50 ms");
        assert_eq!(time(Duration::from_millis(2500)), "2.50 s");
        assert_eq!(rate(5_000_000, Duration::from_millis(500)), "10 MB/s");
        assert_eq!((ratio(11, 10), ratio(1, 0)), ("1.100".into(), "-".into()));
    }
}
