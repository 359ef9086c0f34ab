//! What a tenant's namespace may take, as the cluster enforces it: ResourceQuota and LimitRange `berth`.

use crate::common::{Harbour, row, until};
use berth_core::ports::cluster::{Cluster as _, DesiredNamespace, DesiredQuota};
use berth_types::{QuotaKey, Resources, quota::ContainerDefaults};
use serde_json::{Value, json};

fn quota(pairs: &[(&str, &str)]) -> Option<DesiredQuota> {
    let written = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Some(DesiredQuota {
        hard: Resources::read("r", &written).unwrap(),
        defaults: ContainerDefaults { cpu_request: "70m".to_owned(), ..ContainerDefaults::default() },
    })
}

/// The harbour's namespace with that quota.
fn wanted(harbour: &Harbour, quota: Option<DesiredQuota>) -> DesiredNamespace {
    let row =
        berth_types::people::Namespace { kube_name: harbour.namespace.kube_name.to_string(), ..row("shop", "dev") };
    DesiredNamespace { quota, ..berth_core::services::namespaces::desired(&row) }
}

async fn ensure(harbour: &Harbour, quota: &Option<DesiredQuota>) -> bool {
    harbour.cluster.ensure_namespace(&harbour.berth(), &wanted(harbour, quota.clone())).await.unwrap().changed
}

async fn hard(harbour: &Harbour) -> Value {
    let quota = harbour.get(&harbour.path("v1", "resourcequotas/berth")).await;
    quota.map_or(Value::Null, |quota| quota["spec"]["hard"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_made_mended_and_removed() {
    let harbour = Harbour::new().await;
    let ranges = harbour.path("v1", "limitranges/berth");
    let half = quota(&[("requests.cpu", "500m"), ("limits.memory", "1024Mi"), ("pods", "3")]);
    assert!(ensure(&harbour, &half).await, "made");
    assert!(!ensure(&harbour, &half).await, "nothing left to do");
    assert_eq!(hard(&harbour).await, json!({"requests.cpu": "500m", "limits.memory": "1Gi", "pods": "3"}));
    let range = harbour.get(&ranges).await.unwrap()["spec"]["limits"][0].clone();
    let default_request = json!({"cpu": "70m", "memory": "128Mi"});
    assert_eq!((&range["defaultRequest"], &range["default"]), (&default_request, &json!({"memory": "512Mi"})));

    // What somebody changed by hand is as it was.
    let quotas = harbour.path("v1", "resourcequotas/berth");
    let by_hand = json!({"spec": {"hard": {"pods": "300", "secrets": "1", "requests.cpu": null}}});
    harbour.send("PATCH", &quotas, "application/merge-patch+json", &by_hand).await;
    harbour.send("DELETE", &ranges, "application/json", &json!({})).await;
    assert!(ensure(&harbour, &half).await, "mended");
    assert_eq!(hard(&harbour).await, json!({"limits.memory": "1Gi", "pods": "3", "requests.cpu": "500m"}));
    assert!(harbour.get(&ranges).await.is_some());
    assert!(!ensure(&harbour, &half).await, "nothing left to do");

    // The cache sees it, with what is used: what forms compute headroom from.
    let usage = harbour.wait("seen", || {
        let rows = harbour.cluster.usage(&harbour.dev());
        rows.iter().any(|row| row.resource == "pods" && row.limit.as_deref() == Some("3")).then_some(rows)
    });
    assert!(usage.await.is_some());

    // Without CPU and memory nobody needs defaults; without a quota there is none.
    assert!(ensure(&harbour, &quota(&[("pods", "4")])).await);
    assert_eq!((hard(&harbour).await, harbour.get(&ranges).await), (json!({"pods": "4"}), None));
    assert!(ensure(&harbour, &None).await);
    assert_eq!(hard(&harbour).await, Value::Null);
    assert!(!ensure(&harbour, &None).await, "nothing left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_not_berths_is_left_alone() {
    let harbour = Harbour::new().await;
    let quotas = harbour.path("v1", "resourcequotas");
    let theirs = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "berth"}, "spec": {"hard": {"pods": "9"}}});
    harbour.send("POST", &quotas, "application/json", &theirs).await;
    assert!(!ensure(&harbour, &None).await);
    assert_eq!(hard(&harbour).await, json!({"pods": "9"}));
    // Unless one of that name is wanted.
    assert!(ensure(&harbour, &quota(&[("pods", "2")])).await);
    assert_eq!(hard(&harbour).await, json!({"pods": "2"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_say_nothing_start_with_the_defaults() {
    let harbour = Harbour::open().await;
    let half = quota(&[("requests.cpu", "500m"), ("limits.memory", "2Gi"), ("pods", "3")]);
    assert!(ensure(&harbour, &half).await);
    let silent = json!({ "components": [{ "name": "main", "image": "registry.example.com/web:1", "replicas": 1 }] });
    harbour.create("silent", &silent).await;
    harbour.wait_app("silent", "ready", |app| app.view.status.ready == "1/1").await;
    let used = harbour.wait("counted", || {
        let rows = harbour.cluster.usage(&harbour.dev());
        let of = |key: &str| rows.iter().find(|row| row.resource == key).map(|row| row.used.clone());
        (of("requests.cpu")? == "70m" && of("limits.memory")? == "512Mi").then_some(())
    });
    assert!(used.await.is_some(), "{:?}", harbour.cluster.usage(&harbour.dev()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_does_not_have_is_told_from_what_it_has() {
    let harbour = Harbour::new().await;
    let known =
        ["count/pods", "count/deployments.apps", "count/apps.berth.dev", "requests.cpu", "services.loadbalancers"];
    let unknown = [
        "count/widgets",
        "count/widgets.apps",
        "count/widgets.example.com",
        "nowhere.storageclass.storage.k8s.io/requests.storage",
        "requests.example.com/none",
    ];
    let keys: Vec<QuotaKey> = known.iter().chain(&unknown).map(|key| key.parse().unwrap()).collect();
    let found = until("nodes", async || harbour.cluster.unknown_keys(&keys).await.ok()).await;
    let found: Vec<_> = found.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(found, unknown);
}
