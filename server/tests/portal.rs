//! The portal whole: store, cluster (the embedded one, or the real one of `BERTH_TEST_KUBECONFIG`), services, pages and API in
//! one process, asked over its router.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/people.rs"]
mod people;

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use berth::{config, serve::Portal};
use berth_core::OpCtx;
use berth_types::{PlatformRole, TenantRole, people::TokenScope};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Running {
    portal: Portal,
    _data: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let data_folder = tempfile::tempdir().unwrap();
        let real = std::env::var("BERTH_TEST_KUBECONFIG").ok();
        let sim = real.is_none();
        let data = Some(data_folder.path().to_owned());
        let flags =
            config::Flags { data, sim: Some(sim), kubeconfig: real.map(Into::into), ..config::Flags::default() };
        let settings = config::load(&flags).unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Self { portal: Portal::start(&settings, metrics).await.unwrap(), _data: data_folder }
    }

    fn system(&self) -> OpCtx {
        OpCtx::system(self.portal.services.clock().clone(), "test")
    }

    /// A person who has chosen a password; a token and a session cookie of theirs.
    async fn person(&self, name: &str, role: Option<PlatformRole>) -> (String, String) {
        let services = &self.portal.services;
        let (user, session) = people::person(services, name, role).await;
        let (_, token) = services
            .create_token_for(&self.system(), &user.name, "test", TokenScope::default(), Duration::from_hours(1))
            .await
            .unwrap();
        (token.expose_secret().to_owned(), format!("berth-plain={}", session.secret.expose_secret()))
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.portal.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        (status, value)
    }

    /// Asks until `wanted` holds; fails with the last answer after a minute.
    async fn until(&self, path: &str, token: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.portal.services.clusters().all()[0].subscribe();
        let mut last = Value::Null;
        let found = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                last = self.ask(Method::GET, path, token, None).await.1;
                if wanted(&last) {
                    return;
                }
                // Woken by a change, or by the clock where the condition needs none.
                let _ = tokio::time::timeout(Duration::from_millis(500), changes.recv()).await;
            }
        });
        assert!(found.await.is_ok(), "{path} stayed {last:#}");
        last
    }

    async fn stream_status(&self, path: &str, cookie: Option<&str>) -> StatusCode {
        let mut request = Request::builder().uri(path).header(header::HOST, "127.0.0.1:8080");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.portal.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    }
}

fn spec(image: &str, replicas: i32) -> Value {
    json!({ "components": [{
        "name": "main", "image": image, "replicas": replicas,
        "ports": [{ "port": 8080 }], "expose": { "type": "Internal" },
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "128Mi" } },
    }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_through_the_api() {
    let running = Running::start().await;
    let (token, _) = running.person("root", Some(PlatformRole::Admin)).await;
    let t = token.as_str();
    let base = "/api/v1/tenants/shop/namespaces/dev/apps";
    let post = async |path: &str, body: Value| running.ask(Method::POST, path, t, Some(body)).await;

    assert_eq!(post("/api/v1/tenants", json!({ "name": "shop" })).await.0, StatusCode::CREATED);
    assert_eq!(post("/api/v1/tenants/shop/namespaces", json!({ "name": "dev" })).await.0, StatusCode::CREATED);
    let (status, made) = post(base, json!({ "name": "web", "spec": spec("registry.example.com/shop/web:1", 2) })).await;
    assert_eq!(status, StatusCode::CREATED, "{made:#}");
    let app = format!("{base}/web");
    running.until(&app, t, |a| a["status"]["phase"] == "Ready" && a["status"]["ready"] == "2/2").await;
    let pods = running.ask(Method::GET, "/api/v1/tenants/shop/namespaces/dev/pods?app=web", t, None).await.1;
    assert_eq!(pods["total"], 2);
    let (status, log) = running.ask(Method::GET, &format!("{app}/logs?tail=5"), t, None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(log.as_str().is_some_and(|text| !text.is_empty()), "{log}");

    // A revision that fails says why, in a sentence.
    let version = running.ask(Method::GET, &app, t, None).await.1;
    let body = json!({ "spec": spec("registry.example.com/shop/web:missing", 2) });
    let put = Request::builder()
        .method(Method::PUT)
        .uri(&app)
        .header(header::AUTHORIZATION, format!("Bearer {t}"))
        .header(header::IF_MATCH, format!("\"{}\"", version["resourceVersion"].as_str().unwrap()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    assert_eq!(running.portal.router.clone().oneshot(put).await.unwrap().status(), StatusCode::OK);
    let failing = running.until(&app, t, |a| a["status"]["phase"] == "Degraded").await;
    assert_eq!(failing["status"]["cause"]["code"], "image-pull", "{failing:#}");

    assert_eq!(post(&format!("{app}/rollback"), json!({ "revision": 1 })).await.0, StatusCode::OK);
    let back = running.until(&app, t, |a| a["status"]["phase"] == "Ready").await;
    assert_eq!(back["spec"]["components"][0]["image"], "registry.example.com/shop/web:1");
    assert_eq!(back["status"]["revision"], 3);

    assert_eq!(post(&format!("{app}/scale"), json!({ "replicas": 3 })).await.0, StatusCode::OK);
    running.until(&app, t, |a| a["status"]["ready"] == "3/3").await;

    // Bad input stands at its field and changes nothing.
    let (status, refused) = post(base, json!({ "name": "Web!", "spec": spec("HTTP://x", 1) })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<&str> = refused["errors"].as_array().unwrap().iter().filter_map(|e| e["field"].as_str()).collect();
    assert_eq!(fields, ["name", "spec.components[0].image"], "{refused:#}");

    let delete = Request::builder()
        .method(Method::DELETE)
        .uri(&app)
        .header(header::AUTHORIZATION, format!("Bearer {t}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(running.portal.router.clone().oneshot(delete).await.unwrap().status(), StatusCode::NO_CONTENT);
    running.until(base, t, |list| list["total"] == 0).await;
    running.until("/api/v1/tenants/shop/namespaces/dev/pods", t, |list| list["total"] == 0).await;
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_an_app_back_until_it_is_raised() {
    let running = Running::start().await;
    let (token, _) = running.person("root", Some(PlatformRole::Admin)).await;
    let t = token.as_str();
    let send = async |method: Method, path: &str, body: Value| running.ask(method, path, t, Some(body)).await;
    let (tenant, dev) = ("/api/v1/tenants/shop", "/api/v1/tenants/shop/namespaces/dev");
    assert_eq!(send(Method::POST, "/api/v1/tenants", json!({ "name": "shop" })).await.0, StatusCode::CREATED);
    let plan = json!({ "name": "small", "resources": { "requests.cpu": "1", "pods": "10" } });
    assert_eq!(send(Method::POST, "/api/v1/plans", plan).await.0, StatusCode::CREATED);
    let (status, set) = send(Method::PUT, &format!("{tenant}/quota"), json!({ "plan": "small" })).await;
    assert_eq!((status, &set["plan"]), (StatusCode::OK, &json!("small")), "{set:#}");
    let much = json!({ "name": "dev", "share": { "requests.cpu": "2" } });
    let (status, refused) = send(Method::POST, &format!("{tenant}/namespaces"), much).await;
    assert_eq!(
        (status, &refused["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("resources[requests.cpu]"))
    );
    let share = format!("{dev}/quota");
    let some = json!({ "name": "dev", "share": { "requests.cpu": "150m", "pods": "5" } });
    assert_eq!(send(Method::POST, &format!("{tenant}/namespaces"), some).await.0, StatusCode::CREATED);

    // Two pods of 100m each are more than the share. That is said before anything is made, unless nobody wants to know.
    let app = json!({ "name": "web", "spec": spec("registry.example.com/shop/web:1", 2) });
    // A cache that is not live, or has not heard of the quota yet, knows of nothing that is too much.
    let counted = |usage: &Value| {
        usage["freshness"]["state"] == "live" && usage["items"].as_array().is_some_and(|rows| rows.len() == 2)
    };
    running.until(&format!("{dev}/usage"), t, counted).await;
    let (status, refused) = send(Method::POST, &format!("{dev}/apps"), app.clone()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("quota-exceeded")), "{refused:#}");
    assert_eq!(send(Method::POST, &format!("{dev}/apps?preflight=skip"), app).await.0, StatusCode::CREATED);
    let web = format!("{dev}/apps/web");
    let held = running.until(&web, t, |a| a["status"]["phase"] == "Degraded").await;
    assert_eq!(held["status"]["cause"]["code"], "quota-exceeded", "{held:#}");
    assert_eq!(held["status"]["cause"]["params"]["quota"], "berth");

    let raise = json!({ "resources": { "requests.cpu": "300m", "pods": "5" } });
    assert_eq!(send(Method::PUT, &share, raise).await.0, StatusCode::OK);
    running.until(&web, t, |a| a["status"]["phase"] == "Ready" && a["status"]["ready"] == "2/2").await;
    running.until(&share, t, |s| s["used"]["requests.cpu"] == "200m" && s["used"]["pods"] == "2").await;

    // Less than is in use is refused, for the share as for the tenant and for the plan; nothing changes.
    let less = json!({ "resources": { "requests.cpu": "100m", "pods": "5" } });
    let (status, refused) = send(Method::PUT, &share, less.clone()).await;
    assert_eq!((status, &refused["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("quota_below_use")));
    let (status, refused) = send(Method::PUT, "/api/v1/plans/small", less).await;
    assert_eq!((status, &refused["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("plan_shared")));
    let own = json!({ "resources": { "requests.cpu": "1", "pods": "10", "requests.memory": "4Gi" } });
    let (status, refused) = send(Method::PUT, &format!("{tenant}/quota"), own).await;
    let code = &refused["errors"][0]["code"];
    assert_eq!((status, code), (StatusCode::UNPROCESSABLE_ENTITY, &json!("quota_below_running")), "{refused:#}");
    assert_eq!(running.ask(Method::GET, &share, t, None).await.1["share"]["requests.cpu"], "300m");
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_names_who_signed_in() {
    let running = Running::start().await;
    let (token, _) = running.person("ops", Some(PlatformRole::Admin)).await;
    let (_, log) = running.ask(Method::GET, "/api/v1/admin/audit?action=session.begin", &token, None).await;
    let entries = log["items"].as_array().unwrap();
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry["actor"] == "ops"), "{log:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_namespaces_that_want_one_name_in_the_cluster_get_two() {
    let running = Running::start().await;
    let (token, _) = running.person("root", Some(PlatformRole::Admin)).await;
    let post = async |path: &str, body: Value| running.ask(Method::POST, path, &token, Some(body)).await;
    let mut names = Vec::new();
    for (tenant, namespace) in [("a-b", "c"), ("a", "b-c")] {
        assert_eq!(post("/api/v1/tenants", json!({ "name": tenant })).await.0, StatusCode::CREATED);
        let path = format!("/api/v1/tenants/{tenant}/namespaces");
        let (status, made) = post(&path, json!({ "name": namespace })).await;
        assert_eq!(status, StatusCode::CREATED, "{made:#}");
        names.push(made["kubeName"].as_str().unwrap().to_owned());
        let again = post(&path, json!({ "name": namespace })).await;
        assert_eq!(again.0, StatusCode::CONFLICT, "{:#}", again.1);
        // An object that names the namespace as the cluster does is taken.
        let spec = spec("registry.example.com/web:1", 1);
        let object = json!({ "apiVersion": "berth.dev/v1alpha1", "kind": "App",
            "metadata": { "name": "web", "namespace": names.last() }, "spec": spec });
        let (status, made) = post(&format!("{path}/{namespace}/apps"), object).await;
        assert_eq!(status, StatusCode::CREATED, "{made:#}");
    }
    assert_eq!(names[0], "a-b-c");
    assert!(names[1].starts_with("a-b-c-"), "{names:?}");
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_rights() {
    let running = Running::start().await;
    let (admin, _) = running.person("root", Some(PlatformRole::Admin)).await;
    let (_, stranger) = running.person("stranger", None).await;
    let (_, viewer) = running.person("viewer", None).await;
    running.ask(Method::POST, "/api/v1/tenants", &admin, Some(json!({ "name": "shop" }))).await;
    running.ask(Method::POST, "/api/v1/tenants/shop/namespaces", &admin, Some(json!({ "name": "dev" }))).await;
    let role = json!({ "role": TenantRole::Viewer });
    let (status, _) = running.ask(Method::PUT, "/api/v1/tenants/shop/members/viewer", &admin, Some(role)).await;
    assert!(status.is_success(), "{status}");

    // What nobody, a stranger and a viewer get. A new stream without a row here fails.
    let expected = |pattern: &str| match pattern {
        "/live" => (401, 200, 200),
        "/t/{tenant}/n/{namespace}/logs/stream" => (401, 404, 200),
        "/t/{tenant}/n/{namespace}/pods/{pod}/exec" => (401, 404, 403),
        // A file that a link of a page leads to: to sign in, or no such page.
        "/admin/audit/export" => (303, 404, 404),
        // A form's target, which nobody reads.
        "/auth/{provider}/start" | "/t/{tenant}/kubectl/file" => (405, 405, 405),
        // An answer to nothing that this browser asked: back to where one signs in, or connects.
        "/auth/{provider}/callback" => (303, 303, 303),
        other => panic!("{other} has no row in this test"),
    };
    for pattern in berth_web::STREAMS {
        let path = pattern
            .replace("{tenant}", "shop")
            .replace("{namespace}", "dev")
            .replace("{pod}", "web-1")
            .replace("{provider}", "corp");
        let absent = pattern.replace("{tenant}", "nowhere").replace("{namespace}", "dev").replace("{pod}", "web-1");
        let (nobody, other, member) = expected(pattern);
        assert_eq!(running.stream_status(&path, None).await, nobody, "{pattern} as nobody");
        assert_eq!(running.stream_status(&path, Some(&stranger)).await, other, "{pattern} as a stranger");
        assert_eq!(running.stream_status(&absent, Some(&stranger)).await, other, "{pattern}, absent, as a stranger");
        assert_eq!(running.stream_status(&path, Some(&viewer)).await, member, "{pattern} as a viewer");
    }
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_saves_the_log_from_its_page() {
    let running = Running::start().await;
    let (_, cookie) = running.person("audrey", Some(PlatformRole::Auditor)).await;
    let ask = async |query: &str, site: &'static str| {
        let request = Request::builder()
            .uri(format!("/admin/audit/export?{query}"))
            .header(header::COOKIE, &cookie)
            .header("sec-fetch-site", site)
            .body(Body::empty())
            .unwrap();
        let answer = running.portal.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned())
    };
    let (status, text) = ask("format=csv&actor=audrey&page=2", "same-origin").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("id,at,actor,") && rows.len() > 1, "{text}");
    assert!(rows[1..].iter().all(|row| row.contains(",audrey,")), "{text}");
    let (status, text) = ask("format=ndjson&action=audit.export", "none").await;
    assert_eq!((status, text.lines().count()), (StatusCode::OK, 1), "the one before: {text}");
    assert_eq!(ask("format=csv&actr=audrey", "same-origin").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask("format=csv", "cross-site").await.0, StatusCode::FORBIDDEN);
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_from_other_sites_change_nothing() {
    let running = Running::start().await;
    let (_, cookie) = running.person("root", Some(PlatformRole::Admin)).await;
    let send = |site: &'static str| {
        Request::builder()
            .method(Method::POST)
            .uri("/sign-out")
            .header(header::COOKIE, &cookie)
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::empty())
            .unwrap()
    };
    let refused = running.portal.router.clone().oneshot(send("cross-site")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(running.stream_status("/live", Some(&cookie)).await, 200, "still signed in");
    let done = running.portal.router.clone().oneshot(send("same-origin")).await.unwrap();
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(running.stream_status("/live", Some(&cookie)).await, 401, "signed out");
    running.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_headers_stand_on_every_page() {
    let running = Running::start().await;
    let request = Request::builder().uri("/sign-in").body(Body::empty()).unwrap();
    let answer = running.portal.router.clone().oneshot(request).await.unwrap();
    let headers = answer.headers();
    let csp = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(csp.contains("frame-ancestors 'none'") && !csp.contains("script-src 'unsafe-inline'"), "{csp}");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(headers.contains_key("x-request-id"));
    running.portal.stop().await;
}

/// A form of a page, sent from it.
async fn send(running: &Running, path: &str, cookie: &str, form: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "berth.example.com")
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap();
    let answer = running.portal.router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_as_somebody_else_is_a_look_and_no_more() {
    let running = Running::start().await;
    let (admin, cookie) = running.person("root", Some(PlatformRole::Admin)).await;
    let (theirs, _) = running.person("dev", None).await;
    running.ask(Method::POST, "/api/v1/tenants", &admin, Some(json!({ "name": "shop" }))).await;
    running.ask(Method::POST, "/api/v1/tenants/shop/namespaces", &admin, Some(json!({ "name": "dev" }))).await;
    let role = json!({ "role": TenantRole::Developer });
    running.ask(Method::PUT, "/api/v1/tenants/shop/members/dev", &admin, Some(role)).await;
    let page = async |path: &str| {
        let request = Request::builder().uri(path).header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
        let answer = running.portal.router.clone().oneshot(request).await.unwrap();
        (answer.status(), String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned())
    };

    let (begun, _) = send(&running, "/admin/people/dev", &cookie, "do=view-as&reason=cannot+find+the+app").await;
    assert_eq!(begun, StatusCode::SEE_OTHER);
    let (status, home) = page("/").await;
    assert!(
        status.is_success() && home.contains("viewing-bar") && home.contains("You see the portal as dev has it"),
        "{home}"
    );
    assert_eq!(page("/admin").await.0, StatusCode::NOT_FOUND, "dev has no console");
    let mark = home.split("name=\"viewing\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(home.contains(&format!("data-as=\"{mark}\"")), "{home}");
    // The API reads no cookies: neither as one nor as the other.
    let request = Request::builder().uri("/api/v1/me").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    assert_eq!(running.portal.router.clone().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let (_, me) = running.ask(Method::GET, "/api/v1/me", &admin, None).await;
    assert_eq!((&me["name"], &me["platformRole"]), (&json!("root"), &json!("admin")), "a token stays what it is");

    // What leads on from pages: terminals, files, streams.
    for (path, want) in [
        ("/t/shop/n/dev/pods/web-1/exec", 403),
        ("/t/shop/n/dev/logs/stream", 200),
        ("/admin/audit/export", 404),
        ("/live?path=/", 200),
    ] {
        assert_eq!(running.stream_status(path, Some(&cookie)).await, want, "{path}");
    }
    let file = send(&running, "/t/shop/kubectl/file", &cookie, &format!("hours=1&viewing={mark}")).await;
    assert!(file.0 == StatusCode::FORBIDDEN && !file.1.contains("berth_"), "{file:?}");
    let made =
        send(&running, "/t/shop/n/dev/apps/new", &cookie, &format!("name=web&image=a:1&replicas=1&viewing={mark}"))
            .await;
    assert_eq!(made.0, StatusCode::FORBIDDEN, "{}", made.1);

    // An open page ends with the look; a form of it that is sent later does nothing, whatever the admin themselves may.
    let request =
        Request::builder().uri("/live?path=/t/shop").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    let stream = running.portal.router.clone().oneshot(request).await.unwrap();
    let rename = format!("do=rename&displayName=Mine&viewing={mark}");
    let begun = std::time::Instant::now();
    assert_eq!(send(&running, "/view/end", &cookie, &format!("viewing={mark}")).await.0, StatusCode::SEE_OTHER);
    let said = tokio::time::timeout(Duration::from_secs(60), stream.into_body().collect()).await.expect("it ends");
    println!("an open page ended {:?} after the look", begun.elapsed());
    let said = String::from_utf8_lossy(&said.unwrap().to_bytes()).into_owned();
    assert!(said.contains(&mark) && said.contains("event: bye"), "{said}");
    let late = send(&running, "/t/shop/settings", &cookie, &rename).await;
    assert!(late.0 == StatusCode::FORBIDDEN && late.1.contains("Only to be looked at"), "{late:?}");
    let (_, shop) = running.ask(Method::GET, "/api/v1/tenants/shop", &admin, None).await;
    assert_ne!(shop["displayName"], "Mine");
    assert!(page("/admin").await.0.is_success(), "root again");

    // Both find it.
    let (_, mine) = running.ask(Method::GET, "/api/v1/me/views", &theirs, None).await;
    assert_eq!((&mine["items"][0]["by"], &mine["items"][0]["ended"]), (&json!("root"), &json!("asked")), "{mine}");
    let (_, all) = running.ask(Method::GET, "/api/v1/admin/users/dev/views", &admin, None).await;
    assert_eq!(all, mine);
    let (_, log) = running.ask(Method::GET, "/api/v1/admin/audit?actor=root", &admin, None).await;
    let told = |e: &Value| format!("{} {} {}", e["via"], e["action"], e["outcome"]).replace('"', "");
    let told: Vec<String> =
        log["items"].as_array().unwrap().iter().map(told).filter(|text| text.contains("view")).collect();
    assert_eq!(
        told,
        [
            "view:dev view.end done",
            "view:dev app.create denied",
            "view:dev kubeconfig.create denied",
            "view:dev pod.exec denied",
            "session view.begin done",
        ]
    );
    running.portal.stop().await;
}
