//! The controller of `App`s: level-triggered. Looks at one app, decides with pure functions, acts, looks again when
//! something changes. Killing it between any two lines is harmless: every step is repeatable and nothing is remembered
//! that the cluster does not hold.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{Error, Result, env::Clock};
use berth_types::{
    ErrorCode,
    app::AppSpec,
    app_status::{AppPhase, AppStatus},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{Cache, app::status_of, child::ChildRecord, pause},
    connection::Connection,
    diagnose::{Facts, Logs, Refused, carry_over, crashed_lately, diagnose, settled},
    error::Target,
    meta,
    rest::{Kind, Rest, query},
};

mod decide;
pub(crate) mod desired;
mod observe;
pub(crate) mod preview;
mod queue;
mod template;
#[cfg(test)]
mod tests;

use decide::{Action, Child, decide, plan_revision};
use desired::{Object, Wanted, addresses, desired};
use queue::Queue;

/// Apps that are worked on at a time.
const WORKERS: usize = 8;
/// What changes together is looked at together; no longer, for somebody waits for what they clicked.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// An app on its way is looked at again after this even if nothing changes: some causes are a matter of time.
const RECHECK: Duration = Duration::from_secs(3);
/// So is one that is degraded, for it may have mended without a word.
const RECHECK_DEGRADED: Duration = Duration::from_secs(20);

/// Within this time after its start, a controller applies the children of every app once, each app at its own moment.
const VERIFY_WITHIN: Duration = Duration::from_mins(10);

/// Namespace and name.
type Key = (Arc<str>, Arc<str>);

/// Runs the controller of a cluster's apps.
pub(crate) struct Controller {
    rest: Rest,
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    queue: Arc<Queue<Key>>,
    /// What each child was when it was last applied: whoever changes it since is corrected.
    applied: Mutex<HashMap<(&'static str, Key), i64>>,
    /// Since when it runs, and the apps whose children it has applied once since: what was changed while nobody looked.
    begun: Instant,
    verified: Mutex<HashSet<Key>>,
    logs: observe::LogCache,
}

/// An app as the controller reads it.
struct App {
    namespace: Arc<str>,
    name: Arc<str>,
    uid: String,
    generation: i64,
    spec: AppSpec,
    status: AppStatus,
    restarted_at: Option<String>,
    changed_by: Option<String>,
}

impl App {
    fn read(namespace: &Arc<str>, name: &Arc<str>, object: &Value) -> Result<Self, serde_json::Error> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let note = |key: &str| object.get("metadata")?.get("annotations")?.get(key)?.as_str().map(str::to_owned);
        Ok(Self {
            namespace: namespace.clone(),
            name: name.clone(),
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            spec: serde_json::from_value(object.get("spec").cloned().unwrap_or_default())?,
            status: status_of(object),
            restarted_at: note(meta::RESTARTED_AT),
            changed_by: note(meta::CHANGED_BY),
        })
    }

    fn wanted(&self, revision: i64) -> Wanted<'_> {
        Wanted {
            name: &self.name,
            namespace: &self.namespace,
            uid: &self.uid,
            spec: &self.spec,
            restarted_at: self.restarted_at.as_deref(),
            revision,
        }
    }
}

impl Controller {
    pub(crate) fn new(connection: &Connection, cache: Arc<Cache>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            rest: Rest::new(connection.controller.clone()),
            cache,
            clock,
            queue: Arc::new(Queue::new()),
            applied: Mutex::default(),
            begun: Instant::now(),
            verified: Mutex::default(),
            logs: observe::LogCache::default(),
        })
    }

    /// Works until `shutdown`; what was begun is finished.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let queue = self.queue.clone();
        self.cache.listen(Arc::new(move |namespace, app| queue.add((namespace.clone(), app.clone()), DEBOUNCE)));
        // Without knowing what stands, deciding would be guessing.
        while !self.cache.children_synced() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = pause(Duration::from_millis(50)) => {}
            }
        }
        for key in self.cache.apps.names() {
            self.queue.add(key, Duration::ZERO);
        }
        let permits = Arc::new(Semaphore::new(WORKERS));
        let mut work = JoinSet::new();
        loop {
            while work.try_join_next().is_some() {}
            let permit = tokio::select! {
                () = shutdown.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let key = tokio::select! {
                () = shutdown.cancelled() => break,
                key = self.queue.next() => key,
            };
            let me = self.clone();
            work.spawn(async move {
                let result = me.reconcile(&key).await;
                if let Err(e) = &result {
                    tracing::warn!(namespace = &*key.0, app = &*key.1, error = %e, cause = ?std::error::Error::source(e), "an app could not be reconciled");
                }
                me.queue.done(key, result.is_err(), result.unwrap_or(None));
                drop(permit);
            });
        }
        self.cache.listen_no_more();
        while work.join_next().await.is_some() {}
    }

    /// Looks at one app and does what is to be done; when to look again.
    async fn reconcile(&self, (namespace, name): &Key) -> Result<Option<Duration>> {
        let object = self.cache.apps.with(namespace, name, |s| (!s.row.row.deleting).then(|| s.row.object())).flatten();
        let Some(object) = object else {
            // Gone or on its way out: the cluster's garbage collector follows the owner references.
            // Children of another app whose name begins alike are only trusted a little longer.
            self.applied.lock().retain(|(_, key), _| key.0 != *namespace || !key.1.starts_with(&**name));
            self.verified.lock().remove(&(namespace.clone(), name.clone()));
            return Ok(None);
        };
        let app = match App::read(namespace, name, &object) {
            // Its spec stays as it is; what runs does not.
            Ok(app) if self.cache.rests(namespace) => App { spec: AppSpec { suspended: true, ..app.spec }, ..app },
            Ok(app) => app,
            Err(e) => {
                tracing::warn!(%namespace, app = %name, error = %e, "the spec of an app is none");
                return Ok(None);
            }
        };
        let mut refused = Vec::new();
        let errors = app.spec.validate();
        let mut revision = app.status.revision;
        let key = (namespace.clone(), name.clone());
        let verify_in = self.verify_in(&key);
        if let Some(error) = errors.first() {
            // It came past the forms: by kubectl, say.
            refused.push(Refused { object: error.field.clone(), reason: error.message.clone() });
        } else {
            let verify = verify_in.is_some_and(|wait| wait.is_zero());
            revision = self.act(&app, verify, &mut refused).await?;
            if verify {
                self.verified.lock().insert(key);
            }
        }
        let again = self.report(&app, revision, &refused).await?;
        Ok([again, verify_in.filter(|wait| !wait.is_zero())].into_iter().flatten().min())
    }

    /// When the children of an app are to be applied whatever their digests say; zero is now, none is not again.
    fn verify_in(&self, key: &Key) -> Option<Duration> {
        if self.verified.lock().contains(key) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let moment = VERIFY_WITHIN.mul_f64((hasher.finish() % 1000) as f64 / 1000.0);
        Some(moment.saturating_sub(self.begun.elapsed()))
    }

    fn children(&self, app: &App) -> Vec<Child> {
        let mut all = Vec::new();
        for (kind, store) in &self.cache.children {
            let space = store.space(&app.namespace);
            let Some(space) = space.get() else { continue };
            all.extend(space.of_app(&app.name).map(|(name, stored)| Child {
                kind: *kind,
                name: name.clone(),
                version: stored.version,
                record: stored.row.clone(),
            }));
        }
        all
    }

    /// Makes the cluster agree with the app; its revision. What the cluster refuses is put down in `refused`.
    async fn act(&self, app: &App, verify: bool, refused: &mut Vec<Refused>) -> Result<i64> {
        let children = self.children(app);
        let now = self.clock.now().to_string();
        let plan = plan_revision(&app.wanted(0), &children, app.changed_by.as_deref(), &now);
        let wanted = app.wanted(plan.number);
        let known = |name: &str| {
            let child = children.iter().find(|c| c.kind == Kind::DEPLOYMENT && *c.name == *name)?;
            Some((child.record.template.as_deref()?.to_owned(), child.record.revision))
        };
        let drifted = |child: &Child| {
            let key = (child.kind.kind, (app.namespace.clone(), child.name.clone()));
            verify || self.applied.lock().get(&key).is_some_and(|mark| *mark < mark_of(child))
        };
        let mut actions: Vec<Action> = Vec::new();
        // The revision comes first: no pod runs what history does not know.
        actions.extend(plan.apply.map(|object| Action::Apply { object, force: true }));
        actions.extend(decide(desired(&wanted, &known), &children, &drifted));
        actions.extend(plan.prune.into_iter().map(|name| Action::Delete { kind: Kind::REVISION, name }));
        for action in actions {
            self.perform(app, action, refused).await?;
        }
        Ok(plan.number)
    }

    async fn perform(&self, app: &App, action: Action, refused: &mut Vec<Refused>) -> Result<()> {
        let namespace = &app.namespace;
        match action {
            Action::Apply { object, force } => {
                let Object { kind, name, body, .. } = object;
                let target = Target::new(kind.kind, &name);
                let force = if force { "true" } else { "false" };
                let path = query(&kind.at(namespace, &name), &[("fieldManager", meta::CONTROLLER), ("force", force)]);
                match self.rest.apply(&target, &path, &body).await {
                    Ok(made) => self.note(kind, namespace, made),
                    Err(e) if is_refusal(&e) => {
                        refused
                            .push(Refused { object: format!("{}/{name}", kind.kind), reason: reason(&e, kind, &name) });
                    }
                    Err(e) => return Err(e),
                }
            }
            Action::HandOver { name, replicas } => {
                let kind = Kind::DEPLOYMENT;
                let path = query(&kind.at(namespace, &name), &[("fieldManager", meta::HANDOVER), ("force", "true")]);
                let body = json!({
                    "apiVersion": kind.api_version, "kind": kind.kind,
                    "metadata": { "name": name, "namespace": &**namespace }, "spec": { "replicas": replicas },
                });
                self.rest.apply(&Target::new(kind.kind, &name), &path, &body).await?;
            }
            Action::Delete { kind, name } => {
                let options = json!({ "propagationPolicy": "Background" });
                let deleted =
                    self.rest.delete(&Target::new(kind.kind, &name), &kind.at(namespace, &name), &options).await;
                match deleted {
                    Ok(_) => {}
                    Err(e) if e.code() == ErrorCode::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// Puts what was applied into the cache at once, and remembers how it was.
    fn note(&self, kind: Kind, namespace: &Arc<str>, made: Value) {
        use crate::cache::store::Record as _;
        let Ok(wire) = serde_json::from_value(made) else { return };
        let Some(entry) = ChildRecord::decode(wire, &self.cache.strings) else { return };
        let child = Child { kind, name: entry.name.clone(), version: entry.version, record: entry.row.clone() };
        self.applied.lock().insert((kind.kind, (namespace.clone(), entry.name.clone())), mark_of(&child));
        if let Some(store) = self.cache.children_of(kind) {
            store.put_own(entry);
        }
    }

    /// Writes the status, where it changed; when to look again.
    async fn report(&self, app: &App, revision: i64, refused: &[Refused]) -> Result<Option<Duration>> {
        let mut deployments = BTreeMap::new();
        let mut balancers = HashMap::new();
        for child in self.children(app) {
            if child.kind == Kind::DEPLOYMENT {
                deployments.insert(child.name.to_string(), child.record);
            } else if child.kind == Kind::SERVICE
                && let Some(address) = &child.record.address
            {
                balancers.insert(child.name.to_string(), address.to_string());
            }
        }
        let now = self.clock.now();
        let shaky = self
            .cache
            .pods
            .space(&app.namespace)
            .get()
            .is_some_and(|space| space.of_app(&app.name).any(|(_, pod)| crashed_lately(&pod.row.0, now)));
        let well = refused.is_empty() && !shaky && settled(&app.name, &app.spec, &deployments);
        let details = if well { observe::Details::default() } else { self.details(app, now).await? };
        let no_logs = Logs::new();
        let mut facts = Facts {
            name: &app.name,
            generation: app.generation,
            revision,
            spec: &app.spec,
            deployments: &deployments,
            pods: &details.pods,
            events: &details.events,
            logs: &no_logs,
            refused,
            now,
        };
        let mut status = diagnose(&facts);
        let logs = self.logs_wanted(app, &status, &details).await;
        if !logs.is_empty() {
            facts.logs = &logs;
            status = diagnose(&facts);
        }
        status.addresses = addresses(&app.wanted(revision), |name| balancers.get(name).cloned());
        carry_over(&mut status, &app.status, now);
        let again = match status.phase {
            AppPhase::Progressing => Some(RECHECK),
            AppPhase::Degraded if shaky => Some(RECHECK),
            AppPhase::Degraded => Some(RECHECK_DEGRADED),
            AppPhase::Ready | AppPhase::Suspended => None,
        };
        if status != app.status {
            self.write_status(app, &status).await?;
        }
        Ok(again)
    }

    async fn write_status(&self, app: &App, status: &AppStatus) -> Result<()> {
        let kind = Kind::APP;
        let path = kind.at(&app.namespace, &app.name) + "/status";
        let path = query(&path, &[("fieldManager", meta::CONTROLLER), ("force", "true")]);
        let body = json!({
            "apiVersion": kind.api_version, "kind": kind.kind,
            // The uid keeps a status from an app that was made anew under the same name.
            "metadata": { "name": &*app.name, "namespace": &*app.namespace, "uid": app.uid },
            "status": status,
        });
        match self.rest.apply(&Target::new("the app", &app.name), &path, &body).await {
            Ok(object) => {
                if let Some(entry) = crate::cache::app::entry(object, &self.cache.strings)
                    && let Some(changed) = self.cache.apps.put_own(entry)
                {
                    self.cache.changes.push(berth_core::ports::cluster::ChangeKind::App, changed);
                }
                Ok(())
            }
            // Deleted or made anew meanwhile: the watch will tell.
            Err(e) if matches!(e.code(), ErrorCode::NotFound | ErrorCode::Conflict) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Grows when somebody changes what a child wants. Deployments count that themselves; for the others each change counts.
fn mark_of(child: &Child) -> i64 {
    if child.record.generation > 0 { child.record.generation } else { i64::try_from(child.version).unwrap_or(i64::MAX) }
}

/// The cluster said no, and will go on saying so until somebody changes something.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::Invalid
            | ErrorCode::ClusterRefused
            | ErrorCode::Forbidden
            | ErrorCode::QuotaExceeded
            | ErrorCode::Conflict
    )
}

fn reason(error: &Error, kind: Kind, name: &str) -> String {
    match error.code() {
        ErrorCode::Conflict => format!("a {} called “{name}” exists already and is not this app's", kind.kind),
        _ => error.message().to_owned(),
    }
}
