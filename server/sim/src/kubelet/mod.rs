//! The simulated kubelets of all nodes: they take bound pods through their life on the cluster's clock.

pub mod builtins;
pub mod config;
pub mod container;
pub mod environment;
pub mod files;
pub mod image;
pub mod logs;
pub mod metrics;
pub mod parse;
pub mod probe;
mod pull;
pub mod script;
pub mod server;
pub mod shell;
pub mod status;
pub mod tar;
pub mod text;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use self::{
    config::Timing,
    container::{Container, Role, Step, Told, later},
    environment::{environment, unmountable},
    status::{View, phase, status},
};
use crate::{
    cluster::DeleteOptions,
    controllers::{
        engine::{Context, Controller, Key, Outcome},
        fields::Fields,
        pods,
        recorder::Note,
    },
    registry::builtin::gr,
    status::Status,
    store::{Event, EventKind},
};

/// Everything the kubelets remember, shared with the log and exec endpoints.
#[derive(Default)]
pub struct Nodes {
    pods: HashMap<Key, PodState>,
    images: HashMap<String, HashSet<String>>,
    addresses: HashMap<String, BTreeSet<u8>>,
}

/// A pod on its node.
pub struct PodState {
    /// The pod's uid: another one of the same name is another pod.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// When the kubelet took it.
    pub started: Timestamp,
    /// Its address.
    pub ip: String,
    /// Init containers, then main ones.
    pub containers: Vec<Container>,
    sandbox_at: Option<Timestamp>,
    mount_delay: Duration,
    stopping: Option<Timestamp>,
    failed: Option<(String, String)>,
}

impl Nodes {
    /// Nodes that have images from the start.
    #[must_use]
    pub fn with_images<'a>(nodes: impl Iterator<Item = &'a str>, images: &[String]) -> Self {
        let known = images.iter().filter_map(|image| Some(image::Reference::parse(image)?.canonical()));
        let known: HashSet<String> = known.collect();
        Self { images: nodes.map(|node| (node.to_owned(), known.clone())).collect(), ..Self::default() }
    }

    /// The pod of a key, if a kubelet has it.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&PodState> {
        self.pods.get(&Key::new(namespace, name))
    }
}

/// The kubelets as one controller over pods.
pub struct Kubelets {
    nodes: Arc<Mutex<Nodes>>,
    timing: Timing,
}

impl Kubelets {
    /// Kubelets that share what they know through `nodes`.
    #[must_use]
    pub fn new(nodes: Arc<Mutex<Nodes>>, timing: Timing) -> Self {
        Self { nodes, timing }
    }
}

impl Controller for Kubelets {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn program(&self) -> &'static str {
        "kubelet"
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource != gr::PODS {
            return;
        }
        let key = Key::of(event);
        if event.kind == EventKind::Deleted {
            self.nodes.lock().forget(&key);
            return;
        }
        if event.object.text("/spec/nodeName").is_empty() {
            return;
        }
        // Our own status writes come back as events; only a change of what is asked for matters.
        let asked_anew = event.previous.as_deref().is_none_or(|old| {
            old.at("/spec") != event.object.at("/spec")
                || old.deleting() != event.object.deleting()
                || old.at("/metadata/deletionTimestamp") != event.object.at("/metadata/deletionTimestamp")
                || old.uid() != event.object.uid()
        });
        if asked_anew {
            wake.push(key);
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(pod) = cx.cluster.find(&gr::PODS, &key.namespace, &key.name) else {
            self.nodes.lock().forget(key);
            return Ok(None);
        };
        let node = pod.text("/spec/nodeName");
        if node.is_empty() {
            return Ok(None);
        }
        let Some(node) = cx.cluster.find(&gr::NODES, "", node) else { return Ok(None) };
        if pods::is_finished(&pod) {
            if pod.deleting() {
                return remove(cx, &pod);
            }
            return Ok(None);
        }
        let mut nodes = self.nodes.lock();
        nodes.take(key, &pod, &node, cx);
        let mut told = Vec::new();
        let (fresh, next, gone) = nodes.sync(key, &pod, &node, cx, &self.timing, &mut told);
        drop(nodes);
        for one in &told {
            cx.recorder.note(
                &pod,
                &Note {
                    kind: one.kind,
                    reason: one.reason,
                    message: &one.message,
                    component: "kubelet",
                    host: node.name(),
                    field_path: &one.field_path,
                },
            );
        }
        if let Some(fresh) = fresh
            && fresh != *pod.at("/status")
        {
            match cx.cluster.modify_status(&gr::PODS, &key.namespace, &key.name, |value| value["status"] = fresh) {
                Err(status) if status.is_not_found() => return Ok(None),
                Err(status) => return Err(status),
                Ok(_) => {}
            }
        }
        if gone {
            return remove(cx, &pod);
        }
        Ok(next)
    }
}

/// Ends a pod that has stopped.
fn remove(cx: &Context<'_>, pod: &Value) -> Outcome {
    let options =
        DeleteOptions { grace_period_seconds: Some(0), uid: Some(pod.uid().to_owned()), ..DeleteOptions::default() };
    match cx.cluster.delete(&gr::PODS, pod.namespace(), pod.name(), &options) {
        Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
        _ => Ok(None),
    }
}

impl Nodes {
    fn forget(&mut self, key: &Key) {
        if let Some(pod) = self.pods.remove(key)
            && let Some(last) = pod.ip.rsplit('.').next().and_then(|last| last.parse().ok())
            && let Some(used) = self.addresses.get_mut(&pod.node)
        {
            used.remove(&last);
        }
    }

    /// Makes the state of a pod that is new to us, from its status if an earlier process had it.
    fn take(&mut self, key: &Key, pod: &Value, node: &Value, cx: &Context<'_>) {
        if self.pods.get(key).is_some_and(|known| known.uid == pod.uid() && known.node == node.name()) {
            return;
        }
        self.forget(key);
        let mut containers = Vec::new();
        for spec in pod.items("/spec/initContainers") {
            let role = if spec.text("/restartPolicy") == "Always" { Role::Sidecar } else { Role::Init };
            containers.push(Container::new(spec, role));
        }
        containers.extend(pod.items("/spec/containers").iter().map(|spec| Container::new(spec, Role::Main)));
        let mut state = PodState {
            uid: pod.uid().to_owned(),
            node: node.name().to_owned(),
            started: pod.time("/status/startTime").unwrap_or(cx.now),
            ip: pod.text("/status/podIP").to_owned(),
            containers,
            sandbox_at: None,
            mount_delay: Duration::from_millis(500),
            stopping: None,
            failed: None,
        };
        if !state.ip.is_empty() {
            state.sandbox_at = Some(state.started);
            for container in &mut state.containers {
                let (specs, statuses) = if container.role == Role::Main {
                    (pod.items("/spec/containers"), pod.items("/status/containerStatuses"))
                } else {
                    (pod.items("/spec/initContainers"), pod.items("/status/initContainerStatuses"))
                };
                let named = |list: &[Value]| list.iter().find(|entry| entry.text("/name") == container.name).cloned();
                if let (Some(spec), Some(status)) = (named(specs), named(statuses)) {
                    let environment = environment(cx.cluster, pod, &spec).unwrap_or_default();
                    container.adopt(&spec, &status, pod, environment);
                }
            }
            if let Some(last) = state.ip.rsplit('.').next().and_then(|last| last.parse().ok()) {
                self.addresses.entry(state.node.clone()).or_default().insert(last);
            }
        }
        self.pods.insert(key.clone(), state);
    }

    fn address(&mut self, pod: &Value, node: &Value) -> String {
        if pod.flag("/spec/hostNetwork") {
            return host_ip(node).to_owned();
        }
        let used = self.addresses.entry(node.name().to_owned()).or_default();
        let free = (2..=254).find(|last| !used.contains(last)).unwrap_or(254);
        used.insert(free);
        let network = node.text("/spec/podCIDR").rsplit_once('.').map_or("10.244.0", |(network, _)| network);
        format!("{network}.{free}")
    }

    /// One look at one pod: the status to write, when to look again, and whether the pod has stopped for good.
    fn sync(
        &mut self,
        key: &Key,
        pod: &Value,
        node: &Value,
        cx: &Context<'_>,
        timing: &Timing,
        told: &mut Vec<Told>,
    ) -> (Option<Value>, Option<Timestamp>, bool) {
        let now = cx.now;
        let Some(mut state) = self.pods.remove(key) else { return (None, None, false) };
        let images = self.images.entry(node.name().to_owned()).or_default();
        let policy = match pod.text("/spec/restartPolicy") {
            "" => "Always",
            policy => policy,
        };
        let mut wake = Vec::new();

        let deadline = pod
            .int("/spec/activeDeadlineSeconds")
            .map(|seconds| later(state.started, Duration::from_secs(seconds.unsigned_abs())));
        if let Some(deadline) = deadline.filter(|_| state.failed.is_none()) {
            if deadline <= now {
                let message = "Pod was active on the node longer than the specified deadline";
                state.failed = Some(("DeadlineExceeded".to_owned(), message.to_owned()));
                told.push(Told {
                    kind: "Normal",
                    reason: "DeadlineExceeded",
                    message: message.to_owned(),
                    field_path: String::new(),
                });
            } else {
                wake.push(deadline);
            }
        }
        if (pod.deleting() || state.failed.is_some()) && state.stopping.is_none() {
            state.stopping = Some(now);
            for container in &state.containers {
                if container.is_running() {
                    let list = if container.role == Role::Main { "containers" } else { "initContainers" };
                    told.push(Told {
                        kind: "Normal",
                        reason: "Killing",
                        message: format!("Stopping container {}", container.name),
                        field_path: format!("spec.{list}{{{}}}", container.name),
                    });
                }
            }
        }
        if let Some(since) = state.stopping {
            let grace = pod
                .int("/metadata/deletionGracePeriodSeconds")
                .or_else(|| pod.int("/spec/terminationGracePeriodSeconds"))
                .unwrap_or(30);
            let end = later(since, Duration::from_secs(grace.unsigned_abs()));
            let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
            for container in &mut state.containers {
                container.stop(left, now, timing);
            }
        }

        let stopping = state.stopping.is_some();
        match state.sandbox_at {
            None if stopping => {}
            None => match unmountable(cx.cluster, pod) {
                Some((volume, why)) => {
                    told.push(Told {
                        kind: "Warning",
                        reason: "FailedMount",
                        message: format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}"),
                        field_path: String::new(),
                    });
                    wake.push(later(now, state.mount_delay));
                    state.mount_delay = (state.mount_delay * 2).min(Duration::from_secs(122));
                }
                None => {
                    let at = later(now, timing.sandbox);
                    state.sandbox_at = Some(at);
                    wake.push(at);
                }
            },
            Some(at) if at > now => wake.push(at),
            Some(_) => {}
        }
        let sandbox = state.sandbox_at.is_some_and(|at| at <= now);
        if sandbox && state.ip.is_empty() && !stopping {
            let mut held = std::mem::take(images);
            state.ip = self.address(pod, node);
            std::mem::swap(self.images.entry(node.name().to_owned()).or_default(), &mut held);
        }
        let images = self.images.entry(node.name().to_owned()).or_default();
        let mut step = Step { cluster: cx.cluster, pod, now, timing, ip: &state.ip, images, told };
        if sandbox {
            advance(&mut state.containers, pod, policy, stopping, &mut step, &mut wake);
        }

        let failed = state.failed.as_ref().map(|(reason, message)| (reason.as_str(), message.as_str()));
        let view = View {
            pod,
            containers: &state.containers,
            started: state.started,
            ip: &state.ip,
            host_ip: host_ip(node),
            sandbox: sandbox && !state.ip.is_empty(),
            failed,
            stopping,
            now,
        };
        let all_stopped = !state.containers.iter().any(Container::is_running);
        let fresh = status(&view);
        let over = matches!(phase(&view), "Failed" | "Succeeded");
        let gone = stopping && pod.deleting() && all_stopped;
        let next = if gone || over && all_stopped { None } else { wake.into_iter().min() };
        // A pod that fails as a whole says so when its last container has stopped.
        let fresh = if state.failed.is_some() && !all_stopped { None } else { Some(fresh) };
        self.pods.insert(key.clone(), state);
        (fresh, next, gone)
    }
}

/// Lets init containers run one after the other, then all main ones.
fn advance(
    containers: &mut [Container],
    pod: &Value,
    policy: &str,
    stopping: bool,
    step: &mut Step<'_>,
    wake: &mut Vec<Timestamp>,
) {
    let specs: Vec<&Value> = pod.items("/spec/initContainers").iter().chain(pod.items("/spec/containers")).collect();
    let mut held = stopping;
    let main_begun =
        containers.iter().any(|container| container.role == Role::Main && container.state != container::State::Idle);
    let main_over = over(containers, policy);
    let mut init_failed = false;
    for (container, spec) in containers.iter_mut().zip(&specs) {
        if container.state == container::State::Idle && !held && !init_failed {
            container.begin(spec, step);
        }
        let over = main_over && container.role == Role::Sidecar;
        wake.extend(container.step(spec, policy, stopping || init_failed || over, step));
        match container.role {
            Role::Init if !main_begun => {
                held |= !container.succeeded();
                init_failed |= container.is_done(policy) && !container.succeeded();
            }
            Role::Sidecar if !main_begun => held |= !container.started,
            _ => {}
        }
    }
    // Sidecars end when all main containers are done for good.
    if main_begun && over(containers, policy) {
        for (container, spec) in
            containers.iter_mut().zip(&specs).filter(|(container, _)| container.role == Role::Sidecar)
        {
            container.stop(Duration::from_secs(30), step.now, step.timing);
            wake.extend(container.step(spec, "Never", true, step));
        }
    }
}

/// Whether every main container has ended for good.
fn over(containers: &[Container], policy: &str) -> bool {
    containers.iter().filter(|container| container.role == Role::Main).all(|container| container.is_done(policy))
}

fn host_ip(node: &Value) -> &str {
    node.items("/status/addresses")
        .iter()
        .find(|address| address.text("/type") == "InternalIP")
        .map_or("", |address| address.text("/address"))
}

/// 400 of a container name that the pod does not have.
#[must_use]
pub fn no_such_container(pod: &Value, container: &str) -> Status {
    Status::bad_request(format!("container {container} is not valid for pod {}", pod.name()))
}
