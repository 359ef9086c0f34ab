//! Machines: what is known of them, and emptying one.

use std::sync::Arc;

use berth_core::{
    Actor, OpCtx, Person,
    authz::{Grant, PlatformRef},
    drain::{Guard, Owner, Tenancy},
    ports::cluster::Cluster as _,
};
use berth_types::{
    Action, ErrorCode, PlatformRole, Quantity, Resource,
    node::{DrainConsent, DrainMark, NodeRow, NodeState},
};
use serde_json::json;

use crate::common::{Harbour, PATIENCE, until};

fn platform() -> Grant<PlatformRef> {
    Grant::unchecked(PlatformRef, Resource::Node, Action::Update)
}

/// Somebody with a role on the platform.
fn with_role(harbour: &Harbour, role: PlatformRole) -> OpCtx {
    let ctx = harbour.person("root");
    let person = Person { platform_role: Some(role), ..ctx.person().unwrap().clone() };
    ctx.with_actor(Actor::Person(Arc::new(person)))
}

fn node(harbour: &Harbour, name: &str) -> Option<NodeRow> {
    harbour.cluster.nodes(&platform()).ok()?.into_iter().find(|node| node.name == name)
}

async fn own_pods(harbour: &Harbour, on: &str) -> Vec<Tenancy> {
    let pods = harbour.cluster.tenancies(&platform(), on).await.unwrap();
    pods.into_iter().filter(|pod| pod.namespace == *harbour.namespace.kube_name && !pod.leaving).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_cordoned_and_emptied_as_budgets_let_it() {
    let harbour = Harbour::open().await;
    let admin = with_role(&harbour, PlatformRole::Admin);
    let container = json!({ "name": "main", "image": "registry.example.com/web:1", "replicas": 1,
        "resources": { "requests": { "cpu": "50m", "memory": "32Mi" } } });
    harbour.create("web", &json!({ "components": [container] })).await;
    harbour.wait_app("web", "ready", |app| app.view.status.ready == "1/1").await;
    let name = harbour.pods()[0].node.clone().unwrap().to_string();

    // What it has, and what is promised of it.
    let row = harbour.wait("the node", || node(&harbour, &name)).await.expect("the node");
    assert_eq!((row.state, row.cordoned), (NodeState::Ready, false));
    let cpu = row.resource("cpu").unwrap();
    assert!(cpu.pressure().is_some_and(|part| part > 0) && row.pressure >= cpu.pressure(), "{row:?}");
    if std::env::var_os("BERTH_TEST_KUBECONFIG").is_none() {
        let measured = || node(&harbour, &name)?.resource("memory")?.used.clone();
        harbour.wait("its use", measured).await.expect("what the embedded cluster measures");
        // What the namespace's pods ask for and use, as another process sees it that reads the metrics now.
        let (other, _cut) = harbour.another();
        tokio::spawn(other.clone().run(harbour.shutdown.clone()));
        assert!(other.wait_until_live(PATIENCE).await);
        let taken = || {
            let taken = other.taken(&harbour.dev());
            let used =
                taken.used.clone().filter(|used| used["memory"] > Quantity::ZERO && used["cpu"] > Quantity::ZERO)?;
            Some((taken.counted["requests.cpu"].to_string(), taken.counted["pods"].to_string(), used.len()))
        };
        let taken = harbour.wait("what the namespace uses", taken).await.expect("use");
        assert_eq!(taken, ("50m".to_owned(), "1".to_owned(), 2));
    }
    let view = harbour.cluster.node(&platform(), &name).unwrap();
    let ours = view.pods.iter().find(|pod| pod.kube_namespace == *harbour.namespace.kube_name).unwrap();
    assert_eq!(ours.requests["cpu"], "50m");
    assert!(view.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True"));
    assert_eq!(harbour.cluster.node(&platform(), "no-such-node").unwrap_err().code(), ErrorCode::NotFound);

    // Who has no role on the platform, or only looks, changes nothing: so says the cluster itself.
    for ctx in [harbour.person("ada"), with_role(&harbour, PlatformRole::Auditor)] {
        let refused = harbour.cluster.mark_node(&ctx, &platform(), &name, true, None).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden, "{refused:?}");
        let pod = own_pods(&harbour, &name).await.remove(0);
        let refused = harbour.cluster.evict(&ctx, &platform(), &pod).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden, "{refused:?}");
    }
    assert!(!node(&harbour, &name).unwrap().cordoned);

    let mark = DrainMark {
        by: "root".into(),
        at: "2026-11-20T08:00:00Z".parse().unwrap(),
        pods: 1,
        consent: DrainConsent { lose_pods: true, lose_data: false },
        done: None,
    };
    harbour.cluster.mark_node(&admin, &platform(), &name, true, Some(&mark)).await.unwrap();
    let marked = node(&harbour, &name).unwrap();
    assert_eq!((marked.state, marked.cordoned, marked.drain.as_ref()), (NodeState::Draining, true, Some(&mark)));

    // A budget that lets nobody go, until it is gone.
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "all" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "berth.dev/app": "web" } } },
    });
    harbour.send("POST", &harbour.path("policy/v1", "poddisruptionbudgets"), "application/json", &budget).await;
    let guarded = until("a budget that guards", async || {
        let pod = own_pods(&harbour, &name).await.pop()?;
        (pod.guards == [Guard { budget: "all".into(), allowed: Some(0) }]).then_some(pod)
    })
    .await;
    assert!(matches!(&guarded.owner, Owner::Makes(owner) if owner.starts_with("ReplicaSet/web")), "{guarded:?}");
    assert!(!harbour.cluster.evict(&admin, &platform(), &guarded).await.unwrap(), "the budget forbids it");
    assert_eq!(own_pods(&harbour, &name).await.len(), 1);
    harbour
        .send("DELETE", &harbour.path("policy/v1", "poddisruptionbudgets/all"), "application/json", &json!({}))
        .await;
    until("it goes", async || harbour.cluster.evict(&admin, &platform(), &guarded).await.unwrap().then_some(())).await;
    let moved = || harbour.pods().iter().any(|pod| pod.ready == 1 && pod.node.as_deref().is_some_and(|on| on != name));
    harbour.wait("another pod elsewhere", || moved().then_some(())).await.expect("it moved");
    // What is gone already is fine.
    assert!(harbour.cluster.evict(&admin, &platform(), &guarded).await.unwrap());

    harbour.cluster.mark_node(&admin, &platform(), &name, false, None).await.unwrap();
    let path = format!("/api/v1/nodes/{name}");
    let object = harbour.get(&path).await.unwrap();
    assert_eq!(object["metadata"]["annotations"].get("berth.dev/drain"), None);
    assert_ne!(object["spec"]["unschedulable"], true);
    assert_eq!(node(&harbour, &name).unwrap().state, NodeState::Ready);
}
