//! `berth`: the portal, its embedded cluster and its tools. Wiring only; what it does stands in the crates below `server/`.
//! A library, so that tests start the portal whole in their own process.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agent;
mod audit_key;
mod commands;
pub mod config;
mod embedded;
mod hooks;
mod http;
mod key_file;
mod listen;
mod logging;
mod mail;
mod notices;
mod seal_key;
pub mod serve;

/// A self-service PaaS portal on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "berth", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the portal and the REST API.
    Serve(config::Flags),
    /// Serve the embedded Kubernetes API alone, over TLS on loopback.
    Sim(commands::sim::Args),
    /// Call a portal that cannot reach this cluster, and lead it to the API server.
    Agent(commands::agent::Args),
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
    Doctor(commands::doctor::Args),
    /// Keep people and tokens from the command line.
    #[command(subcommand)]
    Admin(commands::admin::Command),
    /// Check the audit log, and sign what it holds.
    #[command(subcommand)]
    Audit(commands::audit::Command),
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong, for people; the exit code is then 1.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(flags) => serve::run(config::load(&flags)?).await?,
        Command::Sim(args) => commands::sim::run(args).await?,
        Command::Agent(args) => commands::agent::run(args).await?,
        Command::Migrate(args) => return commands::database::migrate(args).await,
        Command::Openapi => println!("{}", commands::print::openapi()?),
        Command::RoleMatrix => print!("{}", berth_core::authz::matrix::print()),
        Command::Crds => print!("{}", commands::print::crds()?),
        Command::ConfigReference => print!("{}", config::reference()),
        Command::Doctor(args) => return commands::doctor::run(args).await,
        Command::Admin(command) => commands::admin::run(command).await?,
        Command::Audit(command) => return commands::audit::run(command).await,
    }
    Ok(ExitCode::SUCCESS)
}
