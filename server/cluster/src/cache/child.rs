//! What the controller made: as much of each object as its decisions need.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    pod::{WireLabels, WireMeta},
    store::{Entry, Record},
};
use crate::{intern::Interner, rest::Kind};

/// Kinds of children, in the order in which they are made.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::REVISION, Kind::SERVICE, Kind::DEPLOYMENT, Kind::INGRESS, Kind::BUDGET, Kind::AUTOSCALER];
/// Which objects are watched for it.
pub(crate) const SELECTOR: &str = "app.kubernetes.io/managed-by=berth";

/// Any child, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireChild {
    metadata: WireMeta<Option<WireLabels>, WireAnnotations>,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
    #[serde(default)]
    revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireAnnotations {
    #[serde(rename = "berth.dev/applied")]
    applied: Option<String>,
    #[serde(rename = "berth.dev/template")]
    template: Option<String>,
    #[serde(rename = "berth.dev/scaled-by")]
    scaled_by: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    replicas: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    observed_generation: i64,
    replicas: i32,
    updated_replicas: i32,
    ready_replicas: i32,
    available_replicas: i32,
    conditions: Vec<Condition>,
    load_balancer: WireBalancer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireBalancer {
    ingress: Vec<WireAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireAddress {
    ip: Option<String>,
    hostname: Option<String>,
}

/// A condition of an object's status.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    /// Whether it says what an app that is well need not know.
    fn is_trouble(&self) -> bool {
        match self.kind.as_str() {
            "Progressing" | "Available" => self.status == "False",
            _ => self.status == "True",
        }
    }
}

/// A child in the cache.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChildRecord {
    pub(crate) app: Option<Arc<str>>,
    pub(crate) component: Option<Arc<str>>,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) created_at: Timestamp,
    /// Of a Deployment, by its label: the app's revision in which its template last changed. Of a ControllerRevision: its number.
    pub(crate) revision: i64,
    /// Digest of what was applied.
    pub(crate) applied: Option<Arc<str>>,
    /// Digest of the pod template.
    pub(crate) template: Option<Arc<str>>,
    /// An autoscaler sets the replicas.
    pub(crate) autoscaled: bool,
    /// Replicas wanted.
    pub(crate) replicas: Option<i32>,
    /// A Deployment's numbers.
    pub(crate) numbers: Numbers,
    /// Those that tell of trouble.
    pub(crate) conditions: Box<[Condition]>,
    /// Where a LoadBalancer can be reached.
    pub(crate) address: Option<Arc<str>>,
}

/// How far a Deployment has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) observed_generation: i64,
    pub(crate) total: i32,
    pub(crate) updated: i32,
    pub(crate) ready: i32,
    pub(crate) available: i32,
}

impl ChildRecord {
    /// The condition called `kind`.
    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }
}

impl Record for ChildRecord {
    type Wire = WireChild;
    const BY_APP: bool = true;

    fn decode(child: WireChild, strings: &Interner) -> Option<Entry<Self>> {
        let WireChild { metadata: meta, spec, status, revision } = child;
        let name: Arc<str> = (!meta.name.is_empty()).then(|| meta.name.as_str().into())?;
        let labels = meta.labels.unwrap_or_default();
        let address = status.load_balancer.ingress.into_iter().find_map(|a| a.hostname.or(a.ip));
        let row = Self {
            app: strings.some(labels.app.as_deref()),
            component: strings.some(labels.component.as_deref()),
            generation: meta.generation,
            deleting: meta.deletion_timestamp.is_some(),
            created_at: meta.creation_timestamp.unwrap_or_default(),
            revision: labels.revision.and_then(|r| r.parse().ok()).unwrap_or(revision),
            applied: meta.annotations.applied.map(Into::into),
            template: meta.annotations.template.map(Into::into),
            autoscaled: meta.annotations.scaled_by.is_some_and(|by| by == "autoscaler"),
            replicas: spec.replicas,
            numbers: Numbers {
                observed_generation: status.observed_generation,
                total: status.replicas,
                updated: status.updated_replicas,
                ready: status.ready_replicas,
                available: status.available_replicas,
            },
            conditions: status.conditions.into_iter().filter(Condition::is_trouble).collect(),
            address: address.map(Into::into),
        };
        let version = meta.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: strings.get(&meta.namespace), name, version, row })
    }

    fn app(&self) -> Option<&Arc<str>> {
        self.app.as_ref()
    }
}
