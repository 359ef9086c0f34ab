//! `berth migrate`.

use std::process::ExitCode;

use clap::Args;

use crate::config;

/// Flags of `berth migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Only say what is missing; exit 1 when something is.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    flags: config::Flags,
}

/// Applies what is missing, or says what that would be.
pub async fn migrate(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let settings = config::load(&args.flags)?;
    let (url, options) = (settings.database()?, settings.store_options());
    let steps = if args.check {
        berth_store::pending(&url, &options).await?
    } else {
        berth_store::migrate(&url, &options).await?
    };
    for step in &steps {
        println!("{} {:>4}  {}", if args.check { "missing" } else { "applied" }, step.version, step.name);
    }
    if steps.is_empty() {
        println!("the database is up to date (version {})", berth_store::latest());
    }
    Ok(if args.check && !steps.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
