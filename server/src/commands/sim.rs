//! `berth sim`: the embedded cluster alone, for `kubectl`, Helm and tests.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use berth_sim::Sim;

use crate::{config::LogFormat, logging, serve};

/// Flags of `berth sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen on, TLS.
    #[arg(long, default_value = "127.0.0.1:6443", env = "BERTH_LISTEN")]
    listen: SocketAddr,
    /// Where the kubeconfig is written.
    #[arg(long, default_value = "kubeconfig.yaml")]
    kubeconfig_out: PathBuf,
    /// Number of nodes.
    #[arg(long, default_value_t = 3, env = "BERTH_NODES")]
    nodes: usize,
    /// Directory for its state; in memory when absent.
    #[arg(long, env = "BERTH_DATA")]
    data: Option<PathBuf>,
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
