//! The control plane: etcd, API server, controller manager and scheduler, in a network namespace of their own.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::cluster::{
    certificates::{Authority, token_keys, write},
    cgroups, kubectl,
    layout::Cluster,
    network,
    process::{Place, Started},
};

/// Makes all that the control plane reads.
///
/// # Errors
/// Files cannot be written.
pub fn prepare(cluster: &Cluster) -> Result<Authority> {
    let pki = cluster.path("pki");
    for folder in ["pki", "control/log"] {
        fs::create_dir_all(cluster.path(folder))?;
    }
    let authority = Authority::generate()?;
    write(&pki.join("ca.crt"), &authority.pem)?;
    write(&pki.join("ca.key"), &authority.key())?;
    token_keys(&pki)?;

    let mut hosts: Vec<String> =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).into();
    hosts.push("kubernetes.default.svc.cluster.local".to_owned());
    hosts.extend(["127.0.0.1".to_owned(), cluster.control(), cluster.service(1)]);
    authority.identity("kube-apiserver", None, &hosts)?.write(&pki, "apiserver")?;
    authority.identity("kube-apiserver-kubelet-client", Some("system:masters"), &[])?.write(&pki, "kubelet-client")?;
    authority.identity("front-proxy", None, &[])?.write(&pki, "front-proxy")?;
    let users = [
        ("admin", Some("system:masters"), cluster.kubeconfig()),
        ("system:kube-controller-manager", None, pki.join("controller-manager.conf")),
        ("system:kube-scheduler", None, pki.join("scheduler.conf")),
    ];
    for (name, group, file) in users {
        let identity = authority.identity(name, group, &[])?;
        write(&file, &authority.kubeconfig(cluster, &identity))?;
    }
    Ok(authority)
}

/// Starts etcd and the API server, and comes back when that is ready.
///
/// # Errors
/// One of them does not come up.
pub fn start_api(cluster: &Cluster) -> Result<()> {
    cgroups::create(&format!("{}/control", cluster.cgroup()))?;
    start_etcd(cluster, None)?;
    start_api_server(cluster)?.until("ready", Duration::from_secs(120), || kubectl::ready(cluster))
}

/// Starts etcd, with a disk of `quota` bytes where one is given.
///
/// # Errors
/// It cannot be started.
pub fn start_etcd(cluster: &Cluster, quota: Option<u64>) -> Result<Started> {
    let etcd = [
        format!("--data-dir={}", cluster.path("control/etcd").display()),
        // Nobody's data: speed matters, a power cut of the machine does not.
        "--unsafe-no-fsync".to_owned(),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--log-level=warn".to_owned(),
        // 0: etcd's own.
        format!("--quota-backend-bytes={}", quota.unwrap_or(0)),
    ];
    start(cluster, "etcd", &etcd)
}

/// Starts the API server.
///
/// # Errors
/// It cannot be started.
pub fn start_api_server(cluster: &Cluster) -> Result<Started> {
    start(cluster, "kube-apiserver", &api_arguments(cluster))
}

/// Starts the controller manager and the scheduler.
///
/// # Errors
/// They cannot be started.
pub fn start_controllers(cluster: &Cluster) -> Result<()> {
    let pki = |name: &str| cluster.path("pki").join(name).display().to_string();
    let as_user = |file: &str| {
        let file = pki(file);
        ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(|flag| format!("--{flag}={file}"))
    };
    let mut manager: Vec<String> = as_user("controller-manager.conf").into();
    manager.extend([
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={}", pki("tokens.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--leader-elect=false".to_owned(),
        "--allocate-node-cidrs=false".to_owned(),
        // A node that is off is noticed after 16 s instead of 50.
        "--node-monitor-grace-period=16s".to_owned(),
        "--node-monitor-period=2s".to_owned(),
    ]);
    start(cluster, "kube-controller-manager", &manager)?;
    let mut scheduler: Vec<String> = as_user("scheduler.conf").into();
    scheduler.push("--leader-elect=false".to_owned());
    start(cluster, "kube-scheduler", &scheduler)?;
    Ok(())
}

fn start(cluster: &Cluster, program: &str, arguments: &[String]) -> Result<Started> {
    place(cluster, program).start(&cluster.program(program).display().to_string(), arguments)
}

/// Where the control plane's programs run; each has a log of its own.
pub fn place(cluster: &Cluster, program: &str) -> Place {
    Place {
        cgroup: format!("{}/control", cluster.cgroup()),
        inside: network::inside(&cluster.netns()),
        log: cluster.path("control/log").join(format!("{program}.log")),
    }
}

fn api_arguments(cluster: &Cluster) -> Vec<String> {
    let pki = |name: &str| cluster.path("pki").join(name).display().to_string();
    let ca = pki("ca.crt");
    [
        ("etcd-servers", "http://127.0.0.1:2379".to_owned()),
        ("secure-port", "6443".to_owned()),
        ("bind-address", "0.0.0.0".to_owned()),
        ("advertise-address", cluster.control()),
        ("tls-cert-file", pki("apiserver.crt")),
        ("tls-private-key-file", pki("apiserver.key")),
        ("client-ca-file", ca.clone()),
        ("service-account-key-file", pki("tokens.pub")),
        ("service-account-signing-key-file", pki("tokens.key")),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-cluster-ip-range", cluster.services()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("allow-privileged", "true".to_owned()),
        ("kubelet-client-certificate", pki("kubelet-client.crt")),
        ("kubelet-client-key", pki("kubelet-client.key")),
        ("kubelet-certificate-authority", ca.clone()),
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
        ("requestheader-client-ca-file", ca),
        ("requestheader-allowed-names", "front-proxy".to_owned()),
        ("requestheader-username-headers", "X-Remote-User".to_owned()),
        ("requestheader-group-headers", "X-Remote-Group".to_owned()),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
        ("proxy-client-cert-file", pki("front-proxy.crt")),
        ("proxy-client-key-file", pki("front-proxy.key")),
        // No kube-proxy runs beside it: it finds the pods of a webhook or an API service by itself.
        ("enable-aggregator-routing", "true".to_owned()),
        // Pods leave a node that is off after 20 s instead of 300.
        ("default-not-ready-toleration-seconds", "20".to_owned()),
        ("default-unreachable-toleration-seconds", "20".to_owned()),
    ]
    .map(|(flag, value)| format!("--{flag}={value}"))
    .into()
}
