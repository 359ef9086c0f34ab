//! Plans, quotas and shares, asked as a client asks.

use serde_json::{Value, json};

use crate::fixture::{Answer, Site};

const PLANS: &str = "/api/v1/plans";
const QUOTA: &str = "/api/v1/tenants/shop/quota";
const PROD: &str = "/api/v1/tenants/shop/namespaces/prod/quota";

async fn send(site: &Site, who: &str, method: &str, uri: &str, body: Value) -> Answer {
    site.ask(who, method, uri).json(&body).send().await
}

fn small() -> Value {
    json!({ "name": "small", "resources": { "pods": "10", "requests.memory": "8192Mi" } })
}

#[tokio::test]
async fn from_a_plan_to_a_share() {
    let site = Site::new().await;
    let made = send(&site, "root", "POST", PLANS, small()).await;
    assert_eq!(
        (made.status.as_u16(), made.header("location"), made.header("etag")),
        (201, "/api/v1/plans/small", "\"1\"")
    );
    assert_eq!(made.json()["resources"], json!({ "requests.memory": "8Gi", "pods": "10" }));
    assert_eq!(made.json()["defaults"]["memoryLimit"], "512Mi", "defaults for containers come with it");

    let unlimited = site.get("viewer", QUOTA).await;
    assert_eq!((&unlimited["items"][0]["limited"], &unlimited["total"]), (&json!(false), &json!(1)));
    // `prod` has pods: without a share it would have none, so that comes first.
    let share = json!({ "resources": { "pods": "6", "requests.memory": "4Gi" } });
    assert_eq!(send(&site, "owner", "PUT", PROD, share).await.status, 200);
    let set = send(&site, "root", "PUT", QUOTA, json!({ "plan": "small" })).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let rows = &set.json()["resources"];
    assert_eq!(rows[1], json!({ "resource": "pods", "limit": "10", "shared": "6", "left": "4", "used": null }));

    let shown = site.get("viewer", PROD).await;
    assert_eq!(shown["enforced"], json!({ "requests.memory": "4Gi", "pods": "6" }));
    let staging = site.get("viewer", "/api/v1/tenants/shop/namespaces/staging/quota").await;
    assert_eq!((&staging["share"], &staging["enforced"]["pods"]), (&Value::Null, &json!("0")));
    let part = json!({ "from": "prod", "to": "staging", "resources": { "pods": "2" } });
    assert_eq!(send(&site, "owner", "POST", &format!("{QUOTA}/move"), part).await.status, 204);
    assert_eq!(site.get("viewer", PROD).await["share"]["pods"], "4");

    let plans = site.get("auditor", PLANS).await;
    assert_eq!((&plans["items"][0]["name"], &plans["items"][0]["tenants"]), (&json!("small"), &json!(1)));
    let used = site.ask("root", "DELETE", "/api/v1/plans/small").send().await;
    assert_eq!(used.problem(), ("invalid".to_owned(), vec!["plan".to_owned()]));
    let pressure = site.get("root", "/api/v1/admin/quotas?sort=-pressure&limited=true").await;
    assert_eq!((&pressure["total"], &pressure["items"][0]["plan"]), (&json!(1), &json!("small")));
    assert_eq!(site.ask("owner", "DELETE", PROD).send().await.status, 204);
    assert_eq!(site.get("viewer", PROD).await["share"], Value::Null);
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_key() {
    let site = Site::new().await;
    send(&site, "root", "POST", PLANS, small()).await;
    for (method, uri, body, want) in [
        (
            "POST",
            PLANS,
            json!({ "name": "Big", "resources": { "cpu": "1", "pods": "-1" } }),
            &["name", "resources[cpu]", "resources[pods]"][..],
        ),
        ("POST", PLANS, json!({ "name": "none", "resources": {} }), &["resources"]),
        (
            "POST",
            PLANS,
            json!({ "name": "big", "resources": { "pods": "1" }, "defaults": { "cpuRequest": "2" } }),
            &["defaults.cpuRequest"],
        ),
        ("PUT", QUOTA, json!({}), &["plan"]),
        ("PUT", QUOTA, json!({ "plan": "small", "unlimited": true }), &["plan"]),
        ("PUT", QUOTA, json!({ "plan": "tiny" }), &["plan"]),
        ("PUT", QUOTA, json!({ "cluster": "mars", "plan": "small" }), &["cluster"]),
        ("PUT", QUOTA, json!({ "resources": { "requests.cpu": "eight" } }), &["resources[requests.cpu]"]),
        ("PUT", PROD, json!({ "resources": { "requests.memory": "9" } }), &["resources[requests.memory]"]),
        (
            "POST",
            "/api/v1/tenants/shop/quota/move",
            json!({ "from": "prod", "to": "x", "resources": { "pods": "1" } }),
            &["to"],
        ),
        (
            "POST",
            "/api/v1/tenants/shop/namespaces",
            json!({ "name": "new1", "share": { "gpu": "1" } }),
            &["resources[gpu]"],
        ),
    ] {
        let answer = send(&site, "root", method, uri, body.clone()).await;
        let want = ("invalid".to_owned(), want.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
        assert_eq!(answer.problem(), want, "{method} {uri} {body}");
        assert_eq!(answer.status, 422);
    }
    let twice = send(&site, "root", "POST", PLANS, small()).await;
    assert_eq!((twice.status.as_u16(), twice.problem().1), (409, vec!["name".to_owned()]));
    assert_eq!(site.get("viewer", QUOTA).await["items"][0]["limited"], false, "nothing changed");
}

#[tokio::test]
async fn a_plan_is_changed_by_its_version_and_previewed() {
    let site = Site::new().await;
    send(&site, "root", "POST", PLANS, small()).await;
    let uri = "/api/v1/plans/small";
    let change = |tag: &str| {
        let body = json!({ "displayName": "Small", "resources": { "pods": "8" } });
        site.ask("root", "PUT", uri).header("if-match", tag).json(&body).send()
    };
    let changed = change("\"1\"").await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"2\""));
    assert_eq!(change("\"1\"").await.problem().0, "precondition-failed");
    assert_eq!(change("\"nonsense\"").await.problem().0, "precondition-failed");

    send(&site, "owner", "PUT", PROD, json!({ "resources": { "pods": "6" } })).await;
    send(&site, "root", "PUT", QUOTA, json!({ "plan": "small" })).await;
    let preview = send(&site, "root", "POST", &format!("{uri}/preview"), json!({ "resources": { "pods": "5" } })).await;
    let row = &preview.json()["items"][0];
    assert_eq!((&row["tenant"], &row["problems"][0]["code"]), (&json!("shop"), &json!("plan_shared")), "{row:#}");
    let refused = send(&site, "root", "PUT", uri, json!({ "resources": { "pods": "5" } })).await;
    assert_eq!(refused.problem().1, ["resources[pods]"]);
    assert_eq!(site.get("root", uri).await["resources"]["pods"], "8");
}
