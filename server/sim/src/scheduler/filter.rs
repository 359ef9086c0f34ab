//! Why a pod cannot run on a node, in the scheduler's words (`pkg/scheduler/framework/plugins`).

use serde_json::Value;

use super::{node::NodeInfo, quest::Quest};
use crate::{
    controllers::{
        fields::Fields,
        resources::Amounts,
        selector::{matches_map, requirement},
    },
    quantity::Quantity,
};

/// Why a node was turned down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// In the scheduler's words.
    pub reasons: Vec<String>,
    /// Whether removing other pods could help.
    pub resolvable: bool,
}

impl Rejection {
    pub(super) fn fixed(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], resolvable: false }
    }

    pub(super) fn other_pods(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], resolvable: true }
    }
}

/// Runs the filters in the order of the real scheduler; the first that rejects speaks.
///
/// # Errors
/// The rejection.
pub fn check(
    pod: &Value,
    requests: &Amounts,
    quest: &Quest<'_>,
    node: &Value,
    info: &NodeInfo,
) -> Result<(), Rejection> {
    if node.flag("/spec/unschedulable") && !tolerates(pod, "node.kubernetes.io/unschedulable", "", "NoSchedule") {
        return Err(Rejection::fixed("node(s) were unschedulable"));
    }
    let wanted = pod.text("/spec/nodeName");
    if !wanted.is_empty() && wanted != node.name() {
        return Err(Rejection::fixed("node(s) didn't match the requested node name"));
    }
    if node
        .items("/spec/taints")
        .iter()
        .filter(|taint| matches!(taint.text("/effect"), "NoSchedule" | "NoExecute"))
        .any(|taint| !tolerates(pod, taint.text("/key"), taint.text("/value"), taint.text("/effect")))
    {
        return Err(Rejection::fixed("node(s) had untolerated taint(s)"));
    }
    if !matches_node_affinity(pod, node) {
        return Err(Rejection::fixed("node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_conflict(pod, info) {
        return Err(Rejection::other_pods("node(s) didn't have free ports for the requested pod ports"));
    }
    fits(requests, info)?;
    quest.check(node)
}

/// Whether one of the pod's tolerations covers a taint.
#[must_use]
pub fn tolerates(pod: &Value, key: &str, value: &str, effect: &str) -> bool {
    pod.items("/spec/tolerations").iter().any(|toleration| {
        let own_key = toleration.text("/key");
        let own_effect = toleration.text("/effect");
        (own_effect.is_empty() || own_effect == effect)
            && (own_key.is_empty() || own_key == key)
            && match toleration.text("/operator") {
                "Exists" => true,
                _ => !own_key.is_empty() && toleration.text("/value") == value,
            }
    })
}

/// `nodeSelector` and required node affinity.
#[must_use]
pub fn matches_node_affinity(pod: &Value, node: &Value) -> bool {
    matches_map(pod.at("/spec/nodeSelector"), node.at("/metadata/labels"))
        && match pod.at("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution") {
            Value::Null => true,
            required => required.items("/nodeSelectorTerms").iter().any(|term| matches_term(term, node)),
        }
}

/// One term of a node selector: all its expressions; an empty term matches nothing.
#[must_use]
pub fn matches_term(term: &Value, node: &Value) -> bool {
    let (labels, fields) = (term.items("/matchExpressions"), term.items("/matchFields"));
    let names = serde_json::json!({"metadata.name": node.name()});
    !(labels.is_empty() && fields.is_empty())
        && labels.iter().all(|expression| requirement(expression, node.at("/metadata/labels")))
        && fields.iter().all(|expression| requirement(expression, &names))
}

/// Port, protocol and address of the node's ports that a pod takes.
pub fn host_ports(pod: &Value) -> impl Iterator<Item = (i64, &str, &str)> {
    pod.items("/spec/containers").iter().flat_map(|container| container.items("/ports")).filter_map(|port| {
        let host = port.int("/hostPort").filter(|host| *host > 0)?;
        let protocol = if port.text("/protocol").is_empty() { "TCP" } else { port.text("/protocol") };
        Some((host, protocol, port.text("/hostIP")))
    })
}

fn ports_conflict(pod: &Value, info: &NodeInfo) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
    host_ports(pod).any(|(port, protocol, ip)| {
        info.pods.values().flat_map(|placed| &placed.host_ports).any(|(used, used_protocol, used_ip)| {
            *used == port && used_protocol == protocol && (any(ip) || any(used_ip) || ip == used_ip)
        })
    })
}

fn fits(requests: &Amounts, info: &NodeInfo) -> Result<(), Rejection> {
    let mut reasons = Vec::new();
    let mut resolvable = true;
    let pods = info.allocatable("pods");
    if Quantity::from_units(i64::try_from(info.pods.len() + 1).unwrap_or(i64::MAX)) > pods {
        reasons.push("Too many pods".to_owned());
    }
    let order = ["cpu", "memory", "ephemeral-storage"];
    let others = requests.keys().map(String::as_str).filter(|name| !order.contains(name));
    for name in order.into_iter().chain(others) {
        let Some(wanted) = requests.get(name).filter(|wanted| !wanted.is_zero()) else { continue };
        let all = info.allocatable(name);
        let used = info.used.get(name).copied().unwrap_or_default();
        if *wanted > all - used {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= *wanted <= all;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, resolvable }) }
}

/// `0/3 nodes are available: …`, as `FitError` prints it.
#[must_use]
pub fn explain(total: usize, rejections: &[Rejection]) -> String {
    if total == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let why = histogram(rejections.iter().flat_map(|rejection| rejection.reasons.iter().map(String::as_str)));
    let preemption = histogram(rejections.iter().map(|rejection| {
        if rejection.resolvable {
            "No preemption victims found for incoming pod"
        } else {
            "Preemption is not helpful for scheduling"
        }
    }));
    format!(
        "0/{total} nodes are available: {why}. no new claims to deallocate, preemption: 0/{total} nodes are available: {preemption}."
    )
}

fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    lines.sort();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        controllers::{engine::Key, resources},
        scheduler::node::Nodes,
        store::Object,
    };

    fn node(name: &str, extra: Value) -> Value {
        let mut node = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "a"}},
            "spec": {},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
        });
        json_patch::merge(&mut node, &extra);
        node
    }

    fn verdict(pod: &Value, node: &Value, placed: &[Value]) -> Option<String> {
        let mut nodes = Nodes::default();
        nodes.set_node(node.name(), Some(Arc::new(Object::new(node.clone(), 1))));
        for (index, pod) in placed.iter().enumerate() {
            nodes.set_pod(&Key::new("ns", &index.to_string()), Some(&Arc::new(Object::new(pod.clone(), 1))));
        }
        let (object, info) = nodes.iter().next().unwrap();
        let quest = Quest::new(pod, &nodes);
        check(pod, &resources::requests(pod), &quest, object, info).err().map(|rejection| rejection.reasons.join("; "))
    }

    #[test]
    fn reasons() {
        let asks = |cpu: &str| json!({"metadata": {"namespace": "ns", "labels": {"app": "x"}}, "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
        let on = |mut pod: Value| {
            pod["spec"]["nodeName"] = json!("n1");
            pod
        };
        let with = |extra: Value| {
            let mut pod = asks("1");
            json_patch::merge(&mut pod, &json!({"spec": extra}));
            pod
        };
        let plain = node("n1", json!({}));
        let tainted = node("n1", json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}));
        let anti = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}]}}});
        for (pod, node, placed, expected) in [
            (asks("1"), plain.clone(), vec![], None),
            (asks("5"), plain.clone(), vec![], Some("Insufficient cpu")),
            (asks("2"), plain.clone(), vec![on(asks("3"))], Some("Insufficient cpu")),
            (asks("1"), plain.clone(), vec![on(asks("3"))], None),
            (
                asks("1"),
                node("n1", json!({"spec": {"unschedulable": true}})),
                vec![],
                Some("node(s) were unschedulable"),
            ),
            (asks("1"), tainted.clone(), vec![], Some("node(s) had untolerated taint(s)")),
            (with(json!({"tolerations": [{"key": "k", "operator": "Exists"}]})), tainted, vec![], None),
            (
                with(json!({"nodeSelector": {"disk": "ssd"}})),
                plain.clone(),
                vec![],
                Some("node(s) didn't match Pod's node affinity/selector"),
            ),
            (
                with(anti.clone()),
                plain.clone(),
                vec![on(asks("1"))],
                Some("node(s) didn't match pod anti-affinity rules"),
            ),
            (
                asks("1"),
                plain.clone(),
                vec![on(with(anti))],
                Some("node(s) didn't satisfy existing pods anti-affinity rules"),
            ),
            (
                asks("0"),
                node("n1", json!({"status": {"allocatable": {"pods": "1"}}})),
                vec![on(asks("0"))],
                Some("Too many pods"),
            ),
        ] {
            assert_eq!(verdict(&pod, &node, &placed).as_deref(), expected, "{pod}");
        }
    }

    #[test]
    fn the_real_wording() {
        let rejections = [
            Rejection { reasons: vec!["Insufficient cpu".into()], resolvable: false },
            Rejection { reasons: vec!["Insufficient cpu".into(), "Insufficient memory".into()], resolvable: true },
            Rejection::fixed("node(s) had untolerated taint(s)"),
        ];
        assert_eq!(
            explain(3, &rejections),
            "0/3 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
        );
    }
}
