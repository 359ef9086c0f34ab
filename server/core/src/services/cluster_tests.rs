//! Clusters are registered, closed, emptied and let go of.
#![allow(clippy::unwrap_used)]

use berth_types::{
    ClusterId, ErrorCode, PlatformRole, TenantRole,
    cluster::{CheckVerdict, ClusterChange, ClusterHealth, NewCluster},
    quota::Written,
};

use crate::{
    Error, OpCtx,
    ports::{
        cluster::{Finding, Verdict},
        clusters::ClusterRows as _,
    },
    services::{adoption::Adopted, quotas::Wanted, requests::NewAsk},
    testing::{FakeRegistrar, World, node},
};

const MOON: &str = "https://moon.example";

async fn world() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.elsewhere.put(MOON, None);
    world
}

fn id(text: &str) -> ClusterId {
    text.parse().unwrap()
}

fn new(name: &str, server: &str) -> NewCluster {
    NewCluster { name: name.to_owned(), kubeconfig: FakeRegistrar::kubeconfig(server), ..NewCluster::default() }
}

fn change(state: &str) -> ClusterChange {
    ClusterChange { label: String::new(), labels: Default::default(), state: state.to_owned() }
}

async fn registered(world: &World) -> OpCtx {
    let root = world.ctx("root").await;
    world.services.register_cluster(&root, &new("moon", MOON)).await.unwrap();
    root
}

fn fields(error: &Error) -> Vec<(&str, &str)> {
    error.fields().iter().map(|e| (e.field.as_str(), e.code.as_str())).collect()
}

fn pods(amount: &str) -> Written {
    [("pods".to_owned(), amount.to_owned())].into()
}

#[tokio::test]
async fn one_that_is_registered_is_live_and_takes_namespaces() {
    let world = world().await;
    let root = registered(&world).await;
    world.elsewhere.cluster("moon").with_nodes(|nodes| nodes.rows.push(node("node-1", "1")));
    let all = world.services.list_clusters(&world.ctx("eye").await).await.unwrap();
    let seen: Vec<_> = all.iter().map(|c| (c.name.as_str(), c.configured, c.health, c.nodes)).collect();
    assert_eq!(
        seen,
        [("local", true, ClusterHealth::Live, Some(0)), ("moon", false, ClusterHealth::Live, Some(1))],
        "the configured one first"
    );
    assert_eq!((all[1].cpu.as_deref(), all[1].server.as_deref()), (Some("4"), Some(MOON)));
    assert_eq!(all[1].probe.as_ref().unwrap().latency_ms, Some(7));

    let olga = world.ctx("olga").await;
    let shop = "shop".parse().unwrap();
    let choices = world.services.cluster_choices(&olga, &shop).await.unwrap();
    assert_eq!(choices.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["local", "moon"]);
    let made = world.services.create_namespace(&olga, &shop, "dev", Some(&id("moon"))).await.unwrap();
    assert_eq!(made.cluster, id("moon"));
    assert_eq!(world.elsewhere.cluster("moon").namespaces().len(), 1);
    assert!(world.cluster.namespaces().is_empty());
    // Without a word, the configured one.
    let here = world.services.create_namespace(&olga, &shop, "prod", None).await.unwrap();
    assert_eq!(here.cluster, ClusterId::local());
    // Each has a quota of its own.
    world.services.set_tenant_quota(&root, &shop, Some(&id("moon")), &Wanted::Own(pods("5"))).await.unwrap();
    let quotas = world.services.tenant_quota(&olga, &shop).await.unwrap();
    let limited: Vec<_> = quotas.iter().map(|q| (q.quota.cluster.as_str(), q.quota.limited)).collect();
    assert_eq!(limited, [("local", false), ("moon", true)]);

    // One that is away takes nothing of the others with it.
    world.elsewhere.cluster("moon").set_down(Some("no route to host"));
    let overviews = world.services.list_namespaces(&olga, &shop).await.unwrap();
    let live: Vec<_> = overviews.iter().map(|o| crate::services::clusters::health(&o.freshness).0).collect();
    assert_eq!(live, [ClusterHealth::Away, ClusterHealth::Live]);
    assert_eq!(world.services.reconcile_namespaces().await.unwrap_or(99), 0);
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_and_nothing_is_kept() {
    let world = world().await;
    let root = world.ctx("root").await;
    let labels = [("a b".to_owned(), "x".to_owned())].into();
    let wrong = NewCluster {
        name: "Moon!".into(),
        label: "x".repeat(61),
        labels,
        kubeconfig: FakeRegistrar::kubeconfig("http://moon.example"),
    };
    let refused = world.services.register_cluster(&root, &wrong).await.unwrap_err();
    let places: Vec<&str> = fields(&refused).into_iter().map(|(field, _)| field).collect();
    assert_eq!(places, ["name", "label", "labels", "kubeconfig"]);
    for (server, code) in [("https://nobody.example", "cluster_check"), ("https://sick.example", "cluster_check")] {
        let bad = Finding {
            what: "rights of the writer".into(),
            verdict: Verdict::Bad,
            found: "missing: impersonate users".into(),
            fix: Some("give them".into()),
        };
        world.elsewhere.put("https://sick.example", Some(bad));
        let refused = world.services.register_cluster(&root, &new("moon", server)).await.unwrap_err();
        assert_eq!(fields(&refused), [("kubeconfig", code)], "{server}");
    }
    assert_eq!(world.services.list_clusters(&root).await.unwrap().len(), 1);
    assert!(world.store.audit().iter().all(|e| e.outcome != "done"));

    // What only some apps need keeps nobody out.
    let lacking = Finding { what: "metrics API".into(), verdict: Verdict::Lacking, found: "none".into(), fix: None };
    world.elsewhere.put("https://plain.example", Some(lacking));
    let made = world.services.register_cluster(&root, &new("plain", "https://plain.example")).await.unwrap();
    assert_eq!(made.probe.unwrap().verdict(), CheckVerdict::Lacking);
}

#[tokio::test]
async fn a_cluster_is_registered_once() {
    let world = world().await;
    let root = registered(&world).await;
    let again = world.services.register_cluster(&root, &new("moon", "https://other.example")).await.unwrap_err();
    assert_eq!((again.code(), fields(&again)), (ErrorCode::AlreadyExists, vec![("name", "taken")]));
    // Another address of the same, and one of the configured one.
    for server in ["https://moon.example#2", "https://local.example"] {
        world.elsewhere.put(server, None);
        let known = world.services.register_cluster(&root, &new("sun", server)).await.unwrap_err();
        assert_eq!((known.code(), fields(&known)), (ErrorCode::AlreadyExists, vec![("kubeconfig", "cluster_known")]));
    }
    // Nobody can tell while the configured one is away.
    world.elsewhere.put("https://sun.example", None);
    world.cluster.set_down(Some("away"));
    let away = world.services.register_cluster(&root, &new("sun", "https://sun.example")).await.unwrap_err();
    assert_eq!(away.code(), ErrorCode::ClusterUnavailable);
}

#[tokio::test]
async fn what_was_tried_is_registered_without_being_sent_again() {
    let world = world().await;
    let root = world.ctx("root").await;
    let kubeconfig = FakeRegistrar::kubeconfig(MOON);
    let tried = world.services.try_cluster(&root, &kubeconfig.clone().into()).await.unwrap();
    assert_eq!((tried.server.as_str(), tried.probe.verdict()), (MOON, CheckVerdict::Good));
    assert_eq!(world.services.list_clusters(&root).await.unwrap().len(), 1, "nothing is kept");
    use secrecy::ExposeSecret as _;
    let kept = tried.kept.expose_secret().to_owned();
    assert!(!kept.contains("token"));
    assert_eq!(world.services.tried_kubeconfig(&root, &kept).unwrap().expose_secret(), kubeconfig);
    world.person("ben", Some(PlatformRole::Admin)).await;
    let theirs = world.services.tried_kubeconfig(&world.ctx("ben").await, &kept).unwrap_err();
    assert_eq!(fields(&theirs), [("kubeconfig", "cluster_tried_over")]);
    world.clock.advance(std::time::Duration::from_mins(16));
    assert!(world.services.tried_kubeconfig(&world.ctx("root").await, &kept).is_err());
    let entry = world.store.audit().into_iter().find(|e| e.action == "cluster.try").unwrap();
    assert_eq!((entry.target.as_str(), entry.outcome.as_str()), (MOON, "done"), "where Berth was sent is in the log");
}

#[tokio::test]
async fn one_that_is_closed_takes_nothing_new() {
    let world = world().await;
    let root = registered(&world).await;
    let olga = world.ctx("olga").await;
    let (shop, moon) = ("shop".parse().unwrap(), id("moon"));
    world.services.create_namespace(&olga, &shop, "dev", Some(&moon)).await.unwrap();
    world.services.set_tenant_quota(&root, &shop, Some(&moon), &Wanted::Own(pods("5"))).await.unwrap();
    for state in ["closed", "draining"] {
        world.services.update_cluster(&root, &moon, &change(state), None).await.unwrap();
        let refused = world.services.create_namespace(&olga, &shop, "more", Some(&moon)).await.unwrap_err();
        assert_eq!(fields(&refused), [("cluster", "cluster_closed")], "{state}");
        let adopted =
            Adopted { kube_name: "legacy".into(), name: "old".into(), cluster: Some(moon.clone()), share: None };
        let refused = world.services.adopt_namespace(&root, &shop, &adopted).await.unwrap_err();
        assert_eq!(fields(&refused), [("cluster", "cluster_closed")]);
        for more in [Wanted::Own(pods("6")), Wanted::Unlimited] {
            let refused = world.services.set_tenant_quota(&root, &shop, Some(&moon), &more).await.unwrap_err();
            assert_eq!(fields(&refused), [("cluster", "cluster_closed")], "{more:?}");
        }
        let ask = NewAsk { cluster: Some(moon.clone()), resources: pods("9"), reason: "x".into(), ..NewAsk::default() };
        let refused = world.services.request_quota(&olga, &shop, &ask).await.unwrap_err();
        assert_eq!(fields(&refused), [("cluster", "cluster_closed")]);
        // Less is taken, and what is there is shared out.
        world.services.set_tenant_quota(&root, &shop, Some(&moon), &Wanted::Own(pods("4"))).await.unwrap();
        world.services.set_share(&olga, &shop, &"dev".parse().unwrap(), Some(&pods("3"))).await.unwrap();
        world.services.set_share(&olga, &shop, &"dev".parse().unwrap(), None).await.unwrap();
        world.services.update_cluster(&root, &moon, &change("open"), None).await.unwrap();
        world.services.set_tenant_quota(&root, &shop, Some(&moon), &Wanted::Own(pods("5"))).await.unwrap();
    }
    let wrong = ClusterChange { label: "a\nb".into(), ..change("half") };
    let refused = world.services.update_cluster(&root, &moon, &wrong, None).await.unwrap_err();
    assert_eq!(fields(&refused), [("label", "name_too_long"), ("state", "cluster_state")]);
    let late = world.services.update_cluster(&root, &moon, &change("open"), Some(1)).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Conflict);
    // Where the configured one takes nothing, the next does.
    world.services.update_cluster(&root, &ClusterId::local(), &change("closed"), None).await.unwrap();
    let made = world.services.create_namespace(&olga, &shop, "other", None).await.unwrap();
    assert_eq!(made.cluster, moon);
}

#[tokio::test]
async fn one_goes_when_nothing_is_left_or_it_is_forgotten() {
    let world = world().await;
    let root = registered(&world).await;
    let (olga, shop, moon) = (world.ctx("olga").await, "shop".parse().unwrap(), id("moon"));
    world.services.create_namespace(&olga, &shop, "dev", Some(&moon)).await.unwrap();
    world.services.create_namespace(&olga, &shop, "prod", None).await.unwrap();
    let remains = world.services.cluster_remains(&root, &moon).await.unwrap();
    let left: Vec<_> = remains.namespaces.iter().map(|n| (n.kube_name.as_str(), n.apps, n.volumes)).collect();
    assert_eq!(left, [("shop-dev", Some(0), Some(0))]);
    let stays = world.services.remove_cluster(&root, &moon).await.unwrap_err();
    assert_eq!(stays.code(), ErrorCode::Conflict);
    let own = world.services.remove_cluster(&root, &ClusterId::local()).await.unwrap_err();
    assert_eq!(own.code(), ErrorCode::Conflict, "it stands in the configuration");
    let slip = world.services.forget_cluster(&root, &moon, "mooon").await.unwrap_err();
    assert_eq!(fields(&slip), [("confirm", "confirm_name")]);

    world.services.forget_cluster(&root, &moon, "moon").await.unwrap();
    assert!(world.services.clusters().get(&moon).is_err(), "let go of");
    let names: Vec<_> = world
        .services
        .list_namespaces(&olga, &shop)
        .await
        .unwrap()
        .iter()
        .map(|o| o.namespace.name.to_string())
        .collect();
    assert_eq!(names, ["prod"]);
    let entry = world.store.audit().into_iter().find(|e| e.action == "cluster.forget" && e.outcome == "done").unwrap();
    assert_eq!(entry.detail.unwrap()["namespaces"], 1);

    // The name is free for another; a quota alone keeps no cluster.
    world.services.register_cluster(&root, &new("moon", MOON)).await.unwrap();
    world.services.set_tenant_quota(&root, &shop, Some(&moon), &Wanted::Own(pods("5"))).await.unwrap();
    assert_eq!(world.services.cluster_remains(&root, &moon).await.unwrap().quotas, ["shop".parse().unwrap()]);
    world.services.remove_cluster(&root, &moon).await.unwrap();
    assert_eq!(world.services.get_cluster(&root, &moon).await.unwrap_err().code(), ErrorCode::NotFound);
    assert!(world.services.tenant_quota(&olga, &shop).await.unwrap().iter().all(|q| q.quota.cluster != moon));
}

#[tokio::test]
async fn new_credentials_lead_to_the_same_cluster() {
    let world = world().await;
    let root = registered(&world).await;
    let moon = id("moon");
    world.elsewhere.put("https://moon.example#2", None);
    world.elsewhere.put("https://sun.example", None);
    let other = FakeRegistrar::kubeconfig("https://sun.example").into();
    let refused = world.services.replace_cluster_access(&root, &moon, &other).await.unwrap_err();
    assert_eq!(fields(&refused), [("kubeconfig", "cluster_other")]);
    let moved = FakeRegistrar::kubeconfig("https://moon.example#2").into();
    let after = world.services.replace_cluster_access(&root, &moon, &moved).await.unwrap();
    assert_eq!(after.server.as_deref(), Some("https://moon.example#2"));
    let own = world.services.replace_cluster_access(&root, &ClusterId::local(), &moved).await.unwrap_err();
    assert_eq!(own.code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn another_process_follows_and_says_what_it_cannot_open() {
    let world = world().await;
    let root = registered(&world).await;
    // One that has another key.
    let other = World::new();
    let strange = crate::Services::new(
        world.store.clone(),
        other.services.clusters().clone(),
        world.clock.clone(),
        world.services.random().clone(),
        Default::default(),
    )
    .with_registrar(other.elsewhere.clone())
    .with_second_factors(Some(crate::testing::seal_key()), Default::default());
    assert_eq!(strange.sync_clusters().await.unwrap(), 0);
    let seen = strange.get_cluster(&root, &id("moon")).await.unwrap();
    assert_eq!(seen.health, ClusterHealth::Locked);
    assert!(seen.reason.unwrap().contains("another key"));
    // Without any key nothing is registered.
    let keyless = world.services.clone().with_second_factors(None, Default::default());
    world.elsewhere.put("https://sun.example", None);
    let refused = keyless.register_cluster(&root, &new("sun", "https://sun.example")).await.unwrap_err();
    assert_eq!(fields(&refused), [("kubeconfig", "cluster_no_key")]);
    // Removed elsewhere: gone here with the next look.
    let grant = crate::authz::Grant::unchecked(
        crate::authz::PlatformRef,
        berth_types::Resource::Cluster,
        berth_types::Action::Delete,
    );
    world.store.remove_cluster(&grant, &id("moon"), false).await.unwrap();
    assert!(world.services.clusters().get(&id("moon")).is_ok());
    assert_eq!(world.services.sync_clusters().await.unwrap(), 1);
    assert!(world.services.clusters().get(&id("moon")).is_err());
}

#[tokio::test]
async fn probing_keeps_what_was_found_and_who_may() {
    let world = world().await;
    let root = registered(&world).await;
    let local = ClusterId::local();
    world.services.probe_cluster(&root, &local).await.unwrap();
    world.cluster.set_down(Some("gone"));
    let probed = world.services.probe_cluster(&root, &local).await.unwrap();
    assert_eq!(probed.verdict(), CheckVerdict::Bad);
    assert_eq!(world.services.get_cluster(&root, &local).await.unwrap().probe, Some(probed));
    let (eye, olga) = (world.ctx("eye").await, world.ctx("olga").await);
    assert_eq!(world.services.probe_cluster(&eye, &local).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(world.services.list_clusters(&olga).await.unwrap_err().code(), ErrorCode::NotFound);
    let refused = world.services.try_cluster(&olga, &FakeRegistrar::kubeconfig(MOON).into()).await.err().unwrap();
    assert_eq!(refused.code(), ErrorCode::NotFound);
}
