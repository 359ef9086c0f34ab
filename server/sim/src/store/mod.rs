//! Versioned objects in memory: one revision for all, one bounded history a resource, watches over both.
//!
//! The store knows nothing of Kubernetes but `metadata.resourceVersion`. Writes are optimistic
//! (compare and swap on the revision) and, when a [`Journal`] is attached, durable once
//! [`Store::durable`] returns.

mod history;
pub mod journal;
mod object;
mod watch;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch as signal;

use history::History;
pub use object::{Object, ObjectRef};
pub use watch::{Event, EventKind, Expired, Watch};

/// How many events a resource remembers for watches that start in the past.
const HISTORY: usize = 8192;
/// How many events are remembered for watches over everything.
const HISTORY_ALL: usize = 32768;
/// An API group and a plural, e.g. `apps` and `deployments`. The group of core is "".
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group.
    pub group: Cow<'static, str>,
    /// Plural name.
    pub resource: Cow<'static, str>,
}

impl GroupResource {
    /// A group and resource known at compile time.
    #[must_use]
    pub const fn new(group: &'static str, resource: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), resource: Cow::Borrowed(resource) }
    }

    /// One known at run time.
    #[must_use]
    pub fn owned(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: Cow::Owned(group.into()), resource: Cow::Owned(resource.into()) }
    }
}

impl fmt::Display for GroupResource {
    /// `deployments.apps`, as messages name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

impl fmt::Debug for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// Create: the name is taken.
    Exists,
    /// Update or remove: there is no such object.
    Missing,
    /// The object has another revision than was expected.
    Stale {
        /// Its present revision.
        current: u64,
    },
    /// The journal has no room for it.
    Full,
}

/// A change as the journal records it. `object` is absent when the object went away.
pub struct Change<'a> {
    /// Revision of the change.
    pub revision: u64,
    /// Which resource.
    pub resource: &'a GroupResource,
    /// `namespace/name` or `name`.
    pub key: &'a str,
    /// What is stored from now on.
    pub object: Option<&'a Object>,
}

/// Where confirmed writes go. Called under the store's lock, in revision order: must be quick.
pub trait Journal: Send + Sync {
    /// Takes note of a change, or says that there is no room for it; then it has not happened.
    fn append(&self, change: &Change<'_>) -> bool;
    /// Whether a write of usual size would be taken now.
    fn has_room(&self) -> bool;
    /// The highest revision that survives a crash.
    fn durable(&self) -> signal::Receiver<u64>;
    /// The highest revision that has been handed in.
    fn pending(&self) -> u64;
}

/// The objects. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// A handle that does not keep the objects alive.
pub(crate) struct WeakStore(std::sync::Weak<Shared>);

impl WeakStore {
    fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(Store)
    }
}

struct Shared {
    /// Rows handed out by lists.
    listed: AtomicU64,
    inner: RwLock<Inner>,
    journal: RwLock<Option<Arc<dyn Journal>>>,
}

struct Inner {
    revision: u64,
    /// Revision of the latest sweep.
    swept: u64,
    tables: HashMap<GroupResource, Table>,
    all: History,
}

#[derive(Default)]
struct Table {
    /// Keyed `namespace/name`, the order in which etcd lists.
    rows: BTreeMap<String, ObjectRef>,
    history: History,
}

/// A page of a list.
pub struct Page {
    /// Revision that the list shows.
    pub revision: u64,
    /// The objects in key order.
    pub items: Vec<ObjectRef>,
}

fn key_of(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store at revision 1, as etcd starts.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            listed: AtomicU64::new(0),
            inner: RwLock::new(Inner { revision: 1, swept: 0, tables: HashMap::new(), all: History::default() }),
            journal: RwLock::new(None),
        }))
    }

    /// Sends every later write to `journal`.
    pub fn attach(&self, journal: Arc<dyn Journal>) {
        *self.0.journal.write() = Some(journal);
    }

    fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// Ends the journal: what was handed in is written out, later writes are not recorded.
    pub fn detach(&self) {
        let journal = self.0.journal.write().take();
        drop(journal);
    }

    /// Waits until everything up to `revision` survives a crash. Immediate without a journal.
    pub async fn durable(&self, revision: u64) {
        let journal = self.0.journal.read().clone();
        if let Some(journal) = journal {
            let revision = revision.min(journal.pending());
            let mut durable = journal.durable();
            // An error means that the journal is gone: the process is stopping.
            let _ = durable.wait_for(|at| *at >= revision).await;
        }
    }

    /// Whether writes are taken now: they are refused while the disk below the journal is full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.journal.read().as_ref().is_none_or(|journal| journal.has_room())
    }

    /// How many rows lists have handed out so far. Tests tell from it whether work grows with the square of something.
    #[must_use]
    pub fn listed(&self) -> u64 {
        self.0.listed.load(Ordering::Relaxed)
    }

    /// The revision of the last write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.inner.read().revision
    }

    /// One object. `namespace` is "" for cluster-wide resources.
    #[must_use]
    pub fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<ObjectRef> {
        self.0.inner.read().tables.get(resource)?.rows.get(&key_of(namespace, name)).cloned()
    }

    /// All objects of a resource, or of one namespace, in key order, with the revision they show.
    #[must_use]
    pub fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Page {
        let inner = self.0.inner.read();
        let revision = inner.revision;
        let Some(table) = inner.tables.get(resource) else {
            return Page { revision, items: Vec::new() };
        };
        let items: Vec<ObjectRef> = match namespace {
            None => table.rows.values().cloned().collect(),
            Some(namespace) => {
                let prefix = format!("{namespace}/");
                table
                    .rows
                    .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
                    .take_while(|(key, _)| key.starts_with(&prefix))
                    .map(|(_, object)| object.clone())
                    .collect()
            }
        };
        self.0.listed.fetch_add(items.len() as u64, Ordering::Relaxed);
        Page { revision, items }
    }

    /// The list as it was at `revision`, remade from the present by undoing what came after.
    ///
    /// # Errors
    /// [`Expired`] when the history does not reach back so far.
    pub fn list_at(&self, resource: &GroupResource, namespace: Option<&str>, revision: u64) -> Result<Page, Expired> {
        let inner = self.0.inner.read();
        let Some(table) = inner.tables.get(resource) else {
            return Ok(Page { revision, items: Vec::new() });
        };
        let undo = table.history.since(revision)?;
        let prefix = namespace.map(|namespace| format!("{namespace}/"));
        let inside = |key: &str| prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix));
        let mut rows: BTreeMap<String, ObjectRef> = table
            .rows
            .iter()
            .filter(|(key, _)| inside(key))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        for event in undo.iter().rev() {
            let key = key_of(&event.namespace, &event.name);
            if !inside(&key) {
                continue;
            }
            match &event.previous {
                Some(previous) => rows.insert(key, previous.clone()),
                None => rows.remove(&key),
            };
        }
        Ok(Page { revision, items: rows.into_values().collect() })
    }

    /// How many objects of a resource there are.
    #[must_use]
    pub fn count(&self, resource: &GroupResource) -> usize {
        self.0.inner.read().tables.get(resource).map_or(0, |table| table.rows.len())
    }

    /// The resources that hold at least one object.
    #[must_use]
    pub fn resources(&self) -> Vec<GroupResource> {
        let inner = self.0.inner.read();
        let mut out: Vec<_> =
            inner.tables.iter().filter(|(_, table)| !table.rows.is_empty()).map(|(name, _)| name.clone()).collect();
        out.sort();
        out
    }

    /// Adds an object; sets its resourceVersion.
    ///
    /// # Errors
    /// [`WriteError::Exists`] when the name is taken, [`WriteError::Full`] when the journal has no room.
    pub fn create(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        value: Value,
    ) -> Result<ObjectRef, WriteError> {
        let mut inner = self.0.inner.write();
        let key = key_of(namespace, name);
        if inner.tables.get(resource).is_some_and(|table| table.rows.contains_key(&key)) {
            return Err(WriteError::Exists);
        }
        self.commit(&mut inner, resource, namespace, name, key, Some(value), None)
    }

    /// Replaces an object. `expected` is the revision that it must have, or `None` for any.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`] or [`WriteError::Full`].
    pub fn update(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        expected: Option<u64>,
        value: Value,
    ) -> Result<ObjectRef, WriteError> {
        let mut inner = self.0.inner.write();
        let key = key_of(namespace, name);
        let previous = current(&inner, resource, &key, expected)?;
        self.commit(&mut inner, resource, namespace, name, key, Some(value), Some(previous))
    }

    /// Removes an object and returns its last state, stamped with the revision of the removal.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`] or [`WriteError::Full`].
    pub fn remove(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        expected: Option<u64>,
    ) -> Result<ObjectRef, WriteError> {
        let mut inner = self.0.inner.write();
        let key = key_of(namespace, name);
        let previous = current(&inner, resource, &key, expected)?;
        self.commit(&mut inner, resource, namespace, name, key, None, Some(previous))
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where a write happens")]
    fn commit(
        &self,
        inner: &mut Inner,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        key: String,
        value: Option<Value>,
        previous: Option<ObjectRef>,
    ) -> Result<ObjectRef, WriteError> {
        let revision = inner.revision + 1;
        let removed = value.is_none();
        let value = value.unwrap_or_else(|| previous.as_ref().map(|old| old.value().clone()).unwrap_or_default());
        let object = Arc::new(Object::new(value, revision));
        let change = Change { revision, resource, key: &key, object: (!removed).then_some(&object) };
        if self.0.journal.read().as_ref().is_some_and(|journal| !journal.append(&change)) {
            // Memory must not run ahead of the disk: what is refused is nowhere to be seen.
            return Err(WriteError::Full);
        }
        inner.revision = revision;
        let kind = match (&previous, removed) {
            (_, true) => EventKind::Deleted,
            (None, false) => EventKind::Added,
            (Some(_), false) => EventKind::Modified,
        };
        let event = Arc::new(Event {
            revision,
            kind,
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            object: object.clone(),
            previous,
        });
        let table = inner.tables.entry(resource.clone()).or_default();
        if removed {
            table.rows.remove(&key);
        } else {
            table.rows.insert(key, object.clone());
        }
        table.history.push(event.clone(), HISTORY);
        inner.all.push(event, HISTORY_ALL);
        inner.cool();
        Ok(object)
    }

    /// Puts objects in place without events or journal, as a restart or a bulk load does, and moves the
    /// revision to at least `revision`. Watches from before see [`Expired`].
    pub fn load(&self, revision: u64, objects: impl IntoIterator<Item = (GroupResource, String, Object)>) {
        let mut inner = self.0.inner.write();
        for (resource, key, object) in objects {
            inner.revision = inner.revision.max(object.revision());
            inner.tables.entry(resource).or_default().rows.insert(key, Arc::new(object));
        }
        inner.revision = inner.revision.max(revision);
        let floor = inner.revision;
        for table in inner.tables.values_mut() {
            table.history.events.clear();
            table.history.floor = floor;
            table.history.latest.send_replace(floor);
        }
        inner.all.events.clear();
        inner.all.floor = floor;
        inner.all.latest.send_replace(floor);
    }

    /// Takes an object away without event or journal, as a restart does.
    fn unload(&self, resource: &GroupResource, key: &str) {
        if let Some(table) = self.0.inner.write().tables.get_mut(resource) {
            table.rows.remove(key);
        }
    }

    /// Every row, for snapshots, and the revision they show.
    pub fn export(&self) -> (u64, Vec<(GroupResource, String, ObjectRef)>) {
        let inner = self.0.inner.read();
        let mut rows = Vec::new();
        for (resource, table) in &inner.tables {
            rows.extend(table.rows.iter().map(|(key, object)| (resource.clone(), key.clone(), object.clone())));
        }
        (inner.revision, rows)
    }

    /// Every event of `resource` after revision `from`.
    ///
    /// # Errors
    /// [`Expired`] when `from` is older than what is remembered.
    pub fn watch(&self, resource: &GroupResource, from: u64) -> Result<Watch, Expired> {
        let mut inner = self.0.inner.write();
        let table = inner.tables.entry(resource.clone()).or_default();
        table.history.since(from)?;
        let signal = table.history.latest.subscribe();
        Ok(Watch::new(self.clone(), Some(resource.clone()), from, signal))
    }

    /// Every event of every resource after revision `from`.
    ///
    /// # Errors
    /// [`Expired`] when `from` is older than what is remembered.
    pub fn watch_all(&self, from: u64) -> Result<Watch, Expired> {
        let inner = self.0.inner.read();
        inner.all.since(from)?;
        let signal = inner.all.latest.subscribe();
        Ok(Watch::new(self.clone(), None, from, signal))
    }

    /// A list and the events that follow it, without a gap.
    #[must_use]
    pub fn list_and_watch(&self, resource: &GroupResource) -> (Page, Watch) {
        loop {
            let page = self.list(resource, None);
            if let Ok(watch) = self.watch(resource, page.revision) {
                return (page, watch);
            }
        }
    }

    fn events_since(&self, resource: Option<&GroupResource>, from: u64) -> Result<(u64, Vec<Arc<Event>>), Expired> {
        let inner = self.0.inner.read();
        let history = match resource {
            None => Some(&inner.all),
            Some(resource) => inner.tables.get(resource).map(|table| &table.history),
        };
        let events = history.map_or_else(|| Ok(Vec::new()), |history| history.since(from))?;
        Ok((inner.revision, events))
    }
}

fn current(inner: &Inner, resource: &GroupResource, key: &str, expected: Option<u64>) -> Result<ObjectRef, WriteError> {
    let object = inner.tables.get(resource).and_then(|table| table.rows.get(key)).ok_or(WriteError::Missing)?;
    match expected {
        Some(expected) if expected != object.revision() => Err(WriteError::Stale { current: object.revision() }),
        _ => Ok(object.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::{
        history::{SWEEP, WARM},
        *,
    };

    const PODS: GroupResource = GroupResource::new("", "pods");

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    #[test]
    fn writes_compare_and_swap() {
        let store = Store::new();
        let first = store.create(&PODS, "ns", "a", pod("a")).unwrap();
        assert_eq!(first["metadata"]["resourceVersion"], "2");
        assert_eq!(store.create(&PODS, "ns", "a", pod("a")).unwrap_err(), WriteError::Exists);
        let second = store.update(&PODS, "ns", "a", Some(2), pod("a")).unwrap();
        assert_eq!(second.revision(), 3);
        assert_eq!(store.update(&PODS, "ns", "a", Some(2), pod("a")).unwrap_err(), WriteError::Stale { current: 3 });
        assert_eq!(store.remove(&PODS, "ns", "b", None).unwrap_err(), WriteError::Missing);
        let gone = store.remove(&PODS, "ns", "a", None).unwrap();
        assert_eq!(gone["metadata"]["resourceVersion"], "4");
        assert!(store.get(&PODS, "ns", "a").is_none());
    }

    #[test]
    fn lists_come_in_etcd_order() {
        let store = Store::new();
        for namespace in ["a", "a-b", "b"] {
            store.create(&PODS, namespace, "x", pod("x")).unwrap();
        }
        let keys: Vec<_> = store.export().1.into_iter().map(|(_, key, _)| key).collect();
        assert_eq!(keys, ["a-b/x", "a/x", "b/x"]);
        assert_eq!(store.list(&PODS, Some("a")).items.len(), 1);
    }

    #[tokio::test]
    async fn watches_replay_then_follow() {
        let store = Store::new();
        store.create(&PODS, "ns", "a", pod("a")).unwrap();
        let mut watch = store.watch(&PODS, 1).unwrap();
        assert_eq!(watch.next().await.unwrap().kind, EventKind::Added);
        store.remove(&PODS, "ns", "a", None).unwrap();
        let event = watch.next().await.unwrap();
        assert_eq!((event.kind, event.revision), (EventKind::Deleted, 3));
    }

    #[test]
    fn old_versions_are_kept_as_text_and_read_the_same() {
        let store = Store::new();
        store.create(&PODS, "ns", "old", json!({"metadata": {"name": "old"}, "spec": {"n": 1}})).unwrap();
        for turn in 0..2 * SWEEP {
            let _ = store.create(&PODS, "ns", "busy", pod("busy"));
            store.update(&PODS, "ns", "busy", None, json!({"metadata": {"name": "busy"}, "turn": turn})).unwrap();
            if turn == SWEEP / 2 {
                // Somebody looks into it, which unpacks it for a while.
                assert_eq!(store.get(&PODS, "ns", "old").unwrap()["spec"]["n"], 1);
            }
        }
        assert!(!store.get(&PODS, "ns", "old").unwrap().is_warm());
        assert!(store.get(&PODS, "ns", "busy").unwrap().is_warm());
        let events = store.events_since(None, store.revision() - 3 * WARM as u64).unwrap().1;
        let warm = events.iter().filter(|event| event.object.is_warm()).count();
        assert!((WARM - 1..=WARM).contains(&warm), "{warm}");
        let turns: Vec<u64> = events.iter().filter_map(|event| event.object["turn"].as_u64()).collect();
        assert!(turns.is_sorted() && turns.len() > 2 * WARM, "{}", turns.len());
        assert_eq!(store.get(&PODS, "ns", "old").unwrap()["metadata"]["resourceVersion"], "2");
    }

    #[test]
    fn old_revisions_expire() {
        let store = Store::new();
        for _ in 0..=HISTORY {
            let _ = store.create(&PODS, "ns", "a", pod("a"));
            let _ = store.remove(&PODS, "ns", "a", None);
        }
        assert!(store.watch(&PODS, 1).is_err());
        assert!(store.watch(&PODS, store.revision()).is_ok());
    }
}
