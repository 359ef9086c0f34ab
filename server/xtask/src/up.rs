//! `cargo xtask up`: from a checkout to a portal that one can use.

use std::process::Command;

use anyhow::Result;

use crate::{
    shell::{line, run as run_command, step},
    site,
    workspace::{Profile, Workspace},
};

const HINT: &str = "\
  Sign in with the name and the one-time password below, then try:
    - create a tenant and a namespace, and deploy the image nginx:1.27
    - deploy sim.berth.dev/crash or any image with the tag :missing, and see why it fails
    - scale it, change it, roll it back
  Ctrl-C stops it; what you made is kept in the data folder for the next time.
";

/// What `cargo xtask up` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Build for speed (takes longer).
    #[arg(long)]
    release: bool,
    /// Build, but do not start.
    #[arg(long)]
    build_only: bool,
    /// Given to `berth serve`, after `--`: `--listen 0.0.0.0:8080`, `--kubeconfig FILE`, `--database URL`.
    #[arg(last = true)]
    serve: Vec<String>,
}

/// Builds and starts the portal. Comes back only when it could not be started.
///
/// # Errors
/// Something is missing, a build step failed, or the portal cannot be started.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let profile = Profile::of(options.release);
    step("1/2 Server (the first time this takes minutes)", || {
        let mut cargo = workspace.cargo();
        // The whole workspace's features, so that `test` can use what is built here.
        run_command(cargo.args(["build", "--workspace", "--bin", "berth", "--profile", profile.name()]))
    })?;
    let site = step("2/2 Browser part", || site::build(workspace, profile))?;

    let mut serve = Command::new(workspace.berth(profile));
    serve.arg("serve").arg("--site").arg(&site);
    let given = |flag: &str| options.serve.iter().any(|arg| arg == flag || arg.starts_with(&format!("{flag}=")));
    if !given("--sim") && !given("--kubeconfig") {
        serve.arg("--sim");
    }
    if !given("--data") {
        serve.arg("--data").arg(workspace.target("data"));
    }
    serve.args(&options.serve);
    if options.build_only {
        println!("{}", line(&serve));
        return Ok(());
    }
    eprintln!("\n{HINT}");
    start(serve)
}

/// Becomes the server, so that signals reach it alone and its exit code is ours.
#[cfg(unix)]
fn start(mut serve: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let error = serve.exec();
    Err(anyhow::Error::new(error).context(format!("cannot start `{}`", line(&serve))))
}

#[cfg(not(unix))]
fn start(mut serve: Command) -> Result<()> {
    run_command(&mut serve)
}
