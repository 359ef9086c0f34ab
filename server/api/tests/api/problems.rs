//! Bad input: each gets a problem that names the place and what is allowed, and changes nothing.

use std::time::Duration;

use berth_api::Options;
use berth_core::{ports::cluster::Cluster as _, testing::app_of};
use serde_json::json;

use crate::fixture::{APPS, CHECKOUT, PODS, Site, spec};

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let site = Site::new().await;
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(600 * 1024));
    for (kind, body, status, code, says) in [
        ("application/json", "{\"name\": }".to_owned(), 400, "malformed", "line 1, column 10"),
        ("application/json", "{\"name\":\"a\",\"name\":\"b\"}".to_owned(), 400, "malformed", "stands twice"),
        ("application/json", deep, 400, "malformed", "nested deeper than 32"),
        ("application/json", large, 413, "too-large", "512 KiB"),
        ("application/yaml", "name: [".to_owned(), 400, "malformed", "YAML"),
        ("application/yaml", "a: &a [1]\nb: *a\n".to_owned(), 400, "malformed", "YAML"),
        ("application/yaml", "\u{fffd}".replace('\u{fffd}', "\u{1}"), 400, "malformed", "YAML"),
        ("text/html", "<p>".to_owned(), 415, "unsupported-media-type", "application/json or application/yaml"),
        ("application/json", "[]".to_owned(), 422, "invalid", ""),
        ("application/json", "[\"arr\", {\"components\": []}]".to_owned(), 422, "invalid", "an object is meant"),
        ("application/json; charset=latin1", "{}".to_owned(), 415, "unsupported-media-type", "UTF-8"),
        ("application/yaml", "a: 1\na: 2\n".to_owned(), 400, "malformed", "twice"),
    ] {
        let answer = site.ask("developer", "POST", APPS).raw(kind, body.clone()).send().await;
        let short: String = body.chars().take(40).collect();
        assert_eq!(answer.status.as_u16(), status, "{short}: {}", answer.text());
        assert_eq!(answer.problem().0, code, "{short}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{short}: {}", answer.text());
    }
    assert_eq!(site.get("viewer", APPS).await["total"], 1, "nothing was made");
}

#[tokio::test]
async fn fields_that_are_wrong() {
    let site = Site::new().await;
    let main = |field: &str, value: serde_json::Value| {
        let mut spec = spec("a:1");
        spec["components"][0][field] = value;
        json!({ "name": "web", "spec": spec })
    };
    for (body, fields) in [
        (json!({ "name": "Web Shop", "spec": { "components": [] } }), vec!["name", "spec.components"]),
        (main("replica", json!(1)), vec!["spec.components[0].replica"]),
        (main("replicas", json!("many")), vec!["spec.components[0].replicas"]),
        (json!({ "name": "web" }), vec!["spec"]),
        (json!({ "name": "web", "spec": spec("a:1"), "colour": "red" }), vec!["colour"]),
        (
            json!({ "kind": "Deployment", "apiVersion": "berth.dev/v1alpha1", "metadata": { "name": "web" } }),
            vec!["kind"],
        ),
    ] {
        let answer = site.ask("developer", "POST", APPS).json(&body).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), fields.into_iter().map(str::to_owned).collect()), "{body}");
    }
    for (uri, body, field) in [
        ("/scale", json!({ "replicas": -1 }), "replicas"),
        ("/scale", json!({ "replicas": 1, "component": "worker" }), "component"),
        ("/rollback", json!({ "revision": 9 }), "revision"),
        ("/restart", json!({ "now": true }), "now"),
    ] {
        let answer = site.ask("developer", "POST", &format!("{CHECKOUT}{uri}")).json(&body).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec![field.to_owned()]), "{uri} {body}");
    }
    for patch in [json!({ "spec": null }), json!({})] {
        let answer = site.ask("developer", "PATCH", CHECKOUT).json(&patch).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec!["spec".to_owned()]), "{patch}");
    }
    let other = site.ask("developer", "PUT", CHECKOUT).header("if-match", "*");
    let other = other.json(&json!({ "name": "web", "spec": spec("a:1") })).send().await;
    assert_eq!(other.problem().1, ["name"]);
    assert_eq!(site.get("viewer", APPS).await["total"], 1, "nothing was made");
}

#[tokio::test]
async fn paths_methods_and_parameters() {
    let site = Site::new().await;
    for uri in ["/api/v1/nothing", "/api/v2/apps", "/api", "/api/v1", &format!("{CHECKOUT}/nothing")] {
        let answer = site.ask("viewer", "GET", uri).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (404, "not-found"), "{uri}");
    }
    let answer = site.ask("viewer", "DELETE", APPS).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (405, "method-not-allowed"));
    let allow: Vec<&str> = answer.header("allow").split(',').collect();
    assert!(allow.contains(&"GET") && allow.contains(&"POST"), "{allow:?}");

    for (uri, field) in [
        (format!("{APPS}?colour=red"), "colour"),
        (format!("{APPS}?sort=size"), "sort"),
        (format!("{APPS}?limit=9999"), "limit"),
        (format!("{APPS}?phase=fine"), "phase"),
        (format!("{APPS}?cursor=nonsense"), "cursor"),
        (format!("{PODS}?phase=Ready"), "phase"),
        (format!("{CHECKOUT}/logs?since=yesterday"), "since"),
        (format!("{CHECKOUT}/logs?follow=maybe"), "follow"),
        (format!("{CHECKOUT}/logs?tail=-1"), "tail"),
        ("/api/v1/search?query=a".to_owned(), "query"),
    ] {
        let answer = site.ask("viewer", "GET", &uri).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec![field.to_owned()]), "{uri}");
    }
    let weak = site.ask("developer", "DELETE", CHECKOUT).header("if-match", "W/\"1\"").send().await;
    assert_eq!(weak.problem().0, "malformed");
    // A name that nobody can have is as absent as any other.
    assert_eq!(site.ask("viewer", "GET", &format!("{APPS}/Bad_Name")).send().await.status, 404);
}

#[tokio::test]
async fn request_ids_and_challenges() {
    let site = Site::new().await;
    let answer = site.ask("", "GET", "/api/v1/me").header("x-request-id", "mine-1").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer realm=\"berth\""));
    assert_eq!((answer.header("x-request-id"), &answer.json()["requestId"]), ("mine-1", &json!("mine-1")));
    let answer = site.ask("", "GET", "/api/v1/me").header("authorization", "Bearer berth_wrong").send().await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"berth\", error=\"invalid_token\"");
    let odd = site.ask("viewer", "GET", "/api/v1/me").header("x-request-id", "a b").send().await;
    assert!(odd.header("x-request-id").starts_with("api-"), "an unusable id is replaced");
}

#[tokio::test]
async fn our_faults_say_nothing_of_the_inside() {
    let site = Site::new().await;
    site.world.store.set_down(true);
    let answer = site.ask("viewer", "GET", APPS).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (500, "internal"));
    assert!(!answer.text().contains("fake database"), "{}", answer.text());
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_still_shows_what_it_last_said() {
    let site = Site::new().await;
    site.world.cluster.set_down(Some("the API server does not answer"));
    let down_at = site.world.system().now().to_string();
    site.world.clock.advance(Duration::from_secs(60));
    let list = site.get("viewer", APPS).await;
    assert_eq!((&list["total"], &list["asOf"]), (&json!(1), &json!(down_at)));
    let app = site.ask("viewer", "GET", CHECKOUT).send().await;
    assert_eq!((app.status.as_u16(), app.header("berth-as-of")), (200, down_at.as_str()));
    let write = site.ask("developer", "POST", &format!("{CHECKOUT}/restart")).send().await;
    assert_eq!((write.status.as_u16(), write.problem().0.as_str()), (503, "cluster-unavailable"));
}

#[tokio::test]
async fn a_change_under_way_is_completed_when_time_is_up() {
    let site = Site::with(Options { request_timeout: Duration::from_millis(50), ..Options::default() }).await;
    site.world.cluster.hold(true);
    let read = site.ask("developer", "GET", &format!("{CHECKOUT}/revisions")).send().await;
    assert_eq!((read.status.as_u16(), read.problem().0.as_str()), (504, "timeout"));
    let body = json!({ "name": "web", "spec": spec("a:1") });
    let answer = site.ask("developer", "POST", APPS).json(&body).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (504, "timeout"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("may still be made"));

    let done = || site.world.store.audit().iter().any(|e| e.action == "app.create" && e.outcome == "done");
    assert!(!done());
    site.world.cluster.hold(false);
    for _ in 0..10_000 {
        if done() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(done() && site.world.cluster.app(&app_of(&site.prod, "web")).is_some());
}

#[tokio::test]
async fn beside_pages_with_a_fallback_of_their_own() {
    let mut site = Site::new().await;
    let pages = || axum::Router::new().fallback(|| async { "a page" });
    let api = site.router.clone();
    for router in [pages().merge(api.clone()), api.merge(pages())] {
        site.router = router;
        assert_eq!(site.ask("viewer", "GET", "/elsewhere").send().await.text(), "a page");
        for uri in ["/api/nothing", "/api/v1/nothing", "/api/v1/tenants/shop/nothing"] {
            assert_eq!(site.ask("viewer", "GET", uri).send().await.problem().0, "not-found", "{uri}");
        }
        assert_eq!(site.ask("viewer", "PATCH", APPS).send().await.problem().0, "method-not-allowed");
        assert_eq!(site.get("viewer", APPS).await["total"], 1);
    }
}

#[tokio::test]
async fn what_another_app_has_is_taken() {
    let site = Site::new().await;
    let ingress =
        |name: &str, components: serde_json::Value| json!({ "name": name, "spec": { "components": components } });
    let main = |host: &str| {
        json!({ "name": "main", "image": "a:1", "ports": [{ "port": 80 }],
            "expose": { "type": "Ingress", "host": host } })
    };
    let web = ingress("web", json!([main("a.example.com"), { "name": "api", "image": "a:1" }]));
    assert_eq!(site.ask("developer", "POST", APPS).json(&web).send().await.status, 201);

    let clash = ingress("web-api", json!([{ "name": "main", "image": "a:1" }]));
    let answer = site.ask("developer", "POST", APPS).json(&clash).send().await;
    assert_eq!(answer.problem(), ("invalid".to_owned(), vec!["name".to_owned()]));
    assert!(answer.text().contains("“web”"), "{}", answer.text());

    let host = vec!["spec.components[0].expose.host".to_owned()];
    let same = ingress("shop", json!([main("a.example.com")]));
    let answer = site.ask("developer", "POST", APPS).json(&same).send().await;
    assert_eq!(answer.problem(), ("invalid".to_owned(), host.clone()));
    assert!(answer.text().contains("“web”"), "one's own is named: {}", answer.text());

    site.world.namespace(&site.other, "dev").await;
    let there = "/api/v1/tenants/other/namespaces/dev/apps";
    let answer = site.ask("outsider", "POST", there).json(&same).send().await;
    assert_eq!(answer.problem(), ("invalid".to_owned(), host));
    assert!(answer.text().contains("used by another app") && !answer.text().contains("web"), "{}", answer.text());
    let free = ingress("shop", json!([main("b.example.com")]));
    assert_eq!(site.ask("outsider", "POST", there).json(&free).send().await.status, 201);
}

#[tokio::test]
async fn an_app_that_goes_away_is_left_alone() {
    let site = Site::new().await;
    site.world.cluster.set_deleting(&site.checkout());
    assert_eq!(site.get("viewer", APPS).await["items"][0]["deleting"], true);
    for (method, uri, body, says) in [
        ("POST", format!("{CHECKOUT}/scale"), json!({ "replicas": 1 }), "is being deleted"),
        ("POST", format!("{CHECKOUT}/rollback"), json!({ "revision": 1 }), "is being deleted"),
        ("PUT", CHECKOUT.to_owned(), json!({ "spec": spec("a:1") }), "is being deleted"),
        ("PATCH", CHECKOUT.to_owned(), json!({ "spec": {} }), "is being deleted"),
        ("POST", APPS.to_owned(), json!({ "name": "checkout", "spec": spec("a:1") }), "is still being deleted"),
    ] {
        let mut ask = site.ask("developer", method, &uri).json(&body);
        if method == "PUT" {
            ask = ask.header("if-match", "*");
        }
        let answer = ask.send().await;
        assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (409, "conflict"), "{method} {uri}");
        assert!(answer.text().contains(says), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_would_be_lost_or_ignored_is_refused() {
    let site = Site::new().await;
    let object = |metadata: serde_json::Value| json!({ "apiVersion": "berth.dev/v1alpha1", "kind": "App", "metadata": metadata, "spec": spec("a:1") });
    for (metadata, field) in [
        (json!({ "name": "web", "namespace": "other-prod" }), "metadata.namespace"),
        (json!({ "name": "web", "labels": { "a": "b" } }), "metadata.labels"),
        (json!({ "name": "web", "annotations": { "a": "b" } }), "metadata.annotations"),
        (json!({ "name": "web", "finalizers": ["a/b"] }), "metadata.finalizers"),
    ] {
        let answer = site.ask("developer", "POST", APPS).json(&object(metadata)).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec![field.to_owned()]));
    }
    let answer = site.ask("developer", "POST", &format!("{APPS}?dryRun=1"));
    let answer = answer.json(&json!({ "name": "web", "spec": spec("a:1") })).send().await;
    assert_eq!(answer.problem(), ("invalid".to_owned(), vec!["dryRun".to_owned()]));
    let answer = site.ask("viewer", "GET", &format!("{CHECKOUT}/logs?container=zz")).send().await;
    assert_eq!(answer.problem(), ("invalid".to_owned(), vec!["container".to_owned()]));
    assert!(answer.text().contains("main"), "{}", answer.text());
    assert_eq!(site.get("viewer", APPS).await["total"], 1, "nothing was made");
    let marked = format!("\u{feff}{}", object(json!({ "name": "web", "namespace": "shop-prod" })));
    let answer = site.ask("developer", "POST", APPS).raw("application/json", marked).send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn forms_that_nobody_offers() {
    let site = Site::new().await;
    let answer = site.ask("viewer", "GET", APPS).header("accept", "image/png").send().await;
    assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (406, "not-acceptable"));
    for accept in ["*/*", "text/html, */*;q=0.8", "application/json"] {
        let answer = site.ask("viewer", "GET", APPS).header("accept", accept).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-content-type-options")), (200, "nosniff"), "{accept}");
        assert_eq!(answer.json()["freshness"]["state"], "live");
    }
}

#[tokio::test]
async fn refusals_say_what_is_not_allowed() {
    let site = Site::new().await;
    let own = site.ask("root", "POST", "/api/v1/admin/users/root/reset-password").json(&json!({})).send().await;
    assert_eq!(
        (own.status.as_u16(), own.json()["detail"].as_str()),
        (403, Some("an API token cannot change the account it belongs to"))
    );
}
