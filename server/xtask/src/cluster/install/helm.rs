//! Helm's own command line, built from its Go module once a version, and the release that it installs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    cluster::{binary::go_program, layout::Cluster},
    shell::{line, run},
    workspace::Workspace,
};

/// Its Go module.
const SOURCES: &str = "end2end/cluster/tools/helm";

/// The program.
///
/// # Errors
/// Go fails.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    let doing = "Building Helm from its Go module (the first time this takes minutes)";
    let folder = go_program("helm", doing, &workspace.path(SOURCES), "helm.sh/helm/v4/cmd/helm", "helm")?;
    Ok(folder.join("helm"))
}

/// A chart under one name in one namespace of a cluster.
pub struct Release {
    program: PathBuf,
    chart: PathBuf,
    kubeconfig: PathBuf,
    /// Where Helm keeps its own files, and values are handed to it.
    folder: PathBuf,
    /// The release's name.
    pub name: &'static str,
    /// Where it is installed.
    pub namespace: &'static str,
}

impl Release {
    /// Of the chart in `chart`.
    ///
    /// # Errors
    /// Helm cannot be built, or the cluster's folder not be written to.
    pub fn new(
        workspace: &Workspace,
        cluster: &Cluster,
        chart: &str,
        name: &'static str,
        namespace: &'static str,
    ) -> Result<Self> {
        let folder = cluster.path("helm");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let (program, chart) = (build(workspace)?, workspace.path(chart));
        Ok(Self { program, chart, kubeconfig: cluster.kubeconfig(), folder, name, namespace })
    }

    fn helm(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", self.namespace]);
        // The caller's own Helm and clusters are none of ours.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("HELM_") || name == "KUBECONFIG") {
                command.env_remove(name);
            }
        }
        for (name, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(name, self.folder.join(folder));
        }
        command
    }

    fn values(&self, values: &Value) -> Result<PathBuf> {
        // Every JSON is YAML.
        let file = self.folder.join("values.yaml");
        fs::write(&file, values.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// `helm lint`, in which a warning is an error.
    ///
    /// # Errors
    /// It finds something.
    pub fn lint(&self, values: &Value) -> Result<()> {
        let values = self.values(values)?;
        run(self.helm(&["lint", "--strict", "--quiet"]).arg(&self.chart).arg("--values").arg(values))
    }

    /// What one of the chart's templates makes.
    ///
    /// # Errors
    /// Helm refuses the values.
    pub fn template(&self, values: &Value, file: &str) -> Result<String> {
        let mut helm = self.helm(&["template", self.name]);
        succeed(helm.arg(&self.chart).arg("--values").arg(self.values(values)?).args(["--show-only", file]))
    }

    /// `helm VERB`, waiting until all is ready.
    ///
    /// # Errors
    /// It fails, with what Helm says.
    pub fn deploy(&self, verb: &str, values: &Value) -> Result<()> {
        let mut helm = self.helm(&[verb, self.name]);
        helm.arg(&self.chart).arg("--values").arg(self.values(values)?).args(["--wait", "--timeout", "8m"]);
        succeed(&mut helm).map(drop)
    }

    /// What Helm says against a verb with these values; nothing when it takes them.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn refusal(&self, verb: &str, values: &Value) -> Result<Option<String>> {
        let mut helm = self.helm(&[verb, self.name]);
        let output = said(helm.arg(&self.chart).arg("--values").arg(self.values(values)?))?;
        Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Whether Helm has a record of it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn is_installed(&self) -> Result<bool> {
        Ok(said(&mut self.helm(&["status", self.name]))?.status.success())
    }

    /// `helm uninstall`, waiting until all is gone.
    ///
    /// # Errors
    /// It fails.
    pub fn uninstall(&self) -> Result<()> {
        succeed(&mut self.helm(&["uninstall", self.name, "--wait", "--timeout", "8m"])).map(drop)
    }
}

fn said(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", line(command)))
}

fn succeed(command: &mut Command) -> Result<String> {
    let output = said(command)?;
    if !output.status.success() {
        bail!("`{}`: {}", short(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As one would type it, without the folders.
fn short(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let last = |word: &std::ffi::OsStr| Path::new(word).file_name().unwrap_or(word).to_string_lossy().into_owned();
    words.map(last).collect::<Vec<_>>().join(" ")
}
