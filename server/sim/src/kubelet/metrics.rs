//! Plausible CPU and memory of containers: functions of the run and the time, so they need no sampling.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Nodes, PodState,
    container::{Container, Run, State},
    image::{Voice, duration},
};
use crate::{
    clock::format_time,
    cluster::Cluster,
    controllers::{
        fields::{Fields, fnv32a},
        resources,
    },
    quantity::Quantity,
};

/// How often metrics-server samples.
const WINDOW: Duration = Duration::from_secs(15);
const MIB: i64 = 1024 * 1024;

/// CPU in billionths of a core and memory in bytes of a run at a moment.
#[must_use]
pub fn usage(run: &Run, uid: &str, spec: &Value, now: Timestamp) -> (i64, i64) {
    let elapsed = now.duration_since(run.started).as_secs().max(0);
    let seed = i64::from(fnv32a(&[uid.as_bytes(), spec.text("/name").as_bytes()]) % 1000);
    let requested = resources::amounts(spec.at("/resources/requests"));
    let limits = resources::amounts(spec.at("/resources/limits"));
    let amount = |list: &resources::Amounts, name: &str| list.get(name).copied().filter(|amount| !amount.is_zero());
    let variable = |name: &str| run.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());

    // A slow wave of load, another for each pod; `SIM_LOAD` (percent of the request) overrides it.
    let wave = |period: i64, phase: i64| {
        let at = (elapsed + phase) % period;
        let half = period / 2;
        100 * (half - (at - half).abs()) / half
    };
    let base_cpu = amount(&requested, "cpu").map_or(20, Quantity::milli_value);
    let percent = match (
        &run.behaviour.voice,
        variable("SIM_LOAD").and_then(|load| load.trim_end_matches('%').parse::<i64>().ok()),
    ) {
        (_, Some(load)) => load,
        (Voice::Script(script), _) if script.end.is_none() => 1,
        (Voice::Chatty, _) => 70 + wave(300, seed) / 5,
        (Voice::NoDatabase | Voice::Crash, _) => 4,
        _ => 25 + wave(600, seed) * 30 / 100,
    };
    // A moment of work at the start.
    let boost = if elapsed < 5 { 40 } else { 0 };
    let mut cpu = base_cpu * (percent + boost) * 10_000 + seed * 300;
    if let Some(limit) = amount(&limits, "cpu") {
        cpu = cpu.min(limit.milli_value() * 1_000_000);
    }

    let base_memory = amount(&requested, "memory").map_or(48 * MIB, |memory| memory.value() * 45 / 100);
    let mut memory = base_memory + base_memory * (seed % 20) / 100 + base_memory * wave(900, seed) / 1000;
    if let Voice::Leak = run.behaviour.voice {
        let total = run.behaviour.end.map_or(duration("8s").unwrap_or_default(), |(after, _)| after).as_secs().max(1);
        let top = amount(&limits, "memory").map_or(512 * MIB, Quantity::value);
        memory = (top / 10 + top * 9 / 10 * elapsed / i64::try_from(total).unwrap_or(1)).min(top);
    }
    if let Some(limit) = amount(&limits, "memory") {
        memory = memory.min(limit.value());
    }
    // The working set is counted in pages.
    (cpu, memory / 4096 * 4096)
}

fn of(container: &Container, uid: &str, spec: &Value, now: Timestamp) -> Option<(i64, i64)> {
    match &container.state {
        State::Running { .. } => Some(usage(container.runs.last()?, uid, spec, now)),
        _ => None,
    }
}

/// The usage of a pod's containers: name, CPU in billionths, memory in bytes. Empty until one runs.
#[must_use]
pub fn containers(state: &PodState, pod: &Value, now: Timestamp) -> Vec<(String, i64, i64)> {
    let specs = pod.items("/spec/initContainers").iter().chain(pod.items("/spec/containers"));
    state
        .containers
        .iter()
        .zip(specs)
        .filter_map(|(container, spec)| {
            let (cpu, memory) = of(container, &state.uid, spec, now)?;
            Some((container.name.clone(), cpu, memory))
        })
        .collect()
}

fn sampled(now: Timestamp) -> Timestamp {
    let window = i64::try_from(WINDOW.as_secs()).unwrap_or(15);
    Timestamp::from_second(now.as_second() / window * window).unwrap_or(now)
}

fn amounts(cpu: i64, memory: i64) -> Value {
    json!({"cpu": Quantity::from_nanos(i128::from(cpu)).to_string(), "memory": format!("{}Ki", memory / 1024)})
}

/// PodMetrics of a pod, `None` until it has run for a sample.
#[must_use]
pub fn pod(nodes: &Nodes, pod: &Value, now: Timestamp) -> Option<Value> {
    let state = nodes.pod(pod.namespace(), pod.name()).filter(|state| state.uid == pod.uid())?;
    let at = sampled(now);
    let list: Vec<Value> = containers(state, pod, at)
        .into_iter()
        .map(|(name, cpu, memory)| json!({"name": name, "usage": amounts(cpu, memory)}))
        .collect();
    if list.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": pod.name(),
            "namespace": pod.namespace(),
            "creationTimestamp": format_time(now),
            "labels": pod.at("/metadata/labels"),
        },
        "timestamp": format_time(at),
        "window": format!("{}s", WINDOW.as_secs()),
        "containers": list,
    }))
}

/// NodeMetrics: the sum of the node's pods and a little for the system.
#[must_use]
pub fn node(cluster: &Cluster, nodes: &Nodes, node: &Value, now: Timestamp) -> Option<Value> {
    let at = sampled(now);
    let (mut cpu, mut memory) = (80_000_000, 420 * MIB);
    for (key, state) in nodes.pods.iter().filter(|(_, state)| state.node == node.name()) {
        let Some(pod) = cluster.find(&crate::registry::builtin::gr::PODS, &key.namespace, &key.name) else { continue };
        for (_, own_cpu, own_memory) in containers(state, &pod, at) {
            cpu += own_cpu;
            memory += own_memory;
        }
    }
    Some(json!({
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": node.name(), "creationTimestamp": format_time(now), "labels": node.at("/metadata/labels")},
        "timestamp": format_time(at),
        "window": format!("{}s", WINDOW.as_secs()),
        "usage": amounts(cpu, memory),
    }))
}
