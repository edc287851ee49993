//! The program, run as a person runs it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod bench;
mod care;
mod demo;
mod import;
mod rows;
mod support;
mod terminal;
