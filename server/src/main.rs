//! See [`berth`].

use std::{process::ExitCode, time::Duration};

use clap::Parser;

/// Returns what was freed to the system: glibc keeps the blocks that passwords are hashed in (19 MiB each, docs/adr/0003).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // clap exits with 2 for wrong usage.
    let cli = berth::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("berth: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(berth::run(cli));
    runtime.shutdown_timeout(Duration::from_secs(2));
    match result {
        Ok(code) => code,
        Err(e) => {
            eprintln!("berth: {e:#}");
            if e.is::<berth::config::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
