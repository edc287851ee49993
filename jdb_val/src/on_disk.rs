//! The value log on the simulated disk.

mod ahead;
mod basics;
mod cuts;
mod damage;
mod faults;
mod harness;
mod many;
mod recycled;
mod span;
mod tail;
