//! Benchmarks of jdb and of its parts.
//!
//! - `cargo bench -p jdb_bench`: small operations, many times (`benches/`).
//! - `cargo run --release -p jdb_bench --example NAME`: whole workloads with figures that a benchmark's loop cannot give
//!   (`examples/`): bytes written per byte put, time to reopen after a kill, one part against another.
//! - `cargo run --release -p jdb_bench --bin peers -- --help`: jdb beside other databases (`src/bin/peers`); `--quick` is
//!   part of `cargo bench`.
//!
//! Times on a shared machine are noise around the truth: figures are medians, alternatives are measured in alternating
//! rounds of one run, and counters (bytes, operations, CPU time) stand beside every time.

pub mod child;
pub mod index;
pub mod keys;
pub mod names;
pub mod report;
pub mod workload;

pub use keys::Rows;
pub use report::{Usage, median};
pub use workload::{Load, fill, read_random, walk};

/// Result of a benchmark: any error ends it.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs a task on a runtime of its own.
///
/// # Errors
/// The runtime's, the task's.
pub fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    jdb::runtime(&jdb::RuntimeConfig::default())?.block_on(task)
}
