//! A cluster's own API below `/k8s`: who comes in, what passes, how refusals read, and when streams end.

use std::time::Duration;

use berth_api::Options;
use berth_types::people::TokenScope;
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixture::{Answer, Ask, Site};

const PODS: &str = "/k8s/local/api/v1/namespaces/shop-prod/pods";

/// The token of a kubeconfig that `who` makes for `shop` over the API.
async fn token(site: &Site, who: &str) -> String {
    let body = json!({ "tenant": "shop", "hours": 2 });
    let made = site.ask(who, "POST", "/api/v1/me/kubeconfigs").json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    let yaml = made.json()["kubeconfig"].as_str().unwrap().to_owned();
    assert!(yaml.contains("https://berth.example.com/k8s/local"), "{yaml}");
    yaml.split_once("token: \"").unwrap().1.split_once('"').unwrap().0.to_owned()
}

fn ask(site: &Site, token: &str, method: &str, uri: &str) -> Ask {
    site.ask("", method, uri).header("authorization", &format!("Bearer {token}"))
}

/// The `metav1.Status` that an answer must be: its reason and message.
fn status(answer: &Answer) -> (u16, String, String) {
    assert_eq!(answer.header("content-type"), "application/json", "{}", answer.text());
    let status = answer.json();
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{status}");
    assert_eq!(status["code"], answer.status.as_u16(), "{status}");
    let text = |key: &str| status[key].as_str().unwrap().to_owned();
    (answer.status.as_u16(), text("reason"), text("message"))
}

#[tokio::test]
async fn only_a_kubeconfig_s_token_comes_in_and_only_here() {
    let site = Site::new().await;
    let kubectl = token(&site, "developer").await;
    assert_eq!(ask(&site, &kubectl, "GET", PODS).send().await.status, 200);
    for (method, uri) in [("GET", "/api/v1/me"), ("GET", "/api/v1/tenants"), ("POST", "/api/v1/me/kubeconfigs")] {
        let refused = ask(&site, &kubectl, method, uri).json(&json!({ "tenant": "shop" })).send().await;
        assert_eq!((refused.status.as_u16(), refused.problem().0.as_str()), (401, "unauthenticated"), "{uri}");
        assert!(refused.text().contains("kubectl alone"), "{}", refused.text());
    }
    let api = site.token("developer");
    let expired = token(&site, "viewer").await;
    site.world.clock.advance(Duration::from_hours(2));
    for (sent, why) in
        [(api, "API alone"), ("berth_nothing", "ended or was revoked"), (&expired, "ended or was revoked")]
    {
        let refused = ask(&site, sent, "GET", PODS).send().await;
        let (code, reason, message) = status(&refused);
        assert_eq!((code, reason.as_str()), (401, "Unauthorized"), "{message}");
        assert!(message.contains(why), "{message}");
    }
    let nobody = site.ask("", "GET", PODS).send().await;
    assert_eq!(status(&nobody).0, 401);
    // A cookie is nobody's credentials here.
    let cookie = site.ask("", "GET", PODS).header("cookie", "__Host-berth=x").send().await;
    assert_eq!(status(&cookie).0, 401);
}

#[tokio::test]
async fn a_kubeconfig_is_among_the_tokens_and_ends_when_it_is_revoked() {
    let site = Site::new().await;
    let kubectl = token(&site, "developer").await;
    let tokens = site.get("developer", "/api/v1/me/tokens").await;
    let mine: Vec<&Value> =
        tokens["items"].as_array().unwrap().iter().filter(|token| token["purpose"] == "kubectl").collect();
    assert_eq!(mine.len(), 1, "{tokens}");
    assert_eq!(mine[0]["scope"]["tenant"], "shop");
    assert!(!tokens.to_string().contains(&kubectl));
    let ctx = site.world.ctx("developer").await;
    site.world.services.revoke_token(&ctx, mine[0]["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    assert_eq!(ask(&site, &kubectl, "GET", PODS).send().await.status, 401);
    for (body, field) in
        [(json!({ "tenant": "shop", "hours": 25 }), "hours"), (json!({ "tenant": "shop", "hours": 0 }), "hours")]
    {
        let refused = site.ask("developer", "POST", "/api/v1/me/kubeconfigs").json(&body).send().await;
        assert_eq!((refused.status.as_u16(), refused.problem().1), (422, vec![field.to_owned()]));
    }
    // Replayed, it has no secret.
    let again = async || {
        let ask = site.ask("developer", "POST", "/api/v1/me/kubeconfigs").header("idempotency-key", "k");
        ask.json(&json!({ "tenant": "shop" })).send().await
    };
    assert!(again().await.json()["kubeconfig"].is_string());
    assert!(again().await.json()["kubeconfig"].is_null());
    let scope = TokenScope { tenant: Some("other".parse().unwrap()), ..TokenScope::default() };
    let elsewhere = site.world.token_for("outsider", scope, Duration::from_hours(1)).await;
    let refused =
        ask(&site, &elsewhere, "POST", "/api/v1/me/kubeconfigs").json(&json!({ "tenant": "shop" })).send().await;
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn what_passes_both_ways() {
    let site = Site::new().await;
    let kubectl = token(&site, "developer").await;
    let answer = ask(&site, &kubectl, "POST", &format!("{PODS}?fieldManager=kubectl"))
        .header("accept", "application/json;as=Table")
        .header("impersonate-user", "system:admin")
        .header("impersonate-group", "system:masters")
        .header("x-remote-user", "root")
        .header("cookie", "a=b")
        .header("user-agent", "kubectl/v1.32")
        // Only what can become a stream may ask for it.
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .json(&json!({ "metadata": { "name": "x" } }))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["metadata"]["name"], "x");
    assert_eq!((answer.header("set-cookie"), answer.header("warning")), ("", "299 - \"old\""));
    assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"));
    let (who, sent) = site.world.cluster.relayed().pop().unwrap();
    assert_eq!(
        (who.user.as_str(), who.groups.as_slice()),
        ("berth:developer", ["berth:tenant:shop:developer".to_owned()].as_slice())
    );
    assert_eq!(
        (sent.path.as_str(), sent.query.as_str()),
        ("/api/v1/namespaces/shop-prod/pods", "fieldManager=kubectl")
    );
    let mut names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "content-type", "user-agent"]);
}

#[tokio::test]
async fn refusals_read_as_a_cluster_s_own() {
    let site = Site::new().await;
    site.world.namespace(&site.other, "vault").await;
    let kubectl = token(&site, "viewer").await;
    // Byte by byte, but for the name, which is as long.
    let said = async |name: &str| {
        let answer = ask(&site, &kubectl, "GET", &format!("/k8s/local/api/v1/namespaces/{name}/secrets")).send().await;
        let mut headers: Vec<String> = answer.headers.iter().map(|(k, v)| format!("{k}: {v:?}")).collect();
        headers.sort();
        (answer.status, headers, answer.text().replace(name, "NAME"))
    };
    assert_eq!(said("other-vault").await, said("other-vaulx").await);
    for (method, path, want) in [
        ("GET", "/k8s/local/api/v1/nodes", (403, "Forbidden", "nodes is forbidden: User \"berth:viewer\" cannot list")),
        ("GET", "/k8s/local/metrics", (403, "Forbidden", "cannot get path \"/metrics\"")),
        ("DELETE", &format!("{PODS}/p"), (403, "Forbidden", "pods \"p\" is forbidden")),
        ("GET", "/k8s/local/api/v1/namespaces/shop-prod/../other-vault/pods", (400, "BadRequest", "segments")),
        ("GET", "/k8s/local//api/v1/namespaces/shop-prod/pods", (400, "BadRequest", "segments")),
        ("GET", "/k8s/local/api/v1/namespaces/shop-prod%2fpods", (400, "BadRequest", "segments")),
        ("GET", "/k8s/local/api/v1/namespaces/shop-prod/pods/%2e%2e/secrets", (400, "BadRequest", "segments")),
        ("TRACE", PODS, (405, "MethodNotAllowed", "no such method")),
        ("GET", "/k8s/other/api", (404, "NotFound", "no cluster")),
        ("GET", "/k8s/LOCAL/api", (404, "NotFound", "no cluster")),
        ("GET", "/k8s/local", (403, "Forbidden", "path \"/\"")),
        ("GET", "/k8s/local/", (403, "Forbidden", "path \"/\"")),
    ] {
        let answer = ask(&site, &kubectl, method, path).send().await;
        let (code, reason, message) = status(&answer);
        assert_eq!((code, reason.as_str()), (want.0, want.1), "{path}: {message}");
        assert!(message.contains(want.2), "{path}: {message}");
        assert!(site.world.cluster.relayed().is_empty(), "{path} reached the cluster");
    }
    let developer = token(&site, "developer").await;
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let refused = ask(&site, &developer, "POST", PODS).raw("application/json", large).send().await;
    assert_eq!(status(&refused).1, "RequestEntityTooLarge");
    site.world.cluster.set_down(Some("off"));
    assert_eq!(status(&ask(&site, &developer, "GET", PODS).send().await).1, "ServiceUnavailable");
    let apps = "/k8s/local/apis/berth.dev/v1alpha1/namespaces/shop-prod/apps";
    site.world.cluster.set_down(None);
    let app =
        json!({ "metadata": { "name": "web" }, "spec": { "components": [{ "name": "main", "image": "HTTP://x" }] } });
    let refused = ask(&site, &developer, "POST", apps).json(&app).send().await;
    let (code, reason, message) = status(&refused);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(message.contains("image"), "{message}");
    assert!(refused.json()["details"]["causes"][0]["field"].as_str().unwrap().contains("image"), "{}", refused.text());
    let root = site.world.ctx("root").await;
    site.world.services.suspend_tenant(&root, &site.shop.name, "unpaid").await.unwrap();
    let rests = status(&ask(&site, &developer, "DELETE", &format!("{PODS}/p")).send().await);
    assert_eq!((rests.0, rests.1.as_str()), (403, "Forbidden"));
    assert!(rests.2.contains("unpaid"), "{}", rests.2);
}

/// Reads a stream to its end while the clock runs; what came.
async fn to_its_end(site: &Site, answer: axum::response::Response) -> String {
    let read = async { answer.into_body().collect().await.map(|body| body.to_bytes()) };
    let clock = async {
        loop {
            site.world.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let body = tokio::select! {
        body = read => body.unwrap(),
        () = clock => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("the stream goes on"),
    };
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn a_stream_ends_with_the_right_it_began_with() {
    for gone in ["role", "token", "account", "stop"] {
        let options = Options { public_url: Some("https://berth.example.com".to_owned()), ..Options::default() };
        let site = Site::with(options.clone()).await;
        let kubectl = token(&site, "developer").await;
        site.world.cluster.answer_next(200, "{\"type\":\"ADDED\"}\n");
        let mut answer = ask(&site, &kubectl, "GET", &format!("{PODS}?watch=true")).open().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "{\"type\":\"ADDED\"}\n", "at once");
        // As long as nothing changes it goes on.
        for _ in 0..100 {
            site.world.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        assert!(answer.body_mut().frame().now_or_never().is_none(), "{gone}: it ended by itself");
        let (owner, developer) = (site.world.ctx("owner").await, site.world.ctx("developer").await);
        let services = &site.world.services;
        match gone {
            "role" => services.remove_member(&owner, &site.shop.name, &"developer".parse().unwrap()).await.unwrap(),
            "token" => {
                let tokens = services.my_tokens(&developer).await.unwrap();
                let mine = tokens.iter().find(|token| token.name.starts_with("kubectl")).unwrap();
                services.revoke_token(&developer, mine.id).await.unwrap();
            }
            "account" => {
                use berth_core::{
                    authz::{Grant, PlatformRef},
                    ports::store::People as _,
                };
                let user = site.world.store.find_account(&"developer".parse().unwrap()).await.unwrap().unwrap().user;
                let grant = Grant::unchecked(PlatformRef, berth_types::Resource::User, berth_types::Action::Update);
                let user = berth_types::people::User { disabled: true, ..user };
                site.world.store.update_user(&grant, &user).await.unwrap();
            }
            _ => options.stop.cancel(),
        }
        assert_eq!(to_its_end(&site, answer).await, "", "{gone}");
    }
}

#[tokio::test]
async fn streams_take_places_and_give_them_back() {
    let site = Site::with(Options {
        public_url: Some("https://berth.example.com".to_owned()),
        max_streams_per_person: 2,
        ..Options::default()
    })
    .await;
    let kubectl = token(&site, "developer").await;
    let watch = async || ask(&site, &kubectl, "GET", &format!("{PODS}?watch=true")).open().await;
    let (first, second) = (watch().await, watch().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let refused = ask(&site, &kubectl, "GET", PODS).send().await;
    assert_eq!(status(&refused).1, "TooManyRequests");
    assert!(!refused.header("retry-after").is_empty());
    let viewer = token(&site, "viewer").await;
    assert_eq!(ask(&site, &viewer, "GET", PODS).send().await.status, 200, "somebody else's");
    drop(first);
    assert_eq!(ask(&site, &kubectl, "GET", PODS).send().await.status, 200);
}
