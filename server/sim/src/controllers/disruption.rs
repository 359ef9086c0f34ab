//! PodDisruptionBudgets: how many pods may be evicted now (`pkg/controller/disruption`).

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, int_or_percent, set_condition},
    labels::selects,
    pods,
};
use crate::{
    registry::builtin::gr,
    store::{Event, ObjectRef},
};

/// The controller.
#[derive(Default)]
pub struct Disruptions;

impl Controller for Disruptions {
    fn name(&self) -> &'static str {
        "controllermanager"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::POD_DISRUPTION_BUDGETS {
            wake.push(Key::of(event));
            return;
        }
        let scalable = [gr::DEPLOYMENTS, gr::REPLICA_SETS, gr::STATEFUL_SETS].contains(&event.resource);
        if event.resource != gr::PODS && !scalable {
            return;
        }
        if scalable
            && event
                .previous
                .as_deref()
                .is_some_and(|old| old.at("/spec/replicas") == event.object.at("/spec/replicas"))
        {
            return;
        }
        // Of a scalable object, those that guard the pods that it makes.
        let labels = if scalable { "/spec/template/metadata/labels" } else { "/metadata/labels" };
        for name in cx.index.selecting(&gr::POD_DISRUPTION_BUDGETS, &event.namespace, event.object.at(labels)) {
            let budget = cx.cluster.find(&gr::POD_DISRUPTION_BUDGETS, &event.namespace, name);
            if budget.is_some_and(|budget| selects(budget.at("/spec/selector"), event.object.at(labels))) {
                wake.push(Key::new(&event.namespace, name));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(budget) = cx.cluster.find(&gr::POD_DISRUPTION_BUDGETS, &key.namespace, &key.name) else {
            return Ok(None);
        };
        let selector = budget.at("/spec/selector");
        let chosen: Vec<ObjectRef> = cx
            .index
            .pods_for(&key.namespace, selector)
            .filter_map(|name| cx.cluster.find(&gr::PODS, &key.namespace, name))
            .filter(|pod| selects(selector, pod.at("/metadata/labels")))
            .collect();
        if chosen.is_empty() {
            cx.recorder.event(&budget, "Normal", "NoPods", "No matching pods found", self.name());
        }
        let live: Vec<&ObjectRef> = chosen.iter().filter(|pod| !pods::is_finished(pod)).collect();
        let healthy = live.iter().filter(|pod| pods::is_ready(pod) && !pod.deleting()).count();
        let healthy = i64::try_from(healthy).unwrap_or_default();
        let (expected, desired) = expectations(cx, &budget, &live);
        let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
        let mut conditions = budget.items("/status/conditions").to_vec();
        let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        set_condition(&mut conditions, "DisruptionAllowed", status, reason, "", cx.now);
        for condition in &mut conditions {
            condition["observedGeneration"] = json!(budget.generation());
            if condition.get("message").is_none() {
                condition["message"] = json!("");
            }
        }
        let mut fresh = json!({
            "conditions": conditions,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": budget.generation(),
        });
        let disrupted = budget.at("/status/disruptedPods");
        if let Some(map) = disrupted.as_object() {
            let still: serde_json::Map<String, Value> = map
                .iter()
                .filter(|(name, _)| live.iter().any(|pod| pod.name() == name.as_str()))
                .map(|(name, at)| (name.clone(), at.clone()))
                .collect();
            if !still.is_empty() {
                fresh["disruptedPods"] = Value::Object(still);
            }
        }
        if fresh != *budget.at("/status") {
            cx.cluster.modify_status(&gr::POD_DISRUPTION_BUDGETS, &key.namespace, &key.name, |value| {
                value["status"] = fresh
            })?;
        }
        Ok(None)
    }
}

/// How many pods there should be, and how many of them must be healthy.
fn expectations(cx: &Context<'_>, budget: &Value, live: &[&ObjectRef]) -> (i64, i64) {
    let count = i64::try_from(live.len()).unwrap_or_default();
    if let Some(most) = budget.at("/spec").get("maxUnavailable") {
        let expected = scale_of(cx, live);
        let unavailable = int_or_percent(most, expected, true).unwrap_or_default();
        return (expected, (expected - unavailable).max(0));
    }
    let least = budget.at("/spec/minAvailable");
    match least {
        Value::String(_) => {
            let expected = scale_of(cx, live);
            (expected, int_or_percent(least, expected, true).unwrap_or_default())
        }
        other => (count, other.as_i64().unwrap_or(1)),
    }
}

/// The replicas that the pods' controllers ask for, each counted once.
fn scale_of(cx: &Context<'_>, live: &[&ObjectRef]) -> i64 {
    let mut seen = std::collections::BTreeSet::new();
    let mut total = 0;
    for pod in live {
        let Some(owner) = pod.controller() else {
            total += 1;
            continue;
        };
        let mut at = cx.index.locate(owner.text("/uid"));
        let mut object = at.and_then(|at| cx.cluster.find(&at.resource, &at.namespace, &at.name));
        if let Some(above) =
            object.as_ref().and_then(|object| object.controller().map(|owner| owner.text("/uid").to_owned()))
        {
            at = cx.index.locate(&above);
            object = at.and_then(|at| cx.cluster.find(&at.resource, &at.namespace, &at.name)).or(object);
        }
        if let Some(object) = object
            && seen.insert(object.uid().to_owned())
        {
            total += object.int("/spec/replicas").unwrap_or_default();
        }
    }
    total
}
