//! The admin console for who looks after the platform and keeps nothing of it: what is closed says why, and who can.

use berth_core::{services::plans::PlanText, testing::World};
use berth_types::PlatformRole;

use crate::common::{get, post};

#[tokio::test]
async fn closed_controls_of_the_console_say_who_can() {
    let world = World::new();
    for (name, role) in [("root", Some(PlatformRole::Admin)), ("eye", Some(PlatformRole::Auditor)), ("ann", None)] {
        world.person(name, role).await;
    }
    world.cluster.with_nodes(|nodes| nodes.rows.push(berth_core::testing::node("node-1", "1")));
    let (root, eye) = (world.ctx("root").await, world.ctx("eye").await);
    world
        .services
        .create_plan(
            &root,
            "small",
            &PlanText { resources: [("secrets".to_owned(), "9".to_owned())].into(), ..PlanText::default() },
        )
        .await
        .unwrap();
    for (path, lacks) in [
        ("/admin/people", "make people"),
        ("/admin/people/ann", "change people"),
        ("/admin/tenants", "make the tenant"),
        ("/admin/tenants", "change quotas"),
        ("/admin/plans", "make plans"),
        ("/admin/plans/small", "change plans"),
        ("/admin/sign-in", "make ways to sign in"),
        ("/admin/ci", "make ways to sign in"),
        ("/admin/clusters", "make clusters"),
        ("/admin/clusters/local", "change clusters"),
        ("/admin/nodes/node-1", "change nodes"),
        ("/admin/announcements", "make announcements"),
    ] {
        let page = get(&world, &eye, path).await;
        assert_eq!(page.status, 200, "{path}");
        let told =
            page.html.contains("class=\"menu closed\"") && page.html.contains("A platform admin can: root (root).");
        assert!(told, "{path}: {}", page.html);
        assert!(page.html.contains(&format!("You may not {lacks}")), "{path}, {lacks}: {}", page.html);
        let open = get(&world, &root, path).await.html;
        assert!(!open.contains("class=\"menu closed\"") && !open.contains("A platform admin can"), "{path}");
    }
    // A page that is for keeping alone says the same.
    let page = get(&world, &eye, "/admin/people/new").await;
    assert!(page.status == 403 && page.html.contains("A platform admin can: root (root)."), "{}", page.html);
    let sent = post(&world, &eye, "/admin/people/ann", "do=reset").await;
    assert!(sent.status == 403 && sent.html.contains("A platform admin can: root (root)."), "{}", sent.html);
}
