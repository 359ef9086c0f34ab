//! `cargo xtask parity`: the embedded cluster against the real one (`server/sim/docs/parity.md`).

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    cluster::{self, Addon},
    shell,
    workspace::Workspace,
};

/// What `cargo xtask parity` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Only conversations whose name has this in it.
    #[arg(long, global = true, default_value = "")]
    only: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Has the conversations with a real cluster (started if it does not run) and keeps its answers in the repository.
    Record {
        /// Which cluster.
        #[arg(long, default_value = "berth")]
        name: String,
    },
    /// Has them with the embedded cluster and compares.
    Check {
        /// Where to write every difference.
        #[arg(long)]
        report: Option<PathBuf>,
    },
}

/// Does it.
///
/// # Errors
/// [`NotHere`](crate::shell::NotHere) where no real cluster can run; otherwise what went wrong or differs.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut test = workspace.command("cargo");
    test.args(["test", "--package", "berth-sim", "--test", "parity", "--", "--nocapture"]);
    test.env("BERTH_PARITY_ONLY", &options.only);
    match &options.command {
        Command::Record { name } => {
            let cluster = cluster::testbed(workspace, name, &[Addon::Metrics])?;
            test.env("BERTH_PARITY_RECORD", cluster.kubeconfig);
            test.env("BERTH_PARITY_KUBECTL", cluster.programs.join("kubectl"));
        }
        Command::Check { report: Some(report) } => {
            test.env("BERTH_PARITY_REPORT", std::path::absolute(report)?);
        }
        Command::Check { report: None } => {}
    }
    if options.only.is_empty() {
        test.env_remove("BERTH_PARITY_ONLY");
    }
    shell::run(&mut test)
}
