//! What the scheduler knows of nodes and the pods on them.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::{
    controllers::{
        engine::Key,
        fields::Fields,
        resources::{self, Amounts},
    },
    quantity::Quantity,
    store::ObjectRef,
};

/// A pod as far as placement looks at it.
#[derive(Clone)]
pub struct Placed {
    /// The pod.
    pub pod: ObjectRef,
    /// What it requests.
    pub requests: Amounts,
}

/// A node with what runs on it.
#[derive(Default)]
pub struct NodeInfo {
    /// The node, unless pods were seen before it.
    pub node: Option<ObjectRef>,
    /// Sum of the requests.
    pub used: Amounts,
    /// The pods.
    pub pods: HashMap<Key, Placed>,
}

/// All nodes by name.
#[derive(Default)]
pub struct Nodes {
    nodes: BTreeMap<String, NodeInfo>,
    places: HashMap<Key, String>,
}

impl Nodes {
    /// A node came, changed or went.
    pub fn set_node(&mut self, name: &str, node: Option<ObjectRef>) {
        self.nodes.entry(name.to_owned()).or_default().node = node;
    }

    /// A pod is, as it stands, on a node and takes room there; or it does not any more.
    pub fn set_pod(&mut self, key: &Key, pod: Option<&ObjectRef>) {
        if let Some(place) = self.places.remove(key)
            && let Some(info) = self.nodes.get_mut(&place)
            && let Some(gone) = info.pods.remove(key)
        {
            resources::subtract(&mut info.used, &gone.requests);
        }
        let Some(pod) = pod else { return };
        let node = pod.text("/spec/nodeName");
        if node.is_empty() || crate::controllers::pods::is_finished(pod) {
            return;
        }
        let requests = resources::requests(pod);
        let info = self.nodes.entry(node.to_owned()).or_default();
        resources::add(&mut info.used, &requests);
        info.pods.insert(key.clone(), Placed { pod: pod.clone(), requests });
        self.places.insert(key.clone(), node.to_owned());
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
}

impl NodeInfo {
    /// How much of a resource may be given to pods.
    #[must_use]
    pub fn allocatable(&self, name: &str) -> Quantity {
        self.node.as_ref().map_or(Quantity::ZERO, |node| allocatable(node, name))
    }
}

/// `status.allocatable` of one resource.
#[must_use]
pub fn allocatable(node: &Value, name: &str) -> Quantity {
    Quantity::lenient(node.at("/status/allocatable").get(name))
}
