#![allow(clippy::unwrap_used)]
use std::time::Duration;

use berth_types::{
    Action, ClusterId, ErrorCode, ListQuery, PlatformRole, Resource, TenantRole,
    node::{DrainConsent, NodeState, PodFate},
};

use crate::{
    authz::{Grant, PlatformRef},
    drain::{Guard, Owner, Tenancy},
    ports::{cluster::Cluster as _, store::People as _},
    testing::{World, node, tenancy},
};

/// Two nodes; on `node-1` pods of shop's namespace `dev`.
async fn world() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.namespace(&shop, "dev").await;
    world.cluster.with_nodes(|nodes| {
        nodes.rows = vec![node("node-1", "3"), node("node-2", "1")];
        nodes.pods = vec![("node-1".into(), tenancy("shop-dev", "web-1")), ("node-1".into(), tenancy("other", "x"))];
    });
    world
}

fn local() -> ClusterId {
    ClusterId::local()
}

fn put(world: &World, pod: Tenancy) {
    world.cluster.with_nodes(|nodes| nodes.pods.push(("node-1".into(), pod)));
}

fn state(world: &World) -> (NodeState, bool) {
    let grant = Grant::unchecked(PlatformRef, Resource::Node, Action::Read);
    let node = world.cluster.nodes(&grant).unwrap().remove(0);
    (node.state, node.cordoned)
}

const AGREED: DrainConsent = DrainConsent { lose_pods: true, lose_data: true };

#[tokio::test]
async fn nodes_are_for_the_platform() {
    let world = world().await;
    let (root, eye, olga) = (world.ctx("root").await, world.ctx("eye").await, world.ctx("olga").await);
    let services = &world.services;
    let query = ListQuery { sort: ListQuery::parse_sort("-pressure"), ..ListQuery::default() };
    let listed = services.list_nodes(&eye, &local(), &query).await.unwrap().page;
    let names: Vec<_> = listed.items.iter().map(|n| (n.name.as_str(), n.pressure)).collect();
    assert_eq!(names, [("node-1", Some(750)), ("node-2", Some(250))]);
    let code = |e: crate::Error| e.code();
    assert_eq!(services.list_nodes(&olga, &local(), &query).await.map_err(code).unwrap_err(), ErrorCode::NotFound);
    let elsewhere = services.list_nodes(&root, &"moon".parse().unwrap(), &query).await;
    assert_eq!(elsewhere.map_err(code).unwrap_err(), ErrorCode::NotFound);
    assert_eq!(services.get_node(&root, &local(), "node-9").await.map_err(code).unwrap_err(), ErrorCode::NotFound);
    for (who, want) in [(&eye, ErrorCode::Forbidden), (&olga, ErrorCode::NotFound)] {
        assert_eq!(services.cordon_node(who, &local(), "node-1", true).await.map_err(code), Err(want));
        let drained = services.drain_node(who, &local(), "node-1", "node-1", AGREED).await;
        assert_eq!(drained.map_err(code).unwrap_err(), want);
        assert_eq!(services.stop_drain(who, &local(), "node-1").await.map_err(code), Err(want));
    }
    assert_eq!(state(&world), (NodeState::Ready, false));
    services.cordon_node(&root, &local(), "node-1", true).await.unwrap();
    assert_eq!(state(&world), (NodeState::Cordoned, true));
    services.cordon_node(&root, &local(), "node-1", false).await.unwrap();
    assert_eq!(state(&world), (NodeState::Ready, false));
}

#[tokio::test]
async fn a_preview_says_whose_pods_move() {
    let world = world().await;
    let root = world.ctx("root").await;
    let plan = world.services.plan_drain(&root, &local(), "node-1").await.unwrap();
    let seen: Vec<_> = plan.pods.iter().map(|p| (p.name.as_str(), p.tenant.as_ref().map(|t| t.as_str()))).collect();
    assert_eq!(seen, [("x", None), ("web-1", Some("shop"))]);
    assert!(plan.pods.iter().all(|p| p.fate == PodFate::Moves && p.fits == Some(true)), "{plan:?}");
    assert!(world.store.audit().is_empty(), "a look changes nothing");
}

#[tokio::test]
async fn a_node_is_emptied_as_budgets_let_it_and_by_who_wants_it() {
    let world = world().await;
    let (root, services) = (world.ctx("root").await, &world.services);
    put(&world, Tenancy { owner: Owner::Daemon("DaemonSet/log".into()), ..tenancy("kube-system", "log") });
    let guard = |allowed| vec![Guard { budget: "web".into(), allowed: Some(allowed) }];
    put(&world, Tenancy { guards: guard(0), ..tenancy("shop-dev", "guarded") });
    put(&world, Tenancy { owner: Owner::Nobody, local_data: true, ..tenancy("shop-dev", "alone") });

    // All that is wrong is said at once, and nothing is done.
    let refused = services.drain_node(&root, &local(), "node-1", "node", DrainConsent::default()).await.unwrap_err();
    let fields: Vec<_> = refused.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["losePods", "loseData", "confirm"]);
    assert_eq!(state(&world), (NodeState::Ready, false));
    assert_eq!(services.keep_drains().await.unwrap(), 0, "nobody wants it");

    let mark = services.drain_node(&root, &local(), "node-1", "node-1", AGREED).await.unwrap();
    assert_eq!((mark.pods, mark.by.as_str()), (4, "root"));
    let again = services.drain_node(&root, &local(), "node-1", "node-1", AGREED).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::Conflict);
    assert_eq!(services.keep_drains().await.unwrap(), 3);
    assert_eq!(services.keep_drains().await.unwrap(), 0, "the budget forbids the last one");
    let plan = services.plan_drain(&root, &local(), "node-1").await.unwrap();
    assert_eq!((plan.left(), plan.stalled), (1, false));
    assert_eq!(plan.pods[0].budgets, ["web"]);
    assert_eq!(state(&world), (NodeState::Draining, true));

    world.cluster.with_nodes(|nodes| {
        for (_, pod) in &mut nodes.pods {
            pod.guards.clear();
        }
    });
    assert_eq!(services.keep_drains().await.unwrap(), 1);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(services.keep_drains().await.unwrap(), 0);
    assert_eq!(state(&world), (NodeState::Drained, true));
    let evicted = world.cluster.with_nodes(|nodes| nodes.evicted.clone());
    assert_eq!(evicted.len(), 4);
    assert!(evicted.iter().all(|(_, by)| by == "root"), "{evicted:?}");
    let said: Vec<_> = world.store.audit().into_iter().map(|e| (e.action, e.actor, e.via, e.outcome)).collect();
    let has = |action: &str, via: &str| {
        said.iter().filter(|(a, by, v, o)| a == action && by == "root" && v == via && o == "done").count()
    };
    assert_eq!((has("node.drain", "session"), has("pod.evict", "begun"), has("node.drained", "begun")), (1, 4, 1));

    services.cordon_node(&root, &local(), "node-1", false).await.unwrap();
    assert_eq!(state(&world), (NodeState::Ready, false), "nothing of it is left");
}

#[tokio::test]
async fn a_drain_ends_with_the_order_or_with_the_rights_of_who_gave_it() {
    let world = world().await;
    let (root, services) = (world.ctx("root").await, &world.services);
    services.drain_node(&root, &local(), "node-1", "node-1", AGREED).await.unwrap();
    services.stop_drain(&root, &local(), "node-1").await.unwrap();
    assert_eq!(services.keep_drains().await.unwrap(), 0);
    assert_eq!(state(&world), (NodeState::Cordoned, true), "it still takes no pods");
    assert_eq!(services.stop_drain(&root, &local(), "node-1").await.unwrap_err().code(), ErrorCode::Conflict);

    let mut other = world.person("second", Some(PlatformRole::Admin)).await;
    let second = world.ctx("second").await;
    services.drain_node(&second, &local(), "node-1", "node-1", AGREED).await.unwrap();
    other.platform_role = None;
    let grant = Grant::unchecked(PlatformRef, Resource::User, Action::Update);
    world.store.update_user(&grant, &other).await.unwrap();
    assert_eq!(services.keep_drains().await.unwrap(), 0, "who is no admin any more empties nothing");
    let plan = services.plan_drain(&root, &local(), "node-1").await.unwrap();
    assert!(plan.stalled && plan.left() == 2);
}

#[tokio::test]
async fn what_comes_later_is_not_lost_without_consent() {
    let world = world().await;
    let (root, services) = (world.ctx("root").await, &world.services);
    services.drain_node(&root, &local(), "node-1", "node-1", DrainConsent::default()).await.unwrap();
    put(&world, Tenancy { owner: Owner::Nobody, ..tenancy("shop-dev", "late") });
    assert_eq!(services.keep_drains().await.unwrap(), 2);
    let plan = services.plan_drain(&root, &local(), "node-1").await.unwrap();
    assert!(plan.pods.len() == 1 && plan.pods[0].held, "{plan:?}");
    assert_eq!(state(&world).0, NodeState::Draining);
}
