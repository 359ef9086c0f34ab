//! A node's disk, full on demand: a big file takes all that is left, so writes fail, and its kubelet reports `DiskPressure`, takes no
//! new pods and evicts those it has, one after the other.
//!
//! Images are not on that disk, so they stay.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    cluster::{
        cgroups, kubectl,
        layout::{Cluster, Node},
        process,
    },
    shell::{output, step},
};

/// How long a kubelet may take to tell of its disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes what is left but for 32 MiB, in which a filesystem can still keep its books: the kubelet wants 200.
const FILL: &str = "cd /var/lib/kubelet
left=$(df --output=avail --block-size=1 . | tail -n 1)
fallocate --length $((left - 33554432)) full";

/// Fills the node's disk, until the node says so.
///
/// # Errors
/// There is no such node, it is off, full already, or it does not say so.
pub fn fill(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Filling the disk of {name}"), || {
        within(node, FILL)?;
        pressed(cluster, name, true)
    })
}

/// Makes room on it again, until the node says so.
///
/// # Errors
/// There is no such node, it is off, or it does not say so.
pub fn empty(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Making room on the disk of {name}"), || {
        within(node, "rm --force /var/lib/kubelet/full")?;
        pressed(cluster, name, false)
    })
}

/// Runs a script that sees the node's disk.
fn within(node: Node<'_>, script: &str) -> Result<()> {
    let containerd = cgroups::program(&format!("{}/system", node.cgroup()), "containerd")?;
    let containerd = containerd.with_context(|| format!("{} is off", node.name()))?;
    let inside = ["--target", &containerd.to_string(), "--mount", "sh", "-euc", script];
    output(Command::new("nsenter").args(inside)).map(drop)
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
