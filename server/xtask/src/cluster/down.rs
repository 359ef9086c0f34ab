//! `cluster down`: nothing stays.

use anyhow::Result;

use crate::{
    cluster::{cgroups, layout::Cluster, network, node},
    shell::{say, step},
};

/// Stops the cluster of that name, if there is one.
///
/// # Errors
/// Something does not go away.
pub fn run(name: &str) -> Result<()> {
    let Some(cluster) = Cluster::find(name)? else {
        say(&format!("There is no cluster {name}: nothing to do"));
        return Ok(());
    };
    step(&format!("Stopping the cluster {name}"), || remove(&cluster))
}

/// Takes it away, also one that only half came up.
///
/// # Errors
/// Something does not go away.
pub fn remove(cluster: &Cluster) -> Result<()> {
    // Killed at once: the API server alone would take a minute to leave, and nobody needs its data again.
    cgroups::destroy(&cluster.cgroup())?;
    cgroups::remove_if_empty("berth-cluster")?;
    for node in cluster.nodes() {
        node::cut(node)?;
    }
    network::remove(cluster)?;
    cluster.forget()
}
