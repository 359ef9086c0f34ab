//! Jobs: pods that run to their end (`pkg/controller/job`).

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, add_finalizer, remove_finalizer, set},
    pods,
    replicaset::wake_owners_of_pod,
};
use crate::{
    clock::format_time,
    cluster::{DeleteOptions, Propagation},
    registry::builtin::gr,
    status::Result,
    store::{Event, ObjectRef},
};

const COMPONENT: &str = "job-controller";
/// Keeps a finished pod until it is counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// First wait after a failed pod; doubles.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(600);

/// The controller.
#[derive(Default)]
pub struct Jobs;

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::JOBS {
            wake.push(Key::of(event));
        } else if event.resource == gr::PODS {
            wake_owners_of_pod(event, cx, "Job", &gr::JOBS, wake);
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(job) = cx.cluster.find(&gr::JOBS, &key.namespace, &key.name) else {
            return release_orphans(cx, key).map(|()| None);
        };
        if finished(&job) {
            return after_the_end(cx, &job);
        }
        Sync { cx, job: &job, status: job.at("/status").clone(), again: None }.run()
    }
}

/// Whether the job is Complete or Failed.
#[must_use]
pub fn finished(job: &Value) -> bool {
    job.condition_is_true("Complete") || job.condition_is_true("Failed")
}

/// Pods of a job that is gone must not wait to be counted.
fn release_orphans(cx: &Context<'_>, key: &Key) -> Result<()> {
    for pod in cx.cluster.list(&gr::PODS, Some(&key.namespace)) {
        let owned =
            pod.controller().is_some_and(|owner| owner.text("/kind") == "Job" && owner.text("/name") == &*key.name);
        if owned && pod.has_finalizer(TRACKING) {
            untrack(cx, &pod)?;
        }
    }
    Ok(())
}

fn untrack(cx: &Context<'_>, pod: &Value) -> Result<()> {
    let released = cx.cluster.modify(&gr::PODS, pod.namespace(), pod.name(), |value| {
        remove_finalizer(value, TRACKING);
    });
    match released {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

/// A finished job goes when its time to live is over.
fn after_the_end(cx: &Context<'_>, job: &ObjectRef) -> Outcome {
    for pod in pods::claim(cx, job, "batch/v1", "Job")? {
        if pod.has_finalizer(TRACKING) && (pods::is_finished(&pod) || pod.deleting()) {
            untrack(cx, &pod)?;
        }
    }
    let Some(ttl) = job.int("/spec/ttlSecondsAfterFinished") else { return Ok(None) };
    let ended = ["Complete", "Failed"]
        .iter()
        .filter_map(|kind| job.condition(kind).filter(|condition| condition.text("/status") == "True"))
        .find_map(|condition| condition.time("/lastTransitionTime"));
    let Some(due) = ended.and_then(|ended| ended.checked_add(Duration::from_secs(ttl.unsigned_abs())).ok()) else {
        return Ok(None);
    };
    if due > cx.now {
        return Ok(Some(due));
    }
    let options = DeleteOptions {
        propagation: Some(Propagation::Foreground),
        uid: Some(job.uid().to_owned()),
        ..DeleteOptions::default()
    };
    match cx.cluster.delete(&gr::JOBS, job.namespace(), job.name(), &options) {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(None),
    }
}

struct Sync<'a> {
    cx: &'a Context<'a>,
    job: &'a ObjectRef,
    status: Value,
    again: Option<Timestamp>,
}

fn uids(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn index_of(pod: &Value) -> Option<i64> {
    pod.annotation(INDEX)?.parse().ok()
}

impl Sync<'_> {
    fn count(&self, field: &str) -> i64 {
        self.status.int(field).unwrap_or_default()
    }

    fn indexed(&self) -> bool {
        self.job.text("/spec/completionMode") == "Indexed"
    }

    fn run(mut self) -> Outcome {
        let (cx, job) = (self.cx, self.job);
        let own = pods::claim(cx, job, "batch/v1", "Job")?;
        let suspended = job.flag("/spec/suspend");
        if self.status.at("/startTime").is_null() && !suspended {
            self.put("startTime", json!(format_time(cx.now)));
        }
        self.tally(&own);

        let active: Vec<&ObjectRef> = own.iter().filter(|pod| pods::is_active(pod)).collect();
        let terminating = own.iter().filter(|pod| pod.deleting() && !pods::is_finished(pod)).count();
        let failed = self.failures(&own);
        let mut verdict = self.verdict(failed, &active);
        if job.deleting() {
            verdict = None;
        }

        let mut alive = active.len();
        if let Some((complete, reason, message)) = verdict {
            let target = if complete { "SuccessCriteriaMet" } else { "FailureTarget" };
            self.condition(target, reason, message);
            for pod in &active {
                pods::delete(cx, pod, job, COMPONENT)?;
            }
            alive = 0;
            let counted = uids(self.status.at("/uncountedTerminatedPods/succeeded")).len()
                + uids(self.status.at("/uncountedTerminatedPods/failed")).len();
            if active.is_empty() && terminating == 0 && counted == 0 {
                self.condition(if complete { "Complete" } else { "Failed" }, reason, message);
                if complete {
                    self.put("completionTime", json!(format_time(cx.now)));
                    cx.recorder.event(job, "Normal", "Completed", "Job completed", COMPONENT);
                } else {
                    cx.recorder.event(job, "Warning", reason, message, COMPONENT);
                }
            }
        } else if suspended {
            for pod in &active {
                pods::delete(cx, pod, job, COMPONENT)?;
            }
            alive = 0;
            if !job.condition_is_true("Suspended") {
                self.condition("Suspended", "JobSuspended", "Job suspended");
                cx.recorder.event(job, "Normal", "Suspended", "Job suspended", COMPONENT);
            }
            self.drop_field("startTime");
        } else {
            if job.condition_is_true("Suspended") {
                self.resume();
            }
            if !job.deleting() {
                alive = self.manage(&own, &active)?;
            }
        }
        let ready = active.iter().filter(|pod| pods::is_ready(pod)).count().min(alive);
        for (field, number) in [("active", alive), ("ready", ready), ("terminating", terminating)] {
            if number == 0 && field == "active" {
                self.drop_field(field);
            } else {
                self.put(field, json!(number));
            }
        }
        self.write(&own)?;
        Ok(self.again)
    }

    fn put(&mut self, field: &str, value: Value) {
        set(&mut self.status, &[field], value);
    }

    fn drop_field(&mut self, field: &str) {
        super::fields::unset(&mut self.status, &[field]);
    }

    fn condition(&mut self, kind: &str, reason: &str, message: &str) {
        let mut conditions = self.status.items("/conditions").to_vec();
        if conditions.iter().any(|condition| condition.text("/type") == kind && condition.text("/status") == "True") {
            return;
        }
        conditions.retain(|condition| condition.text("/type") != kind);
        conditions.push(json!({
            "type": kind,
            "status": "True",
            "lastProbeTime": format_time(self.cx.now),
            "lastTransitionTime": format_time(self.cx.now),
            "reason": reason,
            "message": message,
        }));
        self.put("conditions", json!(conditions));
    }

    fn resume(&mut self) {
        let mut conditions = self.status.items("/conditions").to_vec();
        for condition in &mut conditions {
            if condition.text("/type") == "Suspended" {
                *condition = json!({
                    "type": "Suspended", "status": "False", "reason": "JobResumed", "message": "Job resumed",
                    "lastProbeTime": format_time(self.cx.now), "lastTransitionTime": format_time(self.cx.now),
                });
            }
        }
        self.put("conditions", json!(conditions));
        self.cx.recorder.event(self.job, "Normal", "Resumed", "Job resumed", COMPONENT);
    }

    /// Counts finished pods in two steps, so that none is counted twice or lost: first they are listed by uid
    /// and let go, then, once their finalizer is gone, they become numbers.
    fn tally(&mut self, own: &[ObjectRef]) {
        let mut completed: BTreeSet<i64> = parse_indexes(self.job.text("/status/completedIndexes"));
        for (list, field) in [("succeeded", "succeeded"), ("failed", "failed")] {
            let listed = uids(self.status.at(&format!("/uncountedTerminatedPods/{list}")));
            let (mut kept, mut counted) = (BTreeSet::new(), 0);
            for uid in &listed {
                let tracked = own.iter().any(|pod| pod.uid() == uid && pod.has_finalizer(TRACKING));
                if tracked {
                    kept.insert(uid.clone());
                } else {
                    counted += 1;
                }
            }
            for pod in own.iter().filter(|pod| pod.has_finalizer(TRACKING)) {
                let phase = pod.text("/status/phase");
                let ended_well = phase == "Succeeded";
                let ended_badly =
                    phase == "Failed" || pod.deleting() && !ended_well && !pods::is_active(pod) && phase != "Running";
                if list == "succeeded" && ended_well {
                    match index_of(pod) {
                        Some(index) if self.indexed() => {
                            completed.insert(index);
                        }
                        _ => {}
                    }
                    kept.insert(pod.uid().to_owned());
                }
                if list == "failed" && ended_badly {
                    kept.insert(pod.uid().to_owned());
                }
            }
            if counted > 0 {
                let before = self.count(&format!("/{field}"));
                self.put(field, json!(before + counted));
            }
            let kept: Vec<&String> = kept.iter().collect();
            if kept.is_empty() {
                super::fields::unset(&mut self.status, &["uncountedTerminatedPods", list]);
            } else {
                set(&mut self.status, &["uncountedTerminatedPods", list], json!(kept));
            }
        }
        if !self.status.at("/uncountedTerminatedPods").is_object() {
            self.put("uncountedTerminatedPods", json!({}));
        }
        if self.indexed() {
            let text = print_indexes(&completed);
            if !text.is_empty() {
                self.put("completedIndexes", json!(text));
            }
            self.put("succeeded", json!(completed.len()));
        }
    }

    fn succeeded(&self) -> i64 {
        if self.indexed() {
            return self.count("/succeeded");
        }
        self.count("/succeeded")
            + i64::try_from(uids(self.status.at("/uncountedTerminatedPods/succeeded")).len()).unwrap_or_default()
    }

    fn failures(&self, own: &[ObjectRef]) -> i64 {
        let pods = self.count("/failed")
            + i64::try_from(uids(self.status.at("/uncountedTerminatedPods/failed")).len()).unwrap_or_default();
        if self.job.text("/spec/template/spec/restartPolicy") != "OnFailure" {
            return pods;
        }
        pods + own.iter().filter(|pod| pods::is_active(pod)).map(|pod| pods::restarts(pod)).sum::<i64>()
    }

    /// Whether the job is over: well or badly, and why.
    fn verdict(&mut self, failed: i64, active: &[&ObjectRef]) -> Option<(bool, &'static str, &'static str)> {
        if self
            .status
            .items("/conditions")
            .iter()
            .any(|condition| condition.text("/type") == "FailureTarget" && condition.text("/status") == "True")
        {
            let known =
                self.status.items("/conditions").iter().find(|condition| condition.text("/type") == "FailureTarget")?;
            return Some(if known.text("/reason") == "DeadlineExceeded" {
                (false, "DeadlineExceeded", "Job was active longer than specified deadline")
            } else {
                (false, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
            });
        }
        let limit = self.job.int("/spec/backoffLimit").unwrap_or(6);
        if failed > limit {
            return Some((false, "BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        let deadline = self.job.int("/spec/activeDeadlineSeconds").filter(|_| !self.job.flag("/spec/suspend"));
        if let Some(deadline) = deadline
            && let Some(due) = self
                .status
                .time("/startTime")
                .and_then(|start| start.checked_add(Duration::from_secs(deadline.unsigned_abs())).ok())
        {
            if due <= self.cx.now {
                return Some((false, "DeadlineExceeded", "Job was active longer than specified deadline"));
            }
            self.look_again(due);
        }
        let succeeded = self.succeeded();
        let done = match self.job.int("/spec/completions") {
            Some(completions) => succeeded >= completions,
            // A work queue is done when one pod succeeded and none is left.
            None => succeeded > 0 && active.is_empty(),
        };
        done.then_some((true, "CompletionsReached", "Reached expected number of succeeded pods"))
    }

    fn look_again(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |own| own.min(at)));
    }

    /// Creates or removes pods; how many are active then.
    fn manage(&mut self, own: &[ObjectRef], active: &[&ObjectRef]) -> Result<usize> {
        let (cx, job) = (self.cx, self.job);
        let parallelism = job.int("/spec/parallelism").unwrap_or(1);
        let running = i64::try_from(active.len()).unwrap_or_default();
        let wanted = match job.int("/spec/completions") {
            Some(completions) => parallelism.min(completions - self.succeeded()),
            None if self.succeeded() > 0 => running,
            None => parallelism,
        }
        .max(0);
        if running > wanted {
            let excess = usize::try_from(running - wanted).unwrap_or_default();
            for pod in active.iter().rev().take(excess) {
                pods::delete(cx, pod, job, COMPONENT)?;
            }
            return Ok(active.len() - excess);
        }
        if running == wanted {
            return Ok(active.len());
        }
        if let Some(due) = back_off(own).filter(|due| *due > cx.now) {
            self.look_again(due);
            return Ok(active.len());
        }
        let mut free: Vec<i64> = Vec::new();
        if self.indexed() {
            let mut taken = parse_indexes(self.status.text("/completedIndexes"));
            taken.extend(active.iter().filter_map(|pod| index_of(pod)));
            free =
                (0..job.int("/spec/completions").unwrap_or_default()).filter(|index| !taken.contains(index)).collect();
        }
        let mut made = 0;
        for number in 0..usize::try_from(wanted - running).unwrap_or_default() {
            let index = if self.indexed() {
                match free.get(number) {
                    Some(index) => Some(*index),
                    None => break,
                }
            } else {
                None
            };
            pods::create(cx, pod_for(job, index), job, COMPONENT)?;
            made += 1;
        }
        Ok(active.len() + made)
    }

    fn write(&mut self, own: &[ObjectRef]) -> Result<()> {
        let (cx, job) = (self.cx, self.job);
        if self.status != *job.at("/status") {
            let status = self.status.clone();
            cx.cluster.modify_status(&gr::JOBS, job.namespace(), job.name(), |value| value["status"] = status)?;
        }
        let mut listed = uids(self.status.at("/uncountedTerminatedPods/succeeded"));
        listed.extend(uids(self.status.at("/uncountedTerminatedPods/failed")));
        for pod in own {
            if pod.has_finalizer(TRACKING) && (listed.contains(pod.uid()) || pod.deleting() && pods::is_finished(pod)) {
                untrack(cx, pod)?;
            }
        }
        Ok(())
    }
}

fn pod_for(job: &Value, index: Option<i64>) -> Value {
    let mut pod = pods::from_template(job.at("/spec/template"), "batch/v1", "Job", job);
    add_finalizer(&mut pod, TRACKING);
    if let Some(index) = index {
        set(&mut pod, &["metadata", "annotations", INDEX], index.to_string());
        set(&mut pod, &["metadata", "labels", INDEX], index.to_string());
        set(&mut pod, &["metadata", "generateName"], format!("{}-{index}-", job.name()));
        pod["spec"]["hostname"] = json!(format!("{}-{index}", job.name()));
        if let Some(containers) = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
            for container in containers {
                let mut variables = container.items("/env").to_vec();
                variables.push(json!({"name": "JOB_COMPLETION_INDEX", "value": index.to_string()}));
                container["env"] = json!(variables);
            }
        }
    }
    pod
}

/// When the next pod may start, after those that failed last.
fn back_off(own: &[ObjectRef]) -> Option<Timestamp> {
    let mut failed: Vec<Timestamp> =
        own.iter().filter(|pod| pod.text("/status/phase") == "Failed").filter_map(|pod| ended_at(pod)).collect();
    failed.sort();
    let since_success =
        own.iter().filter(|pod| pod.text("/status/phase") == "Succeeded").filter_map(|pod| ended_at(pod)).max();
    let recent: Vec<Timestamp> = failed.into_iter().filter(|at| since_success.is_none_or(|good| *at > good)).collect();
    let last = recent.last()?;
    let doublings = u32::try_from(recent.len() - 1).unwrap_or(16).min(16);
    last.checked_add(BACK_OFF.saturating_mul(1 << doublings).min(BACK_OFF_MAX)).ok()
}

fn ended_at(pod: &Value) -> Option<Timestamp> {
    pod.items("/status/containerStatuses")
        .iter()
        .filter_map(|status| status.time("/state/terminated/finishedAt"))
        .max()
        .or_else(|| pod.created())
}

/// `0-2,5` as a set.
fn parse_indexes(text: &str) -> BTreeSet<i64> {
    text.split(',')
        .filter_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(from.parse().ok()?..=to.parse::<i64>().ok()?)
        })
        .flatten()
        .collect()
}

fn print_indexes(set: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for index in set {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == *index => *to = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let print = |(from, to): (i64, i64)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    ranges.into_iter().map(print).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes() {
        for text in ["", "0", "0,1", "0-2", "0-2,5,7-9"] {
            assert_eq!(print_indexes(&parse_indexes(text)), text);
        }
    }
}
