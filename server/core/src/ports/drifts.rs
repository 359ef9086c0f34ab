//! Rows: what was not as Berth keeps it, an object and a way once however often it was found.

use async_trait::async_trait;
use berth_types::drift::{Drift, DriftKind};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, PlatformRef},
    error::Result,
};

/// How long it is remembered.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Kind and name.
    pub object: String,
    /// In which way.
    pub kind: DriftKind,
    /// See [`Drift::by`].
    pub by: Option<String>,
}

/// Of what was found, what was not found within the hour before, by what is `known`: object, way, when last.
#[must_use]
pub fn news(found: &[Drifted], known: &[(String, DriftKind, Timestamp)], now: Timestamp) -> Vec<Drifted> {
    let lately = |one: &&Drifted| {
        let of_it = known.iter().filter(|(object, kind, _)| *object == one.object && *kind == one.kind);
        of_it.into_iter().any(|(_, _, last)| now.duration_since(*last) < SignedDuration::from_hours(1))
    };
    found.iter().filter(|one| !lately(one)).cloned().collect()
}

/// Drift of namespaces. It goes with them.
#[async_trait]
pub trait Drifts: Send + Sync {
    /// Notes what was found in a namespace, and forgets what was last found before [`KEPT`]; the [`news`] in it. Of a namespace that
    /// is gone by now nothing is noted.
    async fn note_drift(
        &self,
        grant: &Grant<PlatformRef>,
        namespace: Uuid,
        found: &[Drifted],
        now: Timestamp,
    ) -> Result<Vec<Drifted>>;
    /// The namespaces that could not be kept when they were last tried.
    async fn list_refused(&self, grant: &Grant<PlatformRef>) -> Result<Vec<Uuid>>;
    /// A namespace is kept again.
    async fn settle_refused(&self, grant: &Grant<PlatformRef>, namespace: Uuid) -> Result<()>;
    /// What was found in a namespace; what is refused first, then the latest.
    async fn list_drift(&self, namespace: &Grant<NamespaceRef>) -> Result<Vec<Drift>>;
}
