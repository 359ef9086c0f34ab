//! The registry that the nodes pull from: every image exists in it, and behaves as its name says (`end2end/cluster/registry`).

use std::{fs, net::TcpStream, path::Path, path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    cluster::{
        binary::{SOURCES, go_build, go_version, kept, read},
        certificates::write,
        layout::{Cluster, Node},
        network,
        process::Place,
    },
    workspace::Workspace,
};

/// Where it listens, beside the API server.
const PORT: u16 = 5000;

/// Builds the program, unless that is done.
///
/// # Errors
/// Go fails.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    let source = read(&workspace.path(&format!("{SOURCES}/registry/main.go")))?;
    let folder = kept("registry", &[&source, &go_version()?], "Building the registry", |folder| {
        go_build(&workspace.path(SOURCES), "./registry", &folder.join("registry"), "-s -w")
    })?;
    Ok(folder.join("registry"))
}

fn address(cluster: &Cluster) -> String {
    format!("{}:{PORT}", cluster.control())
}

/// Starts it; `images` has the layers.
///
/// # Errors
/// It does not come up.
pub fn start(cluster: &Cluster, program: &Path, images: &Path) -> Result<()> {
    let place = Place {
        cgroup: format!("{}/control", cluster.cgroup()),
        inside: network::inside(&cluster.netns()),
        log: cluster.path("control/log/registry.log"),
    };
    let to = address(cluster);
    let arguments = [to.clone(), images.display().to_string()];
    let mut started = place.start(&program.display().to_string(), &arguments)?;
    started.until("listening", Duration::from_secs(30), || TcpStream::connect(&to).is_ok())
}

/// Tells a node's containerd to ask it for the images of every registry.
///
/// # Errors
/// The file cannot be written.
pub fn mirror(node: Node<'_>) -> Result<()> {
    let folder = node.dir().join("var/lib/containerd/certs.d/_default");
    fs::create_dir_all(&folder)?;
    let url = format!("http://{}", address(node.cluster));
    // Itself as the server behind the mirror, too: what it does not have is nowhere, and that is what it says.
    write(
        &folder.join("hosts.toml"),
        &format!("server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"),
    )
}
