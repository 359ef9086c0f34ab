//! `berth agent`: runs in a cluster that the portal cannot reach, and calls it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, Target, Ways},
    config::LogFormat,
    listen, logging, serve,
};

/// Flags of `berth agent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The portal: https://berth.example.com; through a proxy where HTTPS_PROXY and NO_PROXY say so. Plain http on loopback alone.
    #[arg(long, env = "BERTH_SERVER")]
    server: String,
    /// A file with the agent's token; read anew for each call.
    #[arg(long, env = "BERTH_TOKEN_FILE")]
    token_file: PathBuf,
    /// Authorities (PEM) that may have signed the portal's certificate, instead of those that the system trusts: a file, or a folder of
    /// files. An empty one is none.
    #[arg(long, env = "BERTH_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// The kubeconfig of the cluster, with its credentials in it. Without it, in a pod, the pod's own account.
    #[arg(long, env = "BERTH_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// In a pod: the portal acts as the service accounts {this}-reader, -releases, -controller and -writer of its namespace.
    #[arg(long, env = "BERTH_IDENTITIES")]
    identities: Option<String>,
    /// Address and port for /healthz and /readyz; none without it.
    #[arg(long, env = "BERTH_LISTEN")]
    listen: Option<SocketAddr>,
    /// Which log entries: error, warn, info, debug, or a filter.
    #[arg(long, env = "BERTH_LOG", default_value = "info")]
    log: String,
}

/// Calls until it is stopped.
pub async fn run(args: Args) -> anyhow::Result<()> {
    logging::start(LogFormat::Text, &args.log);
    let target = Target::new(&args.server, args.token_file, args.ca_file)?;
    let through = target.through();
    let ways = Ways::open(args.kubeconfig, args.identities)?;
    let agent = Arc::new(Agent::new(target, ways));
    let stop = CancellationToken::new();
    if let Some(address) = args.listen {
        let listener =
            tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        tokio::spawn(listen::serve(listener, agent.health(), stop.clone()));
    }
    let through = through.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
    println!("berth agent {} calls {}{through}", env!("CARGO_PKG_VERSION"), args.server);
    tokio::select! {
        () = serve::stop_signal() => {}
        ended = agent.run() => ended?,
    }
    stop.cancel();
    Ok(())
}
