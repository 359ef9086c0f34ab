//! What it means for a namespace that a cluster has already to become a tenant's. Pure.

use std::collections::BTreeMap;

use berth_types::{
    Quantity, QuotaKey, Resources,
    adoption::{Effect, EffectKind, Holding, Preview},
    headroom::Amounts,
};

use crate::network::Surroundings;

/// Kept by Kubernetes for itself; and `default`, which cannot be removed.
const SYSTEMS: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// What pods are limited in nearly everywhere; shown where no quota says what counts.
const USUAL: [&str; 5] = ["requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "pods"];

/// A pod of a namespace that is no tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrangePod {
    /// Its name.
    pub name: String,
    /// What made it, kind and name: of a ReplicaSet its Deployment. None: somebody made it by hand.
    pub owner: Option<(String, String)>,
    /// Whether it has the token of the namespace's default account without asking for it.
    pub token: bool,
    /// What it counts, as a quota does; nothing once it has ended.
    pub takes: Amounts,
}

/// A namespace that is no tenant's, as it is in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strange {
    /// Its name there.
    pub kube_name: String,
    /// Which of that name: one that is made anew is another one.
    pub uid: String,
    /// What runs in it.
    pub pods: Vec<StrangePod>,
    /// What Pod Security would mind at `restricted`, in the cluster's words, a line each.
    pub refused: Vec<String>,
    /// Names of its NetworkPolicies.
    pub policies: Vec<String>,
    /// Names of its RoleBindings.
    pub bindings: Vec<String>,
    /// Names of its ResourceQuotas.
    pub quotas: Vec<String>,
}

/// Whether it is the cluster's or the platform's own: nobody takes it over. Who has a namespace that reaches all tenants' pods
/// could reach them all, too.
#[must_use]
pub fn is_reserved(kube_name: &str, around: &Surroundings) -> bool {
    SYSTEMS.contains(&kube_name)
        || kube_name.starts_with("kube-")
        || around.namespaces.iter().any(|name| name == kube_name)
}

impl Strange {
    /// What its pods take of what `limited` limits; nothing limited: of what is usual.
    #[must_use]
    pub fn takes(&self, limited: Option<&Resources>) -> Resources {
        let keys: Vec<QuotaKey> = match limited {
            Some(limited) => limited.iter().map(|(key, _)| key.clone()).collect(),
            None => USUAL.iter().filter_map(|key| key.parse().ok()).collect(),
        };
        let of = |key: &QuotaKey| {
            self.pods.iter().filter_map(|pod| pod.takes.get(key.as_str())).fold(Quantity::ZERO, |sum, q| sum.plus(*q))
        };
        keys.into_iter().map(|key| (key.clone(), of(&key))).collect()
    }

    /// What would become of it, with `share` of a quota that limits `limited`.
    #[must_use]
    pub fn preview(&self, limited: Option<&Resources>, share: Option<&Resources>) -> Preview {
        let takes = self.takes(limited);
        // Without a share, it has nothing of what is limited.
        let nothing = Resources::default();
        let effects = self.effects(&takes, limited.map(|_| share.unwrap_or(&nothing)));
        Preview { kube_name: self.kube_name.clone(), holds: self.holds(), takes, effects }
    }

    fn holds(&self) -> Vec<Holding> {
        let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
        for pod in &self.pods {
            let whose = pod.owner.clone().unwrap_or_else(|| ("Pod".to_owned(), pod.name.clone()));
            *counted.entry(whose).or_default() += 1;
        }
        counted.into_iter().map(|((kind, name), pods)| Holding { kind, name, pods }).collect()
    }

    fn effects(&self, takes: &Resources, share: Option<&Resources>) -> Vec<Effect> {
        let short = share.map_or_else(Vec::new, |share| {
            let over = takes.iter().filter(|(key, taken)| share.of(key) < *taken);
            over.map(|(key, _)| key.to_string()).collect()
        });
        let tokens = self.pods.iter().filter(|pod| pod.token).map(|pod| pod.name.clone()).collect();
        let some = |kind, concerns: Vec<String>| (!concerns.is_empty()).then_some(Effect { kind, concerns });
        [
            some(EffectKind::PodSecurity, self.refused.clone()),
            some(EffectKind::Quota, short),
            some(EffectKind::Token, tokens),
            Some(Effect { kind: EffectKind::Closed, concerns: Vec::new() }),
            some(EffectKind::Policies, self.policies.clone()),
            some(EffectKind::Bindings, self.bindings.clone()),
            some(EffectKind::Quotas, self.quotas.clone()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resources(all: &[(&str, &str)]) -> Resources {
        all.iter().map(|(key, amount)| (key.parse().unwrap(), amount.parse().unwrap())).collect()
    }

    fn pod(name: &str, owner: Option<(&str, &str)>, cpu: &str) -> StrangePod {
        let takes = [("requests.cpu", cpu), ("pods", "1")].map(|(key, q)| (key.to_owned(), q.parse().unwrap()));
        let owner = owner.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        StrangePod { name: name.into(), owner, token: name == "shell", takes: takes.into_iter().collect() }
    }

    fn strange() -> Strange {
        let web = Some(("Deployment", "web"));
        Strange {
            kube_name: "legacy".into(),
            uid: "1".into(),
            pods: vec![pod("web-a", web, "500m"), pod("web-b", web, "500m"), pod("shell", None, "250m")],
            refused: vec!["shell: hostNetwork=true".into()],
            policies: Vec::new(),
            bindings: vec!["ops".into()],
            quotas: Vec::new(),
        }
    }

    fn kinds(preview: &Preview) -> Vec<EffectKind> {
        preview.effects.iter().map(|effect| effect.kind).collect()
    }

    #[test]
    fn what_there_is_by_what_made_it() {
        let preview = strange().preview(None, None);
        let holds: Vec<_> = preview.holds.iter().map(|h| (h.kind.as_str(), h.name.as_str(), h.pods)).collect();
        assert_eq!(holds, [("Deployment", "web", 2), ("Pod", "shell", 1)]);
        assert_eq!(preview.takes.get("requests.cpu"), Some("1250m".parse().unwrap()));
        assert_eq!(preview.takes.get("pods"), Some("3".parse().unwrap()));
    }

    #[test]
    fn what_would_become_of_it() {
        use EffectKind::{Bindings, Closed, PodSecurity, Quota, Token};
        let limit = resources(&[("requests.cpu", "4"), ("pods", "10")]);
        for (limited, share, expected) in [
            (None, None, vec![PodSecurity, Token, Closed, Bindings]),
            (
                Some(&limit),
                Some(resources(&[("requests.cpu", "1250m"), ("pods", "3")])),
                vec![PodSecurity, Token, Closed, Bindings],
            ),
            (
                Some(&limit),
                Some(resources(&[("requests.cpu", "1"), ("pods", "3")])),
                vec![PodSecurity, Quota, Token, Closed, Bindings],
            ),
            (Some(&limit), None, vec![PodSecurity, Quota, Token, Closed, Bindings]),
        ] {
            let preview = strange().preview(limited, share.as_ref());
            assert_eq!(kinds(&preview), expected, "{share:?}");
        }
        let short = strange().preview(Some(&limit), None).effects.into_iter().find(|e| e.kind == Quota).unwrap();
        assert_eq!(short.concerns, ["requests.cpu", "pods"]);
        // What runs nothing and has nothing of its own is only closed.
        let empty = Strange { pods: Vec::new(), refused: Vec::new(), bindings: Vec::new(), ..strange() };
        assert_eq!(kinds(&empty.preview(Some(&limit), None)), [Closed]);
    }

    #[test]
    fn nobodys_to_take() {
        let around = Surroundings::read("ingress-nginx", "", Some("berth-system")).unwrap();
        for (name, reserved) in [
            ("legacy", false),
            ("default", true),
            ("kube-system", true),
            ("kube-flannel", true),
            ("ingress-nginx", true),
            ("berth-system", true),
        ] {
            assert_eq!(is_reserved(name, &around), reserved, "{name}");
        }
    }
}
