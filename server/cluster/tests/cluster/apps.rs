//! The main job, in process, against the embedded cluster: deploy, watch, find out why it fails, change, go back, delete.

use crate::common::{Harbour, PATIENCE, row, unique};
use berth_core::{
    ports::cluster::{Cluster as _, LogQuery},
    services::namespaces::desired,
};
use berth_types::{
    ErrorCode, ListQuery, TenantRole,
    app_status::{AppPhase, CauseCode},
    rows::PodPhase,
};
use futures::StreamExt as _;
use serde_json::{Value, json};

fn spec(image: &str, replicas: i32) -> Value {
    json!({"components": [{"name": "main", "image": image, "replicas": replicas, "ports": [{"port": 8080}],
        "expose": {"type": "Internal"}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job() {
    let harbour = Harbour::open().await;
    let (ada, app) = (harbour.person("ada"), harbour.app("web"));

    let made = harbour.create("web", &spec("registry.example/web:1", 2)).await;
    assert_eq!(made.view.spec.components[0].image, "registry.example/web:1");
    assert!(harbour.cluster.app(&app).is_some(), "one reads one's own writes");

    let ready = harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    let status = &ready.view.status;
    assert_eq!((status.ready.as_str(), status.revision, status.observed_generation), ("2/2", 1, ready.view.generation));
    assert_eq!(status.addresses, [format!("web.{}:8080", harbour.namespace.kube_name)]);
    let pods = harbour
        .wait("running pods", || {
            Some(harbour.pods()).filter(|p| p.len() == 2 && p.iter().all(|p| p.phase == PodPhase::Running))
        })
        .await;
    let pods = pods.expect("two pods that run");
    assert!(pods.iter().all(|p| p.app.as_deref() == Some("web") && p.revision == Some(1)), "{pods:?}");
    for path in [harbour.path("v1", "services/web"), harbour.path("policy/v1", "poddisruptionbudgets/web")] {
        assert!(harbour.get(&path).await.is_some(), "{path}");
    }

    // Scaling rolls nothing and is no revision.
    harbour.cluster.replace_app(&ada, &app, &spec("registry.example/web:1", 3), None).await.unwrap();
    harbour.wait_app("web", "scaled", |a| a.view.status.ready == "3/3").await;
    let names: Vec<_> = harbour.pods().into_iter().map(|p| p.name).collect();
    assert!(pods.iter().all(|p| names.contains(&p.name)), "{names:?}");
    assert_eq!(harbour.cluster.revisions(&ada, &app).await.unwrap().len(), 1);

    // A new image is a new revision; the old pods leave.
    harbour.cluster.replace_app(&ada, &app, &spec("registry.example/web:2", 2), None).await.unwrap();
    let second = harbour
        .wait_app("web", "the second revision", |a| {
            a.view.status.revision == 2 && a.view.status.phase == AppPhase::Ready
        })
        .await;
    assert_eq!(second.view.status.components[0].image, "registry.example/web:2");
    let revisions = harbour.cluster.revisions(&ada, &app).await.unwrap();
    let told: Vec<(i64, bool, &str)> = revisions.iter().map(|r| (r.number, r.current, r.images[0].as_str())).collect();
    assert_eq!(told, [(2, true, "registry.example/web:2"), (1, false, "registry.example/web:1")]);
    assert_eq!(revisions[0].by.as_deref(), Some("ada"));

    // Going back gives the old spec a new number.
    let old = serde_json::to_value(&revisions[1].spec).unwrap();
    harbour.cluster.replace_app(&ada, &app, &old, None).await.unwrap();
    harbour.wait_app("web", "back", |a| a.view.status.revision == 3 && a.view.status.phase == AppPhase::Ready).await;
    let numbers: Vec<i64> = harbour.cluster.revisions(&ada, &app).await.unwrap().iter().map(|r| r.number).collect();
    assert_eq!(numbers, [3, 2]);

    // A restart replaces the pods and is no revision.
    let before: Vec<_> = harbour.pods().into_iter().map(|p| p.name).collect();
    harbour.cluster.restart_app(&ada, &app).await.unwrap();
    let replaced = harbour.wait("other pods", || {
        let now = harbour.pods();
        (now.len() == 2 && now.iter().all(|p| p.phase == PodPhase::Running && !before.contains(&p.name))).then_some(())
    });
    replaced.await.expect("the pods were replaced");
    assert_eq!(harbour.cluster.revisions(&ada, &app).await.unwrap().len(), 2);

    harbour.cluster.delete_app(&ada, &app, None).await.unwrap();
    let gone =
        harbour.wait("gone", || (harbour.cluster.app(&app).is_none() && harbour.pods().is_empty()).then_some(())).await;
    assert!(gone.is_some(), "left behind: {:?} {:?}", harbour.cluster.app(&app).map(|a| a.object), harbour.pods());
    assert!(harbour.get(&harbour.path("apps/v1", "deployments/web")).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_fails() {
    let harbour = Harbour::open().await;
    let ada = harbour.person("ada");
    harbour.create("ghost", &spec("registry.example/missing:1", 1)).await;
    harbour.create("crash", &spec("registry.example/crash:1s", 1)).await;
    harbour.create("nodb", &spec("registry.example/no-db:1", 1)).await;
    let mut config = spec("registry.example/web:1", 1);
    config["components"][0]["env"] = json!([{"name": "PASSWORD", "secret": {"name": "db", "key": "password"}}]);
    harbour.create("config", &config).await;
    let mut huge = spec("registry.example/web:1", 1);
    huge["components"][0]["resources"] = json!({"requests": {"cpu": "500"}});
    harbour.create("huge", &huge).await;

    for (name, code) in [
        ("ghost", CauseCode::ImagePull),
        ("crash", CauseCode::CrashLoop),
        ("nodb", CauseCode::HostNotFound),
        ("config", CauseCode::ConfigMissing),
        ("huge", CauseCode::Unschedulable),
    ] {
        let found =
            |a: &berth_core::ports::cluster::AppObject| a.view.status.cause.as_ref().is_some_and(|c| c.code == code);
        let status = harbour.wait_app(name, code.as_str(), found).await.view.status;
        let cause = status.cause.unwrap();
        assert_eq!(status.phase, AppPhase::Degraded);
        assert!(cause.message.starts_with(name) && !cause.evidence.is_empty(), "{cause:?}");
    }
    let list = harbour.cluster.apps(&harbour.dev(), &ListQuery::default().filter("phase", "Degraded")).unwrap();
    assert_eq!(list.total, 5);
    assert_eq!(list.facets["cause"]["image-pull"], 1);
    assert_eq!(harbour.cluster.summary(&harbour.dev()).degraded, 5);

    // It mends as soon as what is wanted can be had.
    harbour.cluster.replace_app(&ada, &harbour.app("ghost"), &spec("registry.example/web:1", 1), None).await.unwrap();
    let mended = harbour.wait_app("ghost", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    assert_eq!(mended.view.status.cause, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_has_the_last_word() {
    let harbour = Harbour::open().await;
    let (ada, eve) = (harbour.person("ada"), harbour.person("eve"));
    harbour.create("web", &spec("registry.example/web:1", 1)).await;

    let viewer = harbour.app_as("web", TenantRole::Viewer);
    let other = harbour.app_as("other", TenantRole::Viewer);
    let refused = [
        harbour.cluster.create_app(&eve, &other, &spec("a:1", 1)).await.err(),
        harbour.cluster.replace_app(&eve, &viewer, &spec("a:1", 1), None).await.err(),
        harbour.cluster.delete_app(&eve, &viewer, None).await.err(),
    ];
    for (i, error) in refused.into_iter().enumerate() {
        let error = error.expect("a refusal");
        assert_eq!(error.code(), ErrorCode::Forbidden, "{i}: {error}");
        assert!(error.missing().is_some(), "{i}: it says which right");
    }
    let mut stranger = (*harbour.app("web")).clone();
    stranger.namespace.tenant.role = None;
    let stranger =
        berth_core::authz::Grant::unchecked(stranger, berth_types::Resource::App, berth_types::Action::Update);
    let error = harbour.cluster.restart_app(&eve, &stranger).await.expect_err("nobody");
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(harbour.cluster.revisions(&eve, &viewer).await.is_ok(), "a viewer may look");

    let twice = harbour.cluster.create_app(&ada, &harbour.app("web"), &spec("a:1", 1)).await.expect_err("twice");
    assert_eq!(twice.code(), ErrorCode::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_one_namespace_counts_there_alone() {
    let harbour = Harbour::open().await;
    let gus = harbour.person("gus");
    let app = |tenant: Option<TenantRole>, given: Option<TenantRole>, named: &str, name: &str| {
        let mut app = (*harbour.app(name)).clone();
        app.namespace.tenant.role = tenant;
        app.namespace.given = given;
        app.namespace.name = named.parse().unwrap();
        berth_core::authz::Grant::unchecked(app, berth_types::Resource::App, berth_types::Action::Update)
    };
    let viewer = Some(TenantRole::Viewer);
    for (tenant, given, named, name, may) in [
        (None, Some(TenantRole::Developer), "dev", "a", true),
        (viewer, Some(TenantRole::Admin), "dev", "b", true),
        (None, viewer, "dev", "c", false),
        (viewer, None, "dev", "d", false),
        // What was given in a sibling is nothing here.
        (None, Some(TenantRole::Admin), "prod", "e", false),
        (viewer, Some(TenantRole::Admin), "prod", "f", false),
    ] {
        let app = app(tenant, given, named, name);
        let made = harbour.cluster.create_app(&gus, &app, &spec("registry.example/web:1", 1)).await;
        assert_eq!(made.as_ref().err().map(|e| e.code()), (!may).then_some(ErrorCode::Forbidden), "{named} {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_names_the_field() {
    let harbour = Harbour::open().await;
    let ada = harbour.person("ada");
    let wrong = json!({"components": [{"name": "main", "image": "a:1", "replicas": 5000}]});
    let wrong = harbour.cluster.create_app(&ada, &harbour.app("wrong"), &wrong).await.expect_err("too many");
    assert_eq!((wrong.code(), wrong.fields()[0].field.as_str()), (ErrorCode::Invalid, "spec.components[0].replicas"));
    let unknown = json!({"components": [{"name": "main", "image": "a:1", "colour": "red"}]});
    let unknown = harbour.cluster.create_app(&ada, &harbour.app("wrong"), &unknown).await.expect_err("unknown");
    assert_eq!(unknown.code(), ErrorCode::Invalid, "{unknown}");
    assert!(harbour.cluster.app(&harbour.app("wrong")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_meet() {
    let harbour = Harbour::open().await;
    let ada = harbour.person("ada");
    let app = harbour.app("web");
    let read = harbour.create("web", &spec("registry.example/web:1", 1)).await.view.resource_version;
    let ready = harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    assert_ne!(ready.view.resource_version, read, "the status was written since");
    // What was read before the status was written is still the spec as it is.
    let changed =
        harbour.cluster.replace_app(&ada, &app, &spec("registry.example/web:2", 1), Some(&read)).await.unwrap();
    let late = harbour.cluster.replace_app(&ada, &app, &spec("registry.example/web:3", 1), Some(&read)).await;
    assert_eq!(late.expect_err("somebody was faster").code(), ErrorCode::Conflict);
    let late = harbour.cluster.delete_app(&ada, &app, Some(&read)).await;
    assert_eq!(late.expect_err("somebody was faster").code(), ErrorCode::Conflict);
    assert_eq!(harbour.cluster.app(&app).unwrap().view.spec.components[0].image, "registry.example/web:2");
    harbour.cluster.delete_app(&ada, &app, Some(&changed.view.resource_version)).await.unwrap();
    let missing = harbour.cluster.replace_app(&ada, &harbour.app("none"), &spec("a:1", 1), None).await;
    assert_eq!(missing.expect_err("there is none").code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_put_right() {
    let harbour = Harbour::open().await;
    let mut value = spec("registry.example/web:1", 2);
    value["components"][0]["expose"] = json!({"type": "Ingress", "host": "shop.example.com"});
    harbour.create("web", &value).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;

    let deployment = harbour.path("apps/v1", "deployments/web");
    let service = harbour.path("v1", "services/web");
    let ingress = harbour.path("networking.k8s.io/v1", "ingresses/web");
    let merge = "application/merge-patch+json";
    harbour.send("PATCH", &deployment, merge, &json!({"spec": {"replicas": 5}})).await;
    harbour.send("PATCH", &service, merge, &json!({"spec": {"selector": {"berth.dev/app": "other"}}})).await;
    harbour.send("DELETE", &ingress, "application/json", &json!({})).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let replicas = harbour.get(&deployment).await.unwrap()["spec"]["replicas"] == 2;
        let selector = harbour.get(&service).await.unwrap()["spec"]["selector"]["berth.dev/app"] == "web";
        let back = harbour.get(&ingress).await.is_some();
        if replicas && selector && back {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "replicas {replicas}, selector {selector}, ingress {back}");
        tokio::task::yield_now().await;
    }

    // What is not wanted any more goes.
    value["components"][0]["expose"] = json!({"type": "None"});
    harbour.cluster.replace_app(&harbour.person("ada"), &harbour.app("web"), &value, None).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while harbour.get(&service).await.is_some() {
        assert!(tokio::time::Instant::now() < deadline, "the Service stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_not_taken() {
    let harbour = Harbour::open().await;
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "ClusterIP", "selector": {"app": "theirs"}, "ports": [{"name": "http", "port": 8080, "targetPort": 1, "protocol": "TCP"}]}});
    harbour.send("POST", &harbour.path("v1", "services?fieldManager=helm"), "application/json", &foreign).await;
    harbour.create("web", &spec("registry.example/web:1", 1)).await;
    let refused = |a: &berth_core::ports::cluster::AppObject| {
        a.view.status.cause.as_ref().is_some_and(|c| c.code == CauseCode::ObjectRefused)
    };
    let status = harbour.wait_app("web", "refused", refused).await.view.status;
    assert!(status.cause.unwrap().message.contains("exists already"));
    let service = harbour.get(&harbour.path("v1", "services/web")).await.unwrap();
    assert_eq!(service["spec"]["selector"], json!({"app": "theirs"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_all_pods() {
    let harbour = Harbour::open().await;
    let ada = harbour.person("ada");
    harbour.create("web", &spec("registry.example/web:1", 2)).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    let query = LogQuery { app: Some("web".into()), follow: true, tail: Some(50), ..LogQuery::default() };
    let mut stream = harbour.cluster.logs(&ada, &harbour.dev(), &query).await.unwrap();
    let mut pods = std::collections::HashSet::new();
    let read = async {
        while pods.len() < 2 {
            let line = stream.next().await.expect("it goes on").expect("a line");
            assert!(line.at.is_some());
            pods.insert(line.pod);
        }
        // A pod that comes later is heard too.
        harbour.cluster.replace_app(&ada, &harbour.app("web"), &spec("registry.example/web:1", 3), None).await.unwrap();
        while pods.len() < 3 {
            pods.insert(stream.next().await.expect("it goes on").expect("a line").pod);
        }
    };
    assert!(tokio::time::timeout(PATIENCE, read).await.is_ok(), "heard of {pods:?}");

    let once = LogQuery { follow: false, ..query };
    let lines: Vec<_> = harbour.cluster.logs(&ada, &harbour.dev(), &once).await.unwrap().collect().await;
    let times: Vec<_> = lines.iter().map(|l| l.as_ref().expect("a line").at).collect();
    assert!(!times.is_empty() && times.is_sorted(), "{times:?}");

    let nobody = harbour
        .cluster
        .logs(&ada, &harbour.dev(), &LogQuery { pod: Some("no-such-pod".into()), ..LogQuery::default() })
        .await;
    assert_eq!(nobody.err().expect("no such pod").code(), ErrorCode::NotFound);
}

/// Labels and annotations: what somebody who took it over would have changed.
fn metadata(namespace: Option<Value>) -> [Value; 2] {
    let metadata = namespace.expect("it is there")["metadata"].clone();
    ["labels", "annotations"].map(|key| metadata[key].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_of_others_are_left_alone() {
    let harbour = Harbour::new().await;
    let name = format!("m{}", unique());
    let path = format!("/api/v1/namespaces/cert-{name}");
    let theirs = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": format!("cert-{name}"), "labels": {"team": "ops"}}});
    harbour.send("POST", "/api/v1/namespaces", "application/json", &theirs).await;
    let before = metadata(harbour.get(&path).await);
    let desired = desired(&row("cert", &name));
    assert!(harbour.cluster.namespace_taken(&desired).await.unwrap());
    let refused = harbour.cluster.ensure_namespace(&harbour.berth(), &desired).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AlreadyExists);
    assert_eq!(metadata(harbour.get(&path).await), before, "no label of ours");
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/cert-{name}/rolebindings");
    let bindings = harbour.get(&bindings).await.unwrap();
    assert_eq!(bindings["items"], json!([]), "and no rights");
    harbour.send("DELETE", &path, "application/json", &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_did_to_bindings_is_mended() {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    const MERGE: &str = "application/merge-patch+json";
    let harbour = Harbour::new().await;
    let row =
        berth_types::people::Namespace { kube_name: harbour.namespace.kube_name.to_string(), ..row("shop", "dev") };
    let ensure = async || harbour.cluster.ensure_namespace(&harbour.berth(), &desired(&row)).await.unwrap().changed;
    let path = |name: &str| harbour.path(RBAC, &format!("rolebindings/{name}"));
    let all = async || {
        let list = harbour.get(&harbour.path(RBAC, "rolebindings")).await.unwrap();
        let one = |b: &Value| json!([b["metadata"]["name"], b["metadata"]["labels"], b["roleRef"], b["subjects"]]);
        let mut all: Vec<String> = list["items"].as_array().unwrap().iter().map(|b| one(b).to_string()).collect();
        all.sort();
        all
    };
    let made = |name: &str, role: &str| {
        json!({"apiVersion": RBAC, "kind": "RoleBinding",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "berth"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": []})
    };
    let before = all().await;
    assert!(before.len() >= 4, "{before:?}");

    // One gone, one for somebody else, one without Berth's label, one with another role, one too many.
    harbour.send("DELETE", &path("berth-viewer"), "application/json", &json!({})).await;
    let subjects =
        json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "strangers"}]});
    harbour.send("PATCH", &path("berth-developer"), MERGE, &subjects).await;
    harbour.send("PATCH", &path("berth-admin"), MERGE, &json!({"metadata": {"labels": null}})).await;
    harbour.send("DELETE", &path("berth-owner"), "application/json", &json!({})).await;
    for binding in [made("berth-owner", "berth-viewer"), made("stray", "berth-owner")] {
        harbour.send("POST", &harbour.path(RBAC, "rolebindings"), "application/json", &binding).await;
    }
    assert!(ensure().await, "mended");
    assert_eq!(all().await, before);
    assert!(!ensure().await, "nothing left to do");
}
