//! A namespace's network, and a tenant's life, page by page, as a browser without scripts walks.

use std::time::Duration;

use berth_core::{network::Surroundings, ports::pages::Language, testing::World};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, post, to};

/// Tenant `shop` of `olga` with `dev`, where `dora` develops; `root` keeps the platform.
async fn scene() -> World {
    let mut world = World::new();
    let around = Surroundings::read("ingress-nginx", "10.42.0.0/16", Some("berth")).unwrap();
    world.services = world.services.with_surroundings(around);
    world.person("root", Some(PlatformRole::Admin)).await;
    for name in ["olga", "dora"] {
        world.person(name, None).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("dora", TenantRole::Developer)]).await;
    world.namespace(&shop, "dev").await;
    world
}

const NETWORK: &str = "/t/shop/n/dev/network";

#[tokio::test]
async fn the_network_is_shown_and_set() {
    let world = scene().await;
    let (olga, dora) = (world.ctx("olga").await, world.ctx("dora").await);
    let page = get(&world, &olga, NETWORK).await;
    assert_eq!(page.status, 200);
    for told in ["ingress-nginx", "berth", "169.254.0.0/16", "10.42.0.0/16", r#"name="ranges""#] {
        assert!(page.html.contains(told), "{told}: {}", page.html);
    }
    let looks = get(&world, &dora, NETWORK).await;
    assert!(looks.status == 200 && !looks.html.contains(r#"name="ranges""#), "{}", looks.html);
    assert!(looks.html.contains("This needs the role Admin. Ask olga (olga)."));
    assert_eq!(post(&world, &dora, NETWORK, "mode=none").await.status, 403);

    // All that is wrong is told at once, and what was typed stays.
    let typed = "version=1&mode=named&ranges=10.42.7.0/24 443\n8.8.8.8\nexample.com 0 # <b>";
    let wrong = post(&world, &olga, NETWORK, typed).await;
    assert_eq!(wrong.status, 422);
    for told in [
        "covers 10.42.0.0/16, the cluster itself",
        "As a range, write 8.8.8.8/32",
        "“example.com” is a name",
        "“0” is no port",
        "# &lt;b&gt;",
    ] {
        assert!(wrong.html.contains(told), "{told}: {}", wrong.html);
    }
    let chinese = ask(&world, &olga, NETWORK, Some(typed), Language::ZhCn).await;
    assert!(chinese.html.contains("那是集群自身"), "{}", chinese.html);

    let good = "version=1&mode=named&ranges=203.0.113.0/24 443,8000-8100/udp # payments";
    assert_eq!(to(&post(&world, &olga, NETWORK, good).await), NETWORK);
    let set = get(&world, &olga, NETWORK).await;
    assert!(set.html.contains("203.0.113.0/24 443/TCP,8000-8100/UDP # payments"), "{}", set.html);
    assert!(get(&world, &dora, NETWORK).await.html.contains("203.0.113.0/24 443/TCP,8000-8100/UDP # payments"));
    let late = post(&world, &olga, NETWORK, "version=1&mode=none&ranges=").await;
    assert_eq!(late.status, 422);
    assert!(late.html.contains("Changed meanwhile"), "{}", late.html);
}

#[tokio::test]
async fn a_suspended_tenant_says_so_on_every_page() {
    let world = scene().await;
    let (root, olga, dora) = (world.ctx("root").await, world.ctx("olga").await, world.ctx("dora").await);
    let settings = get(&world, &root, "/t/shop/settings").await;
    assert!(settings.html.contains(r#"href="/t/shop/suspend""#), "{}", settings.html);
    assert!(!get(&world, &olga, "/t/shop/settings").await.html.contains("/t/shop/suspend"));
    assert_eq!(get(&world, &olga, "/t/shop/suspend").await.status, 403);
    assert_eq!(get(&world, &root, "/t/shop/suspend").await.status, 200);
    let silent = post(&world, &root, "/t/shop/suspend", "reason=").await;
    assert_eq!(silent.status, 422);
    assert!(silent.html.contains("This is needed"), "{}", silent.html);
    assert_eq!(to(&post(&world, &root, "/t/shop/suspend", "reason=unpaid <b>").await), "/t/shop/settings");

    for url in ["/t/shop", "/t/shop/members", "/t/shop/n/dev", "/t/shop/n/dev/apps", NETWORK] {
        for ctx in [&olga, &dora] {
            let page = get(&world, ctx, url).await;
            assert_eq!(page.status, 200, "{url}");
            for told in ["This tenant is suspended", "By root", "unpaid &lt;b&gt;"] {
                assert!(page.html.contains(told), "{url}: {told}: {}", page.html);
            }
        }
    }
    // No page offers what would be refused.
    assert!(!get(&world, &dora, "/t/shop/n/dev").await.html.contains("apps/new"));
    assert!(!get(&world, &olga, NETWORK).await.html.contains(r#"name="ranges""#));
    let refused = post(&world, &olga, NETWORK, "mode=none").await;
    assert_eq!(refused.status, 403);
    assert!(refused.html.contains("At rest") && refused.html.contains("unpaid"), "{}", refused.html);
    let admin = get(&world, &root, "/admin/tenants").await;
    assert!(admin.html.contains("Suspended"), "{}", admin.html);

    assert_eq!(to(&get(&world, &root, "/t/shop/suspend").await), "/t/shop/settings", "it is so already");
    assert_eq!(to(&post(&world, &root, "/t/shop/resume", "").await), "/t/shop/settings");
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("This tenant is suspended"));
}

#[tokio::test]
async fn who_removes_types_the_name() {
    let world = scene().await;
    let (olga, dora) = (world.ctx("olga").await, world.ctx("dora").await);
    assert_eq!(get(&world, &dora, "/t/shop/remove").await.status, 403);
    let asked = get(&world, &olga, "/t/shop/remove").await;
    assert!(asked.html.contains("For 7 days it can be taken back"), "{}", asked.html);
    for typed in ["confirm=", "confirm=Shop", "confirm=shop2"] {
        let wrong = post(&world, &olga, "/t/shop/remove", typed).await;
        assert_eq!(wrong.status, 422, "{typed}");
    }
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("being removed"), "nothing was changed");
    assert_eq!(to(&post(&world, &olga, "/t/shop/remove", "confirm=shop&reason=").await), "/t/shop/settings");
    let page = get(&world, &olga, "/t/shop/n/dev").await;
    assert!(page.html.contains("This tenant is being removed") && page.html.contains("Gone for good"), "{}", page.html);
    assert_eq!(to(&post(&world, &olga, "/t/shop/restore", "").await), "/t/shop/settings");

    let wrong = post(&world, &olga, "/t/shop/n/dev/remove", "confirm=shop").await;
    assert_eq!(wrong.status, 422);
    assert_eq!(to(&post(&world, &olga, "/t/shop/n/dev/remove", "confirm=dev").await), "/t/shop/n/dev");
    let page = get(&world, &olga, "/t/shop/n/dev").await;
    assert!(page.html.contains("This namespace is being removed"), "{}", page.html);
    assert!(page.html.contains(r#"href="/t/shop/n/dev/restore""#), "{}", page.html);
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("This tenant is"), "the tenant goes on");
    assert_eq!(to(&post(&world, &olga, "/t/shop/n/dev/restore", "").await), "/t/shop/n/dev");

    to(&post(&world, &olga, "/t/shop/n/dev/remove", "confirm=dev").await);
    world.clock.advance(Duration::from_hours(8 * 24));
    let late = post(&world, &world.ctx("olga").await, "/t/shop/n/dev/restore", "").await;
    assert_eq!(late.status, 422, "{}", late.html);
    for _ in 0..2 {
        world.services.keep_lives().await.unwrap();
    }
    assert_eq!(get(&world, &world.ctx("olga").await, "/t/shop/n/dev").await.status, 404);
}
