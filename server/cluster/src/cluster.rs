//! One cluster: the port of `berth-core`, put together.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use berth_core::{
    Error, OpCtx, Result,
    adoption::Strange,
    authz::{AppRef, Grant, Impersonation, NamespaceRef, PlatformRef},
    drain::Tenancy,
    env::Clock,
    ports::cluster::{
        AppClaims, AppObject, CacheState, Change, Cluster, DesiredNamespace, ExecSession, Freshness, Kept, LogQuery,
        NamespaceSummary, PodVerdict, Room, Stage, UnknownKey,
    },
    ports::clusters::Looked,
    ports::relay::{KubeReply, KubeRequest},
    usage::Taken,
};
use berth_types::{
    AppSpec, ClusterId, ErrorCode, ListQuery, Page, QuotaKey, Resources,
    app_status::AppPhase,
    node::{DrainMark, NodeRow, NodeView},
    rows::{AppRow, EventRow, LogLine, PodRow, RevisionRow, UsageRow},
};
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{
        Cache,
        app::{AppRecord, view},
        query::{Listed as _, page},
        quota, room,
    },
    connection::Connection,
    controller::{Controller, preview::preview},
    lease::{Leadership, Replica},
    nodes::Looked as LookedAt,
    policy,
    rest::{Kind, Rest},
};

/// Changes of people that are under way at a time; more are refused at once, rather than piled up before a cluster that is
/// slow to answer.
const MOST_WRITES: usize = 64;

/// A Kubernetes cluster. Made with [`KubeCluster::new`]; nothing is asked of it before [`KubeCluster::run`].
pub struct KubeCluster {
    pub(crate) id: ClusterId,
    pub(crate) connection: Connection,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) writes: Semaphore,
    /// What emptying nodes looked at last.
    pub(crate) looked: LookedAt,
    /// Where several replicas are told apart.
    leadership: OnceLock<Leadership>,
    /// Which cluster it is, once it has said so.
    identity: OnceLock<String>,
}

impl KubeCluster {
    /// A cluster called `id` behind `connection`.
    #[must_use]
    pub fn new(id: ClusterId, connection: Connection, clock: Arc<dyn Clock>) -> Arc<Self> {
        let cache = Cache::new(clock.clone());
        let (writes, leadership) = (Semaphore::new(MOST_WRITES), OnceLock::new());
        Arc::new(Self {
            id,
            connection,
            cache,
            clock,
            writes,
            looked: LookedAt::default(),
            leadership,
            identity: OnceLock::new(),
        })
    }

    /// Fills the cache and keeps it true, until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        self.cache.clone().run(&self.connection, &*self.clock, shutdown).await;
    }

    /// From now on this process is one of several: of them one at a time works on the cluster. Without it, it does so alone.
    pub fn elect(&self, me: Replica) {
        self.leadership.get_or_init(|| {
            Leadership::new(me, &self.connection.controller, self.clock.clone(), self.cache.health.clone())
        });
    }

    /// Makes what Apps want, until `shutdown`, whenever this process leads. Needs [`Self::run`].
    pub async fn run_controller(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(leadership) = self.leadership.get() else {
            return self.control(&self.connection, shutdown).await;
        };
        while let Some(term) = leadership.gain(&shutdown).await {
            let fenced = term.fence(&self.connection.controller);
            let connection = Connection { controller: fenced, ..self.connection.clone() };
            self.control(&connection, term.over.clone()).await;
            self.cache.forget_children();
            leadership.release(&term).await;
        }
    }

    async fn control(&self, connection: &Connection, shutdown: CancellationToken) {
        let controller = Controller::new(connection, self.cache.clone(), self.clock.clone());
        tokio::join!(self.cache.clone().run_children(connection, shutdown.clone()), controller.run(shutdown));
    }

    /// Waits until this process leads.
    pub async fn led(&self) {
        if let Some(leadership) = self.leadership.get() {
            leadership.held().await;
        }
    }

    /// Waits until the cache is filled, at most `limit`; whether it is.
    pub async fn wait_until_live(&self, limit: Duration) -> bool {
        let mut changes = self.subscribe();
        let live = async {
            while self.freshness().state != CacheState::Live {
                if let Err(broadcast::error::RecvError::Closed) = changes.recv().await {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, live).await.is_ok()
    }

    /// Pods in the cache, of all namespaces.
    #[must_use]
    pub fn pods_cached(&self) -> usize {
        self.cache.pods.len()
    }

    /// Which Berth this is, where there may be others.
    pub(crate) fn installation(&self) -> Option<&str> {
        self.leadership.get().map(|leadership| leadership.me().installation.as_str())
    }

    pub(crate) fn controller_rest(&self) -> Rest {
        Rest::new(self.connection.controller.clone())
    }

    /// Refuses at once what would only wait for a cluster that is known to be away.
    pub(crate) fn reachable(&self) -> Result<()> {
        match self.cache.health.unanswered() {
            Some(reason) => Err(Error::new(ErrorCode::ClusterUnavailable, "the cluster does not answer")
                .caused_by(std::io::Error::other(reason.to_string()))),
            None => Ok(()),
        }
    }

    fn dated<T>(&self, mut page: Page<T>) -> Page<T> {
        page.as_of = self.cache.health.freshness().as_of;
        page
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    fn id(&self) -> &ClusterId {
        &self.id
    }

    fn freshness(&self) -> Freshness {
        self.cache.health.freshness()
    }

    fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.cache.subscribe()
    }

    fn apps(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<AppRow>> {
        let space = self.cache.apps.space(&namespace.kube_name);
        Ok(self.dated(page(space.rows(), space.tally(), query)?))
    }

    fn pods(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<PodRow>> {
        let space = self.cache.pods.space(&namespace.kube_name);
        Ok(self.dated(page(space.rows(), space.tally(), query)?))
    }

    fn events(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<EventRow>> {
        self.cache.resolve_events(&namespace.kube_name);
        let space = self.cache.events.space(&namespace.kube_name);
        Ok(self.dated(page(space.rows(), space.tally(), query)?))
    }

    fn usage(&self, namespace: &Grant<NamespaceRef>) -> Vec<UsageRow> {
        let rows = quota::usage(self.cache.quotas.space(&namespace.kube_name).rows());
        if !rows.is_empty() {
            return rows;
        }
        let pods = self.cache.pods.space(&namespace.kube_name).len();
        vec![UsageRow { resource: "pods".to_owned(), used: pods.to_string(), limit: None }]
    }

    fn room(&self, namespace: &Grant<NamespaceRef>, app: Option<&str>) -> Room {
        let place = &namespace.kube_name;
        let pods = self.cache.pods.space(place);
        let own = pods.get().zip(app).map(|(pods, app)| room::counted(pods.of_app(app).map(|(_, pod)| &pod.row)));
        let known = self.cache.health.all_synced(&[Kind::LIMIT_RANGE.plural]);
        Room {
            usage: quota::usage(self.cache.quotas.space(place).rows()),
            defaults: known.then(|| room::defaults(self.cache.ranges.space(place).rows())),
            counted: own.unwrap_or_default(),
        }
    }

    fn taken(&self, namespace: &Grant<NamespaceRef>) -> Taken {
        let used = self.cache.used.of(&namespace.kube_name, self.clock.now());
        Taken { counted: room::counted(self.cache.pods.space(&namespace.kube_name).rows()), used }
    }

    fn summary(&self, namespace: &Grant<NamespaceRef>) -> NamespaceSummary {
        let apps = self.cache.apps.space(&namespace.kube_name);
        let of = |phase: AppPhase| apps.tally().map_or(0, |t| t.of(AppRecord::COLUMNS, "phase", phase.as_str()));
        NamespaceSummary {
            degraded: of(AppPhase::Degraded),
            progressing: of(AppPhase::Progressing),
            ready: of(AppPhase::Ready),
            suspended: of(AppPhase::Suspended),
            pods: self.cache.pods.space(&namespace.kube_name).len(),
        }
    }

    fn claims(&self, look: &mut dyn FnMut(&str, &AppClaims)) {
        self.cache.apps.each(|namespace, app| look(namespace, &app.claims));
    }

    fn app(&self, app: &Grant<AppRef>) -> Option<AppObject> {
        let object = self.cache.apps.with(&app.namespace.kube_name, app.name.as_str(), |s| s.row.object())?;
        view(object).inspect_err(|e| tracing::warn!(app = %app.name, error = %e, "the spec of an app is none")).ok()
    }

    fn manifests(&self, app: &Grant<AppRef>, spec: &AppSpec) -> Vec<Value> {
        preview(app, spec)
    }

    async fn try_pods(&self, namespace: &Grant<NamespaceRef>, app: &str, spec: &AppSpec) -> Vec<PodVerdict> {
        match self.reachable() {
            Ok(()) => policy::try_pods(&self.controller_rest(), &namespace.kube_name, app, spec).await,
            Err(e) => spec.components.iter().map(|_| PodVerdict::Unknown(e.message().to_owned())).collect(),
        }
    }

    async fn create_app(&self, ctx: &OpCtx, app: &Grant<AppRef>, spec: &Value) -> Result<AppObject> {
        self.make(ctx, app, spec).await
    }

    async fn replace_app(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        spec: &Value,
        resource_version: Option<&str>,
    ) -> Result<AppObject> {
        self.replace(ctx, app, spec, resource_version).await
    }

    async fn restart_app(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<AppObject> {
        self.restart(ctx, app).await
    }

    async fn delete_app(&self, ctx: &OpCtx, app: &Grant<AppRef>, resource_version: Option<&str>) -> Result<()> {
        self.remove(ctx, app, resource_version).await
    }

    async fn revisions(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<Vec<RevisionRow>> {
        self.reachable()?;
        self.history(ctx, app).await
    }

    async fn delete_pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<()> {
        self.remove_pod(ctx, namespace, pod).await
    }

    async fn pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<Value> {
        self.reachable()?;
        self.read_pod(ctx, namespace, pod).await
    }

    async fn logs(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.reachable()?;
        self.read_logs(ctx, namespace, query).await
    }

    async fn exec(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        pod: &str,
        container: Option<&str>,
        command: &[String],
        tty: bool,
    ) -> Result<ExecSession> {
        self.open_terminal(ctx, namespace, pod, container, command, tty).await
    }

    async fn relay(&self, who: &Impersonation, request: KubeRequest) -> Result<KubeReply> {
        self.reachable()?;
        self.hand_on(who, request).await
    }

    fn nodes(&self, _: &Grant<PlatformRef>) -> Result<Vec<NodeRow>> {
        self.nodes_read()?;
        Ok(self.cache.nodes(self.clock.now()))
    }

    fn drains(&self, _: &Grant<PlatformRef>) -> Result<Vec<(String, DrainMark)>> {
        self.nodes_read()?;
        Ok(self.cache.drains())
    }

    fn node(&self, _: &Grant<PlatformRef>, name: &str) -> Result<NodeView> {
        self.nodes_read()?;
        self.cache.node(name, self.clock.now()).ok_or_else(Error::not_found)
    }

    async fn tenancies(&self, _: &Grant<PlatformRef>, node: &str) -> Result<Vec<Tenancy>> {
        self.reachable()?;
        self.tenancies_on(node).await
    }

    async fn mark_node(
        &self,
        ctx: &OpCtx,
        _: &Grant<PlatformRef>,
        node: &str,
        cordoned: bool,
        drain: Option<&DrainMark>,
    ) -> Result<()> {
        self.write_mark(ctx, node, cordoned, drain).await
    }

    async fn evict(&self, ctx: &OpCtx, _: &Grant<PlatformRef>, pod: &Tenancy) -> Result<bool> {
        self.ask_to_go(ctx, pod).await
    }

    async fn namespace_taken(&self, desired: &DesiredNamespace) -> Result<bool> {
        self.is_foreign(desired).await
    }

    async fn strange_namespaces(&self) -> Result<Vec<String>> {
        self.nobodys_namespaces().await
    }

    async fn look_at_namespace(&self, desired: &DesiredNamespace) -> Result<Strange> {
        self.look_at(desired).await
    }

    async fn adopt_namespace(&self, _: &OpCtx, desired: &DesiredNamespace, uid: &str) -> Result<()> {
        self.adopt(desired, uid).await
    }

    async fn disown_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<()> {
        self.disown(desired).await
    }

    async fn namespace_stage(&self, desired: &DesiredNamespace) -> Result<Stage> {
        self.stage(desired).await
    }

    async fn delete_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<()> {
        self.begin_removal(desired).await
    }

    async fn ensure_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<Kept> {
        self.keep_namespace(desired).await
    }

    async fn unknown_keys(&self, keys: &[QuotaKey]) -> Result<Vec<UnknownKey>> {
        self.keys_unknown(keys).await
    }

    async fn existing(&self, namespaces: &[Grant<NamespaceRef>], keys: &[QuotaKey]) -> Result<Vec<Resources>> {
        self.reachable()?;
        let names: Vec<&str> = namespaces.iter().map(|namespace| &*namespace.kube_name).collect();
        self.existing_of(&names, keys).await
    }

    fn leads(&self) -> bool {
        self.leadership.get().is_none_or(Leadership::holds)
    }

    async fn identity(&self) -> Result<String> {
        if let Some(known) = self.identity.get() {
            return Ok(known.clone());
        }
        let found = crate::set::identity(&self.connection).await?;
        Ok(self.identity.get_or_init(|| found).clone())
    }

    async fn volumes(&self, _: &Grant<PlatformRef>) -> Result<BTreeMap<String, usize>> {
        self.reachable()?;
        crate::set::volumes(&self.connection).await
    }

    async fn look(&self) -> Looked {
        crate::set::look(&self.connection, self.installation(), self.clock.now()).await
    }
}
