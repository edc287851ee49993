//! What the program prints: lines on standard output, and how they look where they go.

use crate::error::{Error, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// Standard output, buffered. [`Out::finish`] writes what is left.
pub(crate) struct Out {
    stdout: BufWriter<Stdout>,
    /// Columns of the terminal; `None` when it is none: then nothing is cut.
    width: Option<usize>,
}

impl Out {
    /// Whatever standard output is.
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let width = stdout
            .is_terminal()
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(1));
        Self { stdout: BufWriter::with_capacity(1 << 16, stdout), width }
    }

    /// A line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        writeln!(self.stdout, "{line}").map_err(stdout_error)
    }

    /// A line that is cut to the terminal's width; whole where there is no terminal.
    pub(crate) fn cut_line(&mut self, line: &str) -> Result<()> {
        match self.width {
            Some(width) if line.chars().count() > width => {
                let cut: String = line.chars().take(width.saturating_sub(2)).collect();
                self.line(format_args!("{cut}.."))
            }
            _ => self.line(line),
        }
    }

    /// Bytes as they are; on a terminal a line end follows.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdout.write_all(bytes).map_err(stdout_error)?;
        if self.width.is_some() && !bytes.ends_with(b"\n") { self.line("") } else { Ok(()) }
    }

    /// Names and figures in two columns.
    pub(crate) fn figures(&mut self, rows: &[(&str, String)]) -> Result<()> {
        let mut table = self.empty_table();
        for (name, figure) in rows {
            table.add_row([*name, figure.as_str()]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.line(table)
    }

    /// Rows of figures below their names; the first column holds what they are about.
    pub(crate) fn table<const N: usize>(&mut self, names: &[&str; N], rows: &[[String; N]]) -> Result<()> {
        let mut table = self.empty_table();
        table.add_row(names);
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.line(table)
    }

    fn empty_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        table
    }

    /// Writes what is buffered.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.stdout.flush().map_err(stdout_error)
    }
}

/// A line on standard output, at once.
pub(crate) fn say(line: impl fmt::Display) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// A line on standard error; one that nobody hears is not an error.
pub(crate) fn warn(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// An error's first word: red where that shows.
pub(crate) fn alarm(word: &str) -> String {
    coloured(word, "31", io::stderr().is_terminal())
}

/// Green where that shows.
pub(crate) fn good(text: &str) -> String {
    coloured(text, "32", io::stdout().is_terminal())
}

fn coloured(text: &str, colour: &str, terminal: bool) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !terminal { text.to_owned() } else { format!("\x1b[{colour}m{text}\x1b[0m") }
}

fn stdout_error(source: io::Error) -> Error {
    match source.kind() {
        // Whoever read has enough: `jdb scan | head`.
        io::ErrorKind::BrokenPipe => Error::Pipe,
        _ => Error::Stdout { source },
    }
}
