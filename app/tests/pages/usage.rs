//! What is taken and used, as pages show it.

use std::time::Duration;

use berth_core::{authz::NamespaceRef, ports::pages::Language, services::quotas::Wanted, testing::World, usage::Taken};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get};

/// Tenant `shop` of `olga` with `dev`, of which `gus` sees `dev` alone; `root` keeps the platform.
async fn world() -> (World, NamespaceRef) {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    for name in ["olga", "vic"] {
        world.person(name, None).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    let dev = world.namespace(&shop, "dev").await;
    let limit = [("requests.cpu".to_owned(), "10".to_owned())].into();
    world.services.set_tenant_quota(&world.ctx("root").await, &shop.name, None, &Wanted::Own(limit)).await.unwrap();
    (world, dev)
}

fn takes(world: &World, dev: &NamespaceRef, requests: &str, used: Option<&str>) {
    let amount = |key: &str, n: &str| (key.to_owned(), n.parse().unwrap());
    let counted = [amount("requests.cpu", requests), amount("limits.cpu", "12"), amount("pods", "3")].into();
    let used = used.map(|cpu| [amount("cpu", cpu), amount("memory", "0")].into());
    world.cluster.set_taken(dev, Taken { counted, used });
}

#[tokio::test]
async fn use_requests_limits_and_quota_side_by_side() {
    let (world, dev) = world().await;
    let olga = world.ctx("olga").await;
    let first = get(&world, &olga, "/t/shop/n/dev/usage").await;
    assert_eq!(first.status, 200, "{}", first.html);
    assert!(first.html.contains("No history yet") && !first.html.contains(r#"class="chart""#), "{}", first.html);

    takes(&world, &dev, "8", Some("2900m"));
    world.services.sample_usage().await.unwrap();
    for path in ["/t/shop/n/dev/usage", "/t/shop/quota"] {
        let html = get(&world, &olga, path).await.html;
        for part in [
            "CPU: of 8 reserved, 5.1 lay idle in the mean (63 %); 5.1 were never used.",
            "Measured for 1 hour of the last 720.",
            r#"<td class="num">2.9</td><td class="num">8</td><td class="num">12</td>"#,
            r#"role="img""#,
            "As a table",
            "no data",
        ] {
            assert!(html.contains(part), "{path}: {part} is not in {html}");
        }
        assert!(!html.contains("the cluster has no metrics"), "{path}");
    }
    let chinese = ask(&world, &olga, "/t/shop/n/dev/usage", None, Language::ZhCn).await.html;
    assert!(chinese.contains("CPU：预留 8，平均闲置 5.1（63%）") && !chinese.contains("lay idle"), "{chinese}");
    assert_eq!(get(&world, &world.ctx("vic").await, "/t/shop/n/dev/usage").await.status, 404);
}

#[tokio::test]
async fn what_nobody_measures_is_no_nought() {
    let (world, dev) = world().await;
    let olga = world.ctx("olga").await;
    takes(&world, &dev, "8", None);
    world.services.sample_usage().await.unwrap();
    let html = get(&world, &olga, "/t/shop/n/dev/usage").await.html;
    assert!(html.contains("the cluster has no metrics") && html.contains("not measured"), "{html}");
    assert!(!html.contains("lay idle") && !html.contains(r#"class="used"></path>"#), "{html}");
    assert!(html.contains(r#"class="asked"></path>"#), "what is asked for is known: {html}");
    world.cluster.set_down(Some("connection refused"));
    let away = get(&world, &olga, "/t/shop/n/dev/usage").await;
    assert_eq!(away.status, 200);
    assert!(away.html.contains("The cluster does not answer."), "how old it is: {}", away.html);
}

#[tokio::test]
async fn the_platform_sorts_by_what_is_idle_and_requests_carry_it() {
    let (world, dev) = world().await;
    let root = world.ctx("root").await;
    world.tenant("busy", &[("vic", TenantRole::Owner)]).await;
    takes(&world, &dev, "8", Some("2"));
    world.services.sample_usage().await.unwrap();
    let list = get(&world, &root, "/admin/tenants?sort=-idle").await.html;
    let at = |text: &str| list.find(text).unwrap_or_else(|| panic!("{text} in {list}"));
    assert!(at("CPU 75 %") > 0 && at("/t/shop/quota") < at("/t/busy/quota"), "{list}");
    world.cluster.with_nodes(|nodes| nodes.rows.push(berth_core::testing::node("node-1", "1")));
    let room = get(&world, &root, "/admin/capacity").await.html;
    assert!(room.contains("CPU: of 8 reserved, 6 lay idle in the mean (75 %)."), "{room}");

    world.clock.advance(Duration::from_secs(3600));
    let form = "reason=More&cluster=local&resources[requests.cpu]=90";
    let sent = crate::common::post(&world, &world.ctx("olga").await, "/t/shop/quota/requests/new", form).await;
    let page = get(&world, &root, crate::common::to(&sent)).await.html;
    assert!(page.contains("1 of the 720 hours") && page.contains(r#"<td class="num">75 %</td>"#), "{page}");
}
