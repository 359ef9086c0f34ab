//! A node: a machine made of two namespaces, with its own `/run` and `/var`, containerd, kubelet and kube-proxy.

use std::{fs, os::unix::fs::symlink, os::unix::net::UnixStream, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    cluster::{
        binary,
        certificates::{Authority, write},
        cgroups, images,
        layout::Node,
        network,
        process::{Place, Started},
        registry,
    },
    shell::output,
};

/// What a node's disk holds, as it says. On the machine's disk it takes what is written to it.
const DISK: u64 = 20 << 30;

/// Where a node sees the programs that were built: their real place may be one that it does not see.
const PROGRAMS: &str = "/var/lib/programs";

/// Where a node sees a file or folder of them.
///
/// # Errors
/// There is no home.
pub fn seen(built: &Path) -> Result<String> {
    let below = built.strip_prefix(binary::root()?).with_context(|| format!("{} was not built", built.display()))?;
    Ok(Path::new(PROGRAMS).join(below).to_string_lossy().into_owned())
}

/// What a kubelet would change for the whole machine, below `/proc/sys`: it gets files of the node's own to write to.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Makes the node's disk, with all that its programs read.
///
/// # Errors
/// Files cannot be written.
pub fn prepare(node: Node<'_>, authority: &Authority) -> Result<()> {
    let (cluster, own) = (node.cluster, node.dir().join("var/lib/node"));
    for folder in [
        "run",
        "var/lib/node",
        "var/lib/kubelet",
        "var/lib/cni/net.d",
        "var/lib/containerd",
        "var/lib/programs",
        "var/lib/shared",
        "var/log",
        "var/tmp",
    ] {
        fs::create_dir_all(node.dir().join(folder))?;
    }
    fs::create_dir_all(cluster.shared())?;
    let disk = node.dir().join("var/lib/disk");
    fs::File::create_new(&disk)?.set_len(DISK)?;
    output(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(disk))?;
    for setting in SETTINGS {
        let file = node.dir().join("settings").join(setting);
        fs::create_dir_all(file.parent().context("no folder")?)?;
        fs::write(&file, fs::read(Path::new("/proc/sys").join(setting))?)?;
    }
    symlink("/run", node.dir().join("var/run"))?;
    let name = node.name();
    let identity =
        authority.identity(&format!("system:node:{name}"), Some("system:nodes"), &[name.clone(), node.address()])?;
    identity.write(&own, "node")?;
    write(&own.join("kubeconfig"), &authority.kubeconfig(cluster, &identity))?;
    write(&own.join("ca.crt"), &authority.pem)?;
    write(&own.join("resolv.conf"), "# no internet\n")?;
    write(&own.join("config.yaml"), &kubelet_config(node))?;
    let proxy = authority.identity("system:kube-proxy", None, &[])?;
    write(&own.join("proxy.kubeconfig"), &authority.kubeconfig(cluster, &proxy))?;
    write(&node.dir().join("var/lib/cni/net.d/10-pods.conflist"), &cni_config(node))?;
    registry::mirror(node)?;
    write(&node.dir().join("var/lib/containerd/config.toml"), &containerd_config(node))
}

/// Plugs the node in and starts its containerd: it can take images then.
///
/// # Errors
/// It does not come up.
pub fn boot(node: Node<'_>) -> Result<Started> {
    cgroups::create(&format!("{}/system", node.cgroup()))?;
    network::plug(node)?;
    let (dir, shared) = (node.dir(), node.cluster.shared());
    let settings = SETTINGS.join(" ");
    let programs = binary::root()?;
    // Its own /run and /var, over the host's, in a mount namespace that containers' mounts never leave.
    let script = "mount --bind \"$1\" \"$2/var/lib/programs\"
mount --bind \"$4\" \"$2/var/lib/shared\"
for file in $3; do mount --bind \"$2/settings/$file\" \"/proc/sys/$file\"; done
mount --rbind \"$2/run\" /run
mount --rbind \"$2/var\" /var
mount -o loop /var/lib/disk /var/lib/kubelet
mount --make-rshared /
cd /
exec containerd --config /var/lib/containerd/config.toml";
    let arguments = [
        Path::new("--mount"),
        "--propagation".as_ref(),
        "private".as_ref(),
        "sh".as_ref(),
        "-ec".as_ref(),
        script.as_ref(),
        "sh".as_ref(),
        &programs,
        &dir,
        settings.as_ref(),
        &shared,
    ];
    let mut containerd = place(node, "containerd", network::inside(&node.netns())).start("unshare", arguments)?;
    containerd.until("listening", Duration::from_secs(60), || UnixStream::connect(node.socket()).is_ok())?;
    Ok(containerd)
}

/// Starts what makes it a node of the cluster, beside its containerd.
///
/// # Errors
/// It cannot be started.
pub fn join(node: Node<'_>, containerd: &Started) -> Result<()> {
    let inside = inside(containerd.id());
    let kubelet = [
        "--config=/var/lib/node/config.yaml".to_owned(),
        "--kubeconfig=/var/lib/node/kubeconfig".to_owned(),
        "--cert-dir=/var/lib/node/pki".to_owned(),
        format!("--hostname-override={}", node.name()),
        format!("--node-ip={}", node.address()),
        format!("--node-labels=topology.kubernetes.io/zone=zone{},topology.kubernetes.io/region=here", node.index),
    ];
    place(node, "kubelet", inside.clone()).start(&format!("{}/kubelet", programs(node)?), kubelet)?;
    let proxy = [
        "--kubeconfig=/var/lib/node/proxy.kubeconfig".to_owned(),
        "--proxy-mode=nftables".to_owned(),
        format!("--cluster-cidr={}", node.cluster.pods()),
        format!("--hostname-override={}", node.name()),
        format!("--healthz-bind-address={}:10256", node.address()),
        // That sysctl is the whole machine's.
        "--conntrack-max-per-core=0".to_owned(),
    ];
    place(node, "kube-proxy", inside).start(&format!("{}/kube-proxy", programs(node)?), proxy)?;
    Ok(())
}

/// What brings a program to where the node's containerd is.
fn inside(containerd: u32) -> Vec<String> {
    ["nsenter", "--target", &containerd.to_string(), "--net", "--mount"].map(str::to_owned).to_vec()
}

/// Where the node sees Kubernetes' programs.
fn programs(node: Node<'_>) -> Result<String> {
    seen(&fs::read_link(node.cluster.path("bin"))?)
}

/// Cuts the node's power. Its disk stays.
///
/// # Errors
/// Something does not go away.
pub fn cut(node: Node<'_>) -> Result<()> {
    cgroups::destroy(&node.cgroup())?;
    network::unplug(node)?;
    let run = node.dir().join("run");
    if run.exists() {
        fs::remove_dir_all(&run).with_context(|| format!("cannot empty {}", run.display()))?;
        fs::create_dir(&run)?;
    }
    Ok(())
}

fn place(node: Node<'_>, program: &str, inside: Vec<String>) -> Place {
    Place {
        cgroup: format!("{}/system", node.cgroup()),
        inside,
        log: node.dir().join("var/log").join(format!("{program}.log")),
    }
}

fn containerd_config(node: Node<'_>) -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE no sandbox starts otherwise: "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  # As containerd 2 does: port 80 without being root.
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  stream_server_address = "{address}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/var/lib/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/var/lib/containerd/certs.d"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
"#,
        pause = images::PAUSE,
        address = node.address(),
    )
}

fn cni_config(node: Node<'_>) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {{
    "type": "host-local", "ranges": [[{{"subnet": "{}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
        node.pods()
    )
}

fn kubelet_config(node: Node<'_>) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: /var/lib/node/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: /var/lib/node/node.crt
tlsPrivateKeyFile: /var/lib/node/node.key
clusterDNS: [{dns}]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
# Images are on the host's disk, of which a share may be many gigabytes; and an image that is collected cannot be pulled again.
evictionHard: {{memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi}}
evictionPressureTransitionPeriod: 10s
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
resolvConf: /var/lib/node/resolv.conf
serializeImagePulls: false
volumePluginDir: /var/lib/kubelet/volume-plugins
",
        address = node.address(),
        dns = node.cluster.service(10),
        cgroup = node.cgroup(),
    )
}
