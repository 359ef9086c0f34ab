//! CronJobs: Jobs on a schedule (`pkg/controller/cronjob`).

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    cron::Schedule,
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, controller_reference},
    job::finished,
};
use crate::{
    clock::format_time,
    cluster::{DeleteOptions, Propagation},
    registry::builtin::gr,
    status::Result,
    store::{Event, ObjectRef},
};

const COMPONENT: &str = "cronjob-controller";
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Missed moments beyond which the controller gives up counting.
const TOO_MANY: usize = 100;

/// The controller.
#[derive(Default)]
pub struct CronJobs;

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::CRON_JOBS {
            wake.push(Key::of(event));
        } else if event.resource == gr::JOBS
            && let Some(owner) = event.object.controller()
            && owner.text("/kind") == "CronJob"
        {
            wake.push(Key::new(&event.namespace, owner.text("/name")));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(cron) = cx.cluster.find(&gr::CRON_JOBS, &key.namespace, &key.name) else { return Ok(None) };
        let jobs: Vec<ObjectRef> = cx
            .index
            .dependents_of(cron.uid(), &gr::JOBS)
            .filter_map(|at| cx.cluster.find(&gr::JOBS, &at.namespace, &at.name))
            .collect();
        let mut status = cron.at("/status").clone();
        if !status.is_object() {
            status = json!({});
        }
        note_finished(cx, &cron, &jobs, &mut status);
        clean_up(cx, &cron, &jobs)?;
        let outcome = if cron.deleting() || cron.flag("/spec/suspend") {
            Ok(None)
        } else {
            schedule(cx, &cron, &jobs, &mut status)
        };
        if status != *cron.at("/status") {
            cx.cluster.modify_status(&gr::CRON_JOBS, &key.namespace, &key.name, |value| value["status"] = status)?;
        }
        outcome
    }
}

fn reference(job: &Value) -> Value {
    json!({
        "kind": "Job", "apiVersion": "batch/v1", "namespace": job.namespace(), "name": job.name(), "uid": job.uid(),
        "resourceVersion": job["metadata"]["resourceVersion"],
    })
}

fn note_finished(cx: &Context<'_>, cron: &Value, jobs: &[ObjectRef], status: &mut Value) {
    let mut active = status.items("/active").to_vec();
    active.retain(|entry| {
        let Some(job) = jobs.iter().find(|job| job.uid() == entry.text("/uid")) else {
            let message = format!("Active job went missing: {}", entry.text("/name"));
            cx.recorder.event(cron, "Normal", "MissingJob", &message, COMPONENT);
            return false;
        };
        if finished(job) {
            let how = if job.condition_is_true("Complete") { "Complete" } else { "Failed" };
            let message = format!("Saw completed job: {}, condition: {how}", job.name());
            cx.recorder.event(cron, "Normal", "SawCompletedJob", &message, COMPONENT);
        }
        !finished(job)
    });
    let last = jobs
        .iter()
        .filter(|job| job.condition_is_true("Complete"))
        .filter_map(|job| job.time("/status/completionTime"))
        .max();
    if let Some(last) = last.filter(|last| status.time("/lastSuccessfulTime").is_none_or(|known| *last > known)) {
        status["lastSuccessfulTime"] = json!(format_time(last));
    }
    put_active(status, active);
}

fn put_active(status: &mut Value, active: Vec<Value>) {
    if active.is_empty() {
        super::fields::unset(status, &["active"]);
    } else {
        status["active"] = json!(active);
    }
}

fn delete(cx: &Context<'_>, cron: &Value, job: &Value) -> Result<()> {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    match cx.cluster.delete(&gr::JOBS, job.namespace(), job.name(), &options) {
        Ok(_) => {
            cx.recorder.event(cron, "Normal", "SuccessfulDelete", &format!("Deleted job {}", job.name()), COMPONENT)
        }
        Err(status) if status.is_not_found() => {}
        Err(status) => {
            cx.recorder.event(cron, "Warning", "FailedDelete", &format!("Deleted job: {status}"), COMPONENT);
            return Err(status);
        }
    }
    Ok(())
}

fn clean_up(cx: &Context<'_>, cron: &Value, jobs: &[ObjectRef]) -> Result<()> {
    for (condition, field, default) in
        [("Complete", "/spec/successfulJobsHistoryLimit", 3), ("Failed", "/spec/failedJobsHistoryLimit", 1)]
    {
        let limit = usize::try_from(cron.int(field).unwrap_or(default)).unwrap_or_default();
        let mut ended: Vec<&ObjectRef> =
            jobs.iter().filter(|job| job.condition_is_true(condition) && !job.deleting()).collect();
        ended.sort_by_key(|job| (job.time("/status/startTime"), job.name().to_owned()));
        for job in ended.iter().take(ended.len().saturating_sub(limit)) {
            delete(cx, cron, job)?;
        }
    }
    Ok(())
}

fn schedule(cx: &Context<'_>, cron: &ObjectRef, jobs: &[ObjectRef], status: &mut Value) -> Outcome {
    let text = cron.text("/spec/schedule");
    let say = |kind: &str, reason: &str, message: &str| cx.recorder.event(cron, kind, reason, message, COMPONENT);
    let plan = match Schedule::parse(text) {
        Ok(plan) => plan,
        Err(why) => {
            say("Warning", "UnparseableSchedule", &format!("unparseable schedule: \"{text}\" : {why}"));
            return Ok(None);
        }
    };
    let zone = match cron.text("/spec/timeZone") {
        "" => TimeZone::UTC,
        name => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(error) => {
                say("Warning", "UnknownTimeZone", &format!("invalid timeZone: \"{name}\": {error}"));
                return Ok(None);
            }
        },
    };
    let next = plan.next(cx.now, &zone);
    let Some(due) = most_recent(cron, status, &plan, &zone, cx.now) else { return Ok(next) };
    if let Some(deadline) = cron.int("/spec/startingDeadlineSeconds")
        && due.checked_add(Duration::from_secs(deadline.unsigned_abs())).is_ok_and(|last| last < cx.now)
    {
        let message = format!("Missed scheduled time to start a job: {}", due.strftime("%a, %d %b %Y %H:%M:%S +0000"));
        say("Warning", "MissSchedule", &message);
        return Ok(next);
    }
    let name = format!("{}-{}", cron.name(), due.as_second() / 60);
    if status.items("/active").iter().any(|entry| entry.text("/name") == name)
        || jobs.iter().any(|job| job.name() == name)
    {
        status["lastScheduleTime"] = json!(format_time(due));
        return Ok(next);
    }
    let mut active = status.items("/active").to_vec();
    match cron.text("/spec/concurrencyPolicy") {
        "Forbid" if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            say("Normal", "JobAlreadyActive", message);
            return Ok(next);
        }
        "Replace" => {
            for entry in active.drain(..) {
                if let Some(job) = jobs.iter().find(|job| job.uid() == entry.text("/uid")) {
                    delete(cx, cron, job)?;
                }
            }
        }
        _ => {}
    }
    let template = cron.at("/spec/jobTemplate");
    let mut metadata = json!({"name": name, "ownerReferences": [controller_reference("batch/v1", "CronJob", cron)]});
    for field in ["labels", "annotations"] {
        if template.at("/metadata")[field].is_object() {
            metadata[field] = template["metadata"][field].clone();
        }
    }
    metadata["annotations"][SCHEDULED] = json!(format_time(due));
    match cx.cluster.create(&gr::JOBS, cron.namespace(), json!({"metadata": metadata, "spec": template["spec"]})) {
        Ok(job) => {
            say("Normal", "SuccessfulCreate", &format!("Created job {name}"));
            active.push(reference(&job));
        }
        Err(refused) if refused.is_already_exists() => {}
        Err(refused) => {
            say("Warning", "FailedCreate", &format!("Error creating job: {refused}"));
            return Err(refused);
        }
    }
    put_active(status, active);
    status["lastScheduleTime"] = json!(format_time(due));
    Ok(next)
}

/// The latest moment up to now that has not been served.
fn most_recent(cron: &Value, status: &Value, plan: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut from = status.time("/lastScheduleTime").or_else(|| cron.created())?;
    if let Some(deadline) = cron.int("/spec/startingDeadlineSeconds")
        && let Ok(earliest) = now.checked_sub(Duration::from_secs(deadline.unsigned_abs()))
    {
        from = from.max(earliest);
    }
    let mut found = None;
    let mut counted = 0;
    while let Some(at) = plan.next(from, zone).filter(|at| *at <= now) {
        found = Some(at);
        from = at;
        counted += 1;
        if counted > TOO_MANY {
            // So long asleep: what was missed is missed, only the latest counts.
            from = from.max(now.checked_sub(Duration::from_secs(3600)).ok()?);
        }
    }
    found
}
