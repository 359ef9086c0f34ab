//! Webhooks: who keeps them, what they are told, and what becomes of a message.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use berth_types::{
    ErrorCode, PlatformRole, TenantName,
    TenantRole::{Admin, Developer, Owner, Viewer},
    UserName,
    rows::UsageRow,
    webhook::{Delivery, DeliveryState, EventKind, Webhook},
};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{quotas::Wanted, webhooks::HookText};
use crate::{
    OpCtx,
    authz::NamespaceRef,
    error::Error,
    testing::{Posted, World},
};

const URL: &str = "https://hooks.example.com/T0/x";

/// `shop` of olga's, where ada is admin, dave develops and vera looks; root and audrey have a role on the platform.
async fn scene() -> (World, TenantName, NamespaceRef) {
    let world = World::new();
    for name in ["olga", "ada", "dave", "vera", "stranger"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    let members = [("olga", Owner), ("ada", Admin), ("dave", Developer), ("vera", Viewer)];
    let shop = world.tenant("shop", &members).await;
    let dev = world.namespace(&shop, "dev").await;
    (world, shop.name, dev)
}

fn text(name: &str, events: &[&str]) -> HookText {
    HookText { name: name.into(), url: URL.into(), events: events.iter().map(|e| (*e).to_owned()).collect() }
}

async fn make(world: &World, tenant: Option<&TenantName>, events: &[&str]) -> (Webhook, SecretString) {
    let ctx = world.ctx(if tenant.is_some() { "ada" } else { "root" }).await;
    world.services.create_webhook(&ctx, tenant, &text("chat", events)).await.unwrap()
}

/// Passes on all that waits; what came in.
async fn round(world: &World) -> Vec<Posted> {
    world.services.spread_notices().await.unwrap();
    world.services.send_messages().await.unwrap();
    world.receiver.take()
}

fn kinds(posted: &[Posted]) -> Vec<String> {
    let kind = |one: &Posted| serde_json::from_str::<Value>(&one.body).unwrap()["type"].as_str().unwrap().to_owned();
    posted.iter().map(kind).collect()
}

async fn deliveries(world: &World, tenant: Option<&TenantName>, hook: &Webhook) -> Vec<Delivery> {
    world.services.list_deliveries(&world.ctx("root").await, tenant, hook.id).await.unwrap()
}

async fn suspend(world: &World, shop: &TenantName) {
    world.services.suspend_tenant(&world.ctx("root").await, shop, "unpaid").await.unwrap();
}

async fn resume(world: &World, shop: &TenantName) {
    world.services.resume_tenant(&world.ctx("root").await, shop).await.unwrap();
}

fn places(error: &Error) -> Vec<String> {
    error.fields().iter().map(|e| format!("{} {}", e.field, e.code)).collect()
}

#[tokio::test]
async fn who_keeps_them() {
    let (world, shop, _) = scene().await;
    let (hook, _) = make(&world, Some(&shop), &["tenant.suspended"]).await;
    for (who, sees, makes) in [
        ("olga", Ok(URL), None),
        ("ada", Ok(URL), None),
        ("root", Ok(URL), None),
        ("audrey", Ok("https://hooks.example.com/…"), Some(ErrorCode::Forbidden)),
        ("dave", Err(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
        ("vera", Err(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
        ("stranger", Err(ErrorCode::NotFound), Some(ErrorCode::NotFound)),
    ] {
        let ctx = world.ctx(who).await;
        let seen = world.services.list_webhooks(&ctx, Some(&shop)).await;
        let seen = seen.map(|all| all[0].url.clone()).map_err(|e| e.code());
        assert_eq!(seen, sees.map(str::to_owned), "{who}");
        let made = world.services.create_webhook(&ctx, Some(&shop), &text(who, &["loan.ended"])).await;
        assert_eq!(made.err().map(|e| e.code()), makes, "{who}");
        let tried = world.services.test_webhook(&ctx, Some(&shop), hook.id).await;
        assert_eq!(tried.err().map(|e| e.code()), makes, "{who}");
        round(&world).await;
    }
    // The platform's own are another list.
    let (own, _) = make(&world, None, &["password.forgotten"]).await;
    for (who, code) in [("root", None), ("audrey", None), ("olga", Some(ErrorCode::NotFound))] {
        let seen = world.services.list_webhooks(&world.ctx(who).await, None).await;
        assert_eq!(seen.err().map(|e| e.code()), code, "{who}");
    }
    let root = world.ctx("root").await;
    let crossed = world.services.get_webhook(&root, Some(&shop), own.id).await.unwrap_err();
    assert_eq!(crossed.code(), ErrorCode::NotFound);
    let crossed = world.services.delete_webhook(&root, None, hook.id).await.unwrap_err();
    assert_eq!(crossed.code(), ErrorCode::NotFound);
    // What is in the log holds no address and no secret.
    let log = serde_json::to_string(&world.store.audit()).unwrap();
    assert!(log.contains("webhook.create") && !log.contains("T0/x") && !log.contains("whsec_"), "{log}");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_and_nothing_is_kept() {
    let (world, shop, _) = scene().await;
    let ada = world.ctx("ada").await;
    let wrong =
        HookText { name: " ".into(), url: "http://10.0.0.1/".into(), events: vec!["loan.ended".into(), "x".into()] };
    let refused = world.services.create_webhook(&ada, Some(&shop), &wrong).await.unwrap_err();
    assert_eq!(places(&refused), ["name label", "url hook_closed", "events[1] one_of"]);
    let none = world.services.create_webhook(&ada, Some(&shop), &text("chat", &[])).await.unwrap_err();
    assert_eq!(places(&none), ["events hook_events"]);
    let theirs = world.services.create_webhook(&ada, Some(&shop), &text("chat", &["password.forgotten"])).await;
    assert_eq!(places(&theirs.unwrap_err()), ["events[0] one_of"]);
    let test = world.services.create_webhook(&ada, Some(&shop), &text("chat", &["webhook.test"])).await;
    assert_eq!(places(&test.unwrap_err()), ["events[0] one_of"]);
    assert!(world.services.list_webhooks(&ada, Some(&shop)).await.unwrap().is_empty());

    let (hook, _) = make(&world, Some(&shop), &["loan.ended", "loan.ended"]).await;
    assert_eq!(hook.events, [EventKind::LoanEnded]);
    let again = world.services.create_webhook(&ada, Some(&shop), &text("chat", &["loan.ended"])).await.unwrap_err();
    assert_eq!((again.code(), places(&again)), (ErrorCode::AlreadyExists, vec!["name taken".to_owned()]));
    let change = text("chat", &["loan.overdue"]);
    let at = (Some(&shop), hook.id);
    let late = world.services.update_webhook(&ada, at, (&change, true), Some(7)).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Conflict);
    let after = world.services.update_webhook(&ada, at, (&change, false), Some(1)).await.unwrap();
    assert_eq!((after.version, after.stopped.map(|stop| stop.by)), (2, Some("ada".to_owned())));

    for n in 1..berth_types::webhook::MAX_HOOKS {
        let text = text(&format!("h{n}"), &["loan.ended"]);
        world.services.create_webhook(&ada, Some(&shop), &text).await.unwrap();
    }
    let many = world.services.create_webhook(&ada, Some(&shop), &text("more", &["loan.ended"])).await.unwrap_err();
    assert_eq!(places(&many), ["name hook_many"]);
}

#[tokio::test]
async fn a_message_is_signed_and_leads_to_the_portal() {
    let (world, shop, _) = scene().await;
    let (hook, secret) = make(&world, Some(&shop), &["tenant.suspended"]).await;
    suspend(&world, &shop).await;
    let got = round(&world).await;
    let [one] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(one.url, URL);
    let body: Value = serde_json::from_str(&one.body).unwrap();
    assert_eq!(body["data"]["link"], "https://berth.example.com/t/shop");
    assert_eq!(body["data"]["by"], "root");
    assert!(!one.body.contains("unpaid"), "what people write stays in the portal: {}", one.body);

    let signed = |posted: &Posted, secret: &SecretString| {
        let key = BASE64.decode(secret.expose_secret().strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let text = format!("{}.{}.{}", posted.header("webhook-id"), posted.header("webhook-timestamp"), posted.body);
        let tags = posted.header("webhook-signature").split(' ').map(|tag| tag.strip_prefix("v1,").unwrap());
        tags.filter(|tag| hmac::verify(&key, text.as_bytes(), &BASE64.decode(tag).unwrap()).is_ok()).count()
    };
    assert_eq!(signed(one, &secret), 1);
    // A new secret, and for a day the old one, too.
    let ada = world.ctx("ada").await;
    let services = &world.services;
    resume(&world, &shop).await;
    let (_, new) = services.rotate_webhook_secret(&ada, Some(&shop), hook.id).await.unwrap();
    for (hours, with_old) in [(0, 1), (25, 0)] {
        world.clock.advance(Duration::from_hours(hours));
        services.test_webhook(&ada, Some(&shop), hook.id).await.unwrap();
        let got = round(&world).await;
        assert_eq!(kinds(&got), ["webhook.test"]);
        assert_eq!((signed(&got[0], &new), signed(&got[0], &secret)), (1, with_old), "after {hours} h");
    }
}

#[tokio::test]
async fn each_hears_what_it_picked() {
    let (world, shop, _) = scene().await;
    let other = world.tenant("other", &[("stranger", Owner)]).await.name;
    make(&world, Some(&shop), &["tenant.suspended", "access.waiting", "access.decided"]).await;
    let ctx = world.ctx("stranger").await;
    world.services.create_webhook(&ctx, Some(&other), &text("all", &["access.waiting"])).await.unwrap();
    make(&world, None, &["tenant.removal_begun", "password.forgotten"]).await;

    let (services, vera, olga) = (&world.services, world.ctx("vera").await, world.ctx("olga").await);
    let asked = services.request_access(&vera, (&shop, None), Developer, "a secret reason").await.unwrap();
    let got = round(&world).await;
    assert_eq!(kinds(&got), ["access.waiting"], "the other tenant hears nothing of it");
    assert!(got[0].body.contains("vera") && !got[0].body.contains("secret reason"), "{}", got[0].body);
    services.decide_access(&olga, &shop, asked.id, false, "not now").await.unwrap();
    let got = round(&world).await;
    assert!(kinds(&got) == ["access.decided"] && got[0].body.contains("declined"), "{got:?}");
    services.remove_tenant(&olga, &shop, "").await.unwrap();
    assert_eq!(kinds(&round(&world).await), ["tenant.removal_begun"]);
    services.restore_tenant(&olga, &shop).await.unwrap();
    assert_eq!(round(&world).await, []);
    let vera: UserName = "vera".parse().unwrap();
    world
        .services
        .store()
        .put_notice(None, &crate::notices::Notice::of_forgotten(&vera, String::new(), olga.now()))
        .await
        .unwrap();
    assert_eq!(kinds(&round(&world).await), ["password.forgotten"]);
    suspend(&world, &shop).await;
    assert_eq!(kinds(&round(&world).await), ["tenant.suspended"]);
    // One that is off hears nothing, and is not told later either.
    resume(&world, &shop).await;
    let hook = services.list_webhooks(&olga, Some(&shop)).await.unwrap().remove(0);
    let change = text("chat", &["tenant.suspended"]);
    services.update_webhook(&olga, (Some(&shop), hook.id), (&change, false), None).await.unwrap();
    suspend(&world, &shop).await;
    assert_eq!(round(&world).await, []);
}

#[tokio::test]
async fn what_does_not_arrive_is_tried_again_and_then_given_up() {
    let (world, shop, _) = scene().await;
    let (hook, _) = make(&world, Some(&shop), &["tenant.suspended"]).await;
    world.receiver.says(503, "busy\u{7}\n");
    suspend(&world, &shop).await;
    let first = round(&world).await.remove(0);
    assert_eq!(round(&world).await, [], "not before its time");
    let shown = deliveries(&world, Some(&shop), &hook).await.remove(0);
    assert_eq!((shown.state, shown.attempts), (DeliveryState::Waiting, 1));
    let last = shown.last.unwrap();
    assert_eq!((last.status, last.answer.as_str()), (Some(503), "busy \n"));
    let mut ids = vec![first.header("webhook-id").to_owned()];
    world.receiver.away("the connection was refused");
    for _ in 1..8 {
        let next = deliveries(&world, Some(&shop), &hook).await[0].next_at.unwrap();
        world.clock.advance(Duration::try_from(next.duration_since(world.system().now())).unwrap());
        let got = round(&world).await;
        assert_eq!(got[0].body, first.body);
        ids.extend(got.iter().map(|one| one.header("webhook-id").to_owned()));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "the same id with every attempt: {ids:?}");
    let shown = deliveries(&world, Some(&shop), &hook).await.remove(0);
    assert_eq!((shown.state, shown.attempts, shown.next_at), (DeliveryState::Failed, 8, None));
    assert_eq!(shown.last.unwrap().answer, "the connection was refused");

    // Nothing came through for longer than a day: the webhook is off, and its owners are told why.
    let (ada, vera) = (world.ctx("ada").await, world.ctx("vera").await);
    assert!(world.services.given_up_webhooks(&ada, Some(&shop)).await.is_empty(), "nothing to mend while it rests");
    resume(&world, &shop).await;
    let given_up = world.services.given_up_webhooks(&ada, Some(&shop)).await.remove(0);
    let stop = given_up.stopped.unwrap();
    assert_eq!((stop.by.as_str(), stop.reason.as_str()), ("berth", "the connection was refused"));
    assert!(world.services.given_up_webhooks(&vera, Some(&shop)).await.is_empty());
    assert!(world.store.audit().iter().any(|entry| entry.action == "webhook.stop" && entry.outcome == "done"));
    // It can be tried while it is off, and switched on.
    world.receiver.says(200, "ok");
    world.services.test_webhook(&ada, Some(&shop), hook.id).await.unwrap();
    assert_eq!(kinds(&round(&world).await), ["webhook.test"]);
    let change = text("chat", &["tenant.suspended"]);
    let on = world.services.update_webhook(&ada, (Some(&shop), hook.id), (&change, true), None).await.unwrap();
    assert!(on.stopped.is_none() && on.failing_since.is_none(), "{on:?}");
    suspend(&world, &shop).await;
    assert_eq!(kinds(&round(&world).await), ["tenant.suspended"]);
}

#[tokio::test]
async fn a_receiver_says_when_it_wants_to_be_asked_again() {
    let (world, shop, _) = scene().await;
    let (hook, _) = make(&world, Some(&shop), &["tenant.suspended"]).await;
    suspend(&world, &shop).await;
    // Later than the first wait of five seconds would be; then sooner than the second, which holds.
    for (asked, least) in [("7200", 7_200), ("1", 300)] {
        world.receiver.wants_later(429, asked);
        assert_eq!(round(&world).await.len(), 1, "{asked}");
        let next = deliveries(&world, Some(&shop), &hook).await[0].next_at.unwrap();
        let wait = next.duration_since(world.system().now());
        assert!(wait.as_secs() >= least && wait.as_secs() <= least * 5 / 4, "{asked}: {wait}");
        world.clock.advance(Duration::try_from(wait).unwrap());
    }
}

#[tokio::test]
async fn who_answers_gone_hears_no_more_and_a_test_is_tried_once() {
    let (world, shop, _) = scene().await;
    let (hook, _) = make(&world, Some(&shop), &["tenant.suspended"]).await;
    let ada = world.ctx("ada").await;
    world.receiver.says(410, "");
    for _ in 0..3 {
        world.services.test_webhook(&ada, Some(&shop), hook.id).await.unwrap();
    }
    let more = world.services.test_webhook(&ada, Some(&shop), hook.id).await.unwrap_err();
    assert_eq!(more.code(), ErrorCode::RateLimited);
    assert_eq!(round(&world).await.len(), 3);
    assert!(deliveries(&world, Some(&shop), &hook).await.iter().all(|one| one.state == DeliveryState::Failed));
    assert!(world.services.given_up_webhooks(&ada, Some(&shop)).await.is_empty(), "a test stops nothing");
    suspend(&world, &shop).await;
    round(&world).await;
    resume(&world, &shop).await;
    let stopped = world.services.given_up_webhooks(&ada, Some(&shop)).await;
    assert_eq!(stopped[0].stopped.as_ref().unwrap().reason, "HTTP 410");
}

#[tokio::test]
async fn one_that_was_killed_in_between_sends_it_again() {
    let (world, shop, _) = scene().await;
    make(&world, Some(&shop), &["tenant.suspended"]).await;
    suspend(&world, &shop).await;
    // The notice is there before anybody passed it on, and taken by somebody who then died.
    world.services.spread_notices().await.unwrap();
    let grant = crate::authz::Grant::unchecked(
        crate::authz::PlatformRef,
        berth_types::Resource::Webhook,
        berth_types::Action::Update,
    );
    let now = world.system().now();
    let taken = world.services.store().take_deliveries(&grant, now, now + Duration::from_mins(2)).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(round(&world).await, []);
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(kinds(&round(&world).await), ["tenant.suspended"]);
}

async fn uses(world: &World, dev: &NamespaceRef, pods: &str) {
    let row = UsageRow { resource: "pods".to_owned(), used: pods.to_owned(), limit: None };
    world.cluster.set_usage(dev, vec![row]);
    world.services.watch_quotas().await.unwrap();
}

#[tokio::test]
async fn a_full_quota_is_told_once() {
    let (world, shop, dev) = scene().await;
    make(&world, Some(&shop), &["quota.high"]).await;
    let (root, olga): (OpCtx, OpCtx) = (world.ctx("root").await, world.ctx("olga").await);
    let pods = |n: &str| [("pods".to_owned(), n.to_owned())].into_iter().collect();
    world.services.set_tenant_quota(&root, &shop, None, &Wanted::Own(pods("20"))).await.unwrap();
    world.services.set_share(&olga, &shop, &dev.name, Some(&pods("10"))).await.unwrap();
    let minutes = |n| world.clock.advance(Duration::from_mins(n));
    uses(&world, &dev, "9").await;
    minutes(14);
    uses(&world, &dev, "10").await;
    assert_eq!(round(&world).await, [], "not for a moment");
    minutes(1);
    uses(&world, &dev, "10").await;
    let got = round(&world).await;
    assert_eq!(kinds(&got), ["quota.high"]);
    let body: Value = serde_json::from_str(&got[0].body).unwrap();
    assert_eq!(body["data"]["used"][0]["percent"], 100, "{body}");
    assert_eq!(body["data"]["link"], "https://berth.example.com/t/shop/n/dev/quota");
    for used in ["10", "9"] {
        minutes(60);
        uses(&world, &dev, used).await;
    }
    assert_eq!(round(&world).await, [], "once");
    uses(&world, &dev, "8").await;
    for _ in 0..2 {
        uses(&world, &dev, "9").await;
        minutes(15);
    }
    uses(&world, &dev, "9").await;
    assert_eq!(kinds(&round(&world).await), ["quota.high"], "again, after it was over");
}
