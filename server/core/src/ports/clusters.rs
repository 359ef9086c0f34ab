//! Rows of clusters, and what connects with them.

use std::{collections::BTreeMap, fmt::Display};

use async_trait::async_trait;
use berth_types::{
    ClusterId, ErrorCode, FieldError,
    cluster::{ClusterProbe, ClusterState},
};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::{agents::Call, cluster::Finding, relay::Duplex},
};

/// How a cluster that was registered is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Where its API server is.
    pub server: String,
    /// Which cluster it is, whatever leads to it: no two rows have the same.
    pub identity: String,
    /// Counts the kubeconfigs that led to it.
    pub generation: i64,
    /// Who registered it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A cluster as stored, but for what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Its handle.
    pub id: ClusterId,
    /// What people call it.
    pub label: String,
    /// Labels to choose by.
    pub labels: BTreeMap<String, String>,
    /// What it takes.
    pub state: ClusterState,
    /// How it is reached; none: it is the one of Berth's own configuration.
    pub registered: Option<Registered>,
    /// What was found last.
    pub probe: Option<ClusterProbe>,
    /// Counts changes.
    pub version: i64,
}

/// Why a cluster takes no new namespace.
#[must_use]
pub fn closed(id: &ClusterId) -> Error {
    let message = format!("{id} takes no new namespaces and no larger quotas: choose another cluster");
    Error::field(FieldError::new("cluster", "cluster_closed", message).param("value", id))
}

/// A cluster that is not there (any more).
#[must_use]
pub fn unknown(id: impl Display) -> Error {
    let message = "there is no such cluster";
    Error::field(FieldError::new("cluster", "cluster_unknown", message).param("value", id))
}

/// Why a cluster cannot be registered: its handle is taken, or it is there already under another.
#[must_use]
pub fn registered_already(name: bool) -> Error {
    let (field, code, message) = if name {
        ("name", "taken", "a cluster of that name is registered already")
    } else {
        ("kubeconfig", "cluster_known", "this cluster is registered already, under another name")
    };
    Error::new(ErrorCode::AlreadyExists, message).with_fields(vec![FieldError::new(field, code, message)])
}

/// Why a cluster stays.
#[must_use]
pub fn in_use(namespaces: usize) -> Error {
    let message = format!("tenants have {namespaces} namespaces on it: they go first, or forget the cluster");
    Error::new(ErrorCode::Conflict, message)
}

/// The clusters that Berth knows.
#[async_trait]
pub trait ClusterRows: Send + Sync {
    /// All, the configured one first, then by handle.
    async fn list_clusters(&self, grant: &Grant<PlatformRef>) -> Result<Vec<ClusterRow>>;
    /// What opens one, sealed, with its generation; none for the configured one and for one that is not there.
    async fn cluster_access(&self, grant: &Grant<PlatformRef>, id: &ClusterId) -> Result<Option<(i64, Vec<u8>)>>;
    /// A new one. `AlreadyExists` where its handle or its identity is taken.
    async fn create_cluster(&self, grant: &Grant<PlatformRef>, new: &ClusterRow, sealed: &[u8]) -> Result<()>;
    /// Sets label, labels and state, if it still has the version in `wanted`; the version that it has then. `NotFound`, `Conflict`.
    async fn update_cluster(&self, grant: &Grant<PlatformRef>, wanted: &ClusterRow) -> Result<i64>;
    /// Replaces what opens it. `NotFound`.
    async fn set_cluster_access(
        &self,
        grant: &Grant<PlatformRef>,
        id: &ClusterId,
        server: &str,
        sealed: &[u8],
    ) -> Result<()>;
    /// Keeps what was found. `NotFound`.
    async fn note_probe(&self, grant: &Grant<PlatformRef>, id: &ClusterId, probe: &ClusterProbe) -> Result<()>;
    /// Removes one that was registered, with the quotas on it. `NotFound`; `Conflict` while there are namespaces on it, unless these
    /// are to be forgotten (`forget`): then their rows go, too; how many.
    async fn remove_cluster(&self, grant: &Grant<PlatformRef>, id: &ClusterId, forget: bool) -> Result<usize>;
}

/// What was found when a cluster was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// What Berth needs of it, each with its fix.
    pub findings: Vec<Finding>,
    /// Its version, where it answered.
    pub version: Option<String>,
    /// How long it took to say so, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Which cluster it is.
    pub identity: Option<String>,
}

/// Connects with clusters.
#[async_trait]
pub trait Registrar: Send + Sync {
    /// Looks at the cluster to which a kubeconfig leads, and changes nothing there.
    ///
    /// # Errors
    /// `Invalid` at `kubeconfig` for one that cannot be used at all.
    async fn look(&self, kubeconfig: &SecretString) -> Result<Looked>;
    /// The clusters that were registered and are connected here, each with the generation of its kubeconfig.
    fn connected(&self) -> Vec<(ClusterId, i64)>;
    /// Connects with a cluster from now on; in place of what led to it before.
    ///
    /// # Errors
    /// As [`Self::look`].
    async fn connect(&self, id: &ClusterId, generation: i64, kubeconfig: &SecretString) -> Result<()>;
    /// Lets go of one.
    async fn disconnect(&self, id: &ClusterId);
    /// Connects with a cluster whose agent calls, from now on. It is away until one does; `seen` is when one was there last.
    async fn expect(&self, id: &ClusterId, generation: i64, seen: Option<Timestamp>);
    /// Hears out who calls.
    ///
    /// # Errors
    /// `Malformed` for who does not speak as agents do; `Invalid` for one whose kubeconfig cannot be used.
    async fn hear(&self, call: Box<dyn Duplex>) -> Result<Box<dyn Call>>;
    /// What this process is called among those that serve.
    fn replica(&self) -> String;
}

/// For who registers no clusters: commands, tests.
pub struct NoRegistrar;

#[async_trait]
impl Registrar for NoRegistrar {
    async fn look(&self, _: &SecretString) -> Result<Looked> {
        Err(Error::new(ErrorCode::ClusterUnavailable, "no clusters are registered here"))
    }

    fn connected(&self) -> Vec<(ClusterId, i64)> {
        Vec::new()
    }

    async fn connect(&self, _: &ClusterId, _: i64, _: &SecretString) -> Result<()> {
        Err(Error::new(ErrorCode::ClusterUnavailable, "no clusters are registered here"))
    }

    async fn disconnect(&self, _: &ClusterId) {}

    async fn expect(&self, _: &ClusterId, _: i64, _: Option<Timestamp>) {}

    async fn hear(&self, _: Box<dyn Duplex>) -> Result<Box<dyn Call>> {
        Err(Error::new(ErrorCode::ClusterUnavailable, "no clusters are registered here"))
    }

    fn replica(&self) -> String {
        String::new()
    }
}
