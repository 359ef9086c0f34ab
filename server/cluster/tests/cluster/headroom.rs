//! What Berth counts of an app is what the cluster's quota counts: at rest, and in the middle of a rollout. And what the
//! cluster's policies would say of its pods is known before there are any.

use std::time::Duration;

use crate::common::Harbour;
use berth_core::ports::cluster::{Cluster as _, PodVerdict};
use berth_types::{
    AppPhase, AppSpec, Quantity,
    headroom::{Amounts, Load, peak, print},
};
use serde_json::{Value, json};

/// Every key that a quota may limit and an app has to do with, ReplicaSets and revisions aside.
const KEYS: [&str; 13] = [
    "requests.cpu",
    "limits.cpu",
    "requests.memory",
    "limits.memory",
    "cpu",
    "pods",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "count/deployments.apps",
    "count/poddisruptionbudgets.policy",
    "count/horizontalpodautoscalers.autoscaling",
    "count/apps.berth.dev",
];

async fn make(harbour: &Harbour, kind: &str, plural: &str, spec: Value) {
    let object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "q" }, "spec": spec });
    harbour.send("POST", &harbour.path("v1", plural), "application/json", &object).await;
}

/// A quota that limits every key and stops nothing, and a LimitRange with defaults.
async fn limited() -> Harbour {
    let harbour = Harbour::open().await;
    let default = json!({ "cpu": "300m", "memory": "96Mi" });
    let range = json!({ "limits": [{ "type": "Container", "default": default, "defaultRequest": { "cpu": "100m", "memory": "64Mi" } }] });
    make(&harbour, "LimitRange", "limitranges", range).await;
    let hard: Value =
        KEYS.iter().map(|key| ((*key).to_owned(), json!("1000Gi"))).collect::<serde_json::Map<_, _>>().into();
    make(&harbour, "ResourceQuota", "resourcequotas", json!({ "hard": hard })).await;
    let known = harbour
        .wait("the quota and the defaults", || {
            let room = harbour.cluster.room(&harbour.dev(), None);
            (room.usage.len() == KEYS.len() && room.defaults.is_some_and(|d| !d.limits.is_empty())).then_some(())
        })
        .await;
    known.expect("the quota and the LimitRange are followed");
    harbour
}

fn spec(value: &Value) -> AppSpec {
    serde_json::from_value(value.clone()).unwrap()
}

/// What the cluster counts in the whole namespace.
fn used(harbour: &Harbour) -> Vec<(String, Quantity)> {
    let usage = harbour.cluster.room(&harbour.dev(), None).usage;
    usage.into_iter().map(|row| (row.resource, row.used.parse().unwrap())).collect()
}

/// Waits until the cluster counts exactly `want` of every key.
async fn counts(harbour: &Harbour, what: &str, want: &Amounts) {
    let differs = || -> Vec<String> {
        let of = |key: &str| want.get(key).copied().unwrap_or_default();
        let wrong = used(harbour).into_iter().filter(|(key, amount)| *amount != of(key));
        wrong
            .map(|(key, amount)| format!("{key}: {} instead of {}", print(&key, amount), print(&key, of(&key))))
            .collect()
    };
    let same = harbour.wait(what, || differs().is_empty().then_some(())).await;
    assert!(same.is_some(), "{what}: the cluster counts {}", differs().join(", "));
}

fn app(image: &str) -> Value {
    json!({ "components": [
        // 25 % of 5 is 2 pods more. Its init container asks for more CPU than it does itself, and for less memory.
        { "name": "main", "image": image, "replicas": 5, "ports": [{ "port": 8080 }], "expose": { "type": "LoadBalancer" },
          "terminationGracePeriodSeconds": 0,
          "resources": { "requests": { "cpu": "200m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } },
          "initContainers": [{ "name": "migrate", "image": "registry.example/exit:0", "resources": { "requests": { "cpu": "250m" }, "limits": { "cpu": "1", "memory": "64Mi" } } }] },
        // Says little: the LimitRange says the rest. Without metrics the autoscaler leaves it at its least.
        { "name": "worker", "image": image, "autoscale": { "min": 2, "max": 2, "cpuPercent": 50 },
          "resources": { "requests": { "cpu": "100m" } }, "ports": [{ "port": 9090 }],
          "expose": { "type": "Internal" }, "terminationGracePeriodSeconds": 0, "rollout": { "maxSurge": "1" } },
    ] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_counts_what_berth_counts() {
    let harbour = limited().await;
    let defaults = harbour.cluster.room(&harbour.dev(), None).defaults.unwrap();
    let good = app("registry.example/web:1");
    let wanted = spec(&good);
    let load = Load::of(&wanted, &defaults);
    let rest = load.footprint(None).rest;
    let text = |key: &str| print(key, rest[key]);
    // By hand: 5 × 250m and 2 × 100m; 5 × 1 and 2 × 300m; 5 × 128Mi and 2 × 64Mi; 5 × 256Mi and 2 × 96Mi.
    let by_hand = ["requests.cpu", "limits.cpu", "requests.memory", "limits.memory"].map(text);
    assert_eq!(by_hand, ["1450m", "5600m", "768Mi", "1472Mi"]);

    harbour.create("web", &good).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    counts(&harbour, "at rest", &rest).await;
    // A quota counts a pod before it is made.
    let own = |amounts: &Amounts| {
        ["requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "cpu", "pods"]
            .map(|key| amounts.get(key).copied())
    };
    let counted = || own(&harbour.cluster.room(&harbour.dev(), Some("web")).counted);
    let same = harbour.wait("the app's own pods", || (counted() == own(&rest)).then_some(())).await;
    assert!(same.is_some(), "the app's own pods: {:?} instead of {:?}", counted(), own(&rest));
    assert_eq!(harbour.cluster.room(&harbour.dev(), Some("other")).counted, Amounts::new());

    // New pods that never get ready hold the rollout at its peak.
    let bad = app("registry.example/missing:1");
    harbour.cluster.replace_app(&harbour.person("ada"), &harbour.app("web"), &bad, None).await.unwrap();
    counts(&harbour, "in the middle of a rollout", &peak(&spec(&bad), &defaults)).await;

    // Suspended, its objects stay.
    let mut asleep = app("registry.example/web:1");
    asleep["suspended"] = json!(true);
    harbour.cluster.replace_app(&harbour.person("ada"), &harbour.app("web"), &asleep, None).await.unwrap();
    counts(&harbour, "suspended", &peak(&spec(&asleep), &defaults)).await;
}

/// A quota of exactly the peak lets a rollout through; one pod less, and it never begins.
#[tokio::test(flavor = "multi_thread")]
async fn the_peak_is_what_a_rollout_needs() {
    let harbour = Harbour::open().await;
    let of = |image: &str| {
        json!({ "components": [{ "name": "main", "image": image, "replicas": 3, "terminationGracePeriodSeconds": 0,
            "resources": { "requests": { "cpu": "100m" } } }] })
    };
    let peak = peak(&spec(&of("a:1")), &Default::default());
    assert_eq!(peak["pods"], Quantity::units(4));
    make(&harbour, "ResourceQuota", "resourcequotas", json!({ "hard": { "pods": "3" } })).await;
    harbour.wait("the quota", || (!harbour.cluster.room(&harbour.dev(), None).usage.is_empty()).then_some(())).await;
    harbour.create("web", &of("registry.example/web:1")).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    let next = of("registry.example/web:2");
    harbour.cluster.replace_app(&harbour.person("ada"), &harbour.app("web"), &next, None).await.unwrap();
    let told = |a: &berth_core::ports::cluster::AppObject| {
        a.view.status.cause.as_ref().is_some_and(|c| c.code == berth_types::CauseCode::QuotaExceeded)
    };
    harbour.wait_app("web", "out of quota", told).await;
    assert!(harbour.pods().iter().all(|pod| pod.revision == Some(1)), "no new pod has room: {:?}", harbour.pods());

    let quota = json!({ "spec": { "hard": { "pods": peak["pods"].to_string() } } });
    let path = harbour.path("v1", "resourcequotas/q");
    harbour.send("PATCH", &path, "application/merge-patch+json", &quota).await;
    let done = |a: &berth_core::ports::cluster::AppObject| {
        a.view.status.phase == AppPhase::Ready && a.view.status.revision == 2
    };
    harbour.wait_app("web", "rolled out", done).await;
}

/// What is said of a pod once it is `wanted`, or after a minute: a cluster enforces a quota a moment after it took it.
async fn until(ask: impl AsyncFn() -> Vec<PodVerdict>, wanted: impl Fn(&PodVerdict) -> bool) -> Vec<PodVerdict> {
    let end = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        let said = ask().await;
        if said.iter().all(&wanted) || tokio::time::Instant::now() > end {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_asked_with_a_pod_that_is_not_made() {
    let harbour = Harbour::open().await;
    let range =
        json!({ "limits": [{ "type": "Container", "max": { "memory": "1Gi" }, "default": { "memory": "128Mi" } }] });
    make(&harbour, "LimitRange", "limitranges", range).await;
    let verdicts = async |components: Value| {
        harbour.cluster.try_pods(&harbour.dev(), "web", &spec(&json!({ "components": components }))).await
    };
    let main = |more: Value| {
        let mut component = json!({ "name": "main", "image": "a:1" });
        component.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([component])
    };
    let taken = verdicts(main(json!({ "resources": { "requests": { "cpu": "100m" } } }))).await;
    let [PodVerdict::Taken(Some(takes))] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!(
        ["requests.cpu", "requests.memory"].map(|key| print(key, takes[key])),
        ["100m", "128Mi"],
        "with defaults"
    );
    for (more, field, code) in [
        (
            json!({ "resources": { "limits": { "memory": "2Gi" } } }),
            "spec.components[0].resources.limits.memory",
            "pod_limit",
        ),
        (json!({ "serviceAccountName": "ghost" }), "spec.components[0].serviceAccountName", "pod_refused"),
        (json!({ "runAsUser": 0 }), "spec.components[0].runAsUser", "pod_security"),
        (
            json!({ "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "1" } } }),
            "spec.components[0].resources.requests",
            "pod_refused",
        ),
    ] {
        let refused = verdicts(main(more.clone())).await;
        let [PodVerdict::Refused(errors)] = refused.as_slice() else { panic!("{more}: {refused:?}") };
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), (field, code), "{more}: {errors:?}");
    }
    // A quota that is full says nothing about policies; one that wants numbers does.
    make(&harbour, "ResourceQuota", "resourcequotas", json!({ "hard": { "pods": "0" } })).await;
    let full = until(async || verdicts(main(json!({}))).await, |verdict| *verdict == PodVerdict::Taken(None)).await;
    assert_eq!(full, [PodVerdict::Taken(None)]);
    let quota = json!({ "spec": { "hard": { "pods": "1", "requests.cpu": "1" } } });
    harbour.send("PATCH", &harbour.path("v1", "resourcequotas/q"), "application/merge-patch+json", &quota).await;
    let refused =
        until(async || verdicts(main(json!({}))).await, |verdict| matches!(verdict, PodVerdict::Refused(_))).await;
    let [PodVerdict::Refused(errors)] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(
        (errors[0].field.as_str(), errors[0].code.as_str()),
        ("spec.components[0].resources.requests.cpu", "quota_unstated")
    );
    assert!(harbour.pods().is_empty(), "nothing was made: {:?}", harbour.pods());

    harbour.cut.send_replace(true);
    let unknown = verdicts(main(json!({}))).await;
    assert!(matches!(unknown.as_slice(), [PodVerdict::Unknown(_)]), "{unknown:?}");
}
