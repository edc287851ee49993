//! Whole-database tests
pub mod oracle;
pub mod rng;
pub mod violation;
