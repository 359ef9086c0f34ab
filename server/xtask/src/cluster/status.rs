//! `cluster status`, and nodes that are switched off and on.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    cluster::{
        cgroups, kubectl,
        layout::{Cluster, Node},
        network, node, process, services,
    },
    shell::{run, say, step},
};

/// Prints what there is.
///
/// # Errors
/// The API server does not answer.
pub fn print(cluster: &Cluster) -> Result<()> {
    println!("cluster     {} at {}", cluster.name, cluster.url());
    println!("kubeconfig  {}", cluster.kubeconfig().display());
    println!("kubectl     {}", cluster.program("kubectl").display());
    println!("pods        {}, services {}, link {}", cluster.pods(), cluster.services(), cluster.link());
    println!("logs        {}", cluster.path("control/log").display());
    for node in cluster.nodes() {
        let power = if on_power(node)? { "on " } else { "off" };
        println!("{:<11} {power} {:<15} {}", node.name(), node.address(), node.dir().join("var/log").display());
    }
    services::print(cluster)?;
    if !kubectl::ready(cluster) {
        bail!("the API server is not ready; its log: {}", cluster.path("control/log/kube-apiserver.log").display());
    }
    println!();
    run(kubectl::kubectl(cluster).args(["get", "nodes", "--output", "wide"]))
}

fn on_power(node: Node<'_>) -> Result<bool> {
    Ok(!cgroups::processes(&node.cgroup())?.is_empty())
}

/// Switches a node off.
///
/// # Errors
/// There is no such node, or it does not end.
pub fn off(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    if !on_power(node)? {
        say(&format!("{name} is off already"));
        return Ok(());
    }
    step(&format!("Cutting the power of {name}"), || node::cut(node))
}

/// Switches a node on and waits until it is ready.
///
/// # Errors
/// There is no such node, or it does not come up.
pub fn on(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    if on_power(node)? {
        say(&format!("{name} is on already"));
        return Ok(());
    }
    step(&format!("Switching on {name}"), || {
        let before = kubectl::heartbeat(cluster, name)?;
        let containerd = node::boot(node)?;
        node::join(node, &containerd)?;
        services::node_on(node)?;
        heard_of(cluster, name, before.as_deref())
    })
}

/// Cuts a node off from the network, while all on it goes on.
///
/// # Errors
/// There is no such node, or it is off.
pub fn unplug(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Pulling the cable of {name}"), || network::cable(node, false))
}

/// Connects it again and waits until it is heard of.
///
/// # Errors
/// There is no such node, or it does not come back.
pub fn plug(cluster: &Cluster, name: &str) -> Result<()> {
    let node = cluster.node(name)?;
    step(&format!("Connecting {name}"), || {
        let before = kubectl::heartbeat(cluster, name)?;
        network::cable(node, true)?;
        heard_of(cluster, name, before.as_deref())
    })
}

/// Until somebody notices that a node was away it counts as ready: only a new heartbeat tells that it is back.
fn heard_of(cluster: &Cluster, name: &str, before: Option<&str>) -> Result<()> {
    process::wait(&format!("{name} ready"), Duration::from_secs(90), || {
        let now = kubectl::heartbeat(cluster, name)?;
        Ok(now.is_some() && now.as_deref() != before)
    })
}
