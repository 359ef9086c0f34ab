//! One case a cause, from objects as a real cluster writes them.

use berth_types::app_status::{AppPhase, AppStatus, CauseCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    cache::{child::ChildRecord, store::Record as _},
    intern::Interner,
    meta,
};

const NOW: &str = "2026-01-01T00:10:00Z";

/// A Deployment's numbers: wanted, total, updated, ready.
fn deployment(name: &str, component: &str, numbers: [i32; 4], conditions: Value) -> (String, ChildRecord) {
    let [wanted, total, updated, ready] = numbers;
    let object = json!({
        "metadata": {"name": name, "namespace": "shop-dev", "generation": 2, "labels": {meta::APP: "shop", meta::COMPONENT: component, meta::REVISION: "2"}},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 2, "replicas": total, "updatedReplicas": updated, "readyReplicas": ready,
            "availableReplicas": ready, "conditions": conditions},
    });
    let wire = serde_json::from_value(object).expect("a deployment");
    (name.to_owned(), ChildRecord::decode(wire, &Interner::default()).expect("a record").row)
}

fn pod(name: &str, status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop-dev", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {meta::APP: "shop", meta::COMPONENT: "main", meta::REVISION: if name.contains("-old-") { "1" } else { "2" }}},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "registry.example/shop:2", "resources": {"limits": {"memory": "128Mi"}}}],
            "initContainers": [{"name": "migrate", "image": "registry.example/shop:2"}]},
        "status": status,
    }))
    .expect("a pod")
}

fn event(pod: &str, reason: &str, message: &str) -> EventRow {
    let at = "2026-01-01T00:09:00Z".parse().expect("a time");
    EventRow {
        kind: "Warning".into(),
        reason: reason.into(),
        message: message.into(),
        object: format!("Pod/{pod}").into(),
        app: None,
        count: 4,
        first_at: at,
        last_at: at,
    }
}

fn main_status(ready: bool, restarts: i32, state: Value, last: Value) -> Value {
    json!({"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "containerStatuses": [{"name": "main", "ready": ready, "restartCount": restarts, "image": "", "imageID": "", "state": state, "lastState": last}]})
}

fn pending(state: Value) -> Value {
    let mut status = main_status(false, 0, state, json!({}));
    status["phase"] = json!("Pending");
    status
}

struct Scene {
    spec: Value,
    deployments: Vec<(String, ChildRecord)>,
    pods: Vec<Pod>,
    events: Vec<EventRow>,
    logs: Logs,
    refused: Vec<Refused>,
}

impl Scene {
    /// One component whose new pod is not there yet.
    fn new() -> Self {
        Self {
            spec: json!({"components": [{"name": "main", "image": "registry.example/shop:2", "replicas": 2,
                "probes": {"readiness": {"http": {"path": "/ready", "port": 8080}, "periodSeconds": 5}}}]}),
            deployments: vec![deployment("shop", "main", [2, 3, 1, 2], json!([]))],
            pods: Vec::new(),
            events: Vec::new(),
            logs: Logs::new(),
            refused: Vec::new(),
        }
    }

    fn with(status: Value) -> Self {
        Self { pods: vec![pod("shop-new-a", status)], ..Self::new() }
    }

    fn event(mut self, reason: &str, message: &str) -> Self {
        self.events.push(event("shop-new-a", reason, message));
        self
    }

    fn log(mut self, container: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|l| (*l).to_owned()).collect();
        self.logs.insert(("shop-new-a".to_owned(), container.to_owned()), lines);
        self
    }

    fn look(&self) -> AppStatus {
        diagnose(&Facts {
            name: "shop",
            generation: 7,
            revision: 3,
            spec: &serde_json::from_value(self.spec.clone()).expect("a spec"),
            deployments: &self.deployments.iter().cloned().collect(),
            pods: &self.pods,
            events: &self.events,
            logs: &self.logs,
            refused: &self.refused,
            now: NOW.parse().expect("a time"),
        })
    }

    fn cause(&self) -> Cause {
        let status = self.look();
        assert_eq!(status.phase, AppPhase::Degraded, "{status:?}");
        status.cause.expect("a cause")
    }
}

fn crashed(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-01-01T00:09:30Z"}})
}

fn backoff() -> Value {
    json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s restarting failed container=main"}})
}

#[test]
fn every_cause() {
    let looping = |code, reason| main_status(false, 5, backoff(), crashed(code, reason));
    let waiting = |reason: &str, message: &str| pending(json!({"waiting": {"reason": reason, "message": message}}));
    let unscheduled = |message: &str| {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastTransitionTime": "2026-01-01T00:09:00Z"}]})
    };
    let creating = json!({"waiting": {"reason": "ContainerCreating"}});
    let init = |state: Value| {
        json!({"phase": "Pending", "initContainerStatuses": [{"name": "migrate", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": state, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}]})
    };
    let not_ready = main_status(false, 0, json!({"running": {"startedAt": "2026-01-01T00:01:00Z"}}), json!({}));
    let quota = "pods \"shop-new-b\" is forbidden: exceeded quota: compute, requested: requests.cpu=1, used: requests.cpu=4, limited: requests.cpu=4";
    let failure = |message: &str| {
        let conditions =
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]);
        Scene { deployments: vec![deployment("shop", "main", [2, 2, 0, 2], conditions)], ..Scene::new() }
    };
    let cases: Vec<(CauseCode, Scene, &str)> = vec![
        (
            CauseCode::ImagePull,
            Scene::with(waiting("ImagePullBackOff", "Back-off pulling image \"registry.example/shop:2\"")).event(
                "Failed",
                "Failed to pull image \"registry.example/shop:2\": registry.example/shop:2: not found",
            ),
            "shop cannot start: the image “registry.example/shop:2” does not exist",
        ),
        (
            CauseCode::ImagePull,
            Scene::with(waiting("InvalidImageName", "couldn't parse")),
            "shop cannot start: the image “registry.example/shop:2” is not a valid name",
        ),
        (
            CauseCode::CrashLoop,
            Scene::with(looping(1, "Error")).log("main", &["starting", "panic: no config", ""]),
            "shop crashes right after its start with exit code 1",
        ),
        (
            CauseCode::CrashLoop,
            Scene::with(looping(0, "Completed")),
            "shop ends by itself (exit code 0) and is started again and again: a service must go on running",
        ),
        (
            CauseCode::CrashLoop,
            Scene::with(waiting(
                "CreateContainerError",
                "failed to create containerd task: exec: \"srv\": executable file not found in $PATH",
            )),
            "shop cannot be started: \"srv\": executable file not found in $PATH",
        ),
        (
            CauseCode::OutOfMemory,
            Scene::with(looping(137, "OOMKilled")),
            "shop uses more memory than its limit of 128Mi and is killed for it",
        ),
        (
            CauseCode::HostNotFound,
            Scene::with(looping(1, "Error")).log("main", &["FATAL dial tcp: lookup db-payments: no such host", "bye"]),
            "shop cannot find the host “db-payments”: there is no such name",
        ),
        (
            CauseCode::ProbeRestarts,
            Scene::with(looping(137, "Error"))
                .event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
                .event("Killing", "Container main failed liveness probe, will be restarted"),
            "shop is restarted again and again: its liveness probe fails: HTTP probe failed with statuscode: 500",
        ),
        (
            CauseCode::NotReady,
            Scene::with(not_ready).event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
            "shop runs but is not ready: GET /ready on port 8080 fails: HTTP probe failed with statuscode: 503",
        ),
        (
            CauseCode::Unschedulable,
            Scene::with(unscheduled(
                "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available.",
            )),
            "shop waits for a node: no node has enough free CPU (0/3 nodes are available: 3 Insufficient cpu)",
        ),
        (
            CauseCode::Volume,
            Scene::with(unscheduled(
                "0/3 nodes are available: persistentvolumeclaim \"data\" not found. preemption: none",
            )),
            "shop waits for its volume: the claim “data” does not exist",
        ),
        (
            CauseCode::Volume,
            Scene::with(pending(creating.clone())).event(
                "FailedMount",
                "MountVolume.MountDevice failed for volume \"pvc-1\" : rpc error: no such device",
            ),
            "shop waits for its volume “pvc-1”, which cannot be mounted: rpc error: no such device",
        ),
        (
            CauseCode::QuotaExceeded,
            failure(quota),
            "shop cannot have more pods: the quota “compute” has no room: 1 of requests.cpu asked for, 4 of 4 in use",
        ),
        (
            CauseCode::PodRefused,
            failure("pods \"shop-new-b\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile"),
            "the cluster refuses the pods of shop: violates PodSecurity \"restricted:latest\": seccompProfile",
        ),
        (
            CauseCode::PodRefused,
            Scene::with(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")),
            "shop cannot start: its image runs as root, which is not allowed here: set runAsUser, or build the image with a USER",
        ),
        (
            CauseCode::ConfigMissing,
            Scene::with(waiting("CreateContainerConfigError", "secret \"db\" not found")),
            "shop cannot start: Secret db does not exist",
        ),
        (
            CauseCode::ConfigMissing,
            Scene::with(pending(creating))
                .event("FailedMount", "MountVolume.SetUp failed for volume \"c\" : configmap \"settings\" not found"),
            "shop cannot start: ConfigMap settings does not exist",
        ),
        (
            CauseCode::InitFailed,
            Scene::with(init(backoff())).log("migrate", &["table exists"]),
            "shop cannot start: its init container “migrate” ends with exit code 3",
        ),
        (
            CauseCode::ObjectRefused,
            Scene {
                refused: vec![Refused { object: "Ingress/shop".into(), reason: "host is taken".into() }],
                ..Scene::new()
            },
            "the cluster refused Ingress/shop of shop: host is taken",
        ),
        (
            CauseCode::Stuck,
            Scene {
                deployments: vec![deployment(
                    "shop",
                    "main",
                    [2, 3, 1, 2],
                    json!([{"type": "Progressing", "status": "False",
                    "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"shop-new\" has timed out progressing."}]),
                )],
                ..Scene::new()
            },
            "shop made no progress within 600 s, and nothing in the cluster says why",
        ),
    ];
    let seen: std::collections::BTreeSet<CauseCode> = cases.iter().map(|(code, ..)| *code).collect();
    assert_eq!(seen.len(), CauseCode::ALL.len(), "a cause without a case");
    for (code, scene, message) in cases {
        let cause = scene.cause();
        assert_eq!((cause.code, cause.message.as_str()), (code, message));
        assert!(code == CauseCode::ObjectRefused || !cause.evidence.is_empty(), "{code} has no evidence");
    }
}

#[test]
fn on_its_way() {
    let starting = pending(json!({"waiting": {"reason": "ContainerCreating"}}));
    let just_unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available", "lastTransitionTime": "2026-01-01T00:09:58Z"}]});
    let just_started = main_status(false, 0, json!({"running": {"startedAt": "2026-01-01T00:09:50Z"}}), json!({}));
    let first_crash = main_status(false, 0, crashed(1, "Error"), json!({}));
    for (what, status) in [
        ("starting", starting),
        ("unscheduled", just_unscheduled),
        ("started", just_started),
        ("one crash", first_crash),
    ] {
        let scene = Scene::with(status).event("Unhealthy", "Readiness probe failed: connection refused");
        assert_eq!(scene.look().phase, AppPhase::Progressing, "{what}");
    }
    assert_eq!(Scene { deployments: vec![], ..Scene::new() }.look().phase, AppPhase::Progressing, "nothing made yet");
}

#[test]
fn between_two_crashes_it_stays_degraded() {
    let running = json!({"running": {"startedAt": "2026-01-01T00:09:55Z"}});
    let scene = Scene::with(main_status(false, 3, running.clone(), crashed(1, "Error")));
    assert_eq!(scene.cause().code, CauseCode::CrashLoop);
    let mended = Scene::with(main_status(true, 3, running, crashed(1, "Error")));
    assert_eq!(mended.look().phase, AppPhase::Degraded, "ready, but it ran for 5 s only");
    let running = json!({"running": {"startedAt": "2026-01-01T00:09:49Z"}});
    let mended = Scene::with(main_status(true, 3, running, crashed(1, "Error")));
    assert_eq!(mended.look().phase, AppPhase::Progressing, "it runs and is ready");
}

#[test]
fn ready_between_two_crashes_is_not_ready() {
    for (started, want) in [("00:09:55", AppPhase::Degraded), ("00:09:49", AppPhase::Ready)] {
        let running = json!({"running": {"startedAt": format!("2026-01-01T{started}Z")}});
        let scene = Scene {
            deployments: vec![deployment("shop", "main", [2, 2, 2, 2], json!([]))],
            ..Scene::with(main_status(true, 3, running, crashed(1, "Error")))
        };
        assert_eq!(scene.look().phase, want, "{started}");
    }
}

#[test]
fn ready_and_suspended() {
    let done = Scene { deployments: vec![deployment("shop", "main", [2, 2, 2, 2], json!([]))], ..Scene::new() };
    let status = done.look();
    assert_eq!(
        (status.phase, status.ready.as_str(), status.observed_generation, status.revision),
        (AppPhase::Ready, "2/2", 7, 3)
    );
    assert_eq!(status.cause, None);

    let mut asleep = Scene { deployments: vec![deployment("shop", "main", [0, 0, 0, 0], json!([]))], ..Scene::new() };
    asleep.spec["suspended"] = json!(true);
    assert_eq!(asleep.look().phase, AppPhase::Suspended);
    asleep.deployments = vec![deployment("shop", "main", [0, 1, 0, 1], json!([]))];
    assert_eq!(asleep.look().phase, AppPhase::Progressing, "a pod is still leaving");
}

#[test]
fn the_worst_component_counts_and_is_named() {
    let mut scene = Scene::with(main_status(false, 5, backoff(), crashed(1, "Error")));
    scene.spec["components"] =
        json!([{"name": "main", "image": "a:1", "replicas": 1}, {"name": "worker", "image": "b:1"}]);
    scene.deployments = vec![
        deployment("shop", "main", [1, 1, 1, 0], json!([])),
        deployment("shop-worker", "worker", [1, 1, 1, 1], json!([])),
    ];
    let status = scene.look();
    assert_eq!((status.phase, status.components[1].phase), (AppPhase::Degraded, AppPhase::Ready));
    let cause = status.cause.expect("a cause");
    assert_eq!(cause.component, "main");
    assert!(cause.message.starts_with("main of shop crashes"), "{}", cause.message);
}

#[test]
fn pods_of_the_newest_revision_and_of_the_same_cause_count() {
    let looping = || main_status(false, 5, backoff(), crashed(1, "Error"));
    let mut scene = Scene::new();
    let missing =
        pending(json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}}));
    scene.pods = vec![pod("shop-old-a", missing), pod("shop-new-a", looping()), pod("shop-new-b", looping())];
    let cause = scene.cause();
    assert_eq!(cause.code, CauseCode::CrashLoop, "the old pod's cause is nearer to the root, but it is on its way out");
    assert_eq!(cause.evidence[0].count, Some(2));
    scene.pods.truncate(1);
    assert_eq!(scene.cause().code, CauseCode::ConfigMissing, "better an old pod's cause than none");
}

#[test]
fn beginnings_are_kept() {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let (then, now) = (at("2026-01-01T00:00:00Z"), at(NOW));
    let old = {
        let mut status = Scene::with(main_status(false, 5, backoff(), crashed(1, "Error"))).look();
        carry_over(&mut status, &AppStatus::default(), then);
        status
    };
    assert_eq!((old.since, old.cause.as_ref().and_then(|c| c.since)), (Some(then), Some(then)));
    let mut same = Scene::with(main_status(false, 6, backoff(), crashed(1, "Error"))).look();
    carry_over(&mut same, &old, now);
    assert_eq!((same.since, same.cause.and_then(|c| c.since)), (Some(then), Some(then)));
    let mut mended =
        Scene { deployments: vec![deployment("shop", "main", [2, 2, 2, 2], json!([]))], ..Scene::new() }.look();
    carry_over(&mut mended, &old, now);
    assert_eq!((mended.since, mended.cause), (Some(now), None));
}

#[test]
fn an_autoscaler_says_how_many() {
    let mut scene = Scene { deployments: vec![deployment("shop", "main", [5, 5, 5, 5], json!([]))], ..Scene::new() };
    scene.spec["components"][0]["autoscale"] = json!({"min": 2, "max": 9, "cpuPercent": 60});
    assert_eq!((scene.look().phase, scene.look().ready), (AppPhase::Ready, "5/5".to_owned()));
}
