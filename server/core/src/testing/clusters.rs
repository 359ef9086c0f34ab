//! Rows of clusters, and [`FakeRegistrar`]: clusters in memory that kubeconfigs lead to, by their server's address.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use berth_types::{
    ClusterId, ErrorCode,
    cluster::{ClusterProbe, ClusterState},
};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{FakeCluster, FakeClusters, FakeStore};
use crate::{
    access_file,
    authz::{Grant, PlatformRef},
    env::Clock,
    error::{Error, Result},
    ports::{
        agents::{Call, Met, Told},
        cluster::{Cluster, Finding, Verdict},
        clusters::{
            ClusterRow, ClusterRows, Looked, Registered, Registrar, closed, in_use, registered_already, unknown,
        },
        relay::Duplex,
    },
};

pub(super) struct Rows {
    all: Vec<ClusterRow>,
    sealed: BTreeMap<ClusterId, Vec<u8>>,
}

impl Default for Rows {
    /// The configured one is always there.
    fn default() -> Self {
        let local = ClusterRow {
            id: ClusterId::local(),
            label: String::new(),
            labels: BTreeMap::new(),
            state: ClusterState::Open,
            registered: None,
            probe: None,
            version: 1,
        };
        Self { all: vec![local], sealed: BTreeMap::new() }
    }
}

impl Rows {
    /// Refuses a new namespace on a cluster that takes none.
    pub(super) fn takes_more(&self, id: &ClusterId) -> Result<()> {
        match self.all.iter().find(|row| row.id == *id) {
            None => Err(unknown(id)),
            Some(row) if !row.state.takes_more() => Err(closed(id)),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn registered(&mut self, id: &ClusterId) -> Option<&mut Registered> {
        self.row(id).ok()?.registered.as_mut()
    }

    fn row(&mut self, id: &ClusterId) -> Result<&mut ClusterRow> {
        self.all.iter_mut().find(|row| row.id == *id).ok_or_else(Error::not_found)
    }
}

#[async_trait]
impl ClusterRows for FakeStore {
    async fn list_clusters(&self, _: &Grant<PlatformRef>) -> Result<Vec<ClusterRow>> {
        let mut all = self.rows()?.clusters.all.clone();
        all.sort_by_key(|row| (row.registered.is_some(), row.id.clone()));
        Ok(all)
    }

    async fn cluster_access(&self, _: &Grant<PlatformRef>, id: &ClusterId) -> Result<Option<(i64, Vec<u8>)>> {
        let rows = &self.rows()?.clusters;
        let registered = rows.all.iter().find(|row| row.id == *id).and_then(|row| row.registered.as_ref());
        Ok(registered.and_then(|registered| Some((registered.generation, rows.sealed.get(id)?.clone()))))
    }

    async fn create_cluster(&self, _: &Grant<PlatformRef>, new: &ClusterRow, sealed: &[u8]) -> Result<()> {
        let rows = &mut self.rows()?.clusters;
        let identity = |row: &ClusterRow| row.registered.as_ref().map(|registered| registered.identity.clone());
        if rows.all.iter().any(|row| row.id == new.id) {
            return Err(registered_already(true));
        }
        if rows.all.iter().any(|row| identity(row).is_some() && identity(row) == identity(new)) {
            return Err(registered_already(false));
        }
        rows.sealed.insert(new.id.clone(), sealed.to_vec());
        rows.all.push(new.clone());
        Ok(())
    }

    async fn update_cluster(&self, _: &Grant<PlatformRef>, wanted: &ClusterRow) -> Result<i64> {
        let rows = &mut self.rows()?.clusters;
        let row = rows.row(&wanted.id)?;
        if row.version != wanted.version {
            return Err(Error::new(ErrorCode::Conflict, "it was changed since it was read"));
        }
        let ClusterRow { label, labels, state, .. } = wanted.clone();
        *row = ClusterRow { label, labels, state, version: row.version + 1, ..row.clone() };
        Ok(row.version)
    }

    async fn set_cluster_access(
        &self,
        _: &Grant<PlatformRef>,
        id: &ClusterId,
        server: &str,
        sealed: &[u8],
    ) -> Result<()> {
        let rows = &mut self.rows()?.clusters;
        let registered = rows.row(id)?.registered.as_mut().ok_or_else(Error::not_found)?;
        server.clone_into(&mut registered.server);
        registered.generation += 1;
        rows.sealed.insert(id.clone(), sealed.to_vec());
        Ok(())
    }

    async fn note_probe(&self, _: &Grant<PlatformRef>, id: &ClusterId, probe: &ClusterProbe) -> Result<()> {
        self.rows()?.clusters.row(id)?.probe = Some(probe.clone());
        Ok(())
    }

    async fn remove_cluster(&self, _: &Grant<PlatformRef>, id: &ClusterId, forget: bool) -> Result<usize> {
        let mut rows = self.rows()?;
        rows.clusters.row(id)?.registered.as_ref().ok_or_else(Error::not_found)?;
        let there = rows.namespaces.iter().filter(|(_, namespace)| namespace.cluster == *id).count();
        if there > 0 && !forget {
            return Err(in_use(there));
        }
        rows.forget_cluster(id);
        rows.clusters.all.retain(|row| row.id != *id);
        rows.clusters.sealed.remove(id);
        rows.agents.forget(id);
        Ok(there)
    }
}

impl FakeCluster {
    pub(super) fn identify(&self) -> Result<String> {
        self.up().map(|()| format!("https://{}.example", self.id()))
    }

    /// The volumes that its quotas count.
    pub(super) fn claimed(&self) -> Result<BTreeMap<String, usize>> {
        self.up()?;
        let state = self.state.lock();
        let claims = state.usage.iter().filter_map(|(place, rows)| {
            let counted = rows.iter().find(|row| row.resource == "persistentvolumeclaims")?;
            Some((place.clone(), counted.used.parse().ok()?))
        });
        Ok(claims.collect())
    }

    pub(super) fn looked(&self) -> Looked {
        let verdict = if self.up().is_ok() { Verdict::Good } else { Verdict::Bad };
        let found = Finding { what: "cluster answers".to_owned(), verdict, found: "a fake".to_owned(), fix: None };
        Looked { findings: vec![found], latency_ms: Some(3), ..Looked::default() }
    }
}

/// Clusters that kubeconfigs lead to.
pub struct FakeRegistrar {
    clusters: Arc<FakeClusters>,
    clock: Arc<dyn Clock>,
    /// By their server's address, each with what is wrong with it.
    hosts: Mutex<BTreeMap<String, Option<Finding>>>,
    connected: Mutex<BTreeMap<ClusterId, (i64, Arc<FakeCluster>)>>,
}

impl FakeRegistrar {
    pub(super) fn new(clusters: Arc<FakeClusters>, clock: Arc<dyn Clock>) -> Self {
        Self { clusters, clock, hosts: Mutex::default(), connected: Mutex::default() }
    }

    /// From now on there is a cluster at `server`, with which something may be wrong. Another name of the same is `server#NAME`.
    pub fn put(&self, server: &str, wrong: Option<Finding>) {
        self.hosts.lock().insert(server.to_owned(), wrong);
    }

    /// The cluster that was registered as `id`.
    ///
    /// # Panics
    /// When it is not connected.
    pub fn cluster(&self, id: &str) -> Arc<FakeCluster> {
        self.connected.lock()[&id.parse::<ClusterId>().unwrap()].1.clone()
    }

    /// A kubeconfig that leads to `server`.
    #[must_use]
    pub fn kubeconfig(server: &str) -> String {
        format!(
            "kind: Config\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
        )
    }
}

#[async_trait]
impl Registrar for FakeRegistrar {
    async fn look(&self, kubeconfig: &SecretString) -> Result<Looked> {
        let server = access_file::read(kubeconfig.expose_secret())?.server;
        let finding = |what: &str, verdict, found: &str| Finding {
            what: what.to_owned(),
            verdict,
            found: found.to_owned(),
            fix: (verdict != Verdict::Good).then(|| "mend it".to_owned()),
        };
        Ok(match self.hosts.lock().get(&server) {
            None => {
                let away = finding("cluster answers", Verdict::Bad, "connection refused");
                Looked { findings: vec![away], ..Looked::default() }
            }
            Some(wrong) => Looked {
                findings: [finding("cluster answers", Verdict::Good, "v1.35.4")]
                    .into_iter()
                    .chain(wrong.clone())
                    .collect(),
                version: Some("v1.35.4".to_owned()),
                latency_ms: Some(7),
                identity: server.split('#').next().map(str::to_owned),
            },
        })
    }

    fn connected(&self) -> Vec<(ClusterId, i64)> {
        self.connected.lock().iter().map(|(id, (generation, _))| (id.clone(), *generation)).collect()
    }

    async fn connect(&self, id: &ClusterId, generation: i64, kubeconfig: &SecretString) -> Result<()> {
        access_file::read(kubeconfig.expose_secret())?;
        let mut connected = self.connected.lock();
        let known = connected.get(id).map(|(_, cluster)| cluster.clone());
        let cluster = known.unwrap_or_else(|| FakeCluster::new(id.clone(), self.clock.clone()));
        self.clusters.put(cluster.clone());
        connected.insert(id.clone(), (generation, cluster));
        Ok(())
    }

    async fn disconnect(&self, id: &ClusterId) {
        if let Some((_, cluster)) = self.connected.lock().remove(id) {
            self.clusters.remove(cluster.id());
        }
    }

    async fn expect(&self, id: &ClusterId, generation: i64, _: Option<jiff::Timestamp>) {
        let cluster = FakeCluster::new(id.clone(), self.clock.clone());
        cluster.set_down(Some("its agent does not call"));
        self.clusters.put(cluster.clone());
        self.connected.lock().insert(id.clone(), (generation, cluster));
    }

    /// Who calls says in one line which cluster it is, the address of its API server, and after a space each replica that it holds.
    async fn hear(&self, mut call: Box<dyn Duplex>) -> Result<Box<dyn Call>> {
        let mut line = Vec::new();
        loop {
            let byte = call.read_u8().await.map_err(|_| Error::new(ErrorCode::Malformed, "it said nothing"))?;
            if byte == b'\n' {
                break;
            }
            line.push(byte);
        }
        let line = String::from_utf8(line).map_err(|_| Error::new(ErrorCode::Malformed, "that is no text"))?;
        let mut words = line.split(' ').map(str::to_owned);
        let (server, held) = (words.next().unwrap_or_default(), words.collect());
        let looked = self.look(&Self::kubeconfig(&server).into()).await?;
        let clusters = self.connected.lock().iter().map(|(id, (_, cluster))| (id.clone(), cluster.clone())).collect();
        Ok(Box::new(FakeCall { server, held, looked, clusters, call: call.into() }))
    }

    fn replica(&self) -> String {
        "fake".to_owned()
    }
}

/// A call of an agent: it hears `welcome` and how many replicas there are, or why not, and goes when it says another byte.
struct FakeCall {
    server: String,
    held: Vec<String>,
    looked: Looked,
    clusters: BTreeMap<ClusterId, Arc<FakeCluster>>,
    call: Mutex<Box<dyn Duplex>>,
}

#[async_trait]
impl Call for FakeCall {
    fn version(&self) -> &str {
        "0.1.0"
    }

    fn server(&self) -> &str {
        &self.server
    }

    fn held(&self) -> &[String] {
        &self.held
    }

    async fn identity(&self) -> Result<String> {
        let away = || Error::new(ErrorCode::ClusterUnavailable, "its API server does not answer");
        self.looked.identity.clone().ok_or_else(away)
    }

    async fn look(&self) -> Looked {
        self.looked.clone()
    }

    async fn refuse(self: Box<Self>, why: &str) {
        let _ = self.call.into_inner().write_all(why.as_bytes()).await;
    }

    async fn spare(self: Box<Self>, told: Told) {
        let _ = self.call.into_inner().write_all(format!("spare {}\n", told.replicas).as_bytes()).await;
    }

    async fn serve(self: Box<Self>, met: &Met, told: tokio::sync::watch::Receiver<Told>) {
        let cluster = self.clusters[&met.id].clone();
        cluster.set_down(None);
        // Also when it is let go of.
        struct Away(Arc<FakeCluster>);
        impl Drop for Away {
            fn drop(&mut self) {
                self.0.set_down(Some("its agent does not call"));
            }
        }
        let _away = Away(cluster);
        let mut call = self.call.into_inner();
        let replicas = told.borrow().replicas;
        let _ = call.write_all(format!("welcome {replicas}\n").as_bytes()).await;
        let _ = call.read_u8().await;
    }
}
