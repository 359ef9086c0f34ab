//! What the commands need from this machine: found, installed where we may, else named with the command that would.

use std::{
    fs,
    io::{ErrorKind, Write as _},
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

/// What ends TLS in front of a portal, where a test wants that.
///
/// # Errors
/// It is not here and cannot be installed.
pub fn socat() -> Result<PathBuf> {
    install_unless(|| which("socat"), "socat", &["socat"])
}

/// Node and npm for the browser tests.
///
/// # Errors
/// They are not here and cannot be installed.
pub fn npm() -> Result<PathBuf> {
    install_unless(|| which("node").and_then(|_| which("npm")), "Node.js with npm", &["nodejs", "npm"])
}

/// The browser tests' packages.
pub const BROWSER: &str = "end2end";
/// Those of the identity provider that people sign in by in tests.
pub const PROVIDER: &str = "end2end/cluster/services/oidc";

/// The packages of a folder, as its lock file has them.
///
/// # Errors
/// npm fails.
pub fn node_modules(workspace: &Workspace, folder: &str) -> Result<()> {
    let place = workspace.path(folder);
    let (lock, mark) = (place.join("package-lock.json"), place.join("node_modules/.berth-lock"));
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&mark).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    say(&format!("Installing npm's packages: npm ci (in {folder}/)"));
    let mut command = workspace.command(npm()?);
    // What the registry sends runs when a test says so: Debian's Chromium is used, and no package needs to build anything.
    command.current_dir(place).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(&mut command)?;
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
    let _idle = NoServices::new(Path::new(POLICY))?;
    run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    found().with_context(|| format!("{what} is still missing after `{install}`"))
}

/// What Debian asks before it starts a service (`man invoke-rc.d`).
const POLICY: &str = "/usr/sbin/policy-rc.d";
const FORBIDDEN: &str = "#!/bin/sh\n# Of Berth's `cargo xtask`, while it installs packages.\nexit 101\n";

/// While it lives, no package that is installed starts its service: we want programs, and run them ourselves.
struct NoServices(Option<PathBuf>);

impl NoServices {
    /// Says so in `policy`, unless the machine has one of its own there.
    fn new(policy: &Path) -> Result<Self> {
        match fs::File::create_new(policy) {
            Ok(mut file) => {
                file.write_all(FORBIDDEN.as_bytes())?;
                run(Command::new("chmod").arg("755").arg(policy))?;
                Ok(Self(Some(policy.to_owned())))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Ours is of a call that was interrupted.
                let ours = fs::read_to_string(policy).is_ok_and(|text| text == FORBIDDEN);
                Ok(Self(ours.then(|| policy.to_owned())))
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {}", policy.display())),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            let _ = fs::remove_file(policy);
        }
    }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn services_are_forbidden_as_long_as_it_lives() {
        let folder = std::env::temp_dir().join(format!("berth-policy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let policy = folder.join("policy-rc.d");
        let ours = NoServices::new(&policy).unwrap();
        assert_eq!(Command::new(&policy).status().unwrap().code(), Some(101));
        drop(ours);
        assert!(!policy.exists());

        for (found, stays) in [("#!/bin/sh\nexit 0\n", true), (FORBIDDEN, false)] {
            fs::write(&policy, found).unwrap();
            drop(NoServices::new(&policy).unwrap());
            assert_eq!(policy.exists(), stays, "{found}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
