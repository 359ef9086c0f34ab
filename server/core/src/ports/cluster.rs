//! Clusters: cached lists, details on demand, writes as the person.
//!
//! Lists never call the cluster. Writes impersonate the actor of the context, so that the cluster's own RBAC has the last
//! word; an API server that is down makes them fail with `ClusterUnavailable`, while lists go on with their age.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_types::{
    Action, AppSpec, ClusterId, ErrorCode, FieldError, ListQuery, Page, QuotaKey, Resource, Resources, TenantRole,
    headroom::{Amounts, LimitDefaults},
    names::component_object,
    network::Egress,
    node::{DrainMark, NodeRow, NodeView},
    quota::ContainerDefaults,
    rows::{AppRow, AppView, EventRow, LogLine, PodRow, RevisionRow, UsageRow},
};
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc};

use crate::{
    adoption::Strange,
    authz::{AppRef, Grant, Impersonation, NamespaceRef, PlatformRef},
    ctx::OpCtx,
    drain::Tenancy,
    error::{Error, Result},
    network::Surroundings,
    ports::{
        clusters::Looked,
        drifts::Drifted,
        relay::{KubeReply, KubeRequest},
    },
    usage::Taken,
};

/// What it took to make a namespace agree with its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whether something had to change.
    pub changed: bool,
    /// What had to change although Berth had made it so before: somebody else's hand.
    pub drift: Vec<Drifted>,
}

/// A key of a quota that speaks of something which the cluster does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// Which.
    pub key: QuotaKey,
    /// What of its kind the cluster has, where those are few enough to be named.
    pub known: Vec<String>,
}

/// How fresh the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// Since when the state is what it is.
    pub state: CacheState,
    /// What is shown was true then; absent before the first list of everything.
    pub as_of: Option<Timestamp>,
    /// Since when nobody carries out what is wanted there: no replica of this Berth could be seen at work.
    pub idle_since: Option<Timestamp>,
}

impl Freshness {
    /// Of what nothing was ever heard.
    #[must_use]
    pub fn never() -> Self {
        Self { state: CacheState::Loading, as_of: None, idle_since: None }
    }

    /// Refuses to say anything of a cluster that was never read: that something is not in the cache means nothing then.
    ///
    /// # Errors
    /// `ClusterUnavailable`.
    pub fn read(&self) -> Result<()> {
        match self.as_of {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorCode::ClusterUnavailable, "the cluster has not been read yet")
                .retry_after(Duration::from_secs(2))),
        }
    }
}

/// Whether the cache follows the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheState {
    /// The first list has not come yet.
    Loading,
    /// Watches are open.
    Live,
    /// The cluster has not answered since; why, in a sentence for people.
    Stale {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: Arc<str>,
    },
}

/// Something changed in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What kind of object.
    pub kind: ChangeKind,
    /// Its namespace in the cluster; empty for [`ChangeKind::Freshness`] and [`ChangeKind::Node`].
    pub namespace: Arc<str>,
    /// The app concerned, where it is known.
    pub app: Option<Arc<str>>,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// An app.
    App,
    /// A pod.
    Pod,
    /// An event.
    Event,
    /// A quota's use.
    Usage,
    /// The cluster went away or came back.
    Freshness,
    /// A node, or what is measured on it.
    Node,
}

/// Apps of a namespace at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceSummary {
    /// Apps that are degraded.
    pub degraded: usize,
    /// Apps on their way.
    pub progressing: usize,
    /// Apps that are ready.
    pub ready: usize,
    /// Apps at rest.
    pub suspended: usize,
    /// Pods.
    pub pods: usize,
}

/// An app as it stands in the cluster.
#[derive(Debug, Clone)]
pub struct AppObject {
    /// For pages and API.
    pub view: AppView,
    /// The object whole, without `managedFields`: for YAML, and so that no edit drops what it does not show.
    pub object: Arc<Value>,
}

impl AppObject {
    /// With what would not go smoothly about the change that made it so.
    #[must_use]
    pub fn warned(mut self, warnings: Vec<FieldError>) -> Self {
        self.view.warnings = warnings;
        self
    }
}

/// What an app takes, so that no other can: names of its objects in its namespace, hosts with their paths in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppClaims {
    /// The app.
    pub app: Box<str>,
    /// Names of its Deployments, and of what goes with them.
    pub objects: Vec<String>,
    /// Host and path (without a `/` at its end) of its Ingresses.
    pub hosts: Vec<(String, String)>,
}

impl AppClaims {
    /// What the app called `app` takes by its `spec`.
    #[must_use]
    pub fn of(app: &str, spec: &Value) -> Self {
        let components = spec["components"].as_array().map(Vec::as_slice).unwrap_or_default();
        let objects = components.iter().filter_map(|c| Some(component_object(app, c["name"].as_str()?))).collect();
        Self { app: app.into(), objects, hosts: components.iter().filter_map(Self::host).collect() }
    }

    /// Host and path of one component, if an Ingress leads to it.
    #[must_use]
    pub fn host(component: &Value) -> Option<(String, String)> {
        let expose = &component["expose"];
        let host = expose["host"].as_str().filter(|host| !host.is_empty() && expose["type"] == "Ingress")?;
        let path = expose["path"].as_str().unwrap_or_default().trim_end_matches('/');
        Some((host.to_owned(), path.to_owned()))
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Pods of this app.
    pub app: Option<String>,
    /// Pods of this component.
    pub component: Option<String>,
    /// Only this pod.
    pub pod: Option<String>,
    /// Only this container.
    pub container: Option<String>,
    /// Of the container before the last restart.
    pub previous: bool,
    /// Go on as lines come, also from pods that come later.
    pub follow: bool,
    /// Last lines of each container to begin with; all that the cluster keeps when absent.
    pub tail: Option<i64>,
    /// Not older than this.
    pub since: Option<Duration>,
}

/// What a terminal sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Typed.
    Stdin(Bytes),
    /// The window's new size: columns, rows.
    Resize(u16, u16),
}

/// What a terminal receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// Printed.
    Stdout(Bytes),
    /// Printed as an error.
    Stderr(Bytes),
    /// The command ended, with its exit code where there is one, and what the cluster said.
    Exit(Option<i32>, Option<String>),
}

/// A running command.
pub struct ExecSession {
    /// To it. Dropping it closes its standard input.
    pub input: mpsc::Sender<ExecInput>,
    /// From it, ending with [`ExecOutput::Exit`].
    pub output: BoxStream<'static, ExecOutput>,
}

/// A namespace as the rows want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredNamespace {
    /// Name in the cluster.
    pub kube_name: String,
    /// The tenant's name.
    pub tenant: String,
    /// Its name within the tenant.
    pub name: String,
    /// Labels it carries, Pod Security's among them.
    pub labels: Vec<(String, String)>,
    /// ClusterRoles and the groups that have them here, each a RoleBinding. Of roles that the tenant made, each right is one of
    /// [`cluster_right`].
    pub bindings: Vec<(String, Vec<String>)>,
    /// What its pods may take together; none: nothing limits them.
    pub quota: Option<DesiredQuota>,
    /// Who reaches its pods, and what they reach.
    pub network: DesiredNetwork,
    /// Its apps are scaled to zero, whatever they say themselves.
    pub suspended: bool,
}

/// How far a namespace is on its way out of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is there.
    There,
    /// It is being removed.
    Going,
    /// It is not there.
    Gone,
}

/// Who reaches a namespace's pods, and what they reach. Its own tenant's namespaces and names in DNS they always do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredNetwork {
    /// What its pods reach outside of the tenant.
    pub egress: Egress,
    /// What is so for every tenant.
    pub surroundings: Arc<Surroundings>,
}

/// What a namespace is limited to: a ResourceQuota, and a LimitRange where containers need defaults for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredQuota {
    /// At most so much of each key.
    pub hard: Resources,
    /// What containers get that do not say themselves.
    pub defaults: ContainerDefaults,
}

/// The ClusterRole that gives a tenant role its rights in a namespace.
#[must_use]
pub fn cluster_role(role: TenantRole) -> String {
    format!("berth-{role}")
}

/// The rights that mean something in a cluster: all others are Berth's alone.
pub const CLUSTER_RIGHTS: [(Resource, Action); 8] = [
    (Resource::App, Action::Read),
    (Resource::App, Action::Create),
    (Resource::App, Action::Update),
    (Resource::App, Action::Delete),
    (Resource::Workload, Action::Read),
    (Resource::Workload, Action::Delete),
    (Resource::Log, Action::Read),
    (Resource::Exec, Action::Create),
];

/// The ClusterRole of one right: what a tenant's own role gives is put together of these, so that Berth needs no right to make roles
/// of whatever content in a cluster.
#[must_use]
pub fn cluster_right((resource, action): (Resource, Action)) -> String {
    format!("berth-may-{resource}-{action}")
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Berth works, but something that people may want of it does not.
    Lacking,
    /// Berth does not work like this.
    Bad,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What mends it.
    pub fix: Option<String>,
}

/// What counts against a namespace's quota.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Room {
    /// What is limited, with what is used of it.
    pub usage: Vec<UsageRow>,
    /// What containers get that do not say what they need; `None` while it is not known.
    pub defaults: Option<LimitDefaults>,
    /// What the pods of the app count now, those that are still stopping among them.
    pub counted: Amounts,
}

/// What the cluster says to one pod of a component.
#[derive(Debug, Clone, PartialEq)]
pub enum PodVerdict {
    /// Its policies take it. What a quota would count of it, with all that the cluster adds to it (sidecars, say), where that
    /// could be told: a quota that is full stands before it.
    Taken(Option<Amounts>),
    /// Its policies refuse it: why, at fields of the spec.
    Refused(Vec<FieldError>),
    /// It did not say; why, in a sentence.
    Unknown(String),
}

/// One cluster.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Which one.
    fn id(&self) -> &ClusterId;
    /// How fresh its cache is.
    fn freshness(&self) -> Freshness;
    /// Told of every change of the cache. Who lags behind takes it as "anything may have changed".
    fn subscribe(&self) -> broadcast::Receiver<Change>;

    /// Apps of a namespace. Columns: see [`AppRow`]. An unknown sort or filter column is `Invalid`.
    fn apps(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<AppRow>>;
    /// Pods of a namespace. Columns: see [`PodRow`].
    fn pods(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<PodRow>>;
    /// Events of a namespace, newest first unless sorted. Columns: `kind`, `reason`, `object`, `app`, `count`, `last`.
    fn events(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<EventRow>>;
    /// Quota of a namespace, and what of it is used.
    fn usage(&self, namespace: &Grant<NamespaceRef>) -> Vec<UsageRow>;
    /// What counts against the namespace's quota, from the cache; `app` is the one whose pods are told apart.
    fn room(&self, namespace: &Grant<NamespaceRef>, app: Option<&str>) -> Room;
    /// What the namespace's pods ask for and use, from the cache.
    fn taken(&self, namespace: &Grant<NamespaceRef>) -> Taken;
    /// Apps at a glance.
    fn summary(&self, namespace: &Grant<NamespaceRef>) -> NamespaceSummary;
    /// Shows what every app of the cluster takes, with its namespace in the cluster, to see whether it is free. Across all
    /// tenants: what is seen must not be told.
    fn claims(&self, look: &mut dyn FnMut(&str, &AppClaims));
    /// An app, from the cache; `None` when there is none.
    fn app(&self, app: &Grant<AppRef>) -> Option<AppObject>;

    /// The objects that the controller makes of an app with `spec`, as people read them; asks nothing of the cluster.
    fn manifests(&self, app: &Grant<AppRef>, spec: &AppSpec) -> Vec<Value>;
    /// Asks the cluster whether it would take one pod of each component, in their order; nothing is made. As Berth itself, for
    /// people's roles let them make apps, not pods. What `app` is called decides the pods' names and labels only.
    async fn try_pods(&self, namespace: &Grant<NamespaceRef>, app: &str, spec: &AppSpec) -> Vec<PodVerdict>;

    /// Makes an app from its `spec`. `AlreadyExists`, `Invalid` with fields, `ClusterRefused`, `ClusterUnavailable`.
    async fn create_app(&self, ctx: &OpCtx, app: &Grant<AppRef>, spec: &Value) -> Result<AppObject>;
    /// Replaces its `spec`, if it still has `resource_version` (when given; else the newest wins). `NotFound`, `Conflict`, and as above.
    async fn replace_app(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        spec: &Value,
        resource_version: Option<&str>,
    ) -> Result<AppObject>;
    /// Rolls its pods without changing its spec.
    async fn restart_app(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<AppObject>;
    /// Removes it and all that was made from it.
    async fn delete_app(&self, ctx: &OpCtx, app: &Grant<AppRef>, resource_version: Option<&str>) -> Result<()>;
    /// Its revisions, newest first.
    async fn revisions(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<Vec<RevisionRow>>;
    /// Removes a pod, which its controller then replaces.
    async fn delete_pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<()>;
    /// A pod as the cluster has it, without `managedFields`; `NotFound`.
    async fn pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<Value>;
    /// What containers print, merged by time as far as it has come.
    async fn logs(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;
    /// Runs a command in a container.
    async fn exec(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        pod: &str,
        container: Option<&str>,
        command: &[String],
        tty: bool,
    ) -> Result<ExecSession>;

    /// Hands a request on to the cluster's own API as `who`, whoever sent it: what it is about was looked at before.
    async fn relay(&self, who: &Impersonation, request: KubeRequest) -> Result<KubeReply>;

    /// Whether the cluster has a namespace of that name that is not this tenant's: made by hand, by a tool, for another tenant.
    /// Only Berth itself calls this.
    async fn namespace_taken(&self, desired: &DesiredNamespace) -> Result<bool>;
    /// Names of the namespaces that are nobody's, as far as the cluster says. Only Berth itself calls this.
    async fn strange_namespaces(&self) -> Result<Vec<String>>;
    /// What is in a namespace that is nobody's, or that `desired` has been given to already.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is another tenant's or on its way out.
    async fn look_at_namespace(&self, desired: &DesiredNamespace) -> Result<Strange>;
    /// Gives a namespace that was looked at to a tenant: from now on it is the tenant's. Only Berth itself calls this.
    ///
    /// # Errors
    /// `Conflict` when it is another one by now.
    async fn adopt_namespace(&self, ctx: &OpCtx, desired: &DesiredNamespace, uid: &str) -> Result<()>;
    /// Takes that back, as long as nothing else was made of it.
    async fn disown_namespace(&self, ctx: &OpCtx, desired: &DesiredNamespace) -> Result<()>;
    /// How far a namespace is on its way out. One that is not this tenant's is gone.
    async fn namespace_stage(&self, desired: &DesiredNamespace) -> Result<Stage>;
    /// Begins to remove a namespace with all that is in it. Only Berth itself calls this.
    ///
    /// # Errors
    /// `Conflict` when it is not this tenant's any more, or was made anew meanwhile.
    async fn delete_namespace(&self, ctx: &OpCtx, desired: &DesiredNamespace) -> Result<()>;
    /// Of some keys of quotas, those that speak of a StorageClass, a kind of objects or a device that the cluster does not have.
    ///
    /// # Errors
    /// `ClusterUnavailable`.
    async fn unknown_keys(&self, keys: &[QuotaKey]) -> Result<Vec<UnknownKey>>;
    /// What each of the namespaces has of keys that count objects ([`QuotaKey::objects`]), asked of the cluster: of what no quota
    /// counts yet. What Berth may not list there, or is not there, is left out.
    ///
    /// # Errors
    /// `ClusterUnavailable`.
    async fn existing(&self, namespaces: &[Grant<NamespaceRef>], keys: &[QuotaKey]) -> Result<Vec<Resources>>;
    /// Makes a namespace agree with its row. Only Berth itself calls this.
    ///
    /// # Errors
    /// `AlreadyExists` when the namespace is somebody else's: its labels and rights are not touched.
    async fn ensure_namespace(&self, ctx: &OpCtx, desired: &DesiredNamespace) -> Result<Kept>;
    /// The nodes, from the cache, by name.
    ///
    /// # Errors
    /// `ClusterUnavailable` as long as they were never read.
    fn nodes(&self, platform: &Grant<PlatformRef>) -> Result<Vec<NodeRow>>;
    /// The nodes that are being emptied or were, each with its mark, from the cache; nothing is counted for it.
    ///
    /// # Errors
    /// As [`Self::nodes`].
    fn drains(&self, platform: &Grant<PlatformRef>) -> Result<Vec<(String, DrainMark)>>;
    /// A node with what is on it, from the cache; whose the pods are is left open. `NotFound`.
    fn node(&self, platform: &Grant<PlatformRef>, name: &str) -> Result<NodeView>;
    /// What emptying a node has to look at, asked of the cluster: each pod on it, with the budgets that guard it.
    async fn tenancies(&self, platform: &Grant<PlatformRef>, node: &str) -> Result<Vec<Tenancy>>;
    /// Lets a node take new pods, or none, and marks it as one that is being emptied, or not. `NotFound`.
    async fn mark_node(
        &self,
        ctx: &OpCtx,
        platform: &Grant<PlatformRef>,
        node: &str,
        cordoned: bool,
        drain: Option<&DrainMark>,
    ) -> Result<()>;
    /// Asks a pod to go, in so far as budgets let it; whether it goes. One that is gone already, or another of its name, is fine.
    async fn evict(&self, ctx: &OpCtx, platform: &Grant<PlatformRef>, pod: &Tenancy) -> Result<bool>;
    /// Whether this process is the one that works on the cluster: others only show it.
    fn leads(&self) -> bool;

    /// Which cluster it is, whatever leads to it.
    ///
    /// # Errors
    /// `ClusterUnavailable` while it has never said so.
    async fn identity(&self) -> Result<String>;
    /// How many volumes the namespaces have that have some, by their names in the cluster.
    async fn volumes(&self, platform: &Grant<PlatformRef>) -> Result<BTreeMap<String, usize>>;
    /// What Berth needs of the cluster, each with its fix.
    async fn look(&self) -> Looked;
}

/// The clusters that Berth knows.
pub trait Clusters: Send + Sync {
    /// The one called `id`.
    ///
    /// # Errors
    /// `ClusterUnavailable` when it is not known any more.
    fn get(&self, id: &ClusterId) -> Result<Arc<dyn Cluster>>;
    /// All.
    fn all(&self) -> Vec<Arc<dyn Cluster>>;
}
