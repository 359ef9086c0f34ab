//! What somebody changed that Berth keeps: put right, noted, and shown to who sees the namespace.

use berth_types::{
    Action, ErrorCode, NamespaceName, Resource, TenantName,
    drift::{Drift, DriftKind},
    people::Namespace,
};
use jiff::Timestamp;
use serde_json::json;

use super::{Done, Services};
use crate::{
    authz::{Grant, PlatformRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::drifts::Drifted,
};

impl Services {
    /// What in a namespace was not as Berth keeps it, in the last 30 days.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn namespace_drift(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
    ) -> Result<Vec<Drift>> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Namespace, Action::Read).await?;
        self.store.list_drift(&grant).await
    }

    /// Notes what was put right; in the audit log, too, once an hour for the same thing. A log that cannot be written undoes
    /// nothing: the namespace is as it shall be.
    pub(super) async fn mended(&self, ctx: &OpCtx, row: &Namespace, found: &[Drifted]) {
        if let Err(e) = self.note_mended(ctx, row, found).await {
            tracing::warn!(namespace = row.kube_name, error = %e, "what was put right could not be noted");
        }
    }

    async fn note_mended(&self, ctx: &OpCtx, row: &Namespace, found: &[Drifted]) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let grant = self.authz.platform(ctx, Resource::Namespace, Action::Update)?;
        let news = self.store.note_drift(&grant, row.id, found, ctx.now()).await?;
        if news.is_empty() {
            return Ok(());
        }
        let one = |one: &Drifted| json!({ "object": one.object, "kind": one.kind, "by": one.by });
        let objects: Vec<_> = news.iter().map(one).collect();
        let target = format!("{}/{}", row.tenant, row.name);
        let work = async { Ok(Done::with((), json!({ "objects": objects }))) };
        self.audited(ctx, "namespace.mend", target, Some(&row.tenant), work).await
    }

    /// Notes that a namespace cannot be kept. A cluster that is away says nothing of it.
    pub(super) async fn note_refusal(
        &self,
        grant: &Grant<PlatformRef>,
        row: &Namespace,
        why: &Error,
        now: Timestamp,
    ) -> Result<()> {
        if why.code() == ErrorCode::ClusterUnavailable {
            return Ok(());
        }
        let object = format!("Namespace {}", row.kube_name);
        let one = Drifted { object, kind: DriftKind::Refused, by: Some(why.message().to_owned()) };
        self.store.note_drift(grant, row.id, &[one], now).await.map(drop)
    }
}
