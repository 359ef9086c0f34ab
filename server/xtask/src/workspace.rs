//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// Cargo's profile for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

impl Profile {
    /// As given on the command line.
    pub fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    /// Its folder below the target directory.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// Its name for `cargo --profile`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// The checkout and the build directory.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    ///
    /// # Errors
    /// The checkout has moved since.
    pub fn find() -> Result<Self> {
        let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .filter(|root| root.join("Cargo.lock").is_file())
            .with_context(|| format!("no workspace above {manifest}: run this as `cargo xtask`"))?
            .to_owned();
        // As cargo does: relative to where it was called.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => env::current_dir()?.join(folder),
            _ => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A path in the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path in the build directory.
    pub fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// The binary `berth`.
    pub fn berth(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.folder()).join(format!("berth{}", env::consts::EXE_SUFFIX))
    }

    /// A command that runs in the checkout's root.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Cargo, the same one that runs us.
    pub fn cargo(&self) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Set by `cargo run` for us: they would make build scripts of others believe that they changed.
        for (name, _) in env::vars_os() {
            let ours = |prefix: &str| name.to_str().is_some_and(|name| name.starts_with(prefix));
            if ours("CARGO_PKG_") || ours("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}
