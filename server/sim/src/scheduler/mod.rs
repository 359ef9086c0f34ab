//! Binds pods to nodes: filters, scores, and says why when nothing fits (`pkg/scheduler`).

pub mod filter;
pub mod node;
pub mod quest;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::{
    filter::{check, explain, tolerates},
    node::{NodeInfo, Nodes, weight},
    quest::Quest,
};
use crate::{
    clock::format_time,
    controllers::{
        engine::{Context, Controller, Key, Outcome},
        fields::Fields,
        pods,
        resources::{self, Amounts},
    },
    registry::builtin::gr,
    store::{Event, EventKind},
};

/// With so many nodes or fewer, every node is looked at.
const LOOK_AT_ALL: usize = 100;

/// The scheduler.
#[derive(Default)]
pub struct Scheduler {
    nodes: Nodes,
    /// Pods that found no node; tried again when the cluster changes.
    waiting: BTreeSet<Key>,
    /// Those of them that other pods could help by coming: they want company, or an even spread.
    sociable: BTreeSet<Key>,
    /// Where the next look over the nodes begins.
    next: usize,
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        "default-scheduler"
    }

    fn program(&self) -> &'static str {
        "kube-scheduler"
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        let deleted = event.kind == EventKind::Deleted;
        let mut room = false;
        if event.resource == gr::NODES {
            self.nodes.set_node(&event.name, (!deleted).then(|| event.object.clone()));
            room = !deleted
                && event.previous.as_deref().is_none_or(|old| {
                    old.at("/spec") != event.object.at("/spec")
                        || old.at("/metadata/labels") != event.object.at("/metadata/labels")
                        || old.at("/status/allocatable") != event.object.at("/status/allocatable")
                });
        } else if event.resource == gr::PODS {
            let key = Key::of(event);
            self.nodes.set_pod(&key, (!deleted).then_some(&event.object));
            let bound = !event.object.text("/spec/nodeName").is_empty();
            if deleted || bound {
                self.waiting.remove(&key);
                self.sociable.remove(&key);
            } else if event.previous.as_deref().is_none_or(|old| {
                old.at("/spec") != event.object.at("/spec") || old.deleting() != event.object.deleting()
            }) {
                wake.push(key);
            }
            let was_finished = event.previous.as_deref().is_some_and(|old| pods::is_finished(old));
            room = bound && !was_finished && (deleted || pods::is_finished(&event.object));
            if bound && !room && event.previous.as_deref().is_some_and(|old| old.text("/spec/nodeName").is_empty()) {
                wake.extend(self.sociable.iter().cloned());
            }
        } else if [gr::PERSISTENT_VOLUME_CLAIMS, gr::PERSISTENT_VOLUMES, gr::STORAGE_CLASSES].contains(&event.resource)
        {
            room = true;
        }
        if room {
            wake.extend(self.waiting.iter().cloned());
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(pod) = cx.cluster.find(&gr::PODS, &key.namespace, &key.name) else { return Ok(None) };
        if !pod.text("/spec/nodeName").is_empty()
            || pod.deleting()
            || pods::is_finished(&pod)
            || !matches!(pod.text("/spec/schedulerName"), "" | "default-scheduler")
        {
            return Ok(None);
        }
        if !pod.items("/spec/schedulingGates").is_empty() {
            let message = "Scheduling is blocked due to non-empty scheduling gates";
            return self.mark(cx, key, &pod, "SchedulingGated", message);
        }
        let total = self.nodes.len();
        if let Some(why) = missing_claims(cx, &pod) {
            // The real scheduler's last word here is the lookup error of a plug-in that did not run.
            let message = format!("0/{total} nodes are available: {why}. not found");
            return self.refuse(cx, key, &pod, &message);
        }
        let requests = resources::requests(&pod);
        let quest = Quest::new(&pod, &self.nodes);
        let mut rejections = Vec::new();
        let mut fitting = Vec::new();
        let (enough, start) = (enough_nodes(total), self.next % total.max(1));
        let mut seen = 0;
        for (node, info) in self.nodes.iter().skip(start).chain(self.nodes.iter().take(start)) {
            seen += 1;
            let outcome = check(&pod, &requests, &quest, node, info).and_then(|()| volumes_fit(cx, &pod, node));
            match outcome {
                Ok(()) => fitting.push((node, info)),
                Err(rejection) => rejections.push(rejection),
            }
            if fitting.len() >= enough {
                break;
            }
        }
        self.next = (start + seen) % total.max(1);
        let best = fitting
            .iter()
            .map(|(node, info)| (score(&pod, &requests, &quest, node, info), node))
            .max_by(|(a, x), (b, y)| a.cmp(b).then_with(|| tie_break(&pod, y).cmp(&tie_break(&pod, x))));
        match best {
            Some((_, node)) => {
                let node = node.name().to_owned();
                self.waiting.remove(key);
                self.sociable.remove(key);
                bind(cx, &pod, &node)
            }
            None => self.refuse(cx, key, &pod, &explain(total, &rejections)),
        }
    }
}

impl Scheduler {
    fn refuse(&mut self, cx: &Context<'_>, key: &Key, pod: &Value, message: &str) -> Outcome {
        let told = pod.condition("PodScheduled").is_some_and(|old| old.text("/message") == message);
        self.mark(cx, key, pod, "Unschedulable", message)?;
        if !told {
            cx.recorder.scheduler_event(pod, "Warning", "FailedScheduling", "Scheduling", message);
        }
        // Unschedulable pods are looked at again every five minutes, whatever happens.
        Ok(cx.now.checked_add(std::time::Duration::from_secs(300)).ok())
    }

    fn mark(&mut self, cx: &Context<'_>, key: &Key, pod: &Value, reason: &str, message: &str) -> Outcome {
        self.waiting.insert(key.clone());
        if pod.at("/spec/affinity/podAffinity").is_object() || !pod.items("/spec/topologySpreadConstraints").is_empty()
        {
            self.sociable.insert(key.clone());
        }
        let old = pod.condition("PodScheduled");
        if old.is_some_and(|old| old.text("/reason") == reason && old.text("/message") == message) {
            return Ok(None);
        }
        put_condition(cx, pod, "False", Some((reason, message)))?;
        Ok(None)
    }
}

/// Writes the PodScheduled condition.
fn put_condition(cx: &Context<'_>, pod: &Value, status: &str, why: Option<(&str, &str)>) -> Outcome {
    let mut fresh = json!({
        "type": "PodScheduled",
        "status": status,
        "observedGeneration": pod.generation(),
        "lastProbeTime": null,
        "lastTransitionTime": format_time(cx.now),
    });
    if let Some((reason, message)) = why {
        fresh["reason"] = json!(reason);
        fresh["message"] = json!(message);
    }
    cx.cluster.modify_status(&gr::PODS, pod.namespace(), pod.name(), |value| {
        let mut conditions = value.items("/status/conditions").to_vec();
        match conditions.iter_mut().find(|condition| condition.text("/type") == "PodScheduled") {
            Some(old) => {
                if old["status"] == fresh["status"] {
                    fresh["lastTransitionTime"] = old["lastTransitionTime"].clone();
                }
                *old = fresh;
            }
            None => conditions.push(fresh),
        }
        value["status"]["conditions"] = json!(conditions);
    })?;
    Ok(None)
}

fn bind(cx: &Context<'_>, pod: &Value, node: &str) -> Outcome {
    for claim in pods_claims(cx, pod) {
        // WaitForFirstConsumer: the provisioner now learns where.
        if claim.text("/spec/volumeName").is_empty() && claim.annotation(SELECTED_NODE).is_none() {
            cx.cluster.patch(
                &gr::PERSISTENT_VOLUME_CLAIMS,
                claim.namespace(),
                claim.name(),
                &json!({"metadata": {"annotations": {SELECTED_NODE: node}}}),
            )?;
        }
    }
    cx.cluster.bind(pod.namespace(), pod.name(), node)?;
    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace(), pod.name());
    cx.recorder.scheduler_event(pod, "Normal", "Scheduled", "Binding", &message);
    Ok(None)
}

/// Annotation by which the scheduler tells the provisioner where a volume is needed.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

fn claim_names(pod: &Value) -> impl Iterator<Item = String> {
    pod.items("/spec/volumes").iter().filter_map(|volume| {
        let claim = volume.text("/persistentVolumeClaim/claimName");
        if !claim.is_empty() {
            return Some(claim.to_owned());
        }
        volume.at("/ephemeral").is_object().then(|| format!("{}-{}", pod.name(), volume.text("/name")))
    })
}

fn pods_claims(cx: &Context<'_>, pod: &Value) -> Vec<crate::store::ObjectRef> {
    claim_names(pod).filter_map(|name| cx.cluster.find(&gr::PERSISTENT_VOLUME_CLAIMS, pod.namespace(), &name)).collect()
}

/// Why the pod's claims keep it from any node.
fn missing_claims(cx: &Context<'_>, pod: &Value) -> Option<String> {
    for name in claim_names(pod) {
        let Some(claim) = cx.cluster.find(&gr::PERSISTENT_VOLUME_CLAIMS, pod.namespace(), &name) else {
            return Some(format!("persistentvolumeclaim \"{name}\" not found"));
        };
        if claim.deleting() {
            return Some(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        if claim.text("/status/phase") == "Lost" {
            return Some(format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{}\"",
                claim.text("/spec/volumeName")
            ));
        }
        if claim.text("/status/phase") != "Bound" && !waits_for_consumer(cx, &claim) {
            return Some("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
    }
    None
}

/// Whether the claim's class binds when a pod needs it.
#[must_use]
pub fn waits_for_consumer(cx: &Context<'_>, claim: &Value) -> bool {
    cx.cluster
        .find(&gr::STORAGE_CLASSES, "", claim.text("/spec/storageClassName"))
        .is_some_and(|class| class.text("/volumeBindingMode") == "WaitForFirstConsumer")
}

fn volumes_fit(cx: &Context<'_>, pod: &Value, node: &Value) -> Result<(), filter::Rejection> {
    for claim in pods_claims(cx, pod) {
        let Some(volume) = cx.cluster.find(&gr::PERSISTENT_VOLUMES, "", claim.text("/spec/volumeName")) else {
            continue;
        };
        let required = volume.items("/spec/nodeAffinity/required/nodeSelectorTerms");
        if !required.is_empty() && !required.iter().any(|term| filter::matches_term(term, node)) {
            return Err(filter::Rejection {
                reasons: vec!["node(s) didn't match PersistentVolume's node affinity".to_owned()],
                resolvable: false,
            });
        }
    }
    Ok(())
}

/// How many nodes that fit are looked for before the best is taken (`numFeasibleNodesToFind`).
fn enough_nodes(total: usize) -> usize {
    if total <= LOOK_AT_ALL {
        return total.max(1);
    }
    let percent = 50usize.saturating_sub(total / 125).max(5);
    (total * percent / 100).max(LOOK_AT_ALL)
}

/// How well a pod would sit on a node: room left, balance, company it prefers or avoids. Higher is better.
fn score(pod: &Value, requests: &Amounts, quest: &Quest<'_>, node: &Value, info: &NodeInfo) -> i64 {
    let own = weight(requests);
    let share = |used: i64, wanted: i64, all: i64| (100 * (used + wanted) / all.max(1)).min(100);
    let cpu = share(info.scored.0, own.0, info.allocatable("cpu").milli_value());
    let memory = share(info.scored.1, own.1, info.allocatable("memory").value());
    let least_allocated = (200 - cpu - memory) / 2;
    let balance = 100 - (cpu - memory).abs() / 2;

    let siblings = pod.controller().and_then(|owner| info.owners.get(owner.text("/uid"))).copied().unwrap_or_default();
    let spread = 100 - siblings.min(10) * 10;

    let preferred: i64 = pod
        .items("/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution")
        .iter()
        .filter(|entry| filter::matches_term(entry.at("/preference"), node))
        .filter_map(|entry| entry.int("/weight"))
        .sum();
    let soft_taints = node
        .items("/spec/taints")
        .iter()
        .filter(|taint| taint.text("/effect") == "PreferNoSchedule")
        .filter(|taint| !tolerates(pod, taint.text("/key"), taint.text("/value"), "PreferNoSchedule"))
        .count();
    least_allocated + balance + 2 * spread + 2 * preferred.min(100) + quest.score(node)
        - 300 * i64::try_from(soft_taints).unwrap_or_default()
}

/// Equal nodes are chosen from evenly but reproducibly.
fn tie_break(pod: &Value, node: &Value) -> u32 {
    crate::controllers::fields::fnv32a(&[pod.uid().as_bytes(), node.name().as_bytes()])
}
