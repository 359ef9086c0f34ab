//! Namespaces whose apps rest, and namespaces that go.

use berth_core::ports::cluster::{Cluster as _, DesiredNamespace, Stage};
use berth_types::{AppPhase, ErrorCode};
use serde_json::json;

use crate::common::{Harbour, row, until};

fn wanted(harbour: &Harbour, suspended: bool) -> DesiredNamespace {
    let row =
        berth_types::people::Namespace { kube_name: harbour.namespace.kube_name.to_string(), ..row("shop", "dev") };
    DesiredNamespace { suspended, ..berth_core::services::namespaces::desired(&row) }
}

async fn ensure(harbour: &Harbour, suspended: bool) -> bool {
    harbour.cluster.ensure_namespace(&harbour.berth(), &wanted(harbour, suspended)).await.unwrap().changed
}

fn app(replicas: i32) -> serde_json::Value {
    json!({ "components": [{ "name": "main", "image": "registry.example.com/web:1", "replicas": replicas }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_a_marked_namespace_rest_whatever_they_say() {
    let harbour = Harbour::open().await;
    harbour.create("web", &app(2)).await;
    harbour.wait_app("web", "ready", |app| app.view.status.ready == "2/2").await;
    assert!(ensure(&harbour, true).await, "marked");
    assert!(!ensure(&harbour, true).await, "nothing left to do");
    let resting = harbour.wait_app("web", "at rest", |app| app.view.status.phase == AppPhase::Suspended).await;
    assert!(!resting.view.spec.suspended, "its spec stays as it is");
    harbour.wait("no pods", || harbour.pods().is_empty().then_some(())).await.expect("no pods");
    // What comes past Berth rests, too: another number of pods, another app.
    let apps = format!("/apis/berth.dev/v1alpha1/namespaces/{}/apps", harbour.namespace.kube_name);
    let more = json!({ "spec": app(3) });
    harbour.send("PATCH", &format!("{apps}/web"), "application/merge-patch+json", &more).await;
    harbour.create("late", &app(1)).await;
    harbour.wait_app("late", "at rest", |app| app.view.status.phase == AppPhase::Suspended).await;
    let deployment = harbour.path("apps/v1", "deployments/web");
    assert_eq!(harbour.get(&deployment).await.unwrap()["spec"]["replicas"], 0);
    assert!(harbour.pods().is_empty(), "{:?}", harbour.pods());

    assert!(ensure(&harbour, false).await, "not marked any more");
    assert!(!ensure(&harbour, false).await, "nothing left to do");
    harbour.wait_app("web", "ready again", |app| app.view.status.ready == "3/3").await;
    harbour.wait_app("late", "ready", |app| app.view.status.ready == "1/1").await;
    // A mark that somebody made by hand is taken away.
    let path = format!("/api/v1/namespaces/{}", harbour.namespace.kube_name);
    let mark = json!({ "metadata": { "labels": { "berth.dev/suspended": "true" } } });
    harbour.send("PATCH", &path, "application/merge-patch+json", &mark).await;
    assert!(ensure(&harbour, false).await, "mended");
    let labels = harbour.get(&path).await.unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels.get("berth.dev/suspended"), None, "{labels}");
    assert_eq!(labels["berth.dev/tenant"], "shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let harbour = Harbour::open().await;
    harbour.create("web", &app(1)).await;
    harbour.wait_app("web", "ready", |app| app.view.status.ready == "1/1").await;
    let (ours, berth) = (wanted(&harbour, true), harbour.berth());
    // What is not this tenant's is not touched, and nothing of it is there.
    let foreign = DesiredNamespace { tenant: "bank".to_owned(), ..ours.clone() };
    assert_eq!(harbour.cluster.namespace_stage(&foreign).await.unwrap(), Stage::Gone);
    let refused = harbour.cluster.delete_namespace(&berth, &foreign).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    let absent = DesiredNamespace { kube_name: "shop-nowhere".to_owned(), ..ours.clone() };
    assert_eq!(harbour.cluster.namespace_stage(&absent).await.unwrap(), Stage::Gone);

    assert_eq!(harbour.cluster.namespace_stage(&ours).await.unwrap(), Stage::There);
    harbour.cluster.delete_namespace(&berth, &ours).await.unwrap();
    let cluster = &harbour.cluster;
    until("gone", async || (cluster.namespace_stage(&ours).await.unwrap() == Stage::Gone).then_some(())).await;
    let path = format!("/api/v1/namespaces/{}", harbour.namespace.kube_name);
    assert_eq!(harbour.get(&path).await, None);
}
