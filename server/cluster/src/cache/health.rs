//! Whether the cache follows the cluster: watches tell what they meet, and a probe asks once a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{
    env::Clock,
    ports::cluster::{CacheState, Freshness},
};
use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{error, rest::get};

/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// For one probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Debug, Default, Clone)]
struct WatchState {
    /// Pages show what it tells.
    shown: bool,
    synced: bool,
    error: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct State {
    watches: BTreeMap<&'static str, WatchState>,
    /// Why the probe fails, if it does.
    probe: Option<Arc<str>>,
    /// Since when the state is stale, and why.
    stale: Option<(Timestamp, Arc<str>)>,
    as_of: Option<Timestamp>,
    /// Since when nobody works on the cluster.
    idle_since: Option<Timestamp>,
}

impl State {
    fn shown(&self) -> impl Iterator<Item = &WatchState> {
        self.watches.values().filter(|w| w.shown)
    }

    fn is_loaded(&self) -> bool {
        let mut shown = self.shown().peekable();
        shown.peek().is_some() && shown.all(|w| w.synced)
    }
}

/// The health of a cluster's cache.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Asks for a probe now.
    ask: Notify,
    /// Wakes watches that wait to try again.
    recovered: Notify,
    /// Grows when open watches cannot be trusted any more.
    restarts: watch::Sender<u64>,
    /// Told when the state changes.
    changed: Box<dyn Fn() + Send + Sync>,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>, changed: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            ask: Notify::new(),
            recovered: Notify::new(),
            restarts: watch::Sender::new(0),
            changed,
        })
    }

    /// Begins to follow a watch; the cache is not live without those that are `shown`.
    pub(crate) fn watch(self: &Arc<Self>, name: &'static str, shown: bool) -> Watch {
        self.update(|state| {
            state.watches.insert(name, WatchState { shown, ..WatchState::default() });
        });
        Watch { health: self.clone(), name }
    }

    /// Follows these no more.
    pub(crate) fn forget(&self, names: &[&'static str]) {
        self.update(|state| state.watches.retain(|name, _| !names.contains(name)));
    }

    /// How fresh the cache is.
    pub(crate) fn freshness(&self) -> Freshness {
        let state = self.state.lock();
        let cache = if let Some((since, reason)) = &state.stale {
            CacheState::Stale { since: *since, reason: reason.clone() }
        } else if state.is_loaded() {
            CacheState::Live
        } else {
            CacheState::Loading
        };
        Freshness { state: cache, as_of: state.as_of, idle_since: state.idle_since }
    }

    /// Whether somebody, here or elsewhere, carries out what is wanted.
    pub(crate) fn worked_on(&self, worked_on: bool) {
        let now = self.clock.now();
        self.update(|state| state.idle_since = if worked_on { None } else { state.idle_since.or(Some(now)) });
    }

    /// Why the API server does not answer, if the last probe found so.
    pub(crate) fn unanswered(&self) -> Option<Arc<str>> {
        self.state.lock().probe.clone()
    }

    /// Whether all that pages show has been listed once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.state.lock().is_loaded()
    }

    /// Whether all these watches have had their first list.
    pub(crate) fn all_synced(&self, names: &[&'static str]) -> bool {
        let state = self.state.lock();
        names.iter().all(|name| state.watches.get(name).is_some_and(|w| w.synced))
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let (before, after) = {
            let mut state = self.state.lock();
            let look = |state: &State| {
                (state.stale.as_ref().map(|(_, why)| why.clone()), state.is_loaded(), state.idle_since.is_some())
            };
            let before = look(&state);
            change(&mut state);
            let broken = state.shown().find_map(|w| w.error.clone());
            match state.probe.clone().or(broken) {
                Some(why) if state.stale.is_none() => {
                    state.stale = Some((self.clock.now(), why));
                }
                // A watch that breaks off says less than who asks after it.
                Some(why) => {
                    let asked = state.probe.is_some();
                    if let Some((_, known)) = state.stale.as_mut().filter(|_| asked) {
                        *known = why;
                    }
                }
                None => state.stale = None,
            }
            // Before the first list there is nothing that was ever true.
            if state.stale.is_none() && state.is_loaded() {
                state.as_of = Some(self.clock.now());
            }
            (before, look(&state))
        };
        if before != after {
            (self.changed)();
        }
    }

    /// Lets broken watches try again at once: what they failed for is over.
    pub(crate) fn try_again(&self) {
        self.recovered.notify_waiters();
    }

    /// Asks the API server once a second whether it is there, until `shutdown`.
    pub(crate) async fn probe(&self, client: Client, shutdown: CancellationToken) {
        // One slow answer is a busy server; two in a row are one that hangs.
        let mut silent = false;
        loop {
            let answer = match get("/version") {
                Ok(request) => tokio::time::timeout(PROBE_TIMEOUT, client.request_text(request)).await,
                Err(_) => return,
            };
            let why: Option<Arc<str>> = match answer {
                // Whatever it says, it is there.
                Ok(Ok(_)) => None,
                Ok(Err(kube::Error::Api(status))) if status.code < 500 => None,
                Ok(Err(e)) => Some(error::why(&e).into()),
                Err(_) if silent => Some("no answer in time".into()),
                Err(_) => {
                    silent = true;
                    continue;
                }
            };
            silent = false;
            let failed = why.is_some();
            let was = std::mem::replace(&mut self.state.lock().probe, why.clone());
            self.update(|_| {});
            if failed && was.is_none() {
                tracing::warn!(why = why.as_deref(), "the cluster went away; lists go on from the cache");
            }
            if !failed && was.is_some() {
                tracing::info!("the cluster is back");
                // Open watches may hang on connections that died unnoticed.
                self.restarts.send_modify(|n| *n += 1);
                self.try_again();
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = super::pause(PROBE_EVERY) => {}
                () = self.ask.notified() => super::pause(Duration::from_millis(100)).await,
            }
        }
    }
}

/// One watch's side of it.
pub(crate) struct Watch {
    health: Arc<Health>,
    name: &'static str,
}

impl Watch {
    fn set(&self, change: impl FnOnce(&mut WatchState)) {
        self.health.update(|state| change(state.watches.entry(self.name).or_default()));
    }

    /// The whole list is there.
    pub(crate) fn synced(&self) {
        self.set(|w| *w = WatchState { synced: true, error: None, ..*w });
    }

    /// The watch goes on.
    pub(crate) fn connected(&self) {
        self.set(|w| w.error = None);
    }

    /// The watch broke.
    pub(crate) fn failed(&self, why: &str) {
        self.set(|w| w.error = Some(why.into()));
        self.health.ask.notify_one();
    }

    /// Something came.
    pub(crate) fn heard(&self) {
        let now = self.health.clock.now();
        let mut state = self.health.state.lock();
        if state.stale.is_none() && state.as_of.is_some() {
            state.as_of = Some(now);
        }
    }

    /// Resolves when there is reason to try again: the cluster has come back, the kind is served.
    pub(crate) async fn recovered(&self) {
        self.health.recovered.notified().await;
    }

    /// Changes when an open watch is to be opened anew.
    pub(crate) fn restarts(&self) -> watch::Receiver<u64> {
        let mut receiver = self.health.restarts.subscribe();
        receiver.mark_unchanged();
        receiver
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use berth_core::env::ManualClock;

    use super::*;

    #[test]
    fn states() {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time"));
        let told = Arc::new(AtomicUsize::new(0));
        let counter = told.clone();
        let health = Health::new(
            clock.clone(),
            Box::new(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        );
        assert_eq!(health.freshness().state, CacheState::Loading);
        let (pods, apps) = (health.watch("pods", true), health.watch("apps", true));
        let hidden = health.watch("services", false);
        pods.synced();
        assert_eq!(health.freshness().state, CacheState::Loading, "apps are missing");
        apps.synced();
        assert_eq!(health.freshness().state, CacheState::Live, "nobody sees services");
        hidden.failed("forbidden");
        assert_eq!(health.freshness().state, CacheState::Live);

        let went = clock.now();
        pods.failed("connection refused");
        clock.advance(Duration::from_secs(5));
        apps.failed("connection reset");
        apps.heard();
        let stale = CacheState::Stale { since: went, reason: "connection refused".into() };
        assert_eq!(health.freshness(), Freshness { state: stale.clone(), as_of: Some(went), idle_since: None });
        pods.connected();
        assert_eq!(health.freshness().state, stale, "one is still broken");
        apps.connected();
        let live = Freshness { state: CacheState::Live, as_of: Some(clock.now()), idle_since: None };
        assert_eq!(health.freshness(), live);
        let (before, idle_since) = (told.load(Ordering::Relaxed), clock.now());
        health.worked_on(false);
        clock.advance(Duration::from_secs(1));
        health.worked_on(false);
        assert_eq!(health.freshness().idle_since, Some(idle_since));
        health.worked_on(true);
        assert_eq!((health.freshness().idle_since, told.load(Ordering::Relaxed)), (None, before + 2));
        assert!(told.load(Ordering::Relaxed) >= 3);
    }

    #[test]
    fn who_asks_after_the_cluster_says_why_it_is_away() {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time"));
        let health = Health::new(clock.clone(), Box::new(|| {}));
        let pods = health.watch("pods", true);
        pods.synced();
        let went = clock.now();
        let asked = |why: Option<&str>| {
            health.state.lock().probe = why.map(Into::into);
            health.update(|_| {});
        };
        let is_stale = |why: &str| {
            let stale = CacheState::Stale { since: went, reason: why.into() };
            assert_eq!(health.freshness().state, stale);
        };
        pods.failed("connection reset");
        is_stale("connection reset");
        clock.advance(Duration::from_secs(1));
        asked(Some("its agent does not call"));
        is_stale("its agent does not call");
        pods.failed("connection reset once more");
        is_stale("its agent does not call");
        // It answers again, the watch is not open yet.
        asked(None);
        is_stale("its agent does not call");
        pods.connected();
        assert_eq!(health.freshness().state, CacheState::Live);
    }
}
