//! Webhooks of a tenant and of the platform, as a browser without scripts walks.
#![allow(clippy::unwrap_used)]

use berth_core::{ports::pages::Language, testing::World};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, post, to};

const HOOKS: &str = "/t/shop/webhooks";
const FORM: &str = "name=on-call&url=https://hooks.example.com/T0/x&events=tenant.suspended&events=quota.high";

/// `shop` of olga, where dave develops; root and audrey have a role on the platform.
async fn scene() -> World {
    let world = World::new();
    for name in ["olga", "dave", "stranger"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    world.tenant("shop", &[("olga", TenantRole::Owner), ("dave", TenantRole::Developer)]).await;
    world
}

/// The address of the first webhook in a list.
async fn first(world: &World, who: &str, list: &str) -> String {
    let page = get(world, &world.ctx(who).await, list).await.html;
    let (_, rest) = page.split_once(&format!("href=\"{list}/")).unwrap_or_else(|| panic!("none: {page}"));
    format!("{list}/{}", rest.split_once('"').unwrap().0)
}

#[tokio::test]
async fn a_webhook_from_its_making_to_its_end() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    assert!(get(&world, &olga, "/t/shop/settings").await.html.contains(HOOKS));
    let page = get(&world, &olga, HOOKS).await.html;
    assert!(
        page.contains("No webhooks") && page.contains("quota.high") && !page.contains("password.forgotten"),
        "{page}"
    );
    let wrong = post(&world, &olga, HOOKS, "do=create&name=on-call&url=http://10.0.0.1/&events=quota.high").await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.html.contains("Nothing is sent there") && wrong.html.contains(r#"value="quota.high" checked"#),
        "{}",
        wrong.html
    );
    let none = post(&world, &olga, HOOKS, "do=create&name=on-call&url=https://hooks.example.com/").await;
    assert!(none.status == 422 && none.html.contains("Pick one event at least"), "{}", none.html);

    let made = post(&world, &olga, HOOKS, &format!("do=create&{FORM}")).await;
    assert!(made.status == 200 && made.html.contains("whsec_"), "{}", made.html);
    let hook = first(&world, "olga", HOOKS).await;
    assert!(made.html.contains(&format!("action=\"{hook}\"")), "its forms lead to it: {}", made.html);
    let page = get(&world, &olga, &hook).await.html;
    assert!(!page.contains("whsec_") && page.contains("No messages") && page.contains("T0/x"), "{page}");

    assert_eq!(to(&post(&world, &olga, &hook, "do=test").await), hook);
    world.receiver.says(500, "<b>down</b>");
    world.services.send_messages().await.unwrap();
    let page = get(&world, &olga, &hook).await.html;
    assert!(page.contains("500 &lt;b&gt;down") && page.contains("Failed") && page.contains("Failing"), "{page}");
    let rotated = post(&world, &olga, &hook, "do=rotate").await.html;
    assert!(rotated.contains("whsec_") && rotated.contains("Old secret good until"), "{rotated}");

    // Berth gives it up, and says so where its owner comes by.
    world.receiver.says(410, "");
    let (root, shop) = (world.ctx("root").await, "shop".parse().unwrap());
    world.services.suspend_tenant(&root, &shop, "x").await.unwrap();
    world.services.spread_notices().await.unwrap();
    world.services.send_messages().await.unwrap();
    world.services.resume_tenant(&root, &shop).await.unwrap();
    let home = get(&world, &olga, "/t/shop").await.html;
    assert!(home.contains("Webhooks that Berth has given up") && home.contains(&hook), "{home}");
    let dave = get(&world, &world.ctx("dave").await, "/t/shop").await.html;
    assert!(!dave.contains("given up"), "{dave}");
    let page = get(&world, &olga, &hook).await.html;
    assert!(page.contains("HTTP 410") && page.contains("Given up"), "{page}");
    let late = post(&world, &olga, &hook, &format!("do=set&{FORM}&on=on&version=1")).await;
    assert!(late.status == 422 && late.html.contains("Changed meanwhile"), "{}", late.html);
    let version = page.split_once(r#"name="version" value=""#).unwrap().1.split_once('"').unwrap().0;
    assert_eq!(to(&post(&world, &olga, &hook, &format!("do=set&{FORM}&on=on&version={version}")).await), hook);
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("given up"));
    let chinese = ask(&world, &olga, &hook, None, Language::ZhCn).await.html;
    assert!(chinese.contains("最近的消息"), "{chinese}");
    assert_eq!(to(&post(&world, &olga, &hook, "do=remove").await), HOOKS);
    assert_eq!(get(&world, &olga, &hook).await.status, 404);
}

#[tokio::test]
async fn who_sees_webhooks() {
    let world = scene().await;
    let (olga, root) = (world.ctx("olga").await, world.ctx("root").await);
    post(&world, &olga, HOOKS, &format!("do=create&{FORM}")).await;
    let hook = first(&world, "olga", HOOKS).await;
    for (who, seen, done) in [("root", 200, 303), ("audrey", 200, 403), ("dave", 403, 403), ("stranger", 404, 404)] {
        let ctx = world.ctx(who).await;
        for path in [HOOKS, &hook] {
            assert_eq!(get(&world, &ctx, path).await.status, seen, "{who} {path}");
        }
        assert_eq!(post(&world, &ctx, &hook, "do=test").await.status, done, "{who}");
    }
    let looks = get(&world, &world.ctx("audrey").await, &hook).await.html;
    assert!(looks.contains("https://hooks.example.com/…") && !looks.contains("T0/x"), "{looks}");
    assert!(!looks.contains(r#"value="test""#) && !looks.contains(r#"value="set""#), "{looks}");
    assert!(!get(&world, &world.ctx("dave").await, "/t/shop/settings").await.html.contains(HOOKS));

    let form = "do=create&name=pager&url=https://hooks.example.com/p&events=password.forgotten";
    assert_eq!(post(&world, &world.ctx("audrey").await, "/admin/webhooks", form).await.status, 403);
    assert!(post(&world, &root, "/admin/webhooks", form).await.html.contains("whsec_"));
    let own = first(&world, "root", "/admin/webhooks").await;
    assert!(get(&world, &root, "/admin").await.html.contains("/admin/webhooks"));
    assert_eq!(get(&world, &olga, &own).await.status, 404);
    let crossed = own.replace("/admin", "/t/shop");
    assert_eq!(get(&world, &root, &crossed).await.status, 404, "the platform's is not the tenant's");
}
