//! A namespace that the cluster has already becomes a tenant's, with what is in it.

use berth_core::ports::cluster::{Cluster as _, DesiredNamespace};
use berth_types::{ErrorCode, people::Namespace};
use serde_json::{Value, json};

use crate::common::{Harbour, row, unique, until};

fn wanted(tenant: &str, kube_name: &str) -> DesiredNamespace {
    let row = Namespace { kube_name: kube_name.to_owned(), ..row(tenant, "old") };
    berth_core::services::namespaces::desired(&row)
}

/// A namespace as somebody made it by hand, long before Berth.
async fn legacy(harbour: &Harbour) -> String {
    let name = format!("legacy-{}", unique());
    let namespace = json!({"metadata": {"name": name}});
    let at = |group: &str, plural: &str| format!("{group}/namespaces/{name}/{plural}");
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
            "name": "main", "image": "registry.example.com/web:1",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }]}},
    }});
    let binding = json!({"metadata": {"name": "ops"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "ops"}]});
    for (path, object) in [
        ("/api/v1/namespaces".to_owned(), namespace),
        (at("/apis/apps/v1", "deployments"), deployment),
        (at("/apis/rbac.authorization.k8s.io/v1", "rolebindings"), binding),
        (
            at("/apis/networking.k8s.io/v1", "networkpolicies"),
            json!({"metadata": {"name": "open"}, "spec": {"podSelector": {}, "ingress": [{}]}}),
        ),
        (at("/api/v1", "resourcequotas"), json!({"metadata": {"name": "old"}, "spec": {"hard": {"pods": "9"}}})),
    ] {
        harbour.send("POST", &path, "application/json", &object).await;
    }
    name
}

async fn pods(harbour: &Harbour, namespace: &str) -> Vec<Value> {
    let list = harbour.get(&format!("/api/v1/namespaces/{namespace}/pods")).await.unwrap();
    list["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_it_goes_on() {
    let harbour = Harbour::open().await;
    let (cluster, berth) = (&harbour.cluster, harbour.berth());
    let name = legacy(&harbour).await;
    let nobodys = async || cluster.strange_namespaces().await.unwrap().contains(&name);
    let before = until("two pods", async || Some(pods(&harbour, &name).await).filter(|all| all.len() == 2)).await;
    assert!(nobodys().await);

    let ours = wanted("shop", &name);
    let found = cluster.look_at_namespace(&ours).await.unwrap();
    let owner = Some(("Deployment".to_owned(), "web".to_owned()));
    assert!(found.pods.iter().all(|pod| pod.owner == owner && pod.token), "{found:?}");
    let cpu: Vec<String> = found.pods.iter().map(|pod| pod.takes["requests.cpu"].to_string()).collect();
    assert_eq!(cpu, ["10m", "10m"]);
    let first = found.pods.iter().map(|pod| pod.name.clone()).min().unwrap();
    let why = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile";
    // Which of several pods of one controller is named is not said anywhere.
    assert_eq!(found.refused.len(), 1, "{found:?}");
    let (pod, reason) = found.refused[0].split_once(": ").unwrap();
    assert!(pod.starts_with(&first[..first.len() - 5]) && reason == why, "{found:?}");
    assert_eq!(
        (found.policies, found.bindings, found.quotas),
        (vec!["open".into()], vec!["ops".into()], vec!["old".into()])
    );

    // Another namespace of the name is another one.
    let refused = cluster.adopt_namespace(&berth, &ours, "another").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(nobodys().await);
    cluster.adopt_namespace(&berth, &ours, &found.uid).await.unwrap();
    assert!(!nobodys().await);
    // Given to one, it is nobody else's; the same may ask again.
    let theirs = wanted("bank", &name);
    assert_eq!(cluster.look_at_namespace(&theirs).await.unwrap_err().code(), ErrorCode::Conflict);
    cluster.look_at_namespace(&ours).await.unwrap();

    assert!(cluster.ensure_namespace(&berth, &ours).await.unwrap().changed);
    let labels = harbour.get(&format!("/api/v1/namespaces/{name}")).await.unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(pods(&harbour, &name).await, before, "they run on");
    let policies = harbour.get(&format!("/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies")).await.unwrap();
    let called = |wanted: &str| policies["items"].as_array().unwrap().iter().any(|p| p["metadata"]["name"] == wanted);
    assert!(called("open") && called("berth-deny"), "{policies}");
    harbour.send("DELETE", &format!("/api/v1/namespaces/{name}"), "application/json", &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_nobodys() {
    let harbour = Harbour::open().await;
    let (cluster, berth) = (&harbour.cluster, harbour.berth());
    let name = legacy(&harbour).await;
    let ours = wanted("shop", &name);
    let found = cluster.look_at_namespace(&ours).await.unwrap();
    cluster.adopt_namespace(&berth, &ours, &found.uid).await.unwrap();
    cluster.disown_namespace(&berth, &wanted("bank", &name)).await.unwrap();
    assert!(!cluster.strange_namespaces().await.unwrap().contains(&name), "another tenant's word is none");
    cluster.disown_namespace(&berth, &ours).await.unwrap();
    assert!(cluster.strange_namespaces().await.unwrap().contains(&name));
    let absent = wanted("shop", "legacy-nowhere");
    assert_eq!(cluster.look_at_namespace(&absent).await.unwrap_err().code(), ErrorCode::NotFound);
    harbour.send("DELETE", &format!("/api/v1/namespaces/{name}"), "application/json", &json!({})).await;
}
