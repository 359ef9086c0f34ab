//! Nodes: made at the start, kept alive by heartbeats.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::Fields,
};
use crate::{
    clock::{format_micro_time, format_time},
    cluster::Cluster,
    registry::builtin::gr,
    store::Event,
};

/// How often a kubelet renews its lease.
const LEASE_EVERY: Duration = Duration::from_secs(10);
/// How often an unchanged node status is reported.
const STATUS_EVERY: Duration = Duration::from_secs(300);

/// What a node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShape {
    /// Its name.
    pub name: String,
    /// CPUs.
    pub cpu: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// Ephemeral storage in GiB.
    pub storage_gib: u32,
    /// Most pods.
    pub pods: u32,
    /// Its zone.
    pub zone: String,
    /// Further labels.
    pub labels: Vec<(String, String)>,
}

/// `count` nodes of 4 CPU, 8 GiB and 110 pods, spread over three zones.
#[must_use]
pub fn shapes(count: usize) -> Vec<NodeShape> {
    (0..count)
        .map(|index| NodeShape {
            name: node_name(index),
            cpu: 4,
            memory_gib: 8,
            storage_gib: 100,
            pods: 110,
            zone: format!("zone-{}", ["a", "b", "c"][index % 3]),
            labels: Vec::new(),
        })
        .collect()
}

/// `node-a` … `node-z`, then `node-26`, …
fn node_name(index: usize) -> String {
    match u8::try_from(index).ok().filter(|index| *index < 26) {
        Some(index) => format!("node-{}", char::from(b'a' + index)),
        None => format!("node-{index}"),
    }
}

/// Creates the nodes that do not exist yet.
pub fn bootstrap(cluster: &Cluster, shapes: &[NodeShape]) {
    let kubelet = cluster.component("kubelet");
    let now = cluster.clock.now();
    for (index, shape) in shapes.iter().enumerate() {
        if cluster.find(&gr::NODES, "", &shape.name).is_some() {
            continue;
        }
        let node = node(shape, index, now);
        let created = kubelet.create(&gr::NODES, "", node.clone()).and_then(|_| {
            kubelet.modify_status(&gr::NODES, "", &shape.name, |value| value["status"] = node["status"].clone())
        });
        if let Err(status) = created {
            tracing::error!(%status, node = shape.name, "node not made");
        }
    }
}

fn node(shape: &NodeShape, index: usize, now: Timestamp) -> Value {
    let name = &shape.name;
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": "sim",
        "topology.kubernetes.io/zone": shape.zone,
    });
    for (key, value) in &shape.labels {
        labels[key] = json!(value);
    }
    let (high, low) = (244 + index / 256, index % 256);
    let cidr = format!("10.{high}.{low}.0/24");
    let capacity = json!({
        "cpu": shape.cpu.to_string(),
        "ephemeral-storage": format!("{}Gi", shape.storage_gib),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": format!("{}Gi", shape.memory_gib),
        "pods": shape.pods.to_string(),
    });
    json!({
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": format!("sim://{name}")},
        "status": {
            "addresses": [
                {"address": format!("172.18.{}.{}", index / 250, index % 250 + 2), "type": "InternalIP"},
                {"address": name, "type": "Hostname"},
            ],
            "allocatable": capacity,
            "capacity": capacity,
            "conditions": conditions(now, now),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "00000000-0000-4000-8000-000000000000",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.8.0-berth",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.35.4",
                "machineID": format!("{:032x}", index + 1),
                "operatingSystem": "linux",
                "osImage": "Berth Simulator",
                "systemUUID": format!("00000000-0000-4000-8000-{:012x}", index + 1),
            },
        },
    })
}

fn conditions(beat: Timestamp, since: Timestamp) -> Value {
    let entry = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": status,
            "lastHeartbeatTime": format_time(beat),
            "lastTransitionTime": format_time(since),
            "reason": reason,
            "message": message,
        })
    };
    json!([
        entry("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        entry("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        entry("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        entry("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

/// Renews leases and heartbeats, and taints cordoned nodes.
pub struct NodeLifecycle;

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn program(&self) -> &'static str {
        "kubelet"
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::NODES
            && event
                .previous
                .as_deref()
                .is_none_or(|old| old.at("/spec/unschedulable") != event.object.at("/spec/unschedulable"))
        {
            wake.push(Key::of(event));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(node) = cx.cluster.find(&gr::NODES, "", &key.name) else { return Ok(None) };
        sync_cordon_taint(cx, &node)?;
        beat(cx, &node)?;
        Ok(cx.now.checked_add(LEASE_EVERY).ok())
    }
}

fn sync_cordon_taint(cx: &Context<'_>, node: &Value) -> Result<(), crate::status::Status> {
    const KEY: &str = "node.kubernetes.io/unschedulable";
    let cordoned = node.flag("/spec/unschedulable");
    let tainted = node.items("/spec/taints").iter().any(|taint| taint.text("/key") == KEY);
    if cordoned == tainted {
        return Ok(());
    }
    cx.cluster.component("kube-controller-manager").modify(&gr::NODES, "", node.name(), |value| {
        let mut taints = value.items("/spec/taints").to_vec();
        taints.retain(|taint| taint.text("/key") != KEY);
        if cordoned {
            taints.push(json!({"effect": "NoSchedule", "key": KEY, "timeAdded": format_time(cx.now)}));
        }
        if taints.is_empty() {
            super::fields::unset(value, &["spec", "taints"]);
        } else {
            value["spec"]["taints"] = json!(taints);
        }
    })?;
    Ok(())
}

fn beat(cx: &Context<'_>, node: &Value) -> Result<(), crate::status::Status> {
    const NAMESPACE: &str = "kube-node-lease";
    if cx.cluster.find(&gr::NAMESPACES, "", NAMESPACE).is_some() {
        let spec = json!({
            "holderIdentity": node.name(),
            "leaseDurationSeconds": 40,
            "renewTime": format_micro_time(cx.now),
        });
        if cx.cluster.find(&gr::LEASES, NAMESPACE, node.name()).is_some() {
            cx.cluster.modify(&gr::LEASES, NAMESPACE, node.name(), |lease| lease["spec"] = spec)?;
        } else {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid()});
            cx.cluster.create(
                &gr::LEASES,
                NAMESPACE,
                json!({"metadata": {"name": node.name(), "ownerReferences": [owner]}, "spec": spec}),
            )?;
        }
    }
    let ready = node.condition("Ready");
    let last = ready.and_then(|ready| ready.time("/lastHeartbeatTime"));
    let due = last.is_none_or(|last| last.checked_add(STATUS_EVERY).is_ok_and(|due| due <= cx.now));
    if due {
        let since = ready.and_then(|ready| ready.time("/lastTransitionTime")).unwrap_or(cx.now);
        cx.cluster.modify_status(&gr::NODES, "", node.name(), |value| {
            value["status"]["conditions"] = conditions(cx.now, since)
        })?;
    }
    Ok(())
}
