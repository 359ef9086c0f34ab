//! Pods: a row of some 400 bytes instead of 9 KB of JSON.

use std::sync::Arc;

use berth_types::rows::{PodPhase, PodRow};
use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    query::{Column, Key, Listed, mentions},
    room,
    store::{Entry, Record},
};
use crate::{intern::Interner, meta};

/// Longest message that is kept.
const MAX_MESSAGE: usize = 400;

/// What every list of objects begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireMeta<L: Default, A: Default = IgnoredAny> {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) creation_timestamp: Option<Timestamp>,
    pub(crate) deletion_timestamp: Option<Timestamp>,
    pub(crate) generation: i64,
    pub(crate) labels: L,
    pub(crate) annotations: A,
}

/// Labels that Berth looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireLabels {
    #[serde(rename = "berth.dev/app")]
    pub(crate) app: Option<String>,
    #[serde(rename = "berth.dev/component")]
    pub(crate) component: Option<String>,
    #[serde(rename = "berth.dev/revision")]
    pub(crate) revision: Option<String>,
}

/// A pod, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct WirePod {
    metadata: WireMeta<Option<WireLabels>>,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    node_name: Option<String>,
    containers: Vec<WireContainer>,
    init_containers: Vec<WireContainer>,
    resources: Option<room::WireResources>,
    overhead: room::WireAmounts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    name: String,
    restart_policy: Option<String>,
    resources: room::WireResources,
}

impl WireContainer {
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    phase: String,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Vec<WireCondition>,
    container_statuses: Vec<WireContainerStatus>,
    init_container_statuses: Vec<WireContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainerStatus {
    name: String,
    ready: bool,
    started: Option<bool>,
    restart_count: u32,
    state: WireState,
    last_state: WireState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireState {
    waiting: Option<WireWaiting>,
    running: Option<IgnoredAny>,
    terminated: Option<WireTerminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireWaiting {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerminated {
    exit_code: i32,
    signal: Option<i32>,
    reason: Option<String>,
    message: Option<String>,
    finished_at: Option<Timestamp>,
}

/// A pod in the cache: its row, and what a quota counts of it (see [`room::parse`]); nothing once it has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodRecord(pub(crate) PodRow, pub(crate) Option<Arc<str>>);

impl Record for PodRecord {
    type Wire = WirePod;
    const BY_APP: bool = true;
    const COUNTED: &'static [Column<Self>] = Self::COLUMNS;

    fn decode(pod: WirePod, strings: &Interner) -> Option<Entry<Self>> {
        let meta = &pod.metadata;
        if meta.name.is_empty() {
            return None;
        }
        let labels = meta.labels.as_ref();
        let said = say(&pod);
        let last = pod
            .status
            .container_statuses
            .iter()
            .chain(&pod.status.init_container_statuses)
            .flat_map(|c| [c.state.terminated.as_ref(), c.last_state.terminated.as_ref()])
            .flatten()
            .max_by_key(|t| t.finished_at);
        let name: Arc<str> = meta.name.as_str().into();
        let namespace = strings.get(&meta.namespace);
        let statuses = &pod.status.container_statuses;
        let row = PodRow {
            name: name.clone(),
            kube_namespace: namespace.clone(),
            app: strings.some(labels.and_then(|l| l.app.as_deref())),
            component: strings.some(labels.and_then(|l| l.component.as_deref())),
            phase: said.phase,
            reason: strings.get(&said.reason),
            message: said.message.map(|m| shorten(&m).into()),
            ready: count(statuses.iter().filter(|c| c.ready).count()),
            containers: count(pod.spec.containers.len()),
            restarts: statuses.iter().chain(&pod.status.init_container_statuses).map(|c| c.restart_count).sum(),
            last_exit_code: last.map(|t| t.exit_code),
            last_exit_at: last.and_then(|t| t.finished_at),
            node: strings.some(pod.spec.node_name.as_deref()),
            ip: pod.status.pod_ip.as_deref().filter(|ip| !ip.is_empty()).map(Into::into),
            revision: labels.and_then(|l| l.revision.as_deref()).and_then(|r| r.parse().ok()),
            created_at: meta.creation_timestamp.unwrap_or_default(),
        };
        let version = meta.resource_version.parse().unwrap_or(0);
        let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        let takes = (!ended).then(|| strings.get(&takes(&pod.spec)));
        Some(Entry { namespace, name, version, row: Self(row, takes) })
    }

    fn app(&self) -> Option<&Arc<str>> {
        self.0.app.as_ref()
    }
}

/// What a quota counts of a pod.
fn takes(spec: &WireSpec) -> String {
    let containers = spec.containers.iter().map(|c| (&c.resources, false));
    let inits = spec.init_containers.iter().map(|c| (&c.resources, c.is_sidecar()));
    room::print(containers, inits, spec.resources.as_ref(), &spec.overhead)
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

pub(super) fn shorten(text: &str) -> &str {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

struct Said {
    phase: PodPhase,
    reason: String,
    message: Option<String>,
}

/// How a pod is, in kubectl's word (its `printPod`, but for pods that were ended as a whole) and in ours.
fn say(pod: &WirePod) -> Said {
    let status = &pod.status;
    let condition = |kind: &str| status.conditions.iter().find(|c| c.kind == kind);
    let mut reason = status.reason.clone().filter(|r| !r.is_empty()).unwrap_or_else(|| status.phase.clone());
    let mut message = status.message.clone();
    let unscheduled = condition("PodScheduled").filter(|c| c.status == "False");
    if let Some(condition) = unscheduled {
        message = message.or_else(|| condition.message.clone());
        if condition.reason.as_deref() == Some("SchedulingGated") {
            reason = "SchedulingGated".to_owned();
        }
    }

    let (mut failing, mut initialising) = (false, false);
    for (i, container) in status.init_container_statuses.iter().enumerate() {
        let sidecar = pod.spec.init_containers.iter().any(|c| c.name == container.name && c.is_sidecar());
        if sidecar && container.started == Some(true) {
            continue;
        }
        if let Some(ended) = &container.state.terminated {
            if ended.exit_code == 0 {
                continue;
            }
            reason = format!("Init:{}", ended_word(ended));
            message = message.or_else(|| ended.message.clone());
            failing = true;
        } else if let Some(waiting) = container
            .state
            .waiting
            .as_ref()
            .filter(|w| !matches!(w.reason.as_deref(), None | Some("" | "PodInitializing")))
        {
            let word = waiting.reason.clone().unwrap_or_default();
            failing = is_failure(&word);
            reason = format!("Init:{word}");
            message = message.or_else(|| waiting.message.clone());
        } else {
            reason = format!("Init:{i}/{}", pod.spec.init_containers.len());
        }
        initialising = true;
        break;
    }

    let mut all_ready = !status.container_statuses.is_empty();
    if !initialising || condition("Initialized").is_some_and(|c| c.status == "True") {
        let mut running = false;
        for container in status.container_statuses.iter().rev() {
            all_ready &= container.ready;
            if let Some(waiting) =
                container.state.waiting.as_ref().filter(|w| w.reason.as_deref().is_some_and(|r| !r.is_empty()))
            {
                reason = waiting.reason.clone().unwrap_or_default();
                failing |= is_failure(&reason);
                message = waiting.message.clone().or(message);
            } else if let Some(ended) = &container.state.terminated {
                reason = ended_word(ended);
                failing |= ended.exit_code != 0;
                message = ended.message.clone().or(message);
            } else if container.ready && container.state.running.is_some() {
                running = true;
            }
        }
        if reason == "Completed" && running {
            reason =
                if condition("Ready").is_some_and(|c| c.status == "True") { "Running" } else { "NotReady" }.to_owned();
        }
    } else {
        all_ready = false;
    }

    let deleting = pod.metadata.deletion_timestamp.is_some();
    let phase = if deleting {
        reason = if status.reason.as_deref() == Some("NodeLost") { "Unknown" } else { "Terminating" }.to_owned();
        PodPhase::Stopping
    } else {
        // A pod that the kubelet evicts counts as succeeded where its processes end in peace, and keeps no reason but this condition.
        let evicted = condition("DisruptionTarget")
            .filter(|c| c.status == "True" && c.reason.as_deref() == Some("TerminationByKubelet"));
        match (status.phase.as_str(), evicted) {
            ("Succeeded", Some(why)) => {
                "Evicted".clone_into(&mut reason);
                message = why.message.clone().or(message);
                PodPhase::Failing
            }
            ("Succeeded", None) => PodPhase::Done,
            ("Failed", _) => {
                // Why the whole pod ended says more than how its containers did, which is all that kubectl's word tells.
                if let Some(why) = status.reason.as_ref().filter(|why| !why.is_empty()) {
                    reason.clone_from(why);
                    message = status.message.clone().or(message);
                }
                PodPhase::Failing
            }
            _ if failing => PodPhase::Failing,
            ("Running", _) if all_ready => PodPhase::Running,
            ("Running", _) if initialising => PodPhase::Starting,
            ("Running", _) => PodPhase::NotReady,
            _ if unscheduled.is_some() || pod.spec.node_name.as_deref().unwrap_or_default().is_empty() => {
                PodPhase::Waiting
            }
            _ => PodPhase::Starting,
        }
    };
    Said { phase, reason, message }
}

/// Waiting for these does not end by itself.
pub(crate) fn is_failure(reason: &str) -> bool {
    !matches!(reason, "" | "ContainerCreating" | "PodInitializing" | "ContainersNotReady" | "Pulling")
}

fn ended_word(ended: &WireTerminated) -> String {
    match (&ended.reason, ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.clone(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}

impl Listed for PodRecord {
    type Out = PodRow;
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "name", key: |p| Key::Text(&p.0.name), facet: false },
        Column { name: "phase", key: |p| Key::Word(p.0.phase as u8, p.0.phase.as_str()), facet: true },
        Column { name: "reason", key: |p| Key::Text(&p.0.reason), facet: false },
        Column { name: "node", key: |p| Key::text(p.0.node.as_deref()), facet: true },
        Column { name: "restarts", key: |p| Key::Number(p.0.restarts.into()), facet: false },
        Column { name: "created", key: |p| Key::Number(p.0.created_at.as_millisecond()), facet: false },
        Column { name: "app", key: |p| Key::text(p.0.app.as_deref()), facet: true },
        Column { name: "component", key: |p| Key::text(p.0.component.as_deref()), facet: true },
    ];
    fn name(&self) -> &str {
        &self.0.name
    }
    fn mentions(&self, word: &str) -> bool {
        let row = &self.0;
        mentions(&row.name, word)
            || mentions(&row.reason, word)
            || row.node.as_deref().is_some_and(|n| mentions(n, word))
            || row.ip.as_deref().is_some_and(|ip| mentions(ip, word))
    }
    fn out(&self) -> PodRow {
        self.0.clone()
    }
}

// The label names stand in the derive above, which takes literals only.
const _: () = {
    const fn same(a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let mut i = 0;
        while i < a.len() && i < b.len() && a[i] == b[i] {
            i += 1;
        }
        i == a.len() && i == b.len()
    }
    assert!(same(meta::APP, "berth.dev/app"));
    assert!(same(meta::COMPONENT, "berth.dev/component"));
    assert!(same(meta::REVISION, "berth.dev/revision"));
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(spec: Value, status: Value) -> PodRow {
        let object = json!({
            "metadata": {"name": "web-1", "namespace": "shop-dev", "resourceVersion": "42", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"berth.dev/app": "web", "berth.dev/component": "main", "berth.dev/revision": "7", "other": "x"}},
            "spec": spec, "status": status,
        });
        let wire = serde_json::from_value(object).expect("a pod");
        PodRecord::decode(wire, &Interner::default()).expect("a row").row.0
    }

    #[test]
    fn words() {
        let one = json!({"nodeName": "n1", "containers": [{"name": "main"}]});
        let init = json!({"nodeName": "n1", "containers": [{"name": "main"}], "initContainers": [{"name": "a"}, {"name": "b"}]});
        let container = |state: Value, ready: bool| json!({"phase": "Running", "containerStatuses": [{"name": "main", "ready": ready, "restartCount": 3, "state": state}]});
        let first = |state: Value| json!({"phase": "Pending", "initContainerStatuses": [{"name": "a", "state": state}], "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}]});
        for (spec, status, reason, phase) in [
            (one.clone(), container(json!({"running": {}}), true), "Running", PodPhase::Running),
            (one.clone(), container(json!({"running": {}}), false), "Running", PodPhase::NotReady),
            (
                one.clone(),
                container(json!({"waiting": {"reason": "CrashLoopBackOff"}}), false),
                "CrashLoopBackOff",
                PodPhase::Failing,
            ),
            (
                one.clone(),
                container(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), false),
                "OOMKilled",
                PodPhase::Failing,
            ),
            (one.clone(), container(json!({"terminated": {"exitCode": 2}}), false), "ExitCode:2", PodPhase::Failing),
            (
                one.clone(),
                json!({"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
                "ContainerCreating",
                PodPhase::Starting,
            ),
            (
                one.clone(),
                json!({"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}]}),
                "ImagePullBackOff",
                PodPhase::Failing,
            ),
            (
                json!({"containers": [{"name": "main"}]}),
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
                "Pending",
                PodPhase::Waiting,
            ),
            (
                one.clone(),
                json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
                "Evicted",
                PodPhase::Failing,
            ),
            (
                one.clone(),
                json!({"phase": "Failed", "reason": "Evicted", "message": "DiskPressure", "containerStatuses": [
                    {"name": "main", "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}]}),
                "Evicted",
                PodPhase::Failing,
            ),
            (
                one.clone(),
                json!({"phase": "Succeeded", "conditions": [
                    {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "low on storage"}],
                    "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}),
                "Evicted",
                PodPhase::Failing,
            ),
            (
                one,
                json!({"phase": "Succeeded", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}),
                "Completed",
                PodPhase::Done,
            ),
            (init.clone(), first(json!({"running": {}})), "Init:0/2", PodPhase::Starting),
            (
                init.clone(),
                first(json!({"terminated": {"exitCode": 1, "reason": "Error"}})),
                "Init:Error",
                PodPhase::Failing,
            ),
            (
                init,
                first(json!({"waiting": {"reason": "CrashLoopBackOff"}})),
                "Init:CrashLoopBackOff",
                PodPhase::Failing,
            ),
        ] {
            let row = row(spec, status.clone());
            assert_eq!((&*row.reason, row.phase), (reason, phase), "{status}");
        }
    }

    #[test]
    fn details() {
        let status = json!({"phase": "Running", "podIP": "10.0.0.7", "containerStatuses": [
            {"name": "main", "ready": false, "restartCount": 5, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
             "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:05:00Z"}}},
            {"name": "side", "ready": true, "restartCount": 1, "state": {"running": {}}}]});
        let row = row(json!({"nodeName": "n1", "containers": [{"name": "main"}, {"name": "side"}]}), status);
        assert_eq!((row.ready, row.containers, row.restarts, row.last_exit_code), (1, 2, 6, Some(1)));
        assert_eq!((row.app.as_deref(), row.component.as_deref(), row.revision), (Some("web"), Some("main"), Some(7)));
        assert_eq!((row.message.as_deref(), row.ip.as_deref()), (Some("back-off 40s"), Some("10.0.0.7")));
        assert_eq!(row.last_exit_at, Some("2026-01-01T00:05:00Z".parse().expect("a time")));
    }

    #[test]
    fn stopping() {
        let object = json!({"metadata": {"name": "a", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
        let entry =
            PodRecord::decode(serde_json::from_value(object).expect("a pod"), &Interner::default()).expect("a row");
        assert_eq!((entry.row.0.phase, &*entry.row.0.reason), (PodPhase::Stopping, "Terminating"));
    }
}
