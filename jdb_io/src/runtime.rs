//! A compio runtime with settings that suit a database. Any other compio runtime works as well; give it an `event_interval` of 4 or so, else
//! reads wait for up to 61 steps of work in the background.
//!
//! ```
//! let runtime = jdb_io::runtime(&jdb_io::RuntimeConfig::default())?;
//! let driver = runtime.block_on(async { jdb_io::Disk::real().driver() });
//! assert_ne!(driver, jdb_io::Driver::Sim);
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::disk::Driver;
use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::{Runtime, RuntimeBuilder};
use std::io;

/// Environment variable that chooses the driver when [`Config::driver`] does not: `poll`, `io_uring` or `iocp`.
pub const DRIVER_VARIABLE: &str = "JDB_DRIVER";

/// Tasks that run before completions are looked for and the future that the thread blocks on has its turn. compio's default is 61: beside
/// tasks that keep waking themselves, as work in the background does, whatever waits for I/O would wait for 61 of their steps.
const TASKS_A_ROUND: usize = 4;

/// Settings of a runtime.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The driver to use or to fail. `None` (default): what [`DRIVER_VARIABLE`] names, else io_uring where the system
    /// allows it, else poll; on Windows completion ports.
    pub driver: Option<Driver>,
    /// Places in the submission ring (default 1024). Larger rings take more operations before they must be handed to the
    /// kernel, for 64 bytes each.
    pub ring_len: u32,
    /// Wake-ups from other threads that can wait at once (default 4096, 8 bytes each); further ones make those threads
    /// wait. It should exceed the number of calls that the thread pool finishes at once.
    pub wake_count_max: usize,
    /// Threads of the pool that carries out what the driver cannot (default 64): all file I/O with the poll driver. They
    /// start when needed and end after a minute without work.
    pub thread_count_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { driver: None, ring_len: 1024, wake_count_max: 4096, thread_count_max: 64 }
    }
}

/// Makes a runtime. It and everything made in it stay on the thread that calls this.
///
/// # Errors
/// The system's; `InvalidInput` when the variable or the configuration names a driver that this system does not have.
pub fn runtime(config: &Config) -> io::Result<Runtime> {
    match config.driver.map_or_else(driver_of_environment, |driver| Ok(Some(driver)))? {
        Some(Driver::IoUring) if cfg!(target_os = "linux") => ring(config),
        Some(Driver::Poll) if cfg!(unix) => build(config, &mut proactor(config, Some(DriverType::Poll))),
        Some(Driver::Iocp) if cfg!(windows) => build(config, &mut proactor(config, None)),
        None if cfg!(target_os = "linux") => {
            ring(config).or_else(|_| build(config, &mut proactor(config, Some(DriverType::Poll))))
        }
        None => build(config, &mut proactor(config, None)),
        Some(driver) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("driver {driver:?} does not exist on this system"),
        )),
    }
}

/// A ring with the settings for one thread, or without them on a kernel that is older than they are (6.0).
///
/// Not with `defer_taskrun`: compio 0.19 asks for completions only when it has nothing else to do, so that a task which
/// keeps waking itself would never see the end of an operation.
fn ring(config: &Config) -> io::Result<Runtime> {
    let mut builder = proactor(config, Some(DriverType::IoUring));
    build(config, builder.clone().single_issuer(true).coop_taskrun(true))
        .or_else(|_| build(config, &mut builder))
}

fn proactor(config: &Config, driver: Option<DriverType>) -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder.capacity(config.ring_len).thread_pool_limit(config.thread_count_max.max(1));
    if let Some(driver) = driver {
        builder.driver_type(driver);
    }
    builder
}

fn build(config: &Config, proactor: &mut ProactorBuilder) -> io::Result<Runtime> {
    RuntimeBuilder::new()
        .with_proactor(proactor.clone())
        .sync_queue_size(config.wake_count_max.max(1))
        .event_interval(TASKS_A_ROUND)
        .build()
}

fn driver_of_environment() -> io::Result<Option<Driver>> {
    let Some(name) = std::env::var_os(DRIVER_VARIABLE) else { return Ok(None) };
    match name.to_str() {
        Some("") => Ok(None),
        Some("poll") => Ok(Some(Driver::Poll)),
        Some("io_uring") => Ok(Some(Driver::IoUring)),
        Some("iocp") => Ok(Some(Driver::Iocp)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{DRIVER_VARIABLE} is {name:?}; it may be poll, io_uring or iocp"),
        )),
    }
}
