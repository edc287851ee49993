//! Lines of a file, of a packed file or of standard input, each of bounded length.

use crate::error::{Error, Result};
use crate::interrupt;
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Longest line in bytes: the longest value and room for its key, its namespace and what JSON adds.
const LINE_LEN_MAX: usize = jdb::VALUE_LEN_MAX + (1 << 20);

/// Lines, counted from 1.
pub(super) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    /// Waits for a person or a program, not for a disk.
    waits: bool,
    len: Option<u64>,
    done: Rc<Cell<u64>>,
    number: u64,
    line: Vec<u8>,
}

/// The next line.
pub(super) enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// Longer than any row can be; what follows of it has been passed over.
    TooLong,
    End,
}

impl Lines {
    /// Opens `path`, or standard input for `-`; unpacks what ends in `.gz`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let done = Rc::new(Cell::new(0));
        let waits = path == Path::new("-");
        let (file, len): (Box<dyn Read>, _) = if waits {
            (Box::new(io::stdin().lock()), None)
        } else {
            let file = File::open(path).map_err(Error::io("open", path))?;
            let meta = file.metadata().map_err(Error::io("open", path))?;
            if meta.is_dir() {
                return Err(Error::Usage(format!(
                    "{} is a directory: --format tree imports one",
                    path.display()
                )));
            }
            // A pipe has a name, but no length.
            let len = meta.is_file().then_some(meta.len());
            (Box::new(file), len)
        };
        let counted = BufReader::with_capacity(1 << 16, Counted { file, done: Rc::clone(&done) });
        let reader: Box<dyn BufRead> = if path.extension().is_some_and(|end| end == "gz") {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(counted)))
        } else {
            Box::new(counted)
        };
        Ok(Self { path: path.to_owned(), reader, waits, len, done, number: 0, line: Vec::new() })
    }

    /// The next line, without its `\n` or `\r\n`.
    ///
    /// # Errors
    /// What the file answers; a packed file that is damaged or cut.
    pub(super) fn next(&mut self) -> Result<Line<'_>> {
        self.number += 1;
        self.line.clear();
        let Self { reader, line, waits, .. } = self;
        let mut read = || read_line(reader, line);
        let whole = if *waits { interrupt::waiting(read) } else { read() };
        let Some(whole) = whole.map_err(Error::io("read", &self.path))? else { return Ok(Line::End) };
        if !whole {
            self.line = Vec::new();
            return Ok(Line::TooLong);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// File and line.
    pub(super) fn place(&self) -> String {
        let name = if self.waits { "standard input".into() } else { self.path.to_string_lossy() };
        format!("{name}, line {}", self.number)
    }

    /// Length of the file as it lies there, in bytes.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Bytes of it that were read.
    pub(super) fn done(&self) -> u64 {
        self.done.get()
    }
}

/// Appends a line with its end; `None` at the end, `false` when it is too long: then its rest is passed over.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let mut whole = true;
    let mut any = false;
    loop {
        let part = match reader.fill_buf() {
            Ok(part) => part,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if part.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let (len, ends) = match part.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (part.len(), false),
        };
        whole &= line.len() + len <= LINE_LEN_MAX;
        if whole {
            line.extend_from_slice(part.get(..len).unwrap_or_default());
        }
        reader.consume(len);
        if ends {
            return Ok(Some(whole));
        }
    }
}

/// Counts what is read.
struct Counted {
    file: Box<dyn Read>,
    done: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.done.set(self.done.get() + len as u64);
        Ok(len)
    }
}
