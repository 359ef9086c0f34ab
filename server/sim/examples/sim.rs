//! Runs the embedded cluster alone: `sim [--listen ADDR] [--data DIR] [--kubeconfig-out FILE] [--nodes N]`.

use std::{net::SocketAddr, path::PathBuf};

use berth_sim::{Error, Sim};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6443));
    let mut kubeconfig = PathBuf::from("kubeconfig");
    let mut builder = Sim::builder();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| Error(format!("{flag} needs a value")))?;
        match flag.as_str() {
            "--listen" => listen = value.parse().map_err(|error| Error(format!("--listen: {error}")))?,
            "--kubeconfig-out" => kubeconfig = value.into(),
            "--data" => builder = builder.data_dir(value),
            "--nodes" => builder = builder.nodes(value.parse().map_err(|error| Error(format!("--nodes: {error}")))?),
            other => return Err(Error(format!("unknown flag {other}"))),
        }
    }
    let sim = builder.build()?;
    let serving = sim.serve_tls(listen).await?;
    serving.write_kubeconfig(&kubeconfig)?;
    println!("serving on https://{}, kubeconfig in {}", serving.address, kubeconfig.display());
    serving.wait().await;
    Ok(())
}
