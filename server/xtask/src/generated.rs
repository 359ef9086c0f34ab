//! Files that are committed but made from code.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    checks,
    shell::{output, run as run_command, step},
    workspace::{Profile, Workspace},
};

/// A file and the subcommand of `berth` that prints it.
const FILES: &[(&str, &[&str])] = &[
    ("server/api/openapi.json", &["openapi"]),
    ("server/docs/role-matrix.txt", &["role-matrix"]),
    ("server/docs/CONFIG.md", &["config-reference"]),
    ("deploy/crds/berth.dev.yaml", &["crds"]),
];

/// What `cargo xtask regenerate` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Change nothing; fail when a file is not what the code makes.
    #[arg(long)]
    check: bool,
    /// Make the README's pictures too, with a browser.
    #[arg(long, conflicts_with = "check")]
    screenshots: bool,
}

/// Writes them, or checks them.
///
/// # Errors
/// A file cannot be made or written, or is out of date (`--check`).
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    step("Building berth", || run_command(workspace.cargo().args(["build", "--workspace", "--bin", "berth"])))?;
    if options.check {
        check(workspace)?;
        return Ok(());
    }
    for (path, arguments) in FILES {
        let file = workspace.path(path);
        let wanted = made(workspace, arguments)?;
        if fs::read(&file).is_ok_and(|have| have == wanted) {
            eprintln!("  {path}: as it was");
            continue;
        }
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&file, wanted).with_context(|| format!("cannot write {path}"))?;
        eprintln!("  {path}: written");
    }
    if options.screenshots {
        step("Screenshots", || checks::screenshots(workspace))?;
    }
    Ok(())
}

/// Checks every file with a `berth` that is already built. The number of files.
///
/// # Errors
/// Files that are out of date, and what to do.
pub fn check(workspace: &Workspace) -> Result<usize> {
    let mut stale = Vec::new();
    for (path, arguments) in FILES {
        if !fs::read(workspace.path(path))
            .is_ok_and(|have| made(workspace, arguments).is_ok_and(|wanted| wanted == have))
        {
            stale.push(*path);
        }
    }
    if !stale.is_empty() {
        bail!(
            "not what the code makes: {}. Run `cargo xtask regenerate`, look at the difference and commit it",
            stale.join(", ")
        );
    }
    Ok(FILES.len())
}

fn made(workspace: &Workspace, arguments: &[&str]) -> Result<Vec<u8>> {
    output(workspace.command(workspace.berth(Profile::Dev)).args(arguments))
}
