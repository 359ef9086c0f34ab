//! What a Deployment says of itself (`pkg/controller/deployment/{progress,sync}.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::decide::Wanted;
use crate::{clock::format_time, controllers::fields::Fields};

/// `spec.progressDeadlineSeconds`, unless it is the "never" of the API.
#[must_use]
pub fn progress_deadline(deployment: &Value) -> Option<i64> {
    deployment.int("/spec/progressDeadlineSeconds").filter(|seconds| *seconds != i64::from(i32::MAX))
}

/// A new Deployment condition.
#[must_use]
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    json!({
        "type": kind,
        "status": status,
        "lastUpdateTime": format_time(now),
        "lastTransitionTime": format_time(now),
        "reason": reason,
        "message": message,
    })
}

/// `SetDeploymentCondition`: nothing happens while status and reason stay; the condition moves to the end.
pub fn put(conditions: &mut Vec<Value>, mut fresh: Value) {
    if let Some(old) = conditions.iter().find(|old| old["type"] == fresh["type"])
        && old["status"] == fresh["status"]
    {
        if old["reason"] == fresh["reason"] {
            return;
        }
        fresh["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
    drop_kind(conditions, fresh.text("/type"));
    conditions.push(fresh);
}

/// Removes a condition.
pub fn drop_kind(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|condition| condition.text("/type") != kind);
}

fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition.text("/type") == kind)
}

fn sum(sets: &[&Value], field: &str) -> i64 {
    sets.iter().filter_map(|set| set.int(field)).sum()
}

/// Counts and the Available condition (`calculateStatus`). `all` are the ReplicaSets, `new` the one of the present
/// template.
#[must_use]
pub fn counts(deployment: &Value, all: &[&Value], new: Option<&Value>, now: Timestamp) -> Value {
    let wanted = Wanted::of(deployment);
    let available = sum(all, "/status/availableReplicas");
    let mut status = json!({"observedGeneration": deployment.generation()});
    let updated = new.and_then(|new| new.int("/status/replicas")).unwrap_or_default();
    for (field, count) in [
        ("replicas", sum(all, "/status/replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum(all, "/status/readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (sum(all, "/spec/replicas") - available).max(0)),
    ] {
        if count != 0 {
            status[field] = json!(count);
        }
    }
    // Unknown as long as a ReplicaSet has been seen by a controller that did not count.
    if all
        .iter()
        .all(|set| set.int("/status/terminatingReplicas").is_some() || set.int("/status/observedGeneration").is_none())
    {
        status["terminatingReplicas"] = json!(sum(all, "/status/terminatingReplicas"));
    }
    if let Some(collisions) = deployment.int("/status/collisionCount") {
        status["collisionCount"] = json!(collisions);
    }
    let mut conditions = deployment.items("/status/conditions").to_vec();
    put(
        &mut conditions,
        if available >= wanted.replicas - wanted.max_unavailable {
            condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
        } else {
            condition(
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
                now,
            )
        },
    );
    status["conditions"] = json!(conditions);
    status
}

/// Whether every replica is of the present template and available.
#[must_use]
pub fn complete(deployment: &Value, status: &Value) -> bool {
    let replicas = deployment.int("/spec/replicas").unwrap_or(1);
    ["/updatedReplicas", "/replicas", "/availableReplicas"]
        .iter()
        .all(|field| status.int(field).unwrap_or_default() == replicas)
        && status.int("/observedGeneration").unwrap_or_default() >= deployment.generation()
}

fn progressing(old: &Value, new: &Value) -> bool {
    let count = |status: &Value, field: &str| status.int(field).unwrap_or_default();
    let stale = |status: &Value| count(status, "/replicas") - count(status, "/updatedReplicas");
    count(new, "/updatedReplicas") > count(old, "/updatedReplicas")
        || stale(new) < stale(old)
        || count(new, "/readyReplicas") > count(old, "/readyReplicas")
        || count(new, "/availableReplicas") > count(old, "/availableReplicas")
}

/// The status during a rollout: counts, Progressing and ReplicaFailure (`syncRolloutStatus`), and when the
/// deadline is to be looked at again.
#[must_use]
pub fn rollout(deployment: &Value, all: &[&Value], new: Option<&Value>, now: Timestamp) -> (Value, Option<Timestamp>) {
    let mut status = counts(deployment, all, new, now);
    let mut conditions = status.items("/conditions").to_vec();
    let deadline = progress_deadline(deployment);
    let current = deployment.condition("Progressing");
    if deadline.is_none() {
        drop_kind(&mut conditions, "Progressing");
    }
    let count = |field: &str| status.int(field).unwrap_or_default();
    let settled = count("/replicas") == count("/updatedReplicas")
        && current.is_some_and(|condition| condition.text("/reason") == "NewReplicaSetAvailable");
    let mut again = None;
    if let Some(deadline) = deadline.filter(|_| !settled) {
        let subject = match new {
            Some(new) => format!("ReplicaSet \"{}\"", new.name()),
            None => format!("Deployment \"{}\"", deployment.name()),
        };
        if complete(deployment, &status) {
            put(
                &mut conditions,
                condition(
                    "Progressing",
                    "True",
                    "NewReplicaSetAvailable",
                    &format!("{subject} has successfully progressed."),
                    now,
                ),
            );
        } else if progressing(deployment.at("/status"), &status) {
            let mut fresh =
                condition("Progressing", "True", "ReplicaSetUpdated", &format!("{subject} is progressing."), now);
            if let Some(current) = current {
                if current.text("/status") == "True" {
                    fresh["lastTransitionTime"] = current["lastTransitionTime"].clone();
                }
                drop_kind(&mut conditions, "Progressing");
            }
            put(&mut conditions, fresh);
        } else if timed_out(&conditions, deadline, now) {
            put(
                &mut conditions,
                condition(
                    "Progressing",
                    "False",
                    "ProgressDeadlineExceeded",
                    &format!("{subject} has timed out progressing."),
                    now,
                ),
            );
        }
        let reason = find(&conditions, "Progressing").map_or("", |condition| condition.text("/reason"));
        if !matches!(reason, "ProgressDeadlineExceeded" | "NewReplicaSetAvailable") {
            // A second more, as the real controller takes, so that the comparison is not off by milliseconds.
            again = find(&conditions, "Progressing")
                .and_then(|condition| condition.time("/lastUpdateTime"))
                .and_then(|at| at.checked_add(jiff::SignedDuration::from_secs(deadline + 1)).ok());
        }
    }
    let failure = new.into_iter().chain(all.iter().copied()).find_map(|set| set.condition("ReplicaFailure"));
    match failure {
        Some(failure) => put(
            &mut conditions,
            json!({
                "type": "ReplicaFailure",
                "status": failure["status"],
                "lastUpdateTime": failure["lastTransitionTime"],
                "lastTransitionTime": failure["lastTransitionTime"],
                "reason": failure["reason"],
                "message": failure["message"],
            }),
        ),
        None => drop_kind(&mut conditions, "ReplicaFailure"),
    }
    status["conditions"] = json!(conditions);
    (status, again)
}

fn timed_out(conditions: &[Value], deadline: i64, now: Timestamp) -> bool {
    let Some(condition) = find(conditions, "Progressing") else { return false };
    match condition.text("/reason") {
        "NewReplicaSetAvailable" => false,
        "ProgressDeadlineExceeded" => true,
        _ => condition
            .time("/lastUpdateTime")
            .and_then(|at| at.checked_add(jiff::SignedDuration::from_secs(deadline)).ok())
            .is_some_and(|due| due < now),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn deployment(status: Value) -> Value {
        json!({
            "metadata": {"name": "web", "generation": 1},
            "spec": {"replicas": 2, "progressDeadlineSeconds": 600, "strategy": {
                "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
            "status": status,
        })
    }

    fn set(replicas: i64, available: i64) -> Value {
        json!({"metadata": {"name": "web-1"}, "spec": {"replicas": 2}, "status": {
            "replicas": replicas, "readyReplicas": available, "availableReplicas": available,
            "terminatingReplicas": 0, "observedGeneration": 1}})
    }

    #[test]
    fn a_rollout_progresses_completes_and_times_out() {
        let started = deployment(json!({"conditions": [
            condition("Progressing", "True", "NewReplicaSetCreated", "Created new replica set \"web-1\"", at(0))]}));
        let new = set(2, 0);
        let (status, again) = rollout(&started, &[&new], Some(&new), at(1));
        assert_eq!(status.text("/conditions/1/message"), "ReplicaSet \"web-1\" is progressing.");
        assert_eq!(status.text("/conditions/0/reason"), "MinimumReplicasUnavailable");
        assert_eq!((status["unavailableReplicas"].as_i64(), status["readyReplicas"].as_i64()), (Some(2), None));
        assert_eq!(again, Some(at(602)));

        let stuck = deployment(status.clone());
        let (late, again) = rollout(&stuck, &[&new], Some(&new), at(602));
        assert_eq!(late.text("/conditions/1/reason"), "ProgressDeadlineExceeded");
        assert_eq!(late.text("/conditions/1/message"), "ReplicaSet \"web-1\" has timed out progressing.");
        assert_eq!(again, None);

        let ready = set(2, 2);
        let (done, again) = rollout(&stuck, &[&ready], Some(&ready), at(30));
        assert_eq!(done.text("/conditions/0/reason"), "MinimumReplicasAvailable");
        assert_eq!(done.text("/conditions/1/message"), "ReplicaSet \"web-1\" has successfully progressed.");
        assert_eq!(again, None);
    }

    #[test]
    fn a_refused_pod_shows_on_the_deployment() {
        let mut new = set(0, 0);
        new["status"]["conditions"] = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"x\" is forbidden", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let (status, _) = rollout(&deployment(json!({})), &[&new], Some(&new), at(0));
        let failure = status.items("/conditions").iter().find(|c| c.text("/type") == "ReplicaFailure").unwrap();
        assert_eq!(failure.text("/reason"), "FailedCreate");
    }
}
