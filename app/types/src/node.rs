//! Nodes: the machines of a cluster, what they have and what is promised of it; and what emptying one does.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    names::{NamespaceName, TenantName},
    quantity::Quantity,
    role::words,
    rows::PodPhase,
};

words!(
    /// How a node is, the worst first.
    NodeState {
        /// Its kubelet is gone, or says that it cannot run pods.
        NotReady = "not-ready",
        /// It runs pods, but is short of memory, disk or process numbers, or has no network.
        Pressed = "pressed",
        /// It is being emptied.
        Draining = "draining",
        /// It was emptied.
        Drained = "drained",
        /// It takes no new pods.
        Cordoned = "cordoned",
        /// It runs pods and takes new ones.
        Ready = "ready",
    }
);

/// What a node has of one resource, and what is promised of it. Quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeResource {
    /// `cpu`, `memory`, `pods`, `ephemeral-storage`, or a device.
    pub resource: String,
    /// What the machine has.
    pub capacity: String,
    /// What pods may have of it.
    pub allocatable: String,
    /// What the pods on it ask for.
    pub requested: String,
    /// What is in use; absent where it is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
}

impl NodeResource {
    /// What is asked for, in thousandths of what there is.
    #[must_use]
    pub fn pressure(&self) -> Option<i64> {
        amount(&self.requested).thousandths_of(amount(&self.allocatable))
    }

    /// What is left of it.
    #[must_use]
    pub fn free(&self) -> Quantity {
        amount(&self.allocatable).minus(amount(&self.requested)).max(Quantity::ZERO)
    }
}

/// An amount as a row has it. What cannot be read counts as nothing.
#[must_use]
pub fn amount(text: &str) -> Quantity {
    text.parse().unwrap_or_default()
}

/// An amount of a resource as a row has it: of memory and disk in their units, as people read it in Kubernetes.
#[must_use]
pub fn written(resource: &str, amount: Quantity) -> String {
    if resource.contains("memory") || resource.contains("storage") { amount.binary() } else { amount.to_string() }
}

/// Something that a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeCondition {
    /// `Ready`, `MemoryPressure`, …
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
}

/// That a node is being emptied: stands on the node itself, so that whoever works on the cluster goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DrainMark {
    /// Who wants it.
    pub by: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// How many pods were to go when it began.
    pub pods: usize,
    /// What may be lost.
    #[serde(default)]
    pub consent: DrainConsent,
    /// When it was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub done: Option<Timestamp>,
}

/// What may be lost when a node is emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainConsent {
    /// Pods that nothing makes anew.
    #[serde(default)]
    pub lose_pods: bool,
    /// What pods keep in `emptyDir` volumes.
    #[serde(default)]
    pub lose_data: bool,
}

/// A node in a list. Sort columns: `name`, `state`, `pressure`, `cpu`, `memory`, `pods`, `version`, `created`; filter columns: `state`,
/// `role`, `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: NodeState,
    /// The cluster's own word for why it is not ready: `KubeletNotReady`, `MemoryPressure`, …
    pub reason: Option<String>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// It takes no new pods.
    pub cordoned: bool,
    /// `control-plane`, …
    pub roles: Vec<String>,
    /// Its kubelet's version.
    pub version: String,
    /// Where it stands, where the cluster says so.
    pub zone: Option<String>,
    /// What keeps pods away: `key=value:NoSchedule`.
    pub taints: Vec<String>,
    /// What it has, CPU, memory and pods first.
    pub resources: Vec<NodeResource>,
    /// What is asked for of CPU, memory or pods, in thousandths of what there is: the fullest of the three.
    pub pressure: Option<i64>,
    /// When its use was measured.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub measured_at: Option<Timestamp>,
    /// That it is being emptied, or was.
    pub drain: Option<DrainMark>,
    /// When it joined.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// What counts for [`NodeRow::pressure`].
pub const PRESSED_BY: [&str; 3] = ["cpu", "memory", "pods"];

impl NodeRow {
    /// What it has of a resource.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&NodeResource> {
        self.resources.iter().find(|r| r.resource == name)
    }

    /// Whether new pods may be put on it that tolerate no taint.
    #[must_use]
    pub fn takes_pods(&self) -> bool {
        let repels = |taint: &String| taint.ends_with(":NoSchedule") || taint.ends_with(":NoExecute");
        self.state != NodeState::NotReady && !self.cordoned && !self.taints.iter().any(repels)
    }
}

/// A pod on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodePod {
    /// Whose it is; absent for the cluster's own.
    pub tenant: Option<TenantName>,
    /// Its namespace within the tenant.
    pub namespace: Option<NamespaceName>,
    /// Its namespace in the cluster.
    pub kube_namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub phase: PodPhase,
    /// What it asks for, by resource.
    pub requests: BTreeMap<String, String>,
}

/// What a node says of its software.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSystem {
    /// `Ubuntu 24.04 LTS`
    pub os_image: String,
    /// `6.8.0`
    pub kernel_version: String,
    /// `containerd://2.1.4`
    pub container_runtime_version: String,
    /// `amd64`
    pub architecture: String,
}

/// A node with what is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// The node.
    pub node: NodeRow,
    /// What it says of itself.
    pub conditions: Vec<NodeCondition>,
    /// Its software.
    pub system: NodeSystem,
    /// The pods on it, by namespace and name.
    pub pods: Vec<NodePod>,
}

words!(
    /// What becomes of a pod when its node is emptied.
    PodFate {
        /// A budget forbids it for now.
        Blocked = "blocked",
        /// Nothing makes it anew.
        Lost = "lost",
        /// It is made anew on another node.
        Moves = "moves",
        /// It is on its way out.
        Leaving = "leaving",
        /// It ended before; only its record goes.
        Ended = "ended",
        /// It belongs to the node, and stays.
        Stays = "stays",
    }
);

/// What becomes of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DrainStep {
    /// Whose it is; absent for the cluster's own.
    pub tenant: Option<TenantName>,
    /// Its namespace within the tenant.
    pub namespace: Option<NamespaceName>,
    /// Its namespace in the cluster.
    pub kube_namespace: String,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: PodFate,
    /// What makes it anew, or keeps it there: `ReplicaSet/web-5d4f`; absent where nothing does.
    pub owner: Option<String>,
    /// The budgets that forbid it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<String>,
    /// What it keeps in `emptyDir` volumes is lost.
    pub loses_data: bool,
    /// It has a volume that only this node has: it waits for the node to come back.
    pub tied: bool,
    /// It is not touched without consent to what is lost.
    pub held: bool,
    /// Whether another node has room for it, where it needs one.
    pub fits: Option<bool>,
}

/// What emptying a node does, as things are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DrainPlan {
    /// The node.
    pub node: String,
    /// That it is being emptied, or was.
    pub drain: Option<DrainMark>,
    /// Nothing goes on: who wanted it may not any more.
    pub stalled: bool,
    /// Its pods, those that need an eye on them first.
    pub pods: Vec<DrainStep>,
}

impl DrainPlan {
    /// How many pods are to go and have not gone yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.pods.iter().filter(|pod| pod.fate != PodFate::Stays).count()
    }

    /// What has to be consented to.
    #[must_use]
    pub fn needs(&self) -> DrainConsent {
        let goes = |pod: &&DrainStep| !matches!(pod.fate, PodFate::Stays | PodFate::Leaving | PodFate::Ended);
        DrainConsent {
            lose_pods: self.pods.iter().filter(goes).any(|pod| pod.owner.is_none()),
            lose_data: self.pods.iter().filter(goes).any(|pod| pod.loses_data),
        }
    }
}
