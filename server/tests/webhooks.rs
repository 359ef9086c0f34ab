//! Webhooks over HTTP: a receiver that listens on loopback, the portal whole with its outbox.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/people.rs"]
mod people;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use berth::{config, serve::Portal};
use berth_core::{OpCtx, services::webhooks::HookText};
use berth_types::{PlatformRole, webhook::DeliveryState};
use metrics_exporter_prometheus::PrometheusBuilder;
use people::{nobody, person};
use ring::hmac;
use secrecy::ExposeSecret as _;
use serde_json::Value;

type Got = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Keeps what it gets and answers 204.
async fn receiver() -> (String, Got) {
    async fn take(State(got): State<Got>, headers: HeaderMap, body: Bytes) -> axum::http::StatusCode {
        got.lock().unwrap().push((headers, body));
        axum::http::StatusCode::NO_CONTENT
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/berth", listener.local_addr().unwrap());
    let got = Got::default();
    let app = Router::new().route("/berth", post(take)).with_state(got.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, got)
}

/// A portal that lets what is on this machine be reached; `root`, who keeps it.
async fn portal(data: &std::path::Path) -> (Portal, OpCtx) {
    let flags = config::Flags {
        data: Some(data.to_owned()),
        sim: Some(true),
        webhook_ranges: Some("127.0.0.0/8".to_owned()),
        public_url: Some("http://localhost:8080".to_owned()),
        ..config::Flags::default()
    };
    let settings = config::load(&flags).unwrap();
    let portal = Portal::start(&settings, PrometheusBuilder::new().build_recorder().handle()).await.unwrap();
    let services = portal.services.clone();
    let (_, session) = person(&services, "root", Some(PlatformRole::Admin)).await;
    let root = services.as_person(&nobody(&services), session.person);
    (portal, root)
}

async fn until<T>(mut what: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = what().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_reaches_a_receiver_signed() {
    let (url, got) = receiver().await;
    let data = tempfile::tempdir().unwrap();
    let (portal, root) = portal(data.path()).await;
    let services = portal.services.clone();
    let shop = services.create_tenant(&root, "shop", "Shop", None).await.unwrap().name;
    let text = HookText { name: "chat".into(), url, events: vec!["tenant.suspended".into()] };
    let (hook, secret) = services.create_webhook(&root, Some(&shop), &text).await.unwrap();
    services.suspend_tenant(&root, &shop, "unpaid").await.unwrap();
    let (headers, body) = until(async || got.lock().unwrap().pop()).await;

    let header = |name: &str| headers[name].to_str().unwrap();
    let key = BASE64.decode(secret.expose_secret().strip_prefix("whsec_").unwrap()).unwrap();
    let signed =
        format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), std::str::from_utf8(&body).unwrap());
    let tag = BASE64.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes(), &tag).unwrap();
    assert_eq!(header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "tenant.suspended");
    assert_eq!(body["data"]["link"], "http://localhost:8080/t/shop");
    let state = async || {
        let last = services.list_deliveries(&root, Some(&shop), hook.id).await.unwrap().remove(0);
        (last.state != DeliveryState::Waiting).then_some(last)
    };
    let last = until(state).await;
    assert_eq!((last.state, last.attempts, last.last.unwrap().status), (DeliveryState::Delivered, 1, Some(204)));
    portal.stop().await;
}
