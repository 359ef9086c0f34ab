//! Tokens of jobs, really signed, against a CI system in memory that lies on demand. (Over the network: `server/tests/ci.rs`.)

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use berth_core::{
    env::ManualClock,
    ports::ci::{JobTokens as _, Refused},
};
use serde_json::{Value, json};

use crate::{
    oidc::{Oidc, Options},
    tests::{Fake, Key},
};

const ISSUER: &str = "https://ci.example.com";
const NOW: i64 = 1_795_161_600;

struct Scene {
    oidc: Oidc,
    fake: Arc<Fake>,
    clock: Arc<ManualClock>,
    key: Key,
}

impl Scene {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        let clock = ManualClock::new(jiff::Timestamp::from_second(NOW).unwrap());
        let oidc = Oidc::over(fake.clone(), clock.clone(), Options::default());
        let scene = Self { oidc, fake, clock, key: Key::es() };
        // As GitHub's: there is nothing to sign in with.
        scene.describes(json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys") }));
        scene.has_keys(&[scene.key.public("k1")]);
        scene
    }

    fn describes(&self, description: Value) {
        self.fake.answers.lock().insert("/.well-known/openid-configuration".to_owned(), (200, description));
    }

    fn has_keys(&self, keys: &[Value]) {
        self.fake.answers.lock().insert("/keys".to_owned(), (200, json!({ "keys": keys })));
    }

    async fn ask(&self, token: String) -> Result<Value, &'static str> {
        self.oidc.claims(ISSUER, &token.into()).await.map_err(|e| {
            let code = e.fields()[0].code.clone();
            let known = [Refused::Away, Refused::Token].map(Refused::code);
            known.into_iter().find(|known| *known == code).unwrap()
        })
    }

    fn asked(&self) -> usize {
        self.fake.asked.lock().len()
    }
}

fn claims(more: Value) -> Value {
    let mut all = json!({
        "iss": ISSUER, "aud": "https://berth.example.com", "sub": "repo:acme/web:ref:refs/heads/main",
        "repository": "acme/web", "jti": "1", "iat": NOW, "nbf": NOW - 5, "exp": NOW + 300,
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

#[tokio::test]
async fn a_job_says_what_was_signed() {
    let scene = Scene::new();
    let said = scene.ask(scene.key.token("k1", &json!({}), &claims(json!({})))).await.unwrap();
    assert_eq!(said, claims(json!({})));
    assert_eq!(scene.asked(), 2, "its description and its keys");
    // Several audiences, or another's, are for core to refuse.
    let others = claims(json!({ "aud": ["a", "b"] }));
    assert_eq!(scene.ask(scene.key.token("k1", &json!({}), &others)).await.unwrap()["aud"], json!(["a", "b"]));
    assert_eq!(scene.asked(), 2, "asked once an hour");
    scene.clock.advance(Duration::from_secs(3_601));
    let late = claims(json!({ "iat": NOW + 3_600, "exp": NOW + 3_900 }));
    assert!(scene.ask(scene.key.token("k1", &json!({}), &late)).await.is_ok());
    assert_eq!(scene.asked(), 4);
}

#[tokio::test]
async fn what_does_not_hold_is_refused() {
    let scene = Scene::new();
    let sign = |more: Value| scene.key.token("k1", &json!({}), &claims(more));
    for (what, token) in [
        ("expired", sign(json!({ "exp": NOW - 61 }))),
        ("not yet", sign(json!({ "nbf": NOW + 61 }))),
        ("issued in the future", sign(json!({ "iat": NOW + 61 }))),
        ("another issuer", sign(json!({ "iss": "https://ci.example.com/" }))),
        ("no end", sign(json!({ "exp": null }))),
        ("a foreign key", Key::es().token("k1", &json!({}), &claims(json!({})))),
        ("a foreign key of its own name", Key::ed().token("k2", &json!({}), &claims(json!({})))),
        ("no algorithm", Key::Nothing.token("k1", &json!({}), &claims(json!({})))),
        ("a shared secret", Key::Shared.token("k1", &json!({}), &claims(json!({})))),
        (
            "a key that it brings along",
            Key::ed().token("k1", &json!({ "jwk": Key::ed().public("k1") }), &claims(json!({}))),
        ),
        ("nothing", String::new()),
        ("no signature", sign(json!({})).rsplit_once('.').unwrap().0.to_owned() + "."),
    ] {
        assert_eq!(scene.ask(token).await, Err("ci_token"), "{what}");
    }
    for (what, more) in
        [("just over", json!({ "exp": NOW - 59 })), ("in a moment", json!({ "nbf": NOW + 59, "iat": NOW + 59 }))]
    {
        assert!(scene.ask(sign(more)).await.is_ok(), "{what}: clocks differ by a minute");
    }
    let mut parts: Vec<String> = sign(json!({})).split('.').map(str::to_owned).collect();
    parts[1] = sign(json!({ "repository": "acme/other" })).split('.').nth(1).unwrap().to_owned();
    assert_eq!(scene.ask(parts.join(".")).await, Err("ci_token"), "other claims than were signed");
    // A shared secret among the keys is no key.
    scene.clock.advance(Duration::from_secs(3_601));
    scene.has_keys(&[Key::Shared.public("k1")]);
    let late = claims(json!({ "iat": NOW + 3_600, "exp": NOW + 3_900 }));
    assert_eq!(scene.ask(Key::Shared.token("k1", &json!({}), &late)).await, Err("ci_token"));
}

#[tokio::test]
async fn keys_are_rotated_and_not_asked_for_at_every_token() {
    let scene = Scene::new();
    let old = scene.key.token("k1", &json!({}), &claims(json!({})));
    assert!(scene.ask(old.clone()).await.is_ok());
    let new = Key::ed();
    scene.has_keys(&[scene.key.public("k1"), new.public("k2")]);
    let token = new.token("k2", &json!({}), &claims(json!({})));
    assert_eq!(scene.ask(token.clone()).await, Err("ci_token"), "asked a moment ago");
    scene.clock.advance(Duration::from_secs(61));
    assert!(scene.ask(token.clone()).await.is_ok());
    assert!(scene.ask(old.clone()).await.is_ok(), "both, while both are published");
    let asked = scene.fake.keys_asked.load(Ordering::Relaxed);
    for _ in 0..5 {
        assert!(scene.ask(Key::ed().token("k3", &json!({}), &claims(json!({})))).await.is_err());
    }
    assert_eq!(scene.fake.keys_asked.load(Ordering::Relaxed), asked, "strangers make it ask nothing");
    scene.has_keys(&[new.public("k2")]);
    scene.clock.advance(Duration::from_secs(61));
    let _ = scene.ask(Key::ed().token("k3", &json!({}), &claims(json!({})))).await;
    assert_eq!(scene.ask(old).await, Err("ci_token"), "withdrawn");
    assert!(scene.ask(token).await.is_ok());
}

#[tokio::test]
async fn one_that_is_away_is_asked_now_and_then() {
    let scene = Scene::new();
    let token = || scene.key.token("k1", &json!({}), &claims(json!({})));
    scene.describes(json!({ "issuer": "https://other.example.com", "jwks_uri": format!("{ISSUER}/keys") }));
    for _ in 0..5 {
        assert_eq!(scene.ask(token()).await, Err("ci_away"), "it says that it is another");
    }
    assert_eq!(scene.asked(), 1);
    assert!(scene.oidc.probe(ISSUER).await.is_err());
    scene.describes(json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys") }));
    assert_eq!(scene.ask(token()).await, Err("ci_away"), "asked a moment ago");
    scene.clock.advance(Duration::from_secs(11));
    assert!(scene.ask(token()).await.is_ok());
    assert!(scene.oidc.probe(ISSUER).await.is_ok());
}
