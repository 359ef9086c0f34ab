//! The embedded cluster inside the portal's own process: handed to the Kubernetes client as a service, no socket between.

use anyhow::Context;
use berth_sim::Sim;

use crate::config::Settings;

/// Starts it with its state below the data directory.
///
/// # Errors
/// When its state cannot be read.
pub fn start(settings: &Settings) -> anyhow::Result<Sim> {
    Sim::builder()
        .data_dir(settings.data().join("cluster"))
        .nodes(settings.nodes.unwrap_or(3))
        .build()
        .context("the embedded cluster cannot start")
}
