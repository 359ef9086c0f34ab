//! A portal that does not reach the cluster, and the agent that calls it from there: the manifest as an admin is given it.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{AGENT, APP, Check, PASSWORD, PATIENCE, outside::Outside, portal::Portal, rights::Accounts};
use crate::{
    cluster::{
        certificates::{Authority, write},
        kubectl,
        layout::Cluster,
        process,
    },
    needs,
    shell::{run, step},
};

/// What the portal calls the cluster.
const NAME: &str = "far";
/// Where browsers and agents open the portal.
const PORT: u16 = 8443;

impl Check<'_> {
    /// The main job in a cluster that only its agent leads to; the app outlives the agent's pod, and the agent.
    pub(super) fn by_agent(&self, image: &Path, tenant: &str) -> Result<()> {
        let mut outside = Outside::elsewhere(self.cluster, image)?;
        let (portal, front) = step("A portal elsewhere, behind a proxy that ends TLS", || {
            let (mut portal, one_time) = outside.serve()?;
            let front = Front::start(self.cluster, portal.address)?;
            portal.host = format!("{}:{PORT}", self.cluster.host());
            portal.sign_in("admin", &one_time, PASSWORD)?;
            portal.token = outside.berth(&["admin", "create-token", "admin"])?.trim().to_owned();
            Ok((portal, front))
        })?;
        let manifest = step("An agent calls it from the cluster", || {
            let made = portal.create("/api/v1/agent-clusters", &json!({"name": NAME}))?;
            let manifest = made["manifest"].as_str().context("the answer has no manifest")?.to_owned();
            kubectl::apply(self.cluster, &manifest)?;
            // As OPERATIONS.md says, where the world does not know who signed the portal's certificate.
            kubectl::apply(self.cluster, &authorities(&front.authority).to_string())?;
            let mut restart = kubectl::kubectl(self.cluster);
            restart.args(["rollout", "restart", "deployment", AGENT, "--namespace", AGENT]);
            run(restart.stdout(Stdio::null()))?;
            until_called(&portal, &Value::Null)?;
            Ok(manifest)
        })?;
        self.rights(Accounts { namespace: AGENT, prefix: AGENT })?;
        step("The main job, through the agent", || {
            portal.create_tenant_on(tenant, Some(NAME))?;
            portal.deploy(tenant, APP)?;
            portal.until_ready(tenant, APP)?;
            let path = format!("/api/v1/tenants/{tenant}/namespaces/dev/apps/{APP}/logs?tail=1");
            portal.get(&path).map(drop)
        })?;
        step("Its pod is lost, and another calls", || {
            let pods = || self.pods(&super::in_cluster(tenant), "");
            let (before, call) = (pods()?, portal.get(&cluster())?["agent"]["since"].clone());
            let mut lose = kubectl::kubectl(self.cluster);
            run(lose.args(["delete", "pod", "--namespace", AGENT, "--all", "--wait"]).stdout(Stdio::null()))?;
            until_called(&portal, &call)?;
            let path = format!("/api/v1/tenants/{tenant}/namespaces/dev/apps/{APP}/restart");
            match portal.ask("POST", &path, Some(&json!({})))? {
                (200, _) => {}
                (status, said) => bail!("POST {path}: {status} {said}"),
            }
            process::wait("other pods of the app", PATIENCE, || {
                let now = pods()?;
                Ok(now.len() == 2 && now.iter().all(|pod| before.iter().all(|old| old.uid != pod.uid)))
            })?;
            portal.until_ready(tenant, APP)
        })?;
        let before = self.pods(&super::in_cluster(tenant), "")?;
        step("kubectl delete leaves the app running", || {
            kubectl::delete(self.cluster, &manifest)?;
            process::wait("the cluster away, for its agent's sake", PATIENCE, || {
                let now = portal.get(&cluster())?;
                let why = now["reason"].as_str().unwrap_or_default();
                Ok(now["health"] == "away" && why.contains("agent does not call"))
            })?;
            self.unchanged(tenant, &before)
        })?;
        outside.stop()
    }
}

fn cluster() -> String {
    format!("/api/v1/clusters/{NAME}")
}

/// Waits until it is followed by another call than the one that began at `before`.
fn until_called(portal: &Portal, before: &Value) -> Result<()> {
    process::wait("the agent's call", PATIENCE, || {
        let now = portal.get(&cluster())?;
        let agent = &now["agent"];
        Ok(now["health"] == "live" && agent["tunnels"] == 1 && agent["since"] != *before)
    })
}

/// Whom the agent trusts.
fn authorities(pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "berth-agent-ca", "namespace": AGENT},
        "data": {"ca.crt": pem},
    })
}

/// What ends TLS on the address of this machine that the cluster's pods reach.
struct Front {
    proxy: Child,
    /// Who signed its certificate.
    authority: String,
}

impl Front {
    fn start(cluster: &Cluster, portal: SocketAddr) -> Result<Self> {
        let program = needs::socat()?;
        let authority = Authority::generate()?;
        let identity = authority.identity("portal", None, &[cluster.host()])?;
        let file = cluster.path("elsewhere/front.pem");
        write(&file, &format!("{}{}", identity.certificate, identity.key))?;
        let log = cluster.path("elsewhere/front.log");
        let said = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut socat = Command::new(program);
        // No check of who calls: that is what the token is for.
        socat.arg(format!(
            "OPENSSL-LISTEN:{PORT},bind={},reuseaddr,fork,verify=0,cert={}",
            cluster.host(),
            file.display()
        ));
        socat.arg(format!("TCP:{portal}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        Ok(Self { proxy: socat.spawn().context("cannot start socat")?, authority: authority.pem })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}
