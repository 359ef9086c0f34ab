//! What a pod says about itself, read from the object as the cluster has it.

use berth_types::{rows::PodPhase, text::printable};
use jiff::Timestamp;
use serde_json::Value;

/// What a page shows of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// How it is.
    pub phase: PodPhase,
    /// The cluster's own word for that.
    pub reason: String,
    /// The app it belongs to.
    pub app: Option<String>,
    /// The app's component.
    pub component: Option<String>,
    /// The node it is on.
    pub node: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Being deleted since.
    pub deleting_since: Option<Timestamp>,
    /// Init containers first.
    pub containers: Vec<ContainerFacts>,
    /// What the cluster checked of it.
    pub conditions: Vec<ConditionFacts>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub image: String,
    /// Runs before the others, to its end.
    pub init: bool,
    /// Whether its readiness check passes.
    pub ready: bool,
    /// Restarts.
    pub restarts: i64,
    /// How it is.
    pub state: State,
    /// How its last run ended.
    pub last: Option<Ended>,
    /// Ports.
    pub ports: Vec<i64>,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not started: why, in the cluster's word, and its message.
    Waiting(String, Option<String>),
    /// Runs since.
    Running(Option<Timestamp>),
    /// Ended.
    Ended(Ended),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The cluster's word: `Error`, `OOMKilled`, `Completed`.
    pub reason: String,
    /// Its message.
    pub message: Option<String>,
    /// What it left with.
    pub exit_code: i64,
    /// When.
    pub at: Option<Timestamp>,
}

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFacts {
    /// What was checked.
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// One word.
    pub reason: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|t| !t.is_empty()).map(|t| printable(t).into_owned())
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl PodFacts {
    /// Reads a pod. What is missing is left out; nothing is invented.
    #[must_use]
    pub fn of(pod: &Value) -> Self {
        let (meta, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
        let labels = &meta["labels"];
        let containers: Vec<ContainerFacts> =
            [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")]
                .into_iter()
                .flat_map(|(specs, statuses)| {
                    let statuses = list(&status[statuses]);
                    list(&spec[specs]).iter().map(move |container| {
                        let found = statuses.iter().find(|s| s["name"] == container["name"]).unwrap_or(&Value::Null);
                        container_facts(container, found, specs == "initContainers")
                    })
                })
                .collect();
        let conditions = list(&status["conditions"])
            .iter()
            .map(|c| ConditionFacts {
                kind: text(&c["type"]).unwrap_or_default(),
                status: text(&c["status"]).unwrap_or_default(),
                reason: text(&c["reason"]),
                message: text(&c["message"]),
                since: time(&c["lastTransitionTime"]),
            })
            .collect();
        let deleting_since = time(&meta["deletionTimestamp"]);
        let (phase, reason) = phase(status, &containers, deleting_since.is_some());
        Self {
            name: text(&meta["name"]).unwrap_or_default(),
            phase,
            reason,
            app: text(&labels["berth.dev/app"]).or_else(|| text(&labels["app.kubernetes.io/instance"])),
            component: text(&labels["berth.dev/component"]).or_else(|| text(&labels["app.kubernetes.io/component"])),
            node: text(&spec["nodeName"]),
            ip: text(&status["podIP"]),
            created_at: time(&meta["creationTimestamp"]),
            deleting_since,
            containers,
            conditions,
        }
    }
}

fn container_facts(spec: &Value, status: &Value, init: bool) -> ContainerFacts {
    let state = &status["state"];
    let state = if state["running"].is_object() {
        State::Running(time(&state["running"]["startedAt"]))
    } else if state["terminated"].is_object() {
        State::Ended(ended(&state["terminated"]))
    } else {
        let waiting = &state["waiting"];
        State::Waiting(text(&waiting["reason"]).unwrap_or_else(|| "Waiting".to_owned()), text(&waiting["message"]))
    };
    ContainerFacts {
        name: text(&spec["name"]).unwrap_or_default(),
        image: text(&spec["image"]).unwrap_or_default(),
        init,
        ready: status["ready"].as_bool().unwrap_or(false),
        restarts: status["restartCount"].as_i64().unwrap_or(0),
        state,
        last: status["lastState"]["terminated"].is_object().then(|| ended(&status["lastState"]["terminated"])),
        ports: list(&spec["ports"]).iter().filter_map(|p| p["containerPort"].as_i64()).collect(),
    }
}

fn ended(terminated: &Value) -> Ended {
    Ended {
        reason: text(&terminated["reason"]).unwrap_or_default(),
        message: text(&terminated["message"]),
        exit_code: terminated["exitCode"].as_i64().unwrap_or(0),
        at: time(&terminated["finishedAt"]),
    }
}

/// Reasons for waiting that do not pass by themselves.
const FAILING: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

fn phase(status: &Value, containers: &[ContainerFacts], deleting: bool) -> (PodPhase, String) {
    let word = text(&status["reason"]).or_else(|| text(&status["phase"])).unwrap_or_default();
    if deleting {
        return (PodPhase::Stopping, "Terminating".to_owned());
    }
    match status["phase"].as_str() {
        Some("Succeeded") => return (PodPhase::Done, word),
        Some("Failed") => return (PodPhase::Failing, word),
        _ => {}
    }
    for container in containers {
        match &container.state {
            State::Waiting(reason, _) if FAILING.contains(&reason.as_str()) => {
                return (PodPhase::Failing, reason.clone());
            }
            State::Ended(end) if end.exit_code != 0 => return (PodPhase::Failing, end.reason.clone()),
            _ => {}
        }
    }
    let scheduled = list(&status["conditions"]).iter().find(|c| c["type"] == "PodScheduled");
    if let Some(no) = scheduled.filter(|c| c["status"] == "False") {
        return (PodPhase::Waiting, text(&no["reason"]).unwrap_or(word));
    }
    let main = || containers.iter().filter(|c| !c.init);
    if main().any(|c| !matches!(c.state, State::Running(_))) {
        return (PodPhase::Starting, word);
    }
    if main().all(|c| c.ready) { (PodPhase::Running, word) } else { (PodPhase::NotReady, word) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(phase: &str, state: Value, ready: bool) -> Value {
        json!({
            "metadata": { "name": "web-1", "labels": { "app.kubernetes.io/instance": "web" } },
            "spec": { "containers": [{ "name": "main", "image": "a:1", "ports": [{ "containerPort": 80 }] }] },
            "status": { "phase": phase, "containerStatuses": [
                { "name": "main", "ready": ready, "restartCount": 2, "state": state }] },
        })
    }

    #[test]
    fn phases() {
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        let crash = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
        let ended = json!({ "terminated": { "reason": "Error", "exitCode": 1 } });
        let pull = json!({ "waiting": { "reason": "ContainerCreating" } });
        for (phase, state, ready, want, reason) in [
            ("Running", running.clone(), true, PodPhase::Running, "Running"),
            ("Running", running.clone(), false, PodPhase::NotReady, "Running"),
            ("Running", crash, false, PodPhase::Failing, "CrashLoopBackOff"),
            ("Running", ended, false, PodPhase::Failing, "Error"),
            ("Pending", pull, false, PodPhase::Starting, "Pending"),
            ("Succeeded", running.clone(), true, PodPhase::Done, "Succeeded"),
        ] {
            let facts = PodFacts::of(&pod(phase, state, ready));
            assert_eq!((facts.phase, facts.reason.as_str()), (want, reason));
        }
        let mut leaving = pod("Running", running, true);
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(PodFacts::of(&leaving).phase, PodPhase::Stopping);
        let mut waiting = pod("Pending", Value::Null, false);
        waiting["status"]["conditions"] =
            json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" }]);
        let facts = PodFacts::of(&waiting);
        assert_eq!((facts.phase, facts.reason.as_str()), (PodPhase::Waiting, "Unschedulable"));
        assert_eq!(facts.conditions[0].message.as_deref(), Some("0/3 nodes"));
    }

    #[test]
    fn an_empty_object_is_no_panic() {
        assert_eq!(PodFacts::of(&Value::Null).containers, vec![]);
    }
}
