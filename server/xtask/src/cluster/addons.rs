//! What a cluster has beside Kubernetes itself, started by name: each is Go programs, an image made of them, and objects.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::json;

use crate::{
    cluster::{
        binary::{self, cache, whole},
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
    /// NetworkPolicies are enforced: a fixture of ours.
    Policy,
}

impl Addon {
    fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Metrics => "metrics",
            Self::Ingress => "ingress",
            Self::Storage => "storage",
            Self::Policy => "policy",
        }
    }

    /// What Go builds, ours or others', and what it is called. The image starts the first.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Dns => &[("dns", ".")],
            Self::Metrics => &[("metrics", "sigs.k8s.io/metrics-server/cmd/metrics-server")],
            Self::Ingress => &[("ingress", "github.com/zalando/skipper/cmd/skipper")],
            Self::Storage => &[("storage", "github.com/rancher/local-path-provisioner")],
            Self::Policy => &[("policy", ".")],
        }
    }

    /// Whose being ready means that the add-on is, in which namespace.
    fn workloads(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Dns => ("kube-system", &["deployment/coredns"]),
            Self::Metrics => ("kube-system", &["deployment/metrics-server"]),
            Self::Ingress => ("ingress", &["deployment/skipper"]),
            Self::Storage => ("local-path-storage", &["deployment/local-path-provisioner"]),
            Self::Policy => ("kube-system", &["daemonset/network-policy"]),
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
    let (namespace, workloads) = addon.workloads();
    for workload in workloads {
        let mut rollout = kubectl::kubectl(cluster);
        rollout.args(["rollout", "status", "--timeout=180s", "--namespace", namespace, workload]);
        if let Err(error) = run(rollout.stdout(Stdio::null())) {
            // Why, most likely.
            let mut logs = kubectl::kubectl(cluster);
            run(logs.args(["logs", "--tail=5", "--all-containers", "--namespace", namespace, workload]))?;
            return Err(error);
        }
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

/// The add-on's image: its programs and nothing else.
fn image(workspace: &Workspace, addon: Addon) -> Result<PathBuf> {
    let sources = workspace.path("end2end/cluster/addons").join(addon.name());
    let programs = format!("{:?}", addon.programs());
    let folder = cache(
        &format!("addon-{}", addon.name()),
        &[&binary::go_version()?, programs.as_bytes(), &binary::sources(&sources)?],
    )?;
    if !folder.is_dir() {
        step(&format!("Building the add-on {} (the first time this takes minutes)", addon.name()), || {
            whole(&folder, |folder| pack(addon, &sources, folder))
        })?;
    }
    Ok(folder.join("image.tar"))
}

fn pack(addon: Addon, sources: &Path, folder: &Path) -> Result<()> {
    let work = folder.join("work");
    let layer = work.join("programs");
    fs::create_dir_all(&layer)?;
    if addon.programs().iter().any(|(_, package)| *package == ".") {
        binary::go_test(sources)?;
    }
    for (name, package) in addon.programs() {
        binary::go_build(sources, package, &layer.join(name), "-s -w")?;
    }
    let config = json!({"Entrypoint": [format!("/{}", addon.programs()[0].0)], "Env": ["PATH=/"]});
    images::pack(&[Image { name: addon.image(), layers: vec!["programs"], config }], &work, &folder.join("image.tar"))?;
    fs::remove_dir_all(&work).context("cannot clean up")
}
