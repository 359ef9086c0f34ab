//! `cluster install-check`: Berth's chart is installed by Helm, used, upgraded, robbed of its leader and its database, and
//! removed, as an operator would meet it.

mod agent;
mod database;
mod failover;
mod helm;
mod outside;
mod portal;
mod rights;
mod traffic;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use self::{database::Database, helm::Release, portal::Portal, rights::Accounts};
use crate::{
    cluster::{addons::Addon, images, kubectl, layout::Cluster, process, services::Service, with::Extra},
    image,
    shell::{output, run as run_command, say, seconds, step},
    workspace::{Profile, Workspace},
};

/// What the cluster has for it.
pub const NEEDS: &[Extra] = &[
    Extra::Addon(Addon::Dns),
    Extra::Addon(Addon::Ingress),
    Extra::Addon(Addon::Storage),
    // So that the chart's NetworkPolicy is not only there.
    Extra::Addon(Addon::Policy),
    Extra::Service(Service::Postgres),
];
const CHART: &str = "deploy/chart";
const RELEASE: &str = "berth";
const NAMESPACE: &str = "berth-system";
/// By which people open it; the ingress controller goes by it.
const HOST: &str = "berth.test";
/// The namespace of an agent, and what its accounts' names begin with.
const AGENT: &str = "berth-agent";
/// The tag of what is upgraded to.
const NEXT: &str = "next";
/// What the admin chooses.
const PASSWORD: &str = "correct horse battery";
/// Tenants of the four portals: with SQLite and Postgres in the cluster, outside of it, and one that an agent calls.
const TENANTS: [&str; 4] = ["harbour", "lagoon", "reef", "atoll"];
const APP: &str = "web";
/// For what has no limit of its own: long, as a machine that has other work to do is slow, but not wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does it, on a cluster with DNS, ingress, storage and PostgreSQL.
///
/// # Errors
/// The chart or what it installs does not do what it should.
pub fn run(workspace: &Workspace, cluster: &Cluster, image: Option<&Path>, profile: Profile) -> Result<()> {
    let archive = image.map_or_else(|| workspace.target("image/install-check.tar"), Path::to_path_buf);
    if image.is_none() {
        image::build(workspace, profile, &[image::VERSION, NEXT], &archive)?;
    }
    let release = Release::new(workspace, cluster, CHART, RELEASE, NAMESPACE)?;
    step("Bringing the image onto the nodes", || images::spread(cluster, &archive).map(drop))?;
    let ingress: Ipv4Addr = cluster.service(80).parse()?;
    let portal = Portal { address: (ingress, 80).into(), host: HOST.to_owned(), token: String::new() };
    let mut check = Check { cluster, release, portal };
    check.clear()?;
    check.refusals()?;
    check.on_sqlite()?;
    check.on_postgres()?;
    check.outside(&archive, TENANTS[2])?;
    check.by_agent(&archive, TENANTS[3])?;
    check.clear()
}

struct Check<'a> {
    cluster: &'a Cluster,
    release: Release,
    portal: Portal,
}

/// A pod, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pod {
    name: String,
    uid: String,
    image: String,
    address: String,
    node: String,
    /// Another one after each restart.
    container: String,
}

impl Check<'_> {
    /// Away with what an earlier call left.
    fn clear(&self) -> Result<()> {
        step("Clearing away", || {
            if self.release.is_installed()? {
                self.uninstall()?;
            }
            let mut delete = kubectl::kubectl(self.cluster);
            delete.args(["delete", "namespace", "--ignore-not-found", "--wait", "--timeout=120s", NAMESPACE, AGENT]);
            run_command(delete.args(TENANTS.map(in_cluster)).stdout(Stdio::null()))
        })
    }

    /// Values that contradict each other or are none: refused with what would do, before anything is there.
    fn refusals(&self) -> Result<()> {
        step("The chart: lint, and values that cannot be", || {
            self.release.lint(&sqlite())?;
            let both = json!({"database": {"existingSecret": "a"}, "persistence": {"enabled": true}});
            for (values, words) in [
                (json!({"replicas": 2}), "replicas: more than one needs Postgres"),
                (json!({"ingress": {"enabled": true}}), "ingress.enabled needs ingress.host"),
                (json!({"ingress": {"host": HOST}}), "ingress.host is set, but ingress.enabled is not"),
                (both, "persistence.enabled is for SQLite"),
                (json!({"database": {"existingSecret": "a", "url": "postgres://a:b@c/d"}}), "both name the database"),
                (json!({"replica": 2}), "replica"),
                (json!({"replicas": 0}), "replicas"),
                (json!({"database": {"url": "mysql://a:b@c/d"}}), "database.url is not of the form"),
                (json!({"settings": {"listen": "0.0.0.0:80"}}), "settings.listen is set by the chart"),
            ] {
                for verb in ["template", "install"] {
                    match self.release.refusal(verb, &values)? {
                        Some(said) if said.contains(words) => {}
                        said => bail!("helm {verb} with {values} does not say `{words}`, but {said:?}"),
                    }
                }
            }
            if self.release.is_installed()? { bail!("a refused install left a release") } else { Ok(()) }
        })
    }

    /// One replica, SQLite on a volume: install, main job, rights, uninstall, install again.
    fn on_sqlite(&mut self) -> Result<()> {
        let tenant = TENANTS[0];
        // The namespace refuses pods that may more than they need.
        kubectl::apply(self.cluster, &namespace())?;
        step("helm install, SQLite on a volume", || self.release.deploy("install", &sqlite()))?;
        self.enter()?;
        step("The main job, through the ingress", || {
            self.portal.create_tenant(tenant)?;
            self.portal.deploy(tenant, APP)?;
            self.portal.until_ready(tenant, APP)
        })?;
        self.rights(Accounts { namespace: NAMESPACE, prefix: RELEASE })?;
        self.doctor()?;

        let before = self.pods(&in_cluster(tenant), "")?;
        step("helm uninstall leaves the app running", || {
            self.uninstall()?;
            self.unchanged(tenant, &before)
        })?;
        step("helm install finds it again", || {
            self.release.deploy("install", &sqlite())?;
            // The token is one of before: so the volume is, too.
            self.until_open("/api/v1/tenants")?;
            self.portal.until_ready(tenant, APP)?;
            self.unchanged(tenant, &before)
        })?;
        step("helm uninstall", || self.uninstall())
    }

    /// Two replicas on Postgres: both serve, one dies, a new release comes, the database is lost and restored.
    fn on_postgres(&mut self) -> Result<()> {
        let tenant = TENANTS[1];
        let database = Database::find(self.cluster)?;
        database.drop()?;
        database.create()?;
        self.secrets(&database)?;
        step("helm install, two replicas on Postgres", || {
            self.release.deploy("install", &postgres(image::VERSION, 2))
        })?;
        self.enter()?;
        step("The main job, and both replicas answer", || {
            self.portal.create_tenant(tenant)?;
            self.portal.deploy(tenant, APP)?;
            self.portal.until_ready(tenant, APP)?;
            let replicas = self.replicas()?;
            if replicas.len() != 2 {
                bail!("there are other replicas than two: {replicas:?}");
            }
            replicas.iter().try_for_each(|pod| self.by(pod)?.until_ready(tenant, APP))
        })?;
        self.doctor()?;
        self.failover(tenant)?;
        self.upgrade()?;
        self.restore(&database, tenant)?;
        step("helm uninstall", || self.uninstall())?;
        database.drop()
    }

    /// To another image, while people use it.
    fn upgrade(&self) -> Result<()> {
        let (traffic, upgraded) = step(&format!("helm upgrade, under {} requests a second", traffic::RATE), || {
            traffic::during(&self.portal, || {
                self.release.deploy("upgrade", &postgres(NEXT, 2))?;
                process::wait("only new pods", PATIENCE, || {
                    let replicas = self.replicas()?;
                    Ok(replicas.len() == 2 && replicas.iter().all(|pod| pod.image.ends_with(&format!(":{NEXT}"))))
                })
            })
        })?;
        let (sent, failed) = (traffic.sent, traffic.failed.len());
        say(&format!(
            "{sent} requests in {}, {failed} failed; the slowest took {}",
            seconds(traffic.time),
            seconds(traffic.slowest)
        ));
        // What people met is worth knowing even where Helm gave up.
        upgraded?;
        #[allow(clippy::cast_precision_loss)]
        let rate = sent as f64 / traffic.time.as_secs_f64();
        if rate < f64::from(traffic::RATE) * 0.9 {
            bail!("only {rate:.0} requests a second were sent: this proves nothing");
        }
        if failed > 0 {
            bail!("requests failed:\n  {}", traffic.failed[..failed.min(10)].join("\n  "));
        }
        Ok(())
    }

    /// The database is dumped, changed, lost and restored: all is as at the dump, and what runs has not noticed.
    fn restore(&self, database: &Database, tenant: &str) -> Result<()> {
        step("The database: dumped, dropped, restored", || {
            let tenants = self.portal.tenants()?;
            let pods = self.pods(&in_cluster(tenant), "")?;
            let file = self.cluster.path("install-check.dump");
            fs::write(&file, database.dump()?).with_context(|| format!("cannot write {}", file.display()))?;
            self.portal.create("/api/v1/tenants", &json!({"name": "after-the-dump"}))?;
            self.scale(0)?;
            database.drop()?;
            database.create()?;
            database.restore(&file)?;
            self.scale(2)?;
            self.until_open("/api/v1/tenants")?;
            let now = self.portal.tenants()?;
            if now != tenants {
                bail!("there were {tenants:?}, and now there are {now:?}");
            }
            self.portal.until_ready(tenant, APP)?;
            self.unchanged(tenant, &pods)?;
            fs::remove_file(&file).context("cannot clean up")
        })
    }

    /// Removes it. Helm does not wait for pods, which go on answering for a while.
    fn uninstall(&self) -> Result<()> {
        self.release.uninstall()?;
        process::wait("no pod of Berth's", PATIENCE, || Ok(self.replicas()?.is_empty()))
    }

    /// Signs in as the first admin, with the password that the log has, and takes a token.
    fn enter(&mut self) -> Result<()> {
        step("Signing in with the one-time password", || {
            let password = self.one_time_password()?;
            self.until_open("/healthz")?;
            self.portal.sign_in("admin", &password, PASSWORD)?;
            let said = self.berth(&["admin", "create-token", "admin"])?;
            self.portal.token = said.trim().to_owned();
            self.portal.tenants().map(drop)
        })
    }

    /// What the first start said, in whichever pod that was. A kubelet that has much to do may not hand out logs at once.
    fn one_time_password(&self) -> Result<String> {
        let mut found = None;
        process::wait("the one-time password in the log", PATIENCE, || {
            let mut logs = kubectl::kubectl(self.cluster);
            logs.args(["logs", "--namespace", NAMESPACE, "--selector", &selector(), "--tail=-1"]);
            let log = logs.stdin(Stdio::null()).output().context("cannot start kubectl")?.stdout;
            let log = String::from_utf8_lossy(&log);
            found = log.lines().find_map(|line| line.strip_prefix("one-time password: ")).map(str::to_owned);
            Ok(found.is_some())
        })?;
        found.context("no one-time password in the log")
    }

    /// Waits until what is at `path` is answered through the ingress.
    fn until_open(&self, path: &str) -> Result<()> {
        process::wait("the ingress leads to it", PATIENCE, || {
            Ok(self.portal.ask("GET", path, None).is_ok_and(|(status, _)| status == 200))
        })
    }

    /// Each of the identities may do what it should, and no more.
    fn rights(&self, accounts: Accounts) -> Result<()> {
        let asked = step("What each identity may do and what not", || rights::check(self.cluster, accounts))?;
        say(&format!("{asked} questions, each answered as it should be"));
        Ok(())
    }

    /// `berth doctor` in a pod finds nothing that keeps Berth from working.
    fn doctor(&self) -> Result<()> {
        step("berth doctor", || self.berth(&["doctor"]).map(|found| eprint!("{found}")))
    }

    /// Berth's command line, in one of its pods.
    fn berth(&self, arguments: &[&str]) -> Result<String> {
        let mut exec = kubectl::kubectl(self.cluster);
        exec.args(["exec", "--namespace", NAMESPACE, &format!("deployment/{RELEASE}"), "--", "/berth"]);
        Ok(String::from_utf8(output(exec.args(arguments))?)?)
    }

    fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let pods = kubectl::get(self.cluster, &["pods", "--namespace", namespace, "--selector", selector])?;
        let mut all: Vec<_> = pods["items"].as_array().into_iter().flatten().map(pod).collect();
        all.sort();
        Ok(all)
    }

    /// The pods of Berth itself.
    fn replicas(&self) -> Result<Vec<Pod>> {
        self.pods(NAMESPACE, &selector())
    }

    fn ready_replicas(&self) -> Result<u64> {
        let deployment = kubectl::get(self.cluster, &["deployment", RELEASE, "--namespace", NAMESPACE])?;
        Ok(deployment["status"]["readyReplicas"].as_u64().unwrap_or(0))
    }

    /// Straight to one of them.
    fn by(&self, pod: &Pod) -> Result<Portal> {
        let address: Ipv4Addr = pod.address.parse().with_context(|| format!("{} has no address", pod.name))?;
        Ok(self.portal.at(SocketAddr::from((address, 8080))))
    }

    fn scale(&self, replicas: usize) -> Result<()> {
        let mut scale = kubectl::kubectl(self.cluster);
        scale.args(["scale", "deployment", RELEASE, "--namespace", NAMESPACE, &format!("--replicas={replicas}")]);
        run_command(scale.stdout(Stdio::null()))?;
        process::wait(&format!("{replicas} replicas"), PATIENCE, || {
            Ok(self.replicas()?.len() == replicas && self.ready_replicas()? == replicas as u64)
        })
    }

    /// Whether the app's pods are the same as before.
    fn unchanged(&self, tenant: &str, before: &[Pod]) -> Result<()> {
        let now = self.pods(&in_cluster(tenant), "")?;
        if now != before || now.is_empty() {
            bail!("the app's pods are not the same any more: {before:?}, and now {now:?}");
        }
        Ok(())
    }

    /// What the chart is told of the database.
    fn secrets(&self, database: &Database) -> Result<()> {
        let authority = fs::read_to_string(&database.authority)
            .with_context(|| format!("cannot read {}", database.authority.display()))?;
        for (name, key, content) in
            [("database", "url", database.url("/etc/berth/database/ca.crt")), ("database-ca", "ca.crt", authority)]
        {
            let secret = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "stringData": {key: content},
            });
            kubectl::apply(self.cluster, &secret.to_string())?;
        }
        Ok(())
    }
}

fn pod(object: &Value) -> Pod {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Pod {
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
        image: text("/spec/containers/0/image"),
        address: text("/status/podIP"),
        node: text("/spec/nodeName"),
        container: text("/status/containerStatuses/0/containerID").trim_start_matches("containerd://").to_owned(),
    }
}

/// Finds the pods of Berth itself.
fn selector() -> String {
    format!("app.kubernetes.io/instance={RELEASE}")
}

/// What the cluster calls a tenant's namespace `dev`.
fn in_cluster(tenant: &str) -> String {
    format!("{tenant}-dev")
}

/// Where Berth is installed: under the strictest of the Pod Security Standards.
fn namespace() -> String {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}).to_string()
}

/// Values for one replica. The ingress controller of the test cluster knows no TLS, so it ends in front of it.
fn sqlite() -> Value {
    json!({"ingress": {"enabled": true, "host": HOST, "tls": {"enabled": false}}})
}

/// Values for several.
fn postgres(tag: &str, replicas: usize) -> Value {
    let mut values = sqlite();
    values["image"] = json!({"tag": tag});
    values["replicas"] = json!(replicas);
    values["database"] = json!({"existingSecret": "database", "caSecret": "database-ca"});
    // It is an unoptimised build that is kept busy: with the chart's own 50m it starves beside the cluster on two cores, and new
    // connections to the database take longer than people wait.
    values["resources"] = json!({"requests": {"cpu": "700m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}});
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read() {
        let object = json!({
            "metadata": {"name": "a", "uid": "1"},
            "spec": {"nodeName": "node2", "containers": [{"image": "berth:next"}]},
            "status": {"containerStatuses": [{"containerID": "containerd://c0ffee"}]},
        });
        let [name, uid, image, node, container] = ["a", "1", "berth:next", "node2", "c0ffee"].map(str::to_owned);
        assert_eq!(pod(&object), Pod { name, uid, image, address: String::new(), node, container });
    }
}
