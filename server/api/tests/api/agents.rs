//! Where agents call: who comes in, and what an agent's token opens besides.

use serde_json::json;

use crate::fixture::{Ask, Site};

const TUNNEL: &str = "/agent/v1/tunnel";

async fn token(site: &Site, name: &str) -> String {
    let made = site.ask("root", "POST", "/api/v1/agent-clusters").json(&json!({ "name": name })).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.header("location"), format!("/api/v1/clusters/{name}"));
    let made = made.json();
    let token = made["token"].as_str().unwrap().to_owned();
    let manifest = made["manifest"].as_str().unwrap();
    assert!(manifest.contains(&token) && manifest.contains("https://berth.example.com"), "{manifest}");
    token
}

fn ask(site: &Site, token: &str, method: &str, uri: &str) -> Ask {
    site.ask("", method, uri).header("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn only_an_agent_s_token_opens_the_tunnel_and_it_opens_nothing_else() {
    let site = Site::new().await;
    let agent = token(&site, "moon").await;
    let revoked = token(&site, "sun").await;
    let gone = site.ask("root", "DELETE", "/api/v1/clusters/sun/agent-token").send().await;
    assert_eq!(gone.status, 204);
    let made = site.ask("root", "POST", "/api/v1/me/kubeconfigs").json(&json!({ "tenant": "shop" })).send().await;
    let yaml = made.json()["kubeconfig"].as_str().unwrap_or_default().to_owned();
    let kubectl =
        yaml.split_once("token: \"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(token, _)| token);
    assert_eq!(site.ask("", "GET", TUNNEL).send().await.status, 401);
    for other in [site.token("root"), site.token("viewer"), kubectl, revoked.as_str(), "berth_agent_nothing", "x", ""] {
        let refused = ask(&site, other, "GET", TUNNEL).send().await;
        assert_eq!((refused.status.as_u16(), refused.problem().0.as_str()), (401, "unauthenticated"), "{other}");
    }
    // Let in, but it calls for no WebSocket.
    let plain = ask(&site, &agent, "GET", TUNNEL).send().await;
    assert_eq!(plain.status, 400, "{}", plain.text());
    assert_eq!(ask(&site, &agent, "POST", TUNNEL).send().await.status, 405);

    // Every operation of the API, and kubectl's way in.
    let document = serde_json::to_value(berth_api::openapi()).unwrap();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"].iter().filter(|m| operations.get(**m).is_some()) {
            if operations[method]["security"] == json!([{}]) || operations[method]["security"] == json!([]) {
                continue;
            }
            let uri = path.replace(['{', '}'], "");
            let refused = ask(&site, &agent, &method.to_uppercase(), &uri).send().await;
            assert_eq!(refused.status, 401, "{method} {path}: {}", refused.text());
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
    assert_eq!(ask(&site, &agent, "GET", "/k8s/local/api/v1/pods").send().await.status, 401);
}

#[tokio::test]
async fn a_new_token_is_shown_once() {
    let site = Site::new().await;
    let first = token(&site, "moon").await;
    let ask =
        || site.ask("root", "POST", "/api/v1/clusters/moon/agent-token").header("idempotency-key", "renewed-once");
    let made = ask().send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let second = made.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    let replayed = ask().send().await;
    assert!(!replayed.text().contains(&second), "{}", replayed.text());
    let seen = site.get("root", "/api/v1/clusters/moon").await;
    assert!(seen["agent"]["token"].as_str().is_some_and(|prefix| second.starts_with(prefix)), "{seen:#}");
    let none = site.ask("root", "POST", "/api/v1/clusters/local/agent-token").send().await;
    assert_eq!(none.status, 404);
}
