//! Watching: first all, then what differs; never longer than the rights last.

use berth_api::Options;
use berth_core::{
    authz::Grant,
    ports::{
        cluster::Cluster as _,
        store::{People as _, Tenants as _},
    },
    testing::app_of,
};
use berth_types::{Action, Resource};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixture::{APPS, CHECKOUT, Events, PODS, Site, spec};

#[tokio::test]
async fn a_list_is_followed() {
    let site = Site::new().await;
    let (world, ctx) = (&site.world, site.world.ctx("developer").await);
    let mut events = Events::open(site.ask("viewer", "GET", &format!("{APPS}?sort=-name"))).await;
    let snapshot = events.expect(world, "snapshot").await;
    assert_eq!((&snapshot["total"], &snapshot["keys"]), (&json!(1), &json!(["checkout"])));

    let web = app_of(&site.prod, "web");
    world.cluster.create_app(&ctx, &web, &spec("a:1")).await.unwrap();
    let made = events.expect(world, "upsert").await;
    assert_eq!((&made["key"], &made["index"], &made["total"]), (&json!("web"), &json!(0), &json!(2)));
    assert_eq!(made["item"]["phase"], "Progressing");

    // Many changes at once are one event.
    for image in ["a:2", "a:3", "a:4"] {
        world.cluster.replace_app(&ctx, &web, &spec(image), None).await.unwrap();
    }
    world.cluster.settle(&web);
    assert_eq!(events.expect(world, "upsert").await["item"]["image"], "a:4");
    world.cluster.delete_app(&ctx, &web, None).await.unwrap();
    assert_eq!(events.expect(world, "delete").await, json!({ "key": "web", "total": 1 }));

    world.cluster.set_down(Some("no answer"));
    let stale = events.expect(world, "freshness").await;
    assert_eq!((&stale["state"], &stale["reason"]), (&json!("stale"), &json!("no answer")));
    world.cluster.set_down(None);
    assert_eq!(events.expect(world, "freshness").await["state"], "live");
    assert!(events.comment(world).await, "a silent stream says that it lives");
}

#[tokio::test]
async fn an_app_is_followed_to_its_end_and_back() {
    let site = Site::new().await;
    let (world, ctx, checkout) = (&site.world, site.world.ctx("developer").await, site.checkout());
    let mut events = Events::open(site.ask("viewer", "GET", CHECKOUT)).await;
    assert_eq!(events.expect(world, "snapshot").await["status"]["phase"], "Ready");
    world.cluster.delete_app(&ctx, &checkout, None).await.unwrap();
    assert_eq!(events.expect(world, "delete").await["key"], "checkout");
    world.cluster.create_app(&ctx, &checkout, &spec("b:1")).await.unwrap();
    assert_eq!(events.expect(world, "upsert").await["item"]["spec"]["components"][0]["image"], "b:1");
    let absent = site.ask("viewer", "GET", &format!("{APPS}/nothing")).header("accept", "text/event-stream");
    assert_eq!(absent.send().await.problem().0, "not-found");
}

#[tokio::test]
async fn pods_of_one_app_only() {
    let site = Site::new().await;
    let (world, ctx) = (&site.world, site.world.ctx("developer").await);
    let mut events = Events::open(site.ask("viewer", "GET", &format!("{PODS}?app=checkout"))).await;
    assert_eq!(events.expect(world, "snapshot").await["total"], 2);
    let web = app_of(&site.prod, "web");
    world.cluster.create_app(&ctx, &web, &spec("a:1")).await.unwrap();
    world.cluster.settle(&web);
    let pod = site.ask("developer", "DELETE", &format!("{PODS}/{}", crate::fixture::POD)).send().await;
    assert_eq!(pod.status, 204);
    assert_eq!(
        events.expect(world, "delete").await,
        json!({ "key": crate::fixture::POD, "total": 1 }),
        "not web's pods"
    );
}

#[tokio::test]
async fn events_are_followed() {
    let site = Site::new().await;
    let mut events = Events::open(site.ask("viewer", "GET", "/api/v1/tenants/shop/namespaces/prod/events")).await;
    assert_eq!(events.expect(&site.world, "snapshot").await["total"], 0);
    let now = site.world.system().now();
    let row = berth_types::rows::EventRow {
        kind: "Warning".into(),
        reason: "BackOff".into(),
        message: "back-off".into(),
        object: "Pod/x".into(),
        app: None,
        count: 1,
        first_at: now,
        last_at: now,
    };
    site.world.cluster.put_event(&site.prod, row);
    assert_eq!(events.expect(&site.world, "upsert").await["item"]["reason"], "BackOff");
}

#[tokio::test]
async fn streams_end_with_the_rights() {
    let site = Site::new().await;
    let world = &site.world;
    let began = world.system().now();
    let mut revoked = Events::open(site.ask("developer", "GET", APPS)).await;
    let mut removed = Events::open(site.ask("viewer", "GET", APPS)).await;
    revoked.expect(world, "snapshot").await;
    removed.expect(world, "snapshot").await;

    let developer = world.ctx("developer").await.person().unwrap().id;
    let token = world.store.list_tokens(developer).await.unwrap()[0].id;
    world.store.revoke_token(developer, token).await.unwrap();
    assert_eq!(revoked.expect(world, "error").await["code"], "unauthenticated");
    assert!(revoked.next(world).await.is_none(), "it ends");

    let grant = Grant::unchecked(site.shop.clone(), Resource::Membership, Action::Delete);
    world.store.remove_member(&grant, &"viewer".parse().unwrap()).await.unwrap();
    assert_eq!(removed.expect(world, "error").await["code"], "not-found");
    assert!(removed.next(world).await.is_none());
    let took = world.system().now().duration_since(began);
    assert!(took <= jiff::SignedDuration::from_secs(10), "each within 5 s: {took}");
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_server() {
    let stop = CancellationToken::new();
    let options = Options { stop: stop.clone(), max_streams_per_person: 2, ..Options::default() };
    let site = Site::with(options).await;
    let mut first = Events::open(site.ask("viewer", "GET", APPS)).await;
    let second = Events::open(site.ask("viewer", "GET", PODS)).await;
    let third = || site.ask("viewer", "GET", CHECKOUT).header("accept", "text/event-stream");
    let refused = third().send().await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "3"));
    drop(second);
    assert_eq!(third().open().await.status(), 200, "its place is free again");

    first.expect(&site.world, "snapshot").await;
    stop.cancel();
    first.expect(&site.world, "bye").await;
    assert!(first.next(&site.world).await.is_none());
}
