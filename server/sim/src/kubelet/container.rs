//! One container's life: pull, create, run, probe, end, back off, again.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    config::{BackOff, Timing, go_duration},
    environment::environment,
    files::Changes,
    image::{Behaviour, Cause, Environment, behaviour},
    probe::{Probe, ProbeKind, Verdict},
};
use crate::{cluster::Cluster, controllers::fields::Fields};

/// What part a container plays in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next.
    Init,
    /// An init container that stays (`restartPolicy: Always`).
    Sidecar,
    /// An ordinary one.
    Main,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: &'static str,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Its id.
    pub id: String,
}

/// One run, kept for its log.
#[derive(Debug, Clone)]
pub struct Run {
    /// When it began.
    pub started: Timestamp,
    /// When it ended, if it has.
    pub finished: Option<Timestamp>,
    /// What it does.
    pub behaviour: Behaviour,
    /// Restarts before it.
    pub attempt: u32,
    /// What it sees.
    pub environment: Environment,
    /// What processes started in it changed in its files; gone with it, as a container's top layer is.
    pub files: Changes,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Its turn has not come.
    Idle,
    /// The image is on its way.
    Pulling {
        /// When the pull began.
        since: Timestamp,
        /// When it will be done or refused.
        until: Timestamp,
        /// How the pull before was refused: reason and message, which the kubelet goes on to show meanwhile.
        refused: Option<(&'static str, String)>,
    },
    /// The image could not be had.
    NoImage {
        /// `ErrImagePull`, `ImagePullBackOff`, `InvalidImageName`, `ErrImageNeverPull`.
        reason: &'static str,
        /// For people.
        message: String,
        /// When something happens next.
        until: Option<Timestamp>,
    },
    /// Created, about to start.
    Creating {
        /// When it starts.
        until: Timestamp,
    },
    /// Something it needs is missing (`CreateContainerConfigError`).
    Misconfigured {
        /// For people.
        message: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// When it ends, as things stand.
        end: Option<(Timestamp, Cause)>,
    },
    /// It ended.
    Ended {
        /// When the kubelet decides what follows.
        notice: Timestamp,
    },
    /// It ended, and a new start must wait (`CrashLoopBackOff`).
    BackOff {
        /// Until when.
        until: Timestamp,
        /// For people.
        message: String,
    },
}

/// An event about a container or its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// CamelCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// e.g. `spec.containers{main}`; "" for the pod.
    pub field_path: String,
}

/// What a step may look at.
pub struct Step<'a> {
    /// Where ConfigMaps and Secrets are.
    pub cluster: &'a Cluster,
    /// The pod.
    pub pod: &'a Value,
    /// Now.
    pub now: Timestamp,
    /// How long things take.
    pub timing: &'a Timing,
    /// The pod's address.
    pub ip: &'a str,
    /// Images on the node.
    pub images: &'a mut HashSet<String>,
    /// Events to record.
    pub told: &'a mut Vec<Told>,
}

/// A container of a pod on a node.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its part.
    pub role: Role,
    /// Where it stands.
    pub state: State,
    /// How often it was started anew.
    pub restarts: u32,
    /// How the present or latest run ended.
    pub ended: Option<Ended>,
    /// How the run before ended.
    pub last: Option<Ended>,
    /// Id of the latest run; "" before the first.
    pub id: String,
    /// Past the startup probe.
    pub started: bool,
    /// Passes readiness.
    pub ready: bool,
    /// The latest two runs, newest last.
    pub runs: Vec<Run>,
    crash: BackOff,
    pub(super) pull: BackOff,
    probes: Vec<Probe>,
}

impl Container {
    /// A container that has not begun.
    #[must_use]
    pub fn new(spec: &Value, role: Role) -> Self {
        Self {
            name: spec.text("/name").to_owned(),
            role,
            state: State::Idle,
            restarts: 0,
            ended: None,
            last: None,
            id: String::new(),
            started: false,
            ready: false,
            runs: Vec::new(),
            crash: BackOff::default(),
            pull: BackOff::default(),
            probes: Vec::new(),
        }
    }

    /// Takes up a container that a former process of ours ran, from its status.
    pub fn adopt(&mut self, spec: &Value, status: &Value, pod: &Value, environment: Environment) {
        self.restarts = status.int("/restartCount").and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        self.id = status.text("/containerID").trim_start_matches("containerd://").to_owned();
        let ended = |at: &Value| {
            at.is_object().then(|| Ended {
                code: at.int("/exitCode").and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
                reason: match at.text("/reason") {
                    "Completed" => "Completed",
                    "OOMKilled" => "OOMKilled",
                    _ => "Error",
                },
                started: at.time("/startedAt").unwrap_or_default(),
                finished: at.time("/finishedAt").unwrap_or_default(),
                id: at.text("/containerID").trim_start_matches("containerd://").to_owned(),
            })
        };
        self.last = ended(status.at("/lastState/terminated"));
        if let Some(last) = &self.last {
            let attempt = self.restarts.saturating_sub(1);
            self.runs.push(Run {
                started: last.started,
                finished: Some(last.finished),
                behaviour: behaviour(spec, &environment, pod.uid(), attempt),
                attempt,
                environment: environment.clone(),
                files: Changes::new(),
            });
        }
        if let Some(since) = status.time("/state/running/startedAt") {
            self.begin_run(spec, pod, environment, since);
            self.started = status.flag("/started");
            self.ready = status.flag("/ready");
        } else if status.at("/state/terminated").is_object() {
            self.ended = ended(status.at("/state/terminated"));
            let finished = self.ended.as_ref().map_or(Timestamp::UNIX_EPOCH, |ended| ended.finished);
            self.state = State::Ended { notice: finished };
        } else if status.text("/state/waiting/reason") == "CrashLoopBackOff" {
            self.ended = self.last.take();
            let until = self.ended.as_ref().map_or(Timestamp::UNIX_EPOCH, |ended| ended.finished);
            self.state = State::BackOff { until, message: status.text("/state/waiting/message").to_owned() };
        }
    }

    fn field_path(&self) -> String {
        let list = if self.role == Role::Main { "containers" } else { "initContainers" };
        format!("spec.{list}{{{}}}", self.name)
    }

    pub(super) fn tell(&self, step: &mut Step<'_>, kind: &'static str, reason: &'static str, message: String) {
        step.told.push(Told { kind, reason, message, field_path: self.field_path() });
    }

    /// Whether it runs now.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether it ended and, under its policy, stays so.
    #[must_use]
    pub fn is_done(&self, policy: &str) -> bool {
        matches!(self.state, State::Ended { .. }) && !self.restarts_under(policy)
    }

    /// Whether it ended with success.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.state, State::Ended { .. }) && self.ended.as_ref().is_some_and(|ended| ended.code == 0)
    }

    fn restarts_under(&self, policy: &str) -> bool {
        let failed = self.ended.as_ref().is_some_and(|ended| ended.code != 0);
        match (self.role, policy) {
            (Role::Sidecar, _) | (Role::Main, "Always") => true,
            (Role::Init, "Always") | (_, "OnFailure") => failed,
            _ => false,
        }
    }

    /// Moves on as far as the clock allows; when to look again. `policy` is the pod's restart policy, `stopping`
    /// keeps ended containers from starting anew.
    pub fn step(&mut self, spec: &Value, policy: &str, stopping: bool, step: &mut Step<'_>) -> Option<Timestamp> {
        loop {
            let now = step.now;
            match self.state.clone() {
                State::Idle => return None,
                State::Pulling { until, since, .. } => {
                    if now < until {
                        return Some(until);
                    }
                    self.pulled(spec, since, step);
                }
                State::NoImage { until, reason, .. } => {
                    let until = until?;
                    if now < until {
                        return Some(until);
                    }
                    if stopping {
                        return None;
                    }
                    if reason == "ErrImagePull" {
                        self.back_off_pull(spec, step);
                    } else {
                        self.begin(spec, step);
                    }
                }
                State::Creating { until } => {
                    if now < until {
                        return Some(until);
                    }
                    if stopping {
                        return None;
                    }
                    self.create(spec, step);
                }
                State::Misconfigured { until, .. } => {
                    if now < until {
                        return Some(until);
                    }
                    if stopping {
                        return None;
                    }
                    self.create(spec, step);
                }
                State::Running { end, .. } => {
                    if let Some((at, cause)) = end.filter(|(at, _)| *at <= now) {
                        self.end(at, cause, now, step.timing);
                        continue;
                    }
                    let probed = if stopping { None } else { self.probe(spec, step) };
                    let State::Running { end, .. } = &self.state else { continue };
                    return [end.as_ref().map(|(at, _)| *at), probed].into_iter().flatten().min();
                }
                State::Ended { notice } => {
                    if stopping || !self.restarts_under(policy) {
                        return None;
                    }
                    if now < notice {
                        return Some(notice);
                    }
                    self.decide_restart(spec, step);
                }
                State::BackOff { until, .. } => {
                    if stopping {
                        return None;
                    }
                    if now < until {
                        return Some(until);
                    }
                    self.restart(spec, step);
                }
            }
        }
    }

    fn create(&mut self, spec: &Value, step: &mut Step<'_>) {
        match environment(step.cluster, step.pod, spec) {
            Err(message) => {
                self.tell(step, "Warning", "Failed", format!("Error: {message}"));
                self.state = State::Misconfigured { message, until: later(step.now, step.timing.back_off) };
            }
            Ok(environment) => {
                self.tell(step, "Normal", "Created", "Container created".to_owned());
                self.tell(step, "Normal", "Started", "Container started".to_owned());
                if let Some(ended) = self.ended.take() {
                    self.last = Some(ended);
                    self.restarts += 1;
                }
                self.id = run_id(step.pod.uid(), &self.name, self.restarts);
                self.begin_run(spec, step.pod, environment, step.now);
            }
        }
    }

    fn begin_run(&mut self, spec: &Value, pod: &Value, environment: Environment, since: Timestamp) {
        let behaviour = behaviour(spec, &environment, pod.uid(), self.restarts);
        let end = behaviour.end.map(|(after, cause)| (later(since, after), cause));
        self.state = State::Running { since, end };
        self.probes = ProbeKind::ALL.iter().filter_map(|kind| Probe::new(*kind, spec, since)).collect();
        self.started = !self.probes.iter().any(|probe| probe.kind == ProbeKind::Startup);
        self.ready = self.started && !self.probes.iter().any(|probe| probe.kind == ProbeKind::Readiness);
        let (attempt, files) = (self.restarts, Changes::new());
        self.runs.push(Run { started: since, finished: None, behaviour, attempt, environment, files });
        if self.runs.len() > 2 {
            self.runs.remove(0);
        }
    }

    fn end(&mut self, at: Timestamp, cause: Cause, now: Timestamp, timing: &Timing) {
        let State::Running { since, .. } = self.state else { return };
        let (code, reason) = match cause {
            Cause::Exit(0) => (0, "Completed"),
            Cause::Exit(code) => (code, "Error"),
            Cause::OutOfMemory => (137, "OOMKilled"),
        };
        // What ended while nobody looked (a stopped simulator) ended then, but is noticed now.
        self.ended = Some(Ended { code, reason, started: since, finished: at, id: self.id.clone() });
        if let Some(run) = self.runs.last_mut() {
            run.finished = Some(at);
        }
        (self.started, self.ready) = (false, false);
        self.probes.clear();
        self.state = State::Ended { notice: later(now.max(at), timing.notice) };
    }

    fn decide_restart(&mut self, spec: &Value, step: &mut Step<'_>) {
        let finished = self.ended.as_ref().map_or(step.now, |ended| ended.finished);
        let until = self.crash.until(finished, step.timing);
        if step.now >= until {
            self.restart(spec, step);
            return;
        }
        let (pod, name) = (step.pod, &self.name);
        let full = format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid());
        let message =
            format!("back-off {} restarting failed container={name} pod={full}", go_duration(self.crash.delay));
        self.tell(step, "Warning", "BackOff", format!("Back-off restarting failed container {name} in pod {full}"));
        self.state = State::BackOff { until, message };
    }

    fn restart(&mut self, spec: &Value, step: &mut Step<'_>) {
        self.crash.next(step.now, step.timing);
        self.begin(spec, step);
    }

    /// Ends the run: at once when the process heeds SIGTERM, else when `grace` is over.
    pub fn stop(&mut self, grace: Duration, now: Timestamp, timing: &Timing) {
        let State::Running { since, end } = self.state else { return };
        let heeds = self.runs.last().is_none_or(|run| run.behaviour.heeds_term);
        let (after, code) = if grace.is_zero() {
            (Duration::ZERO, 137)
        } else if heeds {
            (timing.stop.min(grace), 0)
        } else {
            (grace, 137)
        };
        let at = later(now, after);
        let earlier = end.filter(|(own, _)| *own <= at);
        self.state = State::Running { since, end: earlier.or(Some((at, Cause::Exit(code)))) };
        self.ready = false;
    }

    /// Runs the probes that are due; when the next one is.
    fn probe(&mut self, spec: &Value, step: &mut Step<'_>) -> Option<Timestamp> {
        let run = self.runs.last()?;
        let (behaviour, since) = (run.behaviour.clone(), run.started);
        let mut next = None;
        let mut restart_because = None;
        let mut probes = std::mem::take(&mut self.probes);
        for probe in &mut probes {
            if probe.kind != ProbeKind::Startup && !self.started {
                continue;
            }
            let mut told = Vec::new();
            let verdict = probe.run(&behaviour, since, step.now, spec, step.ip, &mut told);
            for message in told {
                self.tell(step, "Warning", "Unhealthy", message);
            }
            match (probe.kind, verdict) {
                (ProbeKind::Startup, Verdict::Passing) => {
                    if !self.started {
                        self.started = true;
                        // Liveness and readiness count from here.
                        return self.resume(probes, spec, step);
                    }
                    continue;
                }
                (ProbeKind::Startup, Verdict::Failing) => restart_because = Some("startup"),
                (ProbeKind::Liveness, Verdict::Failing) => restart_because = Some("liveness"),
                (ProbeKind::Readiness, Verdict::Passing) => self.ready = true,
                (ProbeKind::Readiness, Verdict::Failing) => self.ready = false,
                (_, Verdict::Passing | Verdict::Unknown) => {}
            }
            next = [next, probe.due(&behaviour, since, step.now)].into_iter().flatten().min();
        }
        if !probes.iter().any(|probe| probe.kind == ProbeKind::Readiness) && self.started {
            self.ready = true;
        }
        self.probes = probes;
        if let Some(kind) = restart_because {
            let message = format!("Container {} failed {kind} probe, will be restarted", self.name);
            self.tell(step, "Normal", "Killing", message);
            let grace = [format!("/{kind}Probe/terminationGracePeriodSeconds")]
                .iter()
                .find_map(|pointer| spec.int(pointer))
                .or_else(|| step.pod.int("/spec/terminationGracePeriodSeconds"))
                .unwrap_or(30);
            self.probes.clear();
            self.stop(Duration::from_secs(grace.unsigned_abs()), step.now, step.timing);
            return None;
        }
        next
    }

    fn resume(&mut self, probes: Vec<Probe>, spec: &Value, step: &mut Step<'_>) -> Option<Timestamp> {
        self.probes = probes.into_iter().filter(|probe| probe.kind != ProbeKind::Startup).collect();
        self.probe(spec, step)
    }
}

/// `at` plus a duration.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The id of a run: 64 hexadecimal digits, the same for the same run.
#[must_use]
pub fn run_id(pod_uid: &str, container: &str, attempt: u32) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(format!("{pod_uid}/{container}/{attempt}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
