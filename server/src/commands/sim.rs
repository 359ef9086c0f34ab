//! `berth sim`: the embedded cluster alone, for `kubectl`, Helm and tests.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use berth_sim::Sim;

use crate::{
    config::{self, LogFormat},
    logging, serve,
};

/// Flags of `berth sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen on, TLS. Loopback only: it is a cluster for this machine, with one key for all.
    #[arg(long, default_value = "127.0.0.1:6443", env = "BERTH_LISTEN", value_parser = loopback)]
    listen: SocketAddr,
    /// Where the kubeconfig is written.
    #[arg(long, default_value = "kubeconfig.yaml")]
    kubeconfig_out: PathBuf,
    /// Number of nodes.
    #[arg(long, default_value_t = 3, env = "BERTH_NODES", value_parser = nodes)]
    nodes: usize,
    /// Directory for its state; in memory when absent.
    #[arg(long, env = "BERTH_DATA")]
    data: Option<PathBuf>,
}

fn nodes(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| config::NODES.contains(n)).ok_or_else(config::nodes_rule)
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|e| format!("{e}, such as 127.0.0.1:6443"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the embedded cluster is served on loopback only".to_owned())
    }
}

/// Serves until it is stopped.
pub async fn run(args: Args) -> anyhow::Result<()> {
    logging::start(LogFormat::Text, "info");
    let mut builder = Sim::builder().nodes(args.nodes);
    if let Some(data) = args.data {
        builder = builder.data_dir(data);
    }
    let sim = builder.build().context("the embedded cluster cannot start")?;
    let server = sim.serve_tls(args.listen).await.context("cannot listen")?;
    server
        .write_kubeconfig(&args.kubeconfig_out)
        .with_context(|| format!("cannot write {}", args.kubeconfig_out.display()))?;
    println!("https://{}\nexport KUBECONFIG={}", server.address, args.kubeconfig_out.display());
    serve::stop_signal().await;
    Ok(())
}
