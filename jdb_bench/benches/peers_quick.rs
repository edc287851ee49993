//! jdb beside its peers, the short way: `cargo bench -p jdb_bench --bench peers_quick`; what it does stands in `src/bin/peers`.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // `cargo test --benches` runs this too, without the argument.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match Command::new(env!("CARGO_BIN_EXE_peers")).arg("--quick").status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
