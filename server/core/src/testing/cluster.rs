//! [`FakeCluster`]: apps, pods and events in maps. What is written appears in its cache at once; no controller runs, so
//! tests say what becomes of an app ([`FakeCluster::settle`], [`FakeCluster::set_status`]).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use berth_types::{
    AppPhase, AppSpec, AppStatus, ClusterId, ErrorCode, FieldError, ListQuery, Page, QuotaKey, Resources,
    headroom::{Amounts, Load},
    names::component_object,
    node::{DrainMark, NodeRow, NodeView},
    rows::{AppRow, EventRow, LogLine, PodPhase, PodRow, RevisionRow, UsageRow},
};
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::{
    app::{App, first_status, limit_range, unchanged},
    lists::{APPS, EVENTS, PODS},
    nodes::Nodes,
    relay::Relays,
};
use crate::{
    adoption::Strange,
    authz::{AppRef, Grant, Impersonation, NamespaceRef, PlatformRef},
    ctx::OpCtx,
    drain::Tenancy,
    env::Clock,
    error::{Error, Result},
    ports::cluster::{
        AppClaims, AppObject, CacheState, Change, ChangeKind, Cluster, DesiredNamespace, ExecSession, Freshness, Kept,
        LogQuery, NamespaceSummary, PodVerdict, Room, Stage, UnknownKey,
    },
    ports::{
        clusters::Looked,
        drifts::Drifted,
        relay::{KubeReply, KubeRequest},
    },
    usage::Taken,
};

/// One cluster in memory.
pub struct FakeCluster {
    id: ClusterId,
    pub(super) clock: Arc<dyn Clock>,
    changes: broadcast::Sender<Change>,
    pub(super) lines: broadcast::Sender<(Arc<str>, LogLine)>,
    held: watch::Sender<bool>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    version: i64,
    apps: BTreeMap<(String, String), App>,
    pub(super) pods: BTreeMap<(String, String), PodRow>,
    events: Vec<(String, EventRow)>,
    pub(super) logs: Vec<(String, LogLine)>,
    pub(super) usage: BTreeMap<String, Vec<UsageRow>>,
    pub(super) taken: BTreeMap<String, Taken>,
    pub(super) existing: BTreeMap<String, Resources>,
    pub(super) namespaces: Vec<DesiredNamespace>,
    pub(super) strange: Vec<Strange>,
    pub(super) drift: BTreeMap<String, Vec<Drifted>>,
    pub(super) lacks: Vec<UnknownKey>,
    pub(super) idle_since: Option<Timestamp>,
    down: Option<(Timestamp, String)>,
    /// Why its policies refuse every pod.
    refuses: Vec<FieldError>,
    nodes: Nodes,
    pub(super) relays: Relays,
}

type Key = (String, String);

fn key(app: &AppRef) -> Key {
    (app.namespace.kube_name.to_string(), app.name.to_string())
}

impl FakeCluster {
    /// An empty one.
    #[must_use]
    pub fn new(id: ClusterId, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = Mutex::new(State { version: 100, ..State::default() });
        Arc::new(Self {
            id,
            clock,
            changes: broadcast::channel(256).0,
            lines: broadcast::channel(256).0,
            held: watch::Sender::new(false),
            state,
        })
    }

    /// It stops answering, or answers again: lists go on with their age, all else fails.
    pub fn set_down(&self, reason: Option<&str>) {
        self.state.lock().down = reason.map(|reason| (self.clock.now(), reason.to_owned()));
        self.tell(ChangeKind::Freshness, "", None);
    }

    /// From now on changes and revisions wait, or go on.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    async fn passed(&self) {
        // The sender lives as long as `self`, so this ends only when nothing is held any more.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }

    /// Writes what a controller saw.
    pub fn set_status(&self, app: &AppRef, status: &AppStatus) {
        let now = self.clock.now();
        {
            let mut state = self.state.lock();
            state.version += 1;
            let version = state.version.to_string();
            let app = state.apps.get_mut(&key(app)).expect("the app exists");
            app.object["status"] = serde_json::to_value(status).unwrap();
            app.object["metadata"]["resourceVersion"] = version.into();
            app.changed_at = now;
        }
        self.tell(ChangeKind::App, &app.namespace.kube_name, Some(app.name.as_str()));
    }

    /// Makes the app as it is wanted: its pods run, its status is `Ready` (or `Suspended`).
    pub fn settle(&self, app: &AppRef) {
        let view = self.state.lock().apps.get(&key(app)).expect("the app exists").view();
        let mut status = first_status(&view.spec, view.status.revision, view.generation);
        status.phase = if view.spec.suspended { AppPhase::Suspended } else { AppPhase::Ready };
        status.since = Some(self.clock.now());
        self.state.lock().pods.retain(|_, pod| pod.app.as_deref() != Some(app.name.as_str()));
        for component in &mut status.components {
            component.phase = status.phase;
            component.updated = component.desired;
            component.ready = component.desired;
            component.total = component.desired;
            for n in 0..component.desired {
                let name = format!("{}-5d4f8c7b9-{n:05}", component_object(app.name.as_str(), &component.name));
                self.put_pod(PodRow {
                    name: name.into(),
                    kube_namespace: app.namespace.kube_name.clone(),
                    app: Some(app.name.as_str().into()),
                    component: Some(component.name.as_str().into()),
                    phase: PodPhase::Running,
                    reason: "Running".into(),
                    message: None,
                    ready: 1,
                    containers: 1,
                    restarts: 0,
                    last_exit_code: None,
                    last_exit_at: None,
                    node: Some("node-1".into()),
                    ip: Some(format!("10.42.0.{}", n + 10).into()),
                    revision: Some(view.status.revision),
                    created_at: self.clock.now(),
                });
            }
        }
        status.ready = format!("{0}/{0}", status.components.iter().map(|c| c.desired).sum::<i32>());
        self.set_status(app, &status);
    }

    /// From now on the app is being deleted: a finalizer holds it.
    pub fn set_deleting(&self, app: &AppRef) {
        let now = self.clock.now();
        if let Some(app) = self.state.lock().apps.get_mut(&key(app)) {
            app.object["metadata"]["deletionTimestamp"] = json!(now);
        }
        self.tell(ChangeKind::App, &app.namespace.kube_name, Some(app.name.as_str()));
    }

    /// A pod appears or changes.
    pub fn put_pod(&self, pod: PodRow) {
        let (namespace, app) = (pod.kube_namespace.clone(), pod.app.clone());
        self.state.lock().pods.insert((namespace.to_string(), pod.name.to_string()), pod);
        self.tell(ChangeKind::Pod, &namespace, app.as_deref());
    }

    /// Something happens.
    pub fn put_event(&self, namespace: &NamespaceRef, event: EventRow) {
        let app = event.app.clone();
        self.state.lock().events.push((namespace.kube_name.to_string(), event));
        self.tell(ChangeKind::Event, &namespace.kube_name, app.as_deref());
    }

    /// A container prints a line. `app` of the pod decides which logs it belongs to.
    pub fn put_line(&self, namespace: &NamespaceRef, line: LogLine) {
        self.state.lock().logs.push((namespace.kube_name.to_string(), line.clone()));
        let _ = self.lines.send((namespace.kube_name.clone(), line));
    }

    /// From now on its policies refuse every pod, or take them all.
    pub fn refuse_pods(&self, why: Vec<FieldError>) {
        self.state.lock().refuses = why;
    }

    /// Its nodes.
    pub fn with_nodes<T>(&self, change: impl FnOnce(&mut Nodes) -> T) -> T {
        let changed = change(&mut self.state.lock().nodes);
        self.tell(ChangeKind::Node, "", None);
        changed
    }

    /// Namespaces that were made in it.
    #[must_use]
    pub fn namespaces(&self) -> Vec<DesiredNamespace> {
        self.state.lock().namespaces.clone()
    }

    pub(super) fn tell(&self, kind: ChangeKind, namespace: &str, app: Option<&str>) {
        // Nobody listens: nobody needs to know.
        let _ = self.changes.send(Change { kind, namespace: namespace.into(), app: app.map(Into::into) });
    }

    pub(super) fn up(&self) -> Result<()> {
        match &self.state.lock().down {
            Some((_, reason)) => Err(Error::new(ErrorCode::ClusterUnavailable, reason.clone())),
            None => Ok(()),
        }
    }

    fn write(
        &self,
        app: &AppRef,
        by: &OpCtx,
        change: impl FnOnce(&mut State, String) -> Result<()>,
    ) -> Result<AppObject> {
        self.up()?;
        let found = {
            let mut state = self.state.lock();
            state.version += 1;
            let version = state.version.to_string();
            change(&mut state, version)?;
            let app = state.apps.get_mut(&key(app)).ok_or_else(Error::not_found)?;
            app.revise(by);
            app.found()
        };
        self.tell(ChangeKind::App, &app.namespace.kube_name, Some(app.name.as_str()));
        Ok(found)
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    fn id(&self) -> &ClusterId {
        &self.id
    }

    fn freshness(&self) -> Freshness {
        let state = self.state.lock();
        let idle_since = state.idle_since;
        match &state.down {
            Some((since, reason)) => Freshness {
                state: CacheState::Stale { since: *since, reason: reason.as_str().into() },
                as_of: Some(*since),
                idle_since,
            },
            None => Freshness { state: CacheState::Live, as_of: Some(self.clock.now()), idle_since },
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn apps(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<AppRow>> {
        let state = self.state.lock();
        let apps = state.apps.iter().filter(|((place, _), _)| *place == *namespace.kube_name);
        APPS.page(apps.map(|(_, app)| app.row()).collect(), query)
    }

    fn pods(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<PodRow>> {
        let state = self.state.lock();
        let pods = state.pods.iter().filter(|((place, _), _)| *place == *namespace.kube_name);
        PODS.page(pods.map(|(_, pod)| pod.clone()).collect(), query)
    }

    fn events(&self, namespace: &Grant<NamespaceRef>, query: &ListQuery) -> Result<Page<EventRow>> {
        let state = self.state.lock();
        let events = state.events.iter().enumerate().filter(|(_, (place, _))| *place == *namespace.kube_name);
        let page = EVENTS.page(events.map(|(at, (_, event))| (at, event.clone())).collect(), query)?;
        Ok(page.map(|(_, event)| event))
    }

    fn usage(&self, namespace: &Grant<NamespaceRef>) -> Vec<UsageRow> {
        self.state.lock().usage.get(&*namespace.kube_name).cloned().unwrap_or_default()
    }

    fn taken(&self, namespace: &Grant<NamespaceRef>) -> Taken {
        self.state.lock().taken.get(&*namespace.kube_name).cloned().unwrap_or_default()
    }

    /// Its namespaces have a LimitRange: containers that say nothing get 100m of CPU and 128Mi of memory.
    fn room(&self, namespace: &Grant<NamespaceRef>, app: Option<&str>) -> Room {
        let defaults = limit_range();
        let usage = self.usage(namespace);
        let state = self.state.lock();
        let found = app.and_then(|app| state.apps.get(&(namespace.kube_name.to_string(), app.to_owned())));
        let mut counted = Amounts::new();
        if let Some(view) = found.map(App::view) {
            let load = Load::of(&view.spec, &defaults);
            for pod in
                state.pods.values().filter(|p| p.kube_namespace == namespace.kube_name && p.app.as_deref() == app)
            {
                let at = view.spec.components.iter().position(|c| pod.component.as_deref() == Some(c.name.as_str()));
                for (key, amount) in at.and_then(|at| load.pods.get(at)).into_iter().flatten() {
                    let sum = counted.entry(key.clone()).or_default();
                    *sum = sum.plus(*amount);
                }
            }
        }
        Room { usage, defaults: Some(defaults), counted }
    }

    fn summary(&self, namespace: &Grant<NamespaceRef>) -> NamespaceSummary {
        let state = self.state.lock();
        let mut summary = NamespaceSummary::default();
        for (_, app) in state.apps.iter().filter(|((place, _), _)| *place == *namespace.kube_name) {
            match app.row().phase {
                AppPhase::Degraded => summary.degraded += 1,
                AppPhase::Progressing => summary.progressing += 1,
                AppPhase::Ready => summary.ready += 1,
                AppPhase::Suspended => summary.suspended += 1,
            }
        }
        summary.pods = state.pods.keys().filter(|(place, _)| *place == *namespace.kube_name).count();
        summary
    }

    fn claims(&self, look: &mut dyn FnMut(&str, &AppClaims)) {
        let state = self.state.lock();
        for ((place, name), app) in &state.apps {
            look(place, &AppClaims::of(name, &app.object["spec"]));
        }
    }

    fn app(&self, app: &Grant<AppRef>) -> Option<AppObject> {
        self.state.lock().apps.get(&key(app)).map(App::found)
    }

    /// A Deployment for each component, and a Service where it is exposed.
    fn manifests(&self, app: &Grant<AppRef>, spec: &AppSpec) -> Vec<Value> {
        let of = |c: &berth_types::app::Component| {
            let name = component_object(app.name.as_str(), &c.name);
            let object = |kind: &str, spec: Value| json!({ "kind": kind, "metadata": { "name": name }, "spec": spec });
            let service = c.expose.as_ref().map(|e| object("Service", json!({ "type": e.kind.as_str() })));
            let deployment = object("Deployment", json!({ "replicas": c.wanted(), "image": c.image }));
            std::iter::once(deployment).chain(service).collect::<Vec<_>>()
        };
        spec.components.iter().flat_map(of).collect()
    }

    async fn try_pods(&self, _: &Grant<NamespaceRef>, _: &str, spec: &AppSpec) -> Vec<PodVerdict> {
        let answer = match (self.up(), self.state.lock().refuses.as_slice()) {
            (Err(e), _) => PodVerdict::Unknown(e.message().to_owned()),
            (Ok(()), []) => PodVerdict::Taken(None),
            (Ok(()), why) => PodVerdict::Refused(why.to_vec()),
        };
        spec.components.iter().map(|_| answer.clone()).collect()
    }

    async fn create_app(&self, ctx: &OpCtx, app: &Grant<AppRef>, spec: &Value) -> Result<AppObject> {
        self.passed().await;
        self.write(app, ctx, |state, version| {
            if state.apps.contains_key(&key(app)) {
                let message = format!("an app called “{}” exists already", app.name);
                return Err(Error::new(ErrorCode::AlreadyExists, message));
            }
            let object = json!({
                "apiVersion": "berth.dev/v1alpha1",
                "kind": "App",
                "metadata": {
                    "name": app.name, "namespace": &*app.namespace.kube_name, "uid": format!("uid-{version}"),
                    "resourceVersion": version, "generation": 1, "creationTimestamp": ctx.now(),
                },
                "spec": spec,
                "status": AppStatus::default(),
            });
            state.apps.insert(key(app), App { object, revisions: Vec::new(), changed_at: ctx.now() });
            Ok(())
        })
    }

    async fn replace_app(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        spec: &Value,
        resource_version: Option<&str>,
    ) -> Result<AppObject> {
        self.passed().await;
        self.write(app, ctx, |state, version| {
            let found = state.apps.get_mut(&key(app)).ok_or_else(Error::not_found)?;
            unchanged(found, resource_version)?;
            if found.object["spec"] != *spec {
                let meta = &mut found.object["metadata"];
                meta["resourceVersion"] = version.into();
                meta["generation"] = (meta["generation"].as_i64().unwrap_or_default() + 1).into();
                found.object["spec"] = spec.clone();
            }
            Ok(())
        })
    }

    async fn restart_app(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<AppObject> {
        self.passed().await;
        self.write(app, ctx, |state, version| {
            let found = state.apps.get_mut(&key(app)).ok_or_else(Error::not_found)?;
            found.object["metadata"]["resourceVersion"] = version.into();
            found.object["metadata"]["annotations"] = json!({ "berth.dev/restarted-at": ctx.now() });
            Ok(())
        })
    }

    async fn delete_app(&self, _: &OpCtx, app: &Grant<AppRef>, resource_version: Option<&str>) -> Result<()> {
        self.passed().await;
        self.up()?;
        {
            let mut state = self.state.lock();
            unchanged(state.apps.get(&key(app)).ok_or_else(Error::not_found)?, resource_version)?;
            state.apps.remove(&key(app));
            let (place, name) = key(app);
            state.pods.retain(|(namespace, _), pod| *namespace != place || pod.app.as_deref() != Some(&*name));
        }
        self.tell(ChangeKind::App, &app.namespace.kube_name, Some(app.name.as_str()));
        self.tell(ChangeKind::Pod, &app.namespace.kube_name, Some(app.name.as_str()));
        Ok(())
    }

    async fn revisions(&self, _: &OpCtx, app: &Grant<AppRef>) -> Result<Vec<RevisionRow>> {
        self.passed().await;
        self.up()?;
        let state = self.state.lock();
        Ok(state.apps.get(&key(app)).map(|a| a.revisions.iter().rev().cloned().collect()).unwrap_or_default())
    }

    async fn delete_pod(&self, _: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<()> {
        self.up()?;
        let removed = self.state.lock().pods.remove(&(namespace.kube_name.to_string(), pod.to_owned()));
        let removed = removed.ok_or_else(Error::not_found)?;
        self.tell(ChangeKind::Pod, &namespace.kube_name, removed.app.as_deref());
        Ok(())
    }

    async fn pod(&self, _: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<Value> {
        self.up()?;
        let state = self.state.lock();
        let row = state.pods.get(&(namespace.kube_name.to_string(), pod.to_owned())).ok_or_else(Error::not_found)?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": row.name, "namespace": row.kube_namespace, "creationTimestamp": row.created_at },
            "status": { "phase": row.reason, "podIP": row.ip },
        }))
    }

    async fn logs(
        &self,
        _: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.read_logs(namespace, query)
    }

    async fn exec(
        &self,
        _: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        pod: &str,
        _: Option<&str>,
        command: &[String],
        _: bool,
    ) -> Result<ExecSession> {
        self.open_terminal(namespace, pod, command)
    }

    async fn relay(&self, who: &Impersonation, request: KubeRequest) -> Result<KubeReply> {
        self.answer_relayed(who, request)
    }

    fn nodes(&self, _: &Grant<PlatformRef>) -> Result<Vec<NodeRow>> {
        Ok(self.state.lock().nodes.rows())
    }

    fn drains(&self, _: &Grant<PlatformRef>) -> Result<Vec<(String, DrainMark)>> {
        Ok(self.state.lock().nodes.drains())
    }

    fn node(&self, _: &Grant<PlatformRef>, name: &str) -> Result<NodeView> {
        let state = self.state.lock();
        state.nodes.view(name, state.pods.values())
    }

    async fn tenancies(&self, _: &Grant<PlatformRef>, node: &str) -> Result<Vec<Tenancy>> {
        self.up()?;
        Ok(self.state.lock().nodes.tenancies(node))
    }

    async fn mark_node(
        &self,
        _: &OpCtx,
        _: &Grant<PlatformRef>,
        node: &str,
        cordoned: bool,
        drain: Option<&DrainMark>,
    ) -> Result<()> {
        self.up()?;
        self.state.lock().nodes.mark(node, cordoned, drain)?;
        self.tell(ChangeKind::Node, "", None);
        Ok(())
    }

    async fn evict(&self, ctx: &OpCtx, _: &Grant<PlatformRef>, pod: &Tenancy) -> Result<bool> {
        self.up()?;
        let gone = self.state.lock().nodes.evict(pod, &ctx.actor.to_string());
        self.tell(ChangeKind::Node, "", None);
        Ok(gone)
    }

    async fn namespace_taken(&self, desired: &DesiredNamespace) -> Result<bool> {
        self.taken(desired)
    }

    async fn strange_namespaces(&self) -> Result<Vec<String>> {
        self.nobodys()
    }

    async fn look_at_namespace(&self, desired: &DesiredNamespace) -> Result<Strange> {
        self.look(desired)
    }

    async fn adopt_namespace(&self, _: &OpCtx, desired: &DesiredNamespace, uid: &str) -> Result<()> {
        self.adopt(desired, uid)
    }

    async fn disown_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<()> {
        self.disown(desired)
    }

    async fn namespace_stage(&self, desired: &DesiredNamespace) -> Result<Stage> {
        self.up()?;
        let known = self.namespaces().iter().any(|n| n.kube_name == desired.kube_name);
        Ok(if known && !self.taken(desired)? { Stage::There } else { Stage::Gone })
    }

    /// It goes at once, with its apps and pods.
    async fn delete_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<()> {
        self.up()?;
        let mut state = self.state.lock();
        state.namespaces.retain(|n| n.kube_name != desired.kube_name);
        state.apps.retain(|(place, _), _| *place != desired.kube_name);
        state.pods.retain(|(place, _), _| *place != desired.kube_name);
        Ok(())
    }

    async fn ensure_namespace(&self, _: &OpCtx, desired: &DesiredNamespace) -> Result<Kept> {
        if self.taken(desired)? {
            return Err(Error::new(ErrorCode::AlreadyExists, "the namespace of that name is not Berth's"));
        }
        let mut state = self.state.lock();
        let drift = state.drift.remove(&desired.kube_name).unwrap_or_default();
        let as_it_is = state.namespaces.contains(desired);
        state.namespaces.retain(|n| n.kube_name != desired.kube_name);
        state.namespaces.push(desired.clone());
        Ok(Kept { changed: !as_it_is || !drift.is_empty(), drift })
    }

    async fn unknown_keys(&self, keys: &[QuotaKey]) -> Result<Vec<UnknownKey>> {
        self.unknown(keys)
    }

    async fn existing(&self, namespaces: &[Grant<NamespaceRef>], keys: &[QuotaKey]) -> Result<Vec<Resources>> {
        self.existing_of(namespaces, keys)
    }

    fn leads(&self) -> bool {
        true
    }

    async fn identity(&self) -> Result<String> {
        self.identify()
    }

    async fn volumes(&self, _: &Grant<PlatformRef>) -> Result<BTreeMap<String, usize>> {
        self.claimed()
    }

    async fn look(&self) -> Looked {
        self.looked()
    }
}
