//! What a watch does with an API server that answers as real ones do when they forget, compact or know less. Scripted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use berth_cluster::{Connection, KubeCluster};
use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    env::SystemClock,
    ports::cluster::Cluster as _,
};
use berth_types::{Action, ClusterId, ListQuery, Resource};
use futures::StreamExt as _;
use http::{Request, Response};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Chunks = futures::stream::BoxStream<'static, Result<bytes::Bytes, Infallible>>;

/// What the script answers to a watch or list of pods.
enum Answer {
    /// A status code and a body, then the end.
    Body(u16, String),
    /// Lines, then silence.
    Open(String),
}

struct Server {
    script: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<String>>,
}

fn pod(name: &str, version: u64) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop-dev", "resourceVersion": version.to_string()}, "status": {"phase": "Running"}})
}

fn line(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string() + "\n"
}

fn bookmark(version: u64, end: bool) -> String {
    let annotations = if end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    line("BOOKMARK", &json!({"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}}))
}

impl Server {
    fn answer(&self, request: &Request<Body>) -> Response<axum::body::Body> {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let open = |text: String| {
            let lines: Chunks =
                futures::stream::iter([Ok(bytes::Bytes::from(text))]).chain(futures::stream::pending()).boxed();
            axum::body::Body::from_stream(lines)
        };
        if path != "/api/v1/pods" {
            let body = if query.contains("watch=true") { open(bookmark(1, true)) } else { "{}".into() };
            return Response::new(body);
        }
        self.asked.lock().push(query);
        match self.script.lock().pop_front() {
            Some(Answer::Body(status, body)) => Response::builder().status(status).body(body.into()).unwrap(),
            Some(Answer::Open(lines)) => Response::new(open(lines)),
            None => Response::new(open(String::new())),
        }
    }
}

async fn run(script: Vec<Answer>, wanted: &[&str]) -> Vec<String> {
    let server = Arc::new(Server { script: Mutex::new(script.into()), asked: Mutex::default() });
    let answering = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let response = answering.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = Connection::single(kube::Client::new(service, "default"));
    let cluster = KubeCluster::new(ClusterId::local(), connection, Arc::new(SystemClock));
    let shutdown = CancellationToken::new();
    tokio::spawn(cluster.clone().run(shutdown.clone()));
    let tenant = TenantRef {
        id: Uuid::nil(),
        name: "shop".parse().unwrap(),
        display_name: "".into(),
        role: None,
        rights: Default::default(),
        halt: None,
    };
    let namespace = NamespaceRef {
        tenant,
        id: Uuid::nil(),
        name: "dev".parse().unwrap(),
        cluster: ClusterId::local(),
        kube_name: "shop-dev".into(),
        given: None,
        rights: Default::default(),
        protected: false,
        halt: None,
    };
    let namespace = Grant::unchecked(namespace, Resource::Workload, Action::Read);
    let mut changes = cluster.subscribe();
    let mut names = Vec::new();
    let there = async {
        loop {
            let page = cluster.pods(&namespace, &ListQuery::default()).unwrap();
            names = page.items.iter().map(|p| p.name.to_string()).collect();
            if names == wanted && server.script.lock().is_empty() {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(200), changes.recv()).await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(30), there).await.is_ok();
    assert!(came, "pods are {names:?}; asked: {:#?}", server.asked.lock());
    shutdown.cancel();

    server.asked.lock().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_where_it_was() {
    let first = line("ADDED", &pod("a", 3)) + &bookmark(5, true) + &line("ADDED", &pod("b", 6));
    let asked = run(
        vec![Answer::Body(200, first), Answer::Open(line("DELETED", &pod("a", 8)) + &line("ADDED", &pod("c", 9)))],
        &["b", "c"],
    )
    .await;
    assert!(
        asked[0].contains("sendInitialEvents=true") && asked[0].contains("resourceVersionMatch=NotOlderThan"),
        "{asked:?}"
    );
    assert!(asked[1].contains("resourceVersion=6") && !asked[1].contains("sendInitialEvents"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_anew_when_it_fell_behind() {
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
    let list = |name, version| line("ADDED", &pod(name, version)) + &bookmark(version, true);
    run(
        vec![
            Answer::Body(200, list("a", 3)),
            // In the stream, and as an answer.
            Answer::Body(200, line("ERROR", &gone)),
            Answer::Body(200, list("b", 100)),
            Answer::Body(410, gone.to_string()),
            Answer::Open(list("c", 200)),
        ],
        &["c"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_breaks_off_changes_nothing() {
    let asked = run(
        vec![
            Answer::Body(200, line("ADDED", &pod("a", 3)) + &bookmark(3, true)),
            Answer::Body(410, "{}".to_owned()),
            Answer::Body(200, line("ADDED", &pod("half", 9))),
            Answer::Body(500, "oh".to_owned()),
            Answer::Open(line("ADDED", &pod("whole", 9)) + &bookmark(9, true)),
        ],
        &["whole"],
    )
    .await;
    assert_eq!(asked.len(), 5, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_is_listed_in_pages() {
    let refused = json!({"kind": "Status", "code": 422, "message": "sendInitialEvents is forbidden for watch"});
    let page = |name: &str, next: &str| {
        json!({"metadata": {"resourceVersion": "7", "continue": next}, "items": [pod(name, 5)]}).to_string()
    };
    let asked = run(
        vec![
            Answer::Body(422, refused.to_string()),
            Answer::Body(200, page("a", "more")),
            Answer::Body(200, page("b", "")),
            Answer::Open(line("ADDED", &pod("c", 8))),
        ],
        &["a", "b", "c"],
    )
    .await;
    assert!(asked[2].contains("continue=more") && asked[3].contains("resourceVersion=7"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_that_cannot_be_read_stops_nothing() {
    let lines =
        line("ADDED", &json!({"metadata": {"name": 5}})) + &line("ADDED", &pod("a", 3)) + "\n" + &bookmark(5, true);
    run(vec![Answer::Open(lines)], &["a"]).await;
}
