//! StatefulSets, DaemonSets, Jobs, CronJobs, volume claims, disruption budgets and autoscalers.

use std::time::Duration;

use crate::common::{World, deployment, pod_spec};
use berth_sim::{controllers::fields::Fields, registry::builtin::gr};
use serde_json::{Value, json};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stateful_set(name: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "OrderedReady",
            "selector": {"matchLabels": {"app": name}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec("mysql:9")},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "local", "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    })
}

#[tokio::test]
async fn a_stateful_set_comes_up_in_order_with_its_volumes() {
    let world = World::new();
    world.create(&gr::STATEFUL_SETS, stateful_set("db", 3));
    let names = |world: &World| world.pods("default").iter().map(|pod| pod.name().to_owned()).collect::<Vec<_>>();
    world.settle();
    assert_eq!(names(&world), ["db-0"]);
    world.advance(seconds(5));
    assert_eq!(names(&world), ["db-0", "db-1", "db-2"]);
    let set = world.get(&gr::STATEFUL_SETS, "db");
    assert_eq!(set.int("/status/readyReplicas"), Some(3));
    let claims = world.list(&gr::PERSISTENT_VOLUME_CLAIMS);
    assert_eq!(claims.iter().map(|claim| claim.name()).collect::<Vec<_>>(), ["data-db-0", "data-db-1", "data-db-2"]);
    assert!(claims.iter().all(|claim| claim.text("/status/phase") == "Bound"));

    world.modify(&gr::STATEFUL_SETS, "db", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mysql:10")
    });
    let first = world.pods("default").into_iter().find(|pod| pod.deleting()).unwrap();
    assert_eq!(first.name(), "db-2", "the highest ordinal is replaced first");
    world.advance(seconds(20));
    assert!(world.pods("default").iter().all(|pod| pod.text("/spec/containers/0/image") == "mysql:10"));
    let set = world.get(&gr::STATEFUL_SETS, "db");
    assert_eq!(set.text("/status/currentRevision"), set.text("/status/updateRevision"));

    world.modify(&gr::STATEFUL_SETS, "db", |set| set["spec"]["replicas"] = json!(1));
    world.advance(seconds(5));
    assert_eq!(names(&world), ["db-0"]);
    assert_eq!(world.list(&gr::PERSISTENT_VOLUME_CLAIMS).len(), 3, "volumes outlive a scale-down");
}

#[tokio::test]
async fn a_daemon_set_runs_on_every_node() {
    let world = World::new();
    world.create(
        &gr::DAEMON_SETS,
        json!({"metadata": {"name": "agent"}, "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": pod_spec("agent:1")}}}),
    );
    world.advance(seconds(3));
    let set = world.get(&gr::DAEMON_SETS, "agent");
    assert_eq!(set.int("/status/numberReady"), Some(3), "{set:?}");
    world.modify(&gr::DAEMON_SETS, "agent", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("agent:2")
    });
    world.advance(seconds(10));
    assert!(world.pods("default").iter().all(|pod| pod.text("/spec/containers/0/image") == "agent:2"));
    assert_eq!(world.get(&gr::DAEMON_SETS, "agent").int("/status/updatedNumberScheduled"), Some(3));
}

fn job(name: &str, command: &str, extra: Value) -> Value {
    let mut spec = pod_spec("busybox");
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["command"] = json!(["sh", "-c", command]);
    let mut job = json!({"metadata": {"name": name}, "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 6, "template": {"spec": spec}}});
    for (key, value) in extra.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

#[tokio::test]
async fn jobs_complete_fail_and_expire() {
    let world = World::new();
    world.create(
        &gr::JOBS,
        job("good", "echo hello; sleep 2", json!({"completions": 3, "parallelism": 2, "ttlSecondsAfterFinished": 60})),
    );
    world.create(&gr::JOBS, job("bad", "exit 3", json!({"backoffLimit": 1})));
    world.create(&gr::JOBS, job("slow", "sleep 1000", json!({"activeDeadlineSeconds": 20})));
    world.advance(seconds(10));
    let good = world.get(&gr::JOBS, "good");
    assert!(good.condition_is_true("Complete"), "{good:?}");
    assert_eq!(good.int("/status/succeeded"), Some(3));
    assert!(good.time("/status/completionTime").is_some());
    let count =
        |world: &World, name: &str| world.pods("default").iter().filter(|pod| pod.name().starts_with(name)).count();
    assert_eq!(count(&world, "good"), 3);
    world.advance(seconds(50));
    let bad = world.get(&gr::JOBS, "bad");
    assert_eq!(bad.condition("Failed").unwrap().text("/reason"), "BackoffLimitExceeded", "{bad:?}");
    assert_eq!(bad.int("/status/failed"), Some(2));
    let slow = world.get(&gr::JOBS, "slow");
    assert_eq!(slow.condition("Failed").unwrap().text("/message"), "Job was active longer than specified deadline");
    world.advance(seconds(60));
    assert!(world.find(&gr::JOBS, "good").is_none(), "its time to live is over");
    assert_eq!(count(&world, "good"), 0);
}

#[tokio::test]
async fn a_cron_job_starts_jobs_and_forgets_old_ones() {
    let world = World::new();
    world.create(
        &gr::CRON_JOBS,
        json!({"metadata": {"name": "tick"}, "spec": {
            "schedule": "*/2 * * * *", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1,
            "jobTemplate": job("x", "true", json!({}))}}),
    );
    world.advance(seconds(130));
    let jobs = world.list(&gr::JOBS);
    assert_eq!(jobs.len(), 1);
    assert!(jobs[0].name().starts_with("tick-"));
    world.advance(seconds(600));
    assert_eq!(world.list(&gr::JOBS).len(), 2);
    let cron = world.get(&gr::CRON_JOBS, "tick");
    assert!(cron.time("/status/lastSuccessfulTime").is_some());
    assert!(cron.items("/status/active").is_empty());
    world.modify(&gr::CRON_JOBS, "tick", |cron| cron["spec"]["suspend"] = json!(true));
    let last = world.get(&gr::CRON_JOBS, "tick").text("/status/lastScheduleTime").to_owned();
    world.advance(seconds(600));
    assert_eq!(world.get(&gr::CRON_JOBS, "tick").text("/status/lastScheduleTime"), last);
}

#[tokio::test]
async fn claims_are_provisioned_grow_and_are_protected() {
    let world = World::new();
    world.create(
        &gr::PERSISTENT_VOLUME_CLAIMS,
        json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    );
    world.settle();
    let claim = world.get(&gr::PERSISTENT_VOLUME_CLAIMS, "data");
    assert_eq!(claim.text("/spec/storageClassName"), "standard");
    assert_eq!(claim.text("/status/phase"), "Bound");
    assert_eq!(claim.text("/status/capacity/storage"), "1Gi");
    world.modify(&gr::PERSISTENT_VOLUME_CLAIMS, "data", |claim| {
        claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi")
    });
    assert_eq!(world.get(&gr::PERSISTENT_VOLUME_CLAIMS, "data").text("/status/capacity/storage"), "2Gi");

    let mut pod = crate::common::pod("user", "web");
    pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    world.create(&gr::PODS, pod);
    world.advance(seconds(2));
    world.delete(&gr::PERSISTENT_VOLUME_CLAIMS, "data");
    assert!(world.get(&gr::PERSISTENT_VOLUME_CLAIMS, "data").deleting(), "in use");
    world.delete(&gr::PODS, "user");
    world.advance(seconds(2));
    assert!(world.find(&gr::PERSISTENT_VOLUME_CLAIMS, "data").is_none());
    assert!(world.list(&gr::PERSISTENT_VOLUMES).is_empty(), "reclaimed");
}

#[tokio::test]
async fn a_disruption_budget_counts() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 3));
    world.create(
        &gr::POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    world.advance(seconds(3));
    let budget = world.get(&gr::POD_DISRUPTION_BUDGETS, "web");
    assert_eq!(
        [
            budget.int("/status/currentHealthy"),
            budget.int("/status/desiredHealthy"),
            budget.int("/status/disruptionsAllowed"),
            budget.int("/status/expectedPods")
        ],
        [Some(3), Some(2), Some(1), Some(3)]
    );
}

#[tokio::test]
async fn an_autoscaler_follows_the_load() {
    let world = World::new();
    let mut web = deployment("web", "web", 1);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "SIM_LOAD", "value": "90"}]);
    world.create(&gr::DEPLOYMENTS, web);
    world.create(
        &gr::HORIZONTAL_POD_AUTOSCALERS,
        json!({"metadata": {"name": "web"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
    );
    world.advance(seconds(90));
    let scaler = world.get(&gr::HORIZONTAL_POD_AUTOSCALERS, "web");
    assert_eq!(world.get(&gr::DEPLOYMENTS, "web").int("/spec/replicas"), Some(4), "{scaler:?}");
    assert_eq!(scaler.condition("ScalingActive").unwrap().text("/reason"), "ValidMetricFound");
    let condition = scaler.condition("ScalingLimited").unwrap();
    assert_eq!(condition.text("/reason"), "TooManyReplicas");
}
