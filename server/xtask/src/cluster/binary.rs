//! The Go programs: built once a version, kept outside the checkout.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    shell::{output, run, say, step},
    workspace::Workspace,
};

/// Where the Go sources are.
pub const SOURCES: &str = "end2end/cluster";
/// What the one binary acts as.
const PROGRAMS: [&str; 7] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"];

/// Waits until no other call builds, starts or stops a cluster. It holds until the value is dropped.
///
/// # Errors
/// The cache cannot be made.
pub fn alone() -> Result<fs::File> {
    let folder = root()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = fs::File::open(&folder)?;
    if lock.try_lock().is_err() {
        say("Waiting for another `cargo xtask cluster`");
        lock.lock()?;
    }
    Ok(lock)
}

/// Where all that is built is kept.
///
/// # Errors
/// There is no home.
pub fn root() -> Result<PathBuf> {
    let root = env::var_os("BERTH_CACHE").map(PathBuf::from);
    let root = root.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache/berth")));
    Ok(root.context("neither BERTH_CACHE nor HOME is set")?.join("cluster"))
}

/// The folder that keeps what is made from `made_from`: made now, unless it is there.
///
/// # Errors
/// Those of `make`.
pub fn kept(what: &str, made_from: &[&[u8]], doing: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache(what, made_from)?;
    if !folder.is_dir() {
        step(doing, || whole(&folder, make))?;
    }
    Ok(folder)
}

fn cache(what: &str, made_from: &[&[u8]]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for part in made_from {
        hash.update(u64::try_from(part.len())?.to_le_bytes());
        hash.update(part);
    }
    let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(root()?.join(format!("{what}-{digest}")))
}

/// Kubernetes' programs: the folder that has them.
///
/// # Errors
/// Go fails.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    let Kubernetes { version, made_from } = Kubernetes::of(workspace)?;
    let doing = format!("Building Kubernetes {version} from its Go modules (the first time this takes minutes)");
    kept(&format!("kubernetes-{version}"), &made_from.each_ref().map(Vec::as_slice), &doing, |folder| {
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let package = "-X k8s.io/component-base/version";
        let flags = format!(
            "-s -w {package}.gitVersion={version} {package}.gitMajor={major} {package}.gitMinor={minor} {package}.gitTreeState=clean"
        );
        go_build(&workspace.path(SOURCES), ".", &folder.join("kubernetes"), &flags)?;
        for program in PROGRAMS {
            std::os::unix::fs::symlink("kubernetes", folder.join(program))?;
        }
        Ok(())
    })
}

/// Which Kubernetes it is, and what its programs are made from.
struct Kubernetes {
    version: String,
    made_from: [Vec<u8>; 4],
}

impl Kubernetes {
    fn of(workspace: &Workspace) -> Result<Self> {
        let source = |name: &str| read(&workspace.path(SOURCES).join(name));
        let module = source("go.mod")?;
        let version = version(&String::from_utf8_lossy(&module)).map(str::to_owned);
        let version = version.context("go.mod names no version of k8s.io/kubernetes")?;
        Ok(Self { version, made_from: [go_version()?, module, source("go.sum")?, source("main.go")?] })
    }
}

/// A program that the module in `module` has or names, kept as `what`.
///
/// # Errors
/// Go fails.
pub fn go_program(what: &str, doing: &str, module: &Path, package: &str, program: &str) -> Result<PathBuf> {
    let mut made_from = vec![go_version()?, read(&module.join("go.mod"))?, read(&module.join("go.sum"))?];
    if module.join("main.go").exists() {
        made_from.push(read(&module.join("main.go"))?);
    }
    let made_from: Vec<_> = made_from.iter().map(Vec::as_slice).collect();
    kept(what, &made_from, doing, |folder| go_build(module, package, &folder.join(program), "-s -w"))
}

/// What makes the same sources another program.
///
/// # Errors
/// There is no Go.
pub fn go_version() -> Result<Vec<u8>> {
    output(Command::new("go").args(["env", "GOVERSION"]))
}

/// Builds a package that the module in `module` has or names.
///
/// # Errors
/// Go fails.
pub fn go_build(module: &Path, package: &str, to: &Path, flags: &str) -> Result<()> {
    let mut go = Command::new("go");
    go.args(["build", "-buildvcs=false", "-mod=readonly", "-ldflags", flags, "-o"]).arg(to).arg(package);
    // Static: it runs in an image with nothing else in it, and needs no C compiler.
    run(go.current_dir(module).env("CGO_ENABLED", "0"))
}

/// Where the files are of a module that another one needs.
///
/// # Errors
/// Go fails.
pub fn go_module(of: &Path, module: &str) -> Result<PathBuf> {
    let mut go = Command::new("go");
    let folder = output(go.args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]).current_dir(of))?;
    Ok(PathBuf::from(String::from_utf8(folder)?.trim()))
}

/// Runs a module's own tests.
///
/// # Errors
/// One fails.
pub fn go_test(module: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.args(["test", "-mod=readonly", "./..."]).current_dir(module).env("CGO_ENABLED", "0");
    run(go.stdout(std::io::stderr())).with_context(|| format!("the tests in {} fail", module.display()))
}

/// Makes a folder that is there whole or not at all.
///
/// # Errors
/// Those of `make`.
fn whole(folder: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = folder.with_extension(format!("unfinished-{}", std::process::id()));
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;
    let made = make(&unfinished);
    // Another call may have been quicker: then its folder is as good.
    if made.is_err() || fs::rename(&unfinished, folder).is_err() {
        fs::remove_dir_all(&unfinished)?;
    }
    made
}

/// What Go makes a program of, in a folder: its sources with their names.
///
/// # Errors
/// One cannot be read.
pub fn sources(folder: &Path) -> Result<Vec<u8>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut all = Vec::new();
    let of_go =
        |file: &&PathBuf| file.extension().is_some_and(|it| ["go", "mod", "sum"].iter().any(|ours| it == *ours));
    for file in files.iter().filter(of_go) {
        let (name, content) = (file.file_name().unwrap_or_default(), read(file)?);
        all.extend(format!("{}\0{}\0", name.to_string_lossy(), content.len()).into_bytes());
        all.extend(content);
    }
    Ok(all)
}

/// A file that something is made from.
///
/// # Errors
/// It cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// `v1.35.4`, from go.mod.
fn version(module: &str) -> Option<&str> {
    module
        .lines()
        .find_map(|line| line.trim_start_matches("require ").trim().strip_prefix("k8s.io/kubernetes "))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_module() {
        assert_eq!(version("module x\n\nrequire k8s.io/kubernetes v1.35.4\n"), Some("v1.35.4"));
        assert_eq!(version("require (\n\tk8s.io/kubernetes v1.36.0\n)\n"), Some("v1.36.0"));
        assert_eq!(version("require k8s.io/kubectl v0.35.4\n"), None);
    }
}
