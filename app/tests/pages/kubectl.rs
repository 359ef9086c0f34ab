//! The page for kubectl, as a browser without scripts walks.

use berth_core::testing::World;
use berth_types::TenantRole;

use crate::common::{get, post, to};

const PAGE: &str = "/t/shop/kubectl";

/// `shop` with `dev` and `prod` of `olga`; `gus` has a role in `dev` alone; `bert` has `bank`, without a namespace.
async fn scene() -> World {
    let world = World::new();
    for name in ["olga", "gus", "bert"] {
        world.person(name, None).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.tenant("bank", &[("bert", TenantRole::Owner)]).await;
    for name in ["dev", "prod"] {
        world.namespace(&shop, name).await;
    }
    let (olga, dev, gus) = (world.ctx("olga").await, "dev".parse().unwrap(), "gus".parse().unwrap());
    world.services.set_namespace_member(&olga, (&shop.name, &dev), &gus, TenantRole::Viewer).await.unwrap();
    world
}

#[tokio::test]
async fn it_offers_what_one_sees() {
    let world = scene().await;
    let (olga, gus, bert) = (world.ctx("olga").await, world.ctx("gus").await, world.ctx("bert").await);
    assert!(get(&world, &olga, "/t/shop").await.html.contains(PAGE));
    assert!(get(&world, &olga, "/t/shop/n/dev").await.html.contains("/t/shop/kubectl?namespace=dev"));
    let page = get(&world, &olga, &format!("{PAGE}?namespace=prod")).await;
    assert_eq!(page.status, 200);
    for told in [
        r#"action="/t/shop/kubectl/file""#,
        r#"<option value="dev">"#,
        r#"<option value="prod" selected"#,
        "8 hours",
        "24 hours",
        "kubectl config use-context shop-prod",
        "kubectl sends no token",
    ] {
        assert!(page.html.contains(told), "{told}: {}", page.html);
    }
    let guest = get(&world, &gus, PAGE).await;
    assert!(guest.html.contains(r#"<option value="dev">"#) && !guest.html.contains("prod"), "{}", guest.html);
    assert_eq!(get(&world, &bert, PAGE).await.status, 404);
    let nothing = get(&world, &bert, "/t/bank/kubectl").await;
    assert!(
        nothing.html.contains("There is nothing to reach yet") && !nothing.html.contains("/file"),
        "{}",
        nothing.html
    );
    assert_eq!(post(&world, &olga, PAGE, "hours=1").await.status, 405);
}

#[tokio::test]
async fn it_shows_those_that_are_still_good() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    let made = world.services.create_kubeconfig(&olga, &"shop".parse().unwrap(), None, 1).await.unwrap();
    let shown = |html: &str| html.contains(&made.token.prefix);
    assert!(shown(&get(&world, &olga, PAGE).await.html));
    let tokens = get(&world, &olga, "/account/tokens").await.html;
    assert!(shown(&tokens) && tokens.contains("kubectl alone"), "{tokens}");
    world.clock.advance(std::time::Duration::from_hours(1));
    assert!(!shown(&get(&world, &olga, PAGE).await.html), "over");
}

/// Who may change a namespace protects it, on its Access page; others read there that it is, and who could end it.
#[tokio::test]
async fn a_namespace_is_protected_and_open_again() {
    const ACCESS: &str = "/t/shop/n/dev/members";
    let world = scene().await;
    let (olga, gus) = (world.ctx("olga").await, world.ctx("gus").await);
    let tag = r#"<span class="tag">protected</span>"#;
    let open = get(&world, &olga, ACCESS).await.html;
    assert!(open.contains("Protect the namespace") && open.contains("what their roles let them"), "{open}");
    assert!(!get(&world, &olga, "/t/shop/n/dev").await.html.contains(tag));

    let done = post(&world, &olga, ACCESS, "do=protect").await;
    assert_eq!((done.status, to(&done)), (303, ACCESS));
    let closed = get(&world, &olga, ACCESS).await.html;
    assert!(
        closed.contains("everybody only reads here") && closed.contains("Let kubectl change things again"),
        "{closed}"
    );
    assert!(get(&world, &olga, "/t/shop/n/dev").await.html.contains(tag));
    assert!(!get(&world, &olga, "/t/shop/n/prod").await.html.contains(tag), "the other one is as it was");
    let guest = get(&world, &gus, ACCESS).await.html;
    assert!(guest.contains("everybody only reads here") && !guest.contains(r#"value="open""#), "{guest}");
    assert!(guest.contains("You may not"), "{guest}");
    let told = get(&world, &gus, PAGE).await.html;
    assert!(told.contains("kubectl only reads there: dev."), "{told}");

    // Who has no right to it is refused, whatever the page shows.
    assert_eq!(post(&world, &gus, ACCESS, "do=open").await.status, 403);
    assert!(get(&world, &olga, ACCESS).await.html.contains("everybody only reads here"));
    assert_eq!(post(&world, &olga, ACCESS, "do=open").await.status, 303);
    assert!(!get(&world, &gus, PAGE).await.html.contains("only reads there"));
}
