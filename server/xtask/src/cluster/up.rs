//! `cluster up`: from nothing to three nodes that are ready.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cluster::{
        addons::{self, Addon},
        binary, cgroups, control, down, images, kubectl,
        layout::Cluster,
        needs, network, node, process, registry,
        services::{self, Service},
        with::{self, Extra},
    },
    shell::{say, seconds, step},
    workspace::Workspace,
};

/// The file that tells a cluster that came up from one that was interrupted.
const WHOLE: &str = "whole";

/// Starts the cluster of that name, unless it runs, and what it shall have beside itself.
///
/// # Errors
/// Something is missing here, or does not come up.
pub fn run(workspace: &Workspace, name: &str, with: &[Extra]) -> Result<()> {
    let (addons, services) = with::split(with);
    if let Some(cluster) = Cluster::find(name)? {
        if runs(&cluster)? {
            say(&format!("The cluster {name} runs already"));
            start_extras(workspace, &cluster, &addons, &services)?;
            println!("{}", cluster.kubeconfig().display());
            return Ok(());
        }
        step(&format!("Clearing away what is left of a cluster {name}"), || down::remove(&cluster))?;
    }
    needs::programs()?;
    let programs = binary::build(workspace)?;
    let images = images::build(workspace)?;
    let pulls = registry::build(workspace)?;
    addons::build(workspace, &addons)?;
    services::build(workspace, &services)?;

    let start = Instant::now();
    let cluster = Cluster::create(name, &network::routes()?)?;
    symlink(&programs, cluster.path("bin"))?;
    bring_up(&cluster, &images, &pulls).with_context(|| {
        format!(
            "what came up stays for a look: logs are in {}; to remove it: cargo xtask cluster down --name {name}",
            cluster.dir().display()
        )
    })?;
    fs::write(cluster.path(WHOLE), "")?;
    start_extras(workspace, &cluster, &addons, &services)?;
    say(&format!("The cluster {name} is ready after {}", seconds(start.elapsed())));
    println!("{}", cluster.kubeconfig().display());
    Ok(())
}

fn start_extras(workspace: &Workspace, cluster: &Cluster, addons: &[Addon], services: &[Service]) -> Result<()> {
    addons::start(workspace, cluster, addons)?;
    services::start(workspace, cluster, services)
}

/// Whether it came up once and has not ended since. One that is only slow is never taken for a leftover.
fn runs(cluster: &Cluster) -> Result<bool> {
    let ended = cgroups::processes(&format!("{}/control", cluster.cgroup()))?.is_empty();
    if ended || !cluster.path(WHOLE).exists() {
        return Ok(false);
    }
    process::wait("the API server answers", Duration::from_secs(30), || Ok(kubectl::ready(cluster)))
        .with_context(|| format!("to start anew: cargo xtask cluster down --name {}", cluster.name))?;
    Ok(true)
}

fn bring_up(cluster: &Cluster, images: &Path, pulls: &Path) -> Result<()> {
    let authority = control::prepare(cluster)?;
    network::create(cluster)?;
    // The nodes boot and take their images while the API server starts.
    let booted = step("Control plane, and the nodes' containerd", || {
        thread::scope(|scope| {
            let nodes = cluster.nodes().map(|node| {
                let authority = &authority;
                scope.spawn(move || {
                    node::prepare(node, authority)?;
                    let containerd = node::boot(node)?;
                    images::import(node, images)?;
                    Ok::<_, anyhow::Error>(containerd)
                })
            });
            let nodes: Vec<_> = nodes.collect();
            control::start_api(cluster)?;
            registry::start(cluster, pulls, images)?;
            let booted =
                nodes.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a node's thread failed"))?);
            booted.collect::<Result<Vec<_>>>()
        })
    })?;
    step("Controllers, kubelets and kube-proxies", || {
        control::start_controllers(cluster)?;
        for (node, containerd) in cluster.nodes().zip(&booted) {
            node::join(node, containerd)?;
        }
        let all = cluster.nodes().count();
        process::wait("nodes ready", Duration::from_secs(90), || Ok(kubectl::ready_nodes(cluster)?.len() == all))
    })
}
