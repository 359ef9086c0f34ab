//! A node that is lost is noticed, and its pods move. No node is switched off for it, as others use them: what will happen is read
//! from what the cluster does before.

use std::{collections::BTreeMap, time::Duration};

use berth_core::{
    Result,
    ports::cluster::{Finding, Verdict},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{Ground, Ready, found, takes_pods};
use crate::{
    cache::pause,
    error::Target,
    json::{items, listed, name},
    rest::Kind,
};

const WHAT: &str = "a node that is lost is noticed, its pods move";
/// Where nodes say that they live.
const HEARTBEATS: &str = "kube-node-lease";
/// How long a node may be silent. A kubelet's default: it renews its lease every 10 s.
const SILENCE: Duration = Duration::from_secs(40);
/// On a node that nobody hears of.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// When each node last said that it lives; `None`: never. Only ever compared with itself: clocks of nodes differ.
pub(super) type Heartbeats = BTreeMap<String, Option<String>>;

/// When pods leave a node that nobody hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Seconds after it was noticed.
    After(i64),
    Never,
}

/// The heartbeats of the nodes that take pods.
pub(super) async fn heartbeats(ground: &Ground) -> Result<Heartbeats> {
    let nodes: Value = ground.rest.get(&Target::new("the nodes", ""), &Kind::NODE.all()).await?;
    let leases: Value = ground.rest.get(&Target::new("the nodes' leases", ""), &Kind::LEASE.within(HEARTBEATS)).await?;
    Ok(of(listed(&nodes), listed(&leases)))
}

fn of(nodes: &[Value], leases: &[Value]) -> Heartbeats {
    let renewed: BTreeMap<_, _> = leases.iter().map(|l| (name(l), l["spec"]["renewTime"].as_str())).collect();
    let said = |node: &str| renewed.get(node).copied().flatten().map(str::to_owned);
    nodes.iter().filter(|node| takes_pods(node)).map(name).map(|node| (node.clone(), said(&node))).collect()
}

/// Waits until all nodes were heard again since `before`, for as long as one may be silent.
pub(super) async fn noticed(ground: &Ground, before: &Heartbeats, pod: &Ready) -> Result<Finding> {
    let pod: Value =
        ground.rest.get(&Target::new("the pod", &pod.name), &Kind::POD.at(&ground.namespace, &pod.name)).await?;
    let end = Instant::now() + SILENCE;
    loop {
        let silent = silent(before, &heartbeats(ground).await?);
        if silent.is_empty() || Instant::now() > end {
            return Ok(judged(before.len(), &silent, leaves(&pod)));
        }
        pause(Duration::from_secs(1)).await;
    }
}

/// Nodes that were not heard of between the two. One that is gone since is not silent.
fn silent(before: &Heartbeats, after: &Heartbeats) -> Vec<String> {
    let unheard = after.iter().filter(|(node, at)| before.get(*node).is_some_and(|then| then == *at));
    unheard.map(|(node, _)| node.clone()).collect()
}

/// By its tolerations, which admission gave it.
fn leaves(pod: &Value) -> Leaves {
    let fits = |toleration: &&Value| {
        let text = |field: &str| toleration[field].as_str().unwrap_or_default();
        matches!(text("key"), "" | UNREACHABLE) && matches!(text("effect"), "" | "NoExecute")
    };
    let fitting: Vec<_> = items(pod, "/spec/tolerations").iter().filter(fits).collect();
    if fitting.is_empty() {
        return Leaves::After(0);
    }
    // As the taint manager counts: those without a number say nothing beside others.
    fitting
        .iter()
        .filter_map(|t| t["tolerationSeconds"].as_i64())
        .min()
        .map_or(Leaves::Never, |s| Leaves::After(s.max(0)))
}

fn judged(nodes: usize, silent: &[String], leaves: Leaves) -> Finding {
    if !silent.is_empty() {
        let told = format!("not a word of {} in {} s", silent.join(", "), SILENCE.as_secs());
        let fix = "look at the kubelet there, and at its way to the API server";
        return found(WHAT, Verdict::Bad, told, fix);
    }
    let Leaves::After(seconds) = leaves else {
        let fix = "set tolerationSeconds for node.kubernetes.io/unreachable, or the API server's default for it";
        return found(WHAT, Verdict::Lacking, "pods stay for good on a node that nobody hears of", fix);
    };
    if nodes < 2 {
        let told = "there is one node: its pods have nowhere to go";
        return found(WHAT, Verdict::Lacking, told, "add a node");
    }
    let told = format!(
        "none was switched off for it: {nodes} of {nodes} say that they live; pods leave a silent one {seconds} s after it is missed"
    );
    found(WHAT, Verdict::Good, told, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn beats(all: &[(&str, Option<&str>)]) -> Heartbeats {
        all.iter().map(|(node, at)| ((*node).to_owned(), at.map(str::to_owned))).collect()
    }

    #[test]
    fn heartbeats_are_of_nodes_that_take_pods() {
        let node = |name: &str, ready: &str| json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        let lease = |name: &str| json!({"metadata": {"name": name}, "spec": {"renewTime": "1"}});
        let nodes = [node("a", "True"), node("b", "True"), node("off", "Unknown")];
        assert_eq!(of(&nodes, &[lease("a"), lease("off"), lease("gone")]), beats(&[("a", Some("1")), ("b", None)]));
    }

    #[test]
    fn who_is_silent() {
        let before = beats(&[("a", Some("1")), ("b", Some("1")), ("c", None), ("gone", Some("1"))]);
        for (after, expected) in [
            (beats(&[("a", Some("2")), ("b", Some("2")), ("c", Some("1"))]), vec![]),
            (beats(&[("a", Some("2")), ("b", Some("1")), ("c", None)]), vec!["b", "c"]),
            (beats(&[("a", Some("2")), ("b", Some("2")), ("c", Some("2")), ("new", None)]), vec![]),
        ] {
            assert_eq!(silent(&before, &after), expected, "{after:?}");
        }
    }

    #[test]
    fn when_pods_leave() {
        let toleration = |key: &str, seconds: Option<i64>| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        for (tolerations, expected) in [
            (json!([]), Leaves::After(0)),
            (json!([toleration("node.kubernetes.io/not-ready", Some(7))]), Leaves::After(0)),
            (json!([toleration(UNREACHABLE, Some(300))]), Leaves::After(300)),
            (json!([toleration(UNREACHABLE, None)]), Leaves::Never),
            (json!([{"operator": "Exists"}]), Leaves::Never),
            (json!([{"operator": "Exists"}, toleration(UNREACHABLE, Some(20))]), Leaves::After(20)),
            (json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoSchedule"}]), Leaves::After(0)),
        ] {
            assert_eq!(leaves(&json!({"spec": {"tolerations": tolerations}})), expected, "{tolerations}");
        }
    }

    #[test]
    fn what_is_said_of_it() {
        let none: [String; 0] = [];
        for (nodes, silent, leaves, verdict, told) in [
            (3, &none[..], Leaves::After(300), Verdict::Good, "300 s after it is missed"),
            (1, &none[..], Leaves::After(300), Verdict::Lacking, "one node"),
            (3, &none[..], Leaves::Never, Verdict::Lacking, "for good"),
            (3, &["b".to_owned()][..], Leaves::After(300), Verdict::Bad, "not a word of b"),
        ] {
            let finding = judged(nodes, silent, leaves);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(told), "{finding:?}");
        }
    }
}
