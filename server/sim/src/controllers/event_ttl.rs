//! Events live for an hour after their last change (`--event-ttl` of kube-apiserver).

use std::time::Duration;

use super::engine::{Context, Controller, Key, Outcome};
use crate::{
    controllers::fields::Fields,
    registry::builtin::gr,
    store::{Event, EventKind},
};

/// How long an event lives.
const TTL: Duration = Duration::from_secs(3600);

/// Removes old events, as etcd's leases do: without a word.
pub struct EventExpiry;

impl Controller for EventExpiry {
    fn name(&self) -> &'static str {
        "event-expiry"
    }

    fn program(&self) -> &'static str {
        "kube-apiserver"
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::EVENTS && event.kind == EventKind::Added {
            wake.push(Key::of(event));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(event) = cx.cluster.find(&gr::EVENTS, &key.namespace, &key.name) else { return Ok(None) };
        let latest = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
            .iter()
            .filter_map(|field| event.time(field))
            .max()
            .unwrap_or(cx.now);
        let end = latest.checked_add(TTL).unwrap_or(cx.now);
        if end > cx.now {
            return Ok(Some(end));
        }
        // Whoever holds it with a finalizer is not asked either.
        let _ = cx.cluster.store.remove(&gr::EVENTS, &key.namespace, &key.name, Some(event.revision()));
        Ok(None)
    }
}
