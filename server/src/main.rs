//! `berth`: the portal, its embedded cluster and its tools. Wiring only; what it does stands in the crates below `server/`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;
mod config;
mod embedded;
mod http;
mod logging;
mod serve;

/// A self-service PaaS portal on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "berth", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the portal and the REST API.
    Serve(config::Flags),
    /// Serve the embedded Kubernetes API alone, over TLS on loopback.
    Sim(commands::sim::Args),
    /// Bring the database up to date.
    Migrate(commands::database::MigrateArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Print who may do what.
    RoleMatrix,
    /// Print the custom resource definitions.
    Crds,
    /// Print the reference of the configuration.
    ConfigReference,
    /// Check what Berth needs from its database and its cluster, each with its fix.
    Doctor(config::Flags),
    /// Keep people and tokens from the command line.
    #[command(subcommand)]
    Admin(commands::admin::Command),
}

fn main() -> ExitCode {
    // clap exits with 2 for wrong usage.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("berth: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.command));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => code,
        Err(e) => {
            eprintln!("berth: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(flags) => serve::run(config::load(&flags)?).await?,
        Command::Sim(args) => commands::sim::run(args).await?,
        Command::Migrate(args) => return commands::database::migrate(args).await,
        Command::Openapi => println!("{}", commands::print::openapi()?),
        Command::RoleMatrix => print!("{}", berth_core::authz::matrix::print()),
        Command::Crds => print!("{}", commands::print::crds()?),
        Command::ConfigReference => print!("{}", config::reference()),
        Command::Doctor(flags) => return commands::doctor::run(config::load(&flags)?).await,
        Command::Admin(command) => commands::admin::run(command).await?,
    }
    Ok(ExitCode::SUCCESS)
}
