//! `cluster up`: from nothing to three nodes that are ready.

use std::{
    os::unix::fs::symlink,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cluster::{binary, control, down, images, kubectl, layout::Cluster, needs, network, node, process},
    shell::{say, seconds, step},
    workspace::Workspace,
};

/// Starts the cluster of that name, unless it runs.
///
/// # Errors
/// Something is missing here, or does not come up.
pub fn run(workspace: &Workspace, name: &str) -> Result<()> {
    if let Some(cluster) = Cluster::find(name)? {
        if kubectl::ready(&cluster) {
            say(&format!("The cluster {name} runs already"));
            println!("{}", cluster.kubeconfig().display());
            return Ok(());
        }
        step(&format!("Clearing away what is left of a cluster {name}"), || down::remove(&cluster))?;
    }
    needs::programs()?;
    let programs = binary::build(workspace)?;
    let images = images::build(workspace)?;

    let start = Instant::now();
    let cluster = Cluster::create(name, &network::routes()?)?;
    symlink(&programs, cluster.path("bin"))?;
    bring_up(&cluster, &images).with_context(|| {
        format!(
            "what came up stays for a look: logs are in {}; to remove it: cargo xtask cluster down --name {name}",
            cluster.dir().display()
        )
    })?;
    say(&format!("The cluster {name} is ready after {}", seconds(start.elapsed())));
    println!("{}", cluster.kubeconfig().display());
    Ok(())
}

fn bring_up(cluster: &Cluster, images: &std::path::Path) -> Result<()> {
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
