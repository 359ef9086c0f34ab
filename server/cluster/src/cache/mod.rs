//! What Berth knows of a cluster without asking it (design.md, rule 10).

use std::{collections::HashSet, sync::Arc, time::Duration};

use berth_core::{
    env::Clock,
    ports::cluster::{Change, ChangeKind},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::{connection::Connection, intern::Interner, rest::Kind};

pub(crate) mod app;
pub(crate) mod child;
pub(crate) mod event;
pub(crate) mod health;
pub(crate) mod measured;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod query;
pub(crate) mod quota;
pub(crate) mod resting;
pub(crate) mod room;
pub(crate) mod store;
mod tally;
pub(crate) mod used;
pub(crate) mod watch;

use app::AppRecord;
use child::ChildRecord;
use event::EventRecord;
use health::Health;
use measured::Measured;
use node::NodeRecord;
use pod::PodRecord;
use quota::QuotaRecord;
use resting::RestingRecord;
use room::RangeRecord;
use store::{Changed, Record, Store};
use used::Used;
use watch::Watcher;

/// Between two batches of changes.
const BATCH: Duration = Duration::from_millis(30);
/// Longest that the controller's watches wait for those of the pages.
const PAGES_FIRST: Duration = Duration::from_secs(10);
/// Changes that one who listens may fall behind before they are told that they did.
const BACKLOG: usize = 1024;
/// Apps of a namespace that are told one by one; more are told as "the namespace".
const MOST_APPS: usize = 64;

/// Waits. Networks are waited for in real time, whatever clock a test drives.
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Told of namespace and app whenever something of an app changed.
pub(crate) type AppListener = Arc<dyn Fn(&Arc<str>, &Arc<str>) + Send + Sync>;

/// Tells who listens what changed, in batches.
pub(crate) struct Changes {
    pending: Mutex<HashSet<Pending>>,
    wake: Notify,
    sender: broadcast::Sender<Change>,
    listener: RwLock<Option<AppListener>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Pending {
    kind: u8,
    namespace: Arc<str>,
    app: Option<Arc<str>>,
}

const KINDS: [ChangeKind; 6] =
    [ChangeKind::App, ChangeKind::Pod, ChangeKind::Event, ChangeKind::Usage, ChangeKind::Freshness, ChangeKind::Node];

impl Changes {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pending: Mutex::default(),
            wake: Notify::new(),
            sender: broadcast::Sender::new(BACKLOG),
            listener: RwLock::default(),
        })
    }

    /// Notes a change.
    pub(crate) fn push(&self, kind: ChangeKind, (namespace, app): Changed) {
        if let Some(app) = &app
            && let Some(listener) = &*self.listener.read()
        {
            listener(&namespace, app);
        }
        self.tell(kind, namespace, app);
    }

    fn tell(&self, kind: ChangeKind, namespace: Arc<str>, app: Option<Arc<str>>) {
        let kind = KINDS.iter().position(|k| *k == kind).unwrap_or_default() as u8;
        self.pending.lock().insert(Pending { kind, namespace, app });
        self.wake.notify_one();
    }

    /// Notes a change that only the controller looks at.
    fn push_child(&self, (namespace, app): Changed) {
        if let (Some(app), Some(listener)) = (&app, &*self.listener.read()) {
            listener(&namespace, app);
        }
    }

    /// Sends what was noted: the first change at once, what follows at most every [`BATCH`].
    async fn run(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
            }
            for change in batch(std::mem::take(&mut *self.pending.lock())) {
                // Nobody listening is nothing to worry about.
                let _ = self.sender.send(change);
            }
            pause(BATCH).await;
        }
    }
}

fn batch(pending: HashSet<Pending>) -> Vec<Change> {
    let mut counts: std::collections::HashMap<(u8, Arc<str>), usize> = std::collections::HashMap::new();
    for p in &pending {
        *counts.entry((p.kind, p.namespace.clone())).or_default() += 1;
    }
    let mut told = HashSet::new();
    let mut changes = Vec::new();
    for Pending { kind, namespace, app } in pending {
        let many = counts.get(&(kind, namespace.clone())).is_some_and(|n| *n > MOST_APPS);
        if many && !told.insert((kind, namespace.clone())) {
            continue;
        }
        let app = if many { None } else { app };
        changes.push(Change { kind: KINDS[usize::from(kind)], namespace, app });
    }
    changes
}

/// The rows of a cluster.
pub(crate) struct Cache {
    pub(crate) strings: Arc<Interner>,
    pub(crate) apps: Arc<Store<AppRecord>>,
    pub(crate) pods: Arc<Store<PodRecord>>,
    pub(crate) events: Arc<Store<EventRecord>>,
    pub(crate) quotas: Arc<Store<QuotaRecord>>,
    pub(crate) ranges: Arc<Store<RangeRecord>>,
    pub(crate) nodes: Arc<Store<NodeRecord>>,
    /// What the nodes use.
    pub(crate) measured: Measured,
    /// What namespaces use.
    pub(crate) used: Used,
    /// Namespaces whose apps rest.
    pub(crate) resting: Arc<Store<RestingRecord>>,
    /// What the controller made, by kind.
    pub(crate) children: [(Kind, Arc<Store<ChildRecord>>); 6],
    pub(crate) changes: Arc<Changes>,
    pub(crate) health: Arc<Health>,
}

impl Cache {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let changes = Changes::new();
        let told = changes.clone();
        Arc::new(Self {
            strings: Arc::default(),
            apps: Arc::default(),
            pods: Arc::default(),
            events: Arc::default(),
            quotas: Arc::default(),
            ranges: Arc::default(),
            nodes: Arc::default(),
            measured: Measured::default(),
            used: Used::default(),
            resting: Arc::default(),
            children: child::KINDS.map(|kind| (kind, Arc::default())),
            changes,
            health: Health::new(clock, Box::new(move || told.tell(ChangeKind::Freshness, "".into(), None))),
        })
    }

    /// The app of an object that an event is about, where it is known.
    fn app_of(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<str>> {
        let of_child = |kind| self.children_of(kind)?.with(namespace, name, |s| s.row.app.clone()).flatten();
        match kind {
            "App" => Some(self.strings.get(name)),
            "Pod" => self.pods.with(namespace, name, |s| s.row.0.app.clone()).flatten(),
            // Its name is the Deployment's and a hash.
            "ReplicaSet" => {
                let (deployment, _) = name.rsplit_once('-')?;
                self.app_of(namespace, "Deployment", deployment)
            }
            // Where no controller runs beside, a component named `main` is called as its app is.
            "Deployment" => {
                of_child(Kind::DEPLOYMENT).or_else(|| self.apps.with(namespace, name, |s| s.row.row.name.clone()))
            }
            "HorizontalPodAutoscaler" => of_child(Kind::AUTOSCALER),
            "Ingress" => of_child(Kind::INGRESS),
            "Service" => of_child(Kind::SERVICE),
            _ => None,
        }
    }

    /// Finds the apps of events that came before the pods they are about.
    pub(crate) fn resolve_events(&self, namespace: &Arc<str>) {
        let open: Vec<(Arc<str>, Arc<str>)> = {
            let space = self.events.space(namespace);
            space.rows().filter(|e| e.row.app.is_none()).map(|e| (e.name.clone(), e.row.object.clone())).collect()
        };
        for (event, object) in open {
            let (kind, name) = object.split_once('/').unwrap_or((&object, ""));
            if let Some(app) = self.app_of(namespace, kind, name) {
                self.events.edit(namespace, &event, |record| record.row.app = Some(app));
            }
        }
    }

    /// What changes.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.sender.subscribe()
    }

    /// Sets who is told, app by app.
    pub(crate) fn listen(&self, listener: AppListener) {
        *self.changes.listener.write() = Some(listener);
    }

    /// Nobody is told any more.
    pub(crate) fn listen_no_more(&self) {
        *self.changes.listener.write() = None;
    }

    /// The store of children of `kind`.
    pub(crate) fn children_of(&self, kind: Kind) -> Option<&Arc<Store<ChildRecord>>> {
        self.children.iter().find(|(k, _)| *k == kind).map(|(_, store)| store)
    }

    /// Drops what only the controller needs.
    pub(crate) fn forget_children(&self) {
        self.health.forget(child::KINDS.map(|k| k.plural).as_slice());
        self.health.forget(&[Kind::NAMESPACE.plural]);
        self.resting.clear();
        for (_, store) in &self.children {
            store.clear();
        }
    }

    /// Whether the apps of a namespace rest.
    pub(crate) fn rests(&self, namespace: &Arc<str>) -> bool {
        self.resting.space(namespace).len() > 0
    }

    /// Whether every kind of child has been listed once, and so what rests: an app that should must not be started.
    pub(crate) fn children_synced(&self) -> bool {
        self.health.all_synced(child::KINDS.map(|k| k.plural).as_slice())
            && self.health.all_synced(&[Kind::NAMESPACE.plural])
    }

    /// Watches what pages show, until `shutdown`.
    pub(crate) async fn run(self: Arc<Self>, connection: &Connection, clock: &dyn Clock, shutdown: CancellationToken) {
        let reader = &connection.reader;
        let changes = self.changes.clone();
        // An event is told of by the app that it concerns, which only the pods know.
        let cache = self.clone();
        let resolve = Arc::new(move |(namespace, app): Changed| {
            cache.changes.push(ChangeKind::Event, (namespace, app));
        });
        let tell = |kind: ChangeKind| {
            let changes = changes.clone();
            Arc::new(move |changed| changes.push(kind, changed)) as Arc<dyn Fn(Changed) + Send + Sync>
        };
        // Pages show nothing of them: they are right without, only their numbers are those of pods that say what they need.
        let ranges = self.watcher(reader, Kind::LIMIT_RANGE, "", &self.ranges, tell(ChangeKind::Usage));
        let ranges = Watcher { shown: false, ..ranges };
        // Only the admin console shows nodes: tenants' pages are right without.
        let nodes = self.watcher(reader, Kind::NODE, "", &self.nodes, tell(ChangeKind::Node));
        let nodes = Watcher { shown: false, ..nodes };
        let measured = async {
            let told = || changes.tell(ChangeKind::Node, "".into(), None);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.measured.run(reader, told) => {}
            }
        };
        let used = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.used.run(reader, &self, clock) => {}
            }
        };
        tokio::join!(
            ranges.run(shutdown.clone()),
            nodes.run(shutdown.clone()),
            measured,
            used,
            self.watcher(reader, Kind::APP, "", &self.apps, tell(ChangeKind::App)).run(shutdown.clone()),
            self.watcher(reader, Kind::POD, "", &self.pods, tell(ChangeKind::Pod)).run(shutdown.clone()),
            self.watcher(reader, Kind::EVENT, "", &self.events, resolve).run(shutdown.clone()),
            self.watcher(reader, Kind::QUOTA, "", &self.quotas, tell(ChangeKind::Usage)).run(shutdown.clone()),
            self.health.probe(reader.clone(), shutdown.clone()),
            self.changes.run(shutdown.clone()),
        );
    }

    /// Watches what the controller made, until `shutdown`. After what pages show, if that comes in time: somebody may be
    /// waiting for a page.
    pub(crate) async fn run_children(self: Arc<Self>, connection: &Connection, shutdown: CancellationToken) {
        let begun = tokio::time::Instant::now();
        while !self.health.is_loaded() && begun.elapsed() < PAGES_FIRST {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = pause(Duration::from_millis(20)) => {}
            }
        }
        let mut all = Vec::new();
        for (kind, store) in &self.children {
            let changes = self.changes.clone();
            let changed = Arc::new(move |changed| changes.push_child(changed));
            let watcher = self.watcher(&connection.controller, *kind, child::SELECTOR, store, changed);
            let watcher = Watcher { shown: false, ..watcher };
            all.push(watcher.run(shutdown.clone()));
        }
        let cache = self.clone();
        let changed = Arc::new(move |(namespace, _): Changed| {
            let apps: Vec<_> = cache.apps.space(&namespace).names().cloned().collect();
            for app in apps {
                cache.changes.push_child((namespace.clone(), Some(app)));
            }
        });
        let controller = &connection.controller;
        let resting = self.watcher(controller, Kind::NAMESPACE, resting::SELECTOR, &self.resting, changed);
        let resting = Watcher { shown: false, ..resting };
        tokio::join!(futures::future::join_all(all), resting.run(shutdown.clone()));
    }

    fn watcher<R: Record>(
        &self,
        client: &kube::Client,
        kind: Kind,
        selector: &'static str,
        store: &Arc<Store<R>>,
        changed: Arc<dyn Fn(Changed) + Send + Sync>,
    ) -> Watcher<R> {
        Watcher {
            client: client.clone(),
            kind,
            selector,
            store: store.clone(),
            strings: self.strings.clone(),
            health: self.health.clone(),
            shown: true,
            silence: watch::SILENCE,
            changed,
        }
    }
}
