//! Workloads from Deployment to running pods, on a clock that the test drives.

use std::time::Duration;

use crate::common::{World, deployment};
use berth_sim::{controllers::fields::Fields, registry::builtin::gr};
use serde_json::json;

#[tokio::test]
async fn a_deployment_becomes_available() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "nginx:1.27", 3));
    world.settle();
    let pods = world.pods("default");
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| !pod.text("/spec/nodeName").is_empty()), "scheduled at once");
    let nodes: std::collections::BTreeSet<_> = pods.iter().map(|pod| pod.text("/spec/nodeName").to_owned()).collect();
    assert_eq!(nodes.len(), 3, "spread over the nodes");

    world.advance(Duration::from_secs(2));
    let pods = world.pods("default");
    for pod in &pods {
        assert_eq!(pod.text("/status/phase"), "Running", "{pod:?}");
        assert!(pod.condition_is_true("Ready"));
        assert!(pod.text("/status/podIP").starts_with("10.244."));
        assert_eq!(pod.text("/status/containerStatuses/0/image"), "docker.io/library/nginx:1.27");
        assert_eq!(world.event_reasons(pod.name()), ["Scheduled", "Pulling", "Pulled", "Created", "Started"]);
    }
    let web = world.get(&gr::DEPLOYMENTS, "web");
    assert_eq!(web.int("/status/availableReplicas"), Some(3));
    assert!(web.condition_is_true("Available"));
    assert_eq!(web.condition("Progressing").unwrap().text("/reason"), "NewReplicaSetAvailable");
    assert_eq!(web.annotation("deployment.kubernetes.io/revision"), Some("1"));
    assert_eq!(web.int("/status/observedGeneration"), Some(1));
}

#[tokio::test]
async fn a_rollout_keeps_what_it_promises_and_can_be_rolled_back() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web:1", 4));
    world.advance(Duration::from_secs(5));
    world.modify(&gr::DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2")
    });
    for _ in 0..200 {
        world.advance(Duration::from_millis(50));
        let available = world.get(&gr::DEPLOYMENTS, "web").int("/status/availableReplicas").unwrap_or_default();
        assert!(available >= 3, "25 % of 4 may be missing, not more");
        assert!(world.pods("default").iter().filter(|pod| !pod.deleting()).count() <= 5);
    }
    let images = |world: &World| -> Vec<String> {
        world.pods("default").iter().map(|pod| pod.text("/spec/containers/0/image").to_owned()).collect()
    };
    assert_eq!(images(&world), ["web:2"; 4]);
    assert_eq!(world.get(&gr::DEPLOYMENTS, "web").annotation("deployment.kubernetes.io/revision"), Some("2"));

    world.modify(&gr::DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:1")
    });
    world.advance(Duration::from_secs(10));
    assert_eq!(images(&world), ["web:1"; 4]);
    assert_eq!(world.list(&gr::REPLICA_SETS).len(), 2, "the old ReplicaSet is used again");
    assert_eq!(world.get(&gr::DEPLOYMENTS, "web").annotation("deployment.kubernetes.io/revision"), Some("3"));
}

#[tokio::test]
async fn a_rollout_that_cannot_pull_says_why_and_times_out() {
    let world = World::new();
    let mut web = deployment("web", "sim.berth.dev/missing", 1);
    web["spec"]["progressDeadlineSeconds"] = json!(60);
    world.create(&gr::DEPLOYMENTS, web);
    world.advance(Duration::from_secs(2));
    let pod = world.pods("default").remove(0);
    assert_eq!(pod.text("/status/phase"), "Pending");
    let waiting = "/status/containerStatuses/0/state/waiting";
    assert_eq!(pod.text(&format!("{waiting}/reason")), "ImagePullBackOff");
    assert!(
        pod.text(&format!("{waiting}/message"))
            .starts_with("Back-off pulling image \"sim.berth.dev/missing\": ErrImagePull: rpc error: code = NotFound")
    );
    world.advance(Duration::from_secs(70));
    let web = world.get(&gr::DEPLOYMENTS, "web");
    let progressing = web.condition("Progressing").unwrap();
    assert_eq!(progressing.text("/reason"), "ProgressDeadlineExceeded");
    assert!(progressing.text("/message").ends_with("has timed out progressing."));
    assert_eq!(web.condition("Available").unwrap().text("/reason"), "MinimumReplicasUnavailable");
}

#[tokio::test]
async fn a_crashing_container_backs_off() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "sim.berth.dev/crash", 1));
    world.advance(Duration::from_secs(8));
    let pod = world.pods("default").remove(0);
    let status = pod.at("/status/containerStatuses/0");
    assert_eq!(status.int("/restartCount"), Some(1), "{status}");
    assert_eq!(status.text("/state/waiting/reason"), "CrashLoopBackOff");
    assert_eq!(
        status.text("/state/waiting/message"),
        format!("back-off 10s restarting failed container=main pod={}_default({})", pod.name(), pod.uid())
    );
    assert_eq!(status.int("/lastState/terminated/exitCode"), Some(1));
    assert_eq!(status.text("/lastState/terminated/reason"), "Error");
    assert_eq!(pod.text("/status/phase"), "Running");
    world.advance(Duration::from_secs(60));
    let pod = world.pods("default").remove(0);
    assert!(pod.int("/status/containerStatuses/0/restartCount") >= Some(3));
    assert!(world.event_reasons(pod.name()).contains(&"BackOff".to_owned()));
}

#[tokio::test]
async fn a_pod_that_does_not_fit_waits_until_there_is_room() {
    let world = World::new();
    let mut big = deployment("big", "web", 4);
    big["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "3"}});
    world.create(&gr::DEPLOYMENTS, big);
    world.advance(Duration::from_secs(3));
    let pods = world.pods("default");
    let pending: Vec<_> = pods.iter().filter(|pod| pod.text("/spec/nodeName").is_empty()).collect();
    assert_eq!(pending.len(), 1);
    let condition = pending[0].condition("PodScheduled").unwrap();
    assert_eq!(condition.text("/reason"), "Unschedulable");
    assert_eq!(
        condition.text("/message"),
        "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    );
    assert_eq!(world.event_reasons(pending[0].name()), ["FailedScheduling"]);
    world.modify(&gr::DEPLOYMENTS, "big", |big| big["spec"]["replicas"] = json!(3));
    world.advance(Duration::from_secs(3));
    let pods = world.pods("default");
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| !pod.text("/spec/nodeName").is_empty()), "the pending pod goes first");
}
