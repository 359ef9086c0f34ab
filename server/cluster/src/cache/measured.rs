//! What metrics-server measures on the nodes, asked for now and then: nobody can watch it.

use std::{collections::HashMap, time::Duration};

use berth_types::Quantity;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use parking_lot::RwLock;
use serde::Deserialize;

use super::room::WireQuantity;
use crate::{
    error::Target,
    rest::{Kind, Rest},
};

/// How often is asked. metrics-server itself measures every 15 s.
const EVERY: Duration = Duration::from_secs(30);
/// What is older says nothing any more.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(5);

/// What a node uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure {
    /// When.
    pub(crate) at: Timestamp,
    /// Cores.
    pub(crate) cpu: Quantity,
    /// Bytes.
    pub(crate) memory: Quantity,
}

impl Measure {
    /// How much of a resource, if that is measured.
    pub(crate) fn of(self, resource: &str) -> Option<Quantity> {
        match resource {
            "cpu" => Some(self.cpu),
            "memory" => Some(self.memory),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct WireList {
    items: Vec<WireItem>,
}

#[derive(Deserialize)]
struct WireItem {
    metadata: WireMeta,
    timestamp: Timestamp,
    usage: WireUsage,
}

#[derive(Deserialize)]
struct WireMeta {
    name: String,
}

/// CPU and memory in use.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WireUsage {
    pub(super) cpu: WireQuantity,
    pub(super) memory: WireQuantity,
}

/// The last measures, by node.
#[derive(Default)]
pub(crate) struct Measured(RwLock<HashMap<String, Measure>>);

impl Measured {
    /// The last one of a node, unless it is too old to say anything.
    pub(crate) fn of(&self, node: &str, now: Timestamp) -> Option<Measure> {
        self.0.read().get(node).copied().filter(|measure| now.duration_since(measure.at) < FORGOTTEN)
    }

    /// Asks again and again; `changed` is told when there is something new. Where nothing measures, there is nothing.
    pub(crate) async fn run(&self, client: &Client, changed: impl Fn()) {
        let rest = Rest::new(client.clone());
        loop {
            match rest.get::<WireList>(&Target::new("the nodes' use", ""), &Kind::NODE_METRICS.all()).await {
                Ok(list) => {
                    *self.0.write() = list.items.into_iter().map(WireItem::read).collect();
                    changed();
                }
                Err(e) => tracing::debug!(error = %e, "the nodes' use is not measured"),
            }
            super::pause(EVERY).await;
        }
    }
}

impl WireItem {
    fn read(self) -> (String, Measure) {
        let Self { metadata, timestamp, usage } = self;
        (metadata.name, Measure { at: timestamp, cpu: usage.cpu.0, memory: usage.memory.0 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_old_is_forgotten() {
        let list = json!({ "kind": "NodeMetricsList", "items": [
            { "metadata": { "name": "n1" }, "timestamp": "2026-01-01T00:00:00Z", "window": "15s",
              "usage": { "cpu": "123456789n", "memory": "420Ki" } },
        ] });
        let list: WireList = serde_json::from_value(list).expect("a list");
        let measured = Measured(RwLock::new(list.items.into_iter().map(WireItem::read).collect()));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let found = measured.of("n1", at("2026-01-01T00:04:59Z")).expect("still good");
        assert_eq!((found.cpu, found.memory), (Quantity::millis(124), Quantity::units(420 * 1024)));
        assert_eq!((found.of("cpu"), found.of("pods")), (Some(found.cpu), None));
        assert_eq!(measured.of("n1", at("2026-01-01T00:05:00Z")), None);
        assert_eq!(measured.of("n2", at("2026-01-01T00:00:00Z")), None);
    }
}
