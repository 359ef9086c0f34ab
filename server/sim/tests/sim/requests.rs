//! Requests beyond create, read, update and delete: evictions, tokens, reviews, streaming and paged lists.

use std::time::Duration;

use crate::common::{World, deployment, pod};
use berth_sim::{controllers::fields::Fields, hooks::UserInfo, registry::builtin::gr};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Sends a request as `user` (the administrator if `None`) with an optional bearer token.
async fn send(world: &World, who: Option<&str>, method: Method, path: &str, body: &Value) -> (u16, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(token) = who {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = world.sim.service().oneshot(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn call(world: &World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (code, _, text) = send(world, None, method, path, body).await;
    (code, serde_json::from_str(&text).unwrap())
}

async fn get(world: &World, path: &str) -> (u16, Value) {
    call(world, Method::GET, path, &Value::Null).await
}

async fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    call(world, Method::POST, path, body).await
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn evictions_honour_the_budget() {
    let world = World::new();
    let web = world.create(&gr::DEPLOYMENTS, deployment("web", "nginx", 2));
    world.create(
        &gr::POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    world.advance(seconds(5));
    let name = |at: usize| world.pods("default")[at].name().to_owned();
    let evict = async |pod: &str, query: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
        let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction{query}");
        send(&world, None, Method::POST, &path, &eviction).await
    };
    let (first, second) = (name(0), name(1));
    let (code, _, text) = evict(&first, "?dryRun=All").await;
    assert_eq!(code, 201, "{text}");
    assert!(!world.get(&gr::PODS, &first).deleting(), "a dry run evicts nobody");

    let (code, _, text) = evict(&first, "").await;
    assert_eq!(code, 201, "{text}");
    let gone = world.get(&gr::PODS, &first);
    assert!(gone.deleting());
    let why = gone.condition("DisruptionTarget").unwrap();
    assert_eq!((why.text("/reason"), why.text("/message")), ("EvictionByEvictionAPI", "Eviction API: evicting"));
    // The budget knows at once, before its controller has looked.
    let budget = world.get(&gr::POD_DISRUPTION_BUDGETS, "web");
    assert_eq!(budget.int("/status/disruptionsAllowed"), Some(0));
    assert!(budget.at("/status/disruptedPods").get(&first).is_some());

    let (code, _, text) = evict(&second, "").await;
    let refused: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 429);
    assert_eq!(refused["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(refused["reason"], "TooManyRequests");
    world.settle();
    let (_, _, text) = evict(&second, "").await;
    let refused: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        refused["details"]["causes"],
        json!([{"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 1 currently"}])
    );
    // The replacement is ready: another one may go.
    world.advance(seconds(10));
    assert_eq!(evict(&second, "").await.0, 201);

    world.advance(seconds(60));
    world.create(
        &gr::POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": "other"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    world.settle();
    let (code, _, text) = evict(&name(0), "").await;
    let refused: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &refused["code"]), (201, &json!(500)), "as odd as the real server");
    assert_eq!(
        refused["message"],
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    );
    let (code, _, _) = evict("absent", "").await;
    assert_eq!(code, 404);
    assert_eq!(world.get(&gr::DEPLOYMENTS, "web").uid(), web.uid());
}

#[tokio::test]
async fn an_unhealthy_pod_of_a_healthy_app_may_go() {
    let world = World::new();
    for (name, image) in [("good-1", "nginx"), ("good-2", "nginx"), ("bad", "sim.berth.dev/never-ready")] {
        let mut pod = pod(name, image);
        pod["metadata"]["labels"] = json!({"app": "shop"});
        pod["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
        world.create(&gr::PODS, pod);
    }
    world.create(
        &gr::POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": "shop"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "shop"}}}}),
    );
    world.advance(seconds(20));
    assert_eq!(world.get(&gr::POD_DISRUPTION_BUDGETS, "shop").int("/status/disruptionsAllowed"), Some(0));
    for (name, expected) in [("good-1", 429), ("bad", 201)] {
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let (code, answer) = post(&world, &format!("/api/v1/namespaces/default/pods/{name}/eviction"), &body).await;
        assert_eq!(code, expected, "{answer}");
    }
}

#[tokio::test]
async fn service_accounts_get_tokens_and_speak_with_them() {
    let world = World::new();
    world.create(&gr::SERVICE_ACCOUNTS, json!({"metadata": {"name": "robot"}}));
    world.create(&gr::PODS, {
        let mut pod = pod("carrier", "nginx");
        pod["spec"]["serviceAccountName"] = json!("robot");
        pod
    });
    world.advance(seconds(5));
    let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
    let ask = |spec: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let (code, plain) = post(&world, path, &ask(json!({}))).await;
    assert_eq!((code, &plain["spec"]["expirationSeconds"]), (201, &json!(3600)), "{plain}");
    assert_eq!(plain["status"]["expirationTimestamp"], "2026-01-01T01:00:05Z");
    let reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "carrier"});
    let (_, bound) = post(&world, path, &ask(json!({"boundObjectRef": reference, "expirationSeconds": 600}))).await;
    let (_, foreign) = post(&world, path, &ask(json!({"audiences": ["vault"]}))).await;
    let token = |answer: &Value| answer["status"]["token"].as_str().unwrap().to_owned();

    let review = async |token: &str, audiences: Value| {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": audiences},
        });
        post(&world, "/apis/authentication.k8s.io/v1/tokenreviews", &body).await.1["status"].clone()
    };
    let known = review(&token(&bound), Value::Null).await;
    assert_eq!(known["authenticated"], true, "{known}");
    assert_eq!(known["user"]["username"], "system:serviceaccount:default:robot");
    assert_eq!(
        known["user"]["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    assert_eq!(known["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["carrier"]));
    assert!(known["user"]["extra"]["authentication.kubernetes.io/node-name"][0].is_string());
    let other = review(&token(&foreign), Value::Null).await;
    assert!(other.get("authenticated").is_none());
    assert_eq!(
        other["error"],
        "[invalid bearer token, token audiences [\"vault\"] is invalid for the target audiences [\"https://kubernetes.default.svc.cluster.local\"]]"
    );
    assert_eq!(review(&token(&foreign), json!(["vault"])).await["audiences"], json!(["vault"]));
    assert_eq!(review("rubbish", Value::Null).await, json!({"user": {}, "error": "invalid bearer token"}));

    // A token speaks, as long as what it is bound to exists and it is meant for the API.
    let whoami = async |token: &str| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        send(&world, Some(token), Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &body).await
    };
    let (code, _, text) = whoami(&token(&plain)).await;
    assert!(code == 201 && text.contains("system:serviceaccount:default:robot"), "{text}");
    assert_eq!(whoami(&token(&foreign)).await.0, 401);
    assert_eq!(whoami(&token(&bound)).await.0, 201);
    world.delete(&gr::PODS, "carrier");
    world.advance(seconds(40));
    let (code, _, text) = whoami(&token(&bound)).await;
    assert_eq!((code, text.contains("\"message\":\"Unauthorized\"")), (401, true), "{text}");
    world.advance(seconds(4000));
    assert_eq!(whoami(&token(&plain)).await.0, 401, "expired");

    for (spec, code, message) in [
        (
            json!({"expirationSeconds": 60}),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        ),
        (json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "x"}}), 404, "pods \"x\" not found"),
        (
            json!({"boundObjectRef": {"kind": "Deployment", "apiVersion": "apps/v1", "name": "x"}}),
            400,
            "cannot bind token to object of type apps/v1, Kind=Deployment",
        ),
    ] {
        let (given, answer) = post(&world, path, &ask(spec)).await;
        assert_eq!((given, answer["message"].as_str().unwrap()), (code, message));
    }
}

#[tokio::test]
async fn reviews_say_who_may_what() {
    let world = World::new();
    world.create(
        &gr::ROLES,
        json!({"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}),
    );
    world.create(
        &gr::ROLE_BINDINGS,
        json!({
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "joe"}],
        }),
    );
    let may = async |verb: &str, resource: &str| {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": "joe", "resourceAttributes": {"namespace": "default", "verb": verb, "resource": resource}},
        });
        post(&world, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &body).await
    };
    let (code, yes) = may("list", "pods").await;
    assert_eq!(code, 201);
    assert_eq!(
        yes["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to User \"joe\""})
    );
    assert_eq!(may("delete", "pods").await.1["status"]["allowed"], false);

    let joe = UserInfo { name: "joe".into(), groups: vec!["system:authenticated".into()], ..UserInfo::default() };
    let ask = async |path: &str, body: Value| {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()));
        let response = world.sim.service_as(joe.clone()).oneshot(request.unwrap()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let rules = ask(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}}),
    )
    .await;
    let listed = rules["status"]["resourceRules"].as_array().unwrap();
    assert!(listed.contains(&json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]})), "{rules}");
    assert_eq!(rules["status"]["incomplete"], false);
    let own = ask(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        json!({"spec": {"nonResourceAttributes": {"path": "/version", "verb": "get"}}}),
    )
    .await;
    assert_eq!(own["status"]["allowed"], true, "{own}");
    let neither = ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json!({"spec": {}})).await;
    assert_eq!(
        neither["message"],
        ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
    );
}

#[tokio::test]
async fn every_namespace_has_the_certificate() {
    let world = World::new();
    world.create(&gr::NAMESPACES, json!({"metadata": {"name": "team"}}));
    world.settle();
    let map = world.cluster.find(&gr::CONFIG_MAPS, "team", "kube-root-ca.crt").unwrap();
    let pem = map.at("/data").get("ca.crt").unwrap().as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    let serving = world.sim.serve_tls(([127, 0, 0, 1], 0).into()).await.unwrap();
    use base64::{Engine, engine::general_purpose::STANDARD};
    assert!(serving.kubeconfig().contains(&STANDARD.encode(pem)), "it is the one that clients trust");
}

/// The lines that a watch sends at once.
async fn watched(world: &World, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/default/secrets?watch=true&timeoutSeconds=1&{query}");
    let (code, _, text) = send(world, None, Method::GET, &path, &Value::Null).await;
    assert_eq!(code, 200, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let world = World::new();
    for name in ["a", "b"] {
        world.create(&gr::SECRETS, json!({"metadata": {"name": name}}));
    }
    let query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let lines = watched(&world, query).await;
    let kinds: Vec<_> = lines.iter().take(3).map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "ADDED", "BOOKMARK"]);
    let bookmark = &lines[2]["object"];
    assert_eq!(bookmark["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!(bookmark["kind"], "Secret");
    let revision = bookmark["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    // From a revision on, the list is the state no older than it.
    let again = watched(&world, &format!("{query}&resourceVersion={revision}")).await;
    assert_eq!(again.len(), lines.len(), "{again:?}");
    let declined =
        watched(&world, "sendInitialEvents=false&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan").await;
    assert!(declined.iter().all(|line| line["type"] != "ADDED"), "{declined:?}");
}

#[tokio::test]
async fn list_parameters_are_checked_word_for_word() {
    let world = World::new();
    const LIST: &str = "ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, message) in [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersionMatch=Odd&resourceVersion=1",
            "resourceVersionMatch: Unsupported value: \"Odd\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        (
            "watch=true&sendInitialEvents=true",
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "watch=true&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ] {
        let (code, answer) = get(&world, &format!("/api/v1/secrets?{query}")).await;
        assert_eq!((code, answer["message"].as_str().unwrap()), (422, format!("{LIST}{message}").as_str()), "{query}");
    }
}

#[tokio::test]
async fn exact_lists_show_the_past_and_old_tokens_expire() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.create(&gr::SECRETS, json!({"metadata": {"name": name}}));
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item.name().to_owned()).collect()
    };
    let (_, page) = get(&world, "/api/v1/namespaces/default/secrets?limit=1").await;
    let revision = page["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let token = page["metadata"]["continue"].as_str().unwrap().to_owned();
    world.delete(&gr::SECRETS, "b");
    let list = async |query: &str| get(&world, &format!("/api/v1/namespaces/default/secrets?{query}")).await;
    let (_, exact) = list(&format!("resourceVersion={revision}&resourceVersionMatch=Exact")).await;
    assert_eq!(
        (names(&exact), exact["metadata"]["resourceVersion"].as_str()),
        (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], Some(revision.as_str()))
    );
    let (_, recent) = list(&format!("resourceVersion={revision}&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(names(&recent), ["a", "c"]);
    let (code, future) = list("resourceVersion=99999999&resourceVersionMatch=Exact").await;
    assert_eq!((code, future["details"]["causes"][0]["reason"].as_str()), (504, Some("ResourceVersionTooLarge")));

    // More than the history remembers.
    for turn in 0..9000 {
        let value = json!({"metadata": {"name": "busy"}, "data": {}, "turn": turn});
        let store = &world.cluster.store;
        if store.update(&gr::SECRETS, "default", "busy", None, value.clone()).is_err() {
            store.create(&gr::SECRETS, "default", "busy", value).unwrap();
        }
    }
    let (code, gone) = list(&format!("continue={token}")).await;
    assert_eq!((code, gone["reason"].as_str()), (410, Some("Expired")));
    assert!(gone["message"].as_str().unwrap().starts_with("The provided continue parameter is too old"), "{gone}");
    let rest = gone["metadata"]["continue"].as_str().unwrap().to_owned();
    let (code, inconsistent) = list(&format!("continue={rest}")).await;
    assert_eq!((code, names(&inconsistent)), (200, vec!["busy".to_owned(), "c".to_owned()]));
    let (code, old) = list(&format!("resourceVersion={revision}&resourceVersionMatch=Exact")).await;
    assert_eq!((code, old["message"].as_str()), (410, Some("The resourceVersion for the provided list is too old.")));
    let (code, bad) = list("continue=e30").await;
    assert_eq!(
        (code, bad["message"].as_str()),
        (
            400,
            Some("invalid continue token: continue key is not valid: server does not recognize this encoded version ")
        )
    );
    let lines = watched(&world, &format!("resourceVersion={revision}")).await;
    assert_eq!((&lines[0]["type"], &lines[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[tokio::test]
async fn unknown_fields_are_met_as_the_client_asks() {
    let world = World::new();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let mut odd = deployment("odd", "nginx", 1);
    odd["spec"]["replica"] = json!(3);
    let (code, answer) = post(&world, &format!("{deployments}?fieldValidation=Strict"), &odd).await;
    assert_eq!(
        (code, answer["message"].as_str().unwrap()),
        (
            400,
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replica\""
        )
    );
    for (validation, warning) in [("Warn", Some("299 - \"unknown field \\\"spec.replica\\\"\"")), ("Ignore", None)] {
        let path = format!("{deployments}?dryRun=All&fieldValidation={validation}");
        let (code, headers, text) = send(&world, None, Method::POST, &path, &odd).await;
        assert_eq!(code, 201, "{text}");
        assert_eq!(headers.get("warning").map(|value| value.to_str().unwrap()), warning);
        assert!(!text.contains("\"replica\""));
    }
    world.create(&gr::DEPLOYMENTS, deployment("web", "nginx", 1));
    let patch = async |media: &str, body: &str| {
        let request = Request::patch(format!("{deployments}/web?fieldValidation=Strict"))
            .header("content-type", media)
            .body(axum::body::Body::from(body.to_owned()));
        let response = world.sim.service().oneshot(request.unwrap()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let strategic =
        patch("application/strategic-merge-patch+json", r#"{"spec": {"replica": 3, "paused": false}}"#).await;
    assert_eq!(
        (&strategic["code"], strategic["message"].as_str().unwrap()),
        (
            &json!(422),
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[paused:false replica:3]]\": strict decoding error: unknown field \"spec.replica\""
        )
    );
    let merge = patch("application/merge-patch+json", r#"{"spec": {"replica": 3}}"#).await;
    let text = merge["message"].as_str().unwrap();
    assert!(
        text.starts_with(" \"\" is invalid: patch: Invalid value: \"{")
            && text.ends_with("strict decoding error: unknown field \"spec.replica\""),
        "{text}"
    );
}

#[tokio::test]
async fn refusals_are_worded_like_the_originals() {
    let world = World::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    world.create(&gr::CONFIG_MAPS, json!({"metadata": {"name": "a"}, "immutable": true, "data": {"k": "v"}}));
    world.create(&gr::DEPLOYMENTS, deployment("web", "nginx", 1));
    let mut moved = deployment("web", "nginx", 1);
    moved["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    moved["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let owners = json!([
        {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1", "controller": true},
        {"apiVersion": "v1", "kind": "Pod", "name": "y", "uid": "", "controller": true},
    ]);
    let put = Method::PUT;
    for (method, path, body, code, message) in [
        (
            Method::POST,
            maps.to_owned(),
            json!({"metadata": {"name": "Under_score"}}),
            422,
            "ConfigMap \"Under_score\" is invalid: metadata.name: Invalid value: \"Under_score\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".to_owned(),
        ),
        (Method::POST, maps.to_owned(), json!({"metadata": {"name": "a"}}), 409, "configmaps \"a\" already exists".to_owned()),
        (Method::GET, format!("{maps}/absent"), Value::Null, 404, "configmaps \"absent\" not found".to_owned()),
        (
            put.clone(),
            format!("{maps}/a"),
            json!({"metadata": {"name": "a"}, "immutable": true, "data": {"k": "w"}}),
            422,
            "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set".to_owned(),
        ),
        (
            put.clone(),
            format!("{maps}/a"),
            json!({"metadata": {"name": "a", "resourceVersion": "1"}}),
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again".to_owned(),
        ),
        (
            put.clone(),
            format!("{maps}/a"),
            json!({"metadata": {"name": "b"}}),
            400,
            "the name of the object (b) does not match the name on the URL (a)".to_owned(),
        ),
        (
            put.clone(),
            "/apis/apps/v1/namespaces/default/deployments/web".to_owned(),
            moved,
            422,
            "Deployment.apps \"web\" is invalid: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable".to_owned(),
        ),
        (
            Method::DELETE,
            format!("{maps}/a"),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "1"}}),
            409,
            format!(
                "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (1) does not match the UID in record ({}). The object might have been deleted and then recreated",
                world.get(&gr::CONFIG_MAPS, "a").uid()
            ),
        ),
        (
            Method::POST,
            maps.to_owned(),
            json!({"metadata": {"name": "owned", "ownerReferences": owners}}),
            422,
            format!(
                "ConfigMap \"owned\" is invalid: [metadata.ownerReferences.uid: Invalid value: \"\": must not be empty, metadata.ownerReferences: Invalid value: {owners}: Only one reference can have Controller set to true. Found \"true\" in references for Pod/x and Pod/y]"
            ),
        ),
        (
            Method::POST,
            maps.to_owned(),
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}}),
            400,
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion".to_owned(),
        ),
        (
            Method::POST,
            "/api/v1/namespaces/nowhere/configmaps".to_owned(),
            json!({"metadata": {"name": "x"}}),
            404,
            "namespaces \"nowhere\" not found".to_owned(),
        ),
    ] {
        let (given, answer) = call(&world, method, &path, &body).await;
        assert_eq!((given, answer["message"].as_str().unwrap()), (code, message.as_str()), "{path}");
    }
    let (code, _, text) = send(&world, None, Method::POST, maps, &json!("not an object")).await;
    assert_eq!(code, 400, "{text}");
    let request =
        Request::post(maps).header("content-type", "application/json").body(axum::body::Body::from("{\"a\": "));
    let response = world.sim.service().oneshot(request.unwrap()).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    let text = answer["message"].as_str().unwrap();
    assert!(
        text.starts_with("the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ")
            && text.ends_with("({\"a\": )"),
        "{text}"
    );
}

#[tokio::test]
async fn autoscalers_speak_both_versions() {
    let world = World::new();
    let path = |version: &str, rest: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers{rest}")
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let old = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target},
    });
    let (code, made) = post(&world, &path("v1", "?fieldManager=old"), &old).await;
    assert_eq!((code, &made["spec"]["targetCPUUtilizationPercentage"]), (201, &json!(50)), "{made}");
    let (_, new) = get(&world, &path("v2", "/web")).await;
    let cpu = json!([{
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }]);
    assert_eq!(new["spec"]["metrics"], cpu);
    assert!(new["spec"].get("targetCPUUtilizationPercentage").is_none());
    let owned = &new["metadata"]["managedFields"][0];
    assert_eq!(owned["apiVersion"], "autoscaling/v1");
    assert!(owned["fieldsV1"]["f:spec"]["f:targetCPUUtilizationPercentage"].is_object(), "{owned}");

    // Fields are compared in the version of whoever set them.
    let mut more = new["spec"].clone();
    more["metrics"][0]["resource"]["target"]["averageUtilization"] = json!(70);
    more["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": 5}});
    let patch = |force: bool| {
        let applied = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": more,
        });
        let uri = path("v2", &format!("/web?fieldManager=new&force={force}"));
        let request = Request::builder().method(Method::PATCH).uri(uri);
        let request = request.header("content-type", "application/apply-patch+yaml");
        world.sim.service().oneshot(request.body(axum::body::Body::from(applied.to_string())).unwrap())
    };
    let body = patch(false).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let refused: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        refused["message"],
        "Apply failed with 1 conflict: conflict with \"old\" using autoscaling/v1: .spec.targetCPUUtilizationPercentage"
    );
    assert_eq!(patch(true).await.unwrap().status(), 200);
    let (_, seen) = get(&world, &path("v1", "/web")).await;
    assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 70);
    assert!(seen["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"].is_string(), "{seen}");
    let old_fields = seen["metadata"]["managedFields"].as_array().unwrap().iter().find(|own| own["manager"] == "old");
    assert!(old_fields.unwrap()["fieldsV1"]["f:spec"].get("f:targetCPUUtilizationPercentage").is_none());
}
