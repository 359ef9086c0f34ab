//! Metrics: Prometheus, and Debian's node-exporter on each node. Debian's own Prometheus finds no targets in Kubernetes: it is
//! built without. Ours has no pages, which its Go module lacks; its API is whole.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, ca, go_program},
};
use crate::{
    cluster::{
        binary::{kept, read},
        certificates::{Authority, write},
        kubectl,
        layout::{Cluster, Node},
        network,
        process::{Place, wait},
    },
    shell::{output, run, which},
    workspace::Workspace,
};

const PORT: u16 = 9090;
/// node-exporter's, on each node.
const EXPORTER: u16 = 9100;

/// It.
pub struct Prometheus;

impl Kind for Prometheus {
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        node_exporter()?;
        go_program(workspace, "prometheus", "github.com/prometheus/prometheus/cmd/prometheus")
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        kubectl::apply(site.cluster, &String::from_utf8(read(&site.source("objects.yaml"))?)?)?;
        let reader = site.identity("prometheus", &[])?;
        reader.write(&site.folder, "reader")?;
        let authority = Authority::read(&site.cluster.path("pki"))?;
        write(&site.folder.join("kubeconfig"), &authority.kubeconfig(site.cluster, &reader))?;
        site.fill(
            "prometheus.yml",
            &[
                ("CA", ca(site.cluster)),
                ("CERTIFICATE", site.file("reader.crt")),
                ("KEY", site.file("reader.key")),
                ("KUBECONFIG", site.file("kubeconfig")),
                ("API_SERVER", format!("{}:6443", site.cluster.control())),
            ],
        )?;
        for node in site.cluster.nodes().filter(|node| node.socket().exists()) {
            export(node, &site.folder)?;
        }
        let arguments = [
            format!("--config.file={}", site.file("prometheus.yml")),
            format!("--storage.tsdb.path={}", site.file("data")),
            format!("--web.listen-address={}:{PORT}", site.address()),
        ];
        let mut started = site.place(&[]).start(&site.program("prometheus"), arguments)?;
        let ready = format!("http://{}:{PORT}/-/ready", site.address());
        started.until("ready", Duration::from_secs(60), || {
            let mut curl = site.curl(&["--fail", &ready]);
            curl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        })
    }

    fn access(&self, cluster: &Cluster) -> Value {
        json!({"url": format!("http://{}:{PORT}", cluster.around())})
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        kubectl::apply(site.cluster, POD)?;
        let nodes = site.cluster.nodes().count();
        for (query, expected) in [
            ("up{job=\"apiserver\"} == 1", 1),
            ("up{job=\"kubelet\"} == 1", nodes),
            ("up{job=\"node\"} == 1", nodes),
            ("count by (pod) (container_cpu_usage_seconds_total{namespace=\"default\", pod=~\"web-.+\"})", nodes),
            ("node_memory_MemTotal_bytes{node=\"node2\"} > 0", 1),
            ("trial_berths{pod=\"metrics\", namespace=\"default\", app=\"trial\"} == 3", 1),
        ] {
            // A target is asked every five seconds, once it is found.
            wait(query, Duration::from_secs(90), || Ok(results(site, query)? == expected))?;
        }
        Ok(())
    }
}

/// Debian's node-exporter, taken out of its package: nothing is installed, so nothing of the machine's own starts.
fn node_exporter() -> Result<PathBuf> {
    let release = read(Path::new("/etc/os-release"))?;
    let folder = kept("node-exporter", &[&release], "Unpacking Debian's node-exporter", unpack)?;
    Ok(folder.join("usr/bin/prometheus-node-exporter"))
}

fn unpack(folder: &Path) -> Result<()> {
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        bail!("node-exporter is taken from Debian's package: this machine has no apt-get");
    }
    run(Command::new("apt-get").args(["--quiet=2", "update"]))?;
    let work = folder.join("work");
    fs::create_dir_all(&work)?;
    let mut download = Command::new("apt-get");
    // Its own user may not write here.
    download.args(["--quiet=2", "--option", "APT::Sandbox::User=root", "download", "prometheus-node-exporter"]);
    run(download.current_dir(&work))?;
    for package in fs::read_dir(&work)? {
        run(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(folder))?;
    }
    fs::remove_dir_all(&work).context("cannot clean up")
}

/// Starts node-exporter on a node, unless it runs there: it goes with the node's power.
///
/// # Errors
/// It does not come up.
pub fn export(node: Node<'_>, folder: &Path) -> Result<()> {
    let at = format!("{}:{EXPORTER}", node.address());
    if TcpStream::connect(&at).is_ok() {
        return Ok(());
    }
    let place = Place {
        cgroup: format!("{}/system", node.cgroup()),
        inside: network::inside(&node.netns()),
        log: folder.join("log").join(format!("{}.log", node.name())),
    };
    let program = node_exporter()?.display().to_string();
    let mut started = place.start(&program, [format!("--web.listen-address={at}")])?;
    started.until("listening", Duration::from_secs(30), || TcpStream::connect(&at).is_ok())
}

/// How many series a query finds.
fn results(site: &Site<'_>, query: &str) -> Result<usize> {
    let mut curl = site.curl(&["--fail", "--get", "--data-urlencode", &format!("query={query}")]);
    let answer = output(curl.arg(format!("{}/api/v1/query", site.access("url"))))?;
    let answer: Value = serde_json::from_slice(&answer).context("Prometheus answers no JSON")?;
    answer["data"]["result"].as_array().map(Vec::len).with_context(|| format!("Prometheus answers {answer}"))
}

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: metrics
  namespace: default
  labels: {app: trial}
  # Text, by its name: Prometheus takes nothing else.
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080", prometheus.io/path: /metrics.txt}
spec:
  containers:
  - name: metrics
    image: busybox:1
    command: [sh, -c, "mkdir /tmp/www && echo trial_berths 3 >/tmp/www/metrics.txt && exec httpd -f -p 8080 -h /tmp/www"]
"#;
