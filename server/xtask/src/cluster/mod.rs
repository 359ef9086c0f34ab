//! `cargo xtask cluster`: a real Kubernetes of three nodes on this machine (`end2end/cluster/README.md` is the user's view).
//!
//! Each node is a network and a mount namespace with its own containerd, kubelet and kube-proxy; the control plane has a
//! network namespace of its own. All that belongs to a cluster is in one folder, one tree of cgroups and one link of the host.

mod addons;
mod binary;
mod blanks;
mod certificates;
mod cgroups;
mod chaos;
mod check;
mod control;
mod disk;
mod down;
pub mod images;
mod install;
mod kubectl;
mod layout;
mod needs;
mod network;
mod node;
mod process;
mod registry;
mod services;
mod status;
mod trials;
mod up;
mod with;

pub use addons::Addon;
pub use chaos::Part;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{
    cluster::{layout::Cluster, with::Extra},
    workspace::{Profile, Workspace},
};

/// What `cargo xtask cluster` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Which cluster: several run side by side under different names.
    #[arg(long, global = true, default_value = "berth", value_parser = layout::name)]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Installs and builds what is missing, and starts the cluster.
    Up {
        /// What the cluster shall have beside Kubernetes itself, in it or around it; a cluster that runs gets it, too.
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<Extra>,
    },
    /// Stops the cluster and leaves nothing of it behind.
    Down,
    /// Brings images (tar files as `docker save` or `buildah push docker-archive:` write them) onto every node.
    Load {
        /// The tar files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Switches a node off as a power cut would.
    Off {
        /// `node1`, `node2` or `node3`.
        node: String,
    },
    /// Switches a node on again.
    On {
        /// `node1`, `node2` or `node3`.
        node: String,
    },
    /// Pulls a node's network cable: all on it goes on, and hears nobody.
    Unplug {
        /// `node1`, `node2` or `node3`.
        node: String,
    },
    /// Connects it again.
    Plug {
        /// `node1`, `node2` or `node3`.
        node: String,
    },
    /// Freezes the API server: it keeps its connections and answers nobody, as one that hangs.
    Freeze {
        /// Or another part of the control plane.
        #[arg(value_enum, default_value = "api-server")]
        part: Part,
    },
    /// Slows the API server down: it stands still for nine tenths of each second.
    Slow {
        /// Or another part of the control plane.
        #[arg(value_enum, default_value = "api-server")]
        part: Part,
    },
    /// Lets what is frozen or slow go on at its own speed.
    Thaw {
        /// Or another part of the control plane.
        #[arg(value_enum, default_value = "api-server")]
        part: Part,
    },
    /// Stops a part of the control plane as a crash would.
    Stop {
        /// Which.
        #[arg(value_enum)]
        part: Part,
    },
    /// Starts it again.
    Start {
        /// Which.
        #[arg(value_enum)]
        part: Part,
    },
    /// Fills etcd's disk: the cluster takes nothing new. Or a node's: its pods are evicted.
    Fill {
        /// `node1`, `node2` or `node3`; etcd's without it.
        node: Option<String>,
    },
    /// Makes room there again.
    Empty {
        /// `node1`, `node2` or `node3`; etcd's without it.
        node: Option<String>,
    },
    /// Prints the path of the administrator's kubeconfig.
    Kubeconfig,
    /// Prints nodes, versions, addresses and where the logs lie.
    Status,
    /// Starts and uses a cluster of its own, stops it, and compares what the machine has before and after.
    Check {
        /// Add-ons and services that are tried, too.
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<Extra>,
    },
    /// Installs Berth's chart on the cluster (started, unless it runs) and tries what it promises.
    InstallCheck {
        /// Berth's image under its version and as `next`, where it is not to be built.
        #[arg(long, value_name = "FILE.tar")]
        image: Option<PathBuf>,
        /// Build the image for speed (takes longer), as it is shipped.
        #[arg(long, conflicts_with = "image")]
        release: bool,
    },
}

/// Does it.
///
/// # Errors
/// [`NotHere`] where this machine cannot run a cluster; otherwise what went wrong.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    needs::machine()?;
    let name = &options.name;
    let reads = matches!(options.command, Command::Kubeconfig | Command::Status | Command::Load { .. });
    // It is alone only while it starts the cluster.
    let reads = reads || matches!(options.command, Command::InstallCheck { .. });
    let _alone = if reads { None } else { Some(binary::alone()?) };
    match &options.command {
        Command::Up { with } => up::run(workspace, name, with),
        Command::Down => down::run(name),
        Command::Load { files } => images::load(&running(name)?, files),
        Command::Off { node } => status::off(&running(name)?, node),
        Command::On { node } => status::on(&running(name)?, node),
        Command::Unplug { node } => status::unplug(&running(name)?, node),
        Command::Plug { node } => status::plug(&running(name)?, node),
        Command::Freeze { part } => chaos::freeze(&running(name)?, *part),
        Command::Slow { part } => chaos::slow(&running(name)?, *part),
        Command::Thaw { part } => chaos::thaw(&running(name)?, *part),
        Command::Stop { part } => chaos::stop(&running(name)?, *part),
        Command::Start { part } => chaos::start(&running(name)?, *part),
        Command::Fill { node: None } => chaos::fill(&running(name)?),
        Command::Fill { node: Some(node) } => disk::fill(&running(name)?, node),
        Command::Empty { node: None } => chaos::empty(&running(name)?),
        Command::Empty { node: Some(node) } => disk::empty(&running(name)?, node),
        Command::Kubeconfig => {
            println!("{}", running(name)?.kubeconfig().display());
            Ok(())
        }
        Command::Status => status::print(&running(name)?),
        Command::Check { with } => check::run(workspace, with),
        Command::InstallCheck { image, release } => {
            install_check(workspace, name, image.as_deref(), Profile::of(*release))
        }
    }
}

/// Installs Berth's chart on the cluster of that name and tries what it promises, with that image, or one that is built so.
///
/// # Errors
/// [`NotHere`] where this machine cannot run a cluster; otherwise what went wrong.
pub fn install_check(workspace: &Workspace, name: &str, image: Option<&Path>, profile: Profile) -> Result<()> {
    testbed(workspace, name, install::NEEDS)?;
    install::run(workspace, &running(name)?, image, profile)
}

/// A cluster that tests run on.
pub struct Testbed {
    /// The administrator's way in.
    pub kubeconfig: PathBuf,
    /// Folder of its `kubectl`.
    pub programs: PathBuf,
}

/// The cluster of that name with what tests want of it: started, unless it runs.
///
/// # Errors
/// [`NotHere`] where this machine cannot run one; otherwise what went wrong.
pub fn testbed(workspace: &Workspace, name: &str, with: &[impl Copy + Into<Extra>]) -> Result<Testbed> {
    needs::machine()?;
    let _alone = binary::alone()?;
    up::run(workspace, name, &with.iter().copied().map(Into::into).collect::<Vec<_>>())?;
    let cluster = running(name)?;
    Ok(Testbed { kubeconfig: cluster.kubeconfig(), programs: cluster.path("bin") })
}

/// Stops a part of a running cluster's control plane, as in a crash.
///
/// # Errors
/// It does not end.
pub fn stop(name: &str, part: Part) -> Result<()> {
    chaos::stop(&running(name)?, part)
}

/// Starts it again, and comes back when the API server is ready.
///
/// # Errors
/// It does not come up.
pub fn start(name: &str, part: Part) -> Result<()> {
    chaos::start(&running(name)?, part)
}

/// Removes it.
///
/// # Errors
/// Something stays.
pub fn clear(name: &str) -> Result<()> {
    let _alone = binary::alone()?;
    down::run(name)
}

fn running(name: &str) -> Result<Cluster> {
    match Cluster::find(name)? {
        Some(cluster) => Ok(cluster),
        None => bail!("no cluster {name} runs here; to start it: cargo xtask cluster up --name {name}"),
    }
}
