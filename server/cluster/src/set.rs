//! The clusters that this process knows: the configured one, and those that were registered. Each has its own connection, cache,
//! controller and end: what becomes of one touches none of the others.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use berth_core::{
    Error, Result,
    env::Clock,
    ports::{
        agents::Call,
        cluster::{Cluster, Clusters, Finding, Verdict},
        clusters::{Looked, Registrar},
        relay::Duplex,
    },
};
use berth_types::{ClusterId, ErrorCode};
use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    KubeCluster,
    agents::{Called, Hub},
    check::check,
    connection::Connection,
    error::Target,
    json::{listed, text},
    lease::Replica,
    rest::{Kind, Rest},
};

/// How often what Berth installs in a cluster is looked after.
const KEEP: Duration = Duration::from_secs(30);
/// The first wait after something failed, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long what runs for a cluster may take to end.
const END: Duration = Duration::from_secs(10);

/// A cluster and what ends it.
struct Member {
    cluster: Arc<KubeCluster>,
    /// The generation of the kubeconfig that leads to it; none: it is the configured one.
    generation: Option<i64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// As which process it works on clusters.
struct Host {
    replica: Replica,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

/// The clusters that Berth knows.
pub struct ClusterSet {
    members: RwLock<BTreeMap<ClusterId, Member>>,
    hub: Arc<Hub>,
    host: Host,
}

impl ClusterSet {
    /// None yet; as `replica` it works on those that come, until `stop`.
    #[must_use]
    pub fn new(replica: Replica, clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        Self { members: RwLock::default(), hub: Arc::default(), host: Host { replica, clock, stop } }
    }

    /// Works on a cluster from now on; `generation` is that of the kubeconfig that leads to it, none for the configured one.
    pub fn begin(&self, id: &ClusterId, connection: Connection, generation: Option<i64>) -> Arc<KubeCluster> {
        self.start(id, connection, generation, true)
    }

    /// The same; `there` says whether it should answer at once.
    fn start(&self, id: &ClusterId, connection: Connection, generation: Option<i64>, there: bool) -> Arc<KubeCluster> {
        let host = &self.host;
        let cluster = KubeCluster::new(id.clone(), connection, host.clock.clone());
        cluster.elect(host.replica.clone());
        let (stop, tasks) = (host.stop.child_token(), TaskTracker::new());
        if there {
            tasks.spawn(say_what_is_wrong(cluster.clone(), stop.clone()));
        }
        tasks.spawn(install(cluster.clone(), stop.clone()));
        tasks.spawn(keep_roles(cluster.clone(), stop.clone()));
        tasks.spawn(cluster.clone().run(stop.clone()));
        tasks.spawn(cluster.clone().run_controller(stop.clone()));
        tasks.close();
        let member = Member { cluster: cluster.clone(), generation, stop, tasks };
        self.members.write().insert(id.clone(), member);
        cluster
    }

    /// Waits until all shall end, and what runs for clusters has ended.
    pub async fn ended(&self) {
        self.host.stop.cancelled().await;
        let tasks: Vec<TaskTracker> = self.members.read().values().map(|member| member.tasks.clone()).collect();
        for tasks in tasks {
            tasks.wait().await;
        }
    }

    /// Ends what runs for a cluster, and waits for it: what comes next may have the same lease.
    async fn end(&self, id: &ClusterId) {
        let Some(member) = self.members.write().remove(id) else { return };
        member.stop.cancel();
        if let Some(generation) = member.generation {
            self.hub.remove(id, generation);
        }
        if tokio::time::timeout(END, member.tasks.wait()).await.is_err() {
            tracing::warn!(cluster = %id, "what ran for a cluster did not end in time");
        }
    }
}

impl Clusters for ClusterSet {
    fn get(&self, id: &ClusterId) -> Result<Arc<dyn Cluster>> {
        let found = self.members.read().get(id).map(|member| member.cluster.clone() as Arc<dyn Cluster>);
        found.ok_or_else(|| Error::new(ErrorCode::ClusterUnavailable, format!("the cluster “{id}” is not known here")))
    }

    fn all(&self) -> Vec<Arc<dyn Cluster>> {
        let members = self.members.read();
        let mut all: Vec<&Member> = members.values().collect();
        // The configured one is the first, whatever it is called.
        all.sort_by_key(|member| member.generation.is_some());
        all.into_iter().map(|member| member.cluster.clone() as Arc<dyn Cluster>).collect()
    }
}

#[async_trait]
impl Registrar for ClusterSet {
    async fn look(&self, kubeconfig: &SecretString) -> Result<Looked> {
        let connection = Connection::from_text(kubeconfig.expose_secret()).await?;
        Ok(look(&connection, Some(&self.host.replica.installation), self.host.clock.now()).await)
    }

    fn connected(&self) -> Vec<(ClusterId, i64)> {
        let members = self.members.read();
        members.iter().filter_map(|(id, member)| Some((id.clone(), member.generation?))).collect()
    }

    async fn connect(&self, id: &ClusterId, generation: i64, kubeconfig: &SecretString) -> Result<()> {
        let connection = Connection::from_text(kubeconfig.expose_secret()).await?;
        self.end(id).await;
        self.begin(id, connection, Some(generation));
        tracing::info!(cluster = %id, "a cluster that was registered is connected");
        Ok(())
    }

    async fn disconnect(&self, id: &ClusterId) {
        self.end(id).await;
        tracing::info!(cluster = %id, "a cluster that was removed is let go of");
    }

    async fn expect(&self, id: &ClusterId, generation: i64, seen: Option<jiff::Timestamp>) {
        self.end(id).await;
        let connection = self.hub.expect(id, generation, seen).connection();
        self.start(id, connection, Some(generation), false);
        tracing::info!(cluster = %id, "a cluster whose agent calls is expected");
    }

    async fn hear(&self, call: Box<dyn Duplex>) -> Result<Box<dyn Call>> {
        let Host { replica, clock, .. } = &self.host;
        Ok(Box::new(Called::hear(call, self.hub.clone(), (replica.clone(), clock.clone())).await?))
    }

    fn replica(&self) -> String {
        self.host.replica.name.clone()
    }
}

/// Looks at a cluster: what Berth needs of it, and which one it is.
pub(crate) async fn look(connection: &Connection, installation: Option<&str>, now: jiff::Timestamp) -> Looked {
    let rest = Rest::new(connection.reader.clone());
    let begun = Instant::now();
    let version = rest.get::<Value>(&Target::new("the version", ""), "/version").await.ok();
    let latency = version.as_ref().map(|_| u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
    let findings = check(connection, installation, now).await;
    Looked {
        findings,
        version: version.and_then(|version| version["gitVersion"].as_str().map(str::to_owned)),
        latency_ms: latency,
        identity: if latency.is_some() { identity(connection).await.ok() } else { None },
    }
}

/// Which cluster it is: the id of a namespace that every cluster has for as long as it lives.
pub(crate) async fn identity(connection: &Connection) -> Result<String> {
    let path = Kind::NAMESPACE.at("", "kube-system");
    let rest = Rest::new(connection.controller.clone());
    let found = rest.get::<Value>(&Target::new("the namespace", "kube-system"), &path).await?;
    match text(&found, "/metadata/uid") {
        "" => Err(Error::new(ErrorCode::ClusterUnavailable, "the cluster does not say which one it is")),
        uid => Ok(uid.to_owned()),
    }
}

/// How many volumes are bound to the claims of each namespace.
pub(crate) async fn volumes(connection: &Connection) -> Result<BTreeMap<String, usize>> {
    let rest = Rest::new(connection.reader.clone());
    let list = rest.get::<Value>(&Target::new("the volumes", ""), &Kind::VOLUME.all()).await?;
    let mut all = BTreeMap::new();
    for volume in listed(&list) {
        let namespace = text(volume, "/spec/claimRef/namespace");
        if !namespace.is_empty() {
            *all.entry(namespace.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(all)
}

/// What `berth doctor` would say of a cluster, where it is not good.
async fn say_what_is_wrong(cluster: Arc<KubeCluster>, stop: CancellationToken) {
    let Some(looked) = stop.run_until_cancelled(cluster.look()).await else { return };
    for Finding { what, verdict, found, fix } in looked.findings {
        let (cluster, fix) = (cluster.id.as_str(), fix.unwrap_or_default());
        match verdict {
            Verdict::Good => {}
            Verdict::Lacking => tracing::info!(cluster, found, fix, "{what}: only some apps need it"),
            Verdict::Bad => tracing::error!(cluster, found, fix, "{what}: Berth does not work like this"),
        }
    }
}

/// Installs the definitions, and again whenever they are not there any more: a cluster may be restored from a backup, or made
/// anew under the same address. Every replica does, as a newer one must not wait for the older ones to end: nobody puts an
/// older definition in the place of a newer one.
async fn install(cluster: Arc<KubeCluster>, stop: CancellationToken) {
    let work = || cluster.ensure_crds();
    again_and_again(&cluster, &stop, work, "the definitions could not be installed").await;
}

/// Keeps the roles that Berth gives to people in a cluster.
async fn keep_roles(cluster: Arc<KubeCluster>, stop: CancellationToken) {
    let work = || async {
        cluster.led().await;
        cluster.ensure_cluster_roles().await.map(drop)
    };
    again_and_again(&cluster, &stop, work, "the roles could not be made").await;
}

/// Does it every so often, sooner after a failure, until told to stop.
async fn again_and_again<F: Future<Output = Result<()>>>(
    cluster: &KubeCluster,
    stop: &CancellationToken,
    work: impl Fn() -> F,
    trouble: &str,
) {
    let forever = async {
        let mut wait = AGAIN.0;
        loop {
            let next = match work().await {
                Ok(()) => {
                    wait = AGAIN.0;
                    KEEP
                }
                Err(e) => {
                    tracing::warn!(cluster = %cluster.id, error = %e, "{trouble}");
                    wait = (wait * 2).min(AGAIN.1);
                    wait
                }
            };
            cluster.clock.sleep(next).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}
