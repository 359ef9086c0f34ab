//! Watching a list: the same GET with `Accept: text/event-stream`.
//!
//! First `snapshot`, then what differs from it whenever the cluster's cache changes: `upsert`, `delete`, and `freshness`
//! when the cluster goes away or comes back. Changes are gathered for a moment, so that a rollout is a few events and not
//! hundreds. The stream ends with `error` (a problem) when rights are gone, with `bye` when the server stops.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{body::Bytes, response::Response};
use berth_core::{
    OpCtx, Result,
    authz::NamespaceRef,
    ports::cluster::{CacheState, Change, ChangeKind, Freshness},
    recheck,
};
use berth_types::{Page, list::ListFreshness};
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    Api,
    caller::Caller,
    problem::problem,
    reply::{EVENTS, told},
    streams::{BEAT, COMMENT, event, response},
};

/// Changes within this time go out together.
const GATHER: Duration = Duration::from_millis(100);

/// What a watcher sees at one moment.
pub(crate) struct Seen {
    /// Where.
    pub namespace: NamespaceRef,
    /// The whole, for the first event.
    pub snapshot: Value,
    /// Its rows by key, in order.
    pub rows: Vec<(String, Value)>,
    /// How many there are over all pages.
    pub total: usize,
    /// How fresh that is.
    pub freshness: Freshness,
}

impl Seen {
    /// A page of a list, with the key of each row.
    ///
    /// # Errors
    /// Internal.
    pub(crate) fn page<T: Serialize>(
        namespace: &NamespaceRef,
        page: &Page<T>,
        freshness: Freshness,
        key: impl Fn(&T) -> String,
    ) -> Result<Self> {
        let value = |value: &T| serde_json::to_value(value).map_err(berth_core::Error::internal);
        let rows = page.items.iter().map(|item| Ok((key(item), value(item)?))).collect::<Result<Vec<_>>>()?;
        let mut snapshot = serde_json::to_value(page).map_err(berth_core::Error::internal)?;
        snapshot["keys"] = rows.iter().map(|(key, _)| key.as_str()).collect();
        Ok(Self { namespace: namespace.clone(), snapshot, rows, total: page.total, freshness })
    }
}

/// Which changes concern a watch.
pub(crate) struct Concern {
    /// Kinds of objects.
    pub kinds: &'static [ChangeKind],
    /// Only of this app.
    pub app: Option<String>,
}

impl Concern {
    fn has(&self, change: &Change, namespace: &str) -> bool {
        if change.kind == ChangeKind::Freshness {
            return true;
        }
        self.kinds.contains(&change.kind)
            && *change.namespace == *namespace
            && match (&self.app, &change.app) {
                (Some(mine), Some(theirs)) => **mine == **theirs,
                _ => true,
            }
    }
}

/// Reads what a watcher sees, with its rights checked.
pub(crate) type Read = Box<dyn Fn(OpCtx) -> BoxFuture<'static, Result<Seen>> + Send + Sync>;

/// Streams what `read` sees.
///
/// # Errors
/// What `read` says at first; `RateLimited` when there are too many streams.
pub(crate) async fn watch(api: &Api, caller: &Caller, concern: Concern, read: Read) -> Result<Response> {
    let place = api.streams().take(caller.person()?.id)?;
    // Looked at once for where to listen, and again after listening has begun: nothing falls in between.
    let namespace = read(caller.ctx.clone()).await?.namespace;
    let changes = api.services().clusters().get(&namespace.cluster)?.subscribe();
    let first = read(caller.ctx.clone()).await?;
    let (api, mut caller) = (api.clone(), caller.clone());
    let body = async_stream::stream! {
        let _place = place;
        let clock = api.services().clock().clone();
        let stop = api.options().stop.clone();
        let request_id = caller.ctx.request_id.clone();
        let mut watcher = Watcher { changes, concern, namespace: namespace.kube_name, live: true, dirty: false };
        let mut shown = by_key(&first.rows);
        let mut state = (first.freshness.state.clone(), first.freshness.idle_since);
        yield event("snapshot", &first.snapshot);
        if state != (CacheState::Live, None) {
            yield event("freshness", &freshness(&first.freshness));
        }
        let mut tick = clock.sleep(recheck::EVERY);
        let mut silent = 0;
        loop {
            let ticked = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    yield event("bye", &json!({}));
                    return;
                }
                () = &mut tick => true,
                () = watcher.changed() => false,
            };
            if ticked {
                tick = clock.sleep(recheck::EVERY);
            } else {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => continue,
                    () = clock.sleep(GATHER) => {}
                }
                watcher.drain();
            }
            let asked = async {
                let ctx = if ticked { caller.again(&api).await? } else { caller.ctx.clone() };
                Ok((read(ctx.clone()).await?, ctx))
            };
            let seen = match recheck::in_time(&*clock, asked).await {
                Ok((seen, ctx)) => {
                    caller.ctx = ctx;
                    seen
                }
                Err(error) => {
                    yield event("error", &problem(&error, &request_id));
                    return;
                }
            };
            let mut events = differences(&shown, &seen);
            let now = (seen.freshness.state.clone(), seen.freshness.idle_since);
            if state != now {
                state = now;
                events.push(event("freshness", &freshness(&seen.freshness)));
            }
            shown = by_key(&seen.rows);
            silent = if events.is_empty() && ticked { silent + 1 } else if events.is_empty() { silent } else { 0 };
            for event in events {
                yield event;
            }
            if silent >= BEAT {
                silent = 0;
                yield COMMENT;
            }
        }
    };
    Ok(response(EVENTS, body))
}

/// Listens for what concerns a watch.
struct Watcher {
    changes: broadcast::Receiver<Change>,
    concern: Concern,
    namespace: Arc<str>,
    live: bool,
    dirty: bool,
}

impl Watcher {
    /// Waits for a change; for ever when there will be none. Safe to give up and to call again.
    async fn changed(&mut self) {
        while self.live && !self.dirty {
            match self.changes.recv().await {
                Ok(change) => self.dirty = self.concern.has(&change, &self.namespace),
                // Too slow to hear all: anything may have changed.
                Err(RecvError::Lagged(_)) => self.dirty = true,
                Err(RecvError::Closed) => self.live = false,
            }
        }
        if !self.dirty {
            std::future::pending::<()>().await;
        }
    }

    /// Forgets what is now to be read anyway.
    fn drain(&mut self) {
        self.dirty = false;
        while let Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) = self.changes.try_recv() {}
    }
}

fn by_key(rows: &[(String, Value)]) -> BTreeMap<String, Value> {
    rows.iter().cloned().collect()
}

/// What makes `seen` of what is `shown`: deletions, then rows in order with their new place.
fn differences(shown: &BTreeMap<String, Value>, seen: &Seen) -> Vec<Bytes> {
    let now: BTreeMap<&str, &Value> = seen.rows.iter().map(|(key, row)| (key.as_str(), row)).collect();
    let gone = shown.keys().filter(|key| !now.contains_key(key.as_str()));
    let mut events: Vec<Bytes> = gone.map(|key| event("delete", &json!({ "key": key, "total": seen.total }))).collect();
    for (index, (key, item)) in seen.rows.iter().enumerate() {
        if shown.get(key) != Some(item) {
            let data = json!({ "key": key, "index": index, "total": seen.total, "item": item });
            events.push(event("upsert", &data));
        }
    }
    events
}

fn freshness(freshness: &Freshness) -> Value {
    let ListFreshness { state, since, reason, idle_since } = told(freshness);
    json!({ "state": state, "asOf": freshness.as_of, "since": since, "reason": reason, "idleSince": idle_since })
}
