//! Clusters: what the platform knows of each, and what was found when one was looked at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, NamespaceName, TenantName, role::words};

words!(
    /// What a cluster takes.
    ClusterState {
        /// New namespaces, and larger quotas.
        Open = "open",
        /// Neither; what is there stays and works.
        Closed = "closed",
        /// Neither; its people are to leave it, after which it can be removed.
        Draining = "draining",
    }
);

words!(
    /// How a cluster is doing. The gravest comes first.
    ClusterHealth {
        /// This portal cannot open what it knows of it.
        Locked = "locked",
        /// It does not answer: what is shown of it is old.
        Away = "away",
        /// It answers, and no replica of Berth works on it.
        Idle = "idle",
        /// It has not been read yet.
        Connecting = "connecting",
        /// It is followed.
        Live = "live",
    }
);

words!(
    /// How a check ended. The gravest comes first.
    CheckVerdict {
        /// Berth does not work like this.
        Bad = "bad",
        /// Berth works, but something that people may want of it does not.
        Lacking = "lacking",
        /// As it should be.
        Good = "good",
    }
);

impl ClusterState {
    /// Whether new namespaces and larger quotas are taken.
    #[must_use]
    pub fn takes_more(self) -> bool {
        self == Self::Open
    }
}

/// One thing that Berth needs of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterCheck {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it should be.
    pub verdict: CheckVerdict,
    /// What was found.
    pub found: String,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What was found when a cluster was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterProbe {
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Its Kubernetes version.
    pub version: Option<String>,
    /// How long its answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Each thing that Berth needs of it.
    pub checks: Vec<ClusterCheck>,
}

impl ClusterProbe {
    /// The gravest verdict among its checks.
    #[must_use]
    pub fn verdict(&self) -> CheckVerdict {
        self.checks.iter().map(|check| check.verdict).min().unwrap_or(CheckVerdict::Bad)
    }
}

/// The agent that leads to a cluster which Berth cannot reach: it runs there and calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterAgent {
    /// First characters of its token; absent: it was revoked.
    pub token: Option<String>,
    /// Who made the token.
    pub made_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub made_at: Timestamp,
    /// The agent's version, as it called last.
    pub version: Option<String>,
    /// From which address it called last.
    pub address: Option<String>,
    /// Since when there is a tunnel; absent: there is none.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// When it was there last; absent: it has not called yet.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub seen_at: Option<Timestamp>,
    /// Replicas of Berth to which it has a tunnel.
    pub tunnels: usize,
    /// Replicas of Berth.
    pub replicas: usize,
    /// Why who called last with its token was sent away.
    pub refused: Option<String>,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub refused_at: Option<Timestamp>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// Its handle, which never changes.
    pub name: ClusterId,
    /// What people call it; may be empty.
    pub label: String,
    /// Labels to choose by.
    pub labels: BTreeMap<String, String>,
    /// What it takes.
    pub state: ClusterState,
    /// It is the one of Berth's own configuration, which cannot be removed here.
    pub configured: bool,
    /// Where its API server is; absent for the configured one, and for one whose agent has not called yet.
    pub server: Option<String>,
    /// The agent that leads to it; absent for one that Berth reaches by itself.
    pub agent: Option<ClusterAgent>,
    /// How it is doing.
    pub health: ClusterHealth,
    /// Why it is not live.
    pub reason: Option<String>,
    /// What is shown of it was true then.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub as_of: Option<Timestamp>,
    /// Nodes; absent before they were read.
    pub nodes: Option<usize>,
    /// Those that are ready.
    pub ready: Option<usize>,
    /// What pods may have together of its CPU.
    pub cpu: Option<String>,
    /// The same of its memory.
    pub memory: Option<String>,
    /// Namespaces that tenants have there.
    pub namespaces: usize,
    /// Tenants that have namespaces there.
    pub tenants: usize,
    /// What was found last.
    pub probe: Option<ClusterProbe>,
    /// Who registered it.
    pub created_by: Option<String>,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
}

impl ClusterView {
    /// What people call it: its label, or its handle.
    #[must_use]
    pub fn called(&self) -> &str {
        if self.label.is_empty() { self.name.as_str() } else { &self.label }
    }
}

/// A cluster that a tenant's new namespace may be on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterChoice {
    /// Its handle.
    pub name: ClusterId,
    /// What people call it; may be empty.
    pub label: String,
    /// Labels to choose by.
    pub labels: BTreeMap<String, String>,
}

impl ClusterChoice {
    /// In one line: `Frankfurt (frankfurt; tier=gold)`.
    #[must_use]
    pub fn line(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let handle = (!self.label.is_empty()).then(|| self.name.to_string());
        let more: Vec<String> = handle.into_iter().chain(labels).collect();
        let called = if self.label.is_empty() { self.name.as_str() } else { &self.label };
        if more.is_empty() { called.to_owned() } else { format!("{called} ({})", more.join("; ")) }
    }
}

/// A cluster to be registered.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCluster {
    /// Its handle, which never changes.
    pub name: String,
    /// What people call it, at most 60 characters; may be empty.
    #[serde(default)]
    pub label: String,
    /// Labels to choose by, at most 20.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The kubeconfig, as YAML: with the credentials in it, no programs and no files.
    pub kubeconfig: String,
}

/// A cluster to be registered by an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAgent {
    /// The cluster's handle, which never changes.
    pub name: String,
    /// What people call it, at most 60 characters; may be empty.
    #[serde(default)]
    pub label: String,
    /// Labels to choose by, at most 20.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What may be changed of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterChange {
    /// What people call it, at most 60 characters; may be empty.
    #[serde(default)]
    pub label: String,
    /// Labels to choose by, at most 20.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `open`, `closed` (no new namespaces, no larger quotas) or `draining` (the same, on its way out).
    pub state: String,
}

/// What a namespace still has on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRemains {
    /// Whose.
    pub tenant: TenantName,
    /// Which.
    pub namespace: NamespaceName,
    /// What the cluster calls it.
    pub kube_name: String,
    /// Its apps; absent where the cluster was never read.
    pub apps: Option<usize>,
    /// Its pods; absent where the cluster was never read.
    pub pods: Option<usize>,
    /// Its volumes; absent while the cluster does not answer.
    pub volumes: Option<usize>,
    /// It is on its way out.
    pub leaving: bool,
}

/// What of Berth's is still on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterRemains {
    /// Namespaces, by tenant and name.
    pub namespaces: Vec<NamespaceRemains>,
    /// Tenants that have a quota there and no namespace: their quota goes with the cluster.
    pub quotas: Vec<TenantName>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_choice_in_one_line() {
        for (label, labels, line) in [
            ("", &[][..], "moon"),
            ("Far side", &[], "Far side (moon)"),
            ("", &[("tier", "gold")], "moon (tier=gold)"),
            ("Far side", &[("region", "x"), ("tier", "gold")], "Far side (moon; region=x; tier=gold)"),
        ] {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let choice = ClusterChoice { name: "moon".parse().unwrap(), label: label.to_owned(), labels };
            assert_eq!(choice.line(), line);
        }
    }

    #[test]
    fn the_gravest_verdict_counts() {
        let check = |verdict| ClusterCheck { what: "x".into(), verdict, found: String::new(), fix: None };
        let of = |verdicts: &[CheckVerdict]| ClusterProbe {
            at: Timestamp::UNIX_EPOCH,
            version: None,
            latency_ms: None,
            checks: verdicts.iter().map(|verdict| check(*verdict)).collect(),
        };
        use CheckVerdict::{Bad, Good, Lacking};
        for (verdicts, want) in
            [(&[Good, Lacking][..], Lacking), (&[Good], Good), (&[Good, Bad, Lacking], Bad), (&[], Bad)]
        {
            assert_eq!(of(verdicts).verdict(), want);
        }
    }
}
