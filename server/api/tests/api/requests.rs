//! Requests for another quota, asked as a client asks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Answer, Site};

const REQUESTS: &str = "/api/v1/tenants/shop/quota/requests";

async fn limited() -> Site {
    let site = Site::new().await;
    let quota = json!({ "resources": { "secrets": "10" } });
    assert_eq!(site.ask("root", "PUT", "/api/v1/tenants/shop/quota").json(&quota).send().await.status, 200);
    let share = json!({ "resources": { "secrets": "6" } });
    let prod = "/api/v1/tenants/shop/namespaces/prod/quota";
    assert_eq!(site.ask("owner", "PUT", prod).json(&share).send().await.status, 200);
    site
}

async fn post(site: &Site, who: &str, uri: &str, body: &Value) -> Answer {
    site.ask(who, "POST", uri).json(body).send().await
}

#[tokio::test]
async fn a_request_from_asking_to_the_ledger() {
    let site = limited().await;
    let asked = json!({
        "resources": { "secrets": "14" }, "reason": "The sale begins", "namespace": "prod", "lacking": { "secrets": "4" }
    });
    let send = || site.ask("developer", "POST", REQUESTS).header("idempotency-key", "once").json(&asked);
    let made = send().send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let request = made.json();
    assert_eq!((&request["state"], &request["version"]), (&json!("open"), &json!(1)));
    assert_eq!(request["ask"]["evidence"]["resources"][0]["limit"], "10");
    assert_eq!(request["ask"]["findings"][0]["code"], "request_role");
    assert_eq!(made.headers["etag"].as_bytes(), b"\"1\"");
    let uri = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(send().send().await.json()["id"], request["id"], "the same key makes one request");
    assert_eq!(site.get("viewer", &uri).await, request);
    let known = site.ask("viewer", "GET", &uri).header("if-none-match", "\"1\"").send().await;
    assert_eq!(known.status, 304);

    let stale = post(&site, "root", &format!("{uri}/approve"), &json!({ "version": 7 })).await;
    assert_eq!((stale.status.as_u16(), stale.problem().0), (409, "conflict".to_owned()));
    let offer = json!({ "resources": { "secrets": "12" }, "until": "2026-12-01", "comment": "Until the sale ends" });
    let offered = post(&site, "root", &format!("{uri}/offer"), &offer).await;
    assert_eq!((offered.status.as_u16(), &offered.json()["state"]), (200, &json!("offered")), "{}", offered.text());
    let accepted = post(&site, "developer", &format!("{uri}/accept"), &json!({ "version": 2 })).await;
    assert_eq!(
        (accepted.json()["state"].as_str(), accepted.headers["etag"].as_bytes()),
        (Some("approved"), &b"\"3\""[..])
    );
    let quota = site.get("viewer", "/api/v1/tenants/shop/quota").await;
    let quota = &quota["items"][0];
    assert_eq!((&quota["resources"][0]["limit"], &quota["resources"][0]["lent"]), (&json!("12"), &json!("2")));
    let loan = &quota["loans"][0];
    assert_eq!((&loan["request"], &loan["stage"]), (&request["id"], &json!("running")));
    let late = post(&site, "root", &format!("{uri}/refuse"), &json!({ "comment": "No" })).await;
    assert_eq!(late.status, 409);
}

#[tokio::test]
async fn lists_and_what_is_wrong() {
    let site = limited().await;
    let ask = async |secrets: &str| {
        let body = json!({ "resources": { "secrets": secrets }, "reason": "More" });
        post(&site, "owner", REQUESTS, &body).await
    };
    let less = ask("8").await.json();
    assert_eq!((&less["state"], &less["steps"][1]["by"]), (&json!("approved"), &json!("rule:decrease")));
    site.world.clock.advance(Duration::from_secs(1));
    assert_eq!(ask("20").await.json()["state"], "open");
    let wrong =
        json!({ "resources": { "secrets": "5", "cpu": "1" }, "reason": "", "namespace": "gone", "until": "soon" });
    let refused = post(&site, "owner", REQUESTS, &wrong).await;
    let fields = ["resources[cpu]", "until", "namespace", "reason"].map(str::to_owned).to_vec();
    assert_eq!(refused.problem(), ("invalid".to_owned(), fields));
    assert_eq!(ask("5").await.problem(), ("invalid".to_owned(), vec!["resources[secrets]".to_owned()]));
    assert_eq!(post(&site, "owner", REQUESTS, &json!({ "reason": "x" })).await.status, 422);

    let all = site.get("auditor", "/api/v1/admin/quota-requests?state=open&tenant=shop").await;
    assert_eq!((&all["total"], &all["items"][0]["ask"]["terms"]["resources"]["secrets"]), (&json!(1), &json!("20")));
    let newest = site.get("viewer", &format!("{REQUESTS}?limit=1")).await;
    assert_eq!(newest["items"][0]["state"], "open");
    let none = site.get("auditor", "/api/v1/admin/quota-requests?state=refused").await;
    assert_eq!(none["total"], 0);
    let unknown = site.ask("auditor", "GET", "/api/v1/admin/quota-requests?state=lost").send().await;
    assert_eq!(unknown.status, 422);
    assert_eq!(site.ask("outsider", "GET", REQUESTS).send().await.status, 404);
}
