//! The API server goes away and comes back; lists go on, and are told how old they are.

use std::time::{Duration, Instant};

use crate::common::{Harbour, PATIENCE};
use berth_core::ports::cluster::{CacheState, ChangeKind, Cluster as _};
use berth_types::{ErrorCode, ListQuery, app_status::AppPhase};
use serde_json::json;

fn spec() -> serde_json::Value {
    json!({"components": [{"name": "main", "image": "registry.example/web:1"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn down_and_up() {
    let harbour = Harbour::open().await;
    harbour.create("web", &spec()).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    let mut changes = harbour.cluster.subscribe();

    let cut = Instant::now();
    harbour.cut.send_replace(true);
    let stale = harbour.wait("stale", || match harbour.cluster.freshness().state {
        CacheState::Stale { since, reason } => Some((since, reason)),
        _ => None,
    });
    let (_, reason) = stale.await.expect("it was noticed");
    // Seconds on an idle machine; the bound leaves room for a busy one.
    assert!(cut.elapsed() < Duration::from_secs(10), "{:?}", cut.elapsed());
    assert!(!reason.is_empty());
    let told = async { while changes.recv().await.expect("open").kind != ChangeKind::Freshness {} };
    assert!(tokio::time::timeout(PATIENCE, told).await.is_ok(), "pages are told");

    let page = harbour.cluster.apps(&harbour.dev(), &ListQuery::default()).unwrap();
    assert_eq!((page.total, page.as_of.is_some()), (1, true), "lists go on");
    assert!(harbour.cluster.app(&harbour.app("web")).is_some());
    let error =
        harbour.cluster.create_app(&harbour.person("ada"), &harbour.app("more"), &spec()).await.expect_err("down");
    assert_eq!(error.code(), ErrorCode::ClusterUnavailable);
    assert!(error.wait().is_some());

    // Meanwhile, others change things.
    harbour
        .send(
            "DELETE",
            &harbour.path("berth.dev/v1alpha1", "apps/web"),
            "application/json",
            &json!({"propagationPolicy": "Background"}),
        )
        .await;
    let app = json!({"apiVersion": "berth.dev/v1alpha1", "kind": "App", "metadata": {"name": "fresh"}, "spec": spec()});
    harbour.send("POST", &harbour.path("berth.dev/v1alpha1", "apps"), "application/json", &app).await;
    assert!(harbour.cluster.app(&harbour.app("fresh")).is_none());

    harbour.cut.send_replace(false);
    let live = harbour.wait("live", || (harbour.cluster.freshness().state == CacheState::Live).then_some(())).await;
    assert!(live.is_some(), "{:?}", harbour.cluster.freshness());
    harbour.wait_app("fresh", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    let gone = harbour.wait("gone", || harbour.cluster.app(&harbour.app("web")).is_none().then_some(())).await;
    assert!(gone.is_some(), "a missed deletion");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_never_read_is_not_called_empty() {
    let harbour = Harbour::new().await;
    let (cluster, cut) = harbour.another();
    cut.send_replace(true);
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(cluster.clone().run(stop.clone()));
    let mut changes = cluster.subscribe();
    let away = async {
        while !matches!(cluster.freshness().state, CacheState::Stale { .. }) {
            let _ = tokio::time::timeout(Duration::from_millis(200), changes.recv()).await;
        }
    };
    tokio::time::timeout(PATIENCE, away).await.expect("it is seen to be away");
    let freshness = cluster.freshness();
    assert_eq!(freshness.as_of, None, "nothing of it was ever true");
    assert_eq!(freshness.read().map_err(|e| e.code()), Err(ErrorCode::ClusterUnavailable));
    cut.send_replace(false);
    assert!(cluster.wait_until_live(PATIENCE).await);
    cluster.freshness().read().expect("it was read");
    stop.cancel();
}
