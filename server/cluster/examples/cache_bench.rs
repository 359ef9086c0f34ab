//! Fills the cache with pods as a cluster sends them (9 KB of JSON each), and prints memory a pod and times of pages.
//!
//! `cargo build --workspace --example cache_bench --release`, then the program with the number of pods; `cargo xtask bench` does both.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

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
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// As in `berth`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Memory of this process, now and at most, in bytes.
fn memory() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Pods a namespace.
const SPACE: usize = 10_000;

fn pod(i: usize) -> String {
    let app = format!("app-{}", i / 5 % 2000);
    let namespace = format!("shop-{}", i / SPACE);
    let padding = "x".repeat(7600);
    json!({"type": "ADDED", "object": {"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{app}-7c9f6b5d4-{i:05}"), "namespace": namespace, "uid": format!("uid-{i}"),
            "resourceVersion": (i + 1).to_string(), "creationTimestamp": format!("2026-01-01T{:02}:{:02}:{:02}Z", i / 3600 % 24, i / 60 % 60, i % 60),
            "labels": {"berth.dev/app": app, "berth.dev/component": "main", "berth.dev/revision": "3", "pod-template-hash": "7c9f6b5d4"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": padding}}]},
        "spec": {"nodeName": format!("node-{:03}", i % 200), "containers": [{"name": "main", "image": "registry.example/app:1"}]},
        "status": {"phase": "Running", "podIP": format!("10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255),
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "main", "ready": !i.is_multiple_of(17), "restartCount": i % 23, "state": if i.is_multiple_of(17) {
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off 5m0s restarting failed container=main pod={i}")}})
            } else { json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}) }}]}}})
    .to_string()
        + "\n"
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let pods: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let end = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "999999999", "annotations": {"k8s.io/initial-events-end": "true"}}}});
        let end = end.to_string() + "\n";
        let body = if request.uri().path() == "/api/v1/pods" {
            let lines = futures::stream::iter((0..pods).map(pod)).chain(futures::stream::iter([end]));
            axum::body::Body::from_stream(lines.map(Ok::<_, Infallible>).chain(futures::stream::pending()))
        } else if request.uri().query().is_some_and(|q| q.contains("watch")) {
            axum::body::Body::from_stream(
                futures::stream::iter([Ok::<_, Infallible>(end)]).chain(futures::stream::pending()),
            )
        } else {
            "{}".into()
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    println!("one pod: {} bytes of JSON", pod(12_345).len());
    let connection = Connection::single(kube::Client::new(service, "default"));
    let cluster = KubeCluster::new(ClusterId::local(), connection, Arc::new(SystemClock));
    let (before, _) = memory();
    let begin = Instant::now();
    let shutdown = CancellationToken::new();
    tokio::spawn(cluster.clone().run(shutdown.clone()));
    assert!(cluster.wait_until_live(Duration::from_secs(600)).await, "never filled");
    let took = begin.elapsed();
    let (now, peak) = memory();
    let (live, peak) = (now.saturating_sub(before), peak.saturating_sub(before));
    println!("{} pods in {took:.2?} (generating the JSON included)", cluster.pods_cached());
    println!("resident memory: {} bytes a pod, at the peak {}", live / pods, peak / pods);

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
        kube_name: "shop-0".into(),
        given: None,
        rights: Default::default(),
        protected: false,
        halt: None,
    };
    let namespace = Grant::unchecked(namespace, Resource::Workload, Action::Read);
    let sorted = |sort: &str| ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() };
    let rows = cluster.pods(&namespace, &sorted("name")).unwrap().total;
    println!("pages of 100 over {rows} pods, median of 200:");
    for (what, query) in [
        ("by name", sorted("name")),
        ("by restarts, most first", sorted("-restarts,name")),
        ("by node", sorted("node")),
        ("newest first", sorted("-created")),
        ("failing, by restarts", sorted("-restarts").filter("phase", "failing")),
        (
            "one node, by name, page 50 of 100",
            ListQuery { offset: 4900, ..sorted("-restarts").filter("phase", "running") },
        ),
        ("words", ListQuery { q: "app-17 node-1".to_owned(), ..sorted("name") }),
    ] {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let begin = Instant::now();
                let page = cluster.pods(&namespace, &query).unwrap();
                assert!(!page.items.is_empty());
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("  {what:<36} {:>9.1?}  p99 {:>9.1?}", times[100], times[198]);
    }
    shutdown.cancel();
}
