//! An OCI registry with TLS and a password: distribution. Nodes know it as `registry.berth.test:5000`.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, attempt, ca, go_program},
};
use crate::{
    cluster::{
        certificates::write,
        images, kubectl,
        layout::{Cluster, Node},
        process::wait,
    },
    needs,
    shell::{run, which},
    workspace::Workspace,
};

const PORT: u16 = 5000;
/// What an image's name begins with.
const NAME: &str = "registry.berth.test:5000";
const USER: &str = "berth";
/// `htpasswd` beside the settings has its hash.
const PASSWORD: &str = "registry-for-tests";

/// It.
pub struct Registry;

impl Kind for Registry {
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        // What brings images into it.
        needs::install_unless(|| which("skopeo"), "skopeo", &["skopeo"])?;
        go_program(workspace, "registry", "github.com/distribution/distribution/v3/cmd/registry")
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        site.fill("htpasswd", &[])?;
        site.fill(
            "config.yml",
            &[
                ("FOLDER", site.folder.display().to_string()),
                ("ADDRESS", site.address()),
                ("PORT", PORT.to_string()),
                ("CERTIFICATE", site.file("tls.crt")),
                ("KEY", site.file("tls.key")),
                ("HTPASSWD", site.file("htpasswd")),
            ],
        )?;
        // Otherwise it looks for a collector of traces, again and again.
        let traces = ["env", "OTEL_TRACES_EXPORTER=none"];
        site.serve(&traces, &site.program("registry"), &["serve", &site.file("config.yml")], PORT)?;
        site.cluster.nodes().try_for_each(trust)
    }

    fn access(&self, cluster: &Cluster) -> Value {
        json!({
            "url": format!("https://{}:{PORT}", cluster.around()),
            "name": NAME,
            "ca": ca(cluster),
            "user": USER,
            "password": PASSWORD,
        })
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        let image = format!("docker-archive:{}:berth.test/fixture:1", images::build(site.workspace)?.display());
        let push = |password: &str| {
            let mut skopeo = Command::new("skopeo");
            skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-creds", &format!("{USER}:{password}")]);
            skopeo.arg(&image).arg(format!("docker://{}:{PORT}/team-a/web:1", site.address()));
            attempt(skopeo.env("SSL_CERT_FILE", ca(site.cluster)))
        };
        let (done, said) = push(PASSWORD)?;
        if !done {
            bail!("it does not take an image: {said}");
        }
        if push("wrong")?.0 {
            bail!("it takes an image with a wrong password");
        }
        let mut secret = kubectl::kubectl(site.cluster);
        secret.args(["create", "secret", "docker-registry", "pull", "--docker-server", NAME]);
        run(secret.args(["--docker-username", USER, "--docker-password", PASSWORD]))?;
        kubectl::apply(site.cluster, &PODS.replace("${NAME}", NAME))?;
        let pod = |name: &str| kubectl::get(site.cluster, &["pod", name]);
        wait("a pod with the secret runs", Duration::from_secs(60), || {
            Ok(pod("pulls")?["status"]["phase"] == "Running")
        })?;
        wait("one without cannot pull", Duration::from_secs(60), || {
            let reason = &pod("may-not-pull")?["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
            Ok(reason == "ErrImagePull" || reason == "ImagePullBackOff")
        })
    }
}

/// Tells a node's containerd how to reach it, by name and by address.
fn trust(node: Node<'_>) -> Result<()> {
    let at = format!("{}:{PORT}", node.cluster.around());
    for name in [NAME, &at] {
        let folder = node.dir().join("var/lib/containerd/certs.d").join(name);
        fs::create_dir_all(&folder)?;
        // The authority is where the node sees it.
        let host = format!("[host.\"https://{at}\"]\n  capabilities = [\"pull\", \"resolve\"]");
        let hosts = format!("server = \"https://{at}\"\n{host}\n  ca = \"/var/lib/node/ca.crt\"\n");
        write(&folder.join("hosts.toml"), &hosts)?;
    }
    Ok(())
}

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: pulls, namespace: default}
spec:
  imagePullSecrets: [{name: pull}]
  containers: [{name: web, image: "${NAME}/team-a/web:1", imagePullPolicy: Always}]
---
apiVersion: v1
kind: Pod
metadata: {name: may-not-pull, namespace: default}
spec:
  containers: [{name: web, image: "${NAME}/team-a/web:1", imagePullPolicy: Always}]
"#;
