//! What is wrong with the pods of a component.

use berth_types::{
    app::{Component, Probe},
    app_status::{Cause, CauseCode, EvidenceKind},
    rows::{EventRow, PodPhase, PodRow},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
};

use super::{Facts, Finding, cause, evidence, label, newest_revision, rank, text};
use crate::{cache::pod::is_failure, meta};

/// A pod that no node takes is waited for this long: another may be leaving.
const UNSCHEDULABLE: SignedDuration = SignedDuration::from_secs(5);
/// Mounting takes its time.
const MOUNTING: SignedDuration = SignedDuration::from_secs(10);
/// Least time that a container has for getting ready.
const GETTING_READY: SignedDuration = SignedDuration::from_secs(30);
/// A crash is remembered this long while the container is not ready, so that the state does not flap between two crashes.
const CRASH_MEMORY: SignedDuration = SignedDuration::from_mins(10);
/// A container that crashed before has to run this long before being ready counts: without a probe it is ready at once.
const PROBATION: SignedDuration = SignedDuration::from_secs(10);

/// Whether a pod that looks well may be between two crashes, so that its containers have to be looked at.
pub(crate) fn crashed_lately(pod: &PodRow, now: Timestamp) -> bool {
    pod.restarts >= 2 && pod.last_exit_at.is_some_and(|at| now.duration_since(at) < CRASH_MEMORY)
}

/// Whether a pod is to be looked at more closely: it is not simply running, ended or leaving.
pub(crate) fn is_suspect(pod: &PodRow, now: Timestamp) -> bool {
    !matches!(pod.phase, PodPhase::Running | PodPhase::Done | PodPhase::Stopping) || crashed_lately(pod, now)
}

/// The findings of a component's pods, alike ones counted together.
pub(super) fn findings(facts: &Facts<'_>, component: &Component, who: &str) -> Vec<Finding> {
    let newest = newest_revision(facts, component);
    let mut out: Vec<Finding> = Vec::new();
    for pod in facts.pods {
        if label(&pod.metadata.labels, meta::COMPONENT) != Some(&component.name) {
            continue;
        }
        let view = View::new(facts, component, who, pod);
        let Some(found) = view.examine() else { continue };
        let revision = label(&pod.metadata.labels, meta::REVISION).and_then(|r| r.parse().ok());
        let of_newest = newest.is_none_or(|newest: i64| revision == Some(newest));
        match out
            .iter_mut()
            .find(|f| f.cause.code == found.code && f.cause.message == found.message && f.newest == of_newest)
        {
            Some(same) => {
                same.pods += 1;
                if let (Some(have), Some(also)) = (same.cause.evidence.first_mut(), found.evidence.first()) {
                    have.count = Some(same.pods);
                    // The longest story counts.
                    if also.kind == EvidenceKind::Log && have.kind != EvidenceKind::Log {
                        have.clone_from(also);
                    }
                }
                same.cause.since = same.cause.since.min(found.since).or(found.since);
            }
            None => out.push(Finding { cause: found, newest: of_newest, pods: 1 }),
        }
    }
    out.sort_by_key(|f| rank(f.cause.code));
    out
}

struct View<'a> {
    facts: &'a Facts<'a>,
    component: &'a Component,
    who: &'a str,
    pod: &'a Pod,
    name: &'a str,
}

impl<'a> View<'a> {
    fn new(facts: &'a Facts<'a>, component: &'a Component, who: &'a str, pod: &'a Pod) -> Self {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        Self { facts, component, who, pod, name }
    }

    fn cause(&self, code: CauseCode, message: String) -> Cause {
        cause(code, &self.component.name, message)
    }

    fn object(&self) -> Option<String> {
        Some(format!("Pod/{}", self.name))
    }

    /// Events of this pod, newest first.
    fn events(&self) -> impl Iterator<Item = &'a EventRow> {
        let object = format!("Pod/{}", self.name);
        let mut events: Vec<&EventRow> = self.facts.events.iter().filter(|e| *e.object == *object).collect();
        events.sort_by_key(|e| std::cmp::Reverse(e.last_at));
        events.into_iter()
    }

    fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        self.pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
    }

    fn older_than(&self, since: Option<Timestamp>, age: SignedDuration) -> bool {
        since.is_some_and(|since| self.facts.now.duration_since(since) >= age)
    }

    fn examine(&self) -> Option<Cause> {
        let status = self.pod.status.as_ref()?;
        let phase = status.phase.as_deref().unwrap_or("Pending");
        if self.pod.metadata.deletion_timestamp.is_some() || matches!(phase, "Succeeded" | "Failed") {
            return None;
        }
        if let Some(condition) = self.condition("PodScheduled").filter(|c| c.status == "False") {
            return self.unscheduled(condition);
        }
        let empty = Vec::new();
        for container in status.init_container_statuses.as_ref().unwrap_or(&empty) {
            let state = container.state.clone().unwrap_or_default();
            if state.terminated.as_ref().is_some_and(|t| t.exit_code == 0)
                || container.started == Some(true) && container.ready
            {
                continue;
            }
            if let Some(found) = self.waiting(container, &state).or_else(|| self.crash(container, &state, true)) {
                return Some(found);
            }
        }
        let containers = status.container_statuses.as_ref().unwrap_or(&empty);
        let states = containers.iter().map(|c| (c, c.state.clone().unwrap_or_default()));
        let found = states.clone().filter_map(|(container, state)| {
            self.waiting(container, &state).or_else(|| self.crash(container, &state, false))
        });
        if let Some(found) = found.min_by_key(|c| rank(c.code)) {
            return Some(found);
        }
        if phase == "Pending" {
            return self.mounting();
        }
        states.filter(|(c, _)| !c.ready).find_map(|(container, state)| self.not_ready(container, &state))
    }

    fn unscheduled(&self, condition: &PodCondition) -> Option<Cause> {
        let since =
            condition.last_transition_time.as_ref().or(self.pod.metadata.creation_timestamp.as_ref()).map(|t| t.0);
        if condition.reason.as_deref() == Some("SchedulingGated") || !self.older_than(since, UNSCHEDULABLE) {
            return None;
        }
        let message = condition.message.as_deref().unwrap_or("no node fits");
        let reason = berth_types::text::schedule_reason(message);
        let who = self.who;
        let claim = message.contains("PersistentVolumeClaim") || message.contains("persistentvolumeclaim");
        let mut found = if claim {
            let named = message.split_once("persistentvolumeclaim \"").and_then(|(_, rest)| rest.split_once('"'));
            let volume =
                named.map(|(name, _)| name).or_else(|| self.component.volumes.iter().find_map(|v| v.claim.as_deref()));
            let volume = volume.unwrap_or_default();
            let why = if message.contains("not found") { "does not exist" } else { "is not bound to a volume" };
            let mut cause =
                self.cause(CauseCode::Volume, format!("{who} waits for its volume: the claim “{volume}” {why}"));
            cause.params.insert("volume".into(), volume.to_owned());
            cause
        } else {
            let short = if reason.contains("Insufficient cpu") {
                "no node has enough free CPU"
            } else if reason.contains("Insufficient memory") {
                "no node has enough free memory"
            } else if reason.contains("node affinity") || reason.contains("node selector") {
                "no node carries the labels it asks for"
            } else {
                "no node takes it"
            };
            self.cause(CauseCode::Unschedulable, format!("{who} waits for a node: {short} ({reason})"))
        };
        found.params.insert("reason".into(), reason.to_owned());
        found.since = since;
        found.evidence.push(evidence(
            EvidenceKind::Condition,
            format!("PodScheduled is False: {message}"),
            self.object(),
        ));
        Some(found)
    }

    /// A container that waits for what does not come by itself.
    fn waiting(&self, container: &ContainerStatus, state: &ContainerState) -> Option<Cause> {
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        if !is_failure(reason) || reason == "CrashLoopBackOff" {
            return None;
        }
        let who = self.who;
        let mut found = match reason {
            "CreateContainerConfigError" => match text::missing_config(message) {
                Some(object) => {
                    let mut cause =
                        self.cause(CauseCode::ConfigMissing, format!("{who} cannot start: {object} does not exist"));
                    cause.params.insert("object".into(), object);
                    cause
                }
                None => {
                    let why = if message.contains("runAsNonRoot") || message.contains("non-root") {
                        "its image runs as root, which is not allowed here: set runAsUser, or build the image with a USER"
                    } else {
                        message
                    };
                    let mut cause = self.cause(CauseCode::PodRefused, format!("{who} cannot start: {why}"));
                    cause.params.insert("reason".into(), why.to_owned());
                    cause
                }
            },
            "CreateContainerError" | "RunContainerError" | "StartError" | "ContainerCannotRun" => {
                let why = text::line(message.rsplit_once("exec: ").map_or(message, |(_, tail)| tail));
                let mut cause = self.cause(CauseCode::CrashLoop, format!("{who} cannot be started: {why}"));
                cause.params.insert("lastLine".into(), why);
                cause.params.insert("restarts".into(), container.restart_count.to_string());
                cause
            }
            _ if reason.contains("Image")
                || reason == "RegistryUnavailable"
                || reason == "SignatureValidationFailed" =>
            {
                self.image(container, reason, message)
            }
            _ => return None,
        };
        found.evidence.insert(0, evidence(EvidenceKind::State, joined(reason, message), self.object()));
        Some(found)
    }

    fn image(&self, container: &ContainerStatus, reason: &str, message: &str) -> Cause {
        let image =
            self.spec_of(&container.name).and_then(|c| c.image.clone()).unwrap_or_else(|| container.image.clone());
        // The back-off itself says nothing; the failure before it does.
        let failed = self.events().find(|e| &*e.reason == "Failed" && e.message.starts_with("Failed to pull image"));
        let text = format!("{message} {}", failed.map_or("", |e| &e.message));
        let (word, sentence) = text::pull_reason(reason, &text);
        let mut cause =
            self.cause(CauseCode::ImagePull, format!("{} cannot start: the image “{image}” {sentence}", self.who));
        cause.params.insert("image".into(), image);
        cause.params.insert("reason".into(), word.to_owned());
        if let Some(event) = failed {
            let mut proof = evidence(EvidenceKind::Event, text::line(&event.message), self.object());
            proof.count = Some(event.count);
            cause.evidence.push(proof);
        }
        cause
    }

    /// A container that ends and ends again.
    fn crash(&self, container: &ContainerStatus, state: &ContainerState, init: bool) -> Option<Cause> {
        let last = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
        let ended = state.terminated.as_ref().or(last)?;
        let looping = state.waiting.as_ref().is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"));
        let recent = ended.finished_at.as_ref().is_some_and(|at| self.facts.now.duration_since(at.0) < CRASH_MEMORY);
        let again = container.restart_count >= 1 && state.terminated.is_some()
            || container.restart_count >= 2 && recent && (!container.ready || self.on_probation(state));
        if !(looping || again && (ended.exit_code != 0 || state.terminated.is_some())) {
            return None;
        }
        let lines = self.facts.logs.get(&(self.name.to_owned(), container.name.clone()));
        let last_line = lines.and_then(|l| text::last_words(l)).map(text::line);
        let mut found =
            self.why_it_ended(container, ended, init, lines.map_or(&[][..], Vec::as_slice), last_line.as_deref());
        found.params.insert("restarts".into(), container.restart_count.to_string());
        found.params.insert("exitCode".into(), ended.exit_code.to_string());
        if let Some(line) = last_line {
            found.evidence.insert(0, evidence(EvidenceKind::Log, line.clone(), self.object()));
            found.params.entry("lastLine".to_owned()).or_insert(line);
        }
        let reason = ended.reason.as_deref().unwrap_or("Error");
        let state = format!("{reason}: exit code {}, restarted {}", ended.exit_code, times(container.restart_count));
        found.evidence.push(evidence(EvidenceKind::State, state, self.object()));
        Some(found)
    }

    fn on_probation(&self, state: &ContainerState) -> bool {
        let started = state.running.as_ref().and_then(|r| r.started_at.as_ref());
        started.is_some_and(|at| self.facts.now.duration_since(at.0) < PROBATION)
    }

    fn why_it_ended(
        &self,
        container: &ContainerStatus,
        ended: &ContainerStateTerminated,
        init: bool,
        lines: &[String],
        last_line: Option<&str>,
    ) -> Cause {
        let who = self.who;
        let code = ended.exit_code;
        if ended.reason.as_deref() == Some("OOMKilled") {
            let limit = self
                .spec_of(&container.name)
                .and_then(|c| c.resources.as_ref()?.limits.as_ref()?.get("memory").map(|q| q.0.clone()));
            let message = match &limit {
                Some(limit) => format!("{who} uses more memory than its limit of {limit} and is killed for it"),
                None => format!("{who} has no memory limit; its node ran out of memory and killed it"),
            };
            let mut cause = self.cause(CauseCode::OutOfMemory, message);
            cause.params.extend(limit.map(|limit| ("limit".to_owned(), limit)));
            return cause;
        }
        if !init && let Some((probe, event)) = self.killed_by_probe() {
            let answer = self.probe_answer(probe).unwrap_or_default();
            let said = if answer.is_empty() { String::new() } else { format!(": {answer}") };
            let mut cause = self.cause(
                CauseCode::ProbeRestarts,
                format!("{who} is restarted again and again: its {probe} probe fails{said}"),
            );
            cause.params.insert("probe".into(), probe.to_owned());
            cause.params.insert("answer".into(), answer);
            cause.evidence.push(evidence(EvidenceKind::Event, text::line(&event.message), self.object()));
            return cause;
        }
        if let Some((host, line)) = lines.iter().rev().find_map(|line| Some((text::unknown_host(line)?, line))) {
            let mut cause = self
                .cause(CauseCode::HostNotFound, format!("{who} cannot find the host “{host}”: there is no such name"));
            cause.params.insert("host".into(), host);
            cause.params.insert("lastLine".into(), text::line(line));
            return cause;
        }
        if init {
            let name = &container.name;
            let mut cause = self.cause(
                CauseCode::InitFailed,
                format!("{who} cannot start: its init container “{name}” ends with exit code {code}"),
            );
            cause.params.insert("container".into(), name.clone());
            return cause;
        }
        let message = match (code, ended.message.as_deref().filter(|m| !m.is_empty())) {
            (0, _) => format!(
                "{who} ends by itself (exit code 0) and is started again and again: a service must go on running"
            ),
            (_, Some(message)) if last_line.is_none() => {
                format!("{who} crashes right after its start with exit code {code}: {}", text::line(message))
            }
            (127, _) => format!("{who} crashes right after its start: its command is not found (exit code 127)"),
            _ => format!("{who} crashes right after its start with exit code {code}"),
        };
        self.cause(CauseCode::CrashLoop, message)
    }

    /// The probe whose failure killed the container, if that is why it ended.
    fn killed_by_probe(&self) -> Option<(&'static str, &'a EventRow)> {
        self.events().find_map(|event| {
            let killing = &*event.reason == "Killing" && event.message.contains("probe");
            let probe =
                ["liveness", "startup"].into_iter().find(|p| event.message.contains(&format!("failed {p} probe")))?;
            killing.then_some((probe, event))
        })
    }

    /// What a probe was answered last.
    fn probe_answer(&self, probe: &str) -> Option<String> {
        self.events().filter(|e| &*e.reason == "Unhealthy").find_map(|event| {
            let (head, answer) =
                event.message.split_once(" probe failed: ").or_else(|| event.message.split_once(" probe errored: "))?;
            head.eq_ignore_ascii_case(probe).then(|| text::line(answer))
        })
    }

    /// Scheduled, but not started: volumes.
    fn mounting(&self) -> Option<Cause> {
        let since = self.condition("PodScheduled").and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
        let event =
            self.events().find(|e| matches!(&*e.reason, "FailedMount" | "FailedAttachVolume" | "FailedMapVolume"))?;
        if let Some(object) = text::missing_config(&event.message) {
            let mut cause =
                self.cause(CauseCode::ConfigMissing, format!("{} cannot start: {object} does not exist", self.who));
            cause.params.insert("object".into(), object);
            cause.evidence.push(evidence(EvidenceKind::Event, text::line(&event.message), self.object()));
            return Some(cause);
        }
        if !self.older_than(since, MOUNTING) {
            return None;
        }
        let volume = event
            .message
            .split_once("volume \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(name, _)| name);
        let reason = text::line(event.message.split_once(" : ").map_or(&*event.message, |(_, reason)| reason));
        let message = format!("{} waits for its volume “{volume}”, which cannot be mounted: {reason}", self.who);
        let mut cause = self.cause(CauseCode::Volume, message);
        cause.params.insert("volume".into(), volume.to_owned());
        cause.params.insert("reason".into(), reason);
        let mut proof = evidence(EvidenceKind::Event, text::line(&event.message), self.object());
        proof.count = Some(event.count);
        cause.evidence.push(proof);
        Some(cause)
    }

    fn not_ready(&self, container: &ContainerStatus, state: &ContainerState) -> Option<Cause> {
        let started = state.running.as_ref()?.started_at.as_ref().map(|t| t.0)?;
        let lost = self.condition("ContainersReady").and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
        let since = lost.map_or(started, |lost| lost.max(started));
        let own = container.name == self.component.name;
        let probe = self.component.probes.as_ref().and_then(|p| p.readiness.as_ref()).filter(|_| own);
        let seen = self.events().find(|e| &*e.reason == "Unhealthy" && e.message.starts_with("Readiness probe"));
        let patience = probe.map_or(GETTING_READY, |p| patience(p).max(GETTING_READY));
        // Without an event to prove it, twice the time.
        let patience = if seen.is_some() { patience } else { patience * 2 };
        if !self.older_than(Some(since), patience) {
            return None;
        }
        let answer = self.probe_answer("readiness").unwrap_or_else(|| "no answer".to_owned());
        let probe = probe.map_or_else(|| "readiness".to_owned(), describe);
        let message = format!("{} runs but is not ready: {probe} fails: {answer}", self.who);
        let mut cause = self.cause(CauseCode::NotReady, message);
        cause.params.insert("probe".into(), probe);
        cause.params.insert("answer".into(), answer);
        cause.since = Some(since);
        if let Some(event) = seen {
            let mut proof = evidence(EvidenceKind::Event, text::line(&event.message), self.object());
            proof.count = Some(event.count);
            cause.evidence.push(proof);
        }
        Some(cause)
    }

    fn spec_of(&self, container: &str) -> Option<&'a Container> {
        let spec = self.pod.spec.as_ref()?;
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == container)
    }
}

fn joined(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { text::line(&format!("{reason}: {message}")) }
}

fn times(n: i32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// How long a probe takes until it may be called failed.
fn patience(probe: &Probe) -> SignedDuration {
    let tries = probe.failure_threshold.unwrap_or(3) + 1;
    let seconds = probe.initial_delay_seconds.unwrap_or(0) + probe.period_seconds.unwrap_or(10) * tries;
    SignedDuration::from_secs(seconds.into())
}

/// A probe in a few words.
fn describe(probe: &Probe) -> String {
    if let Some(http) = &probe.http {
        format!("GET {} on port {}", http.path.as_deref().unwrap_or("/"), http.port)
    } else if let Some(port) = probe.tcp {
        format!("a connection to port {port}")
    } else if let Some(port) = probe.grpc {
        format!("the gRPC health check on port {port}")
    } else {
        format!("the command {}", probe.exec.join(" "))
    }
}
