//! HorizontalPodAutoscalers over the simulated metrics (`pkg/controller/podautoscaler`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, set_condition},
    pods,
    resources::amounts,
    selector::matches,
};
use crate::{
    clock::format_time,
    kubelet::{Nodes, metrics},
    quantity::Quantity,
    registry::builtin::gr,
    store::{Event, GroupResource, ObjectRef},
};

const COMPONENT: &str = "horizontal-pod-autoscaler";
/// How often each autoscaler looks.
const PERIOD: Duration = Duration::from_secs(15);
/// Differences from the target that do not count, in thousandths.
const TOLERANCE: i64 = 100;
/// How long a scale-down waits for the load to come back.
const CALM: i64 = 300;

/// The controller.
pub struct Autoscalers {
    nodes: Arc<Mutex<Nodes>>,
    /// Recommendations of the stabilisation window.
    recommended: HashMap<Key, Vec<(Timestamp, i64)>>,
}

impl Autoscalers {
    /// An autoscaler that reads usage from the kubelets.
    #[must_use]
    pub fn new(nodes: Arc<Mutex<Nodes>>) -> Self {
        Self { nodes, recommended: HashMap::new() }
    }
}

/// A pod's usage of one resource and its request, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What it uses; `None` while there is no sample.
    pub used: Option<i64>,
    /// What it requests.
    pub requested: i64,
    /// Whether it is ready.
    pub ready: bool,
}

/// How many replicas a resource metric asks for, and the usage it saw: percent of the request and average.
/// `None` when no pod has a sample.
#[must_use]
pub fn replicas_for(
    samples: &[Sample],
    current: i64,
    utilization: Option<i64>,
    average: Option<i64>,
) -> Option<(i64, i64, i64)> {
    let counted: Vec<&Sample> = samples.iter().filter(|sample| sample.ready && sample.used.is_some()).collect();
    if counted.is_empty() {
        return None;
    }
    let used: i64 = counted.iter().filter_map(|sample| sample.used).sum();
    let requested: i64 = counted.iter().map(|sample| sample.requested).sum();
    let count = i64::try_from(counted.len()).unwrap_or(1);
    let percent = if requested > 0 { used * 100 / requested } else { 0 };
    // The ratio of usage to target, in thousandths.
    let ratio = |used: i64, requested: i64, count: i64| match (utilization, average) {
        (Some(target), _) if requested > 0 && target > 0 => used * 100_000 / requested / target,
        (_, Some(target)) if target > 0 && count > 0 => used * 1000 / count / target,
        _ => 1000,
    };
    let first = ratio(used, requested, count);
    let mut desired = current;
    if (first - 1000).abs() > TOLERANCE {
        let waiting: Vec<&Sample> = samples.iter().filter(|sample| !(sample.ready && sample.used.is_some())).collect();
        if waiting.is_empty() {
            desired = (first * count + 999) / 1000;
        } else {
            // Pods that cannot be judged yet count against a change: as idle when growing, as on target when shrinking.
            let more = if first > 1000 { 0 } else { 1 };
            let target_use = |sample: &Sample| match (utilization, average) {
                (Some(target), _) => sample.requested * target / 100,
                (_, Some(target)) => target,
                _ => 0,
            };
            let all = count + i64::try_from(waiting.len()).unwrap_or_default();
            let again = ratio(
                used + more * waiting.iter().map(|sample| target_use(sample)).sum::<i64>(),
                requested + waiting.iter().map(|sample| sample.requested).sum::<i64>(),
                all,
            );
            if (again - 1000).abs() > TOLERANCE && (again > 1000) == (first > 1000) {
                desired = (again * all + 999) / 1000;
            }
        }
    }
    Some((desired, percent, used / count))
}

impl Controller for Autoscalers {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::HORIZONTAL_POD_AUTOSCALERS
            && event.previous.as_deref().is_none_or(|old| old.at("/spec") != event.object.at("/spec"))
        {
            wake.push(Key::of(event));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(scaler) = cx.cluster.find(&gr::HORIZONTAL_POD_AUTOSCALERS, &key.namespace, &key.name) else {
            self.recommended.remove(key);
            return Ok(None);
        };
        if scaler.deleting() {
            return Ok(None);
        }
        let mut status = Report { conditions: scaler.items("/status/conditions").to_vec(), now: cx.now };
        let mut fresh = scaler.at("/status").clone();
        self.look(key, cx, &scaler, &mut status, &mut fresh)?;
        fresh["conditions"] = json!(status.conditions);
        if scaler.generation() > 0 {
            fresh["observedGeneration"] = json!(scaler.generation());
        }
        if fresh != *scaler.at("/status") {
            cx.cluster.modify_status(&gr::HORIZONTAL_POD_AUTOSCALERS, &key.namespace, &key.name, |value| {
                value["status"] = fresh
            })?;
        }
        Ok(cx.now.checked_add(PERIOD).ok())
    }
}

struct Report {
    conditions: Vec<Value>,
    now: Timestamp,
}

impl Report {
    fn put(&mut self, kind: &str, good: bool, reason: &str, message: &str) {
        set_condition(&mut self.conditions, kind, if good { "True" } else { "False" }, reason, message, self.now);
    }
}

fn target_of(cx: &Context<'_>, scaler: &Value) -> Option<(GroupResource, ObjectRef)> {
    let reference = scaler.at("/spec/scaleTargetRef");
    let resource = cx.cluster.registry.by_kind(reference.text("/apiVersion"), reference.text("/kind"))?.id.clone();
    let object = cx.cluster.find(&resource, scaler.namespace(), reference.text("/name"))?;
    Some((resource, object))
}

impl Autoscalers {
    fn look(
        &mut self,
        key: &Key,
        cx: &Context<'_>,
        scaler: &ObjectRef,
        report: &mut Report,
        status: &mut Value,
    ) -> crate::status::Result<()> {
        let Some((resource, target)) = target_of(cx, scaler) else {
            let reference = scaler.at("/spec/scaleTargetRef");
            let why = format!("{} \"{}\" not found", plural(reference), reference.text("/name"));
            report.put(
                "AbleToScale",
                false,
                "FailedGetScale",
                &format!("the HPA controller was unable to get the target's current scale: {why}"),
            );
            cx.recorder.event(scaler, "Warning", "FailedGetScale", &why, COMPONENT);
            return Ok(());
        };
        report.put(
            "AbleToScale",
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let current = target.int("/spec/replicas").unwrap_or(1);
        let (least, most) =
            (scaler.int("/spec/minReplicas").unwrap_or(1), scaler.int("/spec/maxReplicas").unwrap_or(1));
        status["currentReplicas"] = json!(target.int("/status/replicas").unwrap_or_default());
        let (desired, reason) = if current == 0 {
            report.put(
                "ScalingActive",
                false,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            );
            status["desiredReplicas"] = json!(0);
            return Ok(());
        } else if current > most {
            (most, "Current number of replicas above Spec.MaxReplicas".to_owned())
        } else if current < least {
            (least, "Current number of replicas below Spec.MinReplicas".to_owned())
        } else {
            let Some((proposed, metric)) = self.propose(cx, scaler, &target, current, report, status) else {
                return Ok(());
            };
            let stable = self.stabilize(key, cx.now, proposed, current, scaler);
            if stable > proposed {
                report.put(
                    "AbleToScale",
                    true,
                    "ScaleDownStabilized",
                    "recent recommendations were higher than current one, applying the highest recent recommendation",
                );
            } else {
                report.put("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size");
            }
            let desired = limit(stable, current, least, most, scaler, report);
            let reason = if desired > current {
                format!("{metric} above target")
            } else {
                "All metrics below target".to_owned()
            };
            (desired, reason)
        };
        status["desiredReplicas"] = json!(desired);
        if desired == current {
            return Ok(());
        }
        match cx
            .cluster
            .modify(&resource, scaler.namespace(), target.name(), |value| value["spec"]["replicas"] = json!(desired))
        {
            Ok(_) => {
                report.put(
                    "AbleToScale",
                    true,
                    "SucceededRescale",
                    &format!("the HPA controller was able to update the target scale to {desired}"),
                );
                status["lastScaleTime"] = json!(format_time(cx.now));
                cx.recorder.event(
                    scaler,
                    "Normal",
                    "SuccessfulRescale",
                    &format!("New size: {desired}; reason: {reason}"),
                    COMPONENT,
                );
                Ok(())
            }
            Err(refused) => {
                report.put(
                    "AbleToScale",
                    false,
                    "FailedUpdateScale",
                    &format!("the HPA controller was unable to update the target scale: {refused}"),
                );
                let message = format!("New size: {desired}; reason: {reason}; error: {refused}");
                cx.recorder.event(scaler, "Warning", "FailedRescale", &message, COMPONENT);
                Ok(())
            }
        }
    }

    /// The largest number that any metric asks for, and which.
    fn propose(
        &self,
        cx: &Context<'_>,
        scaler: &ObjectRef,
        target: &Value,
        current: i64,
        report: &mut Report,
        status: &mut Value,
    ) -> Option<(i64, String)> {
        let own: Vec<ObjectRef> = cx
            .index
            .pods_for(scaler.namespace(), target.at("/spec/selector"))
            .filter_map(|name| cx.cluster.find(&gr::PODS, scaler.namespace(), name))
            .filter(|pod| matches(target.at("/spec/selector"), pod.at("/metadata/labels")) && pods::is_active(pod))
            .collect();
        let mut best: Option<(i64, String)> = None;
        let mut failure = None;
        let mut current_metrics = Vec::new();
        for metric in scaler.items("/spec/metrics") {
            let name = metric.text("/resource/name");
            if metric.text("/type") != "Resource" {
                let kind = metric.text("/type");
                failure = Some((
                    format!("FailedGet{kind}Metric"),
                    format!("unable to get metric: the simulator has no {kind} metrics"),
                ));
                continue;
            }
            let samples = match self.samples(&own, name, cx.now) {
                Ok(samples) => samples,
                Err(why) if metric.int("/resource/target/averageUtilization").is_some() => {
                    failure = Some((
                        "FailedGetResourceMetric".to_owned(),
                        format!("failed to get {name} utilization: {why}"),
                    ));
                    continue;
                }
                Err(_) => Vec::new(),
            };
            let utilization = metric.int("/resource/target/averageUtilization");
            let average = metric
                .at("/resource/target")
                .get("averageValue")
                .map(|value| scaled(name, Quantity::lenient(Some(value))));
            match replicas_for(&samples, current, utilization, average) {
                Some((desired, percent, mean)) => {
                    let mut seen = json!({"averageValue": if name == "cpu" { Quantity::from_millis(mean) } else { Quantity::from_bytes(mean) }.to_string()});
                    let mut label = format!("{name} resource");
                    if utilization.is_some() {
                        seen["averageUtilization"] = json!(percent);
                        label = format!("{name} resource utilization (percentage of request)");
                    }
                    current_metrics.push(json!({"type": "Resource", "resource": {"name": name, "current": seen}}));
                    if best.as_ref().is_none_or(|(most, _)| desired > *most) {
                        best = Some((desired, label));
                    }
                }
                None => {
                    failure = Some((
                        "FailedGetResourceMetric".to_owned(),
                        format!(
                            "failed to get {name} utilization: unable to get metrics for resource {name}: no metrics returned from resource metrics API"
                        ),
                    ));
                }
            }
        }
        status["currentMetrics"] = if current_metrics.is_empty() { Value::Null } else { json!(current_metrics) };
        match (&best, failure) {
            // A metric that fails may not lead to fewer replicas.
            (Some((desired, _)), Some((reason, why))) if *desired < current => {
                self.say_failure(cx, scaler, report, &reason, &why);
                None
            }
            (None, Some((reason, why))) => {
                self.say_failure(cx, scaler, report, &reason, &why);
                None
            }
            (Some((_, label)), _) => {
                report.put(
                    "ScalingActive",
                    true,
                    "ValidMetricFound",
                    &format!("the HPA was able to successfully calculate a replica count from {label}"),
                );
                best
            }
            (None, None) => None,
        }
    }

    fn say_failure(&self, cx: &Context<'_>, scaler: &Value, report: &mut Report, reason: &str, why: &str) {
        report.put("ScalingActive", false, reason, &format!("the HPA was unable to compute the replica count: {why}"));
        cx.recorder.event(scaler, "Warning", reason, why, COMPONENT);
        let message = format!(
            "invalid metrics (1 invalid out of {}), first error is: {why}",
            scaler.items("/spec/metrics").len()
        );
        cx.recorder.event(scaler, "Warning", "FailedComputeMetricsReplicas", &message, COMPONENT);
    }

    fn samples(&self, own: &[ObjectRef], name: &str, now: Timestamp) -> Result<Vec<Sample>, String> {
        let nodes = self.nodes.lock();
        own.iter()
            .map(|pod| {
                let mut requested = 0;
                for container in pod.items("/spec/containers") {
                    let Some(amount) = amounts(container.at("/resources/requests")).get(name).copied() else {
                        return Err(format!(
                            "missing request for {name} in container {} of Pod {}",
                            container.text("/name"),
                            pod.name()
                        ));
                    };
                    requested += scaled(name, amount);
                }
                let used = nodes
                    .pod(pod.namespace(), pod.name())
                    .map(|state| metrics::containers(state, pod, now))
                    .filter(|list| !list.is_empty())
                    .map(|list| {
                        list.iter().map(|(_, cpu, memory)| if name == "cpu" { cpu / 1_000_000 } else { *memory }).sum()
                    });
                Ok(Sample { used, requested, ready: pods::is_ready(pod) })
            })
            .collect()
    }

    /// The highest recommendation of the stabilisation window, when going down.
    fn stabilize(&mut self, key: &Key, now: Timestamp, proposed: i64, current: i64, scaler: &Value) -> i64 {
        let window = scaler.int("/spec/behavior/scaleDown/stabilizationWindowSeconds").unwrap_or(CALM);
        let list = self.recommended.entry(key.clone()).or_insert_with(|| vec![(now, current)]);
        list.retain(|(at, _)| now.duration_since(*at).as_secs() < window);
        list.push((now, proposed));
        let highest = list.iter().map(|(_, count)| *count).max().unwrap_or(proposed);
        if proposed < current { highest.min(current).max(proposed) } else { proposed }
    }
}

/// CPU in thousandths, everything else in units.
fn scaled(name: &str, amount: Quantity) -> i64 {
    if name == "cpu" { amount.milli_value() } else { amount.value() }
}

fn plural(reference: &Value) -> String {
    let group = reference.text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let resource = format!("{}s", reference.text("/kind").to_lowercase());
    if group.is_empty() { resource } else { format!("{resource}.{group}") }
}

/// Bounds a change: by the limits of the spec, and by how fast it may grow.
fn limit(wanted: i64, current: i64, least: i64, most: i64, scaler: &Value, report: &mut Report) -> i64 {
    let policies = scaler.items("/spec/behavior/scaleUp/policies");
    let fastest = if policies.is_empty() {
        (current * 2).max(current + 4)
    } else {
        policies
            .iter()
            .map(|policy| {
                let value = policy.int("/value").unwrap_or_default();
                current + if policy.text("/type") == "Percent" { (current * value + 99) / 100 } else { value }
            })
            .max()
            .unwrap_or(current)
    };
    let (desired, reason, message, limited) = if wanted > fastest && fastest < most {
        (fastest, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate", true)
    } else if wanted > most {
        (most, "TooManyReplicas", "the desired replica count is more than the maximum replica count", true)
    } else if wanted < least {
        (least, "TooFewReplicas", "the desired replica count is less than the minimum replica count", true)
    } else {
        (wanted, "DesiredWithinRange", "the desired count is within the acceptable range", false)
    };
    report.put("ScalingLimited", limited, reason, message);
    desired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals() {
        let pod = |used: i64| Sample { used: Some(used), requested: 100, ready: true };
        let fresh = Sample { used: None, requested: 100, ready: false };
        for (samples, current, target, expected) in [
            (vec![pod(90), pod(90)], 2, 50, 4),
            (vec![pod(52), pod(50)], 2, 50, 2),
            (vec![pod(20), pod(20), pod(20), pod(20)], 4, 50, 2),
            (vec![pod(90), pod(90), fresh], 3, 50, 4),
            (vec![pod(60), fresh], 2, 50, 2),
        ] {
            assert_eq!(
                replicas_for(&samples, current, Some(target), None).map(|(desired, _, _)| desired),
                Some(expected),
                "{samples:?}"
            );
        }
        assert_eq!(replicas_for(&[fresh], 1, Some(50), None), None);
        assert_eq!(replicas_for(&[pod(300)], 1, None, Some(100)).map(|(desired, _, _)| desired), Some(3));
    }
}
