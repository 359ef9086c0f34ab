//! Clusters.

use std::collections::BTreeMap;

use berth_types::cluster::{
    CheckVerdict, ClusterAgent, ClusterCheck, ClusterChoice, ClusterHealth, ClusterProbe, ClusterRemains, ClusterState,
    ClusterView, NamespaceRemains,
};
use serde_json::{Value, json};

use super::{at, named, to_value};
use crate::handlers::clusters::{ClusterChoices, MadeClusterAgent};

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://10.0.0.1:6443\n    \
                          certificate-authority-data: LS0t…\nusers:\n- name: berth\n  user:\n    token: eyJh…\ncontexts:\n- \
                          name: c\n  context: {cluster: c, user: berth}\ncurrent-context: c\n";

fn labels() -> BTreeMap<String, String> {
    [("region".to_owned(), "eu-central".to_owned()), ("tier".to_owned(), "gold".to_owned())].into()
}

fn probe() -> ClusterProbe {
    let check = |what: &str, verdict, found: &str, fix: Option<&str>| ClusterCheck {
        what: what.to_owned(),
        verdict,
        found: found.to_owned(),
        fix: fix.map(str::to_owned),
    };
    ClusterProbe {
        at: at(-5),
        version: Some("v1.35.4".to_owned()),
        latency_ms: Some(12),
        checks: vec![
            check("cluster answers", CheckVerdict::Good, "v1.35.4", None),
            check("metrics API", CheckVerdict::Lacking, "not served", Some("install metrics-server")),
        ],
    }
}

fn view() -> Option<ClusterView> {
    Some(ClusterView {
        name: named("frankfurt")?,
        label: "Frankfurt, production".to_owned(),
        labels: labels(),
        state: ClusterState::Open,
        configured: false,
        server: Some("https://10.0.0.1:6443".to_owned()),
        agent: None,
        health: ClusterHealth::Live,
        reason: None,
        as_of: Some(at(0)),
        nodes: Some(5),
        ready: Some(5),
        cpu: Some("40".to_owned()),
        memory: Some("160Gi".to_owned()),
        namespaces: 12,
        tenants: 4,
        probe: Some(probe()),
        created_by: Some("root".to_owned()),
        created_at: Some(at(-9000)),
        version: 3,
    })
}

fn agent() -> ClusterAgent {
    ClusterAgent {
        token: Some("berth_agent_Zk3vQ1".to_owned()),
        made_by: "root".to_owned(),
        made_at: at(-9000),
        version: Some("0.1.0".to_owned()),
        address: Some("203.0.113.7".to_owned()),
        since: Some(at(-600)),
        seen_at: Some(at(0)),
        tunnels: 2,
        replicas: 2,
        refused: None,
        refused_at: None,
    }
}

fn remains() -> Option<ClusterRemains> {
    let namespace = NamespaceRemains {
        tenant: named("shop")?,
        namespace: named("prod")?,
        kube_name: "shop-prod".to_owned(),
        apps: Some(3),
        pods: Some(9),
        volumes: Some(1),
        leaving: false,
    };
    Some(ClusterRemains { namespaces: vec![namespace], quotas: vec![named("games")?] })
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "ClusterView" => to_value(view()?),
        "ClusterAgent" => to_value(agent()),
        "MadeClusterAgent" => to_value(MadeClusterAgent {
            cluster: ClusterView { agent: Some(agent()), ..view()? },
            token: Some("berth_agent_Zk3vQ1…".to_owned()),
            manifest: Some("---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: berth-agent\n…".to_owned()),
        }),
        "NewAgent" => Some(json!({ "name": "frankfurt", "label": "Frankfurt, production", "labels": labels() })),
        "ClusterProbe" => to_value(probe()),
        "ClusterRemains" => to_value(remains()?),
        "ClusterChoices" => {
            let choice = ClusterChoice { name: named("frankfurt")?, label: "Frankfurt".to_owned(), labels: labels() };
            to_value(ClusterChoices { items: vec![choice] })
        }
        "NewCluster" => Some(json!({
            "name": "frankfurt", "label": "Frankfurt, production", "labels": labels(), "kubeconfig": KUBECONFIG,
        })),
        "ClusterAccess" => Some(json!({ "kubeconfig": KUBECONFIG })),
        "ClusterChange" => Some(json!({ "label": "Frankfurt, production", "labels": labels(), "state": "closed" })),
        "Forgetting" => Some(json!({ "confirm": "frankfurt" })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handlers::clusters::{ClusterAccess, Forgetting};

    #[test]
    fn what_is_sent_can_be_read() {
        let new: berth_types::cluster::NewCluster = serde_json::from_value(of("NewCluster").unwrap()).unwrap();
        assert!(berth_core::access_file::read(&new.kubeconfig).is_ok());
        serde_json::from_value::<berth_types::cluster::NewAgent>(of("NewAgent").unwrap()).unwrap();
        serde_json::from_value::<ClusterAccess>(of("ClusterAccess").unwrap()).unwrap();
        serde_json::from_value::<berth_types::cluster::ClusterChange>(of("ClusterChange").unwrap()).unwrap();
        serde_json::from_value::<Forgetting>(of("Forgetting").unwrap()).unwrap();
    }
}
