//! `cargo xtask image`: Berth as a container image, made without Docker, and beside it what is in it.
//!
//! The image has the binary and what browsers load, nothing else: no shell, no libc, no package to keep up to date.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    cluster::images::{self, Image},
    needs, sbom,
    shell::{run as run_command, say, step},
    site,
    workspace::{Profile, Workspace},
};

/// Berth's version, and so the image's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What Berth is called where images are kept.
const NAME: &str = "berth";
/// Nobody in particular, but not root: distroless images have the same.
const USER: &str = "65532:65532";

/// What `cargo xtask image` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Build for speed (takes longer): for what is shipped.
    #[arg(long)]
    release: bool,
    /// The archive, as `docker load`, `podman load`, `skopeo copy docker-archive:…` and `ctr images import` read it.
    #[arg(long, value_name = "FILE.tar")]
    output: Option<PathBuf>,
}

/// Builds it and prints where it is.
///
/// # Errors
/// Something is missing, or a build step failed.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let default = || workspace.target(&format!("image/{NAME}-{VERSION}.tar"));
    let archive = options.output.clone().unwrap_or_else(default);
    build(workspace, Profile::of(options.release), &[VERSION], &archive)?;
    println!("{}", archive.display());
    Ok(())
}

/// Builds the image, under one or more tags, and its bill of materials beside it.
///
/// # Errors
/// Something is missing, or a build step failed.
pub fn build(workspace: &Workspace, profile: Profile, tags: &[&str], archive: &Path) -> Result<()> {
    let target = target();
    needs::rust_target(&target)?;
    // SQLite, ring and mimalloc are C.
    needs::install_unless(|| crate::shell::which("musl-gcc"), "A C compiler for musl", &["musl-tools"])?;
    needs::install_unless(|| crate::shell::which("strip"), "binutils", &["binutils"])?;
    let program = step("1/3 Server, statically linked (the first time this takes minutes)", || {
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--package", "berth", "--bin", "berth", "--target", &target]);
        run_command(cargo.args(["--profile", profile.name()]))?;
        Ok(workspace.target(&format!("{target}/{}/berth", profile.folder())))
    })?;
    let site = step("2/3 Browser part", || site::build(workspace, profile))?;
    step("3/3 Image and bill of materials", || {
        let folder = archive.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), fs::create_dir_all).with_context(|| format!("cannot write {}", archive.display()))?;
        let work = workspace.target("image/work");
        pack(&program, &site, tags, &work, archive)?;
        let bill = archive.with_extension("cdx.json");
        let crates = sbom::write(workspace, "berth", VERSION, &target, &bill)?;
        let size = fs::metadata(archive)?.len().div_ceil(1_000_000);
        say(&format!("{NAME}:{}, {size} MB; {crates} crates, named in {}", tags.join(","), bill.display()));
        Ok(())
    })
}

/// Rust's target for a binary that needs nothing of the system's.
fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

fn pack(program: &Path, site: &Path, tags: &[&str], work: &Path, archive: &Path) -> Result<()> {
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot empty {}", work.display()))?;
    }
    let (program_layer, site_layer) = (work.join("program"), work.join("site/site"));
    fs::create_dir_all(&program_layer)?;
    fs::create_dir_all(&site_layer)?;
    let stripped = program_layer.join("berth");
    run_command(Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(program))?;
    fs::set_permissions(&stripped, fs::Permissions::from_mode(0o755))?;
    for file in fs::read_dir(site).with_context(|| format!("cannot read {}", site.display()))? {
        let file = file?;
        let to = site_layer.join(file.file_name());
        fs::copy(file.path(), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o644))?;
    }
    let config = json!({
        "User": USER,
        "Entrypoint": ["/berth"],
        "Cmd": ["serve"],
        "Env": ["BERTH_SITE=/site", "BERTH_LISTEN=0.0.0.0:8080"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {
            "org.opencontainers.image.title": "Berth",
            "org.opencontainers.image.version": VERSION,
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
        },
    });
    let image =
        |tag: &&str| Image { name: format!("{NAME}:{tag}"), layers: vec!["program", "site"], config: config.clone() };
    images::pack(&tags.iter().map(image).collect::<Vec<_>>(), work, archive)?;
    fs::remove_dir_all(work).context("cannot clean up")
}
