//! Very many small namespaces on one machine: made, opened, found, listed and dropped, with a figure for each.
//!
//! `jdb bench tenants` measures jdb alone, `cargo bench -p jdb_bench --bench tenants` another store next to it. Both call
//! [`measure`], which starts their own program again for each [`Step`], so that memory, descriptors and times to open are
//! those of a process that does nothing else; what the program is started with, [`run_step`] does.
//!
//! ```text
//! load   makes all namespaces in random order, settles, closes   load_per_s rss_load_bytes fds  files dirs disk_bytes
//! open   files evicted from the page cache, three times          open_clean_ms rss_open_bytes
//! use    cold, then warm                                         first_touch_* get_p50_us absent_p50_us walk_per_s list_page_ms
//! crash  puts rows, flushes nothing, is killed
//! recover  opens what is left, in the page cache                 open_crash_ms replay_bytes
//! drop   small namespaces, then a big one                        drop_small_us drop_big_us
//! ```
//!
//! Everything that is read is compared with what was put. What each figure means stands at [`Record`].

mod child;
mod error;
mod jdb_store;
mod plan;
mod record;
mod rows;
mod steps;
mod store;
pub mod system;

pub use child::{Program, measure};
pub use error::{Error, Result};
pub use jdb_store::JdbStore;
pub use plan::{Args, Step};
pub use record::Record;
pub use rows::{KEY_LEN, Key, Row, mix};
pub use steps::run_step;
pub use store::Store;

/// The middle of the values (the upper one of two); 0 for none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle() {
        for (values, want) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 5.0], 5.0), (vec![1.0, 2.0], 2.0)]
        {
            assert_eq!(median(values.clone()), want, "{values:?}");
        }
    }
}
