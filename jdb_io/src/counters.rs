//! I/O counters of one [`Disk`](crate::Disk): they do not lie, unlike clocks on a shared machine.

/// What has been done since the disk was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Reads issued, those answered from the page cache included.
    pub reads: u64,
    /// Of these, reads that were answered without suspending.
    pub reads_ready: u64,
    /// Of these, reads that took no system call.
    pub reads_mapped: u64,
    /// Bytes read.
    pub read_len: u64,
    /// Ranges of which the system was told that they will be read.
    pub hints: u64,
    /// Writes issued; a continued short write counts each part.
    pub writes: u64,
    /// Of these, writes that took no system call.
    pub writes_mapped: u64,
    /// Bytes written.
    pub write_len: u64,
    /// File syncs.
    pub syncs: u64,
    /// Directory syncs.
    pub dir_syncs: u64,
    /// Files opened or created.
    pub opens: u64,
    /// Files removed.
    pub removes: u64,
    /// Renames.
    pub renames: u64,
    /// Files open now; one that an operation still uses closes with it.
    pub open_files: u64,
    /// The most files that were open at once.
    pub open_files_peak: u64,
}

impl Counters {
    /// Both together; the peaks of open files may not have come at the same time.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            reads_ready: self.reads_ready + other.reads_ready,
            reads_mapped: self.reads_mapped + other.reads_mapped,
            read_len: self.read_len + other.read_len,
            hints: self.hints + other.hints,
            writes: self.writes + other.writes,
            writes_mapped: self.writes_mapped + other.writes_mapped,
            write_len: self.write_len + other.write_len,
            syncs: self.syncs + other.syncs,
            dir_syncs: self.dir_syncs + other.dir_syncs,
            opens: self.opens + other.opens,
            removes: self.removes + other.removes,
            renames: self.renames + other.renames,
            open_files: self.open_files + other.open_files,
            open_files_peak: self.open_files_peak + other.open_files_peak,
        }
    }

    pub(crate) fn file_opened(&mut self) {
        self.open_files += 1;
        self.open_files_peak = self.open_files_peak.max(self.open_files);
    }

    pub(crate) fn file_closed(&mut self) {
        self.open_files -= 1;
    }
}
