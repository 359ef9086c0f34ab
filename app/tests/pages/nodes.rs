//! Machines in the admin console.

use berth_core::{
    drain::{Guard, Owner, Tenancy},
    ports::pages::{Language, PageRequest, Pages},
    testing::{World, node, tenancy},
};
use berth_types::{PlatformRole, TenantRole, node::NodeState};
use futures::StreamExt;

use crate::common::{ask, get, pages, post, to};

async fn world() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.namespace(&shop, "dev").await;
    world.cluster.with_nodes(|nodes| {
        let mut broken = node("node-2", "1");
        broken.state = NodeState::NotReady;
        broken.reason = Some("KubeletNotReady".into());
        broken.message = Some("disk <gone>\u{1b}[31m".into());
        nodes.rows = vec![node("node-1", "3"), broken];
        let guards = vec![Guard { budget: "web-budget".into(), allowed: Some(0) }];
        nodes.pods = vec![
            ("node-1".into(), Tenancy { guards, ..tenancy("shop-dev", "web-1") }),
            ("node-1".into(), Tenancy { owner: Owner::Nobody, local_data: true, ..tenancy("other", "alone") }),
        ];
    });
    world
}

#[tokio::test]
async fn who_needs_help_stands_first_and_nothing_foreign_gets_through() {
    let world = world().await;
    let eye = world.ctx("eye").await;
    let list = get(&world, &eye, "/admin/nodes").await;
    assert_eq!(list.status, 200, "{}", list.html);
    let at = |text: &str| list.html.find(text).unwrap_or_else(|| panic!("{text} in {}", list.html));
    assert!(at("node-2") < at("node-1"), "what is not ready comes first");
    assert!(list.html.contains("KubeletNotReady · disk &lt;gone&gt;"), "{}", list.html);
    assert!(!list.html.contains('\u{1b}'));
    assert!(list.html.contains("75 %"), "3 of 4 CPU");
    let one = get(&world, &eye, "/admin/nodes?q=node-1").await;
    assert!(!one.html.contains("node-2"));
    let filtered = get(&world, &eye, "/admin/nodes?state=not-ready").await;
    assert!(!filtered.html.contains("/admin/nodes/node-1\""), "{}", filtered.html);
    assert!(get(&world, &eye, "/admin/nodes?q=nothing-like-it").await.html.contains("Show all"));
    let chinese = ask(&world, &eye, "/admin/nodes", None, Language::ZhCn).await;
    assert!(chinese.html.contains("未就绪") && !chinese.html.contains("Not ready"));

    let olga = world.ctx("olga").await;
    for path in ["/admin/nodes", "/admin/nodes/node-1", "/admin/nodes/node-1/drain"] {
        assert_eq!(get(&world, &olga, path).await.status, 404, "{path}");
        let html = get(&world, &eye, path).await.html;
        assert!(
            !html.contains(r#"value="cordon""#) && !html.contains(r#"value="drain""#),
            "an auditor only looks: {path}"
        );
    }
    for path in ["/admin/nodes/node-9", "/admin/nodes?cluster=moon", "/admin/nodes/node-9/drain"] {
        assert_eq!(get(&world, &eye, path).await.status, 404, "{path}");
    }
    let empty = World::new();
    empty.person("root", Some(PlatformRole::Admin)).await;
    assert!(get(&empty, &empty.ctx("root").await, "/admin/nodes").await.html.contains("No nodes"));
}

#[tokio::test]
async fn a_node_is_cordoned_and_takes_pods_again() {
    let world = world().await;
    let root = world.ctx("root").await;
    let page = get(&world, &root, "/admin/nodes/node-1").await;
    assert!(page.html.contains("not measured") && page.html.contains(r#"value="cordon""#), "{}", page.html);
    assert_eq!(to(&post(&world, &root, "/admin/nodes/node-1", "do=cordon").await), "/admin/nodes/node-1");
    let page = get(&world, &root, "/admin/nodes/node-1").await;
    assert!(page.html.contains("Cordoned") && page.html.contains(r#"value="uncordon""#));
    assert_eq!(post(&world, &world.ctx("eye").await, "/admin/nodes/node-1", "do=uncordon").await.status, 403);
    assert_eq!(to(&post(&world, &root, "/admin/nodes/node-1", "do=uncordon").await), "/admin/nodes/node-1");
    world.cluster.set_down(Some("connection refused"));
    let away = post(&world, &root, "/admin/nodes/node-1", "do=cordon").await;
    assert_eq!(away.status, 503, "{}", away.html);
}

#[tokio::test]
async fn a_drain_is_seen_before_and_while_it_goes_on() {
    let world = world().await;
    let root = world.ctx("root").await;
    let path = "/admin/nodes/node-1/drain";
    let preview = get(&world, &root, path).await.html;
    for text in
        ["shop / dev", "Held by a budget", "budget web-budget", "loses local data", "1 pod is lost.", "losePods"]
    {
        assert!(preview.contains(text), "{text}: {preview}");
    }
    let refused = post(&world, &root, path, "do=drain&confirm=node&loseData=on").await;
    assert_eq!(refused.status, 422);
    assert!(refused.html.contains("Type node-1 to confirm.") && refused.html.contains("agree, or move them"));
    assert!(refused.html.contains(r#"value="node""#), "what was typed stays");

    assert_eq!(to(&post(&world, &root, path, "do=drain&confirm=node-1&loseData=on&losePods=on").await), path);
    let page = get(&world, &root, path).await.html;
    assert!(
        page.contains("0 of 2") && page.contains(r#"value="stop""#) && !page.contains(r#"value="drain""#),
        "{page}"
    );
    let mut live =
        pages(&world).live(&root, PageRequest { path: path.into(), ..PageRequest::default() }).await.unwrap();
    live.next().await.unwrap().unwrap();
    assert_eq!(world.services.keep_drains().await.unwrap(), 1);
    let ticking = async {
        loop {
            world.clock.advance(std::time::Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    };
    let news = tokio::select! {
        next = live.next() => next.unwrap().unwrap(),
        _ = tokio::time::timeout(std::time::Duration::from_secs(30), ticking) => panic!("nothing is told"),
    };
    assert!(news.iter().any(|f| f.id == "drain-state" && f.html.contains("1 of 2")), "{news:?}");
    assert_eq!(to(&post(&world, &root, path, "do=stop").await), path);
    assert!(get(&world, &root, path).await.html.contains(r#"value="drain""#));
}

#[tokio::test]
async fn more_promised_than_there_is_is_said() {
    let world = world().await;
    let root = world.ctx("root").await;
    let wanted = berth_core::services::quotas::Wanted::Own([("requests.cpu".to_owned(), "6".to_owned())].into());
    world.services.set_tenant_quota(&root, &"shop".parse().unwrap(), None, &wanted).await.unwrap();
    let page = get(&world, &world.ctx("eye").await, "/admin/capacity").await;
    assert_eq!(page.status, 200);
    // One node of two is ready: 6 of its 4 CPU are promised.
    for text in
        ["CPU: 150 % of what there is", "1 of 2 nodes ready, 1 tenant", "6 of 4", "not measured", "without limit"]
    {
        assert!(page.html.contains(text), "{text}: {}", page.html);
    }
    assert_eq!(get(&world, &world.ctx("olga").await, "/admin/capacity").await.status, 404);
    let chinese = ask(&world, &root, "/admin/capacity", None, Language::ZhCn).await;
    assert!(chinese.html.contains("已承诺总量的 150 %"));
}
