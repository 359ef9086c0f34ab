//! `Idempotency-Key`: done once, answered as often as it is asked.

use std::time::Duration;

use berth_core::ports::store::{Journal as _, StoredReply};
use serde_json::{Value, json};

use crate::fixture::{APPS, Answer, CHECKOUT, Site, spec};

async fn create(site: &Site, who: &str, key: &str, body: &Value) -> Answer {
    site.ask(who, "POST", APPS).header("idempotency-key", key).json(body).send().await
}

#[tokio::test]
async fn who_may_not_look_any_more_is_told_nothing_again() {
    let site = Site::new().await;
    let body = json!({ "name": "web", "spec": spec("a:1") });
    assert_eq!(create(&site, "developer", "k1", &body).await.status, 201);
    let gone = site.ask("owner", "DELETE", "/api/v1/tenants/shop/members/developer").send().await;
    assert_eq!(gone.status, 204);
    let again = create(&site, "developer", "k1", &body).await;
    assert_eq!((again.status.as_u16(), again.problem().0.as_str()), (404, "not-found"));
}

#[tokio::test]
async fn the_first_reply_is_given_again() {
    let site = Site::new().await;
    let body = json!({ "name": "web", "spec": spec("a:1") });
    let first = create(&site, "developer", "k1", &body).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, ""));
    let again = create(&site, "developer", "k1", &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.body, first.body);
    for name in ["location", "etag", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    let made = site.world.store.audit().iter().filter(|e| e.action == "app.create").count();
    assert_eq!(made, 1, "done once");

    let other = create(&site, "developer", "k1", &json!({ "name": "api", "spec": spec("a:1") })).await;
    assert_eq!((other.status.as_u16(), other.problem().0.as_str()), (422, "idempotency-mismatch"));
    // Somebody else's key is another one.
    assert_eq!(create(&site, "owner", "k1", &body).await.problem().0, "already-exists");
    // Actions count too.
    let scale = || {
        let ask = site.ask("developer", "POST", &format!("{CHECKOUT}/scale")).header("idempotency-key", "k2");
        ask.json(&json!({ "replicas": 4 })).send()
    };
    assert_eq!(scale().await.header("idempotent-replayed"), "");
    assert_eq!(scale().await.header("idempotent-replayed"), "true");
    for key in ["", &"x".repeat(256)] {
        assert_eq!(create(&site, "developer", key, &body).await.problem().0, "malformed", "{key}");
    }
}

#[tokio::test]
async fn refusals_are_kept_failures_are_not() {
    let site = Site::new().await;
    let wrong = json!({ "name": "Web", "spec": spec("a:1") });
    let first = create(&site, "developer", "k1", &wrong).await;
    let again = create(&site, "developer", "k1", &wrong).await;
    assert_eq!((again.problem(), again.header("idempotent-replayed")), (first.problem(), "true"));
    assert_eq!(again.body, first.body);

    let right = json!({ "name": "web", "spec": spec("a:1") });
    site.world.cluster.set_down(Some("down"));
    assert_eq!(create(&site, "developer", "k2", &right).await.status, 503);
    site.world.cluster.set_down(None);
    let second = create(&site, "developer", "k2", &right).await;
    assert_eq!((second.status.as_u16(), second.header("idempotent-replayed")), (201, ""));
}

#[tokio::test]
async fn a_claim_that_a_crash_left_is_taken_over_in_time() {
    let site = Site::new().await;
    let body = json!({ "name": "web", "spec": spec("a:1") });
    // What a request leaves that claims its key and then dies: the claim of a request that is running looks the same.
    let first = create(&site, "developer", "k1", &body).await;
    assert_eq!(first.status, 201);
    let user = site.world.ctx("developer").await.person().unwrap().id;
    let now = site.world.system().now();
    let digest = site.world.store.claim_idempotency(user, "k1", &[0; 32], now).await.unwrap().unwrap().request;
    assert!(site.world.store.claim_idempotency(user, "k2", &digest, now).await.unwrap().is_none());
    let running = create(&site, "developer", "k2", &body).await;
    assert_eq!((running.status.as_u16(), running.header("retry-after")), (409, "1"), "{}", running.text());
    site.world.clock.advance(Duration::from_secs(301));
    let late = create(&site, "developer", "k2", &body).await;
    assert_eq!(
        (late.problem().0.as_str(), late.header("idempotent-replayed")),
        ("already-exists", ""),
        "done again, safely"
    );
    let kept = create(&site, "developer", "k2", &body).await;
    assert_eq!((kept.problem().0.as_str(), kept.header("idempotent-replayed")), ("already-exists", "true"));
}

#[tokio::test]
async fn secrets_are_not_kept() {
    let site = Site::new().await;
    let ask = || {
        let ask = site.ask("root", "POST", "/api/v1/admin/users").header("idempotency-key", "k1");
        ask.json(&json!({ "name": "zoe" })).send()
    };
    let first = ask().await.json();
    let password = first["password"].as_str().unwrap();
    let user = site.world.ctx("root").await.person().unwrap().id;
    let now = site.world.system().now();
    let known = site.world.store.claim_idempotency(user, "k1", &[0; 32], now).await.unwrap().unwrap();
    let StoredReply { body, .. } = known.reply.unwrap();
    assert!(!String::from_utf8(body).unwrap().contains(password));
    let again = ask().await;
    assert_eq!((again.header("idempotent-replayed"), &again.json()["password"]), ("true", &Value::Null));
    assert_eq!(again.json()["user"], first["user"]);
}
