//! A kubeconfig: how `kubectl` finds Berth, and what it shows there.

use std::fmt::Write as _;

use berth_types::{ClusterId, NamespaceName, TenantName, UserName, people::ApiToken};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// A place that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubePlace {
    /// The namespace within the tenant.
    pub namespace: NamespaceName,
    /// The cluster that it is on.
    pub cluster: ClusterId,
    /// What it is called there.
    pub kube_name: String,
}

/// A kubeconfig that was just made. Its token is shown once.
pub struct Kubeconfig {
    /// The token, without its secret.
    pub token: ApiToken,
    /// The secret.
    pub secret: SecretString,
    /// Whose.
    pub user: UserName,
    /// The tenant.
    pub tenant: TenantName,
    /// Its namespaces; the first is where one begins. Never empty.
    pub places: Vec<KubePlace>,
}

/// A value as YAML has it: JSON is YAML, whatever stands in the text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Kubeconfig {
    /// `shop-until-2026-11-22T1840Z.kubeconfig`: a file's name that says when it ends.
    #[must_use]
    pub fn file_name(&self) -> String {
        let place = match &self.token.scope.namespace {
            Some(namespace) => format!("{}-{namespace}", self.tenant),
            None => self.tenant.to_string(),
        };
        format!("{place}-until-{}.kubeconfig", self.token.expires_at.strftime("%Y-%m-%dT%H%MZ"))
    }

    /// The file, for a Berth that people reach at `base` (without a `/` at its end).
    #[must_use]
    pub fn to_yaml(&self, base: &str) -> String {
        let until = self.token.expires_at.strftime("%Y-%m-%d %H:%M UTC");
        let mut out = format!(
            "# kubectl for {} in {}, through Berth. It ends by itself at {until}.\n# Whoever has this file can do what {} can do there: \
             revoke it under Account, API tokens ({}…).\n",
            self.user, self.tenant, self.user, self.token.prefix
        );
        if !base.starts_with("https://") {
            out.push_str(
                "# kubectl sends no token over plain http: reach Berth by https first (setting public_url).\n",
            );
        }
        let user = quoted(&format!("berth:{}", self.user));
        let called = |cluster: &ClusterId| quoted(&format!("berth-{cluster}"));
        let context = |place: &KubePlace| quoted(&format!("{}-{}", self.tenant, place.namespace));
        let mut clusters: Vec<&ClusterId> = self.places.iter().map(|place| &place.cluster).collect();
        clusters.sort();
        clusters.dedup();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "apiVersion: v1\nkind: Config");
        let _ = writeln!(out, "current-context: {}", self.places.first().map(context).unwrap_or_default());
        let _ = writeln!(out, "clusters:");
        for cluster in clusters {
            let server = quoted(&format!("{base}/k8s/{cluster}"));
            let _ = writeln!(out, "- name: {}\n  cluster:\n    server: {server}", called(cluster));
        }
        let _ = writeln!(out, "contexts:");
        for place in &self.places {
            let _ = writeln!(
                out,
                "- name: {}\n  context:\n    cluster: {}\n    user: {user}\n    namespace: {}",
                context(place),
                called(&place.cluster),
                quoted(&place.kube_name)
            );
        }
        let token = quoted(self.secret.expose_secret());
        let _ = writeln!(out, "users:\n- name: {user}\n  user:\n    token: {token}");
        out
    }
}
