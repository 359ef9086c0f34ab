//! Plans, quotas and shares, as the API and the pages show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{QuotaKey, Resources, read_amount, request::QuotaLoan};
use crate::{
    error::FieldError,
    life::Halt,
    names::{ClusterId, NamespaceName, PlanName, TenantName},
    quantity::Quantity,
    usage::Idle,
};

macro_rules! dto {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name { $($body)* }
    };
}

dto! {
    /// What a container gets of CPU, memory and the node's disk when it does not say itself, in namespaces where that is limited: a
    /// quota refuses pods that say nothing, and many charts say nothing.
    #[serde(deny_unknown_fields, default)]
    pub struct ContainerDefaults {
        /// CPU that is asked for.
        pub cpu_request: String,
        /// CPU at most.
        pub cpu_limit: String,
        /// Memory that is asked for.
        pub memory_request: String,
        /// Memory at most.
        pub memory_limit: String,
        /// Disk of the node that is asked for: what containers write, their logs among it.
        pub ephemeral_storage_request: String,
        /// Disk of the node at most.
        pub ephemeral_storage_limit: String,
    }
}

/// Enough for a small web server; limits that do not throttle one, and leave room for as much log as kubelets keep of a container
/// (`containerLogMaxSize` × `containerLogMaxFiles`, 50 MiB).
impl Default for ContainerDefaults {
    fn default() -> Self {
        Self {
            cpu_request: "100m".to_owned(),
            cpu_limit: "1".to_owned(),
            memory_request: "128Mi".to_owned(),
            memory_limit: "512Mi".to_owned(),
            ephemeral_storage_request: "128Mi".to_owned(),
            ephemeral_storage_limit: "1Gi".to_owned(),
        }
    }
}

impl ContainerDefaults {
    /// Wrong amounts, each at its place below `place`; empty when all is well.
    #[must_use]
    pub fn check(&self, place: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut pair = |(request, request_field): (&str, &str), (limit, limit_field): (&str, &str), key: &str| {
            let mut read = |text: &str, name: &str| {
                let at = format!("{place}.{name}");
                let key = QuotaKey(key.into());
                let amount = read_amount(&at, &key, text.trim()).and_then(|amount| {
                    let positive = || FieldError::new(&at, "quantity_positive", "more than 0");
                    if amount == Quantity::ZERO { Err(positive()) } else { Ok(amount) }
                });
                amount.map_err(|e| errors.push(e)).ok()
            };
            let (asked, most) = (read(request, request_field), read(limit, limit_field));
            if let (Some(asked), Some(most)) = (asked, most)
                && asked > most
            {
                let message = format!("more than the limit of {limit}");
                let at = format!("{place}.{request_field}");
                errors.push(FieldError::new(at, "request_over_limit", message).param("limit", limit));
            }
        };
        pair((&self.cpu_request, "cpuRequest"), (&self.cpu_limit, "cpuLimit"), "requests.cpu");
        pair((&self.memory_request, "memoryRequest"), (&self.memory_limit, "memoryLimit"), "requests.memory");
        pair(
            (&self.ephemeral_storage_request, "ephemeralStorageRequest"),
            (&self.ephemeral_storage_limit, "ephemeralStorageLimit"),
            "requests.ephemeral-storage",
        );
        errors
    }
}

dto! {
    /// A named quota that platform admins define, and tenants are given.
    pub struct Plan {
        /// Never changes.
        pub id: Uuid,
        /// Stands in URLs.
        pub name: PlanName,
        /// What people call it.
        pub display_name: String,
        /// How much of each key; what it does not name is not limited.
        pub resources: Resources,
        /// What containers get that do not say themselves.
        pub defaults: ContainerDefaults,
        /// When it was made.
        pub created_at: Timestamp,
        /// Counts changes, for `If-Match`.
        pub version: i64,
    }
}

dto! {
    /// A plan in a list.
    pub struct PlanRow {
        /// The plan.
        #[serde(flatten)]
        pub plan: Plan,
        /// How many quotas it gives: one a tenant and cluster.
        pub tenants: usize,
    }
}

dto! {
    /// A key of a tenant's quota. Amounts are quantities.
    pub struct QuotaRow {
        /// `requests.cpu`, `pods`, …
        pub resource: String,
        /// What the tenant may have, loans included; absent when nothing limits it.
        pub limit: Option<String>,
        /// How much of the limit is lent; absent when nothing is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lent: Option<String>,
        /// What its namespaces have of it.
        pub shared: String,
        /// What is left to share out; absent when nothing limits it.
        pub left: Option<String>,
        /// What its namespaces use; absent when the cluster does not count it or was never read.
        pub used: Option<String>,
    }
}

dto! {
    /// What a namespace has of its tenant's quota.
    pub struct NamespaceQuota {
        /// The namespace.
        pub namespace: NamespaceName,
        /// What it was given; absent when it was given nothing.
        pub share: Option<Resources>,
        /// What the cluster enforces: the share, and nothing of each key that the tenant's quota limits besides; absent when
        /// nothing is limited.
        pub enforced: Option<Resources>,
        /// What is used of it, as the cluster counts.
        pub used: Resources,
    }
}

dto! {
    /// A tenant's quota on a cluster, and how it is shared out.
    pub struct TenantQuota {
        /// The cluster.
        pub cluster: ClusterId,
        /// Whether it is limited at all.
        pub limited: bool,
        /// The plan that gives it; absent when it has amounts of its own, or none.
        pub plan: Option<PlanName>,
        /// The plan that it had before a request gave it amounts of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub origin: Option<PlanName>,
        /// Key by key.
        pub resources: Vec<QuotaRow>,
        /// What is lent and not given back yet, by when it ends.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub loans: Vec<QuotaLoan>,
        /// Its namespaces there, by name.
        pub namespaces: Vec<NamespaceQuota>,
    }
}

dto! {
    /// How near a tenant is to its quotas.
    pub struct TenantPressure {
        /// The tenant.
        pub tenant: TenantName,
        /// What people call it.
        pub display_name: String,
        /// The cluster.
        pub cluster: ClusterId,
        /// Whether it is limited at all.
        pub limited: bool,
        /// The plan that gives its quota, if one does.
        pub plan: Option<PlanName>,
        /// Use of the key that is used most, in thousandths of its limit; absent when nothing is limited or counted.
        pub pressure: Option<i64>,
        /// Key by key.
        pub resources: Vec<QuotaRow>,
        /// Why nothing runs in the tenant and nothing can be changed, where that is so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub halt: Option<Halt>,
        /// What its pods asked for and did not use in the last 30 days, of CPU and memory, where that is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub idle: Vec<Idle>,
    }
}

impl TenantPressure {
    /// The larger of its idle shares, in thousandths.
    #[must_use]
    pub fn idle_part(&self) -> Option<i64> {
        self.idle.iter().map(|idle| idle.part).max()
    }
}

dto! {
    /// What a change of a plan does to a tenant that has it.
    pub struct PlanEffect {
        /// The tenant.
        pub tenant: TenantName,
        /// The cluster.
        pub cluster: ClusterId,
        /// Why it cannot be; empty when it can.
        pub problems: Vec<FieldError>,
    }
}
