//! What the scheduler knows of nodes and the pods on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::filter::host_ports;
use crate::{
    controllers::{
        engine::Key,
        fields::Fields,
        labels::Labelled,
        resources::{self, Amounts},
    },
    quantity::Quantity,
    store::ObjectRef,
};

/// CPU that a pod without a request is scored with, in thousandths.
const DEFAULT_CPU: i64 = 100;
/// Memory likewise, in bytes.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// A pod as far as the placement of others looks at it. It holds no whole object: there are many.
#[derive(Clone)]
pub struct Placed {
    /// What it requests.
    pub requests: Amounts,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Value,
    /// Whether it is going away.
    pub deleting: bool,
    /// Uid of its controller, or "".
    pub owner: String,
    /// Port, protocol and address of the node's ports that it takes.
    pub host_ports: Vec<(i64, String, String)>,
    /// The terms of its required anti-affinity.
    pub refuses: Vec<Value>,
    /// CPU and memory that it is scored with.
    weight: (i64, i64),
}

impl Placed {
    /// Of a pod that is, or wants to be, on a node.
    #[must_use]
    pub fn new(pod: &Value) -> Self {
        let requests = resources::requests(pod);
        Self {
            namespace: pod.namespace().to_owned(),
            labels: pod.at("/metadata/labels").clone(),
            deleting: pod.deleting(),
            owner: pod.controller().map_or("", |owner| owner.text("/uid")).to_owned(),
            host_ports: host_ports(pod)
                .map(|(port, protocol, ip)| (port, protocol.to_owned(), ip.to_owned()))
                .collect(),
            refuses: pod
                .items("/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution")
                .to_vec(),
            weight: weight(&requests),
            requests,
        }
    }
}

/// CPU in thousandths and memory in bytes that a pod is scored with.
#[must_use]
pub fn weight(requests: &Amounts) -> (i64, i64) {
    let cpu = requests.get("cpu").map_or(DEFAULT_CPU, |amount| amount.milli_value());
    let memory = requests.get("memory").map_or(DEFAULT_MEMORY, |amount| amount.value());
    (cpu, memory)
}

/// A node with what runs on it.
#[derive(Default)]
pub struct NodeInfo {
    /// The node, unless pods were seen before it.
    pub node: Option<ObjectRef>,
    /// What it may give to pods.
    pub allocatable: Amounts,
    /// Sum of the requests.
    pub used: Amounts,
    /// Sum of what its pods are scored with: CPU in thousandths, memory in bytes.
    pub scored: (i64, i64),
    /// How many of its pods each controller has.
    pub owners: HashMap<String, i64>,
    /// The pods.
    pub pods: HashMap<Key, Placed>,
}

/// All nodes by name.
#[derive(Default)]
pub struct Nodes {
    nodes: BTreeMap<String, NodeInfo>,
    places: HashMap<Key, String>,
    labels: Labelled,
    /// The pods that refuse others.
    refusing: BTreeSet<Key>,
}

impl Nodes {
    /// A node came, changed or went.
    pub fn set_node(&mut self, name: &str, node: Option<ObjectRef>) {
        let info = self.nodes.entry(name.to_owned()).or_default();
        info.allocatable =
            node.as_ref().map(|node| resources::amounts(node.at("/status/allocatable"))).unwrap_or_default();
        info.node = node;
    }

    /// A pod is, as it stands, on a node and takes room there; or it does not any more.
    pub fn set_pod(&mut self, key: &Key, pod: Option<&ObjectRef>) {
        self.forget(key);
        let Some(pod) = pod else { return };
        let node = pod.text("/spec/nodeName");
        if node.is_empty() || crate::controllers::pods::is_finished(pod) {
            return;
        }
        let placed = Placed::new(pod);
        let info = self.nodes.entry(node.to_owned()).or_default();
        resources::add(&mut info.used, &placed.requests);
        info.scored.0 += placed.weight.0;
        info.scored.1 += placed.weight.1;
        *info.owners.entry(placed.owner.clone()).or_default() += 1;
        if !placed.refuses.is_empty() {
            self.refusing.insert(key.clone());
        }
        self.labels.add(&key.namespace, &key.name, &placed.labels);
        info.pods.insert(key.clone(), placed);
        self.places.insert(key.clone(), node.to_owned());
    }

    fn forget(&mut self, key: &Key) {
        let Some(place) = self.places.remove(key) else { return };
        let Some(info) = self.nodes.get_mut(&place) else { return };
        let Some(gone) = info.pods.remove(key) else { return };
        resources::subtract(&mut info.used, &gone.requests);
        info.scored.0 -= gone.weight.0;
        info.scored.1 -= gone.weight.1;
        if let Some(count) = info.owners.get_mut(&gone.owner) {
            *count -= 1;
            if *count == 0 {
                info.owners.remove(&gone.owner);
            }
        }
        self.labels.remove(&key.namespace, &key.name, &gone.labels);
        self.refusing.remove(key);
    }

    /// The nodes that exist.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &NodeInfo)> {
        self.nodes.values().filter_map(|info| Some((info.node.as_ref()?, info)))
    }

    /// How many nodes exist.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a message counts them; nobody asks whether there are none")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    fn placed(&self, key: &Key) -> Option<(&ObjectRef, &Placed)> {
        let info = self.nodes.get(self.places.get(key)?)?;
        Some((info.node.as_ref()?, info.pods.get(key)?))
    }

    /// The pods of one namespace, or of all if `None`, that a label selector may select, with their nodes.
    pub fn candidates<'a>(
        &'a self,
        namespace: Option<&'a str>,
        selector: &'a Value,
    ) -> Box<dyn Iterator<Item = (&'a ObjectRef, &'a Placed)> + 'a> {
        match namespace {
            Some(namespace) => Box::new(
                self.labels
                    .candidates(namespace, selector)
                    .filter_map(move |name| self.placed(&Key::new(namespace, name))),
            ),
            None => Box::new(self.iter().flat_map(|(node, info)| info.pods.values().map(move |placed| (node, placed)))),
        }
    }

    /// The pods that refuse others, with their nodes.
    pub fn refusing(&self) -> impl Iterator<Item = (&ObjectRef, &Placed)> {
        self.refusing.iter().filter_map(|key| self.placed(key))
    }
}

impl NodeInfo {
    /// How much of a resource may be given to pods.
    #[must_use]
    pub fn allocatable(&self, name: &str) -> Quantity {
        self.allocatable.get(name).copied().unwrap_or(Quantity::ZERO)
    }
}
