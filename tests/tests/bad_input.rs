//! Bad input: whatever a caller, a user or a disk hands to the database, the answer is an error with kind, file and offset,
//! or a clean continuation; never a wrong value and never a panic.
//!
//! | module | what is bad |
//! |---|---|
//! | `limits` | arguments, options, calls after the end |
//! | `places` | the directory: not ours, taken, not writable, full |
//! | `versions` | files of a later version, features that this version does not know |
//! | `flips` | one flipped bit in each kind of file |
//! | `damage` | cut, zeroed and copied files |
//! | `names` | missing files, stray files, links and directories |
//! | `faults` | a full disk and a failed sync, simulated |
//! | `drivers` | no io_uring, a driver that does not exist |
//! | `child` | what a test lets another process do |
//! | `support` | a small database with a file of each kind, and how to look at it |
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

#[path = "bad_input/child.rs"]
mod child;
#[path = "bad_input/damage.rs"]
mod damage;
#[path = "bad_input/drivers.rs"]
mod drivers;
#[path = "bad_input/faults.rs"]
mod faults;
#[path = "bad_input/flips.rs"]
mod flips;
#[path = "bad_input/limits.rs"]
mod limits;
#[path = "bad_input/names.rs"]
mod names;
#[path = "bad_input/places.rs"]
mod places;
#[path = "bad_input/support.rs"]
mod support;
#[path = "bad_input/versions.rs"]
mod versions;
