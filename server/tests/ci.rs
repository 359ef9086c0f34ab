//! A CI job's token, really signed, over HTTP: an issuer that listens on loopback, the portal whole over its router.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/people.rs"]
mod people;

use axum::{Router, body::Body, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::{config, serve::Portal};
use berth_core::services::{ci::TrustText, robots::RobotText};
use berth_types::{PlatformRole, TenantRole, ci::Condition};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use people::{nobody, person};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    fn public(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.0.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": x, "y": y })
    }

    fn sign(&self, algorithm: &str, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({ "alg": algorithm, "typ": "JWT", "kid": "k1" })), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// Listens on loopback and says what GitHub says of itself, no more.
async fn issuer(key: &Key) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let description = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string();
    let keys = json!({ "keys": [key.public()] }).to_string();
    let json = |text: String| async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(move || json(description.clone())))
        .route("/jwks", get(move || json(keys.clone())));
    tokio::spawn(async move { axum::serve(listener, app).await });
    issuer
}

struct Got {
    status: StatusCode,
    cache: String,
    body: Value,
}

async fn ask(portal: &Portal, request: Request<Body>) -> Got {
    let (parts, body) = portal.router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let cache = parts.headers.get(header::CACHE_CONTROL).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    Got { status: parts.status, cache, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn exchange(portal: &Portal, token: &str) -> Got {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        .append_pair("audience", "robot:shop/deploy")
        .append_pair("subject_token", token)
        .finish();
    let request = Request::post("/api/v1/ci/token")
        .header(header::HOST, "berth.example.com")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(portal, request.body(Body::from(form)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_comes_in_as_a_robot_without_a_stored_secret() {
    let key = Key::new();
    let issuer = issuer(&key).await;
    let data = tempfile::tempdir().unwrap();
    let flags = config::Flags { data: Some(data.path().to_owned()), sim: Some(true), ..config::Flags::default() };
    let settings = config::load(&flags).unwrap();
    let portal = Portal::start(&settings, PrometheusBuilder::new().build_recorder().handle()).await.unwrap();
    let services = portal.services.clone();
    let (_, session) = person(&services, "root", Some(PlatformRole::Admin)).await;
    let root = services.as_person(&nobody(&services), session.person);
    let shop = services.create_tenant(&root, "shop", "Shop", None).await.unwrap().name;
    services.create_ci_issuer(&root, "ci", &issuer).await.unwrap();
    let text =
        RobotText { name: "deploy".into(), description: String::new(), role: TenantRole::Developer, namespace: None };
    let robot = services.create_robot(&root, &shop, &text).await.unwrap().name;
    let sub = Condition { claim: "sub".into(), value: "repo:acme/web:*".into() };
    let trust = TrustText { issuer: "ci".into(), audience: "https://berth".into(), conditions: vec![sub], minutes: 15 };
    services.create_trust(&root, (&shop, &robot), &trust).await.unwrap();

    let now = services.clock().now().as_second();
    let claims = |more: Value| {
        let mut all = json!({
            "iss": issuer, "aud": "https://berth", "sub": "repo:acme/web:ref:refs/heads/main", "jti": "job-1",
            "iat": now, "nbf": now, "exp": now + 300,
        });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    let good = key.sign("ES256", &claims(json!({})));
    for (what, token) in [
        ("another audience", key.sign("ES256", &claims(json!({ "aud": "https://other" })))),
        ("another project", key.sign("ES256", &claims(json!({ "sub": "repo:acme/other:ref:x" })))),
        ("another issuer", key.sign("ES256", &claims(json!({ "iss": "https://ci.example.com" })))),
        ("expired", key.sign("ES256", &claims(json!({ "exp": now - 120 })))),
        ("not yet", key.sign("ES256", &claims(json!({ "nbf": now + 120 })))),
        ("a foreign key", Key::new().sign("ES256", &claims(json!({})))),
        ("another algorithm", key.sign("HS256", &claims(json!({})))),
        ("no algorithm", key.sign("none", &claims(json!({})))),
        ("no token", "nonsense".to_owned()),
    ] {
        let got = exchange(&portal, &token).await;
        assert_eq!(
            (got.status, got.body["code"].as_str()),
            (StatusCode::UNAUTHORIZED, Some("unauthenticated")),
            "{what}"
        );
        assert_eq!(got.body.get("errors").and_then(Value::as_array).map_or(0, Vec::len), 0, "{what}: {}", got.body);
    }
    let got = exchange(&portal, &good).await;
    assert_eq!((got.status, got.cache.as_str()), (StatusCode::OK, "no-store"), "{}", got.body);
    assert_eq!((&got.body["token_type"], &got.body["expires_in"]), (&json!("Bearer"), &json!(900)));
    let token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(exchange(&portal, &good).await.status, StatusCode::UNAUTHORIZED, "used");

    let request = Request::get("/api/v1/me")
        .header(header::HOST, "berth.example.com")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let me = ask(&portal, request.body(Body::empty()).unwrap()).await;
    assert_eq!((me.status, me.body["name"].as_str()), (StatusCode::OK, Some("robot:shop/deploy")), "{}", me.body);

    // And so the job uses kubectl, for no longer than that.
    services.create_namespace(&root, &shop, "dev", None).await.unwrap();
    let request = Request::post("/api/v1/me/kubeconfigs")
        .header(header::HOST, "berth.example.com")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let made = ask(&portal, request.body(Body::from(json!({ "tenant": "shop" }).to_string())).unwrap()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert!(made.body["kubeconfig"].as_str().unwrap().contains("/k8s/local"), "{}", made.body);
}
