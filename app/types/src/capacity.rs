//! A cluster's room: what the machines have, what pods ask for and use, and what tenants were promised.

use serde::{Deserialize, Serialize};

use crate::{
    names::{ClusterId, TenantName},
    usage::Idle,
};

/// One resource over all nodes that are ready. Quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CapacityRow {
    /// `cpu`, `memory`, `pods`, or a device.
    pub resource: String,
    /// What pods may have.
    pub allocatable: String,
    /// What pods ask for.
    pub requested: String,
    /// What is in use; absent unless every node is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// The sum of the tenants' quotas, loans among them. Tenants without a limit of it are not in it: see `unlimited`.
    pub promised: String,
    /// Promised, in thousandths of what pods may have: above 1000, not everybody can have what they may have.
    pub promised_part: Option<i64>,
    /// Tenants that nothing limits in this.
    pub unlimited: usize,
    /// What could be promised to new tenants, so that everybody can still have what they may have.
    pub headroom: String,
    /// The most that one node has left: a pod that asks for more fits nowhere.
    pub largest_free: String,
    /// How full the emptiest, the middle and the fullest node is, in thousandths.
    pub spread: Option<[i64; 3]>,
}

/// What a tenant was promised of one resource, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LargestTenant {
    /// `cpu`, `memory`, `pods`.
    pub resource: String,
    /// Who.
    pub tenant: TenantName,
    /// What people call it.
    pub display_name: String,
    /// How much, a quantity.
    pub promised: String,
}

/// A cluster's room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterCapacity {
    /// Which one.
    pub cluster: ClusterId,
    /// Machines.
    pub nodes: usize,
    /// Those that run pods.
    pub ready: usize,
    /// Tenants with a namespace or a quota on it.
    pub tenants: usize,
    /// Each resource, CPU, memory and pods first.
    pub resources: Vec<CapacityRow>,
    /// Who was promised most.
    pub largest: Vec<LargestTenant>,
    /// What tenants' pods asked for and did not use in the last 30 days, of CPU and memory, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<Idle>,
}
