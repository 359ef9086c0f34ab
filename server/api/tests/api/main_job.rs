//! The main job, with a token: deploy, look, change, roll back, delete.

use serde_json::json;

use crate::fixture::{APPS, CHECKOUT, PODS, Site, spec};

#[tokio::test]
async fn deploy_watch_change_delete() {
    let site = Site::new().await;
    let made = site
        .ask("developer", "POST", APPS)
        .json(&json!({ "name": "web", "spec": spec("example.com/web:1") }))
        .send()
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let web = format!("{APPS}/web");
    assert_eq!(made.header("location"), web);
    let etag = made.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", made.json()["resourceVersion"].as_str().unwrap()));

    site.world.cluster.settle(&berth_core::testing::app_of(&site.prod, "web"));
    let app = site.get("viewer", &web).await;
    assert_eq!((&app["status"]["phase"], &app["status"]["ready"]), (&json!("Ready"), &json!("2/2")));
    let pods = site.get("viewer", &format!("{PODS}?app=web")).await;
    assert_eq!(pods["total"], 2);

    // What was read before it settled is old now.
    let stale = site.ask("developer", "PUT", &web).header("if-match", &etag).json(&json!({ "spec": spec("x:1") }));
    assert_eq!(stale.send().await.problem().0, "precondition-failed");
    let blind = site.ask("developer", "PUT", &web).json(&json!({ "spec": spec("x:1") })).send().await;
    assert_eq!((blind.status.as_u16(), blind.problem().0.as_str()), (428, "precondition-required"));
    assert_eq!(site.get("viewer", &web).await["spec"]["components"][0]["image"], "example.com/web:1");

    // Read as YAML, change a line, send it back.
    let read = site.ask("developer", "GET", &web).header("accept", "application/yaml").send().await;
    assert_eq!((read.status.as_u16(), read.header("content-type")), (200, "application/yaml"));
    let yaml = read.text().replace("example.com/web:1", "example.com/web:2");
    let put = site
        .ask("developer", "PUT", &web)
        .header("if-match", read.header("etag"))
        .raw("application/yaml", yaml)
        .send()
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(put.json()["spec"]["components"][0]["image"], "example.com/web:2");
    assert_ne!(put.header("etag"), etag);

    for (action, body, look, want) in [
        ("scale", json!({ "replicas": 5 }), "/spec/components/0/replicas", json!(5)),
        ("suspend", json!({}), "/spec/suspended", json!(true)),
        ("resume", json!({}), "/status/phase", json!("Progressing")),
        ("rollback", json!({ "revision": 1 }), "/spec/components/0/image", json!("example.com/web:1")),
        ("restart", json!({}), "/name", json!("web")),
    ] {
        let done = site.ask("developer", "POST", &format!("{web}/{action}")).json(&body).send().await;
        assert_eq!(done.status, 200, "{action}: {}", done.text());
        assert_eq!(done.json().pointer(look), Some(&want), "{action}: {}", done.text());
    }
    assert!(site.get("viewer", &web).await["spec"].get("suspended").is_none(), "resumed");
    // Nothing to say needs no body.
    assert_eq!(site.ask("developer", "POST", &format!("{web}/restart")).send().await.status, 200);

    let revisions = site.get("viewer", &format!("{web}/revisions")).await;
    let numbers: Vec<i64> =
        revisions["items"].as_array().unwrap().iter().map(|r| r["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1], "newest first");
    let one = site.get("viewer", &format!("{web}/revisions/2")).await;
    assert_eq!(one["images"], json!(["example.com/web:2"]));
    let diff = site.get("viewer", &format!("{web}/revisions/2/diff?to=3")).await;
    let unified = diff["unified"].as_str().unwrap();
    assert!(
        unified.contains("-  image: example.com/web:2\n") && unified.contains("+  image: example.com/web:1\n"),
        "{diff}"
    );
    assert!(unified.contains("+  replicas: 5\n"), "what was scaled up stays so: {diff}");
    let wrong = site.ask("viewer", "GET", &format!("{web}/revisions/2/diff?to=9")).send().await;
    assert_eq!(wrong.problem(), ("invalid".to_owned(), vec!["to".to_owned()]));

    let deleted = site.ask("developer", "DELETE", &web).header("if-match", "\"1\"").send().await;
    assert_eq!(deleted.problem().0, "precondition-failed");
    assert_eq!(site.ask("developer", "DELETE", &web).send().await.status, 204);
    assert_eq!(site.ask("developer", "GET", &web).send().await.problem().0, "not-found");

    let did: Vec<String> =
        site.world.store.audit().into_iter().filter(|e| e.outcome == "done").map(|e| e.action).collect();
    for action in [
        "app.create",
        "app.update",
        "app.scale",
        "app.suspend",
        "app.resume",
        "app.rollback",
        "app.restart",
        "app.delete",
    ] {
        assert!(did.iter().any(|done| done == action), "{action} is not in the audit log");
    }
}

#[tokio::test]
async fn patches_keep_what_they_do_not_name() {
    let site = Site::new().await;
    let before = site.ask("developer", "GET", CHECKOUT).send().await;
    let patch = json!({ "spec": { "revisionHistoryLimit": 20 } });
    let ask = || site.ask("developer", "PATCH", CHECKOUT);
    let done = ask()
        .header("if-match", before.header("etag"))
        .raw("application/merge-patch+json", patch.to_string())
        .send()
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["spec"]["components"], before.json()["spec"]["components"]);
    assert_eq!(done.json()["spec"]["revisionHistoryLimit"], 20);
    let stale = ask().header("if-match", before.header("etag")).json(&patch).send().await;
    assert_eq!(stale.status, 412);
    let removed = ask().json(&json!({ "spec": { "revisionHistoryLimit": null } })).send().await;
    assert!(removed.json()["spec"].get("revisionHistoryLimit").is_none());
    let wrong = ask().json(&json!({ "spec": { "components": null } })).send().await;
    assert_eq!(wrong.problem(), ("invalid".to_owned(), vec!["spec.components".to_owned()]));
}

#[tokio::test]
async fn tenants_members_namespaces() {
    let site = Site::new().await;
    let made =
        site.ask("root", "POST", "/api/v1/tenants").json(&json!({ "name": "games", "owner": "viewer" })).send().await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/tenants/games"), "{}", made.text());
    let twice = site.ask("root", "POST", "/api/v1/tenants").json(&json!({ "name": "games" })).send().await;
    assert_eq!((twice.status.as_u16(), twice.problem()), (409, ("already-exists".to_owned(), vec!["name".to_owned()])));

    let games = "/api/v1/tenants/games";
    let read = site.ask("viewer", "GET", games).send().await;
    assert_eq!((read.header("etag"), &read.json()["role"]), ("\"1\"", &json!("owner")));
    let rename = |tag: &str| {
        site.ask("viewer", "PATCH", games).header("if-match", tag).json(&json!({ "displayName": "Games" })).send()
    };
    let renamed = rename("\"1\"").await;
    assert_eq!((renamed.header("etag"), &renamed.json()["displayName"]), ("\"2\"", &json!("Games")));
    assert_eq!(rename("\"1\"").await.status, 412);
    let unchanged = site.ask("viewer", "GET", games).header("if-none-match", "\"2\"").send().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text().as_str()), (304, ""));

    let member = format!("{games}/members/developer");
    let put = site.ask("viewer", "PUT", &member).json(&json!({ "role": "admin" })).send().await;
    assert_eq!((put.status.as_u16(), &put.json()["role"]), (200, &json!("admin")));
    let unknown =
        site.ask("viewer", "PUT", &format!("{games}/members/nobody")).json(&json!({ "role": "admin" })).send().await;
    assert_eq!(unknown.problem(), ("invalid".to_owned(), vec!["user".to_owned()]));
    let wrong = site.ask("viewer", "PUT", &member).json(&json!({ "role": "boss" })).send().await;
    assert_eq!(wrong.problem(), ("invalid".to_owned(), vec!["role".to_owned()]));
    let last = site.ask("viewer", "DELETE", &format!("{games}/members/viewer")).send().await;
    assert_eq!(last.problem().0, "invalid", "a tenant keeps an owner");
    assert_eq!(site.ask("viewer", "DELETE", &member).send().await.status, 204);

    let spaces = format!("{games}/namespaces");
    let made = site.ask("viewer", "POST", &spaces).json(&json!({ "name": "dev" })).send().await;
    assert_eq!((made.status.as_u16(), &made.json()["kubeName"]), (201, &json!("games-dev")));
    assert!(site.world.cluster.namespaces().iter().any(|n| n.kube_name == "games-dev"));
    let listed = site.get("viewer", &spaces).await;
    assert_eq!(listed["items"][0]["apps"], json!({ "degraded": 0, "progressing": 0, "ready": 0, "suspended": 0 }));
    let prod = site.get("viewer", "/api/v1/tenants/shop/namespaces/prod").await;
    assert_eq!((&prod["apps"]["ready"], &prod["pods"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn me_search_and_people() {
    let site = Site::new().await;
    let me = site.get("viewer", "/api/v1/me").await;
    assert_eq!((&me["name"], &me["tenants"][0]["name"]), (&json!("viewer"), &json!("shop")));
    let tokens = site.get("viewer", "/api/v1/me/tokens").await;
    assert_eq!(tokens["total"], 1);
    assert!(!tokens.to_string().contains(site.token("viewer")), "no secret is listed");

    let hits = site.get("viewer", "/api/v1/search?q=check").await;
    assert_eq!((&hits["items"][0]["kind"], &hits["items"][0]["href"]), (&json!("app"), &json!(CHECKOUT)));
    assert_eq!(site.get("outsider", "/api/v1/search?q=check").await["total"], 0);

    let made = site.ask("root", "POST", "/api/v1/admin/users").json(&json!({ "name": "zoe" })).send().await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"), "{}", made.text());
    assert!(made.json()["password"].as_str().unwrap().len() >= 20);
    let zoe = "/api/v1/admin/users/zoe";
    let change = |body: serde_json::Value| site.ask("root", "PUT", zoe).json(&body).send();
    let partial = change(json!({ "displayName": "Zoe", "disabled": true })).await;
    assert_eq!(partial.problem(), ("invalid".to_owned(), vec!["platformRole".to_owned()]), "no role by accident");
    let done = change(json!({ "displayName": "Zoe", "platformRole": null, "disabled": true })).await;
    assert_eq!((done.status.as_u16(), &done.json()["disabled"]), (200, &json!(true)));
    let own = site.ask("root", "PUT", "/api/v1/admin/users/root");
    let own = own.json(&json!({ "displayName": "Root", "platformRole": null, "disabled": false })).send().await;
    assert_eq!(own.problem(), ("invalid".to_owned(), vec!["platformRole".to_owned()]));
    let reset = site.ask("root", "POST", &format!("{zoe}/reset-password")).send().await;
    assert!(reset.json()["password"].is_string(), "{}", reset.text());
    let disabled = site.get("auditor", "/api/v1/admin/users?disabled=true").await;
    assert_eq!((&disabled["total"], &disabled["items"][0]["name"]), (&json!(1), &json!("zoe")));
    let audit = site.get("auditor", "/api/v1/admin/audit?action=user.create&q=zoe").await;
    assert_eq!((&audit["total"], &audit["items"][0]["actor"]), (&json!(1), &json!("root")));
}
