//! What somebody changes by hand in a namespace that Berth keeps: put right, and told apart from what Berth changes itself.

use berth_core::ports::cluster::{Cluster as _, DesiredNamespace, Kept};
use berth_types::drift::DriftKind::{Changed, Missing, Surplus};
use serde_json::json;

use crate::common::{Harbour, row};

fn wanted(harbour: &Harbour, suspended: bool) -> DesiredNamespace {
    let row =
        berth_types::people::Namespace { kube_name: harbour.namespace.kube_name.to_string(), ..row("shop", "dev") };
    DesiredNamespace { suspended, ..berth_core::services::namespaces::desired(&row) }
}

async fn ensure(harbour: &Harbour, suspended: bool) -> Kept {
    harbour.cluster.ensure_namespace(&harbour.berth(), &wanted(harbour, suspended)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_by_hand_is_told_from_what_berth_changes() {
    let harbour = Harbour::new().await;
    let nothing = Kept::default();
    assert_eq!(ensure(&harbour, false).await.drift, []);
    assert_eq!(ensure(&harbour, false).await, nothing, "nothing left to do");

    let namespace = format!("/api/v1/namespaces/{}", harbour.namespace.kube_name);
    let merge = "application/merge-patch+json";
    let weak = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } });
    harbour.send("PATCH", &format!("{namespace}?fieldManager=weakener"), merge, &weak).await;
    let deny = harbour.path("networking.k8s.io/v1", "networkpolicies/berth-deny");
    let open = json!({ "spec": { "ingress": [{}] } });
    harbour.send("PATCH", &format!("{deny}?fieldManager=opener"), merge, &open).await;
    let bindings = harbour.path("rbac.authorization.k8s.io/v1", "rolebindings");
    harbour.send("DELETE", &format!("{bindings}/berth-viewer"), "application/json", &json!({})).await;
    let stray = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "stray", "labels": { "app.kubernetes.io/managed-by": "berth" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
    });
    harbour.send("POST", &format!("{bindings}?fieldManager=straw"), "application/json", &stray).await;

    let kept = ensure(&harbour, false).await;
    assert!(kept.changed);
    let found: Vec<_> = kept.drift.iter().map(|one| (one.object.as_str(), one.kind, one.by.as_deref())).collect();
    let whole = format!("Namespace {}", harbour.namespace.kube_name);
    let want = [
        (whole.as_str(), Changed, Some("weakener")),
        ("RoleBinding berth-viewer", Missing, None),
        ("RoleBinding stray", Surplus, Some("straw")),
        ("NetworkPolicy berth-deny", Changed, Some("opener")),
    ];
    assert_eq!(found, want);
    assert_eq!(ensure(&harbour, false).await, nothing, "put right");

    // What Berth itself wants to be otherwise is nobody's drift; that mixes with it until all is as it shall be.
    harbour.send("DELETE", &deny, "application/json", &json!({})).await;
    let own = ensure(&harbour, true).await;
    assert_eq!((own.changed, own.drift), (true, Vec::new()));
    assert!(harbour.get(&deny).await.is_some());
    assert_eq!(ensure(&harbour, true).await, nothing);
}
