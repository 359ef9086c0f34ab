//! A namespace that a cluster has already, and what it would mean for it to become a tenant's.

use serde::{Deserialize, Serialize};

use crate::{quota::Resources, role::words};

words!(
    /// What becoming a tenant's changes in a namespace, or leaves as it is.
    EffectKind {
        /// Pods that Pod Security's `restricted` level refuses: those that run go on, but are not made again.
        PodSecurity = "pod-security",
        /// Containers whose pods count against a share that is too small: what ends is not made again.
        Quota = "quota",
        /// Pods with the default account's token: the next ones get none.
        Token = "token",
        /// Traffic from and to other tenants and, by policies of Berth's, most of the rest is closed.
        Closed = "closed",
        /// NetworkPolicies that are there stay, and go on opening what they open.
        Policies = "policies",
        /// RoleBindings that are there stay: whom they name keeps those rights.
        Bindings = "bindings",
        /// ResourceQuotas that are there stay and count, too.
        Quotas = "quotas",
    }
);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Effect {
    /// Which.
    pub kind: EffectKind,
    /// Whom it concerns: names, keys of a quota, or what the cluster says of them; empty where it is everything.
    pub concerns: Vec<String>,
}

impl EffectKind {
    /// Whether something stops working by it, sooner or later.
    #[must_use]
    pub fn breaks(self) -> bool {
        matches!(self, Self::PodSecurity | Self::Quota | Self::Token)
    }
}

/// What runs in a namespace: what made its pods, or a pod that nothing made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Holding {
    /// `Deployment`, `StatefulSet`, `Pod`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many pods of it there are.
    pub pods: usize,
}

/// What there is, and what would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AdoptionPreview))]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The namespace's name in the cluster.
    pub kube_name: String,
    /// What runs in it, by kind and name.
    pub holds: Vec<Holding>,
    /// What its pods take now, of what a quota of the tenant limits or pods are usually limited in.
    pub takes: Resources,
    /// What changes, what breaks first.
    pub effects: Vec<Effect>,
}
