//! `status` of a pod from its containers (`pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status/generate.go`).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    container::{Container, Ended, Role, State},
    image::Reference,
};
use crate::{
    clock::format_time,
    controllers::{fields::Fields, resources::qos_class},
};

/// What a pod's status is made from.
pub struct View<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// Init containers first, then the main ones, as in the spec.
    pub containers: &'a [Container],
    /// When the kubelet took the pod.
    pub started: Timestamp,
    /// Its address, "" before the sandbox exists.
    pub ip: &'a str,
    /// The node's address.
    pub host_ip: &'a str,
    /// Whether the sandbox runs.
    pub sandbox: bool,
    /// Set when the kubelet failed the pod as a whole: reason and message.
    pub failed: Option<(&'a str, &'a str)>,
    /// Whether the pod is being taken down.
    pub stopping: bool,
    /// Now.
    pub now: Timestamp,
}

/// The phase, as `getPhase` finds it.
#[must_use]
pub fn phase(view: &View<'_>) -> &'static str {
    if view.failed.is_some() {
        return "Failed";
    }
    let policy = view.pod.text("/spec/restartPolicy");
    let policy = if policy.is_empty() { "Always" } else { policy };
    let (mut init_pending, mut init_failed) = (false, false);
    for init in view.containers.iter().filter(|container| container.role == Role::Init) {
        match &init.state {
            State::Ended { .. } if init.succeeded() => {}
            State::Ended { .. } if policy == "Never" => init_failed = true,
            _ => init_pending = true,
        }
    }
    let sidecars_waiting = view
        .containers
        .iter()
        .any(|container| container.role == Role::Sidecar && !container.started && container.restarts == 0);
    if init_failed {
        return "Failed";
    }
    let main: Vec<&Container> = view.containers.iter().filter(|container| container.role == Role::Main).collect();
    let begun = main.iter().any(|container| container.is_running() || container.ended.is_some());
    if (init_pending || sidecars_waiting) && !begun {
        return "Pending";
    }
    let waiting = main.iter().any(|container| !container.is_running() && container.ended.is_none());
    if waiting {
        return "Pending";
    }
    if main.iter().any(|container| container.is_running()) {
        return "Running";
    }
    // Everything has ended.
    if policy == "Always" && !view.stopping {
        return "Running";
    }
    if main.iter().all(|container| container.succeeded()) {
        return "Succeeded";
    }
    if policy == "Never" || view.stopping { "Failed" } else { "Running" }
}

/// The whole `status`, keeping transition times of the old one.
#[must_use]
pub fn status(view: &View<'_>) -> Value {
    let pod = view.pod;
    let phase = phase(view);
    let finished = matches!(phase, "Failed" | "Succeeded");
    let mut out = Map::new();
    out.insert("observedGeneration".into(), json!(pod.generation()));
    out.insert("phase".into(), json!(phase));
    out.insert("conditions".into(), json!(conditions(view, phase)));
    if let Some((reason, message)) = view.failed {
        out.insert("message".into(), json!(message));
        out.insert("reason".into(), json!(reason));
    }
    out.insert("hostIP".into(), json!(view.host_ip));
    out.insert("hostIPs".into(), json!([{"ip": view.host_ip}]));
    if !view.ip.is_empty() {
        out.insert("podIP".into(), json!(view.ip));
        out.insert("podIPs".into(), json!([{"ip": view.ip}]));
    }
    out.insert("startTime".into(), json!(format_time(view.started)));
    let initializing = view.containers.iter().any(|container| match container.role {
        Role::Init => !container.succeeded(),
        Role::Sidecar => !container.started,
        Role::Main => false,
    });
    let list = |main: bool| -> Vec<Value> {
        let specs = if main { pod.items("/spec/containers") } else { pod.items("/spec/initContainers") };
        specs
            .iter()
            .filter_map(|spec| {
                let container = view
                    .containers
                    .iter()
                    .find(|container| container.name == spec.text("/name") && (container.role == Role::Main) == main)?;
                Some(container_status(container, spec, initializing, view, finished))
            })
            .collect()
    };
    let init = list(false);
    if !init.is_empty() {
        out.insert("initContainerStatuses".into(), json!(init));
    }
    out.insert("containerStatuses".into(), json!(list(true)));
    out.insert("qosClass".into(), json!(qos_class(pod)));
    for kept in ["nominatedNodeName", "ephemeralContainerStatuses", "resize"] {
        if let Some(value) = pod.at("/status").get(kept) {
            out.insert(kept.into(), value.clone());
        }
    }
    Value::Object(out)
}

fn terminated(ended: &Ended) -> Value {
    json!({"terminated": {
        "containerID": format!("containerd://{}", ended.id),
        "exitCode": ended.code,
        "finishedAt": format_time(ended.finished),
        "reason": ended.reason,
        "startedAt": format_time(ended.started),
    }})
}

fn waiting(reason: &str, message: &str) -> Value {
    if message.is_empty() {
        json!({"waiting": {"reason": reason}})
    } else {
        json!({"waiting": {"reason": reason, "message": message}})
    }
}

fn container_status(container: &Container, spec: &Value, initializing: bool, view: &View<'_>, finished: bool) -> Value {
    let mut last = container.last.as_ref();
    let state = match &container.state {
        State::Idle if initializing || container.role != Role::Main => waiting("PodInitializing", ""),
        State::Idle => waiting("ContainerCreating", ""),
        State::Pulling { refused: Some((reason, message)), .. } => {
            last = container.ended.as_ref().or(last);
            waiting(reason, message)
        }
        State::Pulling { .. } | State::Creating { .. } => match &container.ended {
            Some(ended) => terminated(ended),
            None if container.role != Role::Main => waiting("PodInitializing", ""),
            None => waiting(
                if view.pod.items("/spec/initContainers").is_empty() { "ContainerCreating" } else { "PodInitializing" },
                "",
            ),
        },
        State::NoImage { reason, message, .. } => {
            last = container.ended.as_ref().or(last);
            waiting(reason, message)
        }
        State::Misconfigured { message, .. } => {
            last = container.ended.as_ref().or(last);
            waiting("CreateContainerConfigError", message)
        }
        State::Running { since, .. } => json!({"running": {"startedAt": format_time(*since)}}),
        State::Ended { .. } => container.ended.as_ref().map_or_else(|| waiting("ContainerCreating", ""), terminated),
        State::BackOff { message, .. } => {
            last = container.ended.as_ref();
            waiting("CrashLoopBackOff", message)
        }
    };
    let reference = Reference::parse(spec.text("/image"));
    let begun = !container.id.is_empty();
    let image = match &reference {
        Some(reference) if begun => reference.canonical(),
        _ => spec.text("/image").to_owned(),
    };
    let mut out = Map::new();
    if spec.at("/resources/requests").is_object() && begun {
        out.insert("allocatedResources".into(), spec.at("/resources/requests").clone());
    }
    if begun {
        out.insert("containerID".into(), json!(format!("containerd://{}", container.id)));
    }
    out.insert("image".into(), json!(image));
    out.insert(
        "imageID".into(),
        json!(match &reference {
            Some(reference) if begun =>
                format!("{}/{}@{}", reference.registry, reference.repository, reference.pretend_digest()),
            _ => String::new(),
        }),
    );
    out.insert("lastState".into(), last.map_or_else(|| json!({}), terminated));
    out.insert("name".into(), json!(container.name));
    let init_done = container.role == Role::Init && container.succeeded();
    out.insert("ready".into(), json!(init_done || container.ready && container.is_running()));
    if begun {
        out.insert("resources".into(), spec.at("/resources").as_object().cloned().unwrap_or_default().into());
    }
    out.insert("restartCount".into(), json!(container.restarts));
    out.insert("started".into(), json!(container.started && container.is_running() && !finished));
    out.insert("state".into(), state);
    {
        let mounts: Vec<Value> = spec
            .items("/volumeMounts")
            .iter()
            .map(|mount| {
                let mut one = json!({"mountPath": mount["mountPath"], "name": mount["name"]});
                if mount.flag("/readOnly") {
                    one["readOnly"] = json!(true);
                    one["recursiveReadOnly"] = json!("Disabled");
                }
                one
            })
            .collect();
        if !mounts.is_empty() {
            out.insert("volumeMounts".into(), json!(mounts));
        }
    }
    Value::Object(out)
}

fn conditions(view: &View<'_>, phase: &str) -> Vec<Value> {
    let names = |list: Vec<&str>| format!("[{}]", list.join(" "));
    let mut out = Vec::new();
    let mut put = |kind: &str, status: bool, reason: &str, message: String| {
        let mut fresh = json!({
            "type": kind,
            "observedGeneration": view.pod.generation(),
            "status": if status { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": format_time(view.now),
        });
        if !reason.is_empty() {
            fresh["reason"] = json!(reason);
        }
        if !message.is_empty() {
            fresh["message"] = json!(message);
        }
        if let Some(old) = view.pod.condition(kind).filter(|old| old["status"] == fresh["status"]) {
            fresh["lastTransitionTime"] = old["lastTransitionTime"].clone();
        }
        out.push(fresh);
    };

    put("PodReadyToStartContainers", view.sandbox && !matches!(phase, "Succeeded" | "Failed"), "", String::new());

    let incomplete: Vec<&str> = view
        .containers
        .iter()
        .filter(|container| match container.role {
            Role::Init => !container.succeeded(),
            Role::Sidecar => !container.started && container.restarts == 0 && phase == "Pending",
            Role::Main => false,
        })
        .map(|container| container.name.as_str())
        .collect();
    if phase == "Succeeded" {
        put("Initialized", true, "PodCompleted", String::new());
    } else if incomplete.is_empty() {
        put("Initialized", true, "", String::new());
    } else {
        put(
            "Initialized",
            false,
            "ContainersNotInitialized",
            format!("containers with incomplete status: {}", names(incomplete)),
        );
    }

    let unready: Vec<&str> = view
        .containers
        .iter()
        .filter(|container| container.role != Role::Init && !(container.ready && container.is_running()))
        .map(|container| container.name.as_str())
        .collect();
    let (ready, reason, message) = if phase == "Succeeded" {
        (false, "PodCompleted", String::new())
    } else if phase == "Failed" {
        (false, "PodFailed", String::new())
    } else if unready.is_empty() {
        (true, "", String::new())
    } else {
        (false, "ContainersNotReady", format!("containers with unready status: {}", names(unready)))
    };
    let gates: Vec<&str> = view
        .pod
        .items("/spec/readinessGates")
        .iter()
        .map(|gate| gate.text("/conditionType"))
        .filter(|gate| !view.pod.condition_is_true(gate))
        .collect();
    if ready && !gates.is_empty() {
        let message = gates
            .iter()
            .map(|gate| format!("corresponding condition of pod readiness gate \"{gate}\" does not exist."))
            .collect::<Vec<_>>()
            .join(", ");
        put("Ready", false, "ReadinessGatesNotReady", message);
    } else {
        put("Ready", ready, reason, message.clone());
    }
    put("ContainersReady", ready, reason, message);

    let own = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];
    out.extend(
        view.pod.items("/status/conditions").iter().filter(|condition| !own.contains(&condition.text("/type"))).map(
            |condition| {
                let mut condition = condition.clone();
                if condition["type"] == "PodScheduled" {
                    condition["observedGeneration"] = json!(view.pod.generation());
                }
                condition
            },
        ),
    );
    out
}
