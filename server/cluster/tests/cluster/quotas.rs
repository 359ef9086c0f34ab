//! What a tenant's namespace may take, as the cluster enforces it: ResourceQuota and LimitRange `berth`.

use crate::{
    common::{Harbour, row, until},
    network::pod,
};
use berth_core::ports::cluster::{Cluster as _, DesiredNamespace, DesiredQuota};
use berth_types::{CauseCode, QuotaKey, Resources, quota::ContainerDefaults};
use futures::future::join_all;
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
    let half = quota(&[
        ("requests.cpu", "500m"),
        ("limits.memory", "2Gi"),
        ("limits.ephemeral-storage", "4Gi"),
        ("pods", "3"),
    ]);
    assert!(ensure(&harbour, &half).await);
    let silent = json!({ "components": [{ "name": "main", "image": "registry.example.com/web:1", "replicas": 1 }] });
    harbour.create("silent", &silent).await;
    harbour.wait_app("silent", "ready", |app| app.view.status.ready == "1/1").await;
    let used = harbour.wait("counted", || {
        let rows = harbour.cluster.usage(&harbour.dev());
        let of = |key: &str| rows.iter().find(|row| row.resource == key).map(|row| row.used.clone());
        let disk = of("limits.ephemeral-storage")?;
        (of("requests.cpu")? == "70m" && of("limits.memory")? == "512Mi" && disk == "1Gi").then_some(())
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

#[tokio::test(flavor = "multi_thread")]
async fn what_no_quota_counts_yet_is_counted() {
    let harbour = Harbour::new().await;
    let keys = [
        "persistentvolumeclaims",
        "requests.storage",
        "slow.storageclass.storage.k8s.io/requests.storage",
        "other.storageclass.storage.k8s.io/requests.storage",
        "services",
        "services.loadbalancers",
        "services.nodeports",
        "count/services",
        "count/deployments.apps",
        "count/widgets.example.com",
    ];
    let keys: Vec<QuotaKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
    let before = harbour.cluster.existing(&[harbour.dev()], &keys).await.unwrap().remove(0);
    let made = [
        (
            "persistentvolumeclaims",
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "resources": { "requests": { "storage": "2Gi" } } },
            }),
        ),
        (
            "services",
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
                "spec": { "type": "NodePort", "ports": [{ "port": 80 }] },
            }),
        ),
    ];
    for (plural, object) in &made {
        harbour.send("POST", &harbour.path("v1", plural), "application/json", object).await;
    }
    // Of many namespaces, too, each has its own.
    for many in [1, 9] {
        let all = harbour.cluster.existing(&vec![harbour.dev(); many], &keys).await.unwrap();
        assert_eq!(all.len(), many);
        let after = all.last().unwrap();
        let of = |key: &str| {
            let key = key.parse().unwrap();
            after.has(&key).then(|| key.write(after.of(&key).minus(before.of(&key))))
        };
        for (key, want) in [
            ("persistentvolumeclaims", Some("1")),
            ("requests.storage", Some("2Gi")),
            ("slow.storageclass.storage.k8s.io/requests.storage", Some("2Gi")),
            ("other.storageclass.storage.k8s.io/requests.storage", Some("0")),
            ("services", Some("1")),
            ("services.loadbalancers", Some("0")),
            ("services.nodeports", Some("1")),
            ("count/services", Some("1")),
            ("count/deployments.apps", Some("0")),
            ("count/widgets.example.com", None),
        ] {
            assert_eq!(of(key).as_deref(), want, "{key} of {many}");
        }
    }
}

/// Who comes past Berth and who comes through it want pods at the same time, ten times as many as there may be.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_there_are_never_more_pods_than_the_quota() {
    const MOST: usize = 6;
    let harbour = Harbour::open().await;
    assert!(ensure(&harbour, &quota(&[("pods", "6")])).await);
    let pods = harbour.path("v1", "pods");
    until("the account that pods need", async || harbour.get(&harbour.path("v1", "serviceaccounts/default")).await)
        .await;
    let enforced = harbour.path("v1", "resourcequotas/berth");
    until("the quota", async || harbour.get(&enforced).await?["status"]["used"]["pods"].as_str().map(drop)).await;

    let one = json!({ "components": [{ "name": "main", "image": "registry.example.com/web:1", "replicas": 2 }] });
    let names: Vec<String> = (0..6).map(|number| format!("app-{number}")).collect();
    let apps = join_all(names.iter().map(|name| harbour.create(name, &one)));
    let bare: Vec<_> = (0..48).map(|number| pod(&format!("bare-{number}"))).collect();
    let bare = join_all(bare.iter().map(|pod| harbour.try_send("POST", &pods, pod)));
    let (_, bare) = futures::join!(apps, bare);
    let made = bare.iter().filter(|answer| answer.is_ok()).count();
    for refused in bare.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(refused.contains("exceeded quota"), "{refused}");
    }
    let count = async || {
        let list = harbour.get(&pods).await.unwrap();
        let all = list["items"].as_array().unwrap().len();
        assert!(all <= MOST, "{all} pods: {list:#}");
        all
    };
    until("a full namespace", async || (count().await == MOST).then_some(())).await;
    assert!(made <= MOST, "{made}");

    // Each app that lacks pods says why; as soon as there is room, it is used, and no more.
    for name in &names {
        harbour
            .wait_app(name, "ready, or short of quota", |app| {
                let cause = &app.view.status.cause;
                app.view.status.ready == "2/2"
                    || cause.as_ref().is_some_and(|cause| cause.code == CauseCode::QuotaExceeded)
            })
            .await;
    }
    for number in 0..48 {
        let _ = harbour.try_send("DELETE", &format!("{pods}/bare-{number}"), &json!({})).await;
    }
    until("the room that they left, used", async || {
        count().await;
        let list = harbour.get(&pods).await.unwrap();
        let bare = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|pod| pod["metadata"]["name"].as_str().unwrap().starts_with("bare"));
        (!bare && count().await == MOST).then_some(())
    })
    .await;
}
