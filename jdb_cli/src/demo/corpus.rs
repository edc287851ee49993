//! What the demo imports: the sources in the local cargo registry, or the files of this repository.
//!
//! One folder of the registry (a crate) becomes one namespace, whose id is the 128-bit hash of the folder's name; the
//! path inside the folder is the key, the content the value. Parent and child process must agree on the list, so the
//! parent writes it to a file: `folder NUL key NUL path NUL length NUL` for each file.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Most files in one batch.
const BATCH_FILE_COUNT: usize = 16;
/// A batch ends with the file that takes it over this many bytes.
const BATCH_LEN: u64 = 1 << 20;
/// Folders that are not a repository's own files.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// A file to import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    /// Its folder in the registry, which stands for a namespace.
    pub(crate) folder: String,
    /// Path inside the folder, with `/` between its parts.
    pub(crate) key: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its length in bytes when it was listed.
    pub(crate) len: u64,
}

impl Source {
    /// The id of its namespace.
    pub(crate) fn ns(&self) -> u128 {
        xxh3_128(self.folder.as_bytes())
    }

    /// Its content, now.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).map_err(Error::io("read", &self.path))
    }
}

/// The list of files, and how it is cut into batches. Files of one folder stand together, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Corpus {
    files: Vec<Source>,
    batches: Vec<Range<usize>>,
}

impl Corpus {
    /// Lists files until their lengths reach `limit` bytes: those of the registry, else those below the repository that
    /// holds the current directory.
    ///
    /// # Errors
    /// [`Error::NoFiles`], or the system's.
    pub(crate) fn find(limit: u64) -> Result<Self> {
        let mut found = Finder { files: vec![], left: limit };
        let mut folders = BTreeSet::new();
        for index in registry_indexes() {
            for folder in subfolders(&index) {
                // The same crate from two registries would be one namespace.
                if let Some(name) = file_name(&folder).filter(|name| folders.insert((*name).to_owned())) {
                    found.add(name, &folder, "")?;
                }
            }
        }
        let root = repository();
        if found.files.is_empty() {
            for folder in subfolders(&root) {
                if let Some(name) = file_name(&folder).filter(|name| !SKIPPED.contains(name)) {
                    found.add(name, &folder, "")?;
                }
            }
        }
        if found.files.is_empty() {
            return Err(Error::NoFiles(root));
        }
        Ok(Self::of(found.files))
    }

    /// These files.
    pub(crate) fn of(mut files: Vec<Source>) -> Self {
        files.sort_by(|a, b| (&a.folder, &a.key).cmp(&(&b.folder, &b.key)));
        let batches = cut(&files);
        Self { files, batches }
    }

    /// All files.
    pub(crate) fn files(&self) -> &[Source] {
        &self.files
    }

    /// The files of each namespace.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &[Source]> {
        self.files.chunk_by(|a, b| a.folder == b.folder)
    }

    /// How many batches there are.
    pub(crate) fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// The files of a batch, all of one namespace; none for a number that does not exist.
    pub(crate) fn batch(&self, number: usize) -> &[Source] {
        self.batches.get(number).and_then(|range| self.files.get(range.clone())).unwrap_or(&[])
    }

    /// Bytes of all contents, as listed.
    pub(crate) fn len(&self) -> u64 {
        total_len(&self.files)
    }

    /// Writes the list for the child process.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn save(&self, to: &Path) -> Result<()> {
        let mut text = String::new();
        for file in &self.files {
            for field in
                [&file.folder, &file.key, &file.path.to_string_lossy().into_owned(), &file.len.to_string()]
            {
                text.push_str(field);
                text.push('\0');
            }
        }
        fs::write(to, text).map_err(Error::io("write", to))
    }

    /// Reads a list that [`Corpus::save`] wrote.
    ///
    /// # Errors
    /// The system's, also for a file that is no such list.
    pub(crate) fn load(from: &Path) -> Result<Self> {
        let bad = || Error::io("read the list of files in", from)(std::io::ErrorKind::InvalidData.into());
        let text = fs::read_to_string(from).map_err(Error::io("read", from))?;
        let mut fields = text.split_terminator('\0');
        let mut files = vec![];
        while let Some(folder) = fields.next() {
            let mut field = || fields.next().ok_or_else(bad);
            let (key, path, len) = (field()?, field()?, field()?);
            files.push(Source {
                folder: folder.to_owned(),
                key: key.to_owned(),
                path: PathBuf::from(path),
                len: len.parse().map_err(|_| bad())?,
            });
        }
        Ok(Self::of(files))
    }
}

/// Bytes of these files.
pub(crate) fn total_len(files: &[Source]) -> u64 {
    files.iter().map(|file| file.len).sum()
}

/// Consecutive files of one folder, up to [`BATCH_FILE_COUNT`] or [`BATCH_LEN`].
fn cut(files: &[Source]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = vec![];
    let mut len = 0;
    let mut folder = "";
    for (i, file) in files.iter().enumerate() {
        match batches.last_mut() {
            Some(last) if file.folder == folder && last.len() < BATCH_FILE_COUNT && len < BATCH_LEN => {
                last.end = i + 1;
                len += file.len;
            }
            _ => {
                batches.push(i..i + 1);
                len = file.len;
                folder = &file.folder;
            }
        }
    }
    batches
}

/// Walks folders until the limit is reached. Links are not followed; names that are not UTF-8 are left out.
struct Finder {
    files: Vec<Source>,
    left: u64,
}

impl Finder {
    fn add(&mut self, folder: &str, dir: &Path, below: &str) -> Result<()> {
        for path in entries(dir) {
            if self.left == 0 {
                break;
            }
            let Some(name) = file_name(&path) else { continue };
            let meta = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
            let key = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if meta.is_dir() {
                self.add(folder, &path, &key)?;
            } else if meta.is_file() && path.to_str().is_some() {
                self.left = self.left.saturating_sub(meta.len());
                self.files.push(Source { folder: folder.to_owned(), key, path, len: meta.len() });
            }
        }
        Ok(())
    }
}

/// The folders of the registries whose sources cargo has unpacked.
fn registry_indexes() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    home.map(|home| subfolders(&home.join("registry").join("src"))).unwrap_or_default()
}

/// The nearest folder at or above the current one that holds a `Cargo.lock`, else the current one.
fn repository() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|dir| dir.join("Cargo.lock").is_file()).map(Path::to_owned);
    root.unwrap_or(here)
}

/// What lies in a folder, sorted; nothing when it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn subfolders(dir: &Path) -> Vec<PathBuf> {
    let mut paths = entries(dir);
    paths.retain(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()));
    paths
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &str, key: &str, len: u64) -> Source {
        Source { folder: folder.into(), key: key.into(), path: PathBuf::from(folder).join(key), len }
    }

    #[test]
    fn a_batch_stays_in_one_folder_and_below_its_bounds() {
        let mut files: Vec<_> = (0..40).map(|i| source("a", &format!("{i:02}"), 10)).collect();
        files.push(source("b", "big", 5 << 20));
        files.push(source("b", "small", 1));
        let corpus = Corpus::of(files);
        let lens: Vec<_> = (0..corpus.batch_count()).map(|n| corpus.batch(n).len()).collect();
        assert_eq!(lens, [16, 16, 8, 1, 1]);
        assert_eq!(corpus.batch(9), []);
        assert_eq!(corpus.folders().map(<[_]>::len).collect::<Vec<_>>(), [40, 2]);
    }

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = Corpus::of(vec![source("x", "new\nline", 3), source("x", "", 0), source("ü", "é", 9)]);
        corpus.save(&dir.path().join("list")).unwrap();
        assert_eq!(Corpus::load(&dir.path().join("list")).unwrap(), corpus);
    }

    #[test]
    fn a_walk_ends_at_the_limit_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["a", "b", "sub/c", "z"] {
            fs::write(dir.path().join(name), [0; 10]).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        for (limit, want) in [(0, &[][..]), (10, &["a"]), (11, &["a", "b"]), (99, &["a", "b", "sub/c", "z"])]
        {
            let mut finder = Finder { files: vec![], left: limit };
            finder.add("f", dir.path(), "").unwrap();
            let keys: Vec<_> = finder.files.iter().map(|file| file.key.as_str()).collect();
            assert_eq!(keys, want, "limit {limit}");
        }
    }
}
