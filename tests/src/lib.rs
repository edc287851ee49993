//! Whole-database tests: an oracle, seeded workloads, and campaigns that crash, damage and starve a database.
//!
//! | module | what |
//! |---|---|
//! | [`rng`], [`spec`] | chance from a seed; what a run does |
//! | [`oracle`] | what must be true, after any crash |
//! | [`world`], [`observe`] | oracle, counts and first violation of one timeline; the engine's own commit order |
//! | [`client`], [`snapshots`], [`abandon`] | writes, reads, syncs; snapshots held over them; futures dropped too early |
//! | [`read`] | all that a database shows, read twice |
//! | [`machine`], [`life`] | the simulated machine, stepped; one life of a process on it |
//! | [`names`] | namespaces with names: a model, clients and lives of their own |
//! | [`campaign`] | power cuts, cuts in recovery, orders, faults, dropped futures, damaged files, names |
//! | [`kill9`], [`ext4`], [`wire`] | real processes killed, a real file system shut down; what a child tells its parent |
//! | [`plants`] | planted bugs and who must find them |
//! | [`report`] | what a campaign did |
//!
//! A run is a function of its seed. `cargo run --release -p tests --bin campaign -- --help` says how to start one;
//! `docs/campaigns.md` holds results.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test harness: its own broken logic shall stop it"
)]

pub mod abandon;
pub mod campaign;
pub mod client;
pub mod ext4;
pub mod fuzz;
pub mod kill9;
pub mod life;
pub mod machine;
pub mod names;
pub mod observe;
pub mod on_sim;
pub mod oracle;
pub mod place;
pub mod plants;
pub mod read;
pub mod report;
pub mod rng;
pub mod snapshots;
pub mod spec;
pub mod violation;
pub mod wire;
pub mod world;
