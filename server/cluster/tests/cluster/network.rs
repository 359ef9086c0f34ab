//! Who reaches a tenant's pods, and what they reach, as the cluster keeps it; on a cluster that enforces it, tried from pods.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef},
    network::Surroundings,
    ports::cluster::{Cluster as _, DesiredNamespace, DesiredNetwork},
};
use berth_types::{
    Action, Resource,
    network::{Egress, EgressMode, EgressText, RangeText},
};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::common::{Harbour, row, unique, until};

fn egress(mode: &str, ranges: &[&str]) -> Egress {
    let ranges = ranges.iter().map(|cidr| RangeText { cidr: (*cidr).to_owned(), ..RangeText::default() }).collect();
    Egress::read("egress", &EgressText { mode: mode.to_owned(), ranges }, &[]).unwrap()
}

/// A namespace of `tenant` that is called `kube_name` there.
fn wanted(tenant: &str, name: &str, kube_name: &str, egress: Egress) -> DesiredNamespace {
    let row = berth_types::people::Namespace { kube_name: kube_name.to_owned(), ..row(tenant, name) };
    let around = Surroundings::read("ingress-nginx,192.0.2.0/24", "10.42.0.0/16", Some("berth")).unwrap();
    let network = DesiredNetwork { egress, surroundings: Arc::new(around) };
    DesiredNamespace { network, ..berth_core::services::namespaces::desired(&row) }
}

async fn ensure(harbour: &Harbour, egress: Egress) -> bool {
    let wanted = wanted("shop", "dev", &harbour.namespace.kube_name, egress);
    harbour.cluster.ensure_namespace(&harbour.berth(), &wanted).await.unwrap().changed
}

async fn policy(harbour: &Harbour, name: &str) -> Option<Value> {
    let found = harbour.get(&harbour.path("networking.k8s.io/v1", &format!("networkpolicies/{name}"))).await;
    found.map(|policy| policy["spec"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_made_mended_and_follow_the_list() {
    let harbour = Harbour::new().await;
    let named = || egress("named", &["203.0.113.0/24"]);
    let account = harbour.path("v1", "serviceaccounts/default");
    assert!(ensure(&harbour, named()).await, "made");
    assert!(!ensure(&harbour, named()).await, "nothing left to do");
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    assert_eq!(policy(&harbour, "berth-deny").await, Some(deny.clone()));
    let to = json!([{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]);
    assert_eq!(policy(&harbour, "berth-egress").await.unwrap()["egress"], to);
    assert_eq!(harbour.get(&account).await.unwrap()["automountServiceAccountToken"], false);

    // What somebody changed by hand is as it was: opened, made about others, removed.
    let path = |name: &str| harbour.path("networking.k8s.io/v1", &format!("networkpolicies/{name}"));
    let open = json!({"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"app": "other"}}}});
    harbour.send("PATCH", &path("berth-deny"), "application/merge-patch+json", &open).await;
    let wider = json!({"spec": {"egress": [{}]}});
    harbour.send("PATCH", &path("berth-egress"), "application/merge-patch+json", &wider).await;
    harbour.send("DELETE", &path("berth-tenant"), "application/json", &json!({})).await;
    let token = json!({"automountServiceAccountToken": true});
    harbour.send("PATCH", &account, "application/merge-patch+json", &token).await;
    // One that is somebody else's stays.
    let theirs = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "theirs"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    harbour.send("POST", &path("x").replace("/x", ""), "application/json", &theirs).await;
    assert!(ensure(&harbour, named()).await, "mended");
    assert_eq!(policy(&harbour, "berth-deny").await, Some(deny));
    assert_eq!(policy(&harbour, "berth-egress").await.unwrap()["egress"], to);
    assert!(policy(&harbour, "berth-tenant").await.is_some() && policy(&harbour, "theirs").await.is_some());
    assert_eq!(harbour.get(&account).await.unwrap()["automountServiceAccountToken"], false);
    assert!(!ensure(&harbour, named()).await, "nothing left to do");

    // Another list; none at all.
    assert!(ensure(&harbour, egress("all", &[])).await);
    let all = policy(&harbour, "berth-egress").await.unwrap();
    assert_eq!(all["egress"][0]["to"][0]["ipBlock"]["cidr"], "0.0.0.0/0");
    assert!(ensure(&harbour, egress("none", &["203.0.113.0/24"])).await);
    assert_eq!(policy(&harbour, "berth-egress").await, None);
    assert!(!ensure(&harbour, Egress { mode: EgressMode::None, ranges: Vec::new() }).await, "nothing left to do");
}

/// A pod that serves its name at port 8080.
pub fn pod(name: &str) -> Value {
    let script = format!("mkdir -p /tmp/www && echo {name} > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": "busybox:1", "command": ["sh", "-c", script],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Whether the pod of a namespace reaches an address.
async fn reaches(harbour: &Harbour, kube_name: &str, address: &str) -> bool {
    let place = NamespaceRef { kube_name: kube_name.into(), ..(*harbour.dev()).clone() };
    let grant = Grant::unchecked(place, Resource::Exec, Action::Create);
    let script = format!("timeout 3 wget -q -O - http://{address}:8080/ || echo lost");
    let command = ["sh", "-c", &script].map(str::to_owned);
    let session = harbour.cluster.exec(&harbour.berth(), &grant, "web", None, &command, false).await.unwrap();
    let said: Vec<_> = session.output.collect().await;
    format!("{said:?}").contains("web") && !format!("{said:?}").contains("lost")
}

/// Only where something enforces policies, as on the real cluster of the tests: the embedded one has no network between pods.
#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_do_not_reach_each_other() {
    let harbour = Harbour::new().await;
    if harbour.get("/apis/apps/v1/namespaces/kube-system/daemonsets/network-policy").await.is_none() {
        return;
    }
    let ours = harbour.namespace.kube_name.to_string();
    let (second, other) = (format!("shop-prod-{}", unique()), format!("bank-dev-{}", unique()));
    for (tenant, name, kube_name) in [("shop", "dev", &ours), ("shop", "prod", &second), ("bank", "dev", &other)] {
        let wanted = wanted(tenant, name, kube_name, egress("all", &[]));
        harbour.cluster.ensure_namespace(&harbour.berth(), &wanted).await.unwrap();
        let pods = format!("/api/v1/namespaces/{kube_name}/pods");
        // The account of the namespace comes a moment after it, and a pod needs it.
        until("an account", async || {
            harbour.get(&format!("/api/v1/namespaces/{kube_name}/serviceaccounts/default")).await
        })
        .await;
        harbour.send("POST", &pods, "application/json", &pod("web")).await;
    }
    let address = async |kube_name: &str| {
        until("an address", async || {
            let pod = harbour.get(&format!("/api/v1/namespaces/{kube_name}/pods/web")).await?;
            let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
            pod["status"]["podIP"].as_str().filter(|_| ready).map(str::to_owned)
        })
        .await
    };
    let (at_ours, at_second, at_other) = (address(&ours).await, address(&second).await, address(&other).await);
    // Of the same tenant both ways; of another tenant neither, by whichever address.
    until("the same tenant", async || reaches(&harbour, &ours, &at_second).await.then_some(())).await;
    until("the same tenant", async || reaches(&harbour, &second, &at_ours).await.then_some(())).await;
    until("another tenant", async || (!reaches(&harbour, &ours, &at_other).await).then_some(())).await;
    until("another tenant", async || (!reaches(&harbour, &other, &at_ours).await).then_some(())).await;
    for kube_name in [&second, &other] {
        harbour.send("DELETE", &format!("/api/v1/namespaces/{kube_name}"), "application/json", &json!({})).await;
    }
}
