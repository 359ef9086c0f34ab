//! What pods use, as metrics-server measures it: asked for now and then, and added up by namespace at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use berth_core::env::Clock;
use berth_types::{Quantity, headroom::Amounts, rows::PodPhase};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use parking_lot::RwLock;
use serde::Deserialize;

use super::{Cache, measured::WireUsage, pod::PodRecord, store::Store};
use crate::{
    error::Target,
    rest::{Kind, Rest},
};

/// How often is asked.
const EVERY: Duration = Duration::from_secs(30);
/// How often is looked whether the pods are known yet, without which a measure says nothing.
const FIRST: Duration = Duration::from_secs(1);
/// What is older says nothing any more.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(5);
/// A pod that runs for so long has been measured, if anything is.
const SETTLED: SignedDuration = SignedDuration::from_mins(2);

#[derive(Deserialize)]
struct WireList {
    items: Vec<WireItem>,
}

#[derive(Deserialize)]
struct WireItem {
    metadata: WireMeta,
    timestamp: Timestamp,
    containers: Vec<WireContainer>,
}

#[derive(Deserialize)]
struct WireMeta {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct WireContainer {
    #[serde(default)]
    usage: WireUsage,
}

/// What the pods of a namespace use together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Use {
    cpu: Quantity,
    memory: Quantity,
    /// A pod that runs is not measured: the rest says too little.
    lacking: bool,
}

/// What was measured last.
#[derive(Debug, Default)]
struct Read {
    at: Timestamp,
    spaces: HashMap<Arc<str>, Use>,
}

/// What namespaces use.
#[derive(Default)]
pub(crate) struct Used(RwLock<Option<Read>>);

/// Adds up what `list` says of `pods`, by namespace.
fn gather(list: WireList, pods: &Store<PodRecord>, now: Timestamp) -> Read {
    let mut measured: HashMap<String, HashMap<String, Use>> = HashMap::new();
    for WireItem { metadata, timestamp, containers } in list.items {
        if now.duration_since(timestamp) >= FORGOTTEN {
            continue;
        }
        let sum = containers.iter().fold(Use::default(), |sum, WireContainer { usage }| Use {
            cpu: sum.cpu.plus(usage.cpu.0),
            memory: sum.memory.plus(usage.memory.0),
            lacking: false,
        });
        measured.entry(metadata.namespace).or_default().insert(metadata.name, sum);
    }
    let mut spaces: HashMap<Arc<str>, Use> = HashMap::new();
    pods.each(|namespace, PodRecord(row, takes)| {
        if takes.is_none() {
            // It has ended.
            return;
        }
        let runs = matches!(row.phase, PodPhase::Running | PodPhase::NotReady);
        let space = spaces.entry(row.kube_namespace.clone()).or_default();
        match measured.get(namespace).and_then(|pods| pods.get(row.name.as_ref())) {
            Some(one) => {
                space.cpu = space.cpu.plus(one.cpu);
                space.memory = space.memory.plus(one.memory);
            }
            // What waits, or begins, uses next to nothing.
            None => space.lacking |= runs && now.duration_since(row.created_at) >= SETTLED,
        }
    });
    Read { at: now, spaces }
}

impl Used {
    /// What the pods of a namespace use; none where that is not, or not wholly, known.
    pub(crate) fn of(&self, namespace: &str, now: Timestamp) -> Option<Amounts> {
        let read = self.0.read();
        let read = read.as_ref().filter(|read| now.duration_since(read.at) < FORGOTTEN)?;
        let space = read.spaces.get(namespace).copied().unwrap_or_default();
        (!space.lacking).then(|| [("cpu".to_owned(), space.cpu), ("memory".to_owned(), space.memory)].into())
    }

    /// Asks again and again. Where nothing measures, nothing is known.
    pub(crate) async fn run(&self, client: &Client, cache: &Cache, clock: &dyn Clock) {
        let rest = Rest::new(client.clone());
        loop {
            if !cache.health.is_loaded() {
                super::pause(FIRST).await;
                continue;
            }
            match rest.get::<WireList>(&Target::new("the pods' use", ""), &Kind::POD_METRICS.all()).await {
                Ok(list) => *self.0.write() = Some(gather(list, &cache.pods, clock.now())),
                Err(e) => tracing::debug!(error = %e, "the pods' use is not measured"),
            }
            super::pause(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::store::Record as _, *};
    use crate::intern::Interner;

    fn pods(list: &[(&str, &str, &str, &str)]) -> Store<PodRecord> {
        let store = Store::default();
        for (version, (namespace, name, phase, created)) in (1..).zip(list) {
            let running = json!([{ "name": "main", "ready": true, "state": { "running": {} } }]);
            let pod = json!({
                "metadata": { "name": name, "namespace": namespace, "resourceVersion": version.to_string(), "creationTimestamp": created },
                "spec": { "containers": [{ "name": "main" }] },
                "status": { "phase": phase, "containerStatuses": if *phase == "Running" { running } else { json!([]) } },
            });
            let wire = serde_json::from_value(pod).expect("a pod");
            store.apply(PodRecord::decode(wire, &Interner::default()).expect("a row"));
        }
        store
    }

    fn measure(namespace: &str, name: &str, at: &str, usage: &[(&str, &str)]) -> Value {
        let containers: Vec<Value> = usage
            .iter()
            .map(|(cpu, memory)| json!({ "name": "c", "usage": { "cpu": cpu, "memory": memory } }))
            .collect();
        json!({ "metadata": { "name": name, "namespace": namespace }, "timestamp": at, "window": "15s", "containers": containers })
    }

    #[test]
    fn what_is_not_measured_is_not_nothing() {
        let (old, young) = ("2026-01-01T00:00:00Z", "2026-01-01T00:59:00Z");
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a time");
        let fresh = "2026-01-01T00:59:30Z";
        let store = pods(&[
            ("full", "a", "Running", old),
            ("full", "b", "Running", old),
            ("half", "a", "Running", old),
            ("half", "b", "Running", old),
            ("young", "a", "Running", young),
            ("ended", "a", "Succeeded", old),
            ("waits", "a", "Pending", old),
            ("stale", "a", "Running", old),
        ]);
        let items = [
            measure("full", "a", fresh, &[("100m", "1Mi"), ("250000000n", "1Ki")]),
            measure("full", "b", fresh, &[("1", "1Gi")]),
            measure("half", "a", fresh, &[("1", "1Gi")]),
            measure("ended", "a", fresh, &[("1", "1Gi")]),
            measure("stale", "a", "2026-01-01T00:55:00Z", &[("1", "1Gi")]),
            measure("foreign", "a", fresh, &[("1", "1Gi")]),
        ];
        let list = || serde_json::from_value(json!({ "items": items })).expect("a list");
        let used = Used(RwLock::new(Some(gather(list(), &store, now))));
        let of = |namespace: &str, at: Timestamp| {
            let used = used.of(namespace, at)?;
            Some(format!("{} {}", used["cpu"], used["memory"]))
        };
        for (namespace, want) in [
            ("full", Some("1350m 1074791424")),
            ("half", None),
            ("young", Some("0 0")),
            ("ended", Some("0 0")),
            ("waits", Some("0 0")),
            ("stale", None),
            ("empty", Some("0 0")),
        ] {
            assert_eq!(of(namespace, now).as_deref(), want, "{namespace}");
        }
        assert_eq!(of("full", now + SignedDuration::from_mins(5)), None, "too long ago");
        assert_eq!(Used::default().of("empty", now), None, "nothing was measured yet");
    }
}
