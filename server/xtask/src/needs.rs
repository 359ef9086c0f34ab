//! What the commands need from this machine: found, installed where we may, else named with the command that would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    shell::{output, run, say, which},
    workspace::Workspace,
};

const WASM: &str = "wasm32-unknown-unknown";

/// Rust's target for browsers; added when missing.
///
/// # Errors
/// It is missing and rustup cannot add it.
pub fn wasm_target() -> Result<()> {
    rust_target(WASM).context("Debian has it as a package, too: `apt-get install libstd-rust-dev-wasm32`")
}

/// A target of Rust's; added when missing.
///
/// # Errors
/// It is missing and rustup cannot add it.
pub fn rust_target(target: &str) -> Result<()> {
    let sysroot = String::from_utf8(output(Command::new("rustc").args(["--print", "sysroot"]))?)?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    if which("rustup").is_none() {
        bail!(
            "Rust's target {target} is missing: install it with your distribution's package, or use rustup (`rustup target add {target}`)"
        );
    }
    say(&format!("Adding a target of Rust's: rustup target add {target}"));
    run(Command::new("rustup").args(["target", "add", target]))
        .with_context(|| format!("add it by hand, then try again: rustup target add {target}"))
}

/// A browser for the browser tests.
///
/// # Errors
/// There is none and it cannot be installed.
pub fn chromium() -> Result<PathBuf> {
    let found = || {
        std::env::var_os("BERTH_CHROMIUM")
            .map(PathBuf::from)
            .or_else(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(which))
    };
    install_unless(found, "Chromium", &["chromium", "fonts-noto-cjk"])
}

/// PostgreSQL's server programs for the store's tests.
///
/// # Errors
/// They are not here and cannot be installed.
pub fn postgres() -> Result<PathBuf> {
    let found = || {
        let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let debian = debian.map(|entry| entry.path().join("bin/initdb")).find(|file| file.is_file());
        debian.or_else(|| which("initdb"))
    };
    install_unless(found, "PostgreSQL", &["postgresql"])
}

/// Node and npm for the browser tests.
///
/// # Errors
/// They are not here and cannot be installed.
pub fn npm() -> Result<PathBuf> {
    install_unless(|| which("node").and_then(|_| which("npm")), "Node.js with npm", &["nodejs", "npm"])
}

/// The browser tests' packages, as their lock file has them.
///
/// # Errors
/// npm fails.
pub fn node_modules(workspace: &Workspace) -> Result<()> {
    let lock = workspace.path("end2end/package-lock.json");
    let mark = workspace.path("end2end/node_modules/.berth-lock");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&mark).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    say("Installing the browser tests' packages: npm ci (in end2end/)");
    let mut command = workspace.command(npm()?);
    command.current_dir(workspace.path("end2end")).args(["ci", "--no-audit", "--no-fund"]);
    // Debian's Chromium is used: nothing but packages comes from the registry.
    run(command.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))?;
    fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))
}

/// Finds something, or installs Debian's packages for it when we are root there.
///
/// # Errors
/// It cannot be installed: the message has the command that would.
pub fn install_unless(found: impl Fn() -> Option<PathBuf>, what: &str, packages: &[&str]) -> Result<PathBuf> {
    if let Some(path) = found() {
        return Ok(path);
    }
    let install = format!("apt-get install --yes {}", packages.join(" "));
    if which("apt-get").is_none() || !as_root() {
        bail!("{what} is missing. Install it, then try again; on Debian or Ubuntu: sudo {install}");
    }
    say(&format!("{what} is missing: {install}"));
    run(Command::new("apt-get").args(["--quiet=2", "update"]))?;
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages);
    run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    found().with_context(|| format!("{what} is still missing after `{install}`"))
}

/// Whether we are root.
#[cfg(unix)]
pub fn as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Whether we are root.
#[cfg(not(unix))]
pub fn as_root() -> bool {
    false
}
