//! What the platform tells everybody.

use berth_core::{ports::pages::Language, testing::World};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, nobody, post, to};

#[tokio::test]
async fn everybody_reads_it_and_puts_it_away() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
    assert!(get(&world, &root, "/admin/announcements").await.html.contains("No announcements"));

    let wrong = "level=loud&text=&from=soon&until=2026-11-19T08:00";
    let wrong = post(&world, &root, "/admin/announcements/new", wrong).await;
    assert_eq!(wrong.status, 422);
    for text in ["“loud” is no level", "This is needed", "is no time", "must end after"] {
        assert!(wrong.html.contains(text), "{text}: {}", wrong.html);
    }
    let text = "level=warning&onSignIn=on&text=Repairs <b>soon</b>: https://status.example.com/1. javascript:alert(1)";
    assert_eq!(to(&post(&world, &root, "/admin/announcements/new", text).await), "/admin/announcements");
    let critical = "level=critical&text=The cluster is down";
    assert_eq!(to(&post(&world, &root, "/admin/announcements/new", critical).await), "/admin/announcements");

    let door = get(&world, &nobody(&world), "/sign-in").await.html;
    assert!(door.contains("Repairs &lt;b&gt;soon&lt;/b&gt;") && !door.contains("The cluster is down"), "{door}");
    assert!(!door.contains("Put away"), "a stranger has nowhere to put it");
    let home = get(&world, &olga, "/t/shop?x=1").await.html;
    let at = |text: &str| home.find(text).unwrap_or_else(|| panic!("{text} in {home}"));
    assert!(at("The cluster is down") < at("Repairs"), "the gravest first");
    assert!(home.contains(r#"<a href="https://status.example.com/1" rel="noopener noreferrer">"#), "{home}");
    assert!(!home.contains(r#"href="javascript"#));
    assert_eq!(home.matches("/dismiss").count(), 1, "what is critical stays");
    let chinese = ask(&world, &olga, "/t/shop", None, Language::ZhCn).await.html;
    assert!(chinese.contains("收起") && !chinese.contains("Put away"));

    let path = home.split("action=\"").find_map(|rest| rest.split_once('"').filter(|(to, _)| to.ends_with("/dismiss")));
    let path = path.unwrap().0.to_owned();
    assert_eq!(to(&post(&world, &olga, &path, "next=/t/shop?x=1").await), "/t/shop?x=1");
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("Repairs"));
    assert_eq!(to(&post(&world, &root, &path, "next=//evil.example").await), "/", "nobody is led elsewhere");

    let one = path.trim_end_matches("/dismiss").replace("/announcements", "/admin/announcements");
    assert!(get(&world, &root, &one).await.html.contains("Repairs &lt;b&gt;soon"));
    assert_eq!(get(&world, &world.ctx("eye").await, &one).await.status, 403);
    let changed = "version=1&do=save&level=info&text=Repairs are over";
    assert_eq!(to(&post(&world, &root, &one, changed).await), "/admin/announcements");
    assert!(get(&world, &olga, "/t/shop").await.html.contains("Repairs are over"), "what changed is shown again");
    assert_eq!(post(&world, &root, &one, changed).await.status, 422, "it was changed meanwhile");
    assert_eq!(to(&post(&world, &root, &one, "do=delete").await), "/admin/announcements");
    assert!(!get(&world, &olga, "/t/shop").await.html.contains("Repairs"));
    assert_eq!(get(&world, &root, &one).await.status, 404);
}
