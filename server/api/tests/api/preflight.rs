//! Before an app is written: what it would take, what cannot fit, and how to pass that by.

use berth_types::{FieldError, rows::UsageRow};
use serde_json::{Value, json};

use crate::fixture::{APPS, Answer, CHECKOUT, Site, spec};

fn limit(site: &Site, resource: &str, used: &str, limit: &str) {
    let row = UsageRow { resource: resource.to_owned(), used: used.to_owned(), limit: Some(limit.to_owned()) };
    site.world.cluster.set_usage(&site.prod, vec![row]);
}

async fn post(site: &Site, uri: &str, body: &Value) -> Answer {
    site.ask("developer", "POST", uri).json(body).send().await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn codes(list: &Value) -> Vec<(&str, &str)> {
    list.as_array().into_iter().flatten().map(|e| (text(&e["field"]), text(&e["code"]))).collect()
}

#[tokio::test]
async fn it_is_told_before_anything_is_written() {
    let site = Site::new().await;
    // `checkout` has 2 of the 8 pods that are there.
    limit(&site, "pods", "8", "10");
    let found = post(&site, &format!("{CHECKOUT}/preflight"), &json!({ "spec": spec("example.com/checkout:3") })).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    assert_eq!((&found["passes"], &found["policyAsked"]), (&json!(true), &json!(true)), "{found}");
    let pods =
        json!({ "resource": "pods", "limit": "10", "others": "6", "now": "2", "rest": "2", "peak": "3", "left": "1" });
    assert_eq!(found["headroom"], json!([pods]));
    assert_eq!(found["freshness"]["state"], "live");

    let mut big = spec("example.com/web:1");
    big["components"][0]["replicas"] = json!(3);
    let found = post(&site, &format!("{APPS}/preflight"), &json!({ "spec": big })).await.json();
    assert_eq!(
        (&found["passes"], codes(&found["errors"])),
        (&json!(false), vec![("spec.components[0].replicas", "quota_replicas")])
    );
    assert_eq!(found["errors"][0]["suggestions"], json!(["2"]));
    assert_eq!(site.get("viewer", APPS).await["total"], 1, "nothing was made");

    // What is wrong with the spec itself is told as when it is sent.
    let wrong = post(&site, &format!("{APPS}/preflight"), &json!({ "spec": { "components": [] } })).await;
    assert_eq!(wrong.problem().0, "invalid");
    let absent = post(&site, &format!("{APPS}/ghost/preflight"), &json!({ "spec": big })).await;
    assert_eq!(absent.status, 404);
}

#[tokio::test]
async fn what_cannot_fit_is_refused_unless_it_is_left_to_the_cluster() {
    let site = Site::new().await;
    limit(&site, "pods", "8", "10");
    let mut big = spec("example.com/web:1");
    big["components"][0]["replicas"] = json!(3);
    let new = json!({ "name": "web", "spec": big });
    let refused = post(&site, APPS, &new).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.problem(), ("quota-exceeded".to_owned(), vec!["spec.components[0].replicas".to_owned()]));
    let scale = format!("{CHECKOUT}/scale");
    let refused = post(&site, &scale, &json!({ "replicas": 5 })).await;
    assert_eq!(refused.problem(), ("quota-exceeded".to_owned(), vec!["replicas".to_owned()]));
    assert_eq!(refused.json()["errors"][0]["suggestions"], json!(["4"]));

    // At rest there is room for 4, and for no fifth while they are replaced.
    let done = post(&site, &scale, &json!({ "replicas": 4 })).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(codes(&done.json()["warnings"]), [("spec.components[0].rollout.maxSurge", "quota_stall")]);
    assert!(site.get("viewer", CHECKOUT).await.get("warnings").is_none(), "said once");

    for wrong in ["preflight=maybe", "preflihgt=skip"] {
        assert_eq!(post(&site, &format!("{scale}?{wrong}"), &json!({ "replicas": 5 })).await.problem().0, "invalid");
    }
    for (action, body) in [("suspend", json!({})), ("preflight", json!({ "spec": big }))] {
        let refused = post(&site, &format!("{CHECKOUT}/{action}?preflight=skip"), &body).await;
        assert_eq!(
            refused.problem(),
            ("invalid".to_owned(), vec!["preflight".to_owned()]),
            "{action} looks at nothing"
        );
    }
    let done = post(&site, &format!("{APPS}?preflight=skip"), &new).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let done = post(&site, &format!("{scale}?preflight=skip"), &json!({ "replicas": 5 })).await;
    assert_eq!(done.json()["spec"]["components"][0]["replicas"], 5);
    let entry = site.get("auditor", "/api/v1/admin/audit?action=app.scale&limit=1&sort=-at").await;
    assert_eq!(entry["items"][0]["detail"]["preflight"], "skipped", "{entry}");
}

#[tokio::test]
async fn policies_refuse_at_fields() {
    let site = Site::new().await;
    site.world.cluster.refuse_pods(vec![FieldError::new("spec.components[0].runAsUser", "pod_security", "no")]);
    let change = json!({ "spec": spec("example.com/checkout:3") });
    let put = || site.ask("developer", "PUT", CHECKOUT).header("if-match", "*").json(&change).send();
    assert_eq!(put().await.problem(), ("invalid".to_owned(), vec!["spec.components[0].runAsUser".to_owned()]));
    // Pods like those that run already are not tried.
    assert_eq!(post(&site, &format!("{CHECKOUT}/scale"), &json!({ "replicas": 3 })).await.status, 200);
    site.world.cluster.refuse_pods(Vec::new());
    assert_eq!(put().await.status, 200);
}

/// As without a preflight: it is not waited for, and nothing is said about room.
#[tokio::test]
async fn a_cluster_that_is_away_is_said_to_be() {
    let site = Site::new().await;
    limit(&site, "pods", "10", "10");
    site.world.cluster.set_down(Some("connection refused"));
    let refused = post(&site, &format!("{CHECKOUT}/scale"), &json!({ "replicas": 5 })).await;
    assert_eq!(refused.problem().0, "cluster-unavailable");
    let found = post(&site, &format!("{CHECKOUT}/preflight"), &json!({ "spec": spec("a:1") })).await.json();
    assert_eq!((&found["freshness"]["state"], &found["policyAsked"]), (&json!("stale"), &json!(false)), "{found}");
    assert_eq!(found["policyUnknown"], "connection refused");
}
