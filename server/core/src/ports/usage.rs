//! Rows: what namespaces took and used, hour by hour.
//!
//! A sample of all namespaces of a cluster is written at once or not at all, and once: of two who write the same one, or one who
//! writes it again as its clock went back, the second changes nothing. The history of a namespace goes with it.

use std::ops::Range;

use async_trait::async_trait;
use berth_types::ClusterId;
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::Result,
    usage::{Hour, Sample, Slot, Totals},
};

/// The history of use. Hours are since 1970; all of them come as [`Hour::filled`] gives them, in order.
#[async_trait]
pub trait Usages: Send + Sync {
    /// Adds a sample of a cluster's namespaces (those that are gone by now are left out), unless there is one of this slot;
    /// whether it was added. Of a cluster the last [`KEPT`](crate::usage::KEPT) hours that have a sample are kept: it is not the
    /// clock that says what is old, as that may go wrong.
    async fn add_usage(
        &self,
        grant: &Grant<PlatformRef>,
        cluster: &ClusterId,
        slot: Slot,
        samples: &[(Uuid, Sample)],
    ) -> Result<bool>;
    /// The hours of a namespace.
    async fn namespace_usage(&self, namespace: &Grant<NamespaceRef>, hours: Range<i64>) -> Result<Vec<Hour>>;
    /// The hours of a tenant's namespaces on a cluster, together.
    async fn tenant_usage(&self, tenant: &TenantRef, cluster: &ClusterId, hours: Range<i64>) -> Result<Vec<Hour>>;
    /// Each namespace's totals, by its id: of all tenants, on all clusters.
    async fn usage_totals(&self, grant: &Grant<PlatformRef>, hours: Range<i64>) -> Result<Vec<(Uuid, Totals)>>;
}
