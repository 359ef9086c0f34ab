//! What a cluster has beside Kubernetes itself, started by name: each a Go program, an image made of it, and its objects.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::json;

use crate::{
    cluster::{
        binary::{self, cache, read, whole},
        images::{self, Image},
        kubectl,
        layout::Cluster,
    },
    shell::{run, step},
    workspace::Workspace,
};

/// An add-on. Its name is its folder's below `end2end/cluster/addons`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Addon {
    /// Names of Services: CoreDNS.
    Dns,
    /// `kubectl top`, autoscaling: metrics-server.
    Metrics,
    /// Ingress over HTTP: skipper.
    Ingress,
    /// A default StorageClass: local-path.
    Storage,
}

impl Addon {
    fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Metrics => "metrics",
            Self::Ingress => "ingress",
            Self::Storage => "storage",
        }
    }

    /// What Go builds: ours, or the program as its own module has it.
    fn package(self) -> &'static str {
        match self {
            Self::Dns => ".",
            Self::Metrics => "sigs.k8s.io/metrics-server/cmd/metrics-server",
            Self::Ingress => "github.com/zalando/skipper/cmd/skipper",
            Self::Storage => "github.com/rancher/local-path-provisioner",
        }
    }

    /// Whose being ready means that the add-on is: namespace and Deployment.
    fn deployment(self) -> (&'static str, &'static str) {
        match self {
            Self::Dns => ("kube-system", "coredns"),
            Self::Metrics => ("kube-system", "metrics-server"),
            Self::Ingress => ("ingress", "skipper"),
            Self::Storage => ("local-path-storage", "local-path-provisioner"),
        }
    }

    fn image(self) -> String {
        format!("localhost/berth/{}:1", self.name())
    }
}

/// Builds what they need, unless that is done.
///
/// # Errors
/// Go fails.
pub fn build(workspace: &Workspace, all: &[Addon]) -> Result<()> {
    all.iter().try_for_each(|addon| image(workspace, *addon).map(drop))
}

/// Starts them and waits until they are ready.
///
/// # Errors
/// One does not come up.
pub fn start(workspace: &Workspace, cluster: &Cluster, all: &[Addon]) -> Result<()> {
    for addon in all {
        images::spread(cluster, &image(workspace, *addon)?)?;
        let objects = workspace.path("end2end/cluster/addons").join(addon.name()).join("objects.yaml");
        let objects = fs::read_to_string(&objects).with_context(|| format!("cannot read {}", objects.display()))?;
        kubectl::apply(cluster, &filled(&objects, *addon, cluster))?;
    }
    for addon in all {
        step(&format!("Waiting for the add-on {}", addon.name()), || ready(cluster, *addon))?;
    }
    Ok(())
}

fn ready(cluster: &Cluster, addon: Addon) -> Result<()> {
    let (namespace, deployment) = addon.deployment();
    let object = format!("deployment/{deployment}");
    let mut rollout = kubectl::kubectl(cluster);
    rollout.args(["rollout", "status", "--timeout=180s", "--namespace", namespace, &object]);
    if let Err(error) = run(rollout.stdout(Stdio::null())) {
        // Why, most likely.
        run(kubectl::kubectl(cluster).args(["logs", "--tail=5", "--namespace", namespace, &object]))?;
        return Err(error);
    }
    if addon == Addon::Metrics {
        // Its Deployment is ready before the API server passes requests on.
        let mut wait = kubectl::kubectl(cluster);
        wait.args(["wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1beta1.metrics.k8s.io"]);
        run(wait.stdout(Stdio::null()))?;
    }
    Ok(())
}

fn filled(objects: &str, addon: Addon, cluster: &Cluster) -> String {
    let values = [("${IMAGE}", addon.image()), ("${DNS}", cluster.service(10)), ("${INGRESS}", cluster.service(80))];
    values.iter().fold(objects.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The add-on's image: its program and nothing else.
fn image(workspace: &Workspace, addon: Addon) -> Result<std::path::PathBuf> {
    let sources = workspace.path("end2end/cluster/addons").join(addon.name());
    let mut parts = vec![binary::go_version()?, read(&sources.join("go.mod"))?, read(&sources.join("go.sum"))?];
    if sources.join("main.go").exists() {
        parts.push(read(&sources.join("main.go"))?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let folder = cache(&format!("addon-{}", addon.name()), &parts)?;
    if !folder.is_dir() {
        step(&format!("Building the add-on {} (the first time this takes minutes)", addon.name()), || {
            whole(&folder, |folder| pack(addon, &sources, folder))
        })?;
    }
    Ok(folder.join("image.tar"))
}

fn pack(addon: Addon, sources: &Path, folder: &Path) -> Result<()> {
    let work = folder.join("work");
    let program = work.join("program");
    fs::create_dir_all(&program)?;
    binary::go_build(sources, addon.package(), &program.join(addon.name()), "-s -w")?;
    let config = json!({"Entrypoint": [format!("/{}", addon.name())], "Env": ["PATH=/"]});
    images::pack(&[Image { name: addon.image(), layers: vec!["program"], config }], &work, &folder.join("image.tar"))?;
    fs::remove_dir_all(&work).context("cannot clean up")
}
