//! What a cluster has beside Kubernetes itself, started by name: each is Go programs, an image made of them, and objects.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::json;

use crate::{
    cluster::{
        binary,
        blanks::filled,
        images::{self, Image},
        kubectl,
        layout::Cluster,
        node,
    },
    needs,
    shell::{NotHere, run, step, which},
    workspace::Workspace,
};

/// Changes when what is packed changes, but none of its sources.
const RECIPE: &str = "1";
/// In an add-on's folder of the cache.
const IMAGE: &str = "image.tar";
const PROGRAMS: &str = "programs";
const KINDS: &str = "kinds.yaml";

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
    /// Volumes that grow, snapshots and clones: a CSI driver of ours with the usual programs beside it.
    Csi,
}

impl Addon {
    fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Metrics => "metrics",
            Self::Ingress => "ingress",
            Self::Storage => "storage",
            Self::Policy => "policy",
            Self::Csi => "csi",
        }
    }

    /// What Go builds, ours or others', and what it is called. The first is the image; the others are mounted from this
    /// machine, as they are large: an image is copied to every node.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Dns => &[("dns", ".")],
            Self::Metrics => &[("metrics", "sigs.k8s.io/metrics-server/cmd/metrics-server")],
            Self::Ingress => &[("ingress", "github.com/zalando/skipper/cmd/skipper")],
            Self::Storage => &[("storage", "github.com/rancher/local-path-provisioner")],
            Self::Policy => &[("policy", ".")],
            Self::Csi => &[
                ("csi", "."),
                ("provisioner", "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"),
                ("resizer", "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer"),
                ("snapshotter", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"),
                ("snapshot-controller", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"),
            ],
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
            Self::Csi => ("csi-btrfs", &["daemonset/csi-btrfs-node", "deployment/csi-btrfs-controller"]),
        }
    }

    /// The kinds of objects that it brings: a module that has them, and the files in it.
    fn kinds(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Csi => Some((
                "github.com/kubernetes-csi/external-snapshotter/client/v8",
                &[
                    "config/crd/snapshot.storage.k8s.io_volumesnapshotclasses.yaml",
                    "config/crd/snapshot.storage.k8s.io_volumesnapshotcontents.yaml",
                    "config/crd/snapshot.storage.k8s.io_volumesnapshots.yaml",
                ],
            )),
            _ => None,
        }
    }

    /// What must hold besides, as `kubectl wait` says it.
    fn conditions(self) -> &'static [&'static str] {
        match self {
            // Its Deployment is ready before the API server passes requests on.
            Self::Metrics => &["--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io"],
            // Its pods run before the kubelets know the driver.
            Self::Csi => &["--for=jsonpath={.spec.drivers[*].name}=btrfs.csi.berth.dev", "csinode", "--all"],
            _ => &[],
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
    all.iter().try_for_each(|addon| folder(workspace, *addon).map(drop))
}

/// What the CSI driver makes its disks with.
fn disks() -> Result<()> {
    // Where they are modules of the kernel, it knows them only then; where they are not, there may be no modprobe.
    let _ = Command::new("modprobe").args(["--quiet", "--all", "btrfs", "xfs", "loop"]).status();
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| known.lines().any(|line| line.trim_start_matches("nodev").trim() == name);
    if !has("btrfs") || !has("xfs") || !Path::new("/dev/loop-control").exists() {
        return Err(NotHere("the add-on csi needs a kernel with btrfs, xfs and loop devices".to_owned()).into());
    }
    needs::install_unless(|| which("mkfs.btrfs"), "btrfs' tools", &["btrfs-progs"])?;
    needs::install_unless(|| which("mkfs.xfs").and_then(|_| which("xfs_growfs")), "XFS' tools", &["xfsprogs"])?;
    needs::install_unless(|| which("losetup").and_then(|_| which("mount")), "losetup", &["mount"]).map(drop)
}

/// Starts them and waits until they are ready.
///
/// # Errors
/// One does not come up.
pub fn start(workspace: &Workspace, cluster: &Cluster, all: &[Addon]) -> Result<()> {
    for addon in all {
        let folder = folder(workspace, *addon)?;
        images::spread(cluster, &folder.join(IMAGE))?;
        if addon.kinds().is_some() {
            let kinds = folder.join(KINDS);
            kubectl::apply(cluster, &String::from_utf8(binary::read(&kinds)?)?)?;
            let kinds = kinds.to_string_lossy();
            wait(cluster, &["--for=condition=Established", "--filename", &kinds])?;
        }
        let objects = workspace.path("end2end/cluster/addons").join(addon.name()).join("objects.yaml");
        let objects = fs::read_to_string(&objects).with_context(|| format!("cannot read {}", objects.display()))?;
        let values = [
            ("IMAGE", addon.image()),
            ("PROGRAMS", node::seen(&folder.join(PROGRAMS))?),
            ("DNS", cluster.service(10)),
            ("INGRESS", cluster.service(80)),
        ];
        kubectl::apply(cluster, &filled(&objects, &values)?)?;
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
    if addon.conditions().is_empty() {
        return Ok(());
    }
    wait(cluster, addon.conditions())
}

fn wait(cluster: &Cluster, so: &[&str]) -> Result<()> {
    run(kubectl::kubectl(cluster).args(["wait", "--timeout=60s"]).args(so).stdout(Stdio::null()))
}

/// The add-on's image, a program and nothing else, its other programs, and the kinds of objects that it brings: the folder that has them.
fn folder(workspace: &Workspace, addon: Addon) -> Result<PathBuf> {
    if addon == Addon::Csi {
        disks()?;
    }
    let sources = workspace.path("end2end/cluster/addons").join(addon.name());
    let recipe = format!("{RECIPE}{:?}{:?}", addon.programs(), addon.kinds());
    let made_from: [&[u8]; 3] = [&binary::go_version()?, recipe.as_bytes(), &binary::sources(&sources)?];
    let doing = format!("Building the add-on {} (the first time this takes minutes)", addon.name());
    binary::kept(&format!("addon-{}", addon.name()), &made_from, &doing, |folder| pack(addon, &sources, folder))
}

fn pack(addon: Addon, sources: &Path, folder: &Path) -> Result<()> {
    let (work, others) = (folder.join("work"), folder.join(PROGRAMS));
    let layer = work.join("program");
    fs::create_dir_all(&layer)?;
    if tests(sources)? {
        binary::go_test(sources)?;
    }
    for (index, (name, package)) in addon.programs().iter().enumerate() {
        let to = if index == 0 { &layer } else { &others };
        binary::go_build(sources, package, &to.join(name), "-s -w")?;
    }
    if let Some((module, files)) = addon.kinds() {
        let module = binary::go_module(sources, module)?;
        let texts = files.iter().map(|file| Ok(String::from_utf8(binary::read(&module.join(file))?)?));
        fs::write(folder.join(KINDS), texts.collect::<Result<Vec<_>>>()?.join("\n---\n"))?;
    }
    let config = json!({"Entrypoint": [format!("/{}", addon.programs()[0].0)], "Env": ["PATH=/"]});
    images::pack(&[Image { name: addon.image(), layers: vec!["program"], config }], &work, &folder.join(IMAGE))?;
    fs::remove_dir_all(&work).context("cannot clean up")
}

/// Whether there are tests of ours.
fn tests(sources: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(sources).with_context(|| format!("cannot read {}", sources.display()))?.flatten();
    Ok(entries.any(|entry| entry.file_name().to_string_lossy().ends_with("_test.go")))
}
