//! The cluster's network: a switch in the control plane's namespace, a cable to each node and one to the host.
//!
//! The switch is not the host's own, so no firewall of the host stands between nodes, and the host keeps one link and its routes.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::layout::{Cluster, Node},
    shell::{output, run},
};

/// What `ip route` says.
///
/// # Errors
/// It cannot be run.
pub fn routes() -> Result<String> {
    Ok(String::from_utf8_lossy(&output(Command::new("ip").args(["-4", "route", "show", "table", "all"]))?).into_owned())
}

/// The switch, the addresses of the control plane and of the services around it, and the host's cable.
///
/// # Errors
/// The kernel refuses.
pub fn create(cluster: &Cluster) -> Result<()> {
    let (link, netns) = (cluster.link(), cluster.netns());
    namespace(&netns)?;
    ip(
        &netns,
        &["link set lo up", "link add switch type bridge", &format!("addr add {}/24 dev switch", cluster.control())],
    )?;
    ip(&netns, &[&format!("addr add {}/24 dev switch", cluster.around()), "link set switch up"])?;
    sysctl(&netns, &["net.ipv4.ip_forward=1"])?;

    host(&[format!("link add {link} type veth peer name host netns {}", netns.display())])?;
    ip(&netns, &["link set host master switch", "link set host up"])?;
    host(&[format!("addr add {}/24 dev {link}", cluster.host()), format!("link set {link} up")])?;
    // Pods on a node that is off are not reached; Services are as long as the first node is on.
    let gateway = cluster.nodes().next().context("no nodes")?.address();
    let mut routes: Vec<_> = cluster.nodes().map(to_pods).collect();
    routes.push(format!("route add {} via {gateway}", cluster.services()));
    host(&routes)?;
    ip(&netns, &cluster.nodes().map(to_pods).collect::<Vec<_>>())
}

/// A node's namespace and its cable.
///
/// # Errors
/// The kernel refuses.
pub fn plug(node: Node<'_>) -> Result<()> {
    let (netns, switch) = (node.netns(), node.cluster.netns());
    namespace(&netns)?;
    let cable = node.cable();
    ip(&switch, &[format!("link add {cable} type veth peer name eth0 netns {}", netns.display())])?;
    ip(&switch, &[format!("link set {cable} master switch"), format!("link set {cable} up")])?;
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("addr add {}/24 dev eth0", node.address()),
        "link set eth0 up".to_owned(),
        // It leads nowhere but to a quick "unreachable": there is no internet, and no test waits for one.
        format!("route add default via {}", node.cluster.control()),
    ];
    lines.extend(node.cluster.nodes().filter(|other| other.index != node.index).map(to_pods));
    ip(&netns, &lines)?;
    // Pods of one node reach each other over a bridge: kube-proxy's rules have to see that too.
    sysctl(&netns, &["net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"])
}

/// Takes a node's namespace away, and its cable with it.
///
/// # Errors
/// It stays.
pub fn unplug(node: Node<'_>) -> Result<()> {
    let (switch, cable) = (node.cluster.netns(), node.cable());
    if mounted(&switch)? && links(&switch)?.contains(&format!("{cable}@")) {
        ip(&switch, &[format!("link del {cable}")])?;
    }
    forget(&node.netns())
}

/// Pulls a node's cable at the switch (`up`: puts it back). What runs on the node goes on, and hears nobody.
///
/// # Errors
/// There is no such cable: the node is off.
pub fn cable(node: Node<'_>, up: bool) -> Result<()> {
    let (cable, state) = (node.cable(), if up { "up" } else { "down" });
    ip(&node.cluster.netns(), &[format!("link set {cable} {state}")])
        .with_context(|| format!("{} is not there", node.name()))
}

/// Takes the switch and the host's link away.
///
/// # Errors
/// They stay.
pub fn remove(cluster: &Cluster) -> Result<()> {
    if Path::new("/sys/class/net").join(cluster.link()).exists() {
        host(&[format!("link del {}", cluster.link())])?;
    }
    forget(&cluster.netns())
}

fn to_pods(node: Node<'_>) -> String {
    format!("route add {} via {}", node.pods(), node.address())
}

/// A network namespace that a file keeps. `ip netns` would need one on the host that stays mounted.
fn namespace(file: &Path) -> Result<()> {
    File::create(file).with_context(|| format!("cannot make {}", file.display()))?;
    run(Command::new("unshare").arg(format!("--net={}", file.display())).arg("true"))
}

fn forget(file: &Path) -> Result<()> {
    if mounted(file)? {
        run(Command::new("umount").arg(file))?;
    }
    Ok(())
}

fn mounted(file: &Path) -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == file)))
}

/// A command in a network namespace. Not `ip netns exec`: that hides the cgroups.
pub fn inside(netns: &Path) -> Vec<String> {
    vec!["nsenter".to_owned(), format!("--net={}", netns.display())]
}

fn enter(netns: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display()));
    command
}

fn links(netns: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(enter(netns).args(["ip", "-o", "link"]))?).into_owned())
}

fn sysctl(netns: &Path, settings: &[&str]) -> Result<()> {
    run(enter(netns).args(["sysctl", "--quiet", "--write"]).args(settings))
}

fn ip<S: AsRef<str>>(netns: &Path, lines: &[S]) -> Result<()> {
    batch(enter(netns).arg("ip"), lines)
}

fn host(lines: &[String]) -> Result<()> {
    batch(&mut Command::new("ip"), lines)
}

fn batch<S: AsRef<str>>(command: &mut Command, lines: &[S]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
    let mut child = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot run `ip`")?;
    child.stdin.take().context("no input")?.write_all(text.as_bytes())?;
    if !child.wait()?.success() {
        bail!("`ip` refused one of these:\n{text}");
    }
    Ok(())
}
