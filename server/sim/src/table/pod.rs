//! The row of a pod.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, builtin::or_none};
use crate::cluster::text;

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|own| own["type"] == kind)
}

/// Counts restarts and remembers the last.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: String,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status["restartCount"].as_i64().unwrap_or(0);
        let finished = text(status, &["lastState", "terminated", "finishedAt"]);
        if finished > self.last.as_str() {
            self.last = finished.to_owned();
        }
    }
}

fn terminated_reason(terminated: &Value) -> String {
    let reason = text(terminated, &["reason"]);
    let signal = terminated["signal"].as_i64().unwrap_or(0);
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0))
    }
}

/// `printPod`.
pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let none = Vec::new();
    let list = |path: [&str; 2]| pod[path[0]][path[1]].as_array().unwrap_or(&none);
    let phase = text(pod, &["status", "phase"]);
    let mut reason = match text(pod, &["status", "reason"]) {
        "" => phase.to_owned(),
        given => given.to_owned(),
    };
    if condition(pod, "PodScheduled").is_some_and(|own| own["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }
    let init_specs = list(["spec", "initContainers"]);
    let restartable =
        |name: &Value| init_specs.iter().any(|spec| spec["name"] == *name && spec["restartPolicy"] == "Always");
    let mut total = list(["spec", "containers"]).len();
    total += init_specs.iter().filter(|spec| spec["restartPolicy"] == "Always").count();
    let mut ready = 0;
    let (mut all, mut sidecars) = (Restarts::default(), Restarts::default());
    let mut initializing = false;
    for (index, status) in list(["status", "initContainerStatuses"]).iter().enumerate() {
        all.add(status);
        let sidecar = restartable(&status["name"]);
        if sidecar {
            sidecars.add(status);
        }
        let terminated = &status["state"]["terminated"];
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            ready += usize::from(status["ready"] == true);
            continue;
        }
        let waiting = text(status, &["state", "waiting", "reason"]);
        reason = if terminated.is_object() {
            format!("Init:{}", terminated_reason(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", init_specs.len())
        };
        initializing = true;
        break;
    }
    if !initializing || condition(pod, "Initialized").is_some_and(|own| own["status"] == "True") {
        all = sidecars;
        let mut running = false;
        let mut failed = String::new();
        for status in list(["status", "containerStatuses"]).iter().rev() {
            all.add(status);
            let waiting = text(status, &["state", "waiting", "reason"]);
            let terminated = &status["state"]["terminated"];
            if !waiting.is_empty() {
                reason = waiting.to_owned();
            } else if terminated.is_object() {
                reason = terminated_reason(terminated);
                if terminated["exitCode"].as_i64().unwrap_or(0) != 0 {
                    failed.clone_from(&reason);
                }
            } else if status["ready"] == true && status["state"]["running"].is_object() {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" {
            if running && condition(pod, "Ready").is_some_and(|own| own["status"] == "True") {
                reason = "Running".into();
            } else if !failed.is_empty() {
                reason = failed;
            } else if running {
                reason = "NotReady".into();
            }
        }
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if text(pod, &["status", "reason"]) == "NodeLost" {
            reason = "Unknown".into();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            reason = "Terminating".into();
        }
    }
    let restarts = if all.count != 0 && !all.last.is_empty() {
        format!("{} ({} ago)", all.count, age(&json!(all.last), now))
    } else {
        all.count.to_string()
    };
    let gates = list(["spec", "readinessGates"]);
    let readiness = if gates.is_empty() {
        "<none>".to_owned()
    } else {
        let met = gates
            .iter()
            .filter(|gate| condition(pod, text(gate, &["conditionType"])).is_some_and(|own| own["status"] == "True"))
            .count();
        format!("{met}/{}", gates.len())
    };
    vec![
        pod["metadata"]["name"].clone(),
        json!(format!("{ready}/{total}")),
        json!(reason),
        json!(restarts),
        json!(age(&pod["metadata"]["creationTimestamp"], now)),
        json!(or_none(text(&pod["status"]["podIPs"][0], &["ip"]))),
        json!(or_none(text(pod, &["spec", "nodeName"]))),
        json!(or_none(text(pod, &["status", "nominatedNodeName"]))),
        json!(readiness),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crashing_pod_reads_as_kubectl_prints_it() {
        let pod = json!({
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "b", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"finishedAt": "2026-01-01T00:04:00Z"}}},
            ]},
        });
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap_or_default();
        let cells = cells(&pod, now);
        assert_eq!(
            cells[..5],
            [json!("p"), json!("1/2"), json!("CrashLoopBackOff"), json!("3 (60s ago)"), json!("5m")]
        );
    }
}
