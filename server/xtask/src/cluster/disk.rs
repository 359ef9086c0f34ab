//! A node's disk, full on demand.
//!
//! The nodes share the machine's disk, which nobody wants full. So the node's kubelet is told to keep more of it free than any disk
//! has: it reports `DiskPressure`, evicts the node's pods, takes no new ones and removes images, as with a disk that is full.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    cluster::{
        cgroups, images, kubectl,
        layout::{Cluster, Node},
        node::{self, Disk},
        process,
    },
    shell::{kill, output, step},
};

/// How long a kubelet may take to end, to come up and to tell of its disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// The node says that its disk is full.
///
/// # Errors
/// There is no such node, it is off, or it does not say so.
pub fn fill(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Filling the disk of {name}"), || {
        // What the kubelet removes to make room cannot all be pulled again.
        let refs = output(ctr(node).args(["list", "--quiet"]))?;
        let refs = String::from_utf8(refs).context("names of images are no text")?;
        let named = refs.lines().filter(|name| !name.starts_with("sha256:"));
        output(ctr(node).arg("export").arg(kept(node)).args(named))?;
        restart_kubelet(node, Disk::Full)?;
        pressed(cluster, name, true)
    })
}

/// There is room on it again, and what was removed is back.
///
/// # Errors
/// There is no such node, it is off, or it does not say so.
pub fn empty(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Making room on the disk of {name}"), || {
        restart_kubelet(node, Disk::Roomy)?;
        let kept = kept(node);
        if kept.exists() {
            images::import(node, &kept)?;
            fs::remove_file(kept)?;
        }
        pressed(cluster, name, false)
    })
}

/// Where a node's images are while it may remove them.
fn kept(node: Node<'_>) -> PathBuf {
    node.dir().join("images.tar")
}

fn ctr(node: Node<'_>) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(node.socket()).args(["--namespace", "k8s.io", "images"]);
    ctr
}

fn restart_kubelet(node: Node<'_>, disk: Disk) -> Result<()> {
    let containerd = running(node, "containerd")?;
    let containerd = containerd.with_context(|| format!("{} is off", node.name()))?;
    if let Some(kubelet) = running(node, "kubelet")? {
        kill("KILL", &[kubelet])?;
        process::wait("the kubelet ends", PATIENCE, || Ok(running(node, "kubelet")?.is_none()))?;
    }
    node::start_kubelet(node, containerd, disk)
}

fn running(node: Node<'_>, program: &str) -> Result<Option<u32>> {
    cgroups::program(&format!("{}/system", node.cgroup()), program)
}

fn pressed(cluster: &Cluster, name: &str, full: bool) -> Result<()> {
    let what = if full { "the node tells that its disk is full" } else { "the node tells that there is room" };
    process::wait(what, PATIENCE, || Ok(under_pressure(&kubectl::get(cluster, &["node", name])?) == Some(full)))
}

fn under_pressure(node: &Value) -> Option<bool> {
    let conditions = node["status"]["conditions"].as_array()?;
    let status = &conditions.iter().find(|condition| condition["type"] == "DiskPressure")?["status"];
    match status.as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_is_not_heard_of_says_nothing() {
        let node = |status| json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": status}]}});
        let told = ["True", "False", "Unknown"].map(|status| under_pressure(&node(status)));
        assert_eq!(told, [Some(true), Some(false), None]);
        assert_eq!(under_pressure(&json!({})), None);
    }
}
