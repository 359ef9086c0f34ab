//! The loop behind every controller, the scheduler and the kubelet.
//!
//! All of them run in one [`Engine`]: changes of the store wake keys, each key is reconciled against the
//! present state, and what must happen later waits on the cluster's clock. One thread at a time runs it, so
//! with a manual clock everything that follows from a write is reproducible.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{index::Index, recorder::Recorder};
use crate::{
    clock::Clock,
    cluster::Cluster,
    status::Status,
    store::{Event, EventKind, Watch},
};

/// First delay before a failed reconcile is tried again; it doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// The longest such delay.
const RETRY_LAST: Duration = Duration::from_secs(1000);
/// Reconciles done before other tasks get the thread.
const BATCH: usize = 64;

/// What a controller reconciles: usually the namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// "" for cluster-wide objects.
    pub namespace: Arc<str>,
    /// Name of the object.
    pub name: Arc<str>,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an event's object.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self::new(&event.namespace, &event.name)
    }
}

/// What every reconcile may use.
pub struct Context<'a> {
    /// The API, writing as the controller.
    pub cluster: &'a Cluster,
    /// Objects by owner, pods by node.
    pub index: &'a Index,
    /// Events about objects.
    pub recorder: &'a Recorder,
    /// The time at the start of the reconcile.
    pub now: Timestamp,
}

/// What a reconcile came to: when to look again, if time alone can change anything.
pub type Outcome = Result<Option<Timestamp>, Status>;

/// One level-triggered control loop.
pub trait Controller: Send {
    /// Which component writes, e.g. `deployment-controller`; the source of its events.
    fn name(&self) -> &'static str;

    /// Which program it is a part of: the field manager of its writes.
    fn program(&self) -> &'static str {
        "kube-controller-manager"
    }

    /// Pushes the keys that a change concerns. Also called once with every object at the start.
    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>);

    /// Brings the world closer to what the key's object asks for.
    ///
    /// # Errors
    /// Whatever the API refused; the key is tried again later.
    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome;
}

/// Wakes keys for reasons that no change of the store tells, e.g. that a process ended.
#[derive(Clone, Default)]
pub struct Waker {
    keys: Arc<Mutex<Vec<(&'static str, Key)>>>,
    changed: Arc<Notify>,
}

impl Waker {
    /// Lets the controller of that name look at a key.
    pub fn wake(&self, controller: &'static str, key: Key) {
        self.keys.lock().push((controller, key));
        self.changed.notify_one();
    }
}

/// A controller with the handle it writes through.
struct Slot {
    controller: Box<dyn Controller>,
    cluster: Cluster,
}

type Job = (usize, Key);

/// Runs controllers over one cluster.
pub struct Engine {
    cluster: Cluster,
    slots: Vec<Slot>,
    watch: Option<Watch>,
    index: Index,
    recorder: Arc<Recorder>,
    queue: VecDeque<Job>,
    queued: HashSet<Job>,
    timers: BTreeMap<(Timestamp, u64), Job>,
    timer_of: HashMap<Job, (Timestamp, u64)>,
    failures: HashMap<Job, u32>,
    sequence: u64,
    waker: Waker,
    done: u64,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[must_use]
    pub fn new(cluster: &Cluster, controllers: Vec<Box<dyn Controller>>) -> Self {
        let slots = controllers
            .into_iter()
            .map(|controller| Slot { cluster: cluster.component(controller.program()), controller })
            .collect();
        Self {
            cluster: cluster.clone(),
            slots,
            watch: None,
            index: Index::default(),
            recorder: Arc::new(Recorder::new(cluster)),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            timers: BTreeMap::new(),
            timer_of: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
            waker: Waker::default(),
            done: 0,
        }
    }

    /// Wakes keys from outside.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// When something is due next: now if there is work, `None` if only a change can wake anything.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.queue.is_empty() { self.timers.keys().next().map(|(at, _)| *at) } else { Some(Timestamp::MIN) }
    }

    /// Does everything that can be done at this instant.
    pub fn settle(&mut self) {
        while self.run(usize::MAX) {}
    }

    /// Does at most `limit` reconciles; whether there may be more to do now.
    pub fn run(&mut self, limit: usize) -> bool {
        let mut done = 0;
        loop {
            self.take_events();
            self.take_woken();
            self.take_timers();
            if done >= limit {
                return !self.queue.is_empty();
            }
            let Some(job) = self.queue.pop_front() else { return false };
            self.queued.remove(&job);
            self.reconcile(job);
            done += 1;
        }
    }

    fn reconcile(&mut self, job: Job) {
        self.done += 1;
        if let Some(timer) = self.timer_of.remove(&job) {
            self.timers.remove(&timer);
        }
        let now = self.cluster.clock.now();
        let Some(slot) = self.slots.get_mut(job.0) else { return };
        let cx = Context { cluster: &slot.cluster, index: &self.index, recorder: &self.recorder, now };
        let next = match slot.controller.reconcile(&job.1, &cx) {
            Ok(next) => {
                self.failures.remove(&job);
                next
            }
            Err(status) => {
                let failures = self.failures.entry(job.clone()).or_default();
                let delay = RETRY_FIRST.saturating_mul(1 << (*failures).min(20)).min(RETRY_LAST);
                *failures += 1;
                tracing::debug!(controller = slot.controller.name(), key = ?job.1, %status, "will be tried again");
                now.checked_add(delay).ok()
            }
        };
        if let Some(at) = next {
            self.sequence += 1;
            // A time that has come is work for the next instant at the earliest: no controller may spin.
            let at = if at <= now { now.checked_add(Duration::from_millis(1)).unwrap_or(at) } else { at };
            self.timers.insert((at, self.sequence), job.clone());
            self.timer_of.insert(job, (at, self.sequence));
        }
    }

    fn push(&mut self, job: Job) {
        if self.queued.insert(job.clone()) {
            self.queue.push_back(job);
        }
    }

    fn take_woken(&mut self) {
        let woken = std::mem::take(&mut *self.waker.keys.lock());
        for (name, key) in woken {
            if let Some(number) = self.slots.iter().position(|slot| slot.controller.name() == name) {
                self.push((number, key));
            }
        }
    }

    fn take_timers(&mut self) {
        let now = self.cluster.clock.now();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let job = entry.remove();
            self.timer_of.remove(&job);
            self.push(job);
        }
    }

    fn take_events(&mut self) {
        loop {
            let Some(watch) = self.watch.as_mut() else {
                self.resync();
                continue;
            };
            match watch.next_batch().now_or_never() {
                None => return,
                Some(Ok(events)) => {
                    for event in events {
                        self.observe(&event);
                    }
                }
                // Too far behind the history: look at everything anew.
                Some(Err(_)) => self.watch = None,
            }
        }
    }

    fn observe(&mut self, event: &Event) {
        self.index.apply(event);
        let now = self.cluster.clock.now();
        let mut wake = Vec::new();
        for number in 0..self.slots.len() {
            let slot = &mut self.slots[number];
            let cx = Context { cluster: &slot.cluster, index: &self.index, recorder: &self.recorder, now };
            slot.controller.observe(event, &cx, &mut wake);
            for key in wake.drain(..) {
                self.push((number, key));
            }
        }
    }

    /// Shows every stored object to every controller and follows the history from there.
    fn resync(&mut self) {
        let (revision, rows) = self.cluster.store.export();
        let Ok(watch) = self.cluster.store.watch_all(revision) else { return };
        self.watch = Some(watch);
        self.index = Index::default();
        let events: Vec<Event> = rows
            .into_iter()
            .map(|(resource, key, object)| {
                let (namespace, name) = key.split_once('/').unwrap_or(("", &key));
                Event {
                    revision: object.revision(),
                    kind: EventKind::Added,
                    resource,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    object,
                    previous: None,
                }
            })
            .collect();
        for event in &events {
            self.index.apply(event);
        }
        for event in &events {
            self.observe(event);
        }
    }

    fn signal(&self) -> Option<Watch> {
        self.cluster.store.watch_all(self.watch.as_ref().map_or(0, Watch::position)).ok()
    }
}

/// A running engine. Dropping the last handle stops it.
#[derive(Clone)]
pub struct EngineHandle {
    engine: Arc<Mutex<Engine>>,
    clock: Arc<dyn Clock>,
    changed: Arc<Notify>,
    _stop: Arc<tokio_util::sync::DropGuard>,
}

impl EngineHandle {
    /// Starts running the engine on the current tokio runtime.
    #[must_use]
    pub fn spawn(engine: Engine) -> Self {
        let clock = engine.cluster.clock.clone();
        let changed = engine.waker.changed.clone();
        let engine = Arc::new(Mutex::new(engine));
        let stop = tokio_util::sync::CancellationToken::new();
        let handle = Self {
            engine: engine.clone(),
            clock: clock.clone(),
            changed: changed.clone(),
            _stop: Arc::new(stop.clone().drop_guard()),
        };
        tokio::spawn(async move {
            loop {
                let (more, due, signal) = {
                    let mut engine = engine.lock();
                    let more = engine.run(BATCH);
                    (more, engine.next_due(), engine.signal())
                };
                if more {
                    tokio::task::yield_now().await;
                    if stop.is_cancelled() {
                        return;
                    }
                    continue;
                }
                let timer = async {
                    match due {
                        Some(at) => clock.sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                let change = async {
                    if let Some(mut watch) = signal {
                        drop(watch.next_batch().await)
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = timer => {}
                    () = change => {}
                    () = changed.notified() => {}
                }
            }
        });
        handle
    }

    /// How many reconciles there have been. Tests tell from it how work grows.
    #[must_use]
    pub fn reconciles(&self) -> u64 {
        self.engine.lock().done
    }

    /// Does, on this thread, everything that can be done at this instant.
    pub fn settle(&self) {
        self.engine.lock().settle();
        // Timers may have been set that the running task does not wait for yet.
        self.changed.notify_one();
    }

    /// Moves a manual clock on by `by`, stopping at every instant at which something is due, and lets
    /// everything happen that happens in that time. For tests: the clock must be this engine's.
    pub fn advance(&self, clock: &crate::clock::ManualClock, by: Duration) {
        let mut engine = self.engine.lock();
        engine.settle();
        let target = self.clock.now().checked_add(by).unwrap_or(Timestamp::MAX);
        while let Some(due) = engine.next_due().filter(|due| *due <= target) {
            clock.advance_to(due);
            engine.settle();
        }
        clock.advance_to(target);
        engine.settle();
        drop(engine);
        self.changed.notify_one();
    }
}
