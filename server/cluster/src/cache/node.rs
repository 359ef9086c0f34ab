//! Nodes: what they have, and what is promised of it by the pods on them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use berth_core::ports::cluster::ChangeKind;
use berth_types::{
    Quantity,
    headroom::{self, Amounts},
    node::{
        DrainMark, NodeCondition, NodePod, NodeResource, NodeRow, NodeState, NodeSystem, NodeView, PRESSED_BY, written,
    },
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Cache,
    measured::Measure,
    pod::WireMeta,
    room::{self, WireAmounts},
    store::{Entry, Record},
};
use crate::{intern::Interner, meta};

/// Labels `node-role.kubernetes.io/ROLE`.
const ROLE: &str = "node-role.kubernetes.io/";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Any of these that is true is trouble.
const PRESSURES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireNotes {
    #[serde(rename = "berth.dev/drain")]
    drain: Option<String>,
}

// The derive takes literals only.
const _: () = assert!(matches!(meta::DRAIN.as_bytes(), b"berth.dev/drain"));

/// A node, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct WireNode {
    metadata: WireMeta<Option<BTreeMap<String, String>>, Option<WireNotes>>,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireSpec {
    unschedulable: bool,
    taints: Vec<WireTaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireTaint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    capacity: WireAmounts,
    allocatable: WireAmounts,
    conditions: Vec<WireCondition>,
    node_info: WireInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
    last_transition_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireInfo {
    kubelet_version: String,
    #[serde(flatten)]
    system: NodeSystem,
}

/// A node in the cache. Heartbeats are left out: they change nothing that anybody looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeRecord {
    name: Arc<str>,
    cordoned: bool,
    drain: Option<DrainMark>,
    taints: Vec<String>,
    roles: Vec<String>,
    zone: Option<String>,
    version: String,
    system: NodeSystem,
    conditions: Vec<NodeCondition>,
    capacity: Amounts,
    allocatable: Amounts,
    created_at: Timestamp,
}

impl Record for NodeRecord {
    type Wire = WireNode;

    fn decode(node: WireNode, strings: &Interner) -> Option<Entry<Self>> {
        let WireNode { metadata, spec, status } = node;
        let name: Arc<str> = (!metadata.name.is_empty()).then(|| strings.get(&metadata.name))?;
        let labels = metadata.labels.unwrap_or_default();
        let mark = metadata.annotations.and_then(|notes| notes.drain);
        let taint = |t: &WireTaint| {
            let value = if t.value.is_empty() { String::new() } else { format!("={}", t.value) };
            format!("{}{value}:{}", t.key, t.effect)
        };
        let condition = |c: WireCondition| NodeCondition {
            kind: c.kind,
            status: c.status,
            reason: c.reason,
            message: c.message,
            since: c.last_transition_time,
        };
        let row = Self {
            name: name.clone(),
            cordoned: spec.unschedulable,
            // A mark that nobody can read is nobody's; one on a node that somebody let take pods again has ended.
            drain: mark.filter(|_| spec.unschedulable).and_then(|text| serde_json::from_str(&text).ok()),
            taints: spec.taints.iter().map(taint).collect(),
            roles: labels.keys().filter_map(|key| key.strip_prefix(ROLE)).map(str::to_owned).collect(),
            zone: labels.get(ZONE).cloned(),
            version: status.node_info.kubelet_version,
            system: status.node_info.system,
            conditions: status.conditions.into_iter().map(condition).collect(),
            capacity: room::amounts(&status.capacity),
            allocatable: room::amounts(&status.allocatable),
            created_at: metadata.creation_timestamp.unwrap_or_default(),
        };
        let version = metadata.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: strings.get(""), name, version, row })
    }

    fn app(&self) -> Option<&Arc<str>> {
        None
    }
}

impl NodeRecord {
    /// How it is, with the condition that says why.
    fn state(&self) -> (NodeState, Option<&NodeCondition>) {
        let find = |kind: &str| self.conditions.iter().find(|c| c.kind == kind);
        match find("Ready") {
            Some(ready) if ready.status == "True" => {}
            ready => return (NodeState::NotReady, ready),
        }
        if let Some(pressure) = PRESSURES.iter().filter_map(|kind| find(kind)).find(|c| c.status == "True") {
            return (NodeState::Pressed, Some(pressure));
        }
        let state = match &self.drain {
            Some(mark) if mark.done.is_some() => NodeState::Drained,
            Some(_) => NodeState::Draining,
            None if self.cordoned => NodeState::Cordoned,
            None => NodeState::Ready,
        };
        (state, None)
    }

    fn row(&self, requested: &Amounts, measured: Option<Measure>) -> NodeRow {
        let (state, why) = self.state();
        let resource = |name: &str| {
            let of = |amounts: &Amounts| amounts.get(name).copied().unwrap_or_default();
            let (capacity, allocatable, requested) = (of(&self.capacity), of(&self.allocatable), of(requested));
            let used = measured.and_then(|measured| measured.of(name));
            NodeResource {
                resource: name.to_owned(),
                capacity: written(name, capacity),
                allocatable: written(name, allocatable),
                requested: written(name, requested),
                used: used.map(|used| written(name, used)),
            }
        };
        let first = PRESSED_BY.into_iter();
        // Huge pages are everywhere and almost nowhere used.
        let others = self.capacity.iter().filter(|(name, amount)| {
            !PRESSED_BY.contains(&name.as_str()) && !(name.starts_with("hugepages-") && **amount == Quantity::ZERO)
        });
        let resources: Vec<NodeResource> = first.chain(others.map(|(name, _)| name.as_str())).map(resource).collect();
        let pressing = resources.iter().filter(|r| PRESSED_BY.contains(&r.resource.as_str()));
        NodeRow {
            name: self.name.to_string(),
            state,
            reason: why.map(|c| if c.kind == "Ready" { c.reason.clone() } else { c.kind.clone() }),
            message: why.map(|c| c.message.clone()).filter(|text| !text.is_empty()),
            cordoned: self.cordoned,
            roles: self.roles.clone(),
            version: self.version.clone(),
            zone: self.zone.clone(),
            taints: self.taints.clone(),
            pressure: pressing.filter_map(NodeResource::pressure).max(),
            resources,
            measured_at: measured.map(|measured| measured.at),
            drain: self.drain.clone(),
            created_at: self.created_at,
        }
    }
}

/// What a pod asks for, by resource, of what a quota counts of it.
pub(crate) fn asks(takes: &Amounts) -> Amounts {
    let mut asks: Amounts =
        takes.iter().filter_map(|(key, amount)| Some((key.strip_prefix("requests.")?.to_owned(), *amount))).collect();
    asks.insert("pods".to_owned(), Quantity::units(1));
    asks
}

impl Cache {
    /// What pods ask for, by node.
    fn promised(&self) -> HashMap<Arc<str>, Amounts> {
        // Pods of one kind share the text of what they take: it is read once, and counted.
        let mut counts: HashMap<(Arc<str>, Arc<str>), i64> = HashMap::new();
        self.pods.each(|_, pod| {
            if let (Some(node), Some(takes)) = (&pod.0.node, &pod.1) {
                *counts.entry((node.clone(), takes.clone())).or_default() += 1;
            }
        });
        let mut read: HashMap<Arc<str>, Amounts> = HashMap::new();
        let mut sums: HashMap<Arc<str>, Amounts> = HashMap::new();
        for ((node, takes), times) in counts {
            let asks = read.entry(takes.clone()).or_insert_with(|| asks(&room::parse(&takes)));
            let sum = sums.entry(node).or_default();
            headroom::add(sum, asks, times);
        }
        sums
    }

    /// Takes in what a write of our own answered, so that who reads next reads it.
    pub(crate) fn take_node(&self, object: serde_json::Value) {
        let decoded = serde_json::from_value(object).ok().and_then(|node| NodeRecord::decode(node, &self.strings));
        if let Some(changed) = decoded.and_then(|entry| self.nodes.put_own(entry)) {
            self.changes.push(ChangeKind::Node, changed);
        }
    }

    /// The nodes that are being emptied or were, each with its mark.
    pub(crate) fn drains(&self) -> Vec<(String, DrainMark)> {
        let space = self.nodes.space(&self.strings.get(""));
        space.rows().filter_map(|node| Some((node.name.to_string(), node.drain.clone()?))).collect()
    }

    /// All nodes, by name.
    pub(crate) fn nodes(&self, now: Timestamp) -> Vec<NodeRow> {
        let (promised, none) = (self.promised(), Amounts::new());
        let space = self.nodes.space(&self.strings.get(""));
        let row =
            |node: &NodeRecord| node.row(promised.get(&node.name).unwrap_or(&none), self.measured.of(&node.name, now));
        space.rows().map(row).collect()
    }

    /// One node with what is on it.
    pub(crate) fn node(&self, name: &str, now: Timestamp) -> Option<NodeView> {
        let (mut pods, mut sum) = (Vec::new(), Amounts::new());
        self.pods.each(|_, pod| {
            if pod.0.node.as_deref() != Some(name) {
                return;
            }
            let asks = pod.1.as_deref().map(|takes| asks(&room::parse(takes))).unwrap_or_default();
            headroom::add(&mut sum, &asks, 1);
            let requests = asks.iter().filter(|(name, _)| *name != "pods");
            pods.push(NodePod {
                tenant: None,
                namespace: None,
                kube_namespace: pod.0.kube_namespace.to_string(),
                name: pod.0.name.to_string(),
                phase: pod.0.phase,
                requests: requests.map(|(name, amount)| (name.clone(), written(name, *amount))).collect(),
            });
        });
        pods.sort_by(|a, b| (&a.kube_namespace, &a.name).cmp(&(&b.kube_namespace, &b.name)));
        self.nodes.with("", name, |stored| NodeView {
            node: stored.row.row(&sum, self.measured.of(name, now)),
            conditions: stored.row.conditions.clone(),
            system: stored.row.system.clone(),
            pods,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(spec: Value, status: Value, notes: Value) -> NodeRecord {
        let object = json!({
            "metadata": {
                "name": "n1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": notes,
                "labels": { "node-role.kubernetes.io/control-plane": "", "topology.kubernetes.io/zone": "a" },
            },
            "spec": spec,
            "status": status,
        });
        let wire = serde_json::from_value(object).expect("a node");
        NodeRecord::decode(wire, &Interner::default()).expect("a row").row
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({ "type": kind, "status": status, "reason": reason, "message": "because",
                "lastHeartbeatTime": "2026-01-02T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    #[test]
    fn how_it_is_and_why() {
        let ready = || condition("Ready", "True", "KubeletReady");
        let mark = |done: &str| json!({ "berth.dev/drain": format!(r#"{{"by":"root","at":"2026-01-01T00:00:00Z","pods":3{done}}}"#) });
        let done = r#","done":"2026-01-01T00:01:00Z""#;
        for (cordoned, conditions, notes, state, reason) in [
            (false, json!([ready()]), Value::Null, NodeState::Ready, None),
            (true, json!([ready()]), Value::Null, NodeState::Cordoned, None),
            (true, json!([ready()]), mark(""), NodeState::Draining, None),
            (true, json!([ready()]), mark(done), NodeState::Drained, None),
            // Somebody let it take pods again with kubectl: it is not empty any more.
            (false, json!([ready()]), mark(done), NodeState::Ready, None),
            (false, json!([ready()]), mark(""), NodeState::Ready, None),
            (true, json!([ready()]), json!({ "berth.dev/drain": "?" }), NodeState::Cordoned, None),
            (
                false,
                json!([condition("MemoryPressure", "True", "KubeletHasInsufficientMemory"), ready()]),
                Value::Null,
                NodeState::Pressed,
                Some("MemoryPressure"),
            ),
            (
                false,
                json!([condition("Ready", "Unknown", "NodeStatusUnknown")]),
                Value::Null,
                NodeState::NotReady,
                Some("NodeStatusUnknown"),
            ),
            (false, json!([]), Value::Null, NodeState::NotReady, None),
        ] {
            let node = record(json!({ "unschedulable": cordoned }), json!({ "conditions": conditions }), notes.clone());
            let row = node.row(&Amounts::new(), None);
            assert_eq!((row.state, row.reason.as_deref()), (state, reason), "{conditions} {notes}");
        }
    }

    #[test]
    fn what_it_has_and_what_is_promised() {
        let all =
            json!({ "cpu": "4", "memory": "8388608Ki", "pods": "110", "hugepages-2Mi": "0", "nvidia.com/gpu": "2" });
        let less = json!({ "cpu": "3500m", "memory": "8Gi", "pods": "110", "nvidia.com/gpu": "2" });
        let spec = json!({ "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }, { "key": "c", "effect": "NoExecute" }] });
        let status = json!({ "capacity": all, "allocatable": less, "nodeInfo": { "kubeletVersion": "v1.35.4", "osImage": "Linux" } });
        let node = record(spec, status, Value::Null);
        let takes =
            room::parse("count/pods=1,cpu=1500m,limits.cpu=2,pods=1,requests.cpu=1500m,requests.memory=1073741824");
        let measured =
            Measure { at: Timestamp::UNIX_EPOCH, cpu: Quantity::millis(250), memory: Quantity::units(1 << 20) };
        let row = node.row(&asks(&takes), Some(measured));
        let text: Vec<String> = row
            .resources
            .iter()
            .map(|r| {
                format!(
                    "{} {} {} {} {}",
                    r.resource,
                    r.capacity,
                    r.allocatable,
                    r.requested,
                    r.used.as_deref().unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(
            text,
            ["cpu 4 3500m 1500m 250m", "memory 8Gi 8Gi 1Gi 1Mi", "pods 110 110 1 -", "nvidia.com/gpu 2 2 0 -"]
        );
        assert_eq!(
            (row.pressure, row.roles.as_slice(), row.zone.as_deref()),
            (Some(428), &["control-plane".to_owned()][..], Some("a"))
        );
        assert_eq!(row.taints, ["a=b:NoSchedule", "c:NoExecute"]);
        assert_eq!((row.version.as_str(), node.system.os_image.as_str()), ("v1.35.4", "Linux"));
        assert!(!row.takes_pods());
    }
}
