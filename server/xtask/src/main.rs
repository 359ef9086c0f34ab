//! The project's own commands: `cargo xtask up | test | regenerate | bench | site | image | cluster | parity`.
//!
//! Each says what it is doing, checks first what is missing, and names the command that would install it.

mod bench;
mod checks;
mod cluster;
mod generated;
mod image;
mod layers;
mod minify;
mod needs;
mod parity;
mod sbom;
mod shell;
mod site;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{shell::NotHere, workspace::Workspace};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Berth's own commands", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the portal and starts it on an embedded database and an embedded cluster.
    Up(up::Options),
    /// Runs every check: format, lints, layers, generated files, unit, integration, both databases, browser.
    Test(checks::Options),
    /// Writes the committed files that are made from code.
    Regenerate(generated::Options),
    /// Measures the project's figures on a release build and prints them as a table.
    Bench(bench::Options),
    /// Builds the browser part alone and prints the folder that `berth serve --site` reads.
    Site(site::Options),
    /// Builds the container image, without Docker, and its bill of materials.
    Image(image::Options),
    /// A real Kubernetes of three nodes on this machine (Linux, root), to run tests on.
    Cluster(cluster::Options),
    /// Compares the embedded cluster with what a real one answered, or asks the real one anew.
    Parity(parity::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = Workspace::find().and_then(|workspace| match cli.command {
        Command::Up(options) => up::run(&workspace, &options),
        Command::Test(options) => checks::run(&workspace, &options),
        Command::Regenerate(options) => generated::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Site(options) => site::run(&workspace, &options),
        Command::Image(options) => image::run(&workspace, &options),
        Command::Cluster(options) => cluster::run(&workspace, &options),
        Command::Parity(options) => parity::run(&workspace, &options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<NotHere>() => {
            eprintln!("not here: {error}");
            ExitCode::from(NotHere::EXIT)
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
